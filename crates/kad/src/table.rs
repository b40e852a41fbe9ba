//! The routing table: a bucket for each length of common prefix.

use std::collections::BTreeMap;
use std::iter;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::bucket::{Bucket, Update};
use crate::key::{Distance, Key};
use crate::node::{Address, Node};

/// How large a [`RoutingTable`] may grow.
#[derive(Clone, Copy, Debug)]
pub struct TableConfig {
    /// Nodes in a bucket, and spare ones beside them. 20, the `k` of Kademlia; fewer lose touch
    /// in a crash, more cost memory and nothing else.
    pub k: NonZeroUsize,
    /// How many nodes of one [network](Address::prefix) the table takes; any number by default.
    /// A cap of some ten keeps one owner of many addresses from filling the table.
    pub per_prefix: Option<NonZeroUsize>,
}

impl Default for TableConfig {
    fn default() -> Self {
        Self { k: const { NonZeroUsize::new(20).unwrap() }, per_prefix: None }
    }
}

/// The nodes that a node knows, in buckets by distance: many of those near to it, few of the many
/// far away (Kademlia, section 2.2).
///
/// It reads no clock: `now` is the time since any moment that stays the same. What it holds is
/// bounded by `k` nodes and `k` spare ones for each bit of a key.
///
/// ```
/// use std::time::Duration;
/// use rs2p_kad::{Key, Node, RoutingTable, Update};
///
/// let mut table = RoutingTable::new(Key::new([0; 20]), Default::default());
/// let node = Node::new(Key::new([7; 20]), "192.0.2.7:4000".parse::<std::net::SocketAddr>()?);
/// assert_eq!(table.update(Duration::ZERO, node), Update::Added);
///
/// let nearest: Vec<_> = table.closest(&Key::new([9; 20])).take(20).collect();
/// assert_eq!(nearest, [&node]);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct RoutingTable<A, const N: usize = 20> {
    own: Key<N>,
    config: TableConfig,
    /// Up to the last one that ever held a node.
    buckets: Vec<Bucket<A, N>>,
    /// Nodes in buckets, spare ones not counted.
    of_prefix: BTreeMap<IpAddr, usize>,
}

impl<A: Address, const N: usize> RoutingTable<A, N> {
    /// An empty table around a node's own key.
    #[must_use]
    pub const fn new(own: Key<N>, config: TableConfig) -> Self {
        Self { own, config, buckets: Vec::new(), of_prefix: BTreeMap::new() }
    }

    /// The key around which it is built; it is never in it.
    #[must_use]
    pub const fn own(&self) -> &Key<N> {
        &self.own
    }

    /// Takes note that a node was heard of: a datagram came from it. Nodes that others only told
    /// of are to be asked before.
    pub fn update(&mut self, now: Duration, node: Node<A, N>) -> Update<A, N> {
        let Some(number) = self.bucket_of(&node.id) else { return Update::Refused };
        let is_crowded = is_crowded(self.config.per_prefix, &self.of_prefix, &node);
        if is_crowded && self.get(&node.id).is_none() {
            return Update::Refused;
        }
        if self.buckets.len() <= number {
            self.buckets.resize_with(number + 1, Bucket::new);
        }
        let prefix = node.address.prefix();
        let update = self.buckets[number].update(now, node, self.config.k.get());
        if update == Update::Added {
            self.count(prefix);
        }
        update
    }

    /// The node that was to be pinged answered.
    pub fn keep_old(&mut self, now: Duration, id: &Key<N>) {
        let k = self.config.k.get();
        let Some(number) = self.existing(id) else { return };
        if let Some(newcomer) = self.buckets[number].settle_for_old(now, id, k) {
            self.fill(number, Some(newcomer));
        }
    }

    /// The node that was to be pinged is silent.
    pub fn keep_new(&mut self, now: Duration, id: &Key<N>) {
        let Some(number) = self.existing(id) else { return };
        if let Some((silent, newcomer)) = self.buckets[number].settle_for_new(now, id) {
            self.discount(silent.and_then(|node| node.address.prefix()));
            self.fill(number, Some(newcomer));
        }
    }

    /// A node was asked something and is silent: a spare node takes its place. Gives back what was
    /// known of it.
    pub fn remove(&mut self, now: Duration, id: &Key<N>) -> Option<Node<A, N>> {
        let number = self.existing(id)?;
        let (removed, waiting) = self.buckets[number].take(now, id)?;
        self.discount(removed.address.prefix());
        self.fill(number, waiting);
        Some(removed)
    }

    /// Gives a free place of a bucket to someone whose network is not crowded by now.
    fn fill(&mut self, number: usize, waiting: Option<Node<A, N>>) {
        let (cap, of_prefix) = (self.config.per_prefix, &self.of_prefix);
        let is_welcome = |node: &Node<A, N>| !is_crowded(cap, of_prefix, node);
        let added = self.buckets[number].fill(waiting, is_welcome);
        let prefix = added.and_then(|node| node.address.prefix());
        self.count(prefix);
    }

    fn count(&mut self, prefix: Option<IpAddr>) {
        if let Some(prefix) = prefix.filter(|_| self.config.per_prefix.is_some()) {
            *self.of_prefix.entry(prefix).or_default() += 1;
        }
    }

    fn discount(&mut self, prefix: Option<IpAddr>) {
        let Some(prefix) = prefix else { return };
        if let Some(count) = self.of_prefix.get_mut(&prefix) {
            *count -= 1;
            if *count == 0 {
                self.of_prefix.remove(&prefix);
            }
        }
    }

    /// The nodes of the table from the nearest to a key to the farthest: exactly in that order,
    /// whatever the key. Take as many as are wanted; the rest is not sorted.
    pub fn closest(&self, target: &Key<N>) -> Closest<'_, A, N> {
        Closest {
            table: self,
            target: *target,
            from_own: self.own.distance(target),
            next: Next::Nearer(0),
            sorted: Vec::new(),
        }
    }

    /// How many nodes of the table are nearer to a key than the own key is. It takes no comparison:
    /// they are whole buckets.
    #[must_use]
    pub fn count_closer(&self, target: &Key<N>) -> usize {
        let from_own = self.own.distance(target);
        let nearer = iter::successors(from_own.next_one(0), |bit| from_own.next_one(bit + 1));
        nearer.map_while(|bit| self.buckets.get(bit as usize)).map(Bucket::len).sum()
    }

    /// What is known of a node, if it is in the table.
    #[must_use]
    pub fn get(&self, id: &Key<N>) -> Option<&Node<A, N>> {
        let bucket = self.buckets.get(self.bucket_of(id)?)?;
        bucket.nodes().find(|node| node.id == *id)
    }

    /// The buckets, from that of the farthest nodes up to the last one that ever held a node.
    #[must_use]
    pub fn buckets(&self) -> &[Bucket<A, N>] {
        &self.buckets
    }

    /// The buckets in which nothing changed for so long, by number: look up a
    /// [random key](Key::random_in_bucket) of each (Kademlia, section 2.3). An empty bucket counts
    /// as long as one beyond it holds nodes.
    pub fn stale(&self, now: Duration, age: Duration) -> impl Iterator<Item = u32> {
        let is_stale = move |bucket: &Bucket<A, N>| {
            bucket.changed().is_none_or(|changed| now.saturating_sub(changed) >= age)
        };
        let numbered = self.buckets.iter().enumerate();
        numbered.filter(move |(_, bucket)| is_stale(bucket)).map(|(number, _)| number as u32)
    }

    /// A bucket was looked into: it is not [stale](Self::stale) until as much time has passed
    /// again, even if nobody was found.
    pub fn touch(&mut self, now: Duration, bucket: u32) {
        if let Some(bucket) = self.buckets.get_mut(bucket as usize) {
            bucket.touch(now);
        }
    }

    /// How many nodes there are, without the spare ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.iter().map(Bucket::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(Bucket::is_empty)
    }

    fn bucket_of(&self, id: &Key<N>) -> Option<usize> {
        let number = self.own.common_prefix(id);
        (number < Key::<N>::BITS).then_some(number as usize)
    }

    fn existing(&self, id: &Key<N>) -> Option<usize> {
        self.bucket_of(id).filter(|number| *number < self.buckets.len())
    }
}

/// Whether the table holds as many nodes of this one's network as it may.
fn is_crowded<A: Address, const N: usize>(
    cap: Option<NonZeroUsize>,
    of_prefix: &BTreeMap<IpAddr, usize>,
    node: &Node<A, N>,
) -> bool {
    let Some(cap) = cap else { return false };
    let held = node.address.prefix().and_then(|prefix| of_prefix.get(&prefix));
    held.is_some_and(|held| *held >= cap.get())
}

/// The nodes of a table from the nearest to a key on: see [`RoutingTable::closest`].
///
/// All nodes of a bucket share the first bits of their distance to any key, so buckets follow upon
/// each other whole. Where the distance between the own key and the target has a bit set, the
/// bucket of that bit holds nodes nearer to the target than the own key, the higher the bit the
/// nearer; the others hold nodes farther away, the lower the bit the nearer.
#[derive(Clone, Debug)]
pub struct Closest<'a, A, const N: usize = 20> {
    table: &'a RoutingTable<A, N>,
    target: Key<N>,
    from_own: Distance<N>,
    next: Next,
    /// Of the bucket whose turn it is, farthest first: where its distance differs from those of
    /// the bucket's others, in most cases, and the node.
    sorted: Vec<(u64, &'a Node<A, N>)>,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    /// Upwards over buckets of nodes nearer than the own key: this one and those after it.
    Nearer(u32),
    /// Downwards over the rest: those below this one.
    Farther(u32),
}

impl<'a, A: Address, const N: usize> Closest<'a, A, N> {
    fn next_bucket(&mut self) -> Option<(u32, &'a Bucket<A, N>)> {
        let buckets = &self.table.buckets;
        loop {
            let number = match self.next {
                Next::Nearer(from) => {
                    let number = self.from_own.next_one(from);
                    let Some(number) = number.filter(|bit| (*bit as usize) < buckets.len()) else {
                        self.next = Next::Farther(buckets.len() as u32);
                        continue;
                    };
                    self.next = Next::Nearer(number + 1);
                    number
                }
                Next::Farther(below) => {
                    let number = self.from_own.last_zero(below)?;
                    self.next = Next::Farther(number);
                    number
                }
            };
            let bucket = buckets.get(number as usize)?;
            if !bucket.is_empty() {
                return Some((number, bucket));
            }
        }
    }
}

impl<'a, A: Address, const N: usize> Iterator for Closest<'a, A, N> {
    type Item = &'a Node<A, N>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((_, node)) = self.sorted.pop() {
                return Some(node);
            }
            let (number, bucket) = self.next_bucket()?;
            let target = &self.target;
            let distance = |node: &Node<A, N>| target.distance(&node.id);
            let measured = bucket.nodes().map(|node| (distance(node).word(number), node));
            self.sorted.extend(measured);
            // Words compare several times as fast as distances, and are hardly ever the same.
            self.sorted.sort_unstable_by(|(one, this), (two, that)| {
                two.cmp(one).then_with(|| distance(that).cmp(&distance(this)))
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn at(id: u8, address: impl Into<SocketAddr>) -> Node<SocketAddr, 1> {
        Node::new(Key::new([id]), address.into())
    }

    fn in_network(id: u8, network: u8) -> Node<SocketAddr, 1> {
        at(id, ([192, 0, network, id], 4000))
    }

    /// A table of two nodes in a bucket, and of two of a network.
    fn capped() -> RoutingTable<SocketAddr, 1> {
        let two = NonZeroUsize::MIN.saturating_add(1);
        RoutingTable::new(Key::new([0]), TableConfig { k: two, per_prefix: Some(two) })
    }

    fn ids(table: &RoutingTable<SocketAddr, 1>) -> Vec<u8> {
        table.closest(table.own()).map(|node| node.id.as_bytes()[0]).collect()
    }

    #[test]
    fn one_network_gets_so_many_nodes_and_no_more() {
        let mut table = capped();
        for (id, update) in [(1, Update::Added), (2, Update::Added), (4, Update::Refused)] {
            assert_eq!(table.update(NOW, in_network(id, 1)), update);
        }
        assert_eq!(table.update(NOW, in_network(1, 1)), Update::Refreshed);
        assert_eq!(table.update(NOW, in_network(5, 2)), Update::Added);
        table.remove(NOW, &Key::new([1]));
        assert_eq!(table.update(NOW, in_network(4, 1)), Update::Added);
        assert_eq!(ids(&table), [2, 4, 5]);
    }

    #[test]
    fn nodes_of_this_machine_are_not_counted() {
        let mut table = capped();
        for id in [1, 2, 4, 8] {
            assert_eq!(table.update(NOW, at(id, ([127, 0, 0, 1], id.into()))), Update::Added);
        }
    }

    #[test]
    fn an_address_is_of_one_network_in_either_family() {
        let mut table = capped();
        let mapped = |ip: std::net::Ipv4Addr| (ip.to_ipv6_mapped(), 4000);
        table.update(NOW, at(1, mapped([192, 0, 2, 1].into())));
        table.update(NOW, at(2, ([192, 0, 2, 2], 4000)));
        assert_eq!(table.update(NOW, at(4, ([192, 0, 2, 3], 4000))), Update::Refused);
        assert_eq!(table.update(NOW, at(4, mapped([192, 0, 3, 1].into()))), Update::Added);
    }

    /// While it was a spare node, others of its network came.
    #[test]
    fn a_spare_node_of_a_crowded_network_gets_no_place() {
        let mut table = capped();
        for node in [in_network(128, 2), in_network(129, 3), in_network(130, 1)] {
            table.update(NOW, node);
        }
        for node in [in_network(131, 1), in_network(132, 4), in_network(133, 1)] {
            assert_eq!(table.update(NOW, node), Update::Spare);
        }
        table.update(NOW, in_network(1, 1));
        table.update(NOW, in_network(2, 1));
        // Spare are 132 and 133, and 130 waits for the place of 128.
        table.remove(NOW, &Key::new([129]));
        assert_eq!(ids(&table), [1, 2, 128, 132]);
        table.keep_new(NOW, &Key::new([128]));
        assert_eq!(ids(&table), [1, 2, 132], "130 is of a crowded network, and so is 133");
        table.remove(NOW, &Key::new([1]));
        table.remove(NOW, &Key::new([132]));
        assert_eq!(ids(&table), [2, 133], "there is room for one of that network again");
    }

    #[test]
    fn a_node_does_not_move_into_a_crowded_network() {
        let mut table = capped();
        for node in [in_network(1, 1), in_network(2, 1), in_network(4, 2)] {
            table.update(NOW, node);
        }
        assert_eq!(table.update(NOW, in_network(4, 1)), Update::Ping(in_network(4, 2)));
        table.keep_new(NOW, &Key::new([4]));
        assert_eq!(ids(&table), [1, 2]);
    }

    #[test]
    fn a_bucket_is_stale_when_nothing_changed_in_it_for_so_long() {
        let (hour, later) = (Duration::from_secs(3600), NOW + Duration::from_secs(3600));
        let mut table = capped();
        assert_eq!(table.stale(NOW, hour).count(), 0, "there are no buckets yet");
        table.update(NOW, in_network(32, 1));
        assert_eq!(table.stale(NOW, hour).collect::<Vec<_>>(), [0, 1]);
        table.touch(NOW, 0);
        table.touch(NOW, 7);
        assert_eq!(table.stale(later - Duration::from_millis(1), hour).count(), 1);
        assert_eq!(table.stale(later, hour).collect::<Vec<_>>(), [0, 1, 2]);
        table.update(later, in_network(32, 1));
        assert_eq!(table.stale(later, hour).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(table.stale(Duration::ZERO, hour).collect::<Vec<_>>(), [1], "time went back");
    }
}
