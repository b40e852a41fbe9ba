//! What one transaction changes.

use thiserror::Error;

/// Changes that become durable together, or not at all. They are made in the order in which they
/// were added, so of two to the same key the later one holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    changes: Vec<Change>,
    bytes: usize,
}

impl Changes {
    /// No changes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives `key` this value, whether or not it had one.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> &mut Self {
        self.push(Change::Put { key: key.into(), value: value.into() })
    }

    /// Takes `key` out, if it is there.
    pub fn remove(&mut self, key: impl Into<Vec<u8>>) -> &mut Self {
        self.push(Change::Remove { key: key.into() })
    }

    /// Gives the named value beside the entries ([`Store::meta`](crate::Store::meta)) these bytes.
    pub fn set_meta(&mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> &mut Self {
        self.push(Change::SetMeta { name: name.into(), value: value.into() })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What they count for in the queue of a [`Writer`](crate::Writer): their keys and values, and
    /// 64 bytes for each.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter()
    }

    /// The first key or value that is too large to be stored.
    pub(crate) fn too_large(&self) -> Option<TooLarge> {
        self.changes.iter().find_map(|change| {
            let (key, value) = change.sizes();
            let key = TooLarge { what: "key", size: key, limit: MAX_KEY_BYTES };
            let value = TooLarge { what: "value", size: value, limit: MAX_VALUE_BYTES };
            [key, value].into_iter().find(|part| part.size > part.limit)
        })
    }

    fn push(&mut self, change: Change) -> &mut Self {
        let (key, value) = change.sizes();
        self.bytes = self.bytes.saturating_add(key + value + CHANGE_BYTES);
        self.changes.push(change);
        self
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Put { key: Vec<u8>, value: Vec<u8> },
    Remove { key: Vec<u8> },
    SetMeta { name: String, value: Vec<u8> },
}

impl Change {
    /// Of the key and of the value, in bytes.
    fn sizes(&self) -> (usize, usize) {
        match self {
            Self::Put { key, value } => (key.len(), value.len()),
            Self::Remove { key } => (key.len(), 0),
            Self::SetMeta { name, value } => (name.len(), value.len()),
        }
    }
}

/// A key or a value that is longer than can be stored. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a {what} of {size} bytes is over the limit of {limit}: split it")]
pub struct TooLarge {
    /// A key or a value.
    pub what: &'static str,
    /// Its size in bytes.
    pub size: usize,
    /// The largest size in bytes.
    pub limit: usize,
}

/// The longest key, and the longest name of a value beside the entries.
pub const MAX_KEY_BYTES: usize = 64 * 1024;
/// The longest value.
pub const MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;

/// What a change costs beside its bytes, so that many small ones have a bound as well.
const CHANGE_BYTES: usize = 64;
