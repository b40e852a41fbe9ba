//! A table by brute force: lists of nodes in the order in which they were heard of, of which a
//! bucket is a part.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::time::Duration;

use rs2p_kad::{Address, Key, Node, TableConfig, Update};

/// An address that is a network and a place in it; network 0 is not counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) network: u8,
    pub(crate) port: u8,
}

impl Address for Place {
    fn prefix(&self) -> Option<IpAddr> {
        (self.network > 0).then_some(Ipv4Addr::new(10, 0, self.network, 0).into())
    }
}

pub(crate) type Contact = Node<Place, 2>;

pub(crate) struct Model {
    pub(crate) own: Key<2>,
    pub(crate) k: usize,
    pub(crate) cap: usize,
    /// Oldest first, of all buckets.
    pub(crate) nodes: Vec<Contact>,
    pub(crate) spares: Vec<Contact>,
    /// By bucket: who is pinged, and who waits.
    pub(crate) pings: BTreeMap<u32, (Key<2>, Contact)>,
    /// By bucket.
    pub(crate) changed: BTreeMap<u32, Duration>,
}

impl Model {
    pub(crate) fn new(own: Key<2>, config: TableConfig) -> Self {
        Self {
            own,
            k: config.k.get(),
            cap: config.per_prefix.map_or(usize::MAX, NonZeroUsize::get),
            nodes: Vec::new(),
            spares: Vec::new(),
            pings: BTreeMap::new(),
            changed: BTreeMap::new(),
        }
    }

    pub(crate) fn bucket(&self, nodes: &[Contact], bucket: u32) -> Vec<Contact> {
        let is_there = |node: &&Contact| self.own.common_prefix(&node.id) == bucket;
        nodes.iter().filter(is_there).copied().collect()
    }

    pub(crate) fn known(&self, id: &Key<2>) -> Option<Contact> {
        self.nodes.iter().find(|node| node.id == *id).copied()
    }

    pub(crate) fn update(&mut self, now: Duration, node: Contact) -> Update<Place, 2> {
        let bucket = self.own.common_prefix(&node.id);
        let known = self.known(&node.id);
        if bucket == 16 || known.is_none() && self.is_crowded(&node) {
            return Update::Refused;
        }
        let there = self.bucket(&self.nodes, bucket);
        if known == Some(node) || known.is_none() && there.len() < self.k {
            self.nodes.retain(|other| other.id != node.id);
            self.spares.retain(|other| other.id != node.id);
            self.nodes.push(node);
            self.changed.insert(bucket, now);
            return if known.is_some() { Update::Refreshed } else { Update::Added };
        }
        if self.pings.contains_key(&bucket) {
            self.spare(node);
            return Update::Spare;
        }
        let pinged = known.unwrap_or_else(|| there[0]);
        self.pings.insert(bucket, (pinged.id, node));
        Update::Ping(pinged)
    }

    pub(crate) fn keep_old(&mut self, now: Duration, id: &Key<2>) {
        let Some((bucket, newcomer)) = self.settle(now, id) else { return };
        let known = self.known(id).unwrap();
        self.nodes.retain(|node| node.id != *id);
        self.nodes.push(known);
        if self.bucket(&self.nodes, bucket).len() < self.k {
            self.fill(bucket, Some(newcomer));
        } else {
            self.spare(newcomer);
        }
    }

    pub(crate) fn keep_new(&mut self, now: Duration, id: &Key<2>) {
        let Some((bucket, newcomer)) = self.settle(now, id) else { return };
        self.nodes.retain(|node| node.id != *id);
        self.fill(bucket, Some(newcomer));
    }

    pub(crate) fn remove(&mut self, now: Duration, id: &Key<2>) -> Option<Contact> {
        self.spares.retain(|node| node.id != *id);
        let known = self.known(id)?;
        let bucket = self.own.common_prefix(id);
        self.changed.insert(bucket, now);
        self.nodes.retain(|node| node.id != *id);
        let waiting = self.settle(now, id).map(|(_, newcomer)| newcomer);
        self.fill(bucket, waiting);
        Some(known)
    }

    fn settle(&mut self, now: Duration, id: &Key<2>) -> Option<(u32, Contact)> {
        let bucket = self.own.common_prefix(id);
        let (_, newcomer) = self.pings.get(&bucket).filter(|(pinged, _)| pinged == id).copied()?;
        self.pings.remove(&bucket);
        self.changed.insert(bucket, now);
        Some((bucket, newcomer))
    }

    fn spare(&mut self, node: Contact) {
        if self.known(&node.id).is_some() {
            return;
        }
        self.spares.retain(|other| other.id != node.id);
        self.spares.push(node);
        let there = self.bucket(&self.spares, self.own.common_prefix(&node.id));
        if there.len() > self.k {
            self.spares.retain(|other| *other != there[0]);
        }
    }

    fn fill(&mut self, bucket: u32, waiting: Option<Contact>) {
        let spares = self.bucket(&self.spares, bucket);
        let mut waiting = waiting.into_iter().chain(spares.into_iter().rev());
        let next = waiting.find(|node| self.known(&node.id).is_none() && !self.is_crowded(node));
        if let Some(next) = next {
            self.spares.retain(|node| node.id != next.id);
            self.nodes.push(next);
        }
    }

    fn is_crowded(&self, node: &Contact) -> bool {
        let prefix = node.address.prefix();
        let neighbours = self.nodes.iter().filter(|other| other.address.prefix() == prefix);
        prefix.is_some() && neighbours.count() >= self.cap
    }
}
