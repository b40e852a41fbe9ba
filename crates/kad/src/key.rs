//! Keys and the distance between them.

use std::array;
use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt as _};
use thiserror::Error;

use crate::text;

/// The name of a node or of a value: `N` bytes, 20 unless told otherwise, read as one big-endian
/// number.
///
/// Keys are as far apart as the number that their exclusive or makes (Maymounkov and Mazières,
/// "Kademlia", 2002, section 2.1): [`distance`](Self::distance).
///
/// As text a key is written in lower-case hexadecimal. It is read from hexadecimal in any case,
/// else from base32 (RFC 4648, any case), else from base64 (standard alphabet): the first of the
/// three whose decoder takes the text decides, and the length must then fit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key<const N: usize = 20>([u8; N]);

impl<const N: usize> Key<N> {
    /// The length of a key in bits, which is the number of buckets of a table as well.
    pub const BITS: u32 = 8 * N as u32;

    /// The key of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// A key drawn at random.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = [0; N];
        rng.fill(&mut bytes[..]);
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }

    /// How far another key is: zero from itself, the same in both directions, and no two keys are
    /// equally far from a third.
    #[must_use]
    pub fn distance(&self, other: &Self) -> Distance<N> {
        Distance(array::from_fn(|i| self.0[i] ^ other.0[i]))
    }

    /// How many of the first bits both keys have in common; this is the number of the bucket in
    /// which either keeps the other. [`BITS`](Self::BITS) for the same key, which has no bucket.
    #[must_use]
    pub fn common_prefix(&self, other: &Self) -> u32 {
        self.distance(other).leading_zeros()
    }

    /// A random key that shares exactly the first `bucket` bits with this one, for the refresh of
    /// that bucket. Nothing beyond the last bucket, [`BITS`](Self::BITS) - 1.
    pub fn random_in_bucket(&self, bucket: u32, rng: &mut impl Rng) -> Option<Self> {
        if bucket >= Self::BITS {
            return None;
        }
        let Self(mut bytes) = Self::random(rng);
        let (whole, bit) = ((bucket / 8) as usize, bucket % 8);
        bytes[..whole].copy_from_slice(&self.0[..whole]);
        let kept = !(0xff_u8 >> bit);
        let flipped = 0x80_u8 >> bit;
        let own = self.0[whole];
        bytes[whole] = (own & kept) | (!own & flipped) | (bytes[whole] & !(kept | flipped));
        Some(Self(bytes))
    }

    /// The text form of the Bytestag wire: base64 in the standard alphabet, padded.
    #[must_use]
    pub fn to_base64(&self) -> String {
        text::base64(&self.0)
    }

    /// Base32 (RFC 4648) in upper case, padded; magnet links carry it.
    #[must_use]
    pub fn to_base32(&self) -> String {
        text::base32(&self.0)
    }
}

impl<const N: usize> From<[u8; N]> for Key<N> {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes)
    }
}

impl<const N: usize> TryFrom<&[u8]> for Key<N> {
    type Error = KeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, KeyError> {
        let wrong = |_| KeyError::Length { found: bytes.len(), expected: N };
        bytes.try_into().map(Self).map_err(wrong)
    }
}

impl<const N: usize> FromStr for Key<N> {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = text::decode(text).ok_or(KeyError::NotAKey)?;
        Self::try_from(&bytes[..])
    }
}

impl<const N: usize> fmt::Display for Key<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> fmt::Debug for Key<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// Why a text or some bytes are no [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No decoder takes the text.
    #[error("not a key: neither hexadecimal, nor base32, nor padded base64")]
    NotAKey,
    /// It decodes to another number of bytes.
    #[error("a key of {found} bytes, where {expected} are due")]
    Length {
        /// Bytes that came out.
        found: usize,
        /// Bytes of a key.
        expected: usize,
    },
}

/// The distance between two keys, as a number. Distances compare; nothing else is done with them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Distance<const N: usize = 20>([u8; N]);

impl<const N: usize> Distance<N> {
    /// Its bytes, the most significant first.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }

    /// The number of zero bits before the first one.
    #[must_use]
    pub fn leading_zeros(&self) -> u32 {
        let whole = self.0.iter().take_while(|byte| **byte == 0).count();
        let rest = self.0.get(whole).map_or(0, |byte| byte.leading_zeros());
        8 * whole as u32 + rest
    }

    /// Eight bytes from that on in which this bit is, as a number; behind the end there are zeros.
    pub(crate) fn word(&self, bit: u32) -> u64 {
        let rest = self.0.get((bit / 8) as usize..).unwrap_or_default();
        if let Some(word) = rest.first_chunk() {
            return u64::from_be_bytes(*word);
        }
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        u64::from_be_bytes(word)
    }

    /// The first bit that is set, of this one and those after it.
    pub(crate) fn next_one(&self, bit: u32) -> Option<u32> {
        let mut at = (bit / 8) as usize;
        let mut ones = *self.0.get(at)? & (0xff >> (bit % 8));
        while ones == 0 {
            at += 1;
            ones = *self.0.get(at)?;
        }
        Some(8 * at as u32 + ones.leading_zeros())
    }

    /// The last bit that is not set, of those before this one.
    pub(crate) fn last_zero(&self, bit: u32) -> Option<u32> {
        let last = bit.checked_sub(1)?;
        let mut at = (last / 8) as usize;
        let mut zeros = !*self.0.get(at)? & (0xff << (7 - last % 8));
        while zeros == 0 {
            at = at.checked_sub(1)?;
            zeros = !self.0[at];
        }
        Some(8 * at as u32 + 7 - zeros.trailing_zeros())
    }
}

impl<const N: usize> fmt::Debug for Distance<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Distance({})", Key(self.0))
    }
}
