//! Who takes itself for the holder of a lease.

use std::collections::{BTreeMap, BTreeSet};

use rs2p_simnet::{Broken, NodeIndex, World};
use rs2p_sync::Sync;

use super::truth::{Key, Truth};

/// Nodes that hold values of their own, by key, and since when two of them have been at odds.
#[derive(Debug, Default)]
pub(super) struct Leases {
    holders: BTreeMap<Key, BTreeSet<NodeIndex>>,
    /// Keys with several.
    contested: BTreeSet<Key>,
    at_odds: BTreeMap<(Key, NodeIndex, NodeIndex), u64>,
}

impl Leases {
    /// A node holds a value of its own under this key, or not.
    pub(super) fn set(&mut self, node: NodeIndex, key: Key, holds: bool) {
        let holders = self.holders.entry(key).or_default();
        if holds {
            holders.insert(node)
        } else {
            holders.remove(&node)
        };
        if holders.len() > 1 {
            self.contested.insert(key);
        } else {
            self.contested.remove(&key);
        }
    }

    /// A node has lost its memory.
    pub(super) fn clear(&mut self, node: NodeIndex) {
        let held: Vec<Key> = self.holders.keys().copied().collect();
        held.into_iter().for_each(|key| self.set(node, key, false));
    }

    /// Two nodes that hear each other must not both take themselves for the holder of a valid lease
    /// for longer than `settle` microseconds.
    pub(super) fn check(&mut self, world: &World<Sync>, settle: u64) -> Result<(), Broken> {
        if self.contested.is_empty() {
            self.at_odds.clear();
            return Ok(());
        }
        let now = world.sim.elapsed_micros();
        let parts = world.sim.components();
        let mut at_odds = BTreeMap::new();
        for key in &self.contested {
            let holders = self.holders[key].iter().copied();
            let valid = |node: &NodeIndex| {
                world.is_steady_since(*node, u64::MAX) && is_valid(world, *node, *key)
            };
            let holders: Vec<NodeIndex> = holders.filter(valid).collect();
            for (place, one) in holders.iter().enumerate() {
                for two in &holders[place + 1..] {
                    if parts[one.0 as usize] != parts[two.0 as usize] {
                        continue;
                    }
                    let pair = (*key, *one, *two);
                    // From the last disturbance on.
                    let since = self.at_odds.get(&pair).copied().filter(|since| {
                        world.is_steady_since(*one, *since) && world.is_steady_since(*two, *since)
                    });
                    at_odds.insert(pair, since.unwrap_or(now));
                }
            }
        }
        self.at_odds = at_odds;
        let longest = self.at_odds.iter().min_by_key(|(_, since)| **since);
        if let Some(((key, one, two), since)) = longest
            && now - since > settle
        {
            let seconds = (now - since) as f64 / 1e6;
            let now = world.sim.now().as_secs();
            let written = |node: &NodeIndex| {
                let entry = world.machine(*node)?.entry(Truth::name(*key))?;
                Some(entry.meta.timestamp as i64 - now as i64)
            };
            let (first, second) = (written(one).unwrap_or(0), written(two).unwrap_or(0));
            let seen = format!(
                "it and {two} have both had the lease of key {key} for {seconds} s, and hear each \
                 other; written at {first} s and {second} s from now"
            );
            return Err(Broken::at(*one, seen));
        }
        Ok(())
    }
}

/// Whether a node takes itself for the holder of a lease that has not ended.
fn is_valid(world: &World<Sync>, node: NodeIndex, key: Key) -> bool {
    let Some(sync) = world.machine(node) else { return false };
    let Some(entry) = sync.entry(Truth::name(key)) else { return false };
    let is_own = entry.meta.owner.node_id() == Some(sync.id());
    is_own && entry.meta.lease_end.is_some_and(|end| end > world.sim.now())
}
