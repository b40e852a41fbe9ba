//! What nodes really hold, and whether that is all.

use std::collections::BTreeMap;

use bytes::Bytes;
use hdrhistogram::Histogram;
use rs2p_chord::{Spot, Table, Version};
use rs2p_simnet::World;
use rs2p_wire::Encoded;

use super::node::Node;
use super::truth::{Key, Truth};

/// What is held, all in all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Verdict {
    /// Keys of which no node holds what a read would have to give.
    pub(super) lost: usize,
    /// Keys with a value that has not just been written.
    pub(super) keys: usize,
    /// How many nodes hold the latest record of a position, on average and at the least.
    pub(super) copies: f64,
    pub(super) copies_min: usize,
    /// Records of the node that has most, by the mean.
    pub(super) load_max: f64,
}

/// The latest record of a key, whoever holds it.
struct Latest {
    version: Version,
    value: Option<Encoded>,
    /// How many nodes hold it, by table.
    copies: [usize; 5],
}

/// Judges by the records of all nodes that count, and counts those of each into `load`.
pub(super) fn judge(world: &World<Node>, truth: &Truth, load: &mut Histogram<u64>) -> Verdict {
    load.reset();
    let mut latest: BTreeMap<Bytes, Latest> = BTreeMap::new();
    for node in world.counting() {
        let Some(chord) = world.machine(node).and_then(Node::chord) else { continue };
        let mut records = 0;
        for (spot, record) in chord.records() {
            records += 1;
            let Some(key) = &record.key else { continue };
            let found = latest.entry(key.clone()).or_insert_with(|| Latest {
                version: record.version,
                value: record.value.clone(),
                copies: [0; 5],
            });
            if found.version < record.version {
                (found.version, found.value) = (record.version, record.value.clone());
                found.copies = [0; 5];
            }
            if found.version == record.version {
                found.copies[place(spot)] += 1;
            }
        }
        load.saturating_record(records);
    }
    let now = world.sim.elapsed_micros();
    let mut verdict = Verdict { copies_min: usize::MAX, ..Verdict::default() };
    for key in truth.keys() {
        let found = latest.get(&key.name());
        let value = found.and_then(|found| found.value.as_ref()).map(Encoded::to_value);
        verdict.lost += usize::from(truth.judge(key, now, value.as_ref()).is_err());
    }
    let quiet = now.saturating_sub(UNDER_WAY);
    let is_quiet = |name: &Bytes| Key::of(name).is_some_and(|key| truth.is_quiet_since(key, quiet));
    let live = latest.iter().filter(|(name, it)| it.value.is_some() && is_quiet(name));
    let (mut sum, mut positions) = (0, 0);
    for (_, found) in live {
        verdict.keys += 1;
        for copies in found.copies {
            sum += copies;
            positions += 1;
            verdict.copies_min = verdict.copies_min.min(copies);
        }
    }
    verdict.copies = sum as f64 / f64::from(positions.max(1));
    verdict.load_max = load.max() as f64 / load.mean().max(1.0);
    verdict
}

/// How soon after a write its copies are counted, in microseconds: after the next comparison.
const UNDER_WAY: u64 = 45_000_000;

fn place(spot: Spot) -> usize {
    Table::ALL.iter().position(|table| *table == spot.table()).unwrap_or(0)
}
