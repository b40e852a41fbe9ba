//! What is written into the file of a node, and what the file is for.

use bytes::Bytes;
use rs2p_store::{Changes, Persistent, Store, StoreError, Unsaved};
use sha2::{Digest as _, Sha256};

use crate::event::ChordEvent;
use crate::machine::Chord;
use crate::persist::Storage;

impl Persistent for Chord {
    fn change_count(&self) -> u64 {
        Self::change_count(self)
    }

    fn take_unsaved(&mut self) -> Unsaved {
        let count = Self::change_count(self);
        Unsaved { records: self.take_changes(), memory: Vec::new(), count }
    }

    fn is_change(event: &ChordEvent) -> bool {
        matches!(event, ChordEvent::Written { .. } | ChordEvent::Left { .. })
    }
}

impl Storage for Store {
    type Error = StoreError;

    fn records(&self) -> Result<Vec<(Bytes, Vec<u8>)>, StoreError> {
        let mut records = Vec::new();
        self.entries(|spot, record| {
            records.push((Bytes::copy_from_slice(spot), record.to_vec()));
        })?;
        Ok(records)
    }

    fn write(&mut self, changes: Vec<(Bytes, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        let mut all = Changes::new();
        for (spot, record) in changes {
            match record {
                Some(record) => all.put(spot, record),
                None => all.remove(spot),
            };
        }
        Self::write(self, &all)
    }
}

/// What the file is for: the records of one network, in this form.
pub(crate) fn kind(network: &str) -> String {
    /// Names in full up to here; longer ones by their digest.
    const LONGEST: usize = 200;
    if network.len() <= LONGEST {
        return format!("rs2p-chord 1: {network}");
    }
    let digest: String =
        Sha256::digest(network).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("rs2p-chord 1: network {digest}")
}
