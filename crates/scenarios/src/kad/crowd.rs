//! Who is really there, and who is really nearest to a key.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_bytestag::Key;
use rs2p_simnet::{NodeIndex, World};

use super::node::Node;

/// All nodes, liars included: whoever is up and answers belongs to the network.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    members: Vec<Member>,
    /// By the ids that they have now.
    nodes: BTreeMap<Key, NodeIndex>,
    /// Those that were up when it was last looked.
    up: Vec<NodeIndex>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    id: Key,
    lives: u64,
    /// Since when it has been seen to be up, in microseconds since the start.
    since: Option<u64>,
}

impl Crowd {
    /// A node starts.
    pub(super) fn started(&mut self, node: NodeIndex, id: Key, lives: u64) {
        let index = node.0 as usize;
        let member = Member { id, lives, since: None };
        if self.members.len() <= index {
            self.members.resize(index + 1, member);
            self.up.push(node);
        }
        self.nodes.remove(&self.members[index].id);
        self.members[index] = member;
        self.nodes.insert(id, node);
    }

    /// Looks who is up.
    pub(super) fn look(&mut self, world: &World<Node>) {
        let now = world.sim.elapsed_micros();
        self.up.clear();
        for (node, member) in (0..).map(NodeIndex).zip(&mut self.members) {
            if world.sim.is_up(node) {
                member.since.get_or_insert(now);
                self.up.push(node);
            } else {
                member.since = None;
            }
        }
    }

    pub(super) fn id(&self, node: NodeIndex) -> Option<Key> {
        self.members.get(node.0 as usize).map(|member| member.id)
    }

    /// The node that has this id now.
    pub(super) fn node(&self, id: &Key) -> Option<NodeIndex> {
        self.nodes.get(id).copied()
    }

    /// Up to so many others that were up when it was last looked.
    pub(super) fn some(
        &self,
        rng: &mut Xoshiro256PlusPlus,
        but: NodeIndex,
        count: usize,
    ) -> Vec<NodeIndex> {
        let count = if self.up.is_empty() { 0 } else { count };
        let drawn = (0..count).map(|_| self.up[rng.random_range(0..self.up.len())]);
        drawn.filter(|node| *node != but).collect()
    }

    pub(super) fn is_up(&self, world: &World<Node>, id: &Key) -> bool {
        self.node(id).is_some_and(|node| world.sim.is_up(node))
    }

    /// Whether the node of this id has been up since then.
    pub(super) fn is_up_since(&self, world: &World<Node>, id: &Key, at: u64) -> bool {
        let since = self.node(id).and_then(|node| self.members[node.0 as usize].since);
        since.is_some_and(|since| since <= at) && self.is_up(world, id)
    }

    /// The nodes nearest to a key of those that have been up since then, from the nearest on.
    pub(super) fn nearest(
        &self,
        world: &World<Node>,
        (key, but): (&Key, Option<NodeIndex>),
        at: u64,
        count: usize,
    ) -> Vec<Key> {
        let is_there = |(node, member): &(NodeIndex, &Member)| {
            member.since.is_some_and(|since| since <= at)
                && Some(*node) != but
                && world.sim.is_up(*node)
                && world.sim.lives(*node) == member.lives
        };
        let members = (0..).map(NodeIndex).zip(&self.members).filter(is_there);
        let mut ids: Vec<_> =
            members.map(|(_, member)| (key.distance(&member.id), member.id)).collect();
        if ids.len() > count {
            ids.select_nth_unstable(count);
            ids.truncate(count);
        }
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// How many are up.
    pub(super) fn len(&self) -> usize {
        self.up.len()
    }
}
