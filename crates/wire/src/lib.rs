//! Messages and frames of the p2p wire protocol 0.7, as py2p and js2p speak it. No I/O.
//!
//! A connection is a stream of frames, each `length (u32, big-endian) | SHA-256(body) | body`; all
//! behind the length may be compressed. The body is a MessagePack array
//! `[kind, sender, time, payload...]`, and its digest is the message's name.
//!
//! Two levels, each usable alone:
//!
//! - **Frames.** [`RawFrame::split_from`] cuts a frame off a buffer by its length,
//!   [`RawFrame::verify`] finds out by the digest what it is and yields a [`Frame`].
//! - **Messages.** [`Message::encode`] writes one, [`Message::parse`] reads a [`Frame`]'s body.
//!
//! Start with [`Message`]; with feature `codec`, `FrameCodec` does all of it for a
//! `tokio_util::codec::Framed`.
//!
//! ```
//! use bytes::BytesMut;
//! use rs2p_wire::{Compression, IdForm, Limits, MainFlag, Message, RawFrame, SubFlag, Value};
//!
//! let limits = Limits::default();
//! let payload = [SubFlag::Whisper.into(), Value::from("hello")];
//! let sent = Message::encode(MainFlag::Whisper, IdForm::Bin, "2sei", 1, &payload, &limits)?;
//!
//! let mut stream = BytesMut::from(&sent.frame().plain()[..]);
//! let raw = RawFrame::split_from(&mut stream, &limits)?.expect("all of it is there");
//! let received = Message::parse(raw.verify(Compression::AVAILABLE, &limits)?)?;
//! assert_eq!(received, sent);
//! assert_eq!(received.payload(&limits)?[1].as_str(), Some("hello"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Input from a peer costs no more than [`Limits`] allow and never panics; what is wrong with it
//! is a [`FrameError`] (the link is of no more use) or a [`MessageError`] (the frame was good, its
//! author's message is not).

pub mod base58;
#[cfg(feature = "codec")]
mod codec;
mod compression;
mod digest;
mod elements;
mod encoded;
mod error;
mod flags;
mod frame;
mod id;
mod limits;
mod message;
mod reader;
mod value;
mod writer;

#[cfg(feature = "codec")]
pub use codec::{CodecError, FrameCodec};
pub use compression::Compression;
pub use elements::{Element, Elements};
pub use encoded::Encoded;
pub use error::{EncodeError, FrameError, MessageError};
pub use flags::{MainFlag, RESERVED, SubFlag};
pub use frame::{Frame, RawFrame};
pub use id::{IdForm, MessageId};
pub use limits::Limits;
pub use message::Message;
/// A MessagePack value. `str` and `bin` stay distinct; compare keys and ids with [`text_bytes`].
pub use rmpv::Value;
pub use value::{encoded_len, read_values, text_bytes, write_values};
pub use writer::MessageWriter;
