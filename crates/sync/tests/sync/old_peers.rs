//! What py2p and js2p nodes are told, and what not, since they would not survive it.

use rs2p_mesh::MeshConfig;
use rs2p_sync::SyncConfig;
use rs2p_wire::{IdForm, MainFlag, SubFlag, Value};

use crate::bench::{Bench, COMPARE, Kind, PeerIndex, id};

const OLD: [Kind; 2] = [Kind::Py2p, Kind::Js2p];

/// A node with two peers: one that says things, and one of a kind that is told.
fn between(kind: Kind) -> (Bench, PeerIndex, PeerIndex) {
    let mut bench = Bench::new(SyncConfig::default());
    let speaker = bench.join(Kind::Rs2p);
    let listener = bench.join(kind);
    bench.clear();
    (bench, speaker, listener)
}

fn delta(key: &str, of: &str) -> [Value; 3] {
    let map = Value::Map(vec![(of.into(), 1.into())]);
    [SubFlag::Delta.into(), Value::Binary(key.into()), map]
}

#[test]
fn an_old_peer_that_comes_is_told_every_key_once_with_its_owner_and_time() {
    for kind in OLD {
        let mut bench = Bench::new(SyncConfig::default());
        for number in 0..200 {
            bench.set(&format!("{number}"), number);
        }
        bench.set("deleted", 1);
        bench.del("deleted");
        let time = bench.time(0);
        let peer = bench.join(kind);
        let form = if kind == Kind::Py2p { IdForm::Bin } else { IdForm::Str };
        let stores = bench.payloads(peer, SubFlag::Store);
        let mut keys: Vec<String> = Vec::new();
        for store in &stores {
            let [key, value, owner, when] = &store[..] else { panic!("{store:?}") };
            assert_eq!(key.is_str(), kind == Kind::Js2p, "js2p keys are text");
            // Its author writes bin as long as not only js2p nodes are known.
            assert!(*owner == form.value(&id(100).to_string()) || owner.is_bin() || owner.is_str());
            assert_eq!(*when, time.into());
            let key = rs2p_wire::text_bytes(key).unwrap();
            let key = std::str::from_utf8(key).unwrap().to_owned();
            assert_eq!(value.to_string(), key);
            keys.push(key);
        }
        keys.sort();
        keys.dedup();
        assert_eq!((keys.len(), stores.len()), (200, 200));
        // It is told nothing that is between rs2p nodes.
        assert!(bench.heard(peer, COMPARE).is_empty());
        assert_eq!(bench.sync.status(bench.now).handing_over, 0);
    }
}

#[test]
fn js2p_is_never_told_of_deletions_nor_of_keys_that_are_no_text() {
    let (mut bench, speaker, js) = between(Kind::Js2p);
    let raw: &[u8] = b"raw\xff";
    bench.set("mine", 1);
    bench.del("mine");
    bench.call(|sync, now| sync.set(now, raw, 1)).unwrap();
    bench.call(|sync, now| sync.apply_delta(now, b"map\xff", &[(1.into(), 2.into())])).unwrap();
    bench.set_by(speaker, 9, 0, "theirs", 1);
    bench.set_by(speaker, 9, 0, "theirs", Value::Nil);
    let store = [SubFlag::Store.into(), Value::Binary(raw.into()), 2.into()];
    bench.say(speaker, MainFlag::Broadcast, (id(9), IdForm::Bin), 0, &store);
    assert_eq!(bench.stored(js), ["mine", "theirs"]);
    assert!(bench.heard(js, SubFlag::Delta).is_empty());
    let late = bench.join(Kind::Js2p);
    assert!(bench.stored(late).is_empty(), "only keys that are no text are left");
    let py = bench.join(Kind::Py2p);
    assert_eq!(bench.heard(py, SubFlag::Store).len(), 2);
}

#[test]
fn py2p_is_not_told_of_the_deletion_of_a_key_that_it_may_lack() {
    let (mut bench, speaker, py) = between(Kind::Py2p);
    let other = bench.join(Kind::Rs2p);
    bench.set_by(speaker, 9, 0, "unknown", Value::Nil);
    assert!(bench.heard(py, SubFlag::Store).is_empty());
    assert_eq!(bench.stored(other), ["unknown"], "rs2p nodes look after themselves");
    bench.set_by(speaker, 9, 0, "known", 1);
    bench.set_by(speaker, 9, 0, "known", Value::Nil);
    // The second deletion finds a tombstone.
    bench.set_by(speaker, 9, 0, "known", Value::Nil);
    assert_eq!(bench.stored(py), ["known", "known"]);
}

#[test]
fn py2p_is_not_told_of_a_delta_to_what_is_no_map() {
    let (mut bench, speaker, py) = between(Kind::Py2p);
    bench.set_by(speaker, 9, 0, "text", "x");
    let say = |bench: &mut Bench, key| {
        bench.say(speaker, MainFlag::Broadcast, (id(9), IdForm::Bin), 0, &delta(key, "a"));
    };
    say(&mut bench, "text");
    assert!(bench.heard(py, SubFlag::Delta).is_empty());
    assert_eq!(bench.value("text").as_deref(), Some("\"x\""));
    say(&mut bench, "map");
    say(&mut bench, "map");
    assert_eq!(bench.heard(py, SubFlag::Delta).len(), 2);
    bench.set_by(speaker, 9, 0, "map", Value::Nil);
    say(&mut bench, "map");
    assert_eq!(bench.heard(py, SubFlag::Delta).len(), 1, "a deleted key begins with an empty map");
}

#[test]
fn py2p_is_not_told_of_an_owner_in_another_form_than_the_one_it_holds_of_the_same_second() {
    let (mut bench, speaker, py) = between(Kind::Py2p);
    let rs = bench.join(Kind::Rs2p);
    let js = bench.join(Kind::Js2p);
    bench.clear();
    bench.set_by(speaker, 25, 0, "tie", 1);
    let store = [SubFlag::Store.into(), Value::Binary("tie".into()), 2.into()];
    bench.say(speaker, MainFlag::Broadcast, (id(20), IdForm::Str), 0, &store);
    bench.say(speaker, MainFlag::Broadcast, (id(20), IdForm::Str), 1, &store);
    // Another form in another second is no tie.
    bench.set_by(speaker, 25, 2, "tie", 3);
    assert_eq!(bench.stored(py), ["tie", "tie", "tie"]);
    assert_eq!(bench.stored(rs).len(), 4);
    assert_eq!(bench.stored(js).len(), 4);
}

#[test]
fn a_slow_old_peer_is_told_everything_in_its_time_and_holds_up_nobody() {
    for kind in OLD {
        let (mut bench, other) = Bench::with(Kind::Py2p);
        let text = "x".repeat(2_000);
        for number in 0..400 {
            bench.set(&format!("{number:03}"), text.as_str());
        }
        bench.clear();
        let slow = bench.join_slow(kind);
        let queue = MeshConfig::default().link.send_queue;
        let mut told = 0;
        for round in 0.. {
            assert!(bench.waiting(slow) <= queue / 4 + 4_000, "{}", bench.waiting(slow));
            // Writes go on meanwhile, and reach both.
            if round < 50 {
                bench.set(&format!("new {round}"), 1);
            }
            let read = bench.read(slow, 20);
            told += read;
            if read == 0 {
                break;
            }
        }
        assert!(told >= 400);
        let mut keys = bench.stored(slow);
        assert_eq!(bench.sync.status(bench.now).handing_over, 0);
        keys.retain(|key| !key.starts_with("new"));
        keys.sort();
        let expected: Vec<_> = (0..400).map(|number| format!("{number:03}")).collect();
        assert_eq!(keys, expected);
        assert_eq!(bench.stored(other).len(), 50);
    }
}

#[test]
fn a_key_deleted_before_a_slow_py2p_peer_was_told_of_it_is_never_mentioned() {
    let mut bench = Bench::new(SyncConfig::default());
    let text = "x".repeat(2_000);
    for number in 0..400 {
        bench.set(&format!("{number:03}"), text.as_str());
    }
    let slow = bench.join_slow(Kind::Py2p);
    for number in 0..400 {
        bench.del(&format!("{number:03}"));
    }
    while bench.read(slow, 100) > 0 {}
    let stores = bench.payloads(slow, SubFlag::Store);
    let mut held = std::collections::BTreeSet::new();
    let mut deleted = 0;
    for store in stores {
        let key = store[0].as_slice().unwrap().to_vec();
        if store[1].is_nil() {
            // It drops who deletes what it lacks.
            assert!(held.remove(&key), "{key:?}");
            deleted += 1;
        } else {
            assert!(held.insert(key));
        }
    }
    assert!(deleted > 0 && deleted < 400, "{deleted}");
    assert!(held.len() <= 1, "only the key that was under way may stay: {}", held.len());
}

#[test]
fn a_peer_that_vanishes_while_it_is_told_is_forgotten() {
    let mut bench = Bench::new(SyncConfig::default());
    for number in 0..400 {
        bench.set(&format!("{number:03}"), "x".repeat(2_000));
    }
    for kind in [Kind::Py2p, Kind::Js2p, Kind::Rs2p] {
        let peer = bench.join_slow(kind);
        bench.set("a", 1);
        bench.leave(peer);
        let status = bench.sync.status(bench.now);
        assert_eq!((status.handing_over, status.exchanging), (0, 0));
        bench.set("b", 1);
        bench.seconds(300);
    }
}

#[test]
fn what_is_handed_over_counts_if_it_is_newer_and_is_answered_if_it_is_older() {
    let (mut bench, speaker, py) = between(Kind::Py2p);
    bench.hand_over(py, (7, IdForm::Bin), -1_000, "new", 1);
    assert_eq!(bench.value("new").as_deref(), Some("1"));
    assert_eq!(bench.told(), ["new = 1"]);
    bench.hand_over(py, (7, IdForm::Bin), -900, "new", 2);
    assert_eq!(bench.value("new").as_deref(), Some("2"));
    // The same once more: nothing.
    bench.hand_over(py, (7, IdForm::Bin), -900, "new", 2);
    assert!(bench.heard(py, SubFlag::Store).is_empty());
    // An older one of the same owner: it has missed the newer.
    bench.hand_over(py, (7, IdForm::Bin), -1_000, "new", 1);
    assert_eq!(bench.value("new").as_deref(), Some("2"));
    let repeated = bench.heard(py, SubFlag::Store);
    assert_eq!(repeated.len(), 1);
    assert_eq!(repeated[0].sender(), id(7).to_string().as_bytes());
    assert_eq!(repeated[0].time(), bench.time(-900));
    // Another owner's, within the lease: it stays as it is, here and there.
    bench.hand_over(py, (5, IdForm::Bin), -800, "new", 3);
    assert_eq!(bench.value("new").as_deref(), Some("2"));
    assert!(bench.heard(py, SubFlag::Store).is_empty());
    // After the lease.
    bench.seconds(3_600);
    bench.hand_over(py, (5, IdForm::Bin), 0, "new", 4);
    assert_eq!(bench.value("new").as_deref(), Some("4"));
    assert_eq!(bench.sync.status(bench.now).counts.malformed, 0);
    // As a broadcast it would go round and round.
    let owner = Value::Binary(id(5).to_string().into_bytes());
    let key = Value::Binary("other".into());
    let payload = [SubFlag::Store.into(), key, 1.into(), owner, 5.into()];
    bench.say(speaker, MainFlag::Broadcast, (id(9), IdForm::Bin), 0, &payload);
    assert_eq!(bench.value("other"), None);
    assert_eq!(bench.sync.status(bench.now).counts.malformed, 1);
}

#[test]
fn a_deleted_key_does_not_come_back_from_an_old_peer_that_missed_the_deletion() {
    for kind in OLD {
        let (mut bench, speaker, old) = between(kind);
        let form = if kind == Kind::Py2p { IdForm::Bin } else { IdForm::Str };
        bench.set_by(speaker, 7, 0, "gone", 1);
        bench.seconds(10);
        bench.leave(old);
        bench.set_by(speaker, 7, 0, "gone", Value::Nil);
        let old = bench.join(kind);
        bench.clear();
        for seconds in [-20, -10, 0] {
            bench.hand_over(old, (7, form), seconds, "gone", 1);
            assert_eq!(bench.value("gone"), None);
        }
        let repeated = bench.payloads(old, SubFlag::Store);
        match kind {
            Kind::Py2p => assert!(repeated.len() == 3 && repeated.iter().all(|it| it[1].is_nil())),
            _ => assert!(repeated.is_empty(), "it drops who tells it of a deletion"),
        }
        bench.hand_over(old, (7, form), 1, "gone", 2);
        assert_eq!(bench.value("gone").as_deref(), Some("2"));
    }
}

#[test]
fn a_repeat_never_names_an_owner_that_py2p_cannot_compare_with_its_own() {
    let (mut bench, speaker, py) = between(Kind::Py2p);
    bench.set_by(speaker, 20, 0, "tie", 1);
    bench.clear();
    // The second is the same. If one owner were text and the other bytes, py2p would drop the link.
    for form in [IdForm::Str, IdForm::Bin] {
        bench.hand_over(py, (25, form), 0, "tie", 2);
        assert_eq!(bench.value("tie").as_deref(), Some("1"));
        let forms = bench.heard(py, SubFlag::Store).into_iter().map(|it| it.sender_form());
        assert_eq!(forms.collect::<Vec<_>>(), [form]);
    }
}

#[test]
fn old_writes_that_come_late_change_nothing() {
    let (mut bench, speaker, _) = between(Kind::Py2p);
    bench.set_by(speaker, 7, 0, "k", 2);
    bench.set_by(speaker, 7, -1, "k", 1);
    assert_eq!(bench.value("k").as_deref(), Some("2"));
    bench.set_by(speaker, 7, 0, "k", Value::Nil);
    for (author, seconds) in [(6, -2), (7, -1), (8, -2)] {
        bench.set_by(speaker, author, seconds, "k", 3);
        assert_eq!(bench.value("k"), None, "{author}");
    }
    bench.set_by(speaker, 8, 1, "k", 4);
    assert_eq!(bench.value("k").as_deref(), Some("4"));
    assert_eq!(bench.sync.status(bench.now).counts.lost, 4);
}

#[test]
fn an_old_node_takes_every_lease_for_an_hour() {
    let (mut bench, speaker, _) = between(Kind::Py2p);
    for (key, lease, hour_ends) in
        [("long", 30_000, true), ("short", 5, true), ("usual", 3_600, true)]
    {
        bench.call(|sync, now| sync.set_for(now, key, 1, lease)).unwrap();
        bench.set_by(speaker, 8, 3_600, key, 2);
        assert_eq!(bench.value(key).as_deref(), Some("1"), "{key} {hour_ends}");
    }
    bench.seconds(3_600);
    for key in ["long", "short", "usual"] {
        bench.set_by(speaker, 8, 0, key, 2);
        assert_eq!(bench.value(key).as_deref(), Some("1"), "not yet");
    }
    bench.seconds(1);
    for key in ["long", "short", "usual"] {
        bench.set_by(speaker, 8, 0, key, 2);
        assert_eq!(bench.value(key).as_deref(), Some("2"));
    }
}
