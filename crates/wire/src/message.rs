//! Messages: what a frame holds (spec section 1).

use std::fmt;

use bytes::Bytes;
use rmpv::Value;

use crate::digest::DIGEST;
use crate::elements::{Element, Elements};
use crate::error::{EncodeError, MessageError};
use crate::flags::{MainFlag, SubFlag};
use crate::frame::{Frame, LENGTH};
use crate::id::{IdForm, MessageId};
use crate::limits::Limits;
use crate::reader::{Reader, Token};
use crate::value::{ValueReader, array_head_len, encoded_len_of, id_len, unsigned_len};
use crate::writer::{MessageWriter, Pieces};

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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) kind: MainFlag,
    pub(crate) time: u64,
    pub(crate) sender: Span,
    pub(crate) sender_form: IdForm,
    pub(crate) payload: Span,
}

/// A part of the body: where it begins, and how long it is (bytes of a sender, elements of a
/// payload).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) at: u32,
    pub(crate) length: u32,
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
        let room = LENGTH + length;
        let mut writer =
            MessageWriter::for_frame(room, kind, sender_form, sender, time, payload.len());
        for value in payload {
            writer.value(value);
        }
        let message = writer.seal();
        debug_assert_eq!(message.frame.plain().len(), room);
        Ok(message)
    }

    /// A frame of this node's own, and what its body begins with.
    pub(crate) fn sealed(frame: Frame, head: Head) -> Self {
        Self { frame, head, is_checked: false }
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
        let mut pieces = Pieces::copied(length, &plain[LENGTH..]);
        pieces.unsigned(nonce);
        Ok(Self { frame: pieces.frame(), head: self.head, is_checked: self.is_checked })
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

    /// The elements of the payload, read straight from the message's bytes: as
    /// [`payload`](Self::payload), without setting memory aside.
    ///
    /// # Errors
    /// As [`payload`](Self::payload), found before the first element is read. A
    /// [`checked`](Self::checked) message has none, whatever the limits are now.
    pub fn elements(&self, limits: &Limits) -> Result<Elements<'_>, MessageError> {
        let Span { at, length } = self.head.payload;
        let at = at as usize;
        if !self.is_checked {
            ValueReader::new(self.body(), at, limits).pass_over(length, 1)?;
        }
        Ok(Elements::new(Reader::new(self.body(), at), length))
    }

    /// The first value behind the message's array, where nodes that do not know it ignore it: see
    /// [`MessageWriter::behind`]. `None` when there is none, or none that can be read within
    /// `limits`.
    #[must_use]
    pub fn behind(&self, limits: &Limits) -> Option<Element<'_>> {
        let Span { at, length } = self.head.payload;
        let mut reader = Reader::new(self.body(), at as usize);
        Elements::new(reader, length).pass_all(&mut reader)?;
        ValueReader::new(self.body(), reader.at(), limits).pass_over(1, 1).ok()?;
        Elements::new(reader, 1).next()
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
