//! A bucket, step by step.

use std::collections::BTreeSet;
use std::time::Duration;

use rs2p_kad::{Bucket, Key, Node, Update};
use serde_json::Value as Json;

use crate::{cases, key, list, names, text};

type Contact = (String, u64);

/// A bucket of a case, and the names of its nodes.
struct Harness {
    nodes: Json,
    bucket: Bucket<Contact>,
    clock: Duration,
}

impl Harness {
    fn new(case: &Json) -> Self {
        Self { nodes: case["nodes"].clone(), bucket: Bucket::new(), clock: Duration::ZERO }
    }

    fn node(&self, name: &str) -> Node<Contact> {
        let node = &self.nodes[name];
        let address = (text(node, "host").to_owned(), node["port"].as_u64().unwrap());
        Node::new(key(text(node, "id_hex")), address)
    }

    fn name(&self, node: &Node<Contact>) -> String {
        let names = self.nodes.as_object().unwrap().keys();
        names.into_iter().find(|name| self.node(name) == *node).unwrap().clone()
    }

    fn order(&self) -> Vec<String> {
        self.bucket.nodes().map(|node| self.name(node)).collect()
    }

    /// Does one step; says what came of it, in the words of the vectors, and whether the time of
    /// change was set.
    fn step(&mut self, step: &Json) -> (String, bool) {
        self.clock += Duration::from_secs(1);
        let op = names(&step["op"]);
        // What the outcome of a ping is said of: nobody, where none is under way.
        let pinged = self.bucket.pinged().copied().unwrap_or(Key::new([0; 20]));
        let result = match op[0].as_str() {
            "update" => {
                let node = self.node(&op[1]);
                match self.bucket.update(self.clock, node, 20) {
                    Update::Added => "added".to_owned(),
                    Update::Refreshed => "moved to tail".to_owned(),
                    Update::Ping(oldest) => format!("full: ping {}", self.name(&oldest)),
                    Update::Spare => "ignored".to_owned(),
                    Update::Refused => panic!("a bucket refuses nobody"),
                }
            }
            "keep_old" => {
                self.bucket.keep_old(self.clock, &pinged, 20);
                "ok".to_owned()
            }
            "keep_new" => {
                self.bucket.keep_new(self.clock, &pinged);
                "ok".to_owned()
            }
            other => panic!("unknown step {other}"),
        };
        (result, self.bucket.changed() == Some(self.clock))
    }
}

fn run(id: &str) -> Vec<(Json, String, bool, Vec<String>, bool)> {
    let cases = cases("bucket", 10);
    let case = cases.iter().find(|case| text(case, "id") == id).unwrap();
    assert_eq!(case["capacity"], 20);
    let mut harness = Harness::new(case);
    let steps = list(case, "steps").iter().map(|step| {
        let (result, changed) = harness.step(step);
        let pending = harness.bucket.pinged().is_some();
        (step.clone(), result, changed, harness.order(), pending)
    });
    steps.collect()
}

#[test]
fn we_agree_where_nobody_is_kept() {
    for id in ["add-three", "refresh", "full-keep-new"] {
        for (step, result, changed, order, pending) in run(id) {
            assert_eq!(result, text(&step, "result"), "{id}: {}", step["op"]);
            assert_eq!(order, names(&step["order"]), "{id}: {}", step["op"]);
            assert_eq!(Json::Bool(pending), step["pending"], "{id}: {}", step["op"]);
            assert_eq!(Json::Bool(changed), step["last_update_changed"], "{id}: {}", step["op"]);
        }
    }
}

/// The members are the same. The order is not: the reference leaves a node that answered at the
/// head, where the next newcomer has it pinged again.
#[test]
fn a_head_that_answered_is_moved_to_the_tail() {
    let steps = run("full-keep-old");
    let mut turns = 0;
    for (step, result, changed, order, pending) in steps {
        assert_eq!(Json::Bool(pending), step["pending"]);
        assert_eq!(Json::Bool(changed), step["last_update_changed"]);
        let members: BTreeSet<_> = order.iter().cloned().collect();
        assert_eq!(members, names(&step["order"]).into_iter().collect());
        let mut wanted = names(&step["order"]);
        if step["op"][0] == "keep_old" {
            turns += 1;
        }
        wanted.rotate_left(turns);
        assert_eq!(order, wanted, "{}", step["op"]);
        if text(&step, "result") == "full: ping n00" {
            assert_eq!(result, format!("full: ping n0{turns}"));
        } else {
            assert_eq!(result, text(&step, "result"));
        }
    }
    assert_eq!(turns, 2);
}

#[test]
fn a_mix_of_steps_keeps_whoever_answers() {
    // The second node to be pinged answered, so it is the third that gives way.
    let steps = run("mixed");
    let results: Vec<_> = steps.iter().rev().take(6).map(|step| step.1.as_str()).collect();
    let expected = ["ok", "full: ping n04", "ok", "full: ping n02", "ok", "full: ping n01"];
    assert_eq!(results, expected);
    let last = steps.last().unwrap();
    let mut wanted = names(&last.0["order"]);
    assert_eq!(wanted.remove(0), "n04");
    let newest = wanted.pop();
    wanted.push("n02".to_owned());
    wanted.extend(newest);
    assert_eq!(last.3, wanted);
    for (step, result, _, order, _) in &steps[..steps.len() - 3] {
        assert_eq!(result, text(step, "result"));
        assert_eq!(
            order.iter().collect::<BTreeSet<_>>(),
            names(&step["order"]).iter().collect::<BTreeSet<_>>()
        );
    }
}

#[test]
fn a_member_is_refreshed_while_a_ping_is_under_way() {
    let steps = run("pending-ignores");
    for (step, result, changed, order, pending) in &steps {
        let is_member = step["op"][1] == "n05" && step["result"] == "ignored";
        let wanted = if is_member { "moved to tail" } else { text(step, "result") };
        assert_eq!(result, wanted, "{}", step["op"]);
        assert_eq!(Json::Bool(*pending), step["pending"]);
        assert_eq!(*changed, is_member || step["last_update_changed"] == true);
        assert_eq!(
            order.iter().collect::<BTreeSet<_>>(),
            names(&step["order"]).iter().collect::<BTreeSet<_>>()
        );
    }
    let order = &steps.last().unwrap().3;
    assert_eq!((order[0].as_str(), &order[18..]), ("n01", &["n05".to_owned(), "n00".into()][..]));
}

/// Defect D9 of the reference: it has the oldest pinged, and the known node is there twice.
#[test]
fn a_member_of_a_full_bucket_is_refreshed_and_stays_one() {
    for (id, name) in [("full-known-member", "n07"), ("full-known-head", "n00")] {
        let steps = run(id);
        let (_, result, changed, _, pending) = &steps[steps.len() - 2];
        assert_eq!((result.as_str(), *changed, *pending), ("moved to tail", true, false));
        // Nobody was to be pinged, so the outcome that the vectors go on with changes nothing.
        let (_, _, changed, order, _) = steps.last().unwrap();
        assert!(!changed);
        assert_eq!((order.len(), order.last().unwrap().as_str()), (20, name));
        assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 20);
    }
}

/// A quirk of the reference: it takes both. We have the known address pinged first.
#[test]
fn an_id_at_another_address_takes_no_second_place() {
    let steps = run("same-id-other-address");
    let (_, result, _, order, pending) = steps.last().unwrap();
    assert_eq!(result, "full: ping a");
    assert_eq!(*order, ["a", "b"]);
    assert!(pending);
}

/// An assertion in the reference. A late answer must not stop a node, so here it is nothing.
#[test]
fn an_outcome_that_nobody_asked_for_changes_nothing() {
    for (step, _, changed, order, pending) in run("keep-unasked") {
        assert_eq!(order, names(&step["order"]));
        assert_eq!(Json::Bool(pending), step["pending"]);
        assert_eq!(Json::Bool(changed), step["last_update_changed"]);
    }
}
