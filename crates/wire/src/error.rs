//! What can be wrong with bytes, and who is to blame.

use thiserror::Error;

use crate::compression::Compression;

/// Why a stream of frames cannot go on. The peer is to blame, and its link is of no more use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Told by the header alone, before anything is buffered.
    #[error("a frame of {length} bytes is announced, over the limit of {limit}")]
    TooLong {
        /// Length from the header.
        length: u32,
        /// The limit, in bytes.
        limit: u32,
    },
    /// There is no room for a digest.
    #[error("a frame of {length} bytes is announced; a digest alone takes 32")]
    TooShort {
        /// Length from the header.
        length: u32,
    },
    /// Neither as it stands nor expanded does the frame hash to its digest.
    #[error("no reading of the frame's {length} bytes matches its SHA-256 digest")]
    Digest {
        /// Length from the header.
        length: u32,
    },
    /// Expanding was broken off.
    #[error("a frame expands by {method} to more than the limit of {limit} bytes")]
    Expanded {
        /// The method by which it expands.
        method: Compression,
        /// The limit, in bytes.
        limit: u32,
    },
    /// A single frame was asked for.
    #[error("the frame is cut short after {bytes} bytes")]
    Incomplete {
        /// Bytes there are.
        bytes: usize,
    },
    /// A single frame was asked for.
    #[error("{bytes} bytes follow the frame")]
    Trailing {
        /// Bytes left over.
        bytes: usize,
    },
}

/// Why a message cannot be written. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The frame would be longer than the limit: send less at a time, or raise the limit on
    /// every node.
    #[error("the message takes {length} bytes, over the frame limit of {limit}")]
    TooLong {
        /// Length of the frame behind its length header.
        length: usize,
        /// The limit, in bytes.
        limit: u32,
    },
    /// A value is nested deeper than the limit: flatten it.
    #[error("a value is nested deeper than the limit of {limit} levels")]
    TooDeep {
        /// The limit, in levels.
        limit: u16,
    },
}

/// Why the body of a good frame is not a message: its author's fault, or that of whoever forged
/// it. `at` is an offset into the body.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The body is not an array.
    #[error("the body does not begin with a MessagePack array")]
    NotAnArray,
    /// Kind, sender and time make three elements.
    #[error("the body has {elements} elements; a message has 3 at least")]
    TooShort {
        /// Elements there are.
        elements: u32,
    },
    /// The message type is not a whole number.
    #[error("the message type at byte {at} is not a whole number from 0 on")]
    Kind {
        /// Where it stands.
        at: usize,
    },
    /// The sender is neither text nor binary.
    #[error("the sender at byte {at} is neither text nor binary")]
    Sender {
        /// Where it stands.
        at: usize,
    },
    /// The time is not a whole number of seconds.
    #[error("the time at byte {at} is not a whole number of seconds from 0 on")]
    Time {
        /// Where it stands.
        at: usize,
    },
    /// The body ends within a value.
    #[error("the body ends at byte {at}, {missing} bytes short")]
    Truncated {
        /// Where the value's missing part begins.
        at: usize,
        /// How much is missing at least, in bytes.
        missing: usize,
    },
    /// 0xc1 begins no value.
    #[error("byte {at} is 0xc1, which begins no MessagePack value")]
    ReservedMarker {
        /// Where it stands.
        at: usize,
    },
    /// A text that is none.
    #[error("the text at byte {at} is not UTF-8")]
    InvalidUtf8 {
        /// Where the text begins.
        at: usize,
    },
    /// A map has a key twice. Only some nodes can read that, so it is not passed on.
    #[error("the map key at byte {at} has come before")]
    RepeatedKey {
        /// Where the second one begins.
        at: usize,
    },
    /// A map has an array or a map for a key. Only some nodes can read that.
    #[error("the map key at byte {at} is an array or a map")]
    KeyType {
        /// Where it begins.
        at: usize,
    },
    /// A timestamp is not of 4, 8 or 12 bytes, or not in the years 1 to 9999. Only some nodes can
    /// read that.
    #[error("the timestamp at byte {at} is not of 4, 8 or 12 bytes, or not in the years 1 to 9999")]
    Timestamp {
        /// Where it begins.
        at: usize,
    },
    /// Arrays or maps within arrays or maps, beyond the limit.
    #[error("byte {at} is nested deeper than the limit of {limit} levels")]
    TooDeep {
        /// Where the level too many begins.
        at: usize,
        /// The limit, in levels.
        limit: u16,
    },
    /// A value that stands alone has something behind it.
    #[error("{bytes} bytes stand behind the value, which ends at byte {at}")]
    Trailing {
        /// Where the value ends.
        at: usize,
        /// How much stands behind it.
        bytes: usize,
    },
    /// More values than the limit.
    #[error("the array or map at byte {at} brings the message over the limit of {limit} values")]
    TooManyItems {
        /// Where the array or map begins.
        at: usize,
        /// The limit, in values.
        limit: u32,
    },
}
