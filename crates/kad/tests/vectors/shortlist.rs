//! The lookup, in rounds of three that are awaited together.

use std::collections::{BTreeMap, BTreeSet};

use rs2p_kad::{Key, Lookup, LookupConfig, Node};
use serde_json::Value as Json;

use crate::{cases, key, list, names, text};

/// Names of nodes by id. A second name of one id is its second address.
struct Names(BTreeMap<Key, Vec<String>>);

impl Names {
    fn new(case: &Json) -> Self {
        let mut names = BTreeMap::<_, Vec<_>>::new();
        for (name, node) in case["nodes"].as_object().unwrap() {
            names.entry(key(text(node, "id_hex"))).or_default().push(name.clone());
        }
        Self(names)
    }

    fn node(&self, name: &str) -> Node<String> {
        let is_named = |names: &Vec<String>| names.iter().any(|known| known == name);
        let (id, _) = self.0.iter().find(|(_, names)| is_named(names)).unwrap();
        Node::new(*id, name.to_owned())
    }
}

/// Runs the lookup of a case; the rounds, sorted by name, and who answered, nearest first.
fn run(case: &Json) -> (Vec<Vec<String>>, Vec<String>) {
    let known = Names::new(case);
    let start = names(&case["initial"]);
    let target = key(text(case, "target_hex"));
    let mut lookup =
        Lookup::new(target, LookupConfig::default(), start.iter().map(|name| known.node(name)));
    lookup.exclude(known.node("self").id);
    let mut rounds = Vec::new();
    while !lookup.is_done() {
        let asked: Vec<_> = std::iter::from_fn(|| lookup.next()).collect();
        assert!((1..=3).contains(&asked.len()), "{}", text(case, "id"));
        for node in &asked {
            // Nobody answers for a node that the case does not describe.
            let reply = case["replies"].get(&node.address);
            match reply.filter(|reply| reply.get("timeout").is_none()) {
                Some(reply) => {
                    let told = reply.get("nodes").map(names).unwrap_or_default();
                    lookup.answered(&node.id, told.iter().map(|name| known.node(name)));
                }
                None => lookup.failed(&node.id),
            }
        }
        let mut round: Vec<_> = asked.into_iter().map(|node| node.address).collect();
        round.sort();
        rounds.push(round);
    }
    assert_eq!(lookup.next(), None);
    let closest = lookup.closest().map(|node| node.address.clone()).collect();
    (rounds, closest)
}

fn of_mode(mode: &str, count: usize) -> Vec<Json> {
    let all = cases("shortlist", 21).into_iter();
    let chosen: Vec<_> = all.filter(|case| text(case, "mode") == mode).collect();
    assert_eq!(chosen.len(), count, "lookups of a {mode}");
    chosen
}

/// The model asks the nearest first and ends when the twenty nearest live ones have answered.
#[test]
fn nodes_are_found_as_a_robust_lookup_finds_them() {
    for case in of_mode("node", 13) {
        let id = text(&case, "id");
        let (rounds, closest) = run(&case);
        let model = &case["closest_first_model"];
        let mut expected: Vec<_> = list(model, "rounds").iter().map(names).collect();
        if id == "many-dead" {
            // The one that answers names thirty. We take twenty of an answer, as many as an
            // honest node sends; the model takes all.
            let taken: BTreeSet<_> =
                names(&case["replies"]["a"]["nodes"])[..20].to_vec().into_iter().collect();
            expected.iter_mut().skip(1).for_each(|round| round.retain(|name| taken.contains(name)));
            expected.retain(|round| !round.is_empty());
        }
        expected.iter_mut().for_each(|round| round.sort());
        assert_eq!(rounds, expected, "{id}");
        assert_eq!(closest, names(&model["result"]), "{id}");
    }
}

/// Whoever answers, with values, nodes or nothing, is found; the silent are not. What the values
/// are is the caller's matter.
#[test]
fn values_are_searched_for_as_nodes_are() {
    for case in of_mode("value", 8) {
        let id = text(&case, "id");
        let (rounds, closest) = run(&case);
        let expected: Vec<_> = list(&case["expect"], "rounds").iter().map(names).collect();
        assert_eq!(rounds, expected, "{id}");
        let found: BTreeSet<_> = closest.into_iter().collect();
        let expected = names(&case["expect"]["final_nodes"]).into_iter().collect();
        assert_eq!(found, expected, "{id}");
    }
}
