//! What bare peers said to real py2p and js2p nodes, said to a node of ours: where it does
//! otherwise, the table says why.

use std::collections::BTreeMap;
use std::path::Path;

use rs2p_base::{NodeId, Time};
use rs2p_mesh::MeshConfig;
use rs2p_sync::SyncConfig;
use rs2p_wire::{Frame, Limits, MainFlag, Message, SubFlag, text_bytes};
use serde_json::Value as Json;

use crate::bench::{Bench, Kind, PeerIndex};

/// Which reference, the scenario, the key, its value here, and the reason.
type Difference = (&'static str, &'static str, &'static str, Option<&'static str>, &'static str);

/// What a node of ours makes otherwise than the reference did, and why.
const DIFFERENCES: [Difference; 3] = [
    (
        "py2p",
        "changes by a peer",
        "a",
        Some("smaller id"),
        "text and bytes are one key here, so the write by text comes against another owner's lease",
    ),
    (
        "py2p",
        "leasing off",
        "m",
        Some(r#"{"p": "1", "q": "2"}"#),
        "py2p takes owner and time of an older delta; here the latest write names them",
    ),
    (
        "js2p",
        "peer deletes a key",
        "a",
        None,
        "js2p cannot delete, and drops the link; here the key is deleted",
    ),
];

/// What an argument of leasing means: js2p built without one decides as if there were none.
fn leasing(scenario: &Json) -> bool {
    scenario["leasing"] == true
}

fn scenarios() -> Vec<Json> {
    let path = "../../tests/vectors/sync_frames.json";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let file: Json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    file["scenarios"].as_array().unwrap().clone()
}

fn message(item: &Json) -> Option<Message> {
    let bytes = hex::decode(item["frame"].as_str()?).unwrap();
    Message::parse(Frame::decode(bytes.into(), &Limits::default()).unwrap()).ok()
}

fn is_write(message: &Message) -> bool {
    matches!(message.sub_flag(), Some(SubFlag::Store | SubFlag::Delta))
}

/// A node in the place of the reference, and the bare peer of the recording.
fn node(scenario: &Json, first: &Message) -> (Bench, PeerIndex) {
    let config = SyncConfig { leasing: leasing(scenario), ..SyncConfig::default() };
    let id: NodeId = scenario["node_id"].as_str().unwrap().parse().unwrap();
    let now = Time::from_secs(first.time());
    let mut bench = Bench::at(now, id, config, MeshConfig::default());
    let kind = if scenario["reference"] == "py2p" { Kind::Py2p } else { Kind::Js2p };
    let peer = bench.join_as(scenario["bare_id"].as_str().unwrap().parse().unwrap(), kind);
    bench.clear();
    (bench, peer)
}

/// A value as the recording writes it, without regard to whether a text is one or bytes.
fn plain(value: &Json) -> String {
    let Some((kind, value)) = value.as_object().and_then(|it| it.iter().next()) else {
        return value.as_str().unwrap().to_owned();
    };
    match kind.as_str() {
        "bin" => String::from_utf8_lossy(&hex::decode(value.as_str().unwrap()).unwrap()).into(),
        "str" => value.as_str().unwrap().to_owned(),
        "map" => {
            let pairs = value.as_array().unwrap().iter();
            let pairs: BTreeMap<_, _> = pairs.map(|it| (plain(&it[0]), plain(&it[1]))).collect();
            format!("{pairs:?}")
        }
        "array" => {
            let values: Vec<_> = value.as_array().unwrap().iter().map(plain).collect();
            format!("{values:?}")
        }
        "nil" => "nil".into(),
        _ => value.to_string(),
    }
}

/// A value of ours in the same manner.
fn ours(value: &rs2p_wire::Value) -> String {
    if let Some(text) = text_bytes(value) {
        return String::from_utf8_lossy(text).into();
    }
    if let Some(pairs) = value.as_map() {
        let pairs: BTreeMap<_, _> = pairs.iter().map(|it| (ours(&it.0), ours(&it.1))).collect();
        return format!("{pairs:?}");
    }
    if let Some(values) = value.as_array() {
        return format!("{:?}", values.iter().map(ours).collect::<Vec<_>>());
    }
    value.to_string()
}

/// What is held: key, value, owner, time.
type Held = BTreeMap<String, (String, String, u64)>;

fn reference(scenario: &Json) -> Held {
    let state = &scenario["state_after"];
    let pairs = |of: &str| state[of].as_array().unwrap().clone();
    let data = pairs("data").into_iter().zip(pairs("metadata"));
    data.map(|(value, meta)| {
        assert_eq!(value[0], meta[0]);
        let time = meta[1]["timestamp"].as_u64().unwrap();
        (plain(&value[0]), (plain(&value[1]), plain(&meta[1]["owner"]), time))
    })
    .collect()
}

fn held(bench: &Bench) -> Held {
    let entry = |key: bytes::Bytes| {
        let entry = bench.sync.entry(&key).unwrap();
        let key = String::from_utf8_lossy(&key).into_owned();
        (key, (ours(&entry.value), entry.meta.owner.to_string(), entry.meta.timestamp))
    };
    bench.sync.keys().into_iter().map(entry).collect()
}

#[test]
fn what_peers_said_to_the_references_leads_to_the_same_state_here() {
    let mut compared = 0;
    for scenario in scenarios() {
        let name = scenario["name"].as_str().unwrap();
        let from = scenario["reference"].as_str().unwrap();
        // js2p without the argument is in a network with leases, and decides as if it were not.
        if scenario["leasing"].is_null() && name.starts_with("changes by a peer") {
            continue;
        }
        let items = scenario["items"].as_array().unwrap();
        let said: Vec<Message> = items
            .iter()
            .filter(|item| item["from"] == "bare")
            .filter_map(message)
            .filter(is_write)
            .collect();
        let has_local = items.iter().any(|item| item["result"] == "ok");
        if said.is_empty() || has_local || name == "hand-over at handshake" {
            continue;
        }
        let mut scenario = scenario.clone();
        if scenario["leasing"].is_null() {
            scenario["leasing"] = true.into();
        }
        let (mut bench, peer) = node(&scenario, &said[0]);
        for message in &said {
            bench.hear(peer, message.clone());
        }
        assert!(!bench.is_closed(peer), "{from} {name}: no message costs a link here");
        let (mut expected, mut here) = (reference(&scenario), held(&bench));
        for (reference, scenario, key, value, why) in DIFFERENCES {
            if (reference, scenario) == (from, name) {
                let (there, here) = (expected.remove(key), here.remove(key));
                assert_ne!(there, here, "{why}");
                assert_eq!(here.map(|(value, ..)| value).as_deref(), value, "{why}");
            }
        }
        assert_eq!(here, expected, "{from} {name}");
        compared += 1;
    }
    assert!(compared >= 9, "{compared} scenarios");
}

#[test]
fn a_user_who_does_what_one_of_the_references_did_sends_the_same_messages() {
    for scenario in scenarios().iter().filter(|it| it["name"] == "local changes") {
        let from = scenario["reference"].as_str().unwrap();
        let items = scenario["items"].as_array().unwrap();
        let sent: Vec<Message> = items
            .iter()
            .filter(|item| item["from"] == from)
            .filter_map(message)
            .filter(is_write)
            .collect();
        let mut scenario = scenario.clone();
        scenario["leasing"] = true.into();
        let (mut bench, peer) = node(&scenario, &sent[0]);
        let mut calls = items.iter().filter(|item| item["result"] == "ok");
        for expected in &sent {
            let call = calls.next().unwrap()["local"].as_str().unwrap();
            let time = Time::from_secs(expected.time());
            let pause = time.since(bench.now);
            bench.run_for(pause);
            let payload = expected.payload(&Limits::default()).unwrap();
            let key = text_bytes(&payload[1]).unwrap().to_vec();
            bench
                .call(|sync, now| match call {
                    _ if call.starts_with("pop") => sync.pop(now, &key).map(drop),
                    _ if call.starts_with("delete") => sync.del(now, &key),
                    _ if call.starts_with("delta") => {
                        sync.apply_delta(now, &key, payload[2].as_map().unwrap()).map(drop)
                    }
                    _ => sync.set(now, &key, payload[2].clone()),
                })
                .unwrap();
            let flag = expected.sub_flag().unwrap();
            let heard = bench.heard(peer, flag);
            assert_eq!(heard.len(), 1, "{from} {call}");
            assert_eq!(heard[0].payload(&Limits::default()).unwrap(), payload, "{from} {call}");
            assert_eq!(heard[0].kind(), MainFlag::Broadcast);
            assert_eq!((heard[0].sender(), heard[0].time()), (expected.sender(), expected.time()));
            // The same bytes, but for what stands behind.
            let (ours, theirs) = (heard[0].body(), expected.body());
            assert!(ours.starts_with(theirs) || from == "js2p", "{from} {call}");
        }
        assert_eq!(held(&bench), reference(&scenario), "{from}");
    }
}

#[test]
fn an_old_peer_is_handed_over_what_the_references_hand_over() {
    for scenario in scenarios().iter().filter(|it| it["name"] == "hand-over at handshake") {
        let from = scenario["reference"].as_str().unwrap();
        let items = scenario["items"].as_array().unwrap();
        let to = |peer: &str| -> Vec<Message> {
            let items = items.iter().filter(|it| it["from"] == from && it["to"] == peer);
            items.filter_map(message).filter(is_write).collect()
        };
        let (set, told) = (to("bare"), to("second"));
        let mut leased = scenario.clone();
        leased["leasing"] = true.into();
        let (mut bench, bare) = node(&leased, &set[0]);
        let said = items.iter().filter(|it| it["from"] == "bare").filter_map(message);
        for message in said.filter(is_write) {
            bench.hear(bare, message);
        }
        for message in &set {
            let payload = message.payload(&Limits::default()).unwrap();
            let key = text_bytes(&payload[1]).unwrap();
            bench.call(|sync, now| sync.set(now, key, payload[2].clone())).unwrap();
        }
        let second = told[0].clone();
        assert_eq!(second.kind(), MainFlag::Whisper);
        let kind = if from == "py2p" { Kind::Py2p } else { Kind::Js2p };
        let peer = bench.join_as("4".repeat(66).parse().unwrap(), kind);
        // The reference's come in the order of its map, and twice.
        let payload = |message: &Message| format!("{:?}", message.payload(&Limits::default()));
        let mut heard: Vec<_> = bench.heard(peer, SubFlag::Store).iter().map(payload).collect();
        let mut told: Vec<_> = told.iter().map(payload).collect();
        [&mut heard, &mut told].into_iter().for_each(|list| list.sort());
        told.dedup();
        assert_eq!(heard, told, "{from}");
    }
}
