//! What the references do with what they get, as far as it concerns the link (spec sections 3, 5,
//! 6, 8 and 13).

use bytes::BytesMut;
use rs2p_base::Handshake;
use rs2p_wire::{Compression, IdForm, Limits, MainFlag, Message, RawFrame, SubFlag, Value};

use crate::transcript::Flavour;

/// A reference at the other end of a link. It judges every frame, and panics where the real one
/// would get into trouble.
pub(crate) struct Reference {
    flavour: Flavour,
    protocol: String,
    /// What the frames that come in may be compressed with.
    usable: Vec<Compression>,
    /// Handshakes that it has taken for such.
    pub(crate) handshakes: usize,
    /// Handshakes of six packets, which it passes over without a look at the sender.
    pub(crate) openings: usize,
    /// Other messages that it could read, by the method they came under.
    pub(crate) messages: Vec<Option<Compression>>,
    /// It has dropped the link because of another network.
    pub(crate) hung_up: bool,
}

impl Reference {
    pub(crate) fn new(flavour: Flavour, protocol: String) -> Self {
        Self {
            flavour,
            protocol,
            usable: Vec::new(),
            handshakes: 0,
            openings: 0,
            messages: Vec::new(),
            hung_up: false,
        }
    }

    /// The type in which it writes ids, and the only one in which they do no harm to it.
    pub(crate) fn form(&self) -> IdForm {
        match self.flavour {
            Flavour::Py2p => IdForm::Bin,
            Flavour::Js2p => IdForm::Str,
        }
    }

    /// What it can decode if the peer announces it: py2p with all its modules, js2p as usual.
    fn methods(&self) -> &'static [Compression] {
        use Compression::{Bz2, Gzip, Lzma, Snappy, Zlib};
        match self.flavour {
            Flavour::Py2p => &[Snappy, Zlib, Gzip, Bz2, Lzma],
            Flavour::Js2p => &[Zlib, Gzip],
        }
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        if self.hung_up {
            return;
        }
        let limits = Limits::default();
        let raw = RawFrame::split_from(&mut BytesMut::from(bytes), &limits).unwrap().unwrap();
        let frame = raw
            .verify(&self.usable, &limits)
            .unwrap_or_else(|_| panic!("a method that was not announced drops the link"));
        let method = frame.compression();
        let message = Message::parse(frame).unwrap();
        let payload = message.payload(&limits).unwrap();

        // A renegotiation costs a py2p node its links, and a js2p node most of the time.
        assert_ne!(message.kind(), MainFlag::Renegotiate);
        let is_meant = (message.sub_flag(), payload.len()) != (Some(SubFlag::Handshake), 6);
        let form = message.sender_form();
        assert!(form == self.form() || !is_meant, "a sender of the other type is a stranger");
        match (message.sub_flag(), payload.len()) {
            (Some(SubFlag::Handshake), 5) => {
                assert_eq!(method, None, "a handshake is never compressed");
                self.take_handshake(&message, &payload);
            }
            (Some(SubFlag::Handshake), 2) => panic!("chord's meta does not come from a link"),
            (Some(SubFlag::Handshake), packets) => {
                assert_eq!((packets, method), (6, None));
                self.openings += 1;
            }
            _ => self.messages.push(method),
        }
    }

    fn take_handshake(&mut self, message: &Message, payload: &[Value]) {
        let [_, id, protocol, address, methods] = payload else { unreachable!() };
        let same = match self.flavour {
            Flavour::Py2p => *protocol == IdForm::Bin.value(&self.protocol),
            Flavour::Js2p => rs2p_wire::text_bytes(protocol) == Some(self.protocol.as_bytes()),
        };
        if !same {
            self.hung_up = true;
            return;
        }
        assert_eq!(IdForm::of(id), Some(self.form()), "an id of the other type splits the peer");
        assert_eq!(rs2p_wire::text_bytes(id), Some(message.sender()));
        assert!(message.kind() == MainFlag::Whisper && Handshake::is_in(message));
        assert!(address.as_array().is_some_and(|parts| parts.len() == 2));
        let announced: Vec<u64> =
            methods.as_array().unwrap().iter().map(|method| method.as_u64().unwrap()).collect();
        let twice = |code: &u64| announced.iter().filter(|other| *other == code).count() > 1;
        assert!(!announced.iter().any(twice), "js2p takes a doubled number for an absent one");
        self.usable = self
            .methods()
            .iter()
            .copied()
            .filter(|method| announced.contains(&method.code()))
            .collect();
        self.handshakes += 1;
    }
}
