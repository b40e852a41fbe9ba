//! Publishing a value on nodes that are not ours.

use rs2p_base::Time;
use rs2p_bytestag::{Copies, DhtConfig, DhtEvent, PutError, ValueId};
use serde_json::{Value as Json, json};

use crate::bench::{
    BEGIN, Bench, Held, Sent, address, confirmation, entry, listed, number_of, peer,
};

/// An old node: it answers what it is asked.
#[derive(Default)]
struct Old {
    holds: Vec<(ValueId, u64)>,
    refuses: bool,
    loses_first: bool,
    stores: Vec<Json>,
    chunks: Vec<(Time, Vec<u8>)>,
    ends: usize,
}

impl Old {
    /// What it says to a datagram.
    fn hear(&mut self, bench: &mut Bench, sent: &Sent) {
        let number = number_of(sent.to);
        let id = |json: &Json| ValueId {
            key: json["key"].as_str().unwrap().parse().unwrap(),
            index: json["index"].as_str().unwrap().parse().unwrap(),
        };
        if sent.is("findnode") || sent.is("ping") {
            bench.answer(sent, number, json!({ "nodes": [listed(number)] }));
        } else if sent.is("findval") {
            let of_key: Vec<_> =
                self.holds.iter().filter(|held| held.0.key == id(&sent.json).key).collect();
            let told = match of_key.is_empty() {
                true => json!({ "nodes": [listed(number)] }),
                false => {
                    let vals = of_key.iter().map(|(id, stamp)| {
                        crate::bench::joined(entry(id, 9), json!({ "time": stamp }))
                    });
                    json!({ "vals": vals.collect::<Vec<_>>() })
                }
            };
            bench.answer(sent, number, told);
        } else if sent.is("store") {
            self.stores.push(sent.json.clone());
            let has = self.holds.iter().any(|held| held.0 == id(&sent.json));
            let leave = match has || self.refuses {
                true => json!({}),
                false => json!({ "xferid": format!("leave {}", self.stores.len()) }),
            };
            bench.answer(sent, number, leave);
        } else if sent.is_chunk() {
            self.chunks.push((sent.at, sent.data()));
            bench.say(sent.to, &confirmation(sent));
        } else if sent.is_end() {
            self.ends += 1;
            let is_lost = self.loses_first && self.ends == 1;
            if let (Some(store), false) = (self.stores.last(), is_lost) {
                self.holds.push((id(store), store["timestmp"].as_u64().unwrap()));
            }
        }
    }
}

/// Lets the peers, which all are this one, talk with the node until it is silent.
fn talk(bench: &mut Bench, old: &mut Old) {
    for _ in 0..400 {
        for sent in bench.sent() {
            old.hear(bench, &sent);
        }
        bench.pass_millis(50);
    }
}

fn published(bench: &Bench) -> Vec<Result<Copies, PutError>> {
    let results = bench.events.iter().filter_map(|event| match event {
        DhtEvent::Published { result, .. } => Some(result.clone()),
        _ => None,
    });
    results.collect()
}

fn put(bench: &mut Bench, value: &[u8]) -> ValueId {
    let value = value.to_vec();
    bench.call(|dht, now| dht.put(now, None, value.into())).unwrap().1
}

/// D2 and rule 5.
#[test]
fn an_old_node_has_a_breath_between_its_leave_and_the_first_piece() {
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    put(&mut bench, &[1; 1_500]);
    let findval = bench.sent_one();
    bench.answer(&findval, 0, json!({ "nodes": [listed(0)] }));
    let store = bench.sent_one();
    bench.answer(&store, 0, json!({ "xferid": "leave" }));
    bench.pass_millis(29);
    assert!(bench.sent().is_empty());
    bench.pass_millis(21);
    assert!(bench.sent_one().is_chunk());
}

/// Rule 6.
#[test]
fn an_old_node_that_lost_the_value_is_sent_it_once_more() {
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    let mut old = Old { loses_first: true, ..Old::default() };
    let id = put(&mut bench, &[1; 1_500]);
    talk(&mut bench, &mut old);
    assert_eq!((old.stores.len(), old.ends), (2, 2));
    assert_eq!(old.holds, [(id, BEGIN)]);
    assert_eq!(old.chunks.len(), 4);
    assert_eq!(published(&bench), [Ok(Copies { stored: 1, ..Copies::default() })]);
}

/// Rules 4 and 5.
#[test]
fn a_piece_that_is_never_confirmed_is_sent_twice_and_then_the_end_once() {
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    put(&mut bench, &[1; 5_000]);
    let findval = bench.sent_one();
    bench.answer(&findval, 0, json!({ "nodes": [listed(0)] }));
    let store = bench.sent_one();
    bench.answer(&store, 0, json!({ "xferid": "leave" }));
    bench.pass_millis(40);
    let first = bench.sent_one();
    bench.pass_millis(4_999);
    assert!(bench.sent().is_empty());
    bench.pass_millis(1);
    assert_eq!(bench.sent_one().raw, first.raw);
    bench.pass_millis(5_000);
    assert!(bench.sent_one().is_end());
    // It comes too late: nothing more is said of this transfer.
    bench.say(address(0), &confirmation(&first));
    bench.pass_millis(20_000);
    assert!(bench.sent().iter().all(|sent| sent.json.get("xfer_id").is_none()));
    assert_eq!(published(&bench), [Err(PutError::Nowhere { refused: 0, silent: 1 })]);
}

/// D12 and rule 13.
#[test]
fn a_value_goes_to_the_twenty_nearest_to_its_key_that_take_it() {
    let config = DhtConfig { copies: 4, ..DhtConfig::default() };
    let mut bench = Bench::knowing(config, 12);
    let id = put(&mut bench, &[7; 900]);
    let mut nearest: Vec<u16> = (0..12).collect();
    nearest.sort_by_key(|number| id.key.distance(&peer(*number)));
    let mut asked = Vec::new();
    for _ in 0..400 {
        for sent in bench.sent() {
            let number = number_of(sent.to);
            if sent.is("findval") {
                let nodes: Vec<_> = (0..12).map(listed).collect();
                bench.answer(&sent, number, json!({ "nodes": nodes }));
            } else if sent.is("store") {
                asked.push(number);
                // The nearest two have no room, which a reply without a transfer says.
                let members = match nearest[..2].contains(&number) {
                    true => json!({}),
                    false => json!({ "rs2p": 1, "rs2p_kept": true }),
                };
                bench.answer(&sent, number, members);
            }
        }
        bench.pass_millis(10);
    }
    assert_eq!(asked, nearest[..6]);
    let copies = Copies { stored: 4, refused: 2, ..Copies::default() };
    assert_eq!(published(&bench), [Ok(copies)]);
}

/// D13.
#[test]
fn a_node_with_another_value_of_the_key_is_sent_this_one() {
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    let id = ValueId::of(&[1; 900]);
    let other = ValueId { key: id.key, index: peer(7) };
    let mut old = Old { holds: vec![(other, BEGIN)], ..Old::default() };
    put(&mut bench, &[1; 900]);
    talk(&mut bench, &mut old);
    assert_eq!(old.holds, [(other, BEGIN), (id, BEGIN)]);
}

/// D10: a publication with nobody known is not taken for done, and each is done again.
#[test]
fn what_could_not_be_published_is_published_once_somebody_is_known() {
    let mut bench = Bench::new(DhtConfig::default());
    let id = put(&mut bench, &[1; 900]);
    assert_eq!(published(&bench), [Err(PutError::Nowhere { refused: 0, silent: 0 })]);
    bench.pass_millis(100_000);
    let mut old = Old::default();
    bench.say(address(0), &crate::bench::ping(0));
    talk(&mut bench, &mut old);
    assert_eq!(old.holds.len(), 1);
    assert_eq!(old.holds[0].0, id);
    assert!(published(&bench)[1].is_ok());
}

/// D10 and D11.
#[test]
fn a_node_that_has_the_value_is_told_when_it_is_published_again() {
    let value = vec![1; 900];
    let stamp = Time::from_secs(BEGIN - 80_000);
    let held = Held { original: true, stamp, ..Held::of(&value) };
    let id = held.id;
    let mut bench = Bench::holding(DhtConfig::default(), BEGIN, vec![held]);
    let mut old = Old { holds: vec![(id, BEGIN - 80_000)], ..Old::default() };
    bench.say(address(0), &crate::bench::ping(0));
    talk(&mut bench, &mut old);
    // It is told of the new time stamp; what it has already is not sent.
    assert_eq!(old.stores.len(), 1);
    assert!(old.stores[0]["timestmp"].as_u64().unwrap() >= BEGIN);
    assert!(old.chunks.is_empty());
    assert_eq!(published(&bench), [Ok(Copies { had: 1, ..Copies::default() })]);
    // A day later it is told again, and so on.
    bench.pass_millis(86_400_000);
    bench.sent();
    bench.say(address(0), &crate::bench::ping(0));
    talk(&mut bench, &mut old);
    assert_eq!(old.stores.len(), 2);
}

/// D11, from the other side: a store of what is held with a newer stamp prolongs it, without a
/// transfer; an older one does not.
#[test]
fn a_value_that_is_published_again_lives_longer() {
    let held = Held::of(&[1; 900]);
    let id = held.id;
    let mut bench = Bench::holding(DhtConfig::default(), BEGIN, vec![held]);
    for (stamp, expected) in [(BEGIN + 50, BEGIN + 50), (BEGIN + 20, BEGIN + 50)] {
        let store = crate::bench::store(0, &id, 900, stamp);
        bench.say(address(0), &store);
        assert!(bench.sent_one().json.get("xferid").is_none());
        bench.pass_millis(20_000);
        bench.say(address(0), &crate::bench::findval(0, &id));
        let sent = bench.sent();
        let told = sent.iter().find(|sent| sent.json.get("vals").is_some()).unwrap();
        assert_eq!(told.json["vals"][0]["time"].as_f64(), Some(expected as f64));
    }
    // Nobody has it but us, so it goes when its time has come, and not an hour after it came (D14).
    bench.pass_millis(86_000_000);
    assert!(bench.dht.has(&id));
    bench.pass_millis(1_000_000);
    assert!(!bench.dht.has(&id));
}

/// Rule 7.
#[test]
fn no_more_than_three_values_go_to_one_old_node_at_a_time() {
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    for byte in 0..9 {
        put(&mut bench, &[byte; 900]);
    }
    let mut under_way: Vec<Sent> = Vec::new();
    let mut stores = 0;
    for _ in 0..20 {
        for sent in bench.sent() {
            if sent.is("findval") {
                bench.answer(&sent, 0, json!({ "nodes": [listed(0)] }));
            } else if sent.is("store") {
                stores += 1;
                under_way.push(sent);
            }
        }
        assert!(under_way.len() <= 3);
    }
    assert_eq!(stores, 3);
    for store in under_way {
        bench.answer(&store, 0, json!({}));
    }
    assert_eq!(bench.sent().iter().filter(|sent| sent.is("store")).count(), 3);
}

/// Rule 7: it may take seconds.
#[test]
fn an_old_node_has_ten_seconds_to_grant_a_store() {
    let mut bench = Bench::knowing(DhtConfig::default(), 1);
    put(&mut bench, &[1; 900]);
    let findval = bench.sent_one();
    bench.answer(&findval, 0, json!({ "nodes": [listed(0)] }));
    let store = bench.sent_one();
    bench.pass_millis(4_999);
    assert!(bench.sent().is_empty());
    bench.pass_millis(1);
    assert_eq!(bench.sent_one().raw, store.raw);
    bench.pass_millis(4_999);
    bench.answer(&store, 0, json!({ "xferid": "first" }));
    // The answer to the second attempt names another transfer, which is left alone.
    bench.answer(&store, 0, json!({ "xferid": "second" }));
    bench.pass_millis(100);
    let sent = bench.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0].json["xfer_id"], "first");
}

/// Rule 14 and D14: old nodes forget what others stored within the hour.
#[test]
fn old_nodes_that_forget_a_value_within_the_hour_are_given_it_again() {
    let held = Held::of(&[1; 900]);
    let id = held.id;
    let mut bench = Bench::holding(DhtConfig::default(), BEGIN, vec![held]);
    let mut old = Old::default();
    for round in 1..3 {
        old.holds.clear();
        bench.pass_millis(3_000_000);
        bench.sent();
        bench.say(address(0), &crate::bench::ping(0));
        for _ in 0..40 {
            talk(&mut bench, &mut old);
        }
        assert_eq!(old.stores.len(), round);
        // As of when it was published, not of now.
        assert_eq!(old.holds, [(id, BEGIN - 100)]);
    }
}
