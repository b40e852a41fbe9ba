//! What is written into the file of a node, and what the file is for.

use rs2p_store::{Persistent, Unsaved};

use crate::event::SyncEvent;
use crate::machine::Sync;
use crate::persist::Changes;
use crate::place;

impl Persistent for Sync {
    fn change_count(&self) -> u64 {
        Self::change_count(self)
    }

    fn take_unsaved(&mut self) -> Unsaved {
        let Changes { records, memory, count } = self.take_changes();
        Unsaved { records, memory, count }
    }

    fn is_change(event: &SyncEvent) -> bool {
        matches!(event, SyncEvent::Update { .. } | SyncEvent::Delete { .. })
    }
}

/// What the file is for: the dictionary of one network, in this form. With the name of another one
/// the node would carry its keys there.
pub(crate) fn kind(network: &str) -> String {
    /// Names in full up to here; longer ones by their digest.
    const LONGEST: usize = 200;
    if network.len() <= LONGEST {
        return format!("rs2p-sync 1: {network}");
    }
    format!("rs2p-sync 1: network {:016x}", place::place(network.as_bytes()))
}
