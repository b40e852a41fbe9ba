//! Lookups in a network that answers, or does not.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use rs2p_kad::{Address, Key, Lookup, LookupConfig, Node, RoutingTable, TableConfig};

#[derive(Clone, Copy, Debug, PartialEq)]
struct Nowhere;

impl Address for Nowhere {}

type Contact = Node<Nowhere, 2>;

/// How a node deals with a question.
#[derive(Clone, Debug)]
enum Manner {
    Answers,
    Late,
    Silent,
    /// Slow first, silent then.
    LateSilent,
    /// Names whom it likes: nodes that are there, and some that are not.
    Lies(Vec<u16>),
}

#[derive(Debug)]
struct Network {
    nodes: BTreeMap<Key<2>, (Manner, RoutingTable<Nowhere, 2>)>,
    k: usize,
}

impl Network {
    /// Each node has heard of each other one, and keeps those for whom there is room.
    fn new(k: usize, nodes: &[(u16, Manner)]) -> Self {
        let config = TableConfig { k: NonZeroUsize::new(k).unwrap(), per_prefix: None };
        let tables = nodes.iter().enumerate().map(|(at, (own, manner))| {
            let mut table = RoutingTable::new(key(*own), config);
            let (before, after) = nodes.split_at(at);
            for (id, _) in after.iter().chain(before) {
                table.update(Duration::ZERO, Node::new(key(*id), Nowhere));
            }
            (key(*own), (manner.clone(), table))
        });
        Self { nodes: tables.collect(), k }
    }

    fn nearest(&self, target: Key<2>) -> Vec<Key<2>> {
        let mut all: Vec<_> = self.nodes.keys().copied().collect();
        all.sort_by_key(|id| id.distance(&target));
        all.truncate(self.k);
        all
    }
}

/// What came of a lookup.
struct Outcome {
    closest: Vec<Key<2>>,
    questions: usize,
    /// Everyone told of, and what became of them: whether they answered.
    named: BTreeMap<Key<2>, Option<bool>>,
}

/// Runs a lookup whose questions are settled in any order, and watches its rules.
fn run(
    network: &Network,
    target: Key<2>,
    config: LookupConfig,
    start: &[Contact],
    order: &[Index],
) -> Outcome {
    let (k, alpha, paths) = (config.k.get(), config.alpha.get(), config.paths.get());
    let mut lookup = Lookup::new(target, config, start.iter().copied());
    // A node is of the path of whoever told of it first.
    let mut path_of = BTreeMap::new();
    for (number, node) in start.iter().enumerate() {
        path_of.entry(node.id).or_insert(number % paths);
    }
    let mut outcome: BTreeMap<_, _> = path_of.keys().map(|id| (*id, None)).collect();
    let (mut asked, mut under_way) = (BTreeSet::new(), Vec::<(Contact, bool)>::new());
    let mut order = order.iter().cycle();
    let mut questions = 0;
    loop {
        while let Some(node) = lookup.next() {
            assert!(asked.insert(node.id), "nobody is asked twice");
            questions += 1;
            under_way.push((node, false));
            for path in 0..paths {
                let prompt =
                    under_way.iter().filter(|(node, late)| !late && path_of[&node.id] == path);
                assert!(prompt.count() <= alpha, "alpha questions are under way on a path");
            }
        }
        if lookup.is_done() {
            break;
        }
        assert!(!under_way.is_empty(), "it is done when nobody is left to wait for");
        let at = order.next().unwrap().index(under_way.len());
        let (node, late) = under_way.swap_remove(at);
        let found = network.nodes.get(&node.id);
        let told: Option<Vec<_>> = match found.map(|(manner, _)| manner) {
            Some(Manner::Late | Manner::LateSilent) if !late => {
                lookup.delayed(&node.id);
                under_way.push((node, true));
                continue;
            }
            Some(Manner::Answers | Manner::Late) => {
                found.map(|(_, table)| table.closest(&target).take(k).copied().collect())
            }
            Some(Manner::Lies(named)) => {
                Some(named.iter().map(|id| Node::new(key(*id), Nowhere)).collect())
            }
            Some(Manner::Silent | Manner::LateSilent) | None => None,
        };
        outcome.insert(node.id, Some(told.is_some()));
        match told {
            None => lookup.failed(&node.id),
            Some(told) => {
                let path = path_of[&node.id];
                for named in told.iter().take(k) {
                    path_of.entry(named.id).or_insert(path);
                    outcome.entry(named.id).or_insert(None);
                }
                lookup.answered(&node.id, told);
            }
        }
    }
    let closest = lookup.closest().map(|node| node.id).collect();
    Outcome { closest, questions, named: outcome }
}

fn key(id: u16) -> Key<2> {
    Key::new(id.to_be_bytes())
}

fn config(k: usize, alpha: usize, paths: usize) -> LookupConfig {
    let [k, alpha, paths] = [k, alpha, paths].map(|number| NonZeroUsize::new(number).unwrap());
    LookupConfig { k, alpha, paths }
}

/// Some of the nodes, to start from.
fn some(nodes: &[(u16, Manner)], chosen: &[Index]) -> Vec<Contact> {
    chosen.iter().map(|at| Node::new(key(at.get(nodes).0), Nowhere)).collect()
}

fn manner() -> impl Strategy<Value = Manner> {
    prop_oneof![
        6 => Just(Manner::Answers),
        1 => Just(Manner::Late),
        2 => Just(Manner::Silent),
        1 => Just(Manner::LateSilent),
        1 => prop::collection::vec(any::<u16>(), 0..20).prop_map(Manner::Lies),
        1 => prop::collection::vec(0..64_u16, 0..20).prop_map(Manner::Lies),
    ]
}

fn ids(most: usize) -> impl Strategy<Value = BTreeSet<u16>> {
    // All over the space, and crowded in one corner of it.
    prop::collection::btree_set(prop_oneof![any::<u16>(), 0..256_u16], 1..most)
}

fn order() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 1..32)
}

proptest! {
    #[test]
    fn the_nearest_nodes_are_found_exactly_if_all_answer(
        ids in ids(120),
        target in prop_oneof![any::<u16>(), 0..256_u16],
        (k, alpha) in (1..8_usize, 1..5_usize),
        start in prop::collection::vec(any::<Index>(), 1..4),
        order in order(),
    ) {
        let nodes: Vec<_> = ids.into_iter().map(|id| (id, Manner::Answers)).collect();
        let network = Network::new(k, &nodes);
        let start = some(&nodes, &start);
        let outcome = run(&network, key(target), config(k, alpha, 1), &start, &order);
        let nearest = network.nearest(key(target));
        prop_assert_eq!(&outcome.closest[..nearest.len()], nearest);
    }

    #[test]
    fn slow_nodes_are_found_like_others(
        ids in ids(80),
        target: u16,
        (k, alpha) in (1..8_usize, 1..5_usize),
        late in prop::collection::vec(any::<bool>(), 80),
        start in prop::collection::vec(any::<Index>(), 1..4),
        order in order(),
    ) {
        let manner = |late| if late { Manner::Late } else { Manner::Answers };
        let nodes: Vec<_> = ids.into_iter().zip(late.into_iter().map(manner)).collect();
        let network = Network::new(k, &nodes);
        let start = some(&nodes, &start);
        let outcome = run(&network, key(target), config(k, alpha, 1), &start, &order);
        let nearest = network.nearest(key(target));
        prop_assert_eq!(&outcome.closest[..nearest.len()], nearest);
    }

    #[test]
    fn whatever_nodes_do_a_lookup_ends_with_the_nearest_that_answered(
        nodes in prop::collection::btree_map(any::<u16>(), manner(), 1..100),
        target in prop_oneof![any::<u16>(), 0..64_u16],
        (k, alpha, paths) in (1..6_usize, 1..5_usize, 1..4_usize),
        start in prop::collection::vec(any::<Index>(), 0..6),
        order in order(),
    ) {
        let nodes: Vec<_> = nodes.into_iter().collect();
        let network = Network::new(k, &nodes);
        let target = key(target);
        let start = some(&nodes, &start);
        let Outcome { closest, questions, named } =
            run(&network, target, config(k, alpha, paths), &start, &order);
        let limit = 16 * k + 16;
        prop_assert!(questions <= paths * limit);
        prop_assert!(closest.is_sorted_by(|a, b| a.distance(&target) < b.distance(&target)));
        prop_assert!(closest.len() <= paths * 8 * k.max(start.len()));
        for id in &closest {
            prop_assert_eq!(named[id], Some(true), "only who answered is found");
        }
        // Nothing was dropped and no limit was met: then nobody near was passed over.
        if named.len() <= 8 * k && questions < limit {
            let live = named.iter().filter(|(_, answered)| **answered != Some(false));
            let mut live: Vec<_> = live.collect();
            live.sort_by_key(|(id, _)| id.distance(&target));
            for (id, answered) in live.into_iter().take(k) {
                prop_assert_eq!(*answered, Some(true), "{} was not asked", id);
            }
        }
    }
}
