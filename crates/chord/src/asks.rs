//! Questions of this node's own that are under way.

use std::collections::BTreeMap;
use std::time::Duration;

use rs2p_base::{RequestId, Time};
use rs2p_wire::Encoded;

use crate::old_peers::Plain;
use crate::position::Table;
use crate::record::{Spot, Version};

/// How long an answer may take; later ones are not listened to.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Questions that may be open in the place of old peers, and bytes of values in them, but for the
/// last one.
const MAX_RELAYED: usize = 16_384;
const MAX_RELAYED_BYTES: usize = 64 << 20;

/// What is under way, by number.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    last: u64,
    open: BTreeMap<u64, (Time, Ask)>,
    /// How many of them old peers have caused, and the bytes of what is to be kept.
    relayed: usize,
    bytes: usize,
}

/// What a question is for.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// A table's part in an operation.
    Table { request: RequestId, table: Table },
    /// This node's own place.
    Join,
    /// Whether there is another ring.
    Merge,
    /// The finger of this exponent.
    Finger(u16),
    /// A record that belongs to the one who is asked.
    Move { spot: Spot, version: Version },
    /// Whether a record is at another position of its key, too.
    Check { from: Spot, to: Spot, version: Version },
    /// An old peer wants a value.
    Retrieve(Plain),
    /// An old peer has a value to keep.
    Store { spot: Spot, value: Option<Encoded>, tries: u8 },
    /// An old peer has a change of a map.
    Merged,
    /// A part of the keys.
    Page { request: RequestId },
    /// Nothing follows.
    Told,
}

impl Ask {
    /// One, if it is in the place of an old peer, and the bytes of what is to be kept.
    fn relayed(&self) -> (usize, usize) {
        match self {
            Self::Retrieve(_) | Self::Merged => (1, 0),
            Self::Store { value, .. } => {
                (1, value.as_ref().map_or(0, |value| value.as_bytes().len()))
            }
            _ => (0, 0),
        }
    }
}

impl Asks {
    pub(crate) fn begin(&mut self, now: Time, ask: Ask) -> u64 {
        let number = self.number();
        let (relayed, bytes) = ask.relayed();
        (self.relayed, self.bytes) = (self.relayed + relayed, self.bytes + bytes);
        self.open.insert(number, (now, ask));
        number
    }

    /// A number that no question has.
    pub(crate) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The number of the question that begins next.
    pub(crate) fn next(&self) -> u64 {
        self.last + 1
    }

    pub(crate) fn take(&mut self, number: u64) -> Option<Ask> {
        let (_, ask) = self.open.remove(&number)?;
        let (relayed, bytes) = ask.relayed();
        (self.relayed, self.bytes) = (self.relayed - relayed, self.bytes - bytes);
        Some(ask)
    }

    /// Whether one more question of an old peer's may be asked in its place.
    pub(crate) fn may_relay(&self) -> bool {
        self.relayed < MAX_RELAYED && self.bytes < MAX_RELAYED_BYTES
    }

    pub(crate) fn is_open(&self, number: u64) -> bool {
        self.open.contains_key(&number)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Forgets those that nobody has answered.
    pub(crate) fn forget_old(&mut self, now: Time) -> Vec<Ask> {
        let mut old = Vec::new();
        // Numbers go with time.
        while let Some((number, (since, _))) = self.open.first_key_value()
            && now.since(*since) >= PATIENCE
        {
            let number = *number;
            old.extend(self.take(number));
        }
        old
    }
}
