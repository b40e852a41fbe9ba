//! Names: of messages, and how nodes write theirs.

use std::cmp::Ordering;
use std::fmt;

use rmpv::Value;

use crate::digest::DIGEST;

/// SHA-256 of a message's encoded body: the name under which nodes recognise a broadcast.
///
/// Ordered as the bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId([u8; DIGEST]);

impl MessageId {
    /// The 32 bytes of the digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; DIGEST] {
        &self.0
    }
}

impl From<[u8; DIGEST]> for MessageId {
    fn from(digest: [u8; DIGEST]) -> Self {
        Self(digest)
    }
}

/// By words, as every frame received is looked up among those seen: a call that compares bytes
/// costs more than the rest of the search.
impl Ord for MessageId {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let words = |id: &Self| -> [u64; DIGEST / 8] {
            std::array::from_fn(|word| {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&id.0[8 * word..8 * word + 8]);
                u64::from_be_bytes(bytes)
            })
        };
        words(self).cmp(&words(other))
    }
}

impl PartialOrd for MessageId {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a node writes ids: py2p as MessagePack binary, js2p as text (spec section 3).
///
/// Each of the two misunderstands ids in the other form, so a node answers each peer in the
/// peer's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IdForm {
    /// MessagePack `bin`, as py2p.
    Bin,
    /// MessagePack `str`, as js2p.
    Str,
}

impl IdForm {
    /// An id in this form.
    #[must_use]
    pub fn value(self, id: &str) -> Value {
        match self {
            Self::Bin => Value::Binary(id.as_bytes().to_vec()),
            Self::Str => Value::from(id),
        }
    }

    /// The form of a value that holds an id.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Binary(_) => Some(Self::Bin),
            Value::String(_) => Some(Self::Str),
            _ => None,
        }
    }
}
