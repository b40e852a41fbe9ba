//! A plain socket speaks to a node: what the reference answered, and what we do.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use rs2p_base::Time;
use rs2p_bytestag::{DhtConfig, ValueId};
use serde_json::{Value as Json, json};

use crate::bench::{Bench, Held, address, findval, own, peer, ping};
use crate::recorded::{bytes, cases, is_same, key, list, text};

/// When the probes were made, by the clock that their time stamps speak of.
const NOW: u64 = 5_000;

/// What the placeholders of a case stand for.
struct Names(BTreeMap<String, Json>);

impl Names {
    fn new() -> Self {
        let id = |number| Json::from(peer(number).to_base64());
        let port = |number| Json::from(address(number).port());
        let names = [
            ("$NODE", own().to_base64().into()),
            ("$PEER", id(0)),
            ("$PEER2", id(1)),
            ("$PEER_PORT", port(0)),
            ("$PORT2", port(1)),
        ];
        Self(names.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn fill(&self, json: &Json) -> Json {
        match json {
            Json::String(text) => self.0.get(text).cloned().unwrap_or_else(|| json.clone()),
            Json::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Json::Object(members) => {
                let filled = members.iter().map(|(name, value)| (name.clone(), self.fill(value)));
                Json::Object(filled.collect())
            }
            _ => json.clone(),
        }
    }

    /// Whether what came is what was expected. What the node makes up is taken as it is: transfers
    /// that it hands out, and tickets of pieces.
    fn expects(&mut self, expected: &Json, came: &Json) -> bool {
        let mut expected = expected.clone();
        if let Some(name) = expected["xferid"].as_str().filter(|name| name.starts_with("$X")) {
            let handed_out = came["xferid"].clone();
            if !handed_out.is_string() {
                return false;
            }
            self.0.entry(name.to_owned()).or_insert(handed_out);
        }
        if expected["xfer_data"].is_string() && came["seq_id"].is_string() {
            expected["seq_id"] = came["seq_id"].clone();
        }
        is_same(came, &self.fill(&expected))
    }
}

/// Where we differ: what is answered to the step of that number instead, and what is held at the
/// end. `None`: nothing.
fn ours(id: &str, step: usize) -> Option<Vec<Json>> {
    let confirmed = |ticket: &str| vec![json!({ "xfer_id": "$X1", "reply_id": ticket })];
    let replied = |more: Json| {
        let reply = json!({ "netid": "BYTESTAG", "nodeid": "$NODE", "reply_id": "q1" });
        vec![crate::bench::joined(reply, more)]
    };
    Some(match (id, step) {
        // It takes any values of the key for the one it named, and would not store that one here
        // (D13).
        ("findval-unknown-index", 0) => {
            let node = json!({ "host": "127.0.0.1", "port": "$PEER_PORT", "id": "$PEER" });
            replied(json!({ "nodes": [node] }))
        }
        // A negative offset is no offset.
        ("getval-offset-negative", 0) => vec![],
        // The first piece is longer than the whole, so the rest is confirmed and thrown away (D16).
        ("store-size-lie", 2) => confirmed("c2"),
        // We never go back to an older publication (D11).
        ("store-other-time", 0) => replied(json!({})),
        // The same answer again, not a second transfer (D4).
        ("store-repeated", 1) => replied(json!({ "xferid": "$X1" })),
        // A piece without a ticket is taken, but there is nothing to confirm it by.
        ("chunk-no-seq", 1) => vec![],
        // An empty piece is the end, and ends are not confirmed.
        ("chunk-empty", 3) => vec![],
        // A transfer is bound to the address that it was granted to (D19).
        ("chunk-other-sender", 2) => vec![],
        // `true` is no key (D16).
        ("key-true", 0) => vec![],
        _ => return None,
    })
}

/// Whether we hold what the reference holds at the end of a case.
fn holds(id: &str, theirs: bool) -> bool {
    match id {
        // A transfer that exceeds what was announced is dropped (D16).
        "store-size-lie" => false,
        // The rest came from somebody else (D19).
        "chunk-other-sender" => false,
        _ => theirs,
    }
}

fn play(case: &Json) {
    let id = text(case, "id");
    let held = case["node_holds"].as_object().unwrap().values().map(|held| Held {
        id: ValueId { key: key(held, "key_hex"), index: key(held, "index_hex") },
        value: bytes(held, "value_hex"),
        stamp: Time::from_millis((held["timestamp"].as_f64().unwrap() * 1_000.0) as u64),
        original: false,
    });
    let config = DhtConfig { keeps_foreign_keys: true, ..DhtConfig::default() };
    let mut bench = Bench::holding(config, NOW, held.collect());
    let mut names = Names::new();
    let senders = BTreeMap::from([("peer", address(0)), ("second", address(1))]);
    let steps = list(case, "steps");
    for (number, step) in steps.iter().enumerate() {
        let from = senders[text(step, "from")];
        bench.say(from, &names.fill(&step["send"]));
        if step["send"]["rpc"] == "getval" {
            bench.breathe();
        }
        let expected = ours(id, number).unwrap_or_else(|| list(step, "replies").to_vec());
        let came = bench.sent();
        assert_eq!(came.len(), expected.len(), "{id}, step {number}: {came:?}");
        for (expected, came) in expected.iter().zip(came) {
            assert_eq!(came.to, from, "{id}, step {number}");
            let is_right = names.expects(expected, &came.json);
            assert!(is_right, "{id}, step {number}: {} for {expected}", came.json);
        }
    }
    if let Some(contacts) = case.get("contacts_afterwards") {
        check_contacts(id, &bench, &names.fill(contacts));
    }
    let stored = list(case, "stored_afterwards");
    for stored in stored {
        let value = ValueId { key: key(stored, "key_hex"), index: key(stored, "index_hex") };
        assert_eq!(bench.dht.has(&value), holds(id, true), "{id}");
        if bench.dht.has(&value) {
            bench.say(address(1), &findval(1, &value));
            let told = bench.sent_one().json["vals"][0].clone();
            assert!(is_same(&told["time"], &stored["timestamp"]), "{id}: {told}");
            assert_eq!(told["size"], bytes(stored, "value_hex").len(), "{id}");
        }
    }
    let before = case["node_holds"].as_object().unwrap().len();
    // The one value that a defect of the reference loses (D2).
    let saved = usize::from(id == "chunk-repeated");
    let kept = if holds(id, true) { stored.len() } else { 0 };
    assert_eq!(bench.dht.status().foreign_values, before + kept + saved, "{id}");
    // Whatever came, the node goes on.
    bench.say(address(7), &ping(7));
    assert_eq!(bench.sent_one().to, address(7), "{id}");
}

fn check_contacts(id: &str, bench: &Bench, contacts: &Json) {
    let known: Vec<(String, SocketAddrV4)> =
        bench.dht.table().closest(&own()).map(|node| (node.id.to_base64(), node.address)).collect();
    let contacts = contacts.as_array().unwrap();
    assert_eq!(known.len(), contacts.len(), "{id}: {known:?}");
    for contact in contacts {
        let is_it = |(node, address): &(String, SocketAddrV4)| {
            contact[0] == node.as_str() && contact[1] == address.port()
        };
        assert!(known.iter().any(is_it), "{id}: {contact}");
    }
}

#[test]
fn every_probe_of_the_reference_is_answered_as_it_should_be() {
    let cases = cases("probes", 73);
    let differing =
        cases.iter().filter(|case| (0..5).any(|step| ours(text(case, "id"), step).is_some()));
    // What all must agree on is not among what we do otherwise. Which values old nodes are told of
    // by who lacks the one they named is recorded as such, but they can read either answer, and
    // the one of the reference keeps them from storing what they have.
    let must = differing.clone().filter(|case| case["compat"] == "must");
    assert!(must.map(|case| text(case, "id")).eq(["findval-unknown-index"]));
    assert_eq!(differing.count(), 9);
    for case in &cases {
        play(case);
    }
}
