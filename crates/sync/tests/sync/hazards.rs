//! What old nodes do not survive, and what they would miss.

use rs2p_sync::SyncConfig;
use rs2p_wire::{IdForm, MainFlag, SubFlag, Value};

use crate::bench::{Bench, Kind, PeerIndex, id};

/// A node between one of either kind: numbers 1 and 2.
fn between() -> (Bench, PeerIndex, PeerIndex) {
    let mut bench = Bench::new(SyncConfig::default());
    let (py, js) = (bench.join(Kind::Py2p), bench.join(Kind::Js2p));
    bench.clear();
    (bench, py, js)
}

fn map(name: impl Into<Value>) -> Value {
    Value::Map(vec![(name.into(), 1.into())])
}

/// Keys and values of stores, as text.
fn stores(bench: &mut Bench, peer: PeerIndex) -> Vec<(String, String)> {
    let text = |key: &Value| String::from_utf8_lossy(rs2p_wire::text_bytes(key).unwrap()).into();
    let stores = bench.payloads(peer, SubFlag::Store);
    stores.iter().map(|store| (text(&store[0]), store[1].to_string())).collect()
}

/// js2p looks a key up in an object that has some names from the start, takes what it finds for
/// the author and time of the key, and raises.
#[test]
fn js2p_is_not_told_of_keys_that_every_object_has() {
    let (mut bench, py, js) = between();
    for key in ["constructor", "__proto__", "toString", "length"] {
        bench.set(key, 1);
        bench.set(key, map("a"));
        bench.call(|sync, now| sync.apply_delta(now, key, &[("b".into(), 2.into())])).unwrap();
    }
    assert_eq!(bench.stored(js), ["length"; 2]);
    assert_eq!(bench.heard(js, SubFlag::Delta).len(), 1);
    assert_eq!(bench.stored(py).len(), 8);
    // Nor is one that comes later, nor when others write them.
    let late = bench.join(Kind::Js2p);
    assert_eq!(bench.stored(late), ["length"]);
    bench.set_by(py, 1, 0, "valueOf", 1);
    assert_eq!(bench.value("valueOf").as_deref(), Some("1"));
    assert!(bench.stored(js).is_empty());
}

/// js2p asks each value for its text. An object in which that is no function raises.
#[test]
fn js2p_is_not_told_of_values_that_cannot_tell_their_text() {
    let (mut bench, py, js) = between();
    bench.set("text", map("toString"));
    bench.set("parent", map("__proto__"));
    bench.set("binary", map(&b"toString"[..]));
    bench.set("harmless", map("constructor"));
    assert_eq!(bench.stored(js), ["harmless"]);
    assert_eq!(bench.stored(py).len(), 4);
    let late = bench.join(Kind::Js2p);
    assert_eq!(bench.stored(late), ["harmless"]);
}

/// py2p would hold it beside the binary key, and then fail to hand over what it holds.
#[test]
fn py2p_is_not_told_of_keys_written_as_text() {
    let (mut bench, py, js) = between();
    let author = (id(9), IdForm::Bin);
    let store = [SubFlag::Store.into(), "key".into(), 1.into()];
    bench.say(js, MainFlag::Broadcast, author, 0, &store);
    let delta = [SubFlag::Delta.into(), "map".into(), map("a")];
    bench.say(js, MainFlag::Broadcast, author, 0, &delta);
    assert_eq!(bench.sync.len(), 2);
    assert!(bench.stored(py).is_empty() && bench.heard(py, SubFlag::Delta).is_empty());
    // It is when it comes anew: then it is this node that writes the key.
    let late = bench.join(Kind::Py2p);
    let told = bench.payloads(late, SubFlag::Store);
    assert!(told.len() == 2 && told.iter().all(|store| store[0].is_bin()), "{told:?}");
}

/// py2p compares owners when their times are the same, and cannot compare binary with text.
#[test]
fn what_won_a_tie_is_repeated_to_py2p_in_the_form_of_the_loser() {
    let (mut bench, _, js) = between();
    bench.set_by(js, 2, 0, "key", "of the smaller");
    let late = bench.join(Kind::Py2p);
    bench.clear();
    bench.hand_over(late, (3, IdForm::Bin), 0, "key", "of the larger");
    let told = bench.heard(late, SubFlag::Store);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].sender(), told[0].sender_form()),
        (id(2).to_string().as_bytes(), IdForm::Bin)
    );
}

/// Their author says what is right when two values are of the same second.
#[test]
fn of_a_second_the_last_value_is_what_its_author_says() {
    let mut bench = Bench::new(SyncConfig::default());
    bench.set("ours", "old");
    bench.set("ours", "new");
    let py = bench.join(Kind::Py2p);
    bench.set_by(py, 1, 0, "theirs", "old");
    bench.clear();
    // It has missed our latter write, and we have missed its own.
    bench.hand_over(py, (100, IdForm::Bin), 0, "ours", "old");
    bench.hand_over(py, (1, IdForm::Bin), 0, "theirs", "new");
    assert_eq!(stores(&mut bench, py), [("ours".into(), "\"new\"".into())]);
    assert_eq!(bench.value("ours").as_deref(), Some("\"new\""));
    assert_eq!(bench.value("theirs").as_deref(), Some("\"new\""));
    // Others may know an older value as well as a newer one.
    let other = bench.join(Kind::Py2p);
    bench.clear();
    bench.hand_over(other, (1, IdForm::Bin), 0, "theirs", "old");
    assert_eq!(bench.value("theirs").as_deref(), Some("\"new\""));
    assert_eq!(stores(&mut bench, other), [("theirs".into(), "\"new\"".into())]);
}

/// An empty value gives way to whatever is handed over, also to what it has replaced.
#[test]
fn an_empty_value_of_an_old_node_is_told_back_to_it() {
    let (mut bench, _, js) = between();
    bench.set_by(js, 3, 0, "key", 5);
    let late = bench.join(Kind::Py2p);
    bench.clear();
    bench.seconds(1);
    bench.hand_over(late, (3, IdForm::Str), 0, "key", 0);
    assert_eq!(stores(&mut bench, late), [("key".into(), "0".into())]);
    assert_eq!(bench.value("key").as_deref(), Some("0"));
    // One that is not empty stays where it is.
    bench.seconds(1);
    bench.hand_over(late, (3, IdForm::Str), 0, "key", 7);
    assert!(stores(&mut bench, late).is_empty());
}

/// More than there is room for on a link at once.
#[test]
fn all_that_was_deleted_meanwhile_is_told_to_who_comes_back() {
    const MANY: usize = 3_000;
    for kind in [Kind::Py2p, Kind::Js2p] {
        let mut bench = Bench::new(SyncConfig::default());
        for number in 0..MANY {
            bench.set(&format!("{number}"), 1);
        }
        bench.seconds(2);
        for number in 0..MANY {
            bench.del(&format!("{number}"));
        }
        let peer = bench.join(kind);
        bench.hold(peer);
        for number in 0..MANY {
            bench.hand_over(peer, (100, IdForm::Bin), -2, &format!("{number}"), 1);
        }
        while bench.read(peer, MANY) > 0 {
            bench.seconds(1);
        }
        // js2p does not survive it.
        assert_eq!(bench.stored(peer).len(), if kind == Kind::Py2p { MANY } else { 0 });
    }
}

/// What comes by no broadcast would reach them when they come anew, if ever.
#[test]
fn what_one_old_node_hands_over_the_others_are_told() {
    let (mut bench, py, js) = between();
    bench.set_by(py, 3, 0, "known", 1);
    bench.seconds(1);
    let late = bench.join(Kind::Py2p);
    bench.clear();
    bench.hand_over(late, (3, IdForm::Bin), 0, "known", 2);
    bench.hand_over(late, (3, IdForm::Bin), 0, "new", 3);
    let told = [("known".into(), "2".into()), ("new".into(), "3".into())];
    for peer in [py, js] {
        assert_eq!(stores(&mut bench, peer), told);
    }
    assert!(stores(&mut bench, late).is_empty());
}

/// A second deletion makes py2p drop who tells of it.
#[test]
fn what_a_broadcast_has_told_is_not_repeated() {
    let (mut bench, py, _) = between();
    bench.set("key", 1);
    bench.clear();
    bench.hold(py);
    let filler = "x".repeat(100_000);
    bench.set("large", filler.as_str());
    // There is no room, so this waits.
    bench.seconds(1);
    bench.set("key", 2);
    bench.hand_over(py, (100, IdForm::Bin), -1, "key", 1);
    bench.del("key");
    while bench.read(py, 10) > 0 {
        bench.seconds(1);
    }
    let told = stores(&mut bench, py);
    let deletions = told.iter().filter(|(_, value)| value == "nil");
    assert_eq!(deletions.count(), 1, "{told:.200?}");
}

/// It was told of the deletion while that was under way.
#[test]
fn what_py2p_hands_over_of_a_key_that_is_just_deleted_is_not_answered() {
    let mut bench = Bench::new(SyncConfig::default());
    bench.set("key", 1);
    let py = bench.join(Kind::Py2p);
    bench.del("key");
    assert_eq!(bench.stored(py), ["key", "key"]);
    bench.hand_over(py, (100, IdForm::Bin), 0, "key", 1);
    assert!(bench.stored(py).is_empty());
    // On another link it is.
    bench.leave(py);
    let py = bench.join_as(id(1), Kind::Py2p);
    bench.hand_over(py, (100, IdForm::Bin), 0, "key", 1);
    assert_eq!(bench.stored(py), ["key"]);
}
