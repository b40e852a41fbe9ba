//! Messages written piece by piece.

use rmpv::Value;

use crate::base58::Text;
use crate::digest::{DIGEST, digest};
use crate::encoded::Encoded;
use crate::error::EncodeError;
use crate::flags::MainFlag;
use crate::frame::{FRAME_HEAD, Frame, LENGTH};
use crate::id::IdForm;
use crate::limits::Limits;
use crate::message::{Head, Message, Span};
use crate::value::encoded_len_of;

/// Writes a message piece by piece: what [`Message::encode`] writes, for payloads that would cost
/// much to build as values first.
///
/// ```
/// use rs2p_wire::{IdForm, Limits, MainFlag, Message, MessageWriter, SubFlag, Value};
///
/// let mut writer = MessageWriter::new(MainFlag::Whisper, IdForm::Bin, "2sei", 1_500_000_000, 2);
/// writer.unsigned(SubFlag::Whisper.into());
/// writer.array(2, |writer| {
///     writer.text("example.org");
///     writer.unsigned(4444);
/// });
/// let limits = Limits::default();
/// let address = Value::Array(vec!["example.org".into(), 4444.into()]);
/// assert_eq!(
///     writer.finish(&limits)?.payload(&limits)?,
///     [SubFlag::Whisper.into(), address]
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MessageWriter {
    pieces: Pieces,
    head: Head,
    /// Values that the array written last still lacks.
    missing: usize,
    depth: u16,
    deepest: u16,
}

impl MessageWriter {
    /// What stands before a payload takes no more than this, the sender's id not counted.
    const HEAD: usize = FRAME_HEAD + 5 + 9 + 5 + 9;

    /// A message whose payload is about to be written: `elements` values, the first of which is the
    /// sub-flag. `time` is in whole seconds since the Unix epoch.
    #[must_use]
    pub fn new(
        kind: MainFlag,
        sender_form: IdForm,
        sender: &str,
        time: u64,
        elements: usize,
    ) -> Self {
        Self::with_room(0, kind, sender_form, sender, time, elements)
    }

    /// As [`new`](Self::new), with memory set aside for a payload of so many bytes.
    #[must_use]
    pub fn with_room(
        bytes: usize,
        kind: MainFlag,
        sender_form: IdForm,
        sender: &str,
        time: u64,
        elements: usize,
    ) -> Self {
        let frame = Self::HEAD + sender.len() + bytes;
        Self::for_frame(frame, kind, sender_form, sender, time, elements)
    }

    /// `frame`: bytes of the whole frame.
    pub(crate) fn for_frame(
        frame: usize,
        kind: MainFlag,
        sender_form: IdForm,
        sender: &str,
        time: u64,
        elements: usize,
    ) -> Self {
        let mut pieces = Pieces(Vec::with_capacity(frame));
        pieces.0.extend_from_slice(&[0; FRAME_HEAD]);
        pieces.array_head(elements + 3);
        pieces.unsigned(kind.into());
        pieces.id(sender.as_bytes(), sender_form);
        let length = sender.len() as u32;
        let sender = Span { at: pieces.offset() - length, length };
        pieces.unsigned(time);
        let payload = Span { at: pieces.offset(), length: elements as u32 };
        let head = Head { kind, time, sender, sender_form, payload };
        Self { pieces, head, missing: elements, depth: 1, deepest: 1 }
    }

    /// Nothing.
    pub fn nil(&mut self) {
        self.count();
        self.pieces.0.push(0xc0);
    }

    /// A whole number.
    pub fn unsigned(&mut self, number: u64) {
        self.count();
        self.pieces.unsigned(number);
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        self.id(text, IdForm::Str);
    }

    /// Bytes.
    pub fn binary(&mut self, bytes: &[u8]) {
        self.text_bytes(bytes, IdForm::Bin);
    }

    /// What [`text_bytes`](crate::text_bytes) reads: as text, which it then has to be, or as
    /// binary.
    pub fn text_bytes(&mut self, bytes: &[u8], form: IdForm) {
        self.count();
        self.pieces.id(bytes, form);
    }

    /// An id, as text or binary.
    pub fn id(&mut self, id: &str, form: IdForm) {
        self.count();
        self.pieces.id(id.as_bytes(), form);
    }

    /// A number in base 58, as ids are written, as text or binary.
    pub fn base58(&mut self, text: &Text, form: IdForm) {
        self.count();
        self.pieces.id(text.as_bytes(), form);
    }

    /// An array of `length` values, which `write` writes.
    ///
    /// # Panics
    /// It writes less or more of them.
    pub fn array(&mut self, length: usize, write: impl FnOnce(&mut Self)) {
        self.count();
        self.pieces.array_head(length);
        let missing = std::mem::replace(&mut self.missing, length);
        self.depth = self.depth.saturating_add(1);
        self.deepest = self.deepest.max(self.depth);
        write(self);
        self.depth -= 1;
        assert_eq!(self.missing, 0, "an array is written as long as it was said to be");
        self.missing = missing;
    }

    /// A value of any kind.
    ///
    /// # Errors
    /// It is nested deeper than `limits` allow. Nothing was written then.
    pub fn any(&mut self, value: &Value, limits: &Limits) -> Result<(), EncodeError> {
        encoded_len_of([value], self.depth, limits)?;
        self.value(value);
        Ok(())
    }

    /// A value that is encoded already.
    pub fn encoded(&mut self, value: &Encoded) {
        self.count();
        self.deepest = self.deepest.max(self.depth.saturating_add(value.depth()));
        self.pieces.0.extend_from_slice(value.as_bytes());
    }

    /// Writes `length` values behind the message, once its payload is complete. Every node passes
    /// them on with the message, and those that do not know them ignore them:
    /// [`Message::behind`] reads the first.
    ///
    /// # Panics
    /// The payload is not complete yet, or `write` writes less or more values.
    pub fn behind(&mut self, length: usize, write: impl FnOnce(&mut Self)) {
        assert_eq!(self.missing, 0, "what stands behind a message comes last");
        self.missing = length;
        write(self);
        assert_eq!(self.missing, 0, "what stands behind a message is as long as it was said to be");
    }

    /// The message.
    ///
    /// # Errors
    /// The frame is longer, or nested deeper, than `limits` allow.
    ///
    /// # Panics
    /// The payload is shorter than it was said to be.
    pub fn finish(self, limits: &Limits) -> Result<Message, EncodeError> {
        if self.deepest > limits.nesting() {
            return Err(EncodeError::TooDeep { limit: limits.nesting() });
        }
        let length = self.pieces.0.len() - LENGTH;
        let limit = limits.frame.min(limits.expanded);
        if length > limit as usize {
            return Err(EncodeError::TooLong { length, limit });
        }
        Ok(self.seal())
    }

    /// The message, which is known to be within the limits.
    pub(crate) fn seal(self) -> Message {
        assert_eq!(self.missing, 0, "a payload is written as long as it was said to be");
        Message::sealed(self.pieces.frame(), self.head)
    }

    /// A value, whose nesting is known to be within the limits.
    pub(crate) fn value(&mut self, value: &Value) {
        self.count();
        self.pieces.value(value);
    }

    fn count(&mut self) {
        // One too many is found with those that are missing, when the array ends.
        self.missing = self.missing.wrapping_sub(1);
    }
}

/// Smallest forms, in a buffer that begins with the frame's head.
#[derive(Debug)]
pub(crate) struct Pieces(Vec<u8>);

impl Pieces {
    /// Room for `length` bytes behind the length header, and those of them that are known.
    pub(crate) fn copied(length: usize, known: &[u8]) -> Self {
        let mut buffer = Vec::with_capacity(LENGTH + length);
        buffer.extend_from_slice(&[0; LENGTH]);
        buffer.extend_from_slice(known);
        Self(buffer)
    }

    /// The frame, once all of it is written.
    pub(crate) fn frame(self) -> Frame {
        let mut buffer = self.0;
        let length = (buffer.len() - LENGTH) as u32;
        let (head, body) = buffer.split_at_mut(FRAME_HEAD);
        head[..LENGTH].copy_from_slice(&length.to_be_bytes());
        head[LENGTH..].copy_from_slice(&digest(body));
        debug_assert_eq!(FRAME_HEAD, LENGTH + DIGEST);
        Frame::trusted(buffer.into_boxed_slice().into(), None)
    }

    pub(crate) fn unsigned(&mut self, number: u64) {
        match number {
            0..0x80 => self.0.push(number as u8),
            0x80..=0xff => self.marked(0xcc, [number as u8]),
            0x100..=0xffff => self.marked(0xcd, (number as u16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => self.marked(0xce, (number as u32).to_be_bytes()),
            _ => self.marked(0xcf, number.to_be_bytes()),
        }
    }

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

    fn id(&mut self, id: &[u8], form: IdForm) {
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
        self.0.extend_from_slice(id);
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
