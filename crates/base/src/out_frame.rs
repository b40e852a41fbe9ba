//! One message on its way to many links.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rs2p_wire::{Compression, Message};

/// Frames with a shorter body go out plain whatever was negotiated, since so little gains nothing
/// from compression. Not so to js2p, which misreads some plain frames: see
/// [`Fanout::compressed_frame`].
pub const COMPRESS_FROM: usize = 512;

/// A frame in a send queue. Cloning one copies no bytes.
#[derive(Clone, Debug)]
pub struct OutFrame(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Plain(Message),
    Packed(Arc<Packed>),
}

#[derive(Debug)]
struct Packed {
    message: Message,
    method: Compression,
    /// Even where it lengthens the frame.
    always: bool,
    bytes: OnceLock<Bytes>,
}

impl OutFrame {
    /// The message inside.
    #[must_use]
    pub fn message(&self) -> &Message {
        match &self.0 {
            Inner::Plain(message) => message,
            Inner::Packed(packed) => &packed.message,
        }
    }

    /// The bytes to write, length header included.
    ///
    /// The first call for a compressed frame compresses, on the caller's time; frames that share
    /// the work get the same bytes. A frame that compression would lengthen stays plain, unless it
    /// was asked for by [`Fanout::compressed_frame`].
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        let plain = self.message().frame().plain();
        match &self.0 {
            Inner::Plain(_) => plain,
            Inner::Packed(packed) => packed.bytes.get_or_init(|| {
                let bytes = packed.message.frame().compressed(packed.method);
                if packed.always || bytes.len() < plain.len() { bytes } else { plain.clone() }
            }),
        }
    }

    /// What it counts for in a send queue: its length in bytes before compression.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.message().frame().plain().len()
    }
}

impl From<Message> for OutFrame {
    /// A plain frame.
    fn from(message: Message) -> Self {
        Self(Inner::Plain(message))
    }
}

/// Makes the frames of one message for any number of links, so that each compression method runs
/// once.
#[derive(Debug)]
pub struct Fanout {
    message: Message,
    packed: Vec<Arc<Packed>>,
}

impl Fanout {
    /// A message that is about to go to some links.
    #[must_use]
    pub fn new(message: Message) -> Self {
        Self { message, packed: Vec::new() }
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// Its frame for links that use `method`.
    pub fn frame(&mut self, method: Option<Compression>) -> OutFrame {
        let Some(method) = method.filter(|_| self.message.body().len() >= COMPRESS_FROM) else {
            return self.message.clone().into();
        };
        self.packed(method, false)
    }

    /// Its frame for links that use `method` and whose peers cannot be sure to know a plain frame
    /// from a compressed one.
    pub fn compressed_frame(&mut self, method: Option<Compression>) -> OutFrame {
        match method {
            Some(method) => self.packed(method, true),
            None => self.message.clone().into(),
        }
    }

    fn packed(&mut self, method: Compression, always: bool) -> OutFrame {
        let is_it = |packed: &&Arc<Packed>| packed.method == method && packed.always == always;
        if let Some(packed) = self.packed.iter().find(is_it) {
            return OutFrame(Inner::Packed(packed.clone()));
        }
        let message = self.message.clone();
        let packed = Arc::new(Packed { message, method, always, bytes: OnceLock::new() });
        self.packed.push(packed.clone());
        OutFrame(Inner::Packed(packed))
    }
}

#[cfg(test)]
mod tests {
    use rs2p_wire::{IdForm, Limits, MainFlag, Value};
    use sha2::{Digest as _, Sha384};

    use super::*;

    fn message(packet: Value) -> Message {
        let payload = [0.into(), packet];
        let limits = Limits::default();
        Message::encode(MainFlag::Broadcast, IdForm::Bin, "1", 0, &payload, &limits).unwrap()
    }

    #[test]
    fn links_with_the_same_compression_share_one_frame() {
        let mut fanout = Fanout::new(message("x".repeat(5_000).into()));
        let zlib = fanout.frame(Some(Compression::Zlib));
        let again = fanout.frame(Some(Compression::Zlib));
        assert_eq!(zlib.bytes().as_ptr(), again.bytes().as_ptr());
        assert!(zlib.bytes().len() < 500);
        assert_ne!(fanout.frame(Some(Compression::Gzip)).bytes(), zlib.bytes());
        assert_eq!(fanout.frame(None).bytes(), fanout.message().frame().plain());
    }

    #[test]
    fn a_frame_is_compressed_whatever_its_length_where_the_peer_needs_it() {
        let mut fanout = Fanout::new(message("short".into()));
        let plain = fanout.message().frame().plain().clone();
        assert_eq!(fanout.frame(Some(Compression::Zlib)).bytes(), &plain);
        assert_ne!(fanout.compressed_frame(Some(Compression::Zlib)).bytes(), &plain);
        assert_eq!(fanout.compressed_frame(None).bytes(), &plain);
    }

    #[test]
    fn what_compression_would_lengthen_stays_plain() {
        let short = message("x".repeat(100).into());
        let noise = (0..30u8).flat_map(|n| Sha384::digest([n])).collect();
        for message in [short, message(Value::Binary(noise))] {
            let plain = message.frame().plain().clone();
            let frame = Fanout::new(message).frame(Some(Compression::Snappy));
            assert_eq!(frame.bytes(), &plain);
        }
    }
}
