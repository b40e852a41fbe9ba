//! Changes of maps that have been merged here: who asks again because an answer was lost does not
//! overwrite what others have changed since.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use rs2p_base::{NodeId, Time};

use crate::record::Spot;

/// What tells a change of a map from all others, however often it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    pub(crate) author: NodeId,
    /// Drawn at random.
    pub(crate) number: u64,
}

/// Those that are in the maps held now.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    merged: BTreeMap<(Spot, Change), Time>,
    oldest_first: VecDeque<(Time, Spot, Change)>,
}

/// How long a change is remembered, and how many are. Nobody asks for so long.
const AGE: Duration = Duration::from_secs(60);
const MAX: usize = 16_384;

impl Changes {
    /// Whether a change is in what is held at this spot.
    pub(crate) fn has(&self, spot: Spot, change: Change) -> bool {
        self.merged.contains_key(&(spot, change))
    }

    pub(crate) fn note(&mut self, now: Time, spot: Spot, change: Change) {
        while let Some((at, spot, change)) = self.oldest_first.front().copied()
            && (self.oldest_first.len() >= MAX || now.since(at) >= AGE)
        {
            self.oldest_first.pop_front();
            // It may have been noted again since.
            if self.merged.get(&(spot, change)) == Some(&at) {
                self.merged.remove(&(spot, change));
            }
        }
        self.merged.insert((spot, change), now);
        self.oldest_first.push_back((now, spot, change));
    }

    /// What is held at this spot now was not made of what was there before.
    pub(crate) fn forget(&mut self, spot: Spot) {
        let least = Change { author: NodeId::from_bytes([0; NodeId::BYTES]), number: 0 };
        let most = Change { author: NodeId::from_bytes([0xff; NodeId::BYTES]), number: u64::MAX };
        let all = (spot, least)..=(spot, most);
        self.merged.extract_if(all, |_, _| true).for_each(drop);
    }
}
