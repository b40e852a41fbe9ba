//! What can go wrong for a caller.

use bytes::Bytes;
use rs2p_base::Time;
use rs2p_mesh::SendError;
use thiserror::Error;

use crate::owner::Owner;

/// Why a write was refused. Nothing has changed, here or elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Somebody else has the key's lease.
    #[error("{} is leased to {owner} until {until}: wait, or ask its owner", show(.key))]
    Leased {
        /// Which key.
        key: Bytes,
        /// Who has it.
        owner: Owner,
        /// From when on others may write.
        until: Time,
    },
    /// There is no such key.
    #[error("there is no key {}", show(.key))]
    NoSuchKey {
        /// Which.
        key: Bytes,
    },
    /// A delta was to be applied to what is no map.
    #[error("the value of {} is no map, so no delta can be applied to it: set it anew", show(.key))]
    NotAMap {
        /// Which key.
        key: Bytes,
    },
    /// The key is too long.
    #[error("the key is {length} bytes long, the limit is {limit}: shorten it, or raise max_key")]
    KeyTooLong {
        /// How long it is.
        length: usize,
        /// How long it may be.
        limit: usize,
    },
    /// The value is too large.
    #[error(
        "the value takes {length} bytes, the limit is {limit}: split it, or raise max_value and, if \
         that is not it, the limit of frames on all nodes"
    )]
    ValueTooLarge {
        /// How many bytes it takes.
        length: usize,
        /// How many it may take.
        limit: usize,
    },
    /// There are as many keys as are allowed.
    #[error("there are {limit} keys already: delete some, or raise max_keys on all nodes")]
    TooManyKeys {
        /// How many there may be.
        limit: usize,
    },
    /// All keys and values together would be too large.
    #[error(
        "keys and values would take {length} bytes, the limit is {limit}: delete some, or raise \
         max_bytes on all nodes"
    )]
    Full {
        /// How many bytes they would take.
        length: usize,
        /// How many they may take.
        limit: usize,
    },
    /// What is held was written so far ahead that no write of now comes after it.
    #[error(
        "{} was last written {seconds} s ahead of the network's time: wait that long, and see that \
         clocks are set",
        show(.key)
    )]
    Ahead {
        /// Which key.
        key: Bytes,
        /// How far ahead.
        seconds: u64,
    },
    /// The write cannot be sent to the others: it is over a limit of messages, not every node could
    /// read it, or a peer has enough to read.
    #[error(transparent)]
    Send(#[from] SendError),
}

/// A key as a user reads it.
fn show(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) => format!("{text:?}"),
        Err(_) => key.iter().fold("hex:".to_owned(), |text, byte| format!("{text}{byte:02x}")),
    }
}
