//! Where values really are.

use std::collections::BTreeMap;
use std::time::Duration;

use rs2p_bytestag::ValueId;
use rs2p_simnet::{NodeIndex, World};

use super::crowd::Crowd;
use super::node::Node;
use super::truth::Truth;

/// Where the values are that must be there, and whether any is that must be gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Copies {
    /// Values that must be there.
    pub(super) standing: usize,
    /// Of those, the ones that no honest node has.
    pub(super) lost: usize,
    /// Honest nodes that have such a value: on average, and at the least.
    pub(super) mean: f64,
    pub(super) least: usize,
    /// Values that must be gone.
    pub(super) expired: usize,
    /// A node that has one of them nevertheless.
    pub(super) stale: Option<(NodeIndex, ValueId)>,
}

/// Looks at what all nodes that count have.
pub(super) fn count(world: &World<Node>, truth: &Truth, lives: Duration) -> Copies {
    let now = world.sim.elapsed_micros();
    let mut held: BTreeMap<ValueId, (usize, NodeIndex)> = BTreeMap::new();
    for node in world.counting() {
        let Some(dht) = world.machine(node).and_then(Node::dht) else { continue };
        for id in dht.values() {
            held.entry(id).or_insert((0, node)).0 += 1;
        }
    }
    let mut copies = Copies { least: usize::MAX, ..Copies::default() };
    for value in truth.standing(now, lives) {
        let count = held.get(&value.id).map_or(0, |(count, _)| *count);
        copies.standing += 1;
        copies.lost += usize::from(count == 0);
        copies.mean += count as f64;
        copies.least = copies.least.min(count);
    }
    copies.mean /= copies.standing.max(1) as f64;
    for value in truth.expired(now, lives) {
        copies.expired += 1;
        let holder = held.get(&value.id).map(|(_, node)| (*node, value.id));
        copies.stale = copies.stale.or(holder);
    }
    copies
}

/// The mean share of the nodes nearest to a value, among those that have been there since then,
/// that have it.
pub(super) fn placed(
    world: &World<Node>,
    (truth, crowd): (&Truth, &Crowd),
    (lives, at): (Duration, u64),
    wanted: usize,
) -> Option<f64> {
    let now = world.sim.elapsed_micros();
    let (mut sum, mut values) = (0.0, 0);
    for value in truth.standing(now, lives) {
        let nearest = crowd.nearest(world, (&value.id.key, None), at, wanted);
        let nodes = nearest.iter().filter_map(|id| crowd.node(id));
        let honest: Vec<_> = nodes.filter(|node| world.counts(*node)).collect();
        let has = |node: &&NodeIndex| {
            let dht = world.machine(**node).and_then(Node::dht);
            dht.is_some_and(|dht| dht.has(&value.id))
        };
        sum += honest.iter().filter(has).count() as f64 / honest.len().max(1) as f64;
        values += 1;
    }
    (values > 0).then(|| sum / f64::from(values))
}
