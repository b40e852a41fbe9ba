//! Messages: what a frame holds (spec section 1).

use std::fmt;

use bytes::Bytes;
use rmpv::Value;

use crate::digest::{DIGEST, digest};
use crate::error::{EncodeError, MessageError};
use crate::flags::{MainFlag, SubFlag};
use crate::frame::{FRAME_HEAD, Frame, LENGTH};
use crate::id::{IdForm, MessageId};
use crate::limits::Limits;
use crate::reader::{Reader, Token};
use crate::value::{ValueReader, array_head_len, encoded_len_of, id_len, unsigned_len};

/// A message: `[kind, sender, time, payload...]` in MessagePack, together with its frame.
///
/// The encoded bytes are kept as they came. A message that is relayed is therefore neither
/// encoded nor hashed again, and cloning one copies no bytes. The payload is decoded on demand.
/// Two messages are equal when their ids are.
///
/// ```
/// use rs2p_wire::{IdForm, Limits, MainFlag, Message, SubFlag, Value};
///
/// let payload = [SubFlag::Broadcast.into(), Value::from("hello")];
/// let limits = Limits::default();
/// let message =
///     Message::encode(MainFlag::Broadcast, IdForm::Bin, "2sei", 1_500_000_000, &payload, &limits)?;
/// assert_eq!(message.sender(), b"2sei");
/// assert_eq!(message.payload(&limits)?, payload);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Message {
    frame: Frame,
    head: Head,
    /// Whether the payload has passed [`check`](Self::check).
    is_checked: bool,
}

/// What stands before the payload, read once.
#[derive(Clone, Copy)]
struct Head {
    kind: MainFlag,
    time: u64,
    sender: Span,
    sender_form: IdForm,
    payload: Span,
}

/// A part of the body: where it begins, and how long it is (bytes of a sender, elements of a
/// payload).
#[derive(Clone, Copy, Debug)]
struct Span {
    at: u32,
    length: u32,
}

impl Message {
    /// Writes a message of the smallest encoding, as py2p does, and hashes it.
    ///
    /// `time` is in whole seconds since the Unix epoch. `payload` begins with the sub-flag.
    ///
    /// # Errors
    /// The frame would be longer, or nested deeper, than `limits` allow.
    pub fn encode(
        kind: MainFlag,
        sender_form: IdForm,
        sender: &str,
        time: u64,
        payload: &[Value],
        limits: &Limits,
    ) -> Result<Self, EncodeError> {
        let count = payload.len() + 3;
        let length = DIGEST
            + array_head_len(count)
            + unsigned_len(kind.into())
            + id_len(sender, sender_form)
            + unsigned_len(time)
            + encoded_len_of(payload, 1, limits)?;
        let limit = limits.frame.min(limits.expanded);
        if length > limit as usize {
            return Err(EncodeError::TooLong { length, limit });
        }
        let mut writer = Writer(Vec::with_capacity(LENGTH + length));
        writer.0.extend_from_slice(&(length as u32).to_be_bytes());
        writer.0.extend_from_slice(&[0; DIGEST]);
        writer.array_head(count);
        writer.unsigned(kind.into());
        let sender = writer.id(sender, sender_form);
        writer.unsigned(time);
        let payload_span = Span { at: writer.offset(), length: payload.len() as u32 };
        for value in payload {
            writer.value(value);
        }
        let mut buffer = writer.0;
        debug_assert_eq!(buffer.len(), LENGTH + length);
        let (head, body) = buffer.split_at_mut(FRAME_HEAD);
        head[LENGTH..].copy_from_slice(&digest(body));
        let frame = Frame::trusted(buffer.into(), None);
        Ok(Self {
            frame,
            head: Head { kind, time, sender, sender_form, payload: payload_span },
            is_checked: false,
        })
    }

    /// The same message under another id: a number is put behind the message, where every node
    /// ignores it. The originals take two equal broadcasts within a second for one.
    ///
    /// # Errors
    /// The frame would be longer than `limits` allow.
    pub fn distinct(&self, nonce: u64, limits: &Limits) -> Result<Self, EncodeError> {
        let plain = self.frame.plain();
        let length = plain.len() - LENGTH + unsigned_len(nonce);
        let limit = limits.frame.min(limits.expanded);
        if length > limit as usize {
            return Err(EncodeError::TooLong { length, limit });
        }
        let mut writer = Writer(Vec::with_capacity(LENGTH + length));
        writer.0.extend_from_slice(&(length as u32).to_be_bytes());
        writer.0.extend_from_slice(&plain[LENGTH..]);
        writer.unsigned(nonce);
        let mut buffer = writer.0;
        let (head, body) = buffer.split_at_mut(FRAME_HEAD);
        head[LENGTH..].copy_from_slice(&digest(body));
        Ok(Self {
            frame: Frame::trusted(buffer.into(), None),
            head: self.head,
            is_checked: self.is_checked,
        })
    }

    /// Reads the head of a verified frame's body. The payload is not looked at; bytes behind the
    /// message are ignored, as by both references.
    ///
    /// # Errors
    /// The body is not a MessagePack array, is cut short, or its first three elements are not a
    /// whole number, an id and a time.
    #[inline(always)]
    pub fn parse(frame: Frame) -> Result<Self, MessageError> {
        let head = Head::read(frame.body())?;
        Ok(Self { frame, head, is_checked: false })
    }

    /// Its name: the SHA-256 of [`body`](Self::body).
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.frame.id()
    }

    /// How it travels.
    #[must_use]
    pub fn kind(&self) -> MainFlag {
        self.head.kind
    }

    /// The author's id, as text in base 58 if the author is honest. Anything may stand here.
    #[must_use]
    pub fn sender(&self) -> &[u8] {
        let at = self.head.sender.at as usize;
        &self.body()[at..at + self.head.sender.length as usize]
    }

    /// The form in which the author wrote its id.
    #[must_use]
    pub fn sender_form(&self) -> IdForm {
        self.head.sender_form
    }

    /// When the author says it was written, in seconds since the Unix epoch.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.head.time
    }

    /// How many elements the payload has, the sub-flag among them.
    #[must_use]
    pub fn payload_len(&self) -> u32 {
        self.head.payload.length
    }

    /// First element of the payload, when it is a number at all.
    #[must_use]
    pub fn sub_flag(&self) -> Option<SubFlag> {
        if self.head.payload.length == 0 {
            return None;
        }
        let token = Reader::new(self.body(), self.head.payload.at as usize).token().ok()?;
        whole(token).map(SubFlag::from)
    }

    /// Decodes the payload.
    ///
    /// # Errors
    /// Broken MessagePack, invalid UTF-8 in a text, or more than `limits` allow.
    pub fn payload(&self, limits: &Limits) -> Result<Vec<Value>, MessageError> {
        let Span { at, length } = self.head.payload;
        ValueReader::new(self.body(), at as usize, limits).values(length, 1)
    }

    /// Checks the payload as [`payload`](Self::payload) does, without building it, and that every
    /// node can read its maps and timestamps.
    ///
    /// Both references drop the neighbour that hands them a payload they cannot read, so a relay
    /// checks before it passes one on.
    ///
    /// # Errors
    /// As [`payload`](Self::payload); also a map that has a key twice, or an array or a map for a
    /// key; a timestamp that is no date. A [`checked`](Self::checked) message has none, whatever
    /// the limits are now.
    pub fn check(&self, limits: &Limits) -> Result<(), MessageError> {
        if self.is_checked {
            return Ok(());
        }
        let Span { at, length } = self.head.payload;
        ValueReader::new(self.body(), at as usize, limits).skim(length, 1)
    }

    /// The message, once its payload has passed [`check`](Self::check), which then costs nothing
    /// any more: for who has time to look before others wait for the answer.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn checked(mut self, limits: &Limits) -> Result<Self, MessageError> {
        self.check(limits)?;
        self.is_checked = true;
        Ok(self)
    }

    /// The encoded message, byte for byte as its author wrote it.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.frame.body()
    }

    /// The frame that carries it.
    #[must_use]
    pub fn frame(&self) -> &Frame {
        &self.frame
    }
}

impl Head {
    #[inline(always)]
    fn read(body: &[u8]) -> Result<Self, MessageError> {
        let mut reader = Reader::new(body, 0);
        let count = match reader.token()? {
            Token::Array(count @ 3..) => count,
            Token::Array(count) => return Err(MessageError::TooShort { elements: count }),
            _ => return Err(MessageError::NotAnArray),
        };
        let at = reader.at();
        let kind = whole(reader.token()?).ok_or(MessageError::Kind { at })?;
        let at = reader.at();
        let (form, text) = match reader.token()? {
            Token::Bin(text) => (IdForm::Bin, text),
            Token::Str(text) => (IdForm::Str, text),
            _ => return Err(MessageError::Sender { at }),
        };
        let length = text.len() as u32;
        let sender = Span { at: reader.at() as u32 - length, length };
        let at = reader.at();
        let time = whole(reader.token()?).ok_or(MessageError::Time { at })?;
        let payload = Span { at: reader.at() as u32, length: count - 3 };
        Ok(Self { kind: kind.into(), time, sender, sender_form: form, payload })
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Message {}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id())
            .field("kind", &self.kind())
            .field("sender", &String::from_utf8_lossy(self.sender()))
            .field("time", &self.time())
            .field("payload", &self.payload(&Limits::default()))
            .finish()
    }
}

/// A whole number; js2p writes numbers from 2^31 on as floats.
#[inline(always)]
fn whole(token: Token<'_>) -> Option<u64> {
    /// Whole numbers up to here are exact in a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = match token {
        Token::Unsigned(number) => return Some(number),
        Token::Signed(number) => return u64::try_from(number).ok(),
        Token::Float32(number) => f64::from(number),
        Token::Float64(number) => number,
        _ => return None,
    };
    ((0.0..=EXACT).contains(&float) && float.fract() == 0.0).then_some(float as u64)
}

/// Writes smallest forms into a buffer that begins with the frame's head.
struct Writer(Vec<u8>);

impl Writer {
    fn offset(&self) -> u32 {
        (self.0.len() - FRAME_HEAD) as u32
    }

    fn array_head(&mut self, length: usize) {
        match length {
            0..16 => self.0.push(0x90 | length as u8),
            16..=0xffff => self.marked(0xdc, (length as u16).to_be_bytes()),
            _ => self.marked(0xdd, (length as u32).to_be_bytes()),
        }
    }

    fn unsigned(&mut self, number: u64) {
        match number {
            0..0x80 => self.0.push(number as u8),
            0x80..=0xff => self.marked(0xcc, [number as u8]),
            0x100..=0xffff => self.marked(0xcd, (number as u16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => self.marked(0xce, (number as u32).to_be_bytes()),
            _ => self.marked(0xcf, number.to_be_bytes()),
        }
    }

    fn id(&mut self, id: &str, form: IdForm) -> Span {
        let length = id.len();
        let [short, middle, long] = match form {
            IdForm::Bin => [0xc4, 0xc5, 0xc6],
            IdForm::Str => [0xd9, 0xda, 0xdb],
        };
        match length {
            0..32 if form == IdForm::Str => self.0.push(0xa0 | length as u8),
            0..=0xff => self.marked(short, [length as u8]),
            0x100..=0xffff => self.marked(middle, (length as u16).to_be_bytes()),
            _ => self.marked(long, (length as u32).to_be_bytes()),
        }
        let at = self.offset();
        self.0.extend_from_slice(id.as_bytes());
        Span { at, length: length as u32 }
    }

    fn marked<const N: usize>(&mut self, marker: u8, bytes: [u8; N]) {
        self.0.push(marker);
        self.0.extend_from_slice(&bytes);
    }

    fn value(&mut self, value: &Value) {
        // The length was told beforehand and the buffer grows at need: writing cannot fail.
        let written = rmpv::encode::write_value(&mut self.0, value);
        debug_assert!(written.is_ok());
    }
}

impl TryFrom<Frame> for Message {
    type Error = MessageError;

    fn try_from(frame: Frame) -> Result<Self, Self::Error> {
        Self::parse(frame)
    }
}

impl From<Message> for Bytes {
    /// The whole plain frame, length header included.
    fn from(message: Message) -> Self {
        message.frame.into()
    }
}
