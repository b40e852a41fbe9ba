//! Lookups, joins, and answers to those of others, honest and not.

use std::time::Duration;

use rs2p_bytestag::{DhtConfig, DhtEvent, Found, Key, ValueId};
use serde_json::{Value as Json, json};

use crate::bench::{
    BEGIN, Bench, Held, address, call, entry, findval, getval, joined, listed, number_of, own,
    pack, peer, ping, reply,
};

/// Lets peers answer until a lookup ends: with these members, or not at all.
fn look_up(
    bench: &mut Bench,
    key: Key,
    members: impl Fn(u16) -> Option<Json>,
) -> (Vec<u16>, Found) {
    let request = bench.call(|dht, now| dht.find(now, key));
    let mut asked = Vec::new();
    for _ in 0..2_000 {
        for sent in bench.sent() {
            let number = number_of(sent.to);
            if !asked.contains(&number) {
                asked.push(number);
            }
            if let Some(members) = members(number) {
                bench.answer(&sent, number, members);
            }
        }
        if bench.ended(request).is_some() {
            break;
        }
        bench.pass_millis(100);
    }
    let Some(DhtEvent::Found { found, .. }) = bench.ended(request) else { panic!("no end") };
    (asked, found.clone())
}

fn nodes(numbers: impl IntoIterator<Item = u16>) -> Option<Json> {
    Some(json!({ "nodes": numbers.into_iter().map(listed).collect::<Vec<_>>() }))
}

fn nearest(key: &Key, of: u16) -> Vec<Key> {
    let mut ids: Vec<_> = (0..of).map(peer).collect();
    ids.sort_by_key(|id| key.distance(id));
    ids
}

/// D5 and D7.
#[test]
fn a_lookup_ends_when_the_twenty_nearest_have_answered_and_finds_just_them() {
    let mut bench = Bench::knowing(DhtConfig::default(), 3);
    let key = peer(500);
    // Each knows twenty more.
    let (_, found) =
        look_up(&mut bench, key, |number| nodes((0..20).map(|at| (number + at) % 200)));
    let ids: Vec<_> = found.nodes.iter().map(|node| node.id).collect();
    assert_eq!(ids, nearest(&key, 200)[..20]);
}

/// D5: silent nodes, however many, do not end a lookup.
#[test]
fn a_lookup_goes_on_past_more_than_twenty_silent_nodes() {
    let mut bench = Bench::knowing(DhtConfig::default(), 3);
    let key = peer(0);
    let speaks = |number: u16| !(3..60).contains(&number);
    let first = [0, 20, 60];
    let (asked, found) = look_up(&mut bench, key, |number| {
        let first = first[usize::from(number.min(2))];
        if speaks(number) { nodes(first..first + 20) } else { None }
    });
    assert!(asked.iter().filter(|number| !speaks(**number)).count() > 20);
    assert!(found.nodes.iter().all(|node| (0..80).any(|at| speaks(at) && peer(at) == node.id)));
    assert_eq!(found.nodes.len(), 20);
}

/// D6: an empty list, of nodes or of values, is an answer.
#[test]
fn who_knows_nobody_has_answered_all_the_same() {
    let mut bench = Bench::knowing(DhtConfig::default(), 3);
    let (_, found) = look_up(&mut bench, peer(9), |_| nodes([]));
    assert_eq!(found.nodes.len(), 3);
    assert_eq!(bench.dht.table().len(), 3);
}

/// D17.
#[test]
fn a_node_does_not_ask_itself_wherever_it_is_said_to_be() {
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    let itself = json!({ "host": "127.0.0.1", "port": 4_000, "id": own().to_base64() });
    let request = bench.call(|dht, now| dht.find(now, own()));
    let question = bench.sent_one();
    bench.answer(&question, 0, json!({ "nodes": [itself] }));
    assert!(bench.sent().is_empty());
    assert!(bench.ended(request).is_some());
    assert_eq!(bench.dht.table().len(), 1);
}

/// D17: the own address among those to join by does no harm.
#[test]
fn a_node_joins_by_others_although_it_hears_itself_first() {
    let mut bench = Bench::new(DhtConfig::default());
    let request = bench.call(|dht, now| dht.join(now, [address(7), address(0)]));
    let pings = bench.sent();
    let (mine, other) = (&pings[1], &pings[0]);
    assert_eq!((mine.to, other.to), (address(7), address(0)));
    // It hears its own question, and then its own answer to that.
    bench.say(address(7), &mine.json);
    let answer = bench.sent_one();
    bench.say(address(7), &answer.json);
    assert!(bench.ended(request).is_none());
    bench.answer(other, 0, json!({}));
    let findnode = bench.sent_one();
    bench.answer(&findnode, 0, json!({ "nodes": [listed(0)] }));
    assert!(matches!(bench.ended(request), Some(DhtEvent::Joined { result: Ok(1), .. })));
}

/// D17 and section 7: alone with itself, a node has joined nothing.
#[test]
fn a_join_by_the_own_address_alone_fails() {
    let mut bench = Bench::new(DhtConfig::default());
    let request = bench.call(|dht, now| dht.join(now, [address(7)]));
    let ping = bench.sent_one();
    bench.say(
        address(7),
        &joined(reply(&ping, 0, json!({})), json!({ "nodeid": own().to_base64() })),
    );
    assert!(matches!(bench.ended(request), Some(DhtEvent::Joined { result: Err(_), .. })));
}

#[test]
fn a_join_by_nodes_that_do_not_say_who_they_are_fails_and_ends() {
    let mut bench = Bench::new(DhtConfig::default());
    let request = bench.call(|dht, now| dht.join(now, [address(0)]));
    let ping = bench.sent_one();
    bench.say(address(0), &json!({ "netid": "BYTESTAG", "reply_id": ping.json["seq_id"] }));
    assert!(matches!(bench.ended(request), Some(DhtEvent::Joined { result: Err(_), .. })));
}

/// D18.
#[test]
fn nobody_is_asked_at_an_address_that_cannot_be_right() {
    let mut bench = Bench::new(DhtConfig::default());
    let outside = "192.0.2.7:4000".parse().unwrap();
    bench.say(outside, &ping(0));
    bench.sent();
    let hosts = [
        "0.0.0.0",
        "127.0.0.1",
        "127.9.9.9",
        "224.0.0.1",
        "255.255.255.255",
        "localhost",
        "",
        "::1",
        "fe80::1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.4:5",
    ];
    bench.call(|dht, now| dht.find(now, peer(3)));
    let question = bench.sent_one();
    let told: Vec<_> = hosts
        .iter()
        .zip(10..)
        .map(|(host, number)| joined(listed(number), json!({ "host": host })))
        .collect();
    bench.say(outside, &reply(&question, 0, json!({ "nodes": told })));
    assert!(bench.sent().is_empty());
    // And who is told of is not known before it answers.
    assert_eq!(bench.dht.table().len(), 1);
}

/// D18: an endless list of invented nodes keeps a lookup busy for a bounded number of questions.
#[test]
fn a_lookup_led_on_by_liars_ends() {
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    let key = Key::new([0xff; 20]);
    let request = bench.call(|dht, now| dht.find(now, key));
    let (mut asked, mut next) = (0, 1_u32);
    for _ in 0..4_000 {
        for sent in bench.sent() {
            asked += u32::from(sent.is("findnode"));
            let invented: Vec<_> = (0..20)
                .map(|_| {
                    // Each nearer than all before.
                    let mut id = [0xff; 20];
                    id[..4].copy_from_slice(&(u32::MAX - (1 << 30) + next).to_be_bytes());
                    next += 1;
                    let port = 20_000 + next % 40_000;
                    json!({ "host": "127.0.0.1", "port": port, "id": Key::new(id).to_base64() })
                })
                .collect();
            let members = json!({ "nodes": invented });
            // Whoever is asked answers under the id it was told under: all are one liar.
            let ticket = &sent.json["seq_id"];
            let common = json!({ "netid": "BYTESTAG", "reply_id": ticket });
            bench.say(sent.to, &joined(common, members));
        }
        if bench.ended(request).is_some() {
            break;
        }
    }
    assert!(bench.ended(request).is_some());
    assert!(asked <= 400, "{asked} questions");
}

/// D19, and section 4: an answer counts once, and only from where the question went.
#[test]
fn answers_from_elsewhere_and_second_answers_are_dropped() {
    let mut bench = Bench::new(DhtConfig::default());
    let request = bench.call(|dht, now| dht.ping(now, address(0)));
    let question = bench.sent_one();
    let right = reply(&question, 0, json!({}));
    bench.say(address(1), &right);
    assert!(bench.ended(request).is_none());
    bench.say(address(0), &joined(right.clone(), json!({ "reply_id": peer(9).to_base64() })));
    assert!(bench.ended(request).is_none());
    // It also carries a ticket of its own, which is not what it answers by (D19).
    bench.say(address(0), &joined(right.clone(), json!({ "seq_id": "own" })));
    assert!(matches!(bench.ended(request), Some(DhtEvent::Pinged { result: Ok(_), .. })));
    let before = bench.events.len();
    bench.say(address(0), &right);
    assert_eq!(bench.events.len(), before);
    assert_eq!(bench.dht.status().counts.unexpected, 3);
    // A late one, too.
    let request = bench.call(|dht, now| dht.ping(now, address(0)));
    let question = bench.sent_one();
    bench.pass_millis(4_000);
    assert!(matches!(bench.ended(request), Some(DhtEvent::Pinged { result: Err(_), .. })));
    bench.answer(&question, 0, json!({}));
    assert_eq!(bench.dht.status().counts.unexpected, 4);
    assert_eq!(bench.dht.status().questions, 0);
}

/// Whoever answers under another id than the one that was asked for is not taken for it.
#[test]
fn an_answer_of_somebody_else_at_the_same_address_is_silence_of_the_one_asked() {
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    let request = bench.call(|dht, now| dht.find(now, peer(0)));
    let question = bench.sent_one();
    bench.answer(&question, 5, json!({ "nodes": [] }));
    let Some(DhtEvent::Found { found, .. }) = bench.ended(request) else { panic!("no end") };
    assert!(found.nodes.is_empty());
    let known: Vec<_> = bench.dht.table().closest(&own()).map(|node| node.id).collect();
    assert_eq!(known, [peer(5)]);
}

/// D8 and D9: one entry for each id, and whoever holds it keeps it for as long as it answers.
#[test]
fn an_id_claimed_from_another_address_stays_with_its_holder() {
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    bench.say(address(66), &ping(0));
    let check = bench.sent().into_iter().find(|sent| sent.is("ping")).unwrap();
    assert_eq!(check.to, address(0));
    bench.answer(&check, 0, json!({}));
    bench.pass_millis(10_000);
    assert_eq!(bench.dht.table().get(&peer(0)).unwrap().address, address(0));
    assert_eq!(bench.dht.table().len(), 1);
}

/// D9: the same node is not pinged twice at a time, and the table is bounded.
#[test]
fn a_full_bucket_pings_its_oldest_once_and_grows_no_further() {
    let mut bench = Bench::new(DhtConfig::default());
    for number in 0..200_u16 {
        let mut id = [0xff; 20];
        id[18..].copy_from_slice(&number.to_be_bytes());
        let id = json!({ "nodeid": Key::new(id).to_base64() });
        bench.say(address(number), &joined(ping(number), id));
    }
    assert_eq!(bench.dht.table().len(), 20);
    assert_eq!(bench.sent().iter().filter(|sent| sent.is("ping")).count(), 1);
    assert_eq!(bench.dht.status().questions, 1);
}

/// D1: an answer never grows, and the entry that was asked for comes first.
#[test]
fn an_answer_is_short_however_many_values_lie_under_a_key() {
    let key = peer(3);
    let held = |number: u16| {
        let value = number.to_be_bytes().to_vec();
        Held { id: ValueId { key, ..ValueId::of(&value) }, ..Held::of(&value) }
    };
    let all: Vec<_> = (0..400).map(held).collect();
    let last = all[399].id;
    let mut bench = Bench::holding(DhtConfig::default(), BEGIN, all);
    for number in 0..40 {
        bench.say(address(number), &ping(number));
    }
    bench.sent();
    let all = json!({ "key": key.to_base64(), "rs2p": 1, "rs2p_nodes": true });
    bench.say(address(0), &call(0, "findval", all));
    // The bench looks at the length of all that is sent.
    let sent = bench.sent();
    let reply = sent.iter().find(|sent| sent.json.get("vals").is_some()).unwrap();
    assert!(reply.raw.len() < 4_000, "{} bytes", reply.raw.len());
    bench.say(address(0), &findval(0, &last));
    let sent = bench.sent();
    let reply = sent.iter().find(|sent| sent.json.get("vals").is_some()).unwrap();
    assert_eq!(reply.json["vals"][0]["index"], last.index.to_base64());
}

/// D1: a long datagram is read; one that inflates without end, or is nested deeply, is dropped.
#[test]
fn long_datagrams_are_read_and_bombs_are_not() {
    let mut bench = Bench::new(DhtConfig::default());
    let mut noise = ValueId::of(b"noise").key.to_base64();
    while noise.len() < 50_000 {
        noise += &ValueId::of(noise.as_bytes()).key.to_base64();
    }
    let long = joined(ping(0), json!({ "pad": noise }));
    assert!(pack(&long).len() > 8_192);
    bench.say(address(0), &long);
    bench.sent_one();
    bench.say(address(0), &joined(ping(0), json!({ "pad": "x".repeat(1 << 20) })));
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let text = format!(r#"{{"netid":"BYTESTAG","rpc":"ping","seq_id":"q","pad":{deep}}}"#);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    bench.say_raw(address(0), &encoder.finish().unwrap());
    assert!(bench.sent().is_empty());
    assert_eq!(bench.dht.status().counts.unreadable, 2);
}

/// D2b: what is of a wrong type is ignored, in every place.
#[test]
fn members_of_a_wrong_type_are_ignored() {
    let value = Held::of(&[1; 900]);
    let id = value.id;
    let mut bench = Bench::holding(DhtConfig::default(), BEGIN, vec![value]);
    let wrong = [json!([]), json!({}), json!(["ping"]), json!(true), json!(1.5), json!(null)];
    let calls = [
        ping(0),
        findval(0, &id),
        getval(0, &id, "t"),
        crate::bench::store(0, &id, 900, BEGIN),
        crate::bench::chunk("t", b"x", "q"),
        json!({ "reply_id": "x", "nodeid": "y" }),
    ];
    for wrong in &wrong {
        for call in &calls {
            for member in call.as_object().unwrap().keys() {
                bench.say(address(0), &joined(call.clone(), json!({ member: wrong })));
            }
        }
    }
    bench.pass_millis(30_000);
    bench.sent();
    bench.say(address(0), &ping(0));
    assert!(bench.sent().iter().any(|sent| sent.json.get("reply_id").is_some()));
    let status = bench.dht.status();
    assert_eq!((status.uploads, status.downloads, status.foreign_values), (0, 0, 1));
}

/// D2d, D13, D20 and rule 12: without an index a node answers with what it has, with one it lacks with
/// nodes, never none.
#[test]
fn a_question_for_values_is_answered_with_what_there_is() {
    let value = Held::of(&[1; 900]);
    let id = value.id;
    let mut bench = Bench::holding(DhtConfig::default(), BEGIN, vec![value]);
    let key = id.key.to_base64();
    bench.say(address(0), &call(0, "findval", json!({ "key": key })));
    let other = ValueId { key: id.key, index: peer(4) };
    bench.say(address(0), &findval(0, &other));
    bench.say(address(0), &findval(0, &ValueId::plain(peer(4))));
    let mut sent = bench.sent();
    sent.retain(|sent| sent.json.get("reply_id").is_some());
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[0].json["vals"][0]["index"], key);
    for reply in &sent[1..] {
        assert!(reply.json.get("vals").is_none());
        assert_eq!(reply.json["nodes"], json!([listed(0)]));
    }
}

/// Rule 10: whoever can name the value names it.
#[test]
fn a_question_for_a_value_that_can_be_named_has_its_index() {
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    let id = ValueId::of(&[1; 900]);
    bench.call(|dht, now| dht.get(now, id.key, Some(id.index), []));
    assert_eq!(bench.sent_one().json["index"], id.index.to_base64());
    bench.call(|dht, now| dht.put(now, None, vec![2; 900].into()).map(drop)).unwrap();
    assert!(bench.sent().iter().all(|sent| sent.json["index"].is_string()));
}

/// Rule 10: a question without an index can hang an old node, so few are asked, nearest first.
#[test]
fn without_an_index_the_nearest_are_asked_first_and_a_found_value_ends_the_search() {
    let mut bench = Bench::knowing(DhtConfig::default(), 20);
    let id = ValueId::of(&[1; 900]);
    bench.call(|dht, now| dht.get(now, id.key, None, []));
    let first = bench.sent();
    assert_eq!(first.len(), 3);
    let near = nearest(&id.key, 20);
    for sent in &first {
        assert!(sent.json.get("index").is_none());
        assert!(near[..3].contains(&peer(number_of(sent.to))));
    }
    bench.answer(&first[0], number_of(first[0].to), json!({ "vals": [entry(&id, 900)] }));
    let sent = bench.sent();
    assert!(sent.iter().any(|sent| sent.is("getval")));
    assert!(!sent.iter().any(|sent| sent.is("findval")));
}

/// Rule 11.
#[test]
fn every_question_is_answered_at_once() {
    let value = Held::of(&[1; 900]);
    let id = value.id;
    let mut bench = Bench::holding(DhtConfig::default(), BEGIN, vec![value]);
    let key = json!({ "key": id.key.to_base64() });
    let calls = [
        ping(0),
        call(0, "findnode", key.clone()),
        call(0, "findval", key),
        crate::bench::store(0, &ValueId::of(b"other"), 5, BEGIN),
    ];
    for call in calls {
        bench.say(address(0), &call);
        let sent = bench.sent();
        assert!(sent.iter().any(|sent| sent.to == address(0)), "{call}");
    }
    // Who asks for the bytes must be ready for them first (D2).
    bench.say(address(0), &getval(0, &id, "t"));
    assert!(bench.sent().is_empty());
    bench.breathe();
    assert!(bench.sent_one().is_chunk());
}

/// Rule 2.
#[test]
fn an_answer_goes_to_where_the_question_came_from() {
    let mut bench = Bench::new(DhtConfig::default());
    for number in [4, 9, 4] {
        bench.say(address(number), &ping(1));
        assert!(bench.sent().iter().any(|sent| sent.to == address(number)));
    }
}

/// Section 3: another network is nobody's business here.
#[test]
fn nodes_of_another_network_are_neither_answered_nor_learned() {
    let mut bench = Bench::new(DhtConfig::default());
    for name in [json!("bytestag"), json!("BYTESTAG "), json!(null), json!(1)] {
        bench.say(address(0), &joined(ping(0), json!({ "netid": name })));
    }
    assert!(bench.sent().is_empty());
    assert!(bench.dht.table().is_empty());
}

/// Floods: what comes faster than the rate is not even looked at, and others are served meanwhile.
#[test]
fn a_flood_from_one_address_is_cut_and_others_are_served() {
    let config = DhtConfig { rate: 50, ..DhtConfig::default() };
    let mut bench = Bench::new(config);
    for _ in 0..500 {
        bench.say(address(0), &ping(0));
    }
    assert_eq!(bench.sent().len(), 50);
    assert_eq!(bench.dht.status().counts.over_rate, 450);
    bench.say(address(1), &ping(1));
    assert_eq!(bench.sent().len(), 1);
    bench.pass(Duration::from_secs(1));
    bench.say(address(0), &ping(0));
    assert_eq!(bench.sent().len(), 1);
}

/// D16: what others store is bounded, by number, under each key and in bytes; own values are not.
#[test]
fn others_fill_no_more_than_the_room_for_them() {
    let store = |bench: &mut Bench, value: &[u8]| {
        let id = ValueId::of(value);
        let ticket = json!({ "seq_id": id.key.to_base64(), "rs2p": 1 });
        let value = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, value);
        let members = joined(ticket, json!({ "rs2p_value": value }));
        let size = 600;
        bench.say(address(0), &joined(crate::bench::store(0, &id, size, BEGIN), members));
    };
    let full = |config: DhtConfig| {
        let mut bench = Bench::knowing(config, 1);
        for byte in 0..20 {
            store(&mut bench, &[byte; 600]);
        }
        bench.sent();
        let own = bench.call(|dht, now| dht.put(now, None, vec![99; 600].into()));
        assert!(own.is_ok());
        bench.dht.status().foreign_values
    };
    assert_eq!(full(DhtConfig { max_values: 7, ..DhtConfig::default() }), 7);
    assert_eq!(full(DhtConfig { capacity: 5 * 600 + 10, ..DhtConfig::default() }), 5);
    assert_eq!(full(DhtConfig { capacity: 0, ..DhtConfig::default() }), 0);
    // Even one of no bytes at all.
    let mut bench = Bench::knowing(DhtConfig { capacity: 0, ..DhtConfig::default() }, 1);
    let id = ValueId::of(b"");
    bench.say(address(0), &crate::bench::store(0, &id, 0, BEGIN));
    assert!(bench.sent_one().json.get("xferid").is_none());
}
