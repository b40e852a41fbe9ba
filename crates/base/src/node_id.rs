//! Node ids: 384-bit numbers, written in base 58 (spec section 2).

use std::fmt;
use std::str::FromStr;

use rs2p_wire::base58::{self, Base58Error};
use rs2p_wire::{Value, text_bytes};
use sha2::{Digest as _, Sha384};
use thiserror::Error;

use crate::protocol::ProtocolId;

/// A node's name in its network: a number below 2^384.
///
/// Ordered as the number it is, which is what the rule for two links between the same two nodes
/// and the Chord ring go by. A node chooses its id itself and nobody verifies it.
///
/// ```
/// use rs2p_base::NodeId;
///
/// let id: NodeId = "2sei".parse()?;
/// assert_eq!(id.to_string(), "2sei");
/// assert!(id < "2sej".parse()?);
/// # Ok::<(), rs2p_base::NodeIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(
    /// Most significant word first, so that the derived order is that of the numbers.
    [u64; Self::WORDS],
);

impl NodeId {
    /// Length in bytes.
    pub const BYTES: usize = 48;
    const WORDS: usize = Self::BYTES / 8;

    /// The id with these big-endian bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        let mut id = [0; Self::WORDS];
        for (word, bytes) in id.iter_mut().zip(words) {
            *word = u64::from_be_bytes(*bytes);
        }
        Self(id)
    }

    /// Its big-endian bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (chunks, _) = bytes.as_chunks_mut::<8>();
        for (chunk, word) in chunks.iter_mut().zip(self.0) {
            *chunk = word.to_be_bytes();
        }
        bytes
    }

    /// Its words, the most significant first: for arithmetic.
    #[must_use]
    pub const fn to_words(self) -> [u64; 6] {
        self.0
    }

    /// The id with these words, the most significant first.
    #[must_use]
    pub const fn from_words(words: [u64; 6]) -> Self {
        Self(words)
    }

    /// The id that a node of the originals gives itself: the SHA-384 of its address, the id of its
    /// protocol and a salt of its own, all as text.
    ///
    /// py2p writes the address as `('127.0.0.1', 4444)`, js2p without the quotes, and both take a
    /// random UUID as salt. Since nobody verifies an id, any text that is unlikely to occur twice
    /// serves.
    #[must_use]
    pub fn derive(address: &str, protocol: &ProtocolId, salt: &str) -> Self {
        let digest = Sha384::new()
            .chain_update(address)
            .chain_update(protocol.to_string())
            .chain_update(salt)
            .finalize();
        Self::from_bytes(digest.into())
    }

    /// Its text in base 58, without taking memory.
    #[must_use]
    pub fn to_text(self) -> base58::Text {
        base58::Text::of(&self.to_bytes())
    }

    /// Reads an id off the wire: base 58 without superfluous leading zeros, so that an id has one
    /// text only.
    ///
    /// # Errors
    /// The text is not base 58, has leading zeros, or stands for a number of more than 384 bits.
    pub fn from_text(text: &[u8]) -> Result<Self, NodeIdError> {
        let id = Self::from_bytes(base58::decode(text)?);
        if text.len() > 1 && text[0] == b'1' {
            return Err(NodeIdError::LeadingZeros);
        }
        Ok(id)
    }
}

impl FromStr for NodeId {
    type Err = NodeIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_text(text.as_bytes())
    }
}

/// As text in base 58.
impl From<NodeId> for Value {
    fn from(id: NodeId) -> Self {
        id.to_text().as_str().into()
    }
}

/// Text or bytes, as [`NodeId::from_text`] reads them.
impl TryFrom<&Value> for NodeId {
    type Error = NodeIdError;

    fn try_from(value: &Value) -> Result<Self, NodeIdError> {
        Self::from_text(text_bytes(value).ok_or(NodeIdError::NotText)?)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_text().as_str())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not a node id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NodeIdError {
    /// Not a number in base 58, or one of more than 384 bits.
    #[error("not a node id: {0}")]
    Base58(#[from] Base58Error),
    /// Zeros in front would give one id many texts, and texts are what peers compare.
    #[error("not a node id: it begins with `1`, which is a leading zero")]
    LeadingZeros,
    /// Neither text nor bytes.
    #[error("not a node id: it is neither text nor bytes")]
    NotText,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_holds_an_id_as_text_or_bytes() {
        let id: NodeId = "2sei".parse().unwrap();
        assert_eq!(Value::from(id), Value::from("2sei"));
        for value in [Value::from("2sei"), Value::from(&b"2sei"[..])] {
            assert_eq!(NodeId::try_from(&value), Ok(id));
        }
        assert_eq!(NodeId::try_from(&Value::from(2)), Err(NodeIdError::NotText));
    }

    #[test]
    fn an_id_has_one_text_only() {
        assert_eq!("12sei".parse::<NodeId>(), Err(NodeIdError::LeadingZeros));
        assert_eq!("1".parse::<NodeId>(), Ok(NodeId::from_bytes([0; 48])));
    }

    #[test]
    fn the_largest_id_is_all_ones_and_one_more_is_refused() {
        let largest = NodeId::from_bytes([0xff; 48]);
        assert_eq!(largest.to_string().parse(), Ok(largest));
        let mut over = [0; 49];
        over[0] = 1;
        assert_eq!(
            base58::encode(&over).parse::<NodeId>(),
            Err(NodeIdError::Base58(Base58Error::TooLarge { width: 48 }))
        );
    }

    #[test]
    fn ids_are_ordered_as_numbers() {
        let mut small = [0; 48];
        small[47] = 0xff;
        let mut large = [0; 48];
        large[46] = 1;
        assert!(NodeId::from_bytes(small) < NodeId::from_bytes(large));
    }
}
