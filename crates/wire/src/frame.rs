//! Frames: a length, a digest and a body, maybe compressed (spec sections 1 and 5).

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::compression::Compression;
use crate::digest::{DIGEST, digest};
use crate::error::FrameError;
use crate::id::MessageId;
use crate::limits::Limits;

/// Bytes of the length header.
pub(crate) const LENGTH: usize = 4;
/// Bytes before the body of a plain frame.
pub(crate) const FRAME_HEAD: usize = LENGTH + DIGEST;

/// A frame whose digest is good: `length | SHA-256(body) | body`, uncompressed.
///
/// A frame that came compressed is kept expanded, with a note of the method.
#[derive(Clone, Debug)]
pub struct Frame {
    plain: Bytes,
    compression: Option<Compression>,
}

impl Frame {
    /// Frames whose digest the caller has just computed or compared.
    #[inline]
    pub(crate) fn trusted(plain: Bytes, compression: Option<Compression>) -> Self {
        Self { plain, compression }
    }

    /// Reads one whole frame, length header included, with every method this build has.
    ///
    /// # Errors
    /// As [`RawFrame::verify`]; also bytes missing or left over.
    pub fn decode(bytes: Bytes, limits: &Limits) -> Result<Self, FrameError> {
        let mut buffer = BytesMut::from(bytes);
        match RawFrame::split_from(&mut buffer, limits)? {
            Some(raw) if buffer.is_empty() => raw.verify(Compression::AVAILABLE, limits),
            Some(_) => Err(FrameError::Trailing { bytes: buffer.len() }),
            None => Err(FrameError::Incomplete { bytes: buffer.len() }),
        }
    }

    /// The digest of the body.
    #[must_use]
    #[inline]
    pub fn id(&self) -> MessageId {
        let mut digest = [0; DIGEST];
        digest.copy_from_slice(&self.plain[LENGTH..FRAME_HEAD]);
        digest.into()
    }

    /// The encoded message.
    #[must_use]
    #[inline]
    pub fn body(&self) -> &[u8] {
        &self.plain[FRAME_HEAD..]
    }

    /// The whole plain frame, as it goes onto a link without compression.
    #[must_use]
    #[inline]
    pub fn plain(&self) -> &Bytes {
        &self.plain
    }

    /// The method under which it came.
    #[must_use]
    pub fn compression(&self) -> Option<Compression> {
        self.compression
    }

    /// The whole frame under `method`, to be shared by all links that use it; the plain one where
    /// this build lacks the method. The result may well be longer than the plain frame.
    #[must_use]
    pub fn compressed(&self, method: Compression) -> Bytes {
        let mut frame = vec![0; LENGTH];
        if !method.compress(&self.plain[LENGTH..], &mut frame) {
            return self.plain.clone();
        }
        let length = (frame.len() - LENGTH) as u32;
        frame[..LENGTH].copy_from_slice(&length.to_be_bytes());
        frame.into()
    }
}

impl From<Frame> for Bytes {
    fn from(frame: Frame) -> Self {
        frame.plain
    }
}

/// A frame cut off a stream by its length and not looked into yet.
#[derive(Clone, Debug)]
pub struct RawFrame {
    /// Length header included.
    bytes: Bytes,
}

impl RawFrame {
    /// Cuts the next frame off the front of `buffer`, when all of it is there.
    ///
    /// The length is judged as soon as its four bytes are there, before anything else is
    /// buffered. Nothing is copied.
    ///
    /// # Errors
    /// A length above `limits.frame`, or too small for a digest. The stream is of no more use.
    #[inline(always)]
    pub fn split_from(buffer: &mut BytesMut, limits: &Limits) -> Result<Option<Self>, FrameError> {
        let total = announced(buffer, limits)?;
        Ok(total.map(|total| Self { bytes: buffer.split_to(total).freeze() }))
    }

    /// How many bytes the frame at the front of `buffer` takes in all, length header included, as
    /// far as its header is there. Not judged by any limit.
    #[must_use]
    pub fn announced_len(buffer: &[u8]) -> Option<usize> {
        let header = buffer.first_chunk::<LENGTH>()?;
        Some(LENGTH + u32::from_be_bytes(*header) as usize)
    }

    /// The id that its body has if the frame is plain and honest.
    ///
    /// Whoever has verified a body under this id before can drop a copy unread, without hashing.
    #[must_use]
    #[inline]
    pub fn claimed_id(&self) -> MessageId {
        let mut digest = [0; DIGEST];
        digest.copy_from_slice(&self.bytes[LENGTH..FRAME_HEAD]);
        digest.into()
    }

    /// Bytes on the wire, length header included.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.bytes.len()
    }

    /// Finds out by the digest what the frame is: plain, or compressed with one of `methods`.
    ///
    /// A plain frame is always accepted. No announcement is trusted: methods are tried by the mark
    /// at the front of their output, and only a good digest decides.
    ///
    /// # Errors
    /// No reading of the bytes has a good digest, or one expands beyond `limits.expanded`. The
    /// link is of no more use.
    // Wherever a frame is handed on, what moves it is compiled into the caller and what only looks
    // is called: moved through memory right after it was cut off, a frame delays the next one's
    // hash by a third (measured in `benches/wire.rs`, with 64 bytes of payload).
    #[inline(always)]
    pub fn verify(self, methods: &[Compression], limits: &Limits) -> Result<Frame, FrameError> {
        if self.is_plain_at_sight() {
            return Ok(Frame::trusted(self.bytes, None));
        }
        self.verify_packed(methods, limits)
    }

    /// Whether nothing marks it as compressed, and its digest is good as it stands.
    fn is_plain_at_sight(&self) -> bool {
        let data = &self.bytes[LENGTH..];
        Compression::marked_on(data).is_none() && is_good(data)
    }

    fn verify_packed(self, methods: &[Compression], limits: &Limits) -> Result<Frame, FrameError> {
        let data = &self.bytes[LENGTH..];
        let mark = Compression::marked_on(data);
        let expand = |method| match methods.contains(&method) {
            true => expand(data, method, limits),
            false => Ok(None),
        };
        let marked = mark.map_or(Ok(None), expand);
        if let Ok(Some(frame)) = marked {
            return Ok(frame);
        }
        // The mark may be a plain digest's chance beginning; a digest without one has been judged.
        if mark.is_some() && is_good(data) {
            return Ok(Frame::trusted(self.bytes, None));
        }
        let unmarked = expand(Compression::Snappy);
        if let Ok(Some(frame)) = unmarked {
            return Ok(frame);
        }
        let digest = FrameError::Digest { length: data.len() as u32 };
        Err(marked.err().or(unmarked.err()).unwrap_or(digest))
    }
}

/// Length of the frame at the front of `buffer`, header included, when all of it is there.
fn announced(buffer: &[u8], limits: &Limits) -> Result<Option<usize>, FrameError> {
    let Some(header) = buffer.first_chunk::<LENGTH>() else { return Ok(None) };
    let length = u32::from_be_bytes(*header);
    if length > limits.frame {
        return Err(FrameError::TooLong { length, limit: limits.frame });
    }
    if (length as usize) < DIGEST {
        return Err(FrameError::TooShort { length });
    }
    let total = LENGTH + length as usize;
    Ok((total <= buffer.len()).then_some(total))
}

fn expand(data: &[u8], method: Compression, limits: &Limits) -> Result<Option<Frame>, FrameError> {
    let mut plain = Vec::with_capacity(LENGTH + 2 * data.len());
    plain.put_bytes(0, LENGTH);
    if !method.expand(data, limits.expanded, &mut plain)? || !is_good(&plain[LENGTH..]) {
        return Ok(None);
    }
    let length = (plain.len() - LENGTH) as u32;
    plain[..LENGTH].copy_from_slice(&length.to_be_bytes());
    Ok(Some(Frame::trusted(plain.into(), Some(method))))
}

fn is_good(data: &[u8]) -> bool {
    data.split_first_chunk().is_some_and(|(claimed, body)| digest(body) == *claimed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{IdForm, MainFlag, Message, Value};

    fn message() -> Message {
        let payload = [Value::from(0), Value::from("x".repeat(300))];
        let limits = Limits::default();
        Message::encode(MainFlag::Broadcast, IdForm::Bin, "1", 9, &payload, &limits).unwrap()
    }

    #[test]
    fn a_length_is_judged_from_its_header_alone() {
        let limits = Limits { frame: 100, ..Limits::default() };
        let split = |header: [u8; 4]| {
            let mut buffer = BytesMut::from(&header[..]);
            RawFrame::split_from(&mut buffer, &limits).map(|raw| raw.is_some())
        };
        assert_eq!(split([0, 0, 0, 101]), Err(FrameError::TooLong { length: 101, limit: 100 }));
        assert_eq!(split([0, 0, 0, 31]), Err(FrameError::TooShort { length: 31 }));
        assert_eq!(split([0, 0, 0, 100]), Ok(false));
    }

    #[test]
    fn a_compressed_frame_of_a_method_left_out_is_refused() {
        for method in Compression::AVAILABLE.iter().copied() {
            let mut buffer = BytesMut::from(message().frame().compressed(method));
            let limits = Limits::default();
            let raw = RawFrame::split_from(&mut buffer, &limits).unwrap().unwrap();
            let others: Vec<_> =
                Compression::AVAILABLE.iter().copied().filter(|other| *other != method).collect();
            assert!(matches!(raw.clone().verify(&others, &limits), Err(FrameError::Digest { .. })));
            let frame = raw.verify(&[method], &limits).unwrap();
            assert_eq!(frame.compression(), Some(method));
            assert_eq!(frame.plain(), message().frame().plain());
        }
    }

    #[test]
    fn a_frame_that_expands_too_far_is_named_so() {
        for method in Compression::AVAILABLE.iter().copied() {
            let bytes = message().frame().compressed(method);
            let limits = Limits { expanded: 200, ..Limits::default() };
            let refused = Frame::decode(bytes, &limits).unwrap_err();
            assert_eq!(refused, FrameError::Expanded { method, limit: 200 });
        }
    }

    #[test]
    fn one_frame_is_neither_cut_nor_followed() {
        let whole = message().frame().plain().clone();
        let cut = Frame::decode(whole.slice(..whole.len() - 1), &Limits::default()).unwrap_err();
        assert_eq!(cut, FrameError::Incomplete { bytes: whole.len() - 1 });
        let mut longer = BytesMut::from(&whole[..]);
        longer.put_u8(0);
        let trailing = Frame::decode(longer.freeze(), &Limits::default()).unwrap_err();
        assert_eq!(trailing, FrameError::Trailing { bytes: 1 });
    }
}
