//! A k-bucket: the nodes at one range of distances, the one longest unheard of first.

use std::collections::VecDeque;
use std::time::Duration;

use crate::key::Key;
use crate::node::Node;

/// A k-bucket: at most `k` nodes, the one longest unheard of first, and as many spare ones that
/// were heard of while there was no room (Kademlia, sections 2.2 and 4.1).
///
/// Nodes that live long tend to live longer, so a newcomer takes nobody's place unless that one
/// is silent. In a full bucket [`update`](Self::update) asks for a ping of the oldest node; the
/// outcome is told by [`keep_old`](Self::keep_old) or [`keep_new`](Self::keep_new).
#[derive(Clone, Debug)]
pub struct Bucket<A, const N: usize = 20> {
    /// Oldest first.
    nodes: VecDeque<Node<A, N>>,
    /// Oldest first; never one that is in `nodes`.
    spares: VecDeque<Node<A, N>>,
    check: Option<Check<A, N>>,
    changed: Option<Duration>,
}

/// A ping under way, and who takes the place if it comes to nothing.
#[derive(Clone, Debug)]
struct Check<A, const N: usize> {
    of: Key<N>,
    newcomer: Node<A, N>,
}

/// What became of a node that was heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update<A, const N: usize = 20> {
    /// It is new, and there was room.
    Added,
    /// It was there, and is the one heard of last now.
    Refreshed,
    /// There is no room, or it is known under another address. Ping this node, at this address;
    /// then say [`keep_old`] or [`keep_new`].
    /// Until then the bucket asks for no further ping.
    ///
    /// [`keep_old`]: crate::RoutingTable::keep_old
    /// [`keep_new`]: crate::RoutingTable::keep_new
    Ping(Node<A, N>),
    /// There is no room, and a ping is under way already. It is remembered as a spare node.
    Spare,
    /// It is the table's own key, or one node too many of its network.
    Refused,
}

impl<A: Clone + PartialEq, const N: usize> Bucket<A, N> {
    /// An empty bucket.
    #[must_use]
    pub const fn new() -> Self {
        Self { nodes: VecDeque::new(), spares: VecDeque::new(), check: None, changed: None }
    }

    /// Takes note that a node was heard of: a datagram from it, not a word about it. `k` is how
    /// many nodes there is room for, and as many spare ones.
    pub fn update(&mut self, now: Duration, node: Node<A, N>, k: usize) -> Update<A, N> {
        if let Some(at) = self.position(&node.id) {
            if self.nodes[at].address == node.address {
                self.changed = Some(now);
                let known = self.nodes.remove(at);
                self.nodes.extend(known);
                return Update::Refreshed;
            }
            // Anyone can claim a key. Who has it keeps it for as long as it answers.
            return self.ping(at, node, k);
        }
        if self.nodes.len() < k {
            self.changed = Some(now);
            self.spares.retain(|spare| spare.id != node.id);
            self.nodes.push_back(node);
            return Update::Added;
        }
        self.ping(0, node, k)
    }

    fn ping(&mut self, at: usize, newcomer: Node<A, N>, k: usize) -> Update<A, N> {
        if self.check.is_some() || k == 0 {
            self.spare(newcomer, k);
            return Update::Spare;
        }
        let asked = self.nodes[at].clone();
        self.check = Some(Check { of: asked.id, newcomer });
        Update::Ping(asked)
    }

    fn spare(&mut self, node: Node<A, N>, k: usize) {
        if self.position(&node.id).is_some() {
            return;
        }
        self.spares.retain(|spare| spare.id != node.id);
        self.spares.push_back(node);
        if self.spares.len() > k {
            self.spares.pop_front();
        }
    }

    /// The node that was to be pinged answered: it is the one heard of last now, and the newcomer
    /// a spare node. Nothing happens unless a ping of it is under way.
    pub fn keep_old(&mut self, now: Duration, id: &Key<N>, k: usize) {
        let Some(check) = self.check.take_if(|check| check.of == *id) else { return };
        self.changed = Some(now);
        if let Some(at) = self.position(id) {
            let known = self.nodes.remove(at);
            self.nodes.extend(known);
        }
        self.spare(check.newcomer, k);
    }

    /// The node that was to be pinged is silent: the newcomer takes its place. Nothing happens
    /// unless a ping of it is under way.
    pub fn keep_new(&mut self, now: Duration, id: &Key<N>) {
        let Some(check) = self.check.take_if(|check| check.of == *id) else { return };
        self.changed = Some(now);
        self.nodes.retain(|node| node.id != *id);
        if self.position(&check.newcomer.id).is_none() {
            self.spares.retain(|spare| spare.id != check.newcomer.id);
            self.nodes.push_back(check.newcomer);
        }
    }

    /// A node was asked something and is silent: it loses its place to the newcomer that waits for
    /// it, else to the spare node heard of last.
    pub fn remove(&mut self, now: Duration, id: &Key<N>) -> Option<Node<A, N>> {
        self.spares.retain(|spare| spare.id != *id);
        let removed = self.position(id).and_then(|at| self.nodes.remove(at))?;
        self.changed = Some(now);
        let waiting = self.check.take_if(|check| check.of == *id).map(|check| check.newcomer);
        let next = waiting.or_else(|| self.spares.pop_back());
        if let Some(next) = next.filter(|next| self.position(&next.id).is_none()) {
            self.nodes.push_back(next);
        }
        Some(removed)
    }

    /// The nodes, the one longest unheard of first.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Node<A, N>> {
        self.nodes.iter()
    }

    /// The spare nodes, the one longest unheard of first.
    pub fn spares(&self) -> impl ExactSizeIterator<Item = &Node<A, N>> {
        self.spares.iter()
    }

    /// How many nodes there are, without the spare ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The node that is to be pinged, if a ping is under way.
    #[must_use]
    pub fn pinged(&self) -> Option<&Key<N>> {
        self.check.as_ref().map(|check| &check.of)
    }

    /// When a node was last heard of, added or dropped; nothing if never.
    #[must_use]
    pub const fn changed(&self) -> Option<Duration> {
        self.changed
    }

    pub(crate) fn position(&self, id: &Key<N>) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == *id)
    }

    pub(crate) fn touch(&mut self, now: Duration) {
        self.changed = Some(now);
    }
}

impl<A: Clone + PartialEq, const N: usize> Default for Bucket<A, N> {
    fn default() -> Self {
        Self::new()
    }
}
