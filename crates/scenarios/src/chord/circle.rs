//! The ring as it really is, judged by the invariant of P. Zave ("Reasoning about identifier
//! spaces: how to make Chord correct", 2017).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::NodeId;
use rs2p_chord::{Ring, between};
use rs2p_simnet::{Broken, NodeIndex, World};

use super::node::Node;

/// The members, and those of them that show that the ring is safe.
#[derive(Debug, Default)]
pub(super) struct Circle {
    members: BTreeMap<NodeId, NodeIndex>,
    /// Some members that nobody's list skips, and since when that is known.
    witnesses: BTreeMap<NodeId, u64>,
    /// Whether there were as many of them as it takes, before a list was another one.
    is_born: bool,
    /// Whether anything has changed since all was looked at.
    is_changed: bool,
    /// A digest of who was up then, for which time.
    lives: u64,
}

/// Witnesses to look for, by the length of the successor list: more than are needed, for some die.
const SPARE: usize = 4;

/// After how long nobody has a list under way any more that skips a member which nobody skips, in
/// microseconds: who joins, or asks, takes over a list of some seconds ago.
const SURE: u64 = 10_000_000;

impl Circle {
    /// The member that a point belongs to.
    pub(super) fn owner(&self, world: &World<Node>, point: NodeId) -> Option<NodeId> {
        let before = self.members.range(..=point).rev();
        let mut going_round = before.chain(self.members.iter().rev());
        going_round.find(|(id, node)| is_member(world, **node, **id)).map(|(id, _)| *id)
    }

    /// Some of the members, drawn by chance.
    pub(super) fn some(&self, rng: &mut Xoshiro256PlusPlus, count: usize) -> Vec<NodeIndex> {
        let draw = |_| {
            let at = rng.random_range(0..self.members.len().max(1));
            self.members.values().nth(at).copied()
        };
        (0..count).filter_map(draw).collect()
    }

    /// Whether a node is a member of the ring, not one of a ring of its own.
    pub(super) fn contains(&self, id: NodeId) -> bool {
        self.members.contains_key(&id)
    }

    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// A node's neighbours in the ring are others than before. With `length` given it must not harm
    /// the ring.
    pub(super) fn on_changed(
        &mut self,
        world: &World<Node>,
        node: NodeIndex,
        length: Option<usize>,
    ) -> Result<(), Broken> {
        self.is_changed = true;
        let Some(chord) = world.machine(node).and_then(Node::chord) else { return Ok(()) };
        let Some(ring) = chord.ring() else {
            self.members.remove(&chord.id());
            return Ok(());
        };
        // Who reaches nobody is a ring of its own, until it does.
        let was_member = self.members.contains_key(&ring.me());
        if ring.successors().is_empty() && !was_member && !self.members.is_empty() {
            return Ok(());
        }
        self.members.insert(ring.me(), node);
        let Some(length) = length else { return Ok(()) };
        self.has_live_successor(world, node, ring)?;
        self.is_born = self.sure_witnesses(world) > length;
        for (a, b) in gaps(ring) {
            let skipped: Vec<NodeId> = strictly_between(&self.witnesses, a, b);
            skipped.iter().for_each(|skipped| {
                self.witnesses.remove(skipped);
            });
        }
        self.has_principals(world, length)
    }

    /// Looks at all, if anything has changed.
    pub(super) fn look(&mut self, world: &World<Node>, length: usize) -> Result<(), Broken> {
        let lives = world.sim.nodes().fold(0_u64, |sum, node| {
            let life = 2 * world.sim.lives(node) + u64::from(world.sim.is_up(node));
            sum.wrapping_mul(31).wrapping_add(life)
        });
        if !self.is_changed && lives == self.lives {
            return Ok(());
        }
        self.lives = lives;
        self.members.retain(|id, node| is_member(world, *node, *id));
        let mut next = BTreeMap::new();
        for (id, node) in &self.members {
            let Some(ring) = ring_of(world, *node) else { continue };
            next.insert(*id, self.has_live_successor(world, *node, ring)?.unwrap_or(*id));
        }
        self.is_one_ring(&next)?;
        if self.sure_witnesses(world) < 2 * (length + 1) {
            self.find_witnesses(world, SPARE * (length + 1));
        }
        self.is_changed = false;
        Ok(())
    }

    /// The next member by a member's list, which has to have one unless there is no other.
    fn has_live_successor(
        &self,
        world: &World<Node>,
        node: NodeIndex,
        ring: &Ring<NodeId>,
    ) -> Result<Option<NodeId>, Broken> {
        let is_live =
            |id: &&NodeId| self.members.get(id).is_some_and(|node| is_member(world, *node, **id));
        if let Some(next) = ring.successors().iter().find(is_live) {
            return Ok(Some(*next));
        }
        let is_other =
            |(id, node): (&NodeId, &NodeIndex)| *id != ring.me() && is_member(world, *node, *id);
        if !self.members.iter().any(is_other) {
            return Ok(None);
        }
        let seen = format!(
            "none of the {} members on its list is there any more, and others are",
            ring.successors().len()
        );
        Err(Broken::at(node, seen))
    }

    /// Going from member to next member, one comes round once, whoever one begins with.
    fn is_one_ring(&self, next: &BTreeMap<NodeId, NodeId>) -> Result<(), Broken> {
        let Some(first) = next.keys().next().copied() else { return Ok(()) };
        let mut at = first;
        for _ in 0..next.len() {
            at = next[&at];
        }
        // Now it is somewhere on a ring.
        let begin = at;
        let mut on_ring = BTreeSet::new();
        let mut rounds = 0;
        loop {
            on_ring.insert(at);
            let to = next[&at];
            rounds += usize::from(to <= at);
            at = to;
            if at == begin {
                break;
            }
        }
        if rounds != 1 {
            let seen = format!("the ring of {} members goes round {rounds} times", on_ring.len());
            return Err(Broken::at(self.members[&begin], seen));
        }
        let mut leads_there = on_ring;
        for member in next.keys() {
            let mut way = BTreeSet::new();
            let mut at = *member;
            while !leads_there.contains(&at) && way.insert(at) {
                at = next[&at];
            }
            if !leads_there.contains(&at) {
                let seen = format!("{} members are on a ring of their own", way.len());
                return Err(Broken::at(self.members[member], seen));
            }
            leads_there.extend(way);
        }
        Ok(())
    }

    /// At least one more members than a list is long are skipped by nobody's list, if that was so
    /// before the last list changed. Members that die may leave fewer of them, in a ring that is
    /// hardly larger than the list: every proof assumes that they do not.
    fn has_principals(&mut self, world: &World<Node>, length: usize) -> Result<(), Broken> {
        if !self.is_born || self.sure_witnesses(world) > length {
            return Ok(());
        }
        self.find_witnesses(world, SPARE * (length + 1));
        let found = self.witnesses.len();
        if found > length {
            return Ok(());
        }
        let live = self.members.iter().filter(|(id, node)| is_member(world, **node, **id)).count();
        let seen = format!(
            "only {found} of {live} members are skipped by nobody's list; it takes {}",
            length + 1
        );
        Err(Broken::anywhere(seen))
    }

    /// How many live members are known to be skipped by nobody's list, nor by one under way.
    fn sure_witnesses(&self, world: &World<Node>) -> usize {
        let now = world.sim.elapsed_micros();
        let is_live =
            |id: &NodeId| self.members.get(id).is_some_and(|node| is_member(world, *node, *id));
        let is_sure = |since: u64| now.saturating_sub(since) >= SURE;
        self.witnesses.iter().filter(|(id, since)| is_sure(**since) && is_live(id)).count()
    }

    fn find_witnesses(&mut self, world: &World<Node>, most: usize) {
        let ids: Vec<NodeId> = self.members.keys().copied().collect();
        // How many more lists skip a member than the one before it.
        let mut steps = vec![0_i64; ids.len() + 1];
        for node in self.members.values() {
            let Some(ring) = ring_of(world, *node) else { continue };
            for (a, b) in gaps(ring) {
                let from = ids.partition_point(|id| *id <= a);
                let to = ids.partition_point(|id| *id < b);
                if a < b {
                    steps[from] += 1;
                    steps[to.max(from)] -= 1;
                } else {
                    steps[from] += 1;
                    steps[ids.len()] -= 1;
                    steps[0] += 1;
                    steps[to] -= 1;
                }
            }
        }
        let mut skipped = 0;
        let mut principals = Vec::new();
        for (id, step) in ids.iter().zip(steps) {
            skipped += step;
            if skipped == 0 && is_member(world, self.members[id], *id) {
                principals.push(*id);
            }
        }
        let now = world.sim.elapsed_micros();
        let mut known = std::mem::take(&mut self.witnesses);
        let (old, new): (Vec<NodeId>, _) =
            principals.into_iter().partition(|id| known.contains_key(id));
        self.witnesses = old.iter().filter_map(|id| known.remove_entry(id)).collect();
        // From all around the ring.
        let room = most.saturating_sub(self.witnesses.len());
        let new: Vec<NodeId> = new;
        let each = (new.len() / room.max(1)).max(1);
        self.witnesses.extend(new.into_iter().step_by(each).take(room).map(|id| (id, now)));
    }

    /// The share of so many nodes whose neighbours are exactly those that they should be.
    pub(super) fn in_order(&self, world: &World<Node>, nodes: usize) -> f64 {
        let live: Vec<(NodeId, NodeIndex)> = self
            .members
            .iter()
            .filter(|(id, node)| is_member(world, **node, **id))
            .map(|(id, node)| (*id, *node))
            .collect();
        let count = live.len();
        let is_right = |at: &usize| {
            let Some(ring) = ring_of(world, live[*at].1) else { return false };
            let (next, last) = (live[(at + 1) % count].0, live[(at + count - 1) % count].0);
            count == 1 || ring.successor() == Some(next) && ring.predecessor() == Some(last)
        };
        (0..count).filter(is_right).count() as f64 / nodes.max(1) as f64
    }
}

/// Each two members that follow each other in a member's list, itself first.
fn gaps(ring: &Ring<NodeId>) -> impl Iterator<Item = (NodeId, NodeId)> {
    let list = std::iter::once(ring.me()).chain(ring.successors().iter().copied());
    list.zip(ring.successors().iter().copied())
}

fn strictly_between(ids: &BTreeMap<NodeId, u64>, a: NodeId, b: NodeId) -> Vec<NodeId> {
    let behind = (Bound::Excluded(a), Bound::Unbounded);
    let going_round = ids.range(behind).chain(ids.range(..a));
    going_round.map(|(id, _)| *id).take_while(|id| between(a, *id, b)).collect()
}

fn is_member(world: &World<Node>, node: NodeIndex, id: NodeId) -> bool {
    ring_of(world, node).is_some_and(|ring| ring.me() == id)
}

fn ring_of(world: &World<Node>, node: NodeIndex) -> Option<&Ring<NodeId>> {
    world.machine(node)?.chord()?.ring()
}
