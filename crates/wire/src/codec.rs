//! Frames over `tokio_util::codec`.

use std::io;

use bytes::BytesMut;
use thiserror::Error;
use tokio_util::codec::{Decoder, Encoder};

use crate::compression::Compression;
use crate::error::{FrameError, MessageError};
use crate::frame::RawFrame;
use crate::limits::Limits;
use crate::message::Message;

/// Messages on a byte stream: a [`Decoder`] and [`Encoder`] for `tokio_util::codec::Framed`.
///
/// ```
/// use rs2p_wire::{FrameCodec, IdForm, Limits, MainFlag, Message};
/// use tokio_util::codec::{Decoder as _, Encoder as _};
///
/// let limits = Limits::default();
/// let message = Message::encode(MainFlag::Whisper, IdForm::Str, "2sei", 1, &[], &limits)?;
/// let mut codec = FrameCodec::new(limits);
/// let mut stream = bytes::BytesMut::new();
/// codec.encode(&message, &mut stream)?;
/// assert_eq!(codec.decode(&mut stream)?, Some(Ok(message)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FrameCodec {
    limits: Limits,
    send_with: Option<Compression>,
}

impl FrameCodec {
    /// A codec that reads plain frames and all compression methods of this build, and sends plain
    /// ones.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, send_with: None }
    }

    /// Compresses what is sent from now on. Handshakes must go out plain.
    pub fn send_with(&mut self, method: Option<Compression>) {
        self.send_with = method;
    }
}

impl Decoder for FrameCodec {
    /// A good frame whose body is no message is an item, not an error: the stream goes on.
    type Item = Result<Message, MessageError>;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Self::Item>, CodecError> {
        let Some(raw) = RawFrame::split_from(src, &self.limits)? else { return Ok(None) };
        let frame = raw.verify(Compression::AVAILABLE, &self.limits)?;
        Ok(Some(Message::parse(frame)))
    }
}

impl Encoder<&Message> for FrameCodec {
    type Error = CodecError;

    fn encode(&mut self, message: &Message, dst: &mut BytesMut) -> Result<(), CodecError> {
        match self.send_with {
            Some(method) => dst.extend_from_slice(&message.frame().compressed(method)),
            None => dst.extend_from_slice(message.frame().plain()),
        }
        Ok(())
    }
}

/// Why a stream of messages ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The peer broke the protocol.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The stream failed, or ended within a frame.
    #[error(transparent)]
    Io(#[from] io::Error),
}
