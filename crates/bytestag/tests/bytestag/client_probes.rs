//! What a node makes of answers that it is given.

use std::net::{Ipv4Addr, SocketAddrV4};

use rs2p_bytestag::{DhtConfig, DhtEvent, Found, Key};
use serde_json::{Value as Json, json};

use crate::bench::{Bench, Sent, address, own, peer, reply};
use crate::recorded::{cases, is_same, list, text};

/// The node that the lists of the cases name, and where it is said to be.
const LISTED: (Key, SocketAddrV4) =
    (Key::new([0x11; 20]), SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 5), 777));

/// Where we differ, all of it optional or a defect.
fn differs(id: &str) -> bool {
    match id {
        // Who does not say who he is counts as silent; the reference takes that for a pong that
        // it learns nothing from.
        "ping-no-nodeid" => true,
        // A reply is a reply, whatever else is in it (D19).
        "ping-seq-too" => true,
        // An empty list is an answer (D6).
        "findnode-empty" => true,
        _ => false,
    }
}

/// Lets the scripted peer answer what the node asks, as the case says. Of what the node asks
/// others, nothing is answered.
fn answer(bench: &mut Bench, case: &Json, question: &Sent, key: Key) {
    let Some(members) = case["reply"].as_object() else { return };
    let ticket = question.json["seq_id"].as_str().unwrap();
    let fill = |text: String| {
        let filled = text.replace("\"$SEQ\"", &format!("\"{ticket}\""));
        let filled = filled.replace("$PEER", &peer(0).to_base64());
        filled.replace("$NODE", &own().to_base64()).replace("$KEY", &key.to_base64())
    };
    let text = serde_json::to_string(members).unwrap();
    let reply: Json = serde_json::from_str(&fill(text)).unwrap();
    let is_other = case["reply_comes_from"] == "another port";
    let from = if is_other { address(99) } else { question.to };
    for _ in 0..case["reply_sent_times"].as_u64().unwrap() {
        bench.say(from, &reply);
    }
}

fn contacts(bench: &Bench) -> Vec<Key> {
    bench.dht.table().closest(&own()).map(|node| node.id).collect()
}

#[test]
fn every_answer_to_a_ping_is_taken_as_it_should_be() {
    let pings = cases("client_probes", 18).into_iter().filter(|case| case["call"] == "ping");
    for case in pings {
        let id = text(&case, "id");
        let mut bench = Bench::new(DhtConfig::default());
        let request = bench.call(|dht, now| dht.ping(now, address(0)));
        let question = bench.sent_one();
        // The question is that of the reference, but for its ticket.
        let expected = json!({ "netid": "BYTESTAG", "nodeid": own().to_base64(), "rpc": "ping",
            "seq_id": question.json["seq_id"] });
        assert_eq!(question.json, expected, "{id}");
        answer(&mut bench, &case, &question, own());
        bench.pass_millis(3_999);
        let mut asked = 1;
        asked += bench.sent().iter().filter(|sent| sent.raw == question.raw).count();
        bench.pass_millis(1);
        let Some(DhtEvent::Pinged { result, .. }) = bench.ended(request) else { panic!("{id}") };
        let theirs = case["result"]["pong"] == true;
        let ours = match id {
            "ping-no-nodeid" => false,
            "ping-seq-too" => true,
            _ => theirs,
        };
        assert_eq!(result.is_ok(), ours, "{id}");
        assert!(ours == theirs || (differs(id) && case["compat"] != "must"), "{id}");
        let silent = ["ping-wrong-id", "ping-other-port"].contains(&id);
        assert_eq!(asked, if silent { 2 } else { 1 }, "{id}");
        let known = contacts(&bench);
        let theirs = list(&case, "contacts_afterwards").len();
        assert_eq!(known.len(), if id == "ping-seq-too" { 1 } else { theirs }, "{id}");
        assert!(known.iter().all(|known| *known == peer(0)), "{id}");
    }
}

#[test]
fn every_answer_to_a_lookup_is_taken_as_it_should_be() {
    let lookups = cases("client_probes", 18).into_iter().filter(|case| case["call"] != "ping");
    for case in lookups {
        let id = text(&case, "id");
        let mut bench = Bench::knowing(DhtConfig::default(), 1);
        let key = Key::new([0x77; 20]);
        let is_value = case["call"] == "findval";
        let request = bench.call(|dht, now| match is_value {
            true => dht.find_value(now, key, None),
            false => dht.find(now, key),
        });
        let question = bench.sent_one();
        let mut asked = question.json.clone();
        // The reference lacks only our own member.
        let extension = asked.as_object_mut().unwrap().remove("rs2p");
        assert!(extension.is_some(), "{id}");
        let expected = json!({ "netid": "BYTESTAG", "nodeid": own().to_base64(),
            "rpc": case["call"], "key": key.to_base64(), "seq_id": question.json["seq_id"] });
        assert_eq!(asked, expected, "{id}");
        answer(&mut bench, &case, &question, key);
        // A peer that told of values is asked for nodes as well, and the one it told of, too.
        let further = bench.sent();
        for question in further.iter().filter(|sent| sent.to == address(0)) {
            assert!(question.is("findnode"), "{id}");
            let nodes = reply(question, 0, json!({ "nodes": [] }));
            bench.say(address(0), &nodes);
        }
        bench.pass_millis(60_000);
        let Some(DhtEvent::Found { found, .. }) = bench.ended(request) else { panic!("{id}") };
        let has_asked = further.iter().any(|sent| sent.to == LISTED.1);
        check(&case, found, has_asked);
        if list(&case, "contacts_afterwards").is_empty() {
            assert!(contacts(&bench).is_empty(), "{id}");
        } else if found.nodes.len() == 1 {
            // Only those who answer are known; those listed are not.
            assert_eq!(contacts(&bench), [peer(0)], "{id}");
        }
    }
}

fn check(case: &Json, found: &Found, has_asked: bool) {
    let id = text(case, "id");
    let theirs = &case["result"];
    let nodes = if theirs.is_array() { theirs } else { &theirs["nodes"] };
    let lists = nodes.as_array().is_some_and(|nodes| !nodes.is_empty());
    // Beside values, the nodes that come with them are of use as well.
    assert_eq!(has_asked, lists || id == "findval-both", "{id}");
    let answered = found.nodes.len() == 1;
    let counts = !theirs.is_null() || differs(id);
    assert_eq!(answered, counts, "{id}: {found:?}");
    let values = theirs["values"].as_array().map_or(0, Vec::len);
    assert_eq!(found.values.len(), values, "{id}");
    for ((entry, count), theirs) in found.values.iter().zip(list_of(&theirs["values"])) {
        assert_eq!(*count, 1, "{id}");
        assert_eq!(entry.id.index, Key::new([0x22; 20]), "{id}");
        assert_eq!(entry.size, theirs["size"].as_i64(), "{id}");
        assert!(is_same(&json!(entry.stamp), &theirs["time"]), "{id}");
    }
}

fn list_of(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}
