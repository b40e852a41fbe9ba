//! Whether nodes agree in the end, and on something that may stand.

use std::collections::{BTreeMap, BTreeSet};

use rs2p_simnet::{NodeIndex, World};
use rs2p_sync::Sync;

use super::replicas::{Held, Replicas};
use super::truth::{Key, Record, Truth, WriteId, bits};

/// What became of all writes, by the nodes that count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Verdict {
    /// The share of the nodes that hold what most of them hold, to the last byte.
    pub(super) agree: f64,
    /// Keys with a value at the first node.
    pub(super) keys: usize,
    /// Keys with a value that somebody had deleted, who had seen it.
    pub(super) resurrected: usize,
    /// Keys with a value that somebody had replaced, who had seen it.
    pub(super) reverted: usize,
    /// Keys without a value that nobody has deleted last.
    pub(super) lost: usize,
    /// Acknowledged writes that nobody has followed, and that another one won against.
    pub(super) conflicts: usize,
    /// How far apart such two writes were at the most, in seconds.
    pub(super) conflict_s: f64,
    /// Keys of which a node holds something else than it has told.
    pub(super) untold: usize,
}

pub(super) fn judge(world: &World<Sync>, truth: &mut Truth, replicas: &Replicas) -> Verdict {
    let nodes: Vec<NodeIndex> = world.counting().collect();
    let counting = bits(nodes.iter().copied());
    let mut verdict = Verdict::default();
    let mut all: BTreeMap<NodeIndex, Vec<(Key, Vec<u8>)>> = BTreeMap::new();
    for key in 0..truth.keys() {
        let name = Truth::name(key);
        let mut held: BTreeSet<Option<WriteId>> = BTreeSet::new();
        let mut is_untold = false;
        for node in &nodes {
            let Some(sync) = world.machine(*node) else { continue };
            let told = replicas.held(*node, key);
            let is_live = sync.contains(&name);
            is_untold |= told.is_live != is_live;
            // Nobody is told of deletions of what they did not hold.
            let silent = sync.record(&name).filter(|_| !is_live);
            let silent = silent.as_deref().and_then(Record::read);
            if let Some(deletion) = silent.and_then(|record| truth.identify(key, &record)) {
                truth.learn(deletion, *node);
            }
            if is_live {
                all.entry(*node).or_default().extend(sync.record(&name).map(|it| (key, it)));
            }
            held.insert(told.last.filter(|_| is_live));
        }
        verdict.untold += usize::from(is_untold);
        for held in held {
            verdict.look_at(truth, &counting, key, held);
        }
    }
    let mut alike: BTreeMap<&[(Key, Vec<u8>)], usize> = BTreeMap::new();
    for node in &nodes {
        *alike.entry(all.get(node).map_or(&[], Vec::as_slice)).or_default() += 1;
    }
    let most = alike.values().max().copied().unwrap_or(0);
    verdict.agree = most as f64 / nodes.len().max(1) as f64;
    verdict.keys = nodes.first().and_then(|first| world.machine(*first)).map_or(0, Sync::len);
    verdict
}

impl Verdict {
    /// What nodes hold of a key: a write, or nothing at all.
    fn look_at(&mut self, truth: &Truth, counting: &[u64], key: Key, held: Option<WriteId>) {
        let writes = truth.of_key(key);
        let known = |id: &&WriteId| truth.is_known(**id, counting);
        let is_followed =
            |id: &WriteId| writes.iter().filter(known).any(|later| truth.is_after(*later, *id));
        let Some(held) = held else {
            // Which deletion it was is forgotten some day.
            let mut last = writes.iter().filter(known).filter(|id| !is_followed(id)).peekable();
            let is_known = last.peek().is_some();
            self.lost += usize::from(is_known && !last.any(|id| truth.write(*id).is_deletion));
            return;
        };
        let later = writes.iter().filter(known).filter(|id| truth.is_after(**id, held));
        let mut later = later.map(|id| truth.write(*id).is_deletion).peekable();
        if later.peek().is_some() {
            if later.any(|is_deletion| is_deletion) {
                self.resurrected += 1;
            } else {
                self.reverted += 1;
            }
            return;
        }
        self.count_conflicts(truth, counting, writes, held);
    }

    /// Other writes that nobody has followed: they have lost.
    fn count_conflicts(
        &mut self,
        truth: &Truth,
        counting: &[u64],
        writes: &[WriteId],
        held: WriteId,
    ) {
        let followed: BTreeSet<WriteId> =
            writes.iter().filter_map(|id| truth.write(*id).over).collect();
        let branch: Vec<WriteId> = [held].into_iter().chain(truth.before(held)).collect();
        for id in writes {
            let is_loser = *id != held
                && !followed.contains(id)
                && !branch.contains(id)
                && truth.is_known(*id, counting);
            if !is_loser {
                continue;
            }
            self.conflicts += 1;
            let own: Vec<WriteId> = [*id].into_iter().chain(truth.before(*id)).collect();
            let at = truth.write(*id).at;
            let others = branch.iter().filter(|other| !own.contains(other));
            let apart = others.map(|other| truth.write(*other).at.abs_diff(at)).min();
            self.conflict_s = self.conflict_s.max(apart.unwrap_or(0) as f64 / 1e6);
        }
    }
}

/// The share of the nodes that hold what most of them hold, by what they have told.
pub(super) fn share_alike(world: &World<Sync>, replicas: &Replicas) -> f64 {
    let mut alike: BTreeMap<(u64, usize), usize> = BTreeMap::new();
    let mut nodes = 0;
    for node in world.counting() {
        *alike.entry(replicas.sum(node)).or_default() += 1;
        nodes += 1;
    }
    alike.values().max().copied().unwrap_or(0) as f64 / f64::from(nodes.max(1))
}

/// Whether a node may go over from one thing to another: never back to what it knows to have been
/// replaced.
pub(super) fn goes_back(truth: &Truth, before: Held, now: WriteId) -> bool {
    before.last.is_some_and(|last| truth.is_after(last, now))
}
