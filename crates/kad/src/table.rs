//! The routing table: a bucket for each length of common prefix.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;
use std::vec;

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
        if self.is_crowded(&node) && self.get(&node.id).is_none() {
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
        if let Some(bucket) = self.bucket_mut(id) {
            bucket.keep_old(now, id, k);
        }
    }

    /// The node that was to be pinged is silent.
    pub fn keep_new(&mut self, now: Duration, id: &Key<N>) {
        self.change(id, |bucket| bucket.keep_new(now, id));
    }

    /// A node was asked something and is silent: a spare node takes its place. Gives back what was
    /// known of it.
    pub fn remove(&mut self, now: Duration, id: &Key<N>) -> Option<Node<A, N>> {
        self.change(id, |bucket| bucket.remove(now, id)).flatten()
    }

    /// Changes one bucket, and counts the networks of its nodes anew.
    fn change<T>(&mut self, id: &Key<N>, act: impl FnOnce(&mut Bucket<A, N>) -> T) -> Option<T> {
        let number = self.bucket_of(id).filter(|number| *number < self.buckets.len())?;
        if self.config.per_prefix.is_none() {
            return Some(act(&mut self.buckets[number]));
        }
        let prefixes = |bucket: &Bucket<A, N>| {
            bucket.nodes().map(|node| node.address.prefix()).collect::<Vec<_>>()
        };
        let before = prefixes(&self.buckets[number]);
        let result = act(&mut self.buckets[number]);
        for prefix in prefixes(&self.buckets[number]) {
            self.count(prefix);
        }
        for prefix in before.into_iter().flatten() {
            if let Some(count) = self.of_prefix.get_mut(&prefix) {
                *count -= 1;
                if *count == 0 {
                    self.of_prefix.remove(&prefix);
                }
            }
        }
        Some(result)
    }

    fn count(&mut self, prefix: Option<IpAddr>) {
        if let Some(prefix) = prefix.filter(|_| self.config.per_prefix.is_some()) {
            *self.of_prefix.entry(prefix).or_default() += 1;
        }
    }

    fn is_crowded(&self, node: &Node<A, N>) -> bool {
        let Some(cap) = self.config.per_prefix else { return false };
        let held = node.address.prefix().and_then(|prefix| self.of_prefix.get(&prefix));
        held.is_some_and(|held| *held >= cap.get())
    }

    /// The nodes of the table from the nearest to a key to the farthest: exactly in that order,
    /// whatever the key. Take as many as are wanted; the rest is not sorted.
    pub fn closest(&self, target: &Key<N>) -> Closest<'_, A, N> {
        Closest {
            table: self,
            target: *target,
            from_own: self.own.distance(target),
            next: Next::Nearer(0),
            sorted: Vec::new().into_iter(),
        }
    }

    /// How many nodes of the table are nearer to a key than the own key is. It takes no comparison:
    /// they are whole buckets.
    #[must_use]
    pub fn count_closer(&self, target: &Key<N>) -> usize {
        let from_own = self.own.distance(target);
        let nearer = |(number, _): &(usize, &Bucket<A, N>)| from_own.has_bit(*number as u32);
        self.buckets.iter().enumerate().filter(nearer).map(|(_, bucket)| bucket.len()).sum()
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

    fn bucket_mut(&mut self, id: &Key<N>) -> Option<&mut Bucket<A, N>> {
        let number = self.bucket_of(id)?;
        self.buckets.get_mut(number)
    }
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
    sorted: vec::IntoIter<(Distance<N>, &'a Node<A, N>)>,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    /// Upwards over buckets of nodes nearer than the own key.
    Nearer(usize),
    /// Downwards over the rest: those below this one.
    Farther(usize),
}

impl<'a, A: Address, const N: usize> Closest<'a, A, N> {
    fn next_bucket(&mut self) -> Option<&'a Bucket<A, N>> {
        let buckets = &self.table.buckets;
        loop {
            match self.next {
                Next::Nearer(number) if number < buckets.len() => {
                    self.next = Next::Nearer(number + 1);
                    if self.from_own.has_bit(number as u32) && !buckets[number].is_empty() {
                        return Some(&buckets[number]);
                    }
                }
                Next::Nearer(_) => self.next = Next::Farther(buckets.len()),
                Next::Farther(0) => return None,
                Next::Farther(above) => {
                    let number = above - 1;
                    self.next = Next::Farther(number);
                    if !self.from_own.has_bit(number as u32) && !buckets[number].is_empty() {
                        return Some(&buckets[number]);
                    }
                }
            }
        }
    }
}

impl<'a, A: Address, const N: usize> Iterator for Closest<'a, A, N> {
    type Item = &'a Node<A, N>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((_, node)) = self.sorted.next() {
                return Some(node);
            }
            let bucket = self.next_bucket()?;
            let measured = bucket.nodes().map(|node| (self.target.distance(&node.id), node));
            let mut sorted: Vec<_> = measured.collect();
            sorted.sort_unstable_by_key(|(distance, _)| *distance);
            self.sorted = sorted.into_iter();
        }
    }
}
