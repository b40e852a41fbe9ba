//! What would be on the disk of each node.

use std::collections::BTreeMap;

use bytes::Bytes;
use rs2p_sync::{RestoreError, Sync};

/// What a node has written down.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    records: BTreeMap<Bytes, Vec<u8>>,
    memory: Option<Vec<u8>>,
}

impl Disk {
    /// Writes down what has changed.
    pub(super) fn write(&mut self, sync: &mut Sync) {
        let changes = sync.take_changes();
        for (key, record) in changes.records {
            match record {
                Some(record) => self.records.insert(key, record),
                None => self.records.remove(&key),
            };
        }
        self.memory = Some(changes.memory);
    }

    /// Gives a node back what was written down.
    pub(super) fn restore(&self, sync: &mut Sync) -> Result<(), RestoreError> {
        let records = self.records.iter().map(|(key, record)| (key.clone(), record.clone()));
        sync.restore(self.memory.as_deref(), records)
    }

    /// All keys of which something is known, and what.
    pub(super) fn records(&self) -> impl Iterator<Item = (&Bytes, &Vec<u8>)> {
        self.records.iter()
    }
}
