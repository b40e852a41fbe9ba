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
    /// a spare node, unless there is room by now. Nothing happens unless a ping of it is under way.
    pub fn keep_old(&mut self, now: Duration, id: &Key<N>, k: usize) {
        if let Some(newcomer) = self.settle_for_old(now, id, k) {
            self.fill(Some(newcomer), |_| true);
        }
    }

    /// The node that was to be pinged is silent: the newcomer takes its place. Nothing happens
    /// unless a ping of it is under way.
    pub fn keep_new(&mut self, now: Duration, id: &Key<N>) {
        if let Some((_, newcomer)) = self.settle_for_new(now, id) {
            self.fill(Some(newcomer), |_| true);
        }
    }

    /// A node was asked something and is silent: it loses its place to the newcomer that waits for
    /// it, else to the spare node heard of last.
    pub fn remove(&mut self, now: Duration, id: &Key<N>) -> Option<Node<A, N>> {
        let (removed, waiting) = self.take(now, id)?;
        self.fill(waiting, |_| true);
        Some(removed)
    }

    /// [`keep_old`](Self::keep_old), but gives back the newcomer if there is room for it.
    pub(crate) fn settle_for_old(
        &mut self,
        now: Duration,
        id: &Key<N>,
        k: usize,
    ) -> Option<Node<A, N>> {
        let Check { newcomer, .. } = self.check.take_if(|check| check.of == *id)?;
        self.changed = Some(now);
        if let Some(at) = self.position(id) {
            let known = self.nodes.remove(at);
            self.nodes.extend(known);
        }
        if self.nodes.len() < k {
            return Some(newcomer);
        }
        self.spare(newcomer, k);
        None
    }

    /// [`keep_new`](Self::keep_new), but gives back who goes and who comes.
    pub(crate) fn settle_for_new(
        &mut self,
        now: Duration,
        id: &Key<N>,
    ) -> Option<(Option<Node<A, N>>, Node<A, N>)> {
        let Check { newcomer, .. } = self.check.take_if(|check| check.of == *id)?;
        self.changed = Some(now);
        let silent = self.position(id).and_then(|at| self.nodes.remove(at));
        Some((silent, newcomer))
    }

    /// [`remove`](Self::remove), but nobody takes the place: also gives back who waits for it.
    pub(crate) fn take(
        &mut self,
        now: Duration,
        id: &Key<N>,
    ) -> Option<(Node<A, N>, Option<Node<A, N>>)> {
        self.spares.retain(|spare| spare.id != *id);
        let removed = self.position(id).and_then(|at| self.nodes.remove(at))?;
        self.changed = Some(now);
        let waiting = self.check.take_if(|check| check.of == *id).map(|check| check.newcomer);
        Some((removed, waiting))
    }

    /// Gives a free place to the one who waits for it, else to the spare node heard of last among
    /// those that are welcome. Says who has it.
    pub(crate) fn fill(
        &mut self,
        waiting: Option<Node<A, N>>,
        is_welcome: impl Fn(&Node<A, N>) -> bool,
    ) -> Option<&Node<A, N>> {
        let waiting = waiting.filter(|node| self.position(&node.id).is_none() && is_welcome(node));
        let next = waiting.or_else(|| {
            let at = self.spares.iter().rposition(&is_welcome)?;
            self.spares.remove(at)
        })?;
        self.spares.retain(|spare| spare.id != next.id);
        self.nodes.push_back(next);
        self.nodes.back()
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

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);
    const LATER: Duration = Duration::from_secs(2);

    fn node(id: u8) -> Node<u8, 1> {
        Node::new(Key::new([id]), id)
    }

    fn elsewhere(id: u8) -> Node<u8, 1> {
        Node::new(Key::new([id]), id + 100)
    }

    /// A bucket of two in which these were heard of in this order.
    fn bucket(heard: &[u8]) -> Bucket<u8, 1> {
        let mut bucket = Bucket::new();
        for id in heard {
            bucket.update(NOW, node(*id), 2);
        }
        bucket
    }

    fn ids<'a>(nodes: impl Iterator<Item = &'a Node<u8, 1>>) -> Vec<u8> {
        nodes.map(|node| node.id.as_bytes()[0]).collect()
    }

    #[test]
    fn a_full_bucket_asks_for_one_ping_at_a_time() {
        let mut bucket = bucket(&[1, 2]);
        assert_eq!(bucket.update(NOW, node(3), 2), Update::Ping(node(1)));
        assert_eq!(bucket.update(NOW, node(4), 2), Update::Spare);
        assert_eq!(bucket.update(NOW, node(3), 2), Update::Spare);
        assert_eq!(bucket.pinged(), Some(&node(1).id));
        bucket.keep_old(LATER, &node(2).id, 2);
        assert_eq!(bucket.pinged(), Some(&node(1).id), "another node than the one pinged");
        bucket.keep_old(LATER, &node(1).id, 2);
        assert_eq!((bucket.pinged(), bucket.changed()), (None, Some(LATER)));
        assert_eq!(ids(bucket.nodes()), [2, 1]);
        assert_eq!(ids(bucket.spares()), [4, 3]);
    }

    #[test]
    fn spare_nodes_are_as_many_as_nodes_and_the_latest_ones() {
        let bucket = bucket(&[1, 2, 3, 4, 5, 6, 5, 4]);
        assert_eq!(ids(bucket.spares()), [5, 4]);
    }

    #[test]
    fn a_silent_node_gives_way_to_the_latest_spare() {
        let mut bucket = bucket(&[1, 2, 3, 4, 5]);
        assert_eq!(bucket.remove(LATER, &node(2).id), Some(node(2)));
        assert_eq!(ids(bucket.nodes()), [1, 5]);
        assert_eq!(bucket.remove(LATER, &node(4).id), None, "a spare one is gone without a word");
        assert_eq!(ids(bucket.spares()), []);
        bucket.remove(LATER, &node(1).id);
        assert_eq!(ids(bucket.nodes()), [5, 3], "the newcomer was waiting for that very place");
    }

    #[test]
    fn a_known_id_at_another_address_is_a_challenge() {
        let mut bucket = bucket(&[1, 2]);
        assert_eq!(bucket.update(NOW, elsewhere(2), 2), Update::Ping(node(2)));
        assert_eq!(bucket.update(NOW, elsewhere(1), 2), Update::Spare);
        assert_eq!(ids(bucket.spares()), [], "a known id is no spare node");
        bucket.keep_old(LATER, &node(2).id, 2);
        assert_eq!(bucket.nodes().collect::<Vec<_>>(), [&node(1), &node(2)]);

        bucket.update(LATER, elsewhere(2), 2);
        bucket.keep_new(LATER, &node(2).id);
        assert_eq!(bucket.nodes().collect::<Vec<_>>(), [&node(1), &elsewhere(2)]);
    }

    #[test]
    fn a_newcomer_that_was_heard_of_twice_is_taken_once() {
        let mut bucket = bucket(&[1, 2, 3, 3]);
        assert_eq!(ids(bucket.spares()), [3]);
        bucket.remove(LATER, &node(1).id);
        assert_eq!((ids(bucket.nodes()), ids(bucket.spares())), (vec![2, 3], vec![]));
    }

    #[test]
    fn a_newcomer_is_taken_though_the_old_node_stays_if_there_is_room_by_now() {
        let mut bucket = bucket(&[1, 2, 3]);
        bucket.remove(LATER, &node(2).id);
        bucket.keep_old(LATER, &node(1).id, 2);
        assert_eq!((ids(bucket.nodes()), ids(bucket.spares())), (vec![1, 3], vec![]));
    }

    #[test]
    fn a_spare_node_takes_the_place_if_the_newcomer_has_one() {
        let mut bucket = bucket(&[1, 2, 3]);
        bucket.remove(LATER, &node(2).id);
        bucket.update(LATER, node(3), 2);
        bucket.update(LATER, node(4), 2);
        assert_eq!((ids(bucket.nodes()), ids(bucket.spares())), (vec![1, 3], vec![4]));
        bucket.keep_new(LATER, &node(1).id);
        assert_eq!((ids(bucket.nodes()), ids(bucket.spares())), (vec![3, 4], vec![]));
    }
}
