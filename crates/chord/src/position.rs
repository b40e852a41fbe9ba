//! Positions: where a key lies on the ring (spec section 10.1).
//!
//! A key has five, one for each of five hashes, and its value is kept at all of them: a reader
//! believes what three of them say.

use std::fmt;

use rs2p_base::NodeId;
use rs2p_wire::base58::{self, Base58Error};
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

/// One of the five tables, each with a hash of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// SHA-1.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Table {
    /// All of them, in the order of the originals.
    pub const ALL: [Self; 5] = [Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha224 => "sha224",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// Its number between rs2p nodes.
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// The table of this name, as text or bytes.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name().as_bytes() == name)
    }

    /// Where a key lies in this table.
    #[must_use]
    pub fn position(self, key: &[u8]) -> Position {
        match self {
            Self::Sha1 => Position::of_digest(&Sha1::digest(key)),
            Self::Sha224 => Position::of_digest(&Sha224::digest(key)),
            Self::Sha256 => Position::of_digest(&Sha256::digest(key)),
            Self::Sha384 => Position::of_digest(&Sha384::digest(key)),
            Self::Sha512 => Position::of_digest(&Sha512::digest(key)),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Where a key lies in a table: a number below 2^512. Shorter digests are shifted up to 384 bits;
/// that of SHA-512 keeps its 512 bits, of which the ring sees the lower 384.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position([u8; Self::BYTES]);

impl Position {
    const BYTES: usize = 64;

    /// The number on the wire, in base 58.
    ///
    /// # Errors
    /// The text is not base 58, or stands for a number of more than 512 bits.
    pub fn from_text(text: &[u8]) -> Result<Self, Base58Error> {
        Ok(Self(base58::decode(text)?))
    }

    /// The point of the ring at which it lies.
    #[must_use]
    pub fn point(self) -> NodeId {
        let mut bytes = [0; NodeId::BYTES];
        bytes.copy_from_slice(&self.0[Self::BYTES - NodeId::BYTES..]);
        NodeId::from_bytes(bytes)
    }

    pub(crate) fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        self.0
    }

    /// What the ring does not see of it: not zero for SHA-512 only.
    pub(crate) fn high(self) -> u128 {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.0[..16]);
        u128::from_be_bytes(bytes)
    }

    pub(crate) fn of_parts(high: u128, point: NodeId) -> Self {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&high.to_be_bytes());
        bytes[16..].copy_from_slice(&point.to_bytes());
        Self(bytes)
    }

    fn of_digest(digest: &[u8]) -> Self {
        let mut bytes = [0; Self::BYTES];
        let from = if digest.len() > NodeId::BYTES { 0 } else { Self::BYTES - NodeId::BYTES };
        bytes[from..from + digest.len()].copy_from_slice(digest);
        Self(bytes)
    }
}

impl fmt::Display for Position {
    /// In base 58, as on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base58::encode(&self.0))
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How far it is from one point of the ring to another, going round clockwise.
#[must_use]
pub fn distance(from: NodeId, to: NodeId) -> NodeId {
    let (from, mut to) = (from.to_words(), to.to_words());
    let mut borrow = false;
    for (word, taken) in to.iter_mut().zip(from).rev() {
        let (rest, first) = word.overflowing_sub(taken);
        let (rest, second) = rest.overflowing_sub(u64::from(borrow));
        (*word, borrow) = (rest, first || second);
    }
    NodeId::from_words(to)
}
