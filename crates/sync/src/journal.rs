//! What has changed and is not on the disk yet.

use std::collections::BTreeSet;

use bytes::Bytes;

/// Keys whose records are to be written down. There are never more than the table has, or has had
/// since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    is_kept: bool,
    keys: BTreeSet<Bytes>,
    /// How many changes have been noted so far.
    noted: u64,
}

impl Journal {
    pub(crate) fn keep(&mut self) {
        self.is_kept = true;
    }

    pub(crate) fn note(&mut self, key: &Bytes) {
        if self.is_kept {
            self.keys.insert(key.clone());
            self.noted += 1;
        }
    }

    pub(crate) fn noted(&self) -> u64 {
        self.noted
    }

    pub(crate) fn take(&mut self) -> BTreeSet<Bytes> {
        std::mem::take(&mut self.keys)
    }
}
