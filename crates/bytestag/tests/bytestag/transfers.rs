//! Values on their way between a node and others, old ones and liars among them.

use rs2p_bytestag::{DhtConfig, DhtEvent, GetError, ValueId};
use serde_json::{Value as Json, json};

use crate::bench::{
    BEGIN, Bench, Held, Sent, address, chunk, confirmation, end, entry, findval, getval, joined,
    listed, number_of, ping, store,
};

/// A node that has granted a peer to store a value, and under which transfer.
fn granted(value: &[u8]) -> (Bench, ValueId, String) {
    let mut bench = Bench::knowing(DhtConfig::default(), 2);
    let id = ValueId::of(value);
    bench.say(address(0), &store(0, &id, value.len() as i64, BEGIN));
    let transfer = bench.sent_one().json["xferid"].as_str().unwrap().to_owned();
    (bench, id, transfer)
}

/// D2 and rule 9: every piece is confirmed, one that comes again is not taken again.
#[test]
fn a_piece_that_comes_twice_is_confirmed_twice_and_taken_once() {
    let (mut bench, id, transfer) = granted(b"one two");
    for (data, ticket) in [("one ", "a"), ("one ", "a"), ("two", "b"), ("one ", "a")] {
        bench.say(address(0), &chunk(&transfer, data.as_bytes(), ticket));
        assert_eq!(bench.sent_one().json["reply_id"], ticket);
    }
    bench.say(address(0), &end(&transfer));
    assert!(bench.dht.has(&id));
}

/// D2a: what comes after the end changes nothing and is confirmed all the same.
#[test]
fn pieces_after_the_end_are_confirmed_and_forgotten() {
    let (mut bench, id, transfer) = granted(b"one two");
    bench.say(address(0), &chunk(&transfer, b"one two", "a"));
    bench.say(address(0), &end(&transfer));
    bench.sent();
    for _ in 0..5 {
        bench.say(address(0), &end(&transfer));
        assert!(bench.sent().is_empty());
        bench.say(address(0), &chunk(&transfer, b"one two", "a"));
        assert_eq!(bench.sent_one().json["reply_id"], "a");
    }
    assert!(bench.dht.has(&id));
    assert_eq!(bench.dht.status().downloads, 0);
    bench.pass_millis(60_000);
    bench.say(address(1), &ping(1));
    bench.sent();
    assert_eq!(bench.dht.status().downloads, 0);
}

/// Rule 9: whoever falls silent has sent all that he has.
#[test]
fn a_value_whose_end_is_lost_is_kept_after_ten_seconds_of_silence() {
    let (mut bench, id, transfer) = granted(b"one two");
    bench.say(address(0), &chunk(&transfer, b"one two", "a"));
    bench.pass_millis(9_999);
    assert!(!bench.dht.has(&id));
    bench.pass_millis(1);
    assert!(bench.dht.has(&id));
}

/// D16: a transfer that exceeds what was announced is dropped.
#[test]
fn more_than_was_announced_is_not_taken() {
    let (mut bench, id, transfer) = granted(&[1; 2_000]);
    for ticket in ["a", "b", "c"] {
        bench.say(address(0), &chunk(&transfer, &[1; 1_000], ticket));
    }
    assert_eq!(bench.dht.status().downloads, 0);
    bench.say(address(0), &end(&transfer));
    assert!(!bench.dht.has(&id));
    // The same within a packet of our own kind.
    let id = ValueId::of(b"short");
    let inline = json!({ "rs2p": 1, "rs2p_value": "c2hvcnQ=" });
    bench.sent();
    bench.say(address(1), &joined(store(1, &id, 4, BEGIN), inline.clone()));
    assert!(bench.sent_one().json.get("rs2p_kept").is_none());
    assert!(!bench.dht.has(&id));
    let right = joined(store(1, &id, 5, BEGIN), joined(inline, json!({ "seq_id": "other" })));
    bench.say(address(1), &right);
    assert_eq!(bench.sent_one().json["rs2p_kept"], true);
    assert!(bench.dht.has(&id));
}

/// A sender that says one byte every nine seconds holds no place for ever.
#[test]
fn a_transfer_that_goes_on_too_slowly_is_over() {
    let (mut bench, _, transfer) = granted(&[1; 2_000]);
    for number in 0..66 {
        bench.say(address(0), &chunk(&transfer, &[1], &number.to_string()));
        assert_eq!(bench.dht.status().downloads, 1);
        bench.pass(std::time::Duration::from_secs(9));
    }
    bench.pass(std::time::Duration::from_secs(9));
    assert_eq!(bench.dht.status().downloads, 0);
}

/// D16: sizes, time stamps and keys are looked at before anything is granted.
#[test]
fn an_offer_that_cannot_be_right_is_refused_at_once() {
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    let id = ValueId::of(b"value");
    let offers = [
        (-1, BEGIN),
        (i64::MIN, BEGIN),
        (i64::MAX, BEGIN),
        (1_048_577, BEGIN),
        (5, BEGIN + 301),
        (5, u64::MAX >> 1),
        (5, BEGIN - 86_491),
        (5, 0),
    ];
    for (number, (size, stamp)) in offers.into_iter().enumerate() {
        let ticket = json!({ "seq_id": format!("q{number}") });
        bench.say(address(0), &joined(store(0, &id, size, stamp), ticket));
        // Rule 13: a reply without a transfer, not silence.
        let reply = bench.sent_one();
        assert!(reply.json["reply_id"].is_string(), "{size} {stamp}");
        assert!(reply.json.get("xferid").is_none(), "{size} {stamp}");
    }
    bench.say(address(0), &joined(store(0, &id, 1_048_576, BEGIN + 299), json!({ "seq_id": "r" })));
    assert!(bench.sent_one().json["xferid"].is_string());
}

/// D21: a value lies under its SHA-1, or describes the file of that key.
#[test]
fn a_value_under_a_key_that_is_not_its_own_is_not_kept() {
    for value in [&b"anything"[..], br#"{"!":"BytestagFileInfo","hash":"x","parts":["y"]}"#] {
        let id = ValueId { key: ValueId::of(b"a file").key, ..ValueId::of(value) };
        let mut bench = Bench::knowing(DhtConfig::default(), 1);
        bench.say(address(0), &store(0, &id, value.len() as i64, BEGIN));
        let transfer = bench.sent_one().json["xferid"].as_str().unwrap().to_owned();
        bench.say(address(0), &chunk(&transfer, value, "a"));
        bench.say(address(0), &end(&transfer));
        assert_eq!(bench.dht.status().foreign_values, 0);
    }
    let file = ValueId::of(b"a file").key.to_base64();
    let info = format!(r#"{{"!":"BytestagFileInfo","hash":"{file}","parts":["{file}"]}}"#);
    let id = ValueId { key: ValueId::of(b"a file").key, ..ValueId::of(info.as_bytes()) };
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    bench.say(address(0), &store(0, &id, info.len() as i64, BEGIN));
    let transfer = bench.sent_one().json["xferid"].as_str().unwrap().to_owned();
    bench.say(address(0), &chunk(&transfer, info.as_bytes(), "a"));
    bench.say(address(0), &end(&transfer));
    assert!(bench.dht.has(&id));
}

/// D4: a question that came twice is answered twice, and one transfer is open.
#[test]
fn a_store_that_comes_twice_is_granted_once() {
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    let question = store(0, &ValueId::of(b"value"), 5, BEGIN);
    bench.say(address(0), &question);
    let first = bench.sent_one();
    bench.pass_millis(5_000);
    bench.say(address(0), &question);
    assert_eq!(bench.sent_one().raw, first.raw);
    assert_eq!(bench.dht.status().downloads, 1);
}

/// D19: pieces and confirmations count only from the address that the transfer is with.
#[test]
fn pieces_and_confirmations_from_another_address_are_nothing() {
    let (mut bench, id, transfer) = granted(b"value");
    bench.say(address(1), &chunk(&transfer, b"wrong", "a"));
    bench.say(address(1), &end(&transfer));
    assert!(bench.sent().is_empty());
    bench.say(address(0), &chunk(&transfer, b"value", "a"));
    bench.say(address(0), &end(&transfer));
    assert!(bench.dht.has(&id));
    bench.sent();
    let mut bench = Bench::holding(DhtConfig::default(), BEGIN, vec![Held::of(&[1; 3_000])]);
    bench.say(address(0), &getval(0, &ValueId::of(&[1; 3_000]), "t"));
    bench.breathe();
    let first = sent_chunk(&mut bench);
    bench.say(address(1), &confirmation(&first));
    assert!(!bench.sent().iter().any(Sent::is_chunk));
    bench.say(address(0), &confirmation(&first));
    assert!(bench.sent().iter().any(Sent::is_chunk));
}

fn sent_chunk(bench: &mut Bench) -> Sent {
    bench.sent().into_iter().find(Sent::is_chunk).unwrap()
}

/// D2c: what one address asks for is bounded, and so is the sum.
#[test]
fn only_so_many_values_are_sent_at_a_time() {
    let config = DhtConfig { uploads: [6, 4], ..DhtConfig::default() };
    let mut bench = Bench::holding(config, BEGIN, vec![Held::of(&[1; 3_000])]);
    let id = ValueId::of(&[1; 3_000]);
    for (peer, expected) in [(0, 4), (1, 6), (2, 6)] {
        for number in 0..20 {
            bench.say(address(peer), &getval(peer, &id, &format!("{number}")));
        }
        assert_eq!(bench.dht.status().uploads, expected);
    }
    // They end by themselves: nobody confirms anything.
    bench.breathe();
    bench.pass_millis(10_000);
    assert_eq!(bench.dht.status().uploads, 0);
}

/// The same for values that come in.
#[test]
fn only_so_many_values_are_taken_at_a_time() {
    let config = DhtConfig { incoming: [6, 4], ..DhtConfig::default() };
    let mut bench = Bench::knowing(config, 3);
    for (peer, expected) in [(0, 4), (1, 6), (2, 6)] {
        for number in 0..20 {
            let id = ValueId::of(&[peer as u8, number]);
            let ticket = json!({ "seq_id": format!("q{number}") });
            bench.say(address(peer), &joined(store(peer, &id, 2, BEGIN), ticket));
        }
        assert_eq!(bench.dht.status().downloads, expected);
    }
    // Rule 13: all were answered.
    assert_eq!(bench.sent().iter().filter(|sent| sent.json.get("reply_id").is_some()).count(), 60);
    bench.pass_millis(10_000);
    assert_eq!(bench.dht.status().downloads, 0);
}

/// Rule 4, and D2a at the other side: a question that comes once more does not start the transfer
/// again, neither while it runs nor after its end. The bench looks at what is sent.
#[test]
fn a_transfer_is_never_sent_twice() {
    let value = [1; 1_500];
    let mut bench = Bench::holding(DhtConfig::default(), BEGIN, vec![Held::of(&value)]);
    let id = ValueId::of(&value);
    bench.say(address(0), &getval(0, &id, "t"));
    bench.say(address(0), &getval(0, &id, "t"));
    bench.breathe();
    let first = bench.sent_one();
    bench.say(address(0), &getval(0, &id, "t"));
    bench.breathe();
    assert!(!bench.sent().iter().any(Sent::is_chunk));
    bench.say(address(0), &confirmation(&first));
    let second = sent_chunk(&mut bench);
    bench.say(address(0), &confirmation(&second));
    assert!(bench.sent().iter().any(Sent::is_end));
    bench.say(address(0), &getval(0, &id, "t"));
    bench.breathe();
    assert!(bench.sent().iter().all(|sent| sent.json.get("xfer_id").is_none()));
    // Another transfer of the same value is another matter.
    bench.say(address(0), &getval(0, &id, "u"));
    bench.breathe();
    assert!(bench.sent().iter().any(Sent::is_chunk));
}

/// What a peer does when it is asked for the value.
#[derive(Clone, Copy, PartialEq)]
enum Sends {
    Right,
    Wrong,
    Part,
    Nothing,
    WrongInline,
}

/// A node fetches a value that these peers say they have; nothing but lies comes from some.
fn fetch(value: &[u8], holders: &[Sends]) -> (Bench, Vec<u16>, Result<bytes::Bytes, GetError>) {
    let mut bench = Bench::knowing(DhtConfig::default(), holders.len() as u16);
    let id = ValueId::of(value);
    let request = bench.call(|dht, now| dht.get(now, id.key, Some(id.index), []));
    let mut asked = Vec::new();
    for _ in 0..2_000 {
        for sent in bench.sent() {
            let number = number_of(sent.to);
            let what = holders[usize::from(number)];
            if sent.is("findval") {
                let nodes: Vec<_> = (0..holders.len() as u16).map(listed).collect();
                let mut members = json!({ "vals": [entry(&id, value.len())], "nodes": nodes });
                if what == Sends::WrongInline {
                    members["rs2p"] = 1.into();
                    members["rs2p_value"] = "d3Jvbmc=".into();
                }
                bench.answer(&sent, number, members);
            } else if sent.is("getval") {
                asked.push(number);
                send(&mut bench, &sent, what, value);
            }
        }
        if bench.ended(request).is_some() {
            break;
        }
        bench.pass_millis(100);
    }
    let Some(DhtEvent::Got { result, .. }) = bench.ended(request) else { panic!("no end") };
    let result = result.clone().map(|got| got.value);
    (bench, asked, result)
}

fn send(bench: &mut Bench, getval: &Sent, what: Sends, value: &[u8]) {
    let transfer = getval.json["xferid"].as_str().unwrap().to_owned();
    let offset = getval.json["valofs"].as_u64().unwrap_or(0) as usize;
    let rest = &value[offset.min(value.len())..];
    let wrong = vec![0xee; rest.len()];
    let data = match what {
        Sends::Right => rest,
        Sends::Wrong | Sends::WrongInline => &wrong,
        Sends::Part => &wrong[..rest.len() / 2],
        Sends::Nothing => return,
    };
    for (number, piece) in data.chunks(1_024).enumerate() {
        bench.say(getval.to, &chunk(&transfer, piece, &format!("{number}")));
    }
    if what != Sends::Part {
        bench.say(getval.to, &end(&transfer));
    }
}

/// D3, D18 and liars: whatever some of the holders do, the value comes whole from the others.
#[test]
fn a_value_is_fetched_from_who_sends_it_right() {
    let value: Vec<u8> = (0..5_000_u32).map(|at| (at % 251) as u8).collect();
    for liar in [Sends::Wrong, Sends::Part, Sends::Nothing, Sends::WrongInline] {
        for place in 0..3 {
            let mut holders = [liar; 3];
            holders[place] = Sends::Right;
            let (_, _, result) = fetch(&value, &holders);
            assert_eq!(result.unwrap(), value, "place {place}");
        }
    }
    let (_, _, result) = fetch(&value, &[Sends::Wrong, Sends::Part, Sends::Nothing]);
    assert!(
        matches!(result, Err(GetError::Unavailable { sources: 3, wrong: 1.., .. })),
        "{result:?}"
    );
}

/// Rule 8: what is not answered is asked again under another name.
#[test]
fn a_question_that_was_lost_is_asked_again_with_a_new_transfer() {
    let (_, asked, result) = fetch(&[7; 900], &[Sends::Nothing]);
    assert_eq!(asked, [0, 0, 0]);
    assert!(matches!(result, Err(GetError::Unavailable { wrong: 0, .. })));
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    let id = ValueId::of(&[7; 900]);
    bench.call(|dht, now| dht.get(now, id.key, Some(id.index), []));
    let question = bench.sent_one();
    bench.answer(&question, 0, json!({ "vals": [entry(&id, 900)] }));
    let first = bench.sent().into_iter().find(|sent| sent.is("getval")).unwrap();
    assert!(first.json.get("seq_id").is_none());
    bench.pass_millis(4_999);
    assert!(!bench.sent().iter().any(|sent| sent.is("getval")));
    bench.pass_millis(1);
    let again = bench.sent().into_iter().find(|sent| sent.is("getval")).unwrap();
    assert_ne!(again.json["xferid"], first.json["xferid"]);
}

/// Rule 8: three values at a time from one old node.
#[test]
fn no_more_than_three_values_come_from_one_old_node_at_a_time() {
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    let ids: Vec<_> = (0..9_u8).map(|byte| ValueId::of(&[byte; 900])).collect();
    for id in &ids {
        bench.call(|dht, now| dht.get(now, id.key, Some(id.index), []));
    }
    let mut getvals = 0;
    for _ in 0..10 {
        for sent in bench.sent() {
            if sent.is("findval") {
                let of = ids.iter().find(|id| sent.json["key"] == id.key.to_base64()).unwrap();
                bench.answer(&sent, 0, json!({ "vals": [entry(of, 900)] }));
            } else if sent.is("getval") {
                getvals += 1;
            }
        }
    }
    assert_eq!(getvals, 3);
}

/// Nobody sees anything of the extension that has not said that it knows it: the bench looks at
/// every datagram, and here is one of each kind that could carry it.
#[test]
fn an_old_node_is_sent_nothing_of_the_extension_that_it_could_stumble_over() {
    let long = [1; 3_000];
    let held = vec![Held::of(b"short"), Held::of(&long)];
    let mut bench = Bench::holding(DhtConfig::default(), BEGIN, held);
    let mut heard: Vec<Json> = Vec::new();
    bench.say(address(0), &findval(0, &ValueId::of(b"short")));
    bench.say(address(0), &findval(0, &ValueId::of(&long)));
    bench.say(address(0), &store(0, &ValueId::of(b"short"), 5, BEGIN - 100));
    bench.say(address(0), &getval(0, &ValueId::of(&long), "t"));
    // A transfer under a name like ours, too.
    let name = ValueId::of(b"name").key.to_base64();
    bench.say(address(0), &getval(0, &ValueId::of(&long), &name));
    for sent in bench.sent() {
        assert!(!sent.is_binary());
        heard.push(sent.json);
    }
    let replies: Vec<_> = heard.iter().filter(|json| json.get("reply_id").is_some()).collect();
    assert_eq!(replies.len(), 3);
    for reply in replies {
        let members: Vec<_> = reply.as_object().unwrap().keys().collect();
        assert!(members.iter().all(|member| !member.starts_with("rs2p")), "{reply}");
        assert!(reply.get("vals").is_none() || reply.get("nodes").is_none(), "{reply}");
    }
    // Who says that it knows the extension is answered with it.
    bench.say(address(1), &joined(findval(1, &ValueId::of(b"short")), json!({ "rs2p": 1 })));
    let sent = bench.sent();
    let reply = sent.iter().find(|sent| sent.json.get("vals").is_some()).unwrap();
    assert_eq!(reply.json["rs2p_value"], "c2hvcnQ=");
    bench.say(address(1), &joined(getval(1, &ValueId::of(&long), &name), json!({ "rs2p": 1 })));
    assert!(bench.sent().iter().any(Sent::is_binary));
}
