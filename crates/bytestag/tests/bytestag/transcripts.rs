//! Whole exchanges of the reference, with our node in the place of one side. The other side says
//! what it said then.
//!
//! What may differ: tickets and transfers that are made up, our members `rs2p` and `rs2p_nodes`, the order of
//! independent conversations, and questions that we ask beyond those of the reference: we go on
//! until the nearest nodes have answered, ask a node that told of values for nodes as well, and ask
//! an old node after a store whether it kept the value.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;

use rs2p_base::Time;
use rs2p_bytestag::{Copies, Dht, DhtConfig, DhtEvent, Key, ValueId};
use serde_json::{Value as Json, json};

use crate::bench::{Bench, Held, Sent, joined};
use crate::recorded::{address_of, bytes, cases, is_same, key, list, text};

/// The clock of all exchanges, a little after the time stamps in them.
const NOW: u64 = 1_346_002_600;

fn case(id: &str) -> Json {
    let mut cases = cases("transcripts", 20).into_iter();
    cases.find(|case| case["id"] == id).unwrap_or_else(|| panic!("no case {id}"))
}

fn node(case: &Json, name: &str) -> SocketAddrV4 {
    address_of(&case["nodes"][name])
}

fn id_of(case: &Json, name: &str) -> Key {
    key(&case["nodes"][name], "id_hex")
}

/// Our node with the id that a node has in a case.
fn bench(case: &Json, name: &str, held: Vec<Held>) -> Bench {
    let now = Time::from_secs(NOW);
    let node = Dht::new(id_of(case, name), DhtConfig::default(), 1);
    let node = node.with_contents(now, Bench::shelf(held)).unwrap();
    Bench::with(node, NOW)
}

/// What a datagram says apart from what its sender made up.
fn essence(json: &Json) -> Json {
    let mut json = json.clone();
    let members = json.as_object_mut().unwrap();
    for made_up in ["seq_id", "reply_id", "xfer_id", "xferid", "rs2p", "rs2p_nodes"] {
        members.remove(made_up);
    }
    // Lists of nodes come from tables that only the reference had.
    if members.contains_key("nodes") {
        members.insert("nodes".into(), json!([]));
    }
    // Own values have a time stamp with us.
    if let Some(entries) = members.get_mut("vals").and_then(Json::as_array_mut) {
        for entry in entries {
            entry["time"] = Json::Null;
        }
    }
    json
}

/// Our node serves: it is told what the other side said, and says what the reference said.
fn serve(case: &Json, name: &str, held: Vec<Held>) -> Bench {
    let id = text(case, "id");
    let mut bench = bench(case, name, held);
    // Tickets and transfers that we make up, by those of the reference.
    let mut ours: BTreeMap<String, Json> = BTreeMap::new();
    let mut said = Vec::new();
    for event in list(case, "events") {
        if event["to"] == name {
            let mut json = event["json"].clone();
            for member in ["reply_id", "xfer_id"] {
                let made_up = json[member].as_str().and_then(|theirs| ours.get(theirs)).cloned();
                if let Some(made_up) = made_up {
                    json[member] = made_up;
                }
            }
            bench.say(node(case, text(event, "from")), &json);
            if json["rpc"] == "getval" {
                bench.breathe();
            }
            said.extend(bench.sent());
        } else if event["from"] == name {
            let theirs = &event["json"];
            let same = |sent: &Sent| {
                sent.to == node(case, text(event, "to"))
                    && is_same(&essence(&sent.json), &essence(theirs))
            };
            let at = said.iter().position(same);
            let at = at.unwrap_or_else(|| panic!("{id}: no {theirs} in {said:?}"));
            let sent = said.remove(at);
            for member in ["seq_id", "xferid"] {
                if let Some(theirs) = theirs[member].as_str() {
                    ours.insert(theirs.to_owned(), sent.json[member].clone());
                }
            }
            // What answers a question repeats its ticket.
            assert_eq!(sent.json["reply_id"], theirs["reply_id"], "{id}");
        }
    }
    assert!(said.is_empty(), "{id}: {said:?}");
    bench
}

/// The other side of an exchange in which our node asks.
struct Others<'a> {
    case: &'a Json,
    name: &'a str,
    answered: Vec<usize>,
    /// Pieces to be sent, each once the one before is confirmed.
    pieces: BTreeMap<SocketAddrV4, Vec<Json>>,
    said: Vec<Sent>,
    stored: Vec<(SocketAddrV4, Json)>,
}

impl<'a> Others<'a> {
    fn new(case: &'a Json, name: &'a str) -> Self {
        let (answered, stored, said) = (Vec::new(), Vec::new(), Vec::new());
        Self { case, name, answered, pieces: BTreeMap::new(), said, stored }
    }

    /// What the reference said to such a question of ours: the datagrams that it sent.
    fn recorded(&mut self, sent: &Sent) -> Option<Json> {
        let events = list(self.case, "events");
        let asked = |event: &Json| {
            event["from"] == self.name
                && node(self.case, text(event, "to")) == sent.to
                && is_same(&essence(&event["json"]), &essence(&sent.json))
        };
        let (_, question) = events
            .iter()
            .enumerate()
            .find(|(at, event)| !self.answered.contains(at) && asked(event))?;
        let ticket = &question["json"]["seq_id"];
        self.answered.push(question["n"].as_u64().unwrap() as usize);
        let answer = events.iter().find(|event| event["json"]["reply_id"] == *ticket)?;
        Some(answer["json"].clone())
    }

    fn hear(&mut self, bench: &mut Bench, sent: &Sent) {
        self.said.push(sent.clone());
        let from = sent.to;
        if sent.is("getval") {
            let events = list(self.case, "events").iter();
            let pieces =
                events.filter(|event| event["from"] != self.name).map(|event| &event["json"]);
            let pieces = pieces.filter(|json| json.get("xfer_data").is_some());
            let renamed =
                |json: &Json| joined(json.clone(), json!({ "xfer_id": sent.json["xferid"] }));
            self.pieces.insert(from, pieces.map(renamed).collect());
            self.next_piece(bench, from);
        } else if sent.is_chunk() {
            bench.say(from, &crate::bench::confirmation(sent));
        } else if sent.json.get("xfer_id").is_some() {
            if sent.json.get("reply_id").is_some() {
                self.next_piece(bench, from);
            }
        } else if let Some(answer) = self.recorded(sent) {
            if answer["xferid"].is_string() {
                self.stored.push((from, sent.json.clone()));
            }
            bench.say(from, &joined(answer, json!({ "reply_id": sent.json["seq_id"] })));
        } else {
            self.improvise(bench, sent);
        }
    }

    fn next_piece(&mut self, bench: &mut Bench, from: SocketAddrV4) {
        let pieces = self.pieces.get_mut(&from).unwrap();
        if !pieces.is_empty() {
            let piece = pieces.remove(0);
            bench.say(from, &piece);
            if !pieces.is_empty() && pieces[0]["xfer_data"].is_null() {
                let end = pieces.remove(0);
                bench.say(from, &end);
            }
        }
    }

    /// The answer to a question that the reference never asked.
    fn improvise(&self, bench: &mut Bench, sent: &Sent) {
        assert!(sent.is("findnode") || sent.is("findval"), "a question too many: {sent:?}");
        let nodes = self.case["nodes"].as_object().unwrap();
        let other = nodes.values().find(|node| address_of(node) == sent.to).unwrap();
        let id = key(other, "id_hex").to_base64();
        let had = |(address, store): &&(SocketAddrV4, Json)| {
            *address == sent.to && store["key"] == sent.json["key"]
        };
        let common = json!({ "netid": "BYTESTAG", "nodeid": id, "reply_id": sent.json["seq_id"] });
        let told = match self.stored.iter().find(had) {
            Some((_, store)) if sent.is("findval") => {
                let (key, index) = (&store["key"], &store["index"]);
                json!({ "vals": [{ "key": key, "index": index, "size": 1, "time": NOW }] })
            }
            _ => json!({ "nodes": [] }),
        };
        bench.say(sent.to, &joined(common, told));
    }

    /// Plays until the node has nothing more to say, then looks at what it said: everything that
    /// the reference said, in the same order to each peer.
    fn play(&mut self, bench: &mut Bench) {
        for _ in 0..100 {
            for sent in bench.sent() {
                self.hear(bench, &sent);
            }
            bench.pass_millis(20);
        }
        for (name, other) in self.case["nodes"].as_object().unwrap() {
            let to = address_of(other);
            let events = list(self.case, "events").iter();
            let theirs = events.filter(|event| event["from"] == self.name && event["to"] == *name);
            let mut ours = self.said.iter().filter(|sent| sent.to == to);
            for event in theirs {
                let mut theirs = essence(&event["json"]);
                if theirs["timestmp"].is_number() && self.case["timestamp"].is_null() {
                    theirs["timestmp"] = NOW.into();
                }
                let same = |sent: &Sent| is_same(&essence(&sent.json), &theirs);
                let found = ours.any(same);
                assert!(
                    found,
                    "{}: {theirs} is not said to {name}: {:?}",
                    self.case["id"], self.said
                );
            }
        }
    }
}

/// A node that knows others, which have pinged it.
fn knowing(case: &Json, name: &str, others: &[&str], held: Vec<Held>) -> Bench {
    let mut bench = bench(case, name, held);
    for other in others {
        let id = id_of(case, other).to_base64();
        let ping = json!({ "netid": "BYTESTAG", "nodeid": id, "rpc": "ping", "seq_id": "q" });
        bench.say(node(case, other), &ping);
    }
    // Those are the answers to the pings, and what is published as soon as somebody is known.
    bench
}

fn held(case: &Json) -> Held {
    let value = bytes(case, "value_hex");
    let stamp = case["timestamp"].as_u64().unwrap_or(NOW - 50);
    Held { stamp: Time::from_secs(stamp), ..Held::of(&value) }
}

#[test]
fn we_answer_as_the_reference_when_we_are_asked() {
    for id in ["ping", "join", "join-pair", "get-missing"] {
        serve(&case(id), "B", vec![]);
    }
    for id in ["store-1500", "store-1024"] {
        let case = case(id);
        let bench = serve(&case, "B", vec![]);
        assert!(bench.dht.has(&ValueId::of(&bytes(&case, "value_hex"))), "{id}");
    }
    for id in ["get-1500", "get-3000-offset", "get-value", "store-already-there"] {
        let case = case(id);
        serve(&case, "B", vec![held(&case)]);
    }
    let three = case("store-1500-three");
    for name in ["B", "C", "D"] {
        let bench = serve(&three, name, vec![]);
        assert!(bench.dht.has(&ValueId::of(&bytes(&three, "value_hex"))));
    }
}

#[test]
fn we_serve_a_file_to_the_reference() {
    let case = case("publish-file");
    let mut bench = bench(&case, "B", vec![]);
    // The scan took place at another time than the other exchanges.
    bench.now = Time::from_secs(1_795_302_500);
    let mut leave = Json::Null;
    for event in list(&case, "events").iter().filter(|event| event["to"] == "B") {
        let mut json = event["json"].clone();
        if json.get("xfer_id").is_some() {
            json["xfer_id"] = leave.clone();
        }
        bench.say(node(&case, "K"), &json);
        let sent = bench.sent();
        if event["kind"] != "end of transfer" {
            assert_eq!(sent.len(), 1, "{json}");
        }
        if json["rpc"] == "store" && sent[0].json["xferid"].is_string() {
            leave = sent[0].json["xferid"].clone();
        }
    }
    let id = ValueId::of(&bytes(&case, "content_hex"));
    assert!(bench.dht.has(&id));
}

#[test]
fn we_ping_and_join_as_the_reference() {
    let ping = case("ping");
    let mut others = Others::new(&ping, "A");
    let mut us = bench(&ping, "A", vec![]);
    let request = us.call(|dht, now| dht.ping(now, node(&ping, "B")));
    others.play(&mut us);
    assert!(matches!(us.ended(request), Some(DhtEvent::Pinged { result: Ok(_), .. })));
    for id in ["join", "join-pair"] {
        let case = case(id);
        let mut others = Others::new(&case, "A");
        let mut us = bench(&case, "A", vec![]);
        let request = us.call(|dht, now| dht.join(now, [node(&case, "B")]));
        others.play(&mut us);
        let known = case["tables_after"]["A"].as_array().unwrap().len();
        let Some(DhtEvent::Joined { result: Ok(_), .. }) = us.ended(request) else {
            panic!("{id}")
        };
        // The nodes of the answer are known as well, since they answered, too.
        assert_eq!(us.dht.table().len(), known, "{id}");
    }
}

/// The reference waits 5 s before it asks again and 5 s more; we 1 s and 3 s, since a question is
/// the same however often it comes, and another node is asked meanwhile.
#[test]
fn we_ask_twice_with_the_same_datagram_and_then_give_up() {
    let case = case("ping-silent");
    let mut us = bench(&case, "A", vec![]);
    let request = us.call(|dht, now| dht.ping(now, node(&case, "P")));
    us.pass_millis(3_999);
    let sent = us.sent();
    assert_eq!(sent.len(), list(&case, "events").len());
    assert_eq!(sent[0].raw, sent[1].raw);
    assert_eq!(sent[1].at.since(sent[0].at).as_millis(), 1_000);
    us.pass_millis(1);
    assert!(matches!(us.ended(request), Some(DhtEvent::Pinged { result: Err(_), .. })));
    // The second one is as good as the first.
    let case = self::case("ping-second-try");
    let mut us = bench(&case, "A", vec![]);
    let request = us.call(|dht, now| dht.ping(now, node(&case, "P")));
    us.pass_millis(1_000);
    let sent = us.sent();
    assert_eq!(sent.len(), list(&case, "events").len());
    us.answer(&sent[1], 0, json!({}));
    assert!(matches!(us.ended(request), Some(DhtEvent::Pinged { result: Ok(_), .. })));
}

#[test]
fn we_look_up_as_the_reference_and_find_what_it_finds() {
    let case = case("find-node");
    let mut others = Others::new(&case, "A");
    let mut us = knowing(&case, "A", &["B"], vec![]);
    us.sent();
    let request = us.call(|dht, now| dht.find(now, key(&case, "target_hex")));
    others.play(&mut us);
    let Some(DhtEvent::Found { found, .. }) = us.ended(request) else { panic!("no end") };
    let target = key(&case, "target_hex");
    for name in list(&case, "result").iter().filter(|name| *name != "A") {
        let id = id_of(&case, name.as_str().unwrap());
        assert!(found.nodes.iter().any(|node| node.id == id), "{name}");
    }
    assert!(found.nodes.is_sorted_by_key(|node| target.distance(&node.id)));
}

#[test]
fn we_store_as_the_reference() {
    let expected = [
        ("store-1500", &["B"][..], Copies { stored: 1, ..Copies::default() }),
        ("store-1024", &["B"], Copies { stored: 1, ..Copies::default() }),
        ("store-1500-three", &["B", "C", "D"], Copies { stored: 3, ..Copies::default() }),
        ("store-already-there", &["B"], Copies { had: 1, ..Copies::default() }),
    ];
    for (id, names, copies) in expected {
        let case = case(id);
        let mut others = Others::new(&case, "A");
        let mut us = knowing(&case, "A", names, vec![]);
        us.sent();
        if let Some(stamp) = case["timestamp"].as_u64() {
            us.now = Time::from_secs(stamp);
        }
        let value = bytes(&case, "value_hex");
        let (request, _) = us.call(|dht, now| dht.put(now, None, value.into())).unwrap();
        others.play(&mut us);
        let Some(DhtEvent::Published { result, .. }) = us.ended(request) else { panic!("{id}") };
        assert_eq!(*result, Ok(copies), "{id}");
    }
}

/// D13: the reference sends nothing here, since the other has another value under the key.
#[test]
fn we_store_where_the_reference_takes_another_value_for_the_same() {
    let case = case("store-other-index");
    let mut us = knowing(&case, "A", &["B"], vec![]);
    us.sent();
    let (value, under) = (bytes(&case, "value_hex"), key(&case, "key_hex"));
    us.call(|dht, now| dht.put(now, Some(under), value.into())).unwrap();
    let mut others = Others::new(&case, "A");
    let mut stores = 0;
    for _ in 0..10 {
        for sent in us.sent() {
            if sent.is("store") {
                stores += 1;
            } else {
                others.hear(&mut us, &sent);
            }
        }
    }
    assert_eq!(stores, 1);
}

/// Rule 5: the reference goes on with the next piece and leaves a hole; we send the end.
#[test]
fn we_do_not_go_on_when_a_piece_is_not_confirmed() {
    let case = case("store-lost-confirmation");
    let theirs = list(&case, "events");
    let mut us = bench(&case, "A", vec![]);
    let id = Key::new([9; 20]).to_base64();
    let peer = node(&case, "P");
    us.say(peer, &json!({ "netid": "BYTESTAG", "nodeid": id, "rpc": "ping", "seq_id": "q" }));
    us.sent();
    let value = bytes(&case, "value_hex");
    us.call(|dht, now| dht.put(now, None, value.into())).unwrap();
    let answer = |sent: &Sent, members: Json| {
        let ticket = &sent.json["seq_id"];
        joined(json!({ "netid": "BYTESTAG", "nodeid": id, "reply_id": ticket }), members)
    };
    let findval = us.sent_one();
    us.say(peer, &answer(&findval, json!({ "nodes": [] })));
    let store = us.sent_one();
    us.say(peer, &answer(&store, json!({ "xferid": "flaky" })));
    us.pass_millis(40);
    let first = us.sent_one();
    assert_eq!(first.json["xfer_data"], theirs[1]["json"]["xfer_data"]);
    us.say(peer, &crate::bench::confirmation(&first));
    us.pass_millis(10_000);
    let rest = us.sent();
    assert_eq!(rest.len(), 3);
    assert_eq!(rest[0].json["xfer_data"], theirs[2]["json"]["xfer_data"]);
    assert_eq!(rest[1].raw, rest[0].raw);
    assert_eq!(rest[1].at.since(rest[0].at).as_millis(), 5_000);
    assert_eq!(rest[2].json, theirs[5]["json"]);
}

/// The same as a server: the reference goes on for ever, we end after the first piece.
#[test]
fn we_send_the_end_to_who_confirms_nothing() {
    let case = case("get-never-confirmed");
    let theirs = list(&case, "events");
    let held = held(&case);
    let id = held.id;
    let mut us = bench(&case, "B", vec![held]);
    let key = id.key.to_base64();
    let getval = json!({ "netid": "BYTESTAG", "rpc": "getval", "key": key, "index": key,
        "xferid": "mute" });
    us.say(node(&case, "P"), &getval);
    us.pass_millis(30_000);
    let sent = us.sent();
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[0].json["xfer_data"], theirs[0]["json"]["xfer_data"]);
    assert_eq!(sent[1].raw, sent[0].raw);
    assert_eq!(sent[2].json, theirs[4]["json"]);
}

#[test]
fn we_fetch_as_the_reference_means_to() {
    let case = case("get-value");
    let mut others = Others::new(&case, "A");
    let mut us = knowing(&case, "A", &["B", "C"], vec![]);
    us.sent();
    let id = ValueId::of(&bytes(&case, "value_hex"));
    let request = us.call(|dht, now| dht.get(now, id.key, Some(id.index), []));
    for _ in 0..20 {
        for sent in us.sent() {
            // Then it is offered to the one that lacks it, which is Kademlia and not in the record.
            if !sent.is("store") {
                others.hear(&mut us, &sent);
            }
        }
    }
    others.play(&mut us);
    let Some(DhtEvent::Got { result: Ok(got), .. }) = us.ended(request) else { panic!("no end") };
    assert_eq!(got.value, bytes(&case, "value_hex"));
    assert_eq!(got.from.unwrap().id, id_of(&case, "B"));
}

/// Peers of one bucket that is full by the last of them.
fn fill_a_bucket(case: &Json) -> (Bench, Vec<Key>) {
    let mut us = bench(case, "T", vec![]);
    let own = id_of(case, "T");
    let mut ids = Vec::new();
    for number in 0..21 {
        let name = format!("P{number:02}");
        // The record has no ids of theirs: any of the farthest bucket will do.
        let mut id = [number as u8; 20];
        id[0] = own.as_bytes()[0] ^ 0x80;
        let id = Key::new(id);
        let ping = json!({ "netid": "BYTESTAG", "nodeid": id.to_base64(), "rpc": "ping",
            "seq_id": "q" });
        us.say(node(case, &name), &ping);
        ids.push(id);
    }
    (us, ids)
}

#[test]
fn we_ping_the_oldest_of_a_full_bucket_and_keep_it_if_it_answers() {
    for (id, answers) in [("bucket-full-alive", true), ("bucket-full-dead", false)] {
        let case = case(id);
        let (mut us, ids) = fill_a_bucket(&case);
        let pings: Vec<_> = us.sent().into_iter().filter(|sent| sent.is("ping")).collect();
        assert_eq!(pings.len(), 1, "{id}");
        assert_eq!(pings[0].to, node(&case, "P00"), "{id}");
        if answers {
            let reply = json!({ "netid": "BYTESTAG", "nodeid": ids[0].to_base64(),
                "reply_id": pings[0].json["seq_id"] });
            us.say(pings[0].to, &reply);
        }
        us.pass_millis(20_000);
        assert_eq!(us.dht.table().get(&ids[0]).is_some(), answers, "{id}");
        assert_eq!(us.dht.table().get(&ids[20]).is_some(), !answers, "{id}");
        assert_eq!(us.dht.table().len(), list(&case, "result").len(), "{id}");
    }
}
