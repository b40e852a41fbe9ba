//! Buckets and tables under random sequences of operations.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use proptest::prelude::*;
use rs2p_kad::{Key, Node, RoutingTable, TableConfig};

use crate::table_model::{Model, Place};

/// What is done to a table. Keys are given as what makes them differ from the own one.
#[derive(Clone, Copy, Debug)]
enum Step {
    Update(u16, Place),
    KeepOld(u16),
    KeepNew(u16),
    /// The outcome of the ping that is under way in a bucket, if there is one.
    Answer(usize),
    Silence(usize),
    Remove(u16),
    Touch(u32),
}

/// Few keys in each bucket, so that they are met again; the own key among them.
fn difference() -> impl Strategy<Value = u16> {
    (0..16_u32, 0..8_u16, any::<bool>()).prop_map(|(bucket, low, own)| {
        let top = 1 << bucket;
        if own && low == 0 { 0 } else { top | ((low * 0x55) & (top - 1)) }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let place = (0..4_u8, 0..2_u8).prop_map(|(network, port)| Place { network, port });
    prop_oneof![
        8 => (difference(), place).prop_map(|(key, place)| Step::Update(key, place)),
        1 => difference().prop_map(Step::KeepOld),
        1 => difference().prop_map(Step::KeepNew),
        2 => (0..16_usize).prop_map(Step::Answer),
        2 => (0..16_usize).prop_map(Step::Silence),
        2 => difference().prop_map(Step::Remove),
        1 => (0..18_u32).prop_map(Step::Touch),
    ]
}

fn config() -> impl Strategy<Value = TableConfig> {
    let cap = prop_oneof![Just(None), (1..8_usize).prop_map(NonZeroUsize::new)];
    (1..4_usize, cap)
        .prop_map(|(k, per_prefix)| TableConfig { k: NonZeroUsize::new(k).unwrap(), per_prefix })
}

struct Harness {
    table: RoutingTable<Place, 2>,
    model: Model,
    now: Duration,
}

impl Harness {
    fn new(own: u16, config: TableConfig) -> Self {
        let own = Key::new(own.to_be_bytes());
        let (table, model) = (RoutingTable::new(own, config), Model::new(own, config));
        Self { table, model, now: Duration::ZERO }
    }

    fn key(&self, difference: u16) -> Key<2> {
        let own = u16::from_be_bytes(*self.model.own.as_bytes());
        Key::new((own ^ difference).to_be_bytes())
    }

    fn pinged(&self, bucket: usize) -> Option<Key<2>> {
        self.table.buckets().get(bucket).and_then(|bucket| bucket.pinged()).copied()
    }

    fn step(&mut self, step: Step) {
        self.now += Duration::from_secs(1);
        let now = self.now;
        match step {
            Step::Update(key, place) => {
                let node = Node::new(self.key(key), place);
                assert_eq!(self.table.update(now, node), self.model.update(now, node));
            }
            Step::KeepOld(key) => self.keep_old(Some(self.key(key))),
            Step::KeepNew(key) => self.keep_new(Some(self.key(key))),
            Step::Answer(bucket) => self.keep_old(self.pinged(bucket)),
            Step::Silence(bucket) => self.keep_new(self.pinged(bucket)),
            Step::Remove(key) => {
                let id = self.key(key);
                assert_eq!(self.table.remove(now, &id), self.model.remove(now, &id));
            }
            Step::Touch(bucket) => {
                self.table.touch(now, bucket);
                if (bucket as usize) < self.table.buckets().len() {
                    self.model.changed.insert(bucket, now);
                }
            }
        }
    }

    fn keep_old(&mut self, id: Option<Key<2>>) {
        let Some(id) = id else { return };
        self.table.keep_old(self.now, &id);
        self.model.keep_old(self.now, &id);
    }

    fn keep_new(&mut self, id: Option<Key<2>>) {
        let Some(id) = id else { return };
        self.table.keep_new(self.now, &id);
        self.model.keep_new(self.now, &id);
    }

    /// The table is the model, ...
    fn check(&self) {
        let (table, model) = (&self.table, &self.model);
        for (number, bucket) in table.buckets().iter().enumerate() {
            let number = number as u32;
            let nodes: Vec<_> = bucket.nodes().copied().collect();
            assert_eq!(nodes, model.bucket(&model.nodes, number));
            let spares: Vec<_> = bucket.spares().copied().collect();
            assert_eq!(spares, model.bucket(&model.spares, number));
            assert_eq!(bucket.pinged(), model.pings.get(&number).map(|(id, _)| id));
            assert_eq!(bucket.changed(), model.changed.get(&number).copied());
            assert_eq!((bucket.len(), bucket.is_empty()), (nodes.len(), nodes.is_empty()));
            // ... which is to be trusted no further than this.
            assert!(nodes.len() <= model.k && spares.len() <= model.k);
            let ids: BTreeSet<_> = nodes.iter().chain(&spares).map(|node| node.id).collect();
            assert_eq!(ids.len(), nodes.len() + spares.len(), "an id is there once");
            let is_member = |id| nodes.iter().any(|node| node.id == id);
            assert!(bucket.pinged().is_none_or(|id| is_member(*id)), "a member is pinged");
            if model.cap == usize::MAX && nodes.len() < model.k {
                assert!(spares.is_empty(), "a place is free, and somebody waits");
            }
        }
        for network in 1..4 {
            let inside = table.closest(table.own()).filter(|node| node.address.network == network);
            assert!(inside.count() <= model.cap);
        }
        assert_eq!(table.len(), model.nodes.len());
        assert_eq!(table.is_empty(), model.nodes.is_empty());
        for age in [1, 3, 9].map(Duration::from_secs) {
            let is_stale = |bucket: &u32| {
                let changed = model.changed.get(bucket);
                changed.is_none_or(|changed| self.now - *changed >= age)
            };
            let stale: Vec<_> = (0..table.buckets().len() as u32).filter(is_stale).collect();
            assert_eq!(table.stale(self.now, age).collect::<Vec<_>>(), stale);
        }
    }

    /// What is asked of a table is answered as a search through all nodes would.
    fn ask(&self, target: Key<2>) {
        let (table, model) = (&self.table, &self.model);
        let mut sorted = model.nodes.clone();
        sorted.sort_by_key(|node| node.id.distance(&target));
        assert_eq!(table.closest(&target).copied().collect::<Vec<_>>(), sorted);
        let own = model.own.distance(&target);
        let nearer = sorted.iter().filter(|node| node.id.distance(&target) < own);
        assert_eq!(table.count_closer(&target), nearer.count());
        assert_eq!(table.get(&target).copied(), model.known(&target));
    }
}

proptest! {
    #[test]
    fn a_table_does_what_a_list_of_nodes_would(
        own: u16,
        config in config(),
        steps in prop::collection::vec(step(), 0..120),
        targets in prop::collection::vec(difference(), 4),
    ) {
        let mut harness = Harness::new(own, config);
        for step in steps {
            harness.step(step);
            harness.check();
        }
        for target in targets.into_iter().chain([0, u16::MAX]) {
            harness.ask(harness.key(target));
        }
    }

    #[test]
    fn the_closest_nodes_are_exact_for_keys_of_any_width(
        own: [u8; 20],
        nodes in prop::collection::vec((0..160_usize, any::<[u8; 20]>()), 0..300),
        (bucket, target) in (0..161_usize, any::<[u8; 20]>()),
    ) {
        // Keys that share some bits with the own one, so that there are nodes in all buckets.
        let sharing = |bits: usize, key: [u8; 20]| {
            let bit = |key: &[u8; 20], bit: usize| key[bit / 8] & (0x80 >> (bit % 8));
            let mut mixed = [0; 20];
            for at in 0..160 {
                mixed[at / 8] |= bit(if at < bits { &own } else { &key }, at);
            }
            Key::new(mixed)
        };
        let mut table = RoutingTable::new(Key::new(own), TableConfig::default());
        for (bits, key) in nodes {
            let address = SocketAddr::from(([10, 0, 0, 1], 1));
            table.update(Duration::ZERO, Node::new(sharing(bits, key), address));
        }
        let target = sharing(bucket, target);
        let buckets = table.buckets().iter();
        let mut sorted: Vec<_> = buckets.flat_map(|bucket| bucket.nodes()).collect();
        sorted.sort_by_key(|node| node.id.distance(&target));
        let nearer = |node: &&&Node<_>| node.id.distance(&target) < table.own().distance(&target);
        prop_assert_eq!(table.count_closer(&target), sorted.iter().filter(nearer).count());
        prop_assert_eq!(table.closest(&target).collect::<Vec<_>>(), sorted);
    }
}
