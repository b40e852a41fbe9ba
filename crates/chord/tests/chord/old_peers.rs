//! py2p and js2p peers, as the node sees them.

use std::collections::BTreeMap;

use rs2p_base::RequestId;
use rs2p_chord::{ChordConfig, ChordEvent, Membership, Position, Spot, Table, WriteError};
use rs2p_wire::{MainFlag, SubFlag, Value};

use crate::bench::{Bench, Kind, PeerIndex, id};

fn text(value: &Value) -> String {
    String::from_utf8_lossy(rs2p_wire::text_bytes(value).unwrap()).into_owned()
}

/// What an old peer has been told to keep: table and value.
fn stores(bench: &mut Bench, peer: PeerIndex) -> Vec<(String, Value)> {
    let stores = bench.payloads(peer, SubFlag::Store).into_iter();
    stores.map(|store| (text(&store[0]), store[2].clone())).collect()
}

fn leech(kind: Kind) -> (Bench, PeerIndex) {
    let config = ChordConfig { joins: false, ..ChordConfig::default() };
    let mut bench = Bench::new(config);
    let old = bench.join(kind);
    bench.stores(old, true);
    bench.seconds(1);
    bench.clear();
    (bench, old)
}

/// An old peer answers what it has been asked for with this value. How many questions there were,
/// but for those to know what it has read.
fn answer_all(bench: &mut Bench, peer: PeerIndex, value: &Value) -> usize {
    let mut count = 0;
    loop {
        let asked = bench.payloads(peer, SubFlag::Retrieve);
        if asked.is_empty() {
            return count;
        }
        for payload in &asked {
            let position = Position::from_text(text(&payload[1]).as_bytes()).unwrap();
            let is_fence = position.point() == bench.id(peer);
            count += usize::from(!is_fence);
            let mut answer = vec![SubFlag::Retrieved.into()];
            answer.extend(payload.iter().cloned());
            answer.push(if is_fence { Value::Nil } else { value.clone() });
            bench.whisper(peer, &answer);
        }
    }
}

#[test]
fn who_stores_nothing_writes_to_old_nodes_and_reads_from_them() {
    for kind in [Kind::Py2p, Kind::Js2p] {
        let (mut bench, old) = leech(kind);
        let write = bench.set("key", "value");
        bench.seconds(1);
        assert_eq!(bench.write_of(write), None);
        let mut told = stores(&mut bench, old);
        told.sort_by_key(|(table, _)| table.clone());
        assert_eq!(answer_all(&mut bench, old, &Value::Nil), 0);
        let value = Value::from("value");
        let names = ["sha1", "sha224", "sha256", "sha384", "sha512"];
        assert_eq!(told, names.map(|name| (name.to_owned(), value.clone())), "{kind:?}");
        assert_eq!(bench.write_of(write), Some(Ok(None)));
        let read = bench.get("key");
        assert_eq!(answer_all(&mut bench, old, &value), 3);
        assert_eq!(bench.read_of(read), Some(Ok(Some(value))));
        assert_eq!(bench.chord.records().count(), 0);
    }
}

#[test]
fn a_change_of_a_map_that_only_old_nodes_have_is_merged_into_it() {
    let (mut bench, old) = leech(Kind::Py2p);
    let pair = |name: &str| (Value::from(name), Value::from(1));
    let change = vec![pair("b")];
    let write = bench.call(|chord, now| chord.apply_delta(now, "key", change)).unwrap();
    let before = Value::Map(vec![pair("a")]);
    assert_eq!(answer_all(&mut bench, old, &before), 3);
    bench.seconds(1);
    answer_all(&mut bench, old, &before);
    let merged = Value::Map(vec![pair("a"), pair("b")]);
    assert_eq!(bench.write_of(write), Some(Ok(Some(merged.clone()))));
    let told = stores(&mut bench, old);
    assert!(told.iter().all(|(_, value)| *value == merged), "{told:?}");
    for table in Table::ALL {
        assert!(told.iter().any(|(name, _)| name == table.name()), "{table}");
    }
    assert_eq!(bench.chord.records().count(), 0);
}

/// It would part from who tells it.
#[test]
fn py2p_is_not_told_of_deletions_of_what_it_does_not_have() {
    let mut bench = Bench::new(ChordConfig::default());
    let old = bench.join(Kind::Py2p);
    bench.stores(old, true);
    bench.seconds(3);
    answer_all(&mut bench, old, &Value::Nil);
    bench.clear();
    let nearer = |key: &str| {
        let near = |table: Table| {
            let point = Spot::of(table, key.as_bytes()).point();
            rs2p_chord::distance(id(1), point) < rs2p_chord::distance(id(100), point)
        };
        Table::ALL.into_iter().filter(|table| near(*table)).count()
    };
    let key = (0..).map(|it| it.to_string()).find(|key| nearer(key) >= 2).unwrap();
    // It is asked first, and told when it has something.
    for has in [false, true] {
        bench.call(|chord, now| chord.del(now, &key)).unwrap();
        let value = if has { Value::from(5) } else { Value::Nil };
        assert_eq!(answer_all(&mut bench, old, &value), nearer(&key));
        bench.seconds(3);
        let told = stores(&mut bench, old);
        assert_eq!(told.len(), if has { nearer(&key) } else { 0 });
        assert!(told.iter().all(|(_, value)| value.is_nil()), "{told:?}");
    }
    let write = bench.set(&key, 1);
    answer_all(&mut bench, old, &Value::Nil);
    bench.seconds(3);
    assert_eq!(bench.write_of(write), Some(Ok(None)));
    assert_eq!(stores(&mut bench, old).len(), nearer(&key));
    for deletions in [nearer(&key), 0] {
        bench.call(|chord, now| chord.del(now, &key)).unwrap();
        bench.seconds(3);
        let told = stores(&mut bench, old);
        assert!(told.iter().all(|(_, value)| value.is_nil()), "{told:?}");
        assert_eq!(told.len(), deletions);
    }
}

/// What an old peer hands over comes before its answer to the question that follows the greeting;
/// what comes behind is news.
#[test]
fn what_an_old_peer_hands_over_is_no_news_and_what_it_writes_then_is() {
    for kind in [Kind::Py2p, Kind::Js2p] {
        let mut bench = Bench::new(ChordConfig::default());
        bench.seconds(3);
        let write = bench.set("key", 1);
        assert_eq!(bench.write_of(write), Some(Ok(None)));
        let old = bench.join(kind);
        bench.stores(old, true);
        let held_after = |bench: &mut Bench, value: u64| {
            bench.plain(old, SubFlag::Store, Table::Sha1, "key", Some(value.into()));
            let spot = Spot::of(Table::Sha1, b"key");
            let (_, record) = bench.chord.records().find(|(at, _)| *at == spot).unwrap();
            record.value.as_ref().map(|value| value.to_value())
        };
        assert_eq!(held_after(&mut bench, 2), Some(1.into()), "{kind:?}");
        answer_all(&mut bench, old, &Value::Nil);
        assert_eq!(held_after(&mut bench, 3), Some(3.into()), "{kind:?}");
    }
}

/// py2p asks first and gets ready for the answer then.
#[test]
fn py2p_gets_no_answer_before_it_is_ready_for_it() {
    for kind in [Kind::Py2p, Kind::Js2p] {
        let (mut bench, old) = Bench::with(kind);
        bench.plain(old, SubFlag::Retrieve, Table::Sha1, "key", None);
        let at_once = bench.payloads(old, SubFlag::Retrieved).len();
        bench.seconds(1);
        let later = bench.payloads(old, SubFlag::Retrieved).len();
        assert_eq!((at_once, later), if kind == Kind::Py2p { (0, 1) } else { (1, 0) });
    }
}

#[test]
fn who_deletes_what_only_old_nodes_have_hears_whether_they_had_it() {
    for (has, expected) in [(true, Ok(None)), (false, Err(WriteError::Absent))] {
        let (mut bench, old) = leech(Kind::Py2p);
        let write = bench.call(|chord, now| chord.del(now, "key")).unwrap();
        let value = if has { Value::from(5) } else { Value::Nil };
        assert_eq!(answer_all(&mut bench, old, &value), 5);
        bench.seconds(3);
        assert_eq!(bench.write_of(write), Some(expected));
        assert_eq!(stores(&mut bench, old).len(), if has { 5 } else { 0 });
    }
}

#[test]
fn keys_that_old_nodes_announce_are_known_and_told() {
    let (mut bench, old) = Bench::with(Kind::Js2p);
    let notify = [SubFlag::Notify.into(), Value::Binary(b"key".to_vec())];
    bench.say(old, MainFlag::Broadcast, &notify);
    bench.say(old, MainFlag::Broadcast, &notify);
    let gone = [&notify[..], &["del".into()]].concat();
    bench.say(old, MainFlag::Broadcast, &gone);
    bench.say(old, MainFlag::Broadcast, &gone);
    let told: Vec<String> = bench
        .events()
        .into_iter()
        .filter_map(|event| match event {
            ChordEvent::Add { key } => Some(format!("+{}", String::from_utf8_lossy(&key))),
            ChordEvent::Delete { key } => Some(format!("-{}", String::from_utf8_lossy(&key))),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["+key", "-key"]);
}

#[test]
fn calls_to_leave_and_to_join_that_cross_all_end() {
    let (mut bench, peer) = Bench::in_ring(ChordConfig::default(), 101);
    // A record that nobody takes keeps it busy for a while.
    let key = (0..).map(|it| it.to_string()).find(|key| {
        bench.chord.ring().unwrap().owns(Spot::of(Table::Sha1, key.as_bytes()).point())
    });
    let record = crate::bench::record(Table::Sha1, &key.unwrap(), 1, 9, 1);
    bench.whisper(peer, &[vec![crate::bench::COPY.into(), 0.into(), 1.into()], record].concat());
    bench.hold(peer);
    let one = bench.call(|chord, now| chord.unjoin(now));
    let two = bench.call(|chord, now| chord.unjoin(now));
    assert_eq!(bench.chord.membership(), Membership::Leaving);
    bench.call(|chord, now| chord.join(now)).unwrap();
    bench.seconds(31);
    let events = bench.events();
    let has_left = |call| {
        let is_it = |event: &ChordEvent| matches!(event, ChordEvent::Left { request, .. } if *request == Some(call));
        events.iter().any(is_it)
    };
    assert!(has_left(one) && has_left(two));
    bench.read(peer, 1_000);
    bench.seconds(10);
    assert_ne!(bench.chord.membership(), Membership::Leeching);
}

/// What an old peer has not read yet is nowhere, once this node has left.
#[test]
fn who_leaves_waits_until_an_old_peer_has_read_what_it_is_given() {
    for reads in [true, false] {
        let mut bench = Bench::new(ChordConfig::default());
        bench.seconds(3);
        for key in ["a", "b", "c"] {
            let write = bench.set(key, 1);
            assert_eq!(bench.write_of(write), Some(Ok(None)));
        }
        let old = bench.join(Kind::Py2p);
        bench.stores(old, true);
        bench.seconds(3);
        answer_all(&mut bench, old, &Value::Nil);
        bench.clear();
        let leaving = bench.call(|chord, now| chord.unjoin(now));
        bench.seconds(5);
        // It would send back what comes from who stores and is nearer.
        assert_eq!(bench.payloads(old, SubFlag::Handshake).len(), 1);
        assert_eq!(stores(&mut bench, old).len(), 15);
        assert_eq!(left(&bench.events(), leaving), None);
        if reads {
            answer_all(&mut bench, old, &Value::Nil);
        } else {
            bench.leave(old);
        }
        bench.seconds(1);
        let lost = if reads { 0 } else { 15 };
        assert_eq!(left(&bench.events(), leaving), Some(lost));
        assert_eq!(bench.chord.records().count(), lost);
    }
}

/// How many records were lost when a node left, if it has.
fn left(events: &[ChordEvent], leaving: RequestId) -> Option<usize> {
    events.iter().find_map(|event| match event {
        ChordEvent::Left { request: Some(request), lost } if *request == leaving => Some(*lost),
        _ => None,
    })
}

/// The nearest one may not know of what a farther one has.
#[test]
fn old_nodes_are_asked_in_turn_and_what_none_of_them_has_is_absent() {
    for is_there in [true, false] {
        let mut bench = Bench::new(ChordConfig::default());
        let mut olds = [bench.join(Kind::Py2p), bench.join(Kind::Py2p), bench.join(Kind::Js2p)];
        for old in olds {
            bench.stores(old, true);
        }
        bench.seconds(3);
        for old in olds {
            answer_all(&mut bench, old, &Value::Nil);
        }
        bench.clear();
        let gap = |bench: &Bench, old, point| rs2p_chord::distance(bench.id(old), point);
        let is_nearer = |bench: &Bench, key: &String, table| {
            let point = Spot::of(table, key.as_bytes()).point();
            let own = rs2p_chord::distance(bench.chord.id(), point);
            olds.iter().all(|old| gap(bench, *old, point) < own)
        };
        let key = (0..).map(|it| it.to_string());
        let mut key = key.filter(|key| Table::ALL.into_iter().all(|it| is_nearer(&bench, key, it)));
        let key = key.next().unwrap();
        let point = Spot::of(Table::Sha1, key.as_bytes()).point();
        olds.sort_by_key(|old| gap(&bench, *old, point));
        let read = bench.get(&key);
        let last = if is_there { Value::from(5) } else { Value::Nil };
        for (turn, old) in olds.into_iter().enumerate() {
            assert_eq!(bench.read_of(read), None);
            let value = if turn == 2 { &last } else { &Value::Nil };
            assert!(answer_all(&mut bench, old, value) > 0, "number {turn} is not asked");
        }
        // Where there is nothing, all five tables are read.
        for old in olds.into_iter().cycle().take(6) {
            answer_all(&mut bench, old, &last);
            bench.seconds(1);
        }
        assert_eq!(bench.read_of(read), Some(Ok(is_there.then(|| Value::from(5)))));
    }
}

/// What js2p has at its places, by table and number. It answers all questions that wait, as it does.
fn keeps(bench: &mut Bench, old: PeerIndex, kept: &mut BTreeMap<(String, String), Value>) {
    loop {
        for store in bench.payloads(old, SubFlag::Store) {
            let place = (text(&store[0]), text(&store[1]));
            match &store[2] {
                Value::Nil => kept.remove(&place),
                value => kept.insert(place, value.clone()),
            };
        }
        let asked = bench.payloads(old, SubFlag::Retrieve);
        if asked.is_empty() {
            return;
        }
        for payload in asked {
            let value = kept.get(&(text(&payload[0]), text(&payload[1])));
            let mut answer = vec![SubFlag::Retrieved.into()];
            answer.extend(payload.iter().cloned());
            answer.push(value.cloned().unwrap_or(Value::Nil));
            bench.whisper(old, &answer);
        }
    }
}

/// It says nothing of either, but a deletion leaves the witness.
#[test]
fn what_js2p_has_deleted_is_gone_and_what_it_has_lost_is_restored() {
    // What it still has of the witnesses: the right ones, none, those of another version.
    for (witnesses, is_deleted) in [("all", true), ("none", false), ("old", false)] {
        let mut bench = Bench::new(ChordConfig::default());
        let old = bench.join(Kind::Js2p);
        bench.stores(old, true);
        bench.seconds(3);
        let mut kept = BTreeMap::new();
        keeps(&mut bench, old, &mut kept);
        let is_nearer = |key: &String, table: Table| {
            let point = Spot::of(table, key.as_bytes()).point();
            rs2p_chord::distance(bench.id(old), point)
                < rs2p_chord::distance(bench.chord.id(), point)
        };
        let key = (0..).map(|it| it.to_string());
        let mut key = key.filter(|key| Table::ALL.into_iter().all(|it| is_nearer(key, it)));
        let key = key.next().unwrap();
        let write = bench.set(&key, "value");
        keeps(&mut bench, old, &mut kept);
        assert_eq!(bench.write_of(write), Some(Ok(None)));
        let value = Value::from("value");
        assert_eq!((kept.len(), kept.values().filter(|it| **it == value).count()), (10, 5));
        kept.retain(|_, it| *it != value && witnesses != "none");
        if witnesses == "old" {
            kept.values_mut().for_each(|it| *it = Value::from("1 1"));
        }
        let read = bench.get(&key);
        for _ in 0..3 {
            keeps(&mut bench, old, &mut kept);
            bench.seconds(1);
        }
        let expected = (!is_deleted).then(|| value.clone());
        assert_eq!(bench.read_of(read), Some(Ok(expected)), "{witnesses}");
        let gone = bench.chord.records().filter(|(_, record)| record.value.is_none()).count();
        let restored = kept.values().filter(|it| **it == value).count();
        // Three tables are read at least.
        let (is, is_not) = if is_deleted { (gone, restored) } else { (restored, gone) };
        assert!(is >= 3 && is_not == 0, "{witnesses}: {gone} gone, {restored} restored");
    }
}

/// It may be a write of its user's, or one that was replaced while it was passed over: nobody can
/// tell the two apart but by the other tables.
#[test]
fn what_an_old_node_has_replaces_a_value_where_it_has_most_tables_and_is_replaced_elsewhere() {
    for old_tables in 1..=Table::ALL.len() {
        let mut bench = Bench::new(ChordConfig::default());
        let old = bench.join(Kind::Py2p);
        bench.stores(old, true);
        bench.seconds(3);
        let is_nearer = |key: &String, table: &Table| {
            let point = Spot::of(*table, key.as_bytes()).point();
            rs2p_chord::distance(bench.id(old), point)
                < rs2p_chord::distance(bench.chord.id(), point)
        };
        let count = |key: &String| Table::ALL.iter().filter(|it| is_nearer(key, it)).count();
        let keys = (0..).map(|it: u32| it.to_string()).filter(|key| count(key) == old_tables);
        let keys: Vec<String> = keys.take(4).collect();
        for key in keys {
            let write = bench.set(&key, "ours");
            answer_all(&mut bench, old, &Value::Nil);
            assert_eq!(bench.write_of(write), Some(Ok(None)));
            bench.clear();
            let read = bench.get(&key);
            answer_all(&mut bench, old, &"its".into());
            bench.seconds(1);
            let counts = if old_tables >= 3 { "its" } else { "ours" };
            assert_eq!(bench.read_of(read), Some(Ok(Some(counts.into()))), "{old_tables} tables");
            answer_all(&mut bench, old, &counts.into());
            let told = stores(&mut bench, old);
            assert!(
                told.iter().all(|(_, it)| *it == counts.into()),
                "{old_tables} tables: {told:?}"
            );
            let held = Table::ALL.map(|table| Spot::of(table, key.as_bytes()));
            let records = bench.chord.records().filter(|(at, _)| held.contains(at));
            let value = Some(Value::from(counts));
            let has_it =
                |it: &rs2p_chord::Record| it.value.as_ref().map(|it| it.to_value()) == value;
            let same = records.filter(|(_, record)| has_it(record)).count();
            assert!(same >= 3, "{old_tables} tables: {same} here");
        }
    }
}
