//! What bare peers said to real py2p and js2p nodes, said to a node of ours; and who owns what in
//! their eyes.

use std::path::Path;
use std::time::Duration;

use num_bigint::BigUint;
use rs2p_base::{NodeId, Time};
use rs2p_chord::{ChordConfig, Position, Ring};
use rs2p_wire::{Frame, Limits, Message, SubFlag, Value, base58};
use serde_json::Value as Json;

use crate::bench::{BEGIN, Bench, Kind, PeerIndex};

fn vectors(name: &str) -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn list(json: &Json) -> &[Json] {
    json.as_array().unwrap()
}

/// 64 bytes of a number in decimal digits.
fn bytes_of(decimal: &Json) -> [u8; 64] {
    let number: BigUint = decimal.as_str().unwrap().parse().unwrap();
    let digits = number.to_bytes_be();
    let mut bytes = [0; 64];
    bytes[64 - digits.len()..].copy_from_slice(&digits);
    bytes
}

fn point(decimal: &Json) -> NodeId {
    NodeId::from_bytes(bytes_of(decimal)[16..].try_into().unwrap())
}

fn number(decimal: &Json) -> String {
    base58::encode(&bytes_of(decimal))
}

fn leech() -> ChordConfig {
    ChordConfig { joins: false, ..ChordConfig::default() }
}

fn begin(joined: bool, id: NodeId, time: u64) -> Bench {
    let config = if joined { ChordConfig::default() } else { leech() };
    let mut bench = Bench::at(Time::from_secs(time), id, config);
    bench.seconds(0);
    assert_eq!(bench.chord.ring().is_some(), joined);
    bench
}

#[test]
fn the_owner_is_the_node_that_the_originals_find() {
    for row in list(&vectors("chord_hashes.json")["routing"]) {
        let own = point(&row["own_id"]);
        let peers = list(&row["peers"]);
        let storing: Vec<(Json, NodeId)> = [("self".into(), own, &row["own_leeching"])]
            .into_iter()
            .chain(
                peers
                    .iter()
                    .enumerate()
                    .map(|(at, it)| (at.into(), point(&it["id"]), &it["leeching"])),
            )
            .filter(|(_, _, leeching)| *leeching == &Json::Bool(false))
            .map(|(name, id, _)| (name, id))
            .collect();
        let ids: Vec<NodeId> = storing.iter().map(|(_, id)| *id).collect();
        let name_of = |id| &storing.iter().find(|(_, it)| *it == id).unwrap().0;
        for lookup in list(&row["lookups"]) {
            let key = point(&lookup["key"]);
            for (name, id) in &storing {
                let ring = Ring::born(*id, 16, &ids);
                assert_eq!(ring.owns(key), lookup["find"] == *name, "{} {lookup}", row["about"]);
            }
            assert_eq!(lookup["find"].is_null(), storing.is_empty());
        }
        // The one before is called next, and the one behind previous.
        if row["own_leeching"] == false && ids.len() > 1 {
            let ring = Ring::born(own, 16, &ids);
            assert_eq!(row["next"], *name_of(ring.predecessor().unwrap()), "{}", row["about"]);
            assert_eq!(row["prev"], *name_of(ring.successor().unwrap()), "{}", row["about"]);
        }
    }
}

/// Old peers are asked for what belongs to them, and nobody for what is this member's.
#[test]
fn a_member_among_old_nodes_asks_whom_the_originals_would_ask() {
    for row in list(&vectors("chord_hashes.json")["routing"]) {
        if row["own_leeching"] == true {
            continue;
        }
        let mut bench = begin(true, point(&row["own_id"]), BEGIN);
        let asker = bench.join_as(crate::bench::id(77), Kind::Py2p);
        let join = |peer: &Json| {
            let index = bench.join_as(point(&peer["id"]), Kind::Py2p);
            bench.stores(index, peer["leeching"] == false);
            index
        };
        let peers: Vec<PeerIndex> = list(&row["peers"]).iter().map(join).collect();
        for peer in &peers {
            asked_for(&mut bench, *peer);
        }
        bench.seconds(3);
        for lookup in list(&row["lookups"]) {
            bench.clear();
            let number = Value::Binary(number(&lookup["key"]).into_bytes());
            bench.whisper(
                asker,
                &[SubFlag::Retrieve.into(), Value::Binary(b"sha384".to_vec()), number],
            );
            for (at, peer) in peers.iter().enumerate() {
                let asked = asked_for(&mut bench, *peer).len();
                assert_eq!(asked, usize::from(lookup["find"] == at), "{} {lookup}", row["about"]);
            }
            bench.run_for(Duration::from_millis(20));
            let answered = bench.payloads(asker, SubFlag::Retrieved).len();
            assert_eq!(answered, usize::from(lookup["find"] == "self"));
        }
    }
}

#[test]
fn an_old_node_that_joins_is_handed_over_what_the_originals_hand_over() {
    for row in list(&vectors("chord_hashes.json")["dump_data"]) {
        let mut bench = begin(true, point(&row["end"]), BEGIN);
        let writer = bench.join_as(crate::bench::id(77), Kind::Py2p);
        for key in list(&row["keys"]) {
            let number = Value::Binary(number(key).into_bytes());
            let table = Value::Binary(b"sha512".to_vec());
            bench.whisper(writer, &[SubFlag::Store.into(), table, number, "value".into()]);
        }
        assert_eq!(bench.chord.records().count(), list(&row["keys"]).len());
        let newcomer = bench.join_as(point(&row["start"]), Kind::Py2p);
        bench.stores(newcomer, true);
        bench.seconds(3);
        let told = bench.payloads(newcomer, SubFlag::Store);
        let mut told: Vec<Vec<u8>> =
            told.into_iter().map(|it| it[1].as_slice().unwrap().to_vec()).collect();
        let expected = list(&row["handed_over"]).iter().map(|key| number(key).into_bytes());
        let mut expected: Vec<Vec<u8>> = expected.collect();
        told.sort();
        expected.sort();
        assert_eq!(told, expected, "{}", row["about"]);
        // It keeps its copies.
        assert_eq!(bench.chord.records().count(), list(&row["keys"]).len());
    }
}

/// What an old peer is asked for, but for what it is asked to know how far it has read: it says.
fn asked_for(bench: &mut Bench, peer: PeerIndex) -> Vec<Vec<Value>> {
    let mut all = Vec::new();
    loop {
        let asked = bench.heard(peer, SubFlag::Retrieve);
        if asked.is_empty() {
            return all;
        }
        for mut asked in asked.iter().map(payload) {
            let text = rs2p_wire::text_bytes(&asked[2]).unwrap();
            let is_last = rs2p_wire::text_bytes(&asked[1]) == Some(b"sha512");
            if is_last && Position::from_text(text).unwrap().point() == bench.id(peer) {
                asked[0] = SubFlag::Retrieved.into();
                asked.push(Value::Nil);
                bench.whisper(peer, &asked);
            } else {
                all.push(asked);
            }
        }
    }
}

fn message(item: &Json) -> Option<Message> {
    let bytes = hex::decode(item["frame"].as_str()?).unwrap();
    Message::parse(Frame::decode(bytes.into(), &Limits::default()).unwrap()).ok()
}

fn payload(message: &Message) -> Vec<Value> {
    message.payload(&Limits::default()).unwrap()
}

/// The recordings of a bare peer, with what it said and what the reference said.
struct Recording {
    json: Json,
    said: Vec<(u64, Message)>,
    told: Vec<Message>,
}

fn recordings() -> Vec<Recording> {
    let of = |json: &Json| {
        let items = list(&json["items"]).iter();
        let of = |is_bare: bool| {
            let mine = items.clone().filter(move |item| (item["from"] == "bare") == is_bare);
            mine.filter_map(|item| Some((item["ms"].as_u64()?, message(item)?)))
        };
        let told = of(false).map(|(_, message)| message).collect();
        Recording { json: json.clone(), said: of(true).collect(), told }
    };
    let all = vectors("chord_hashes.json");
    list(&all["transcripts"]).iter().filter(|it| it["bare_id"].is_string()).map(of).collect()
}

impl Recording {
    fn play(&self) -> (Bench, PeerIndex) {
        let id = self.json["node"]["id"].as_str().unwrap().parse().unwrap();
        let joined = self.json["node"]["joined"] == true;
        let mut bench = begin(joined, id, self.said[0].1.time());
        let is_text =
            self.json["reference"] == "js2p" && self.json["name"] != "the same with bin ids";
        let kind = if is_text { Kind::Js2p } else { Kind::Py2p };
        let bare = bench.join_as(self.json["bare_id"].as_str().unwrap().parse().unwrap(), kind);
        bench.clear();
        (bench, bare)
    }

    fn stores(&self) -> bool {
        self.said.iter().any(|(_, message)| message.sub_flag() == Some(SubFlag::Handshake))
    }
}

#[test]
fn who_stores_and_reads_at_a_node_gets_the_answers_that_the_references_gave() {
    let mut compared = 0;
    for recording in recordings().iter().filter(|it| !it.stores()) {
        let name = &recording.json["name"];
        let (mut bench, bare) = recording.play();
        let mut last = recording.said[0].0;
        for (ms, message) in &recording.said {
            bench.run_for(Duration::from_millis(ms - last));
            last = *ms;
            bench.hear(bare, message.clone());
        }
        bench.seconds(3);
        assert!(!bench.is_closed(bare), "{name}: no message costs a link here");
        if recording.json["bare_still_connected"] == true {
            let told: Vec<_> = recording.told.iter().map(payload).collect();
            let heard: Vec<_> = bench.heard(bare, SubFlag::Retrieved).iter().map(payload).collect();
            assert_eq!(heard, told, "{name}");
            compared += 1;
        }
    }
    assert_eq!(compared, 3);
}

#[test]
fn a_peer_that_stores_is_told_and_asked_what_the_references_told_and_asked() {
    let mut compared = 0;
    for recording in recordings().iter().filter(|it| it.stores()) {
        let name = recording.json["name"].as_str().unwrap();
        let (mut bench, bare) = recording.play();
        let mut said = recording.said.iter().map(|(_, message)| message.clone());
        bench.hear(bare, said.next().unwrap());
        bench.seconds(3);
        bench.clear();
        asked_for(&mut bench, bare);
        let write = bench.set("key", "v");
        assert!(asked_for(&mut bench, bare).is_empty());
        assert_eq!(bench.write_of(write), Some(Ok(None)));
        let told = |flag: SubFlag| -> Vec<Vec<Value>> {
            let of_flag = recording.told.iter().filter(|it| it.sub_flag() == Some(flag));
            of_flag.map(payload).collect()
        };
        for flag in [SubFlag::Store, SubFlag::Notify] {
            let heard = bench.heard(bare, flag);
            // Witnesses, which only js2p gets, are an addition: a time and an id instead of "v".
            let is_witness = |payload: &Vec<Value>| {
                let value = payload.get(3).and_then(Value::as_str);
                value.is_some_and(|value| value.contains(' '))
            };
            let heard = heard.iter().map(payload).filter(|payload| !is_witness(payload));
            assert_eq!(heard.collect::<Vec<_>>(), told(flag), "{name}");
        }
        let read = bench.get("key");
        let asked = asked_for(&mut bench, bare);
        let may = told(SubFlag::Retrieve);
        // Three tables will do, and its own come first.
        let has_read = !may.is_empty();
        assert!(asked.iter().all(|asked| may.contains(asked) || !has_read), "{name}");
        assert!(asked.len() <= 3, "{name}");
        said.for_each(|message| bench.hear(bare, message));
        if has_read {
            assert_eq!(bench.read_of(read), Some(Ok(Some("v".into()))), "{name}");
            compared += 1;
        }
    }
    assert_eq!(compared, 3);
}

/// The recordings of connections, by their names.
fn handshake(name: &str, reference: &str) -> Vec<(bool, Message)> {
    let all = vectors("handshakes.json");
    let is_it = |it: &&Json| it["name"] == name && it["reference"] == reference;
    let recording = list(&all["transcripts"]).iter().find(is_it).unwrap();
    let read = |item: &Json| Some((item["from"] == "bare", message(item)?));
    list(&recording["items"]).iter().filter_map(read).collect()
}

#[test]
fn a_new_peer_is_told_that_the_node_stores_and_which_keys_there_are() {
    let recorded = handshake("chord: accepting, joined, holding keys", "py2p");
    let recorded: Vec<Vec<Value>> = recorded
        .iter()
        .filter(|(is_bare, message)| !is_bare && payload(message).len() == 2)
        .map(|(_, message)| payload(message))
        .filter(|payload| payload[0] != SubFlag::Peers.into())
        .collect();
    let mut bench = begin(true, crate::bench::id(100), BEGIN);
    bench.set("k1", 1);
    bench.set("k2", 1);
    for kind in [Kind::Py2p, Kind::Js2p] {
        let peer = bench.join(kind);
        let mut heard = bench.heard(peer, SubFlag::Handshake);
        heard.extend(bench.heard(peer, SubFlag::Notify));
        let heard: Vec<_> = heard.iter().map(payload).filter(|it| it.len() == 2).collect();
        assert_eq!(heard, recorded, "{kind:?}");
    }
}

#[test]
fn what_a_peer_says_of_itself_is_understood_in_each_form_that_was_seen() {
    for reference in ["py2p", "js2p"] {
        let recorded = handshake("chord: meta values", reference);
        let metas = recorded.into_iter().filter(|(is_bare, it)| *is_bare && payload(it).len() == 2);
        let mut bench = begin(true, crate::bench::id(100), BEGIN);
        let kind = if reference == "py2p" { Kind::Py2p } else { Kind::Js2p };
        let sender = |message: &Message| {
            String::from_utf8_lossy(message.sender()).parse::<NodeId>().unwrap()
        };
        let metas: Vec<Message> = metas.map(|(_, message)| message).collect();
        let peer = bench.join_as(sender(&metas[0]), kind);
        let storing = metas.into_iter().map(|meta| {
            bench.hear(peer, meta);
            bench.chord.status(bench.now).storing_peers
        });
        assert_eq!(storing.collect::<Vec<_>>(), [1, 0, 1], "{reference}");
    }
}
