//! The dictionary as its user sees it: every operation, every error, every kind of key and value.

use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use rs2p_base::{LinkConfig, Time};
use rs2p_mesh::{MeshConfig, SendError};
use rs2p_sync::{Sync, SyncConfig, SyncEvent, WriteError};
use rs2p_wire::{EncodeError, Limits, SubFlag, Value};

use crate::bench::{BEGIN, Bench, Kind, id};

type Call = fn(&mut Sync, Time) -> Result<(), WriteError>;

fn alone() -> Bench {
    Bench::new(SyncConfig::default())
}

fn refused(bench: &mut Bench, key: &str, value: impl Into<Value>) -> WriteError {
    bench.call(|sync, now| sync.set(now, key, value)).unwrap_err()
}

#[test]
fn what_is_set_can_be_read_in_every_way() {
    let mut bench = alone();
    assert!(bench.sync.is_empty());
    let items: Vec<(&str, u64)> = vec![("b", 2), ("a", 1), ("c", 3)];
    bench.call(|sync, now| sync.update(now, items)).unwrap();
    let sync = &bench.sync;
    assert_eq!(sync.len(), 3);
    assert_eq!(sync.keys(), ["a", "b", "c"]);
    assert_eq!(sync.values().iter().map(|it| it.as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    let items = sync.items().into_iter();
    let items: Vec<_> = items.map(|(key, value)| (key, value.as_u64().unwrap())).collect();
    assert_eq!(items, [("a".into(), 1), ("b".into(), 2), ("c".into(), 3)]);
    assert!(sync.contains("a") && sync.contains(b"a") && !sync.contains("d"));
    assert_eq!(sync.get("a"), sync.get(b"a"));
    assert!(sync.get("d").is_none() && sync.entry("d").is_none());
    let entry = sync.entry("b").unwrap();
    assert_eq!(*entry.value, 2.into());
    assert_eq!(entry.meta.owner.node_id(), Some(id(100)));
    assert_eq!(entry.meta.timestamp, BEGIN);
    assert_eq!(entry.meta.lease_end.unwrap().as_secs(), BEGIN + 3_601);
}

#[test]
fn a_deletion_takes_a_key_away_and_nil_is_one() {
    let mut bench = alone();
    bench.set("a", 1);
    bench.set("b", 1);
    bench.del("a");
    bench.set("b", Value::Nil);
    assert!(bench.sync.is_empty() && bench.sync.keys().is_empty() && bench.sync.items().is_empty());
    assert_eq!(bench.told(), ["a = 1", "b = 1", "a deleted", "b deleted"]);
    let missing = |error: WriteError| matches!(error, WriteError::NoSuchKey { key } if key == "a");
    assert!(missing(bench.call(|sync, now| sync.del(now, "a")).unwrap_err()));
    assert!(missing(bench.call(|sync, now| sync.pop(now, "a")).unwrap_err()));
    assert!(missing(bench.call(|sync, now| sync.renew(now, "a", 5)).unwrap_err()));
    assert!(missing(refused(&mut bench, "a", Value::Nil)));
    assert!(bench.told().is_empty());
    bench.set("a", 2);
    assert_eq!(bench.value("a").as_deref(), Some("2"));
}

#[test]
fn a_value_is_popped_once() {
    let mut bench = alone();
    bench.set("a", 1);
    assert_eq!(*bench.call(|sync, now| sync.pop(now, "a")).unwrap(), 1.into());
    assert!(bench.call(|sync, now| sync.pop(now, "a")).is_err());
    assert!(bench.call(|sync, now| sync.popitem(now)).unwrap().is_none());
    for number in 0..20 {
        bench.set(&number.to_string(), number);
    }
    let mut popped = Vec::new();
    while let Some((key, value)) = bench.call(|sync, now| sync.popitem(now)).unwrap() {
        assert_eq!(key, value.to_string());
        popped.push(value.as_u64().unwrap());
    }
    popped.sort_unstable();
    assert_eq!(popped, (0..20).collect::<Vec<_>>());
}

#[test]
fn what_others_have_leased_is_not_changed_and_the_error_tells_who_and_until_when() {
    let (mut bench, peer) = Bench::with(Kind::Py2p);
    bench.set_by(peer, 7, -50, "theirs", Value::Map(vec![]));
    bench.set("mine", 1);
    bench.clear();
    let until = BEGIN - 50 + 3_601;
    let calls: [Call; 5] = [
        |sync, now| sync.set(now, "theirs", 1),
        |sync, now| sync.del(now, "theirs"),
        |sync, now| sync.renew(now, "theirs", 5),
        |sync, now| sync.pop(now, "theirs").map(drop),
        |sync, now| sync.apply_delta(now, "theirs", &[]).map(drop),
    ];
    for call in calls {
        let error = bench.call(call).unwrap_err();
        assert!(error.to_string().contains(&id(7).to_string()), "{error}");
        let WriteError::Leased { key, owner, until: end } = error else { panic!("{error}") };
        assert_eq!(
            (&key[..], owner.node_id(), end.as_secs()),
            (&b"theirs"[..], Some(id(7)), until)
        );
    }
    assert_eq!(bench.sync.entry("theirs").unwrap().meta.lease_end.unwrap().as_secs(), until);
    assert_eq!(bench.call(|sync, now| sync.popitem(now)).unwrap().unwrap().0, "mine");
    assert!(bench.call(|sync, now| sync.popitem(now)).unwrap().is_none());
    assert_eq!(bench.stored(peer), ["mine"], "what fails sends nothing");
    bench.seconds(until - BEGIN - 1);
    bench.call(calls[0]).unwrap_err();
    bench.seconds(1);
    bench.call(calls[0]).unwrap();
    assert_eq!(bench.value("theirs").as_deref(), Some("1"));
}

#[test]
fn without_leases_everyone_writes_and_the_latest_stays() {
    let mut bench = Bench::new(SyncConfig { leasing: false, ..SyncConfig::default() });
    let peer = bench.join(Kind::Py2p);
    bench.set_by(peer, 7, 0, "k", 1);
    bench.set("k", 2);
    assert_eq!(bench.value("k").as_deref(), Some("2"));
    let meta = bench.sync.entry("k").unwrap().meta;
    assert_eq!(meta.lease_end, None);
    // In the same second the smaller owner would win, so it is dated after it.
    assert_eq!(meta.timestamp, BEGIN + u64::from(meta.owner.text() > id(7).to_string().as_bytes()));
    bench.set_by(peer, 7, 5, "k", 3);
    bench.set_by(peer, 8, 4, "k", 4);
    assert_eq!(bench.value("k").as_deref(), Some("3"));
    bench.set_by(peer, 9, 5, "k", 5);
    assert_eq!(bench.value("k").as_deref(), Some("3"));
    bench.set_by(peer, 6, 5, "k", 6);
    assert_eq!(bench.value("k").as_deref(), Some("6"));
    bench.del("k");
    assert_eq!(bench.value("k"), None);
}

#[test]
fn a_renewed_lease_is_as_long_as_was_asked_within_a_second_and_thirty_days() {
    let mut bench = alone();
    bench.set("k", 1);
    for (asked, given) in [(0, 1), (1, 1), (77, 77), (2_592_000, 2_592_000), (u32::MAX, 2_592_000)]
    {
        bench.call(|sync, now| sync.renew(now, "k", asked)).unwrap();
        let end = bench.sync.entry("k").unwrap().meta.lease_end.unwrap();
        assert_eq!(end.as_secs(), BEGIN + given + 1);
        bench.call(|sync, now| sync.set_for(now, "l", 1, asked)).unwrap();
        let end = bench.sync.entry("l").unwrap().meta.lease_end.unwrap();
        assert_eq!(end.as_secs(), BEGIN + given + 1);
    }
    assert_eq!(bench.value("k").as_deref(), Some("1"));
}

#[test]
fn a_delta_is_merged_and_a_new_key_begins_with_an_empty_map() {
    let (mut bench, peer) = Bench::with(Kind::Py2p);
    let delta = |bench: &mut Bench, pairs: &[(Value, Value)]| {
        bench.call(|sync, now| sync.apply_delta(now, "map", pairs)).unwrap().to_string()
    };
    delta(&mut bench, &[("a".into(), 1.into()), ("b".into(), 2.into())]);
    delta(&mut bench, &[("b".into(), Value::Nil), (5.into(), 6.into())]);
    let text = delta(&mut bench, &[(Value::Binary(b"a".to_vec()), 9.into())]);
    assert_eq!(text, r#"{"a": 9, "b": nil, 5: 6}"#, "text and bytes are the same key");
    assert_eq!(bench.value("map"), Some(text));
    let heard = bench.payloads(peer, SubFlag::Delta);
    assert_eq!(heard.len(), 3);
    assert_eq!(heard[1][1].as_map().unwrap().len(), 2, "what is told is the delta");
    bench.set("text", "x");
    let error = bench.call(|sync, now| sync.apply_delta(now, "text", &[])).unwrap_err();
    assert!(matches!(error, WriteError::NotAMap { key } if key == "text"));
    bench.del("map");
    assert_eq!(delta(&mut bench, &[]), "{}");
}

#[test]
fn keys_are_bytes_up_to_their_limit() {
    let mut bench = alone();
    let longest = "x".repeat(1_024);
    for key in [&b""[..], b"\0", b"\xff\xfe", "schlüssel".as_bytes(), longest.as_bytes()] {
        bench.call(|sync, now| sync.set(now, key, 1)).unwrap();
        assert!(bench.sync.contains(key));
    }
    assert_eq!(bench.sync.len(), 5);
    assert_eq!(bench.sync.keys()[0], "");
    let error = refused(&mut bench, &"x".repeat(1_025), 1);
    assert!(matches!(error, WriteError::KeyTooLong { length: 1_025, limit: 1_024 }));
    bench.call(|sync, now| sync.del(now, "")).unwrap();
    assert_eq!(bench.sync.len(), 4);
}

#[test]
fn every_value_comes_back_as_it_was_and_reaches_others_so() {
    let mut values: Vec<Value> = vec![
        false.into(),
        u64::MAX.into(),
        i64::MIN.into(),
        i64::MAX.into(),
        (-1).into(),
        0.into(),
        Value::F32(f32::NAN),
        Value::F64(f64::NAN),
        Value::F64(f64::NEG_INFINITY),
        Value::F64(-0.0),
        "".into(),
        Value::Binary(vec![]),
        Value::Array(vec![Value::Nil]),
        Value::Map(vec![(Value::Nil, Value::Nil), (5.into(), Value::Map(vec![]))]),
        Value::Ext(-1, vec![0; 8]),
        Value::Ext(127, vec![]),
    ];
    let mut deep = Value::Nil;
    // The message and its payload take a level of their own.
    for _ in 0..63 {
        deep = Value::Array(vec![deep]);
    }
    values.push(deep.clone());
    let mut bench = alone();
    let peer = bench.join(Kind::Py2p);
    for value in &values {
        bench.set("k", value.clone());
        let held = bench.sync.get("k").unwrap();
        assert_eq!(format!("{held:?}"), format!("{value:?}"));
        let heard = bench.payloads(peer, SubFlag::Store);
        assert_eq!(format!("{:?}", heard[0][1]), format!("{value:?}"));
    }
    let error = refused(&mut bench, "k", Value::Array(vec![deep]));
    let too_deep = WriteError::Send(SendError::Message(EncodeError::TooDeep { limit: 64 }));
    assert_eq!(error, too_deep);
}

#[test]
fn a_write_that_is_refused_changes_and_sends_nothing() {
    let config = SyncConfig {
        max_keys: 2,
        max_key: 10,
        max_value: 100,
        max_bytes: 150,
        ..SyncConfig::default()
    };
    let mut bench = Bench::new(config);
    let peer = bench.join(Kind::Py2p);
    bench.set("a", "x".repeat(98));
    bench.clear();
    let text = |length| Value::from("x".repeat(length));
    let too_large = refused(&mut bench, "a", text(99));
    assert_eq!(too_large, WriteError::ValueTooLarge { length: 101, limit: 100 });
    let full = refused(&mut bench, "b", text(48));
    assert_eq!(full, WriteError::Full { length: 152, limit: 150 });
    bench.set("b", text(40));
    let too_many = refused(&mut bench, "c", 1);
    assert_eq!(too_many, WriteError::TooManyKeys { limit: 2 });
    assert_eq!(bench.stored(peer), ["b"]);
    assert_eq!(bench.told().len(), 1);
    assert_eq!((bench.sync.len(), bench.sync.status(bench.now).bytes), (2, 144));
    // What is there may be changed, within its room.
    bench.set("b", text(39));
    bench.del("a");
    assert_eq!(bench.sync.status(bench.now).bytes, 1 + 1 + 41, "a tombstone keeps its key");
    bench.set("c", text(98));
    assert_eq!(bench.sync.len(), 2);
}

#[test]
fn what_fits_into_no_message_is_refused_and_leaves_everything_as_it_was() {
    let limits = Limits { frame: 64 << 10, expanded: 64 << 10, ..Limits::default() };
    let link = LinkConfig { limits, ..LinkConfig::default() };
    let mesh = MeshConfig { link, ..MeshConfig::default() };
    let now = Time::from_secs(BEGIN);
    let mut bench = Bench::at_with_limits(now, id(100), SyncConfig::default(), mesh);
    let error = refused(&mut bench, "k", "x".repeat(64 << 10));
    // There is room for the owner and the times that other messages tell as well.
    let limit = (64 << 10) - 1 - 512;
    assert_eq!(error, WriteError::ValueTooLarge { length: (64 << 10) + 5, limit });
    assert!(bench.sync.is_empty() && bench.told().is_empty());
    assert_eq!(bench.sync.status(bench.now).counts.written, 0);
}

#[test]
fn the_writes_of_others_are_refused_at_the_same_bounds_and_counted() {
    let config = SyncConfig {
        max_keys: 2,
        max_key: 10,
        max_value: 100,
        max_bytes: 150,
        ..SyncConfig::default()
    };
    let mut bench = Bench::new(config);
    let peer = bench.join(Kind::Py2p);
    let text = |length| Value::from("x".repeat(length));
    bench.set_by(peer, 7, 0, "a", text(98));
    for (key, value) in [("a", text(99)), ("b", text(48)), ("longer than ten", text(1))] {
        let before = bench.sync.status(bench.now).counts.no_room;
        bench.set_by(peer, 7, 1, key, value);
        assert_eq!(bench.sync.status(bench.now).counts.no_room, before + 1, "{key}");
    }
    bench.set_by(peer, 7, 0, "b", text(40));
    bench.set_by(peer, 7, 0, "c", 1);
    assert_eq!(bench.sync.status(bench.now).counts.no_room, 4);
    assert_eq!(bench.sync.keys(), ["a", "b"]);
    bench.set_by(peer, 7, 0, "a", Value::Nil);
    bench.set_by(peer, 7, 0, "c", text(98));
    assert_eq!(bench.sync.keys(), ["b", "c"]);
    assert_eq!(bench.sync.status(bench.now).counts.no_room, 4);
}

#[test]
fn what_was_written_too_far_ahead_is_not_written_over_but_said_so() {
    let mut bench = alone();
    bench.set("k", 1);
    let mut before = Bench::at(
        bench.now + Duration::from_secs(100),
        id(100),
        SyncConfig::default(),
        MeshConfig::default(),
    );
    before.sync.keep_changes();
    before.set("k", 2);
    let changes = before.sync.take_changes();
    let records = changes.records.into_iter().map(|(key, record)| (key, record.unwrap()));
    bench.sync.restore(None, records).unwrap();
    let error = refused(&mut bench, "k", 3);
    assert_eq!(error, WriteError::Ahead { key: "k".into(), seconds: 100 });
    bench.seconds(40);
    bench.set("k", 3);
    assert_eq!(bench.sync.entry("k").unwrap().meta.timestamp, BEGIN + 100);
}

#[test]
fn a_peer_with_enough_to_read_holds_up_writes_until_it_has_read() {
    let mut bench = alone();
    let slow = bench.join_slow(Kind::Rs2p);
    let error = loop {
        if let Err(error) = bench.call(|sync, now| sync.set(now, "k", "x".repeat(10_000))) {
            break error;
        }
    };
    assert!(matches!(error, WriteError::Send(SendError::QueueFull(_))), "{error}");
    let held = bench.sync.entry("k").unwrap().meta;
    bench.read(slow, 1_000);
    bench.set("k", 1);
    assert_eq!(bench.sync.entry("k").unwrap().meta.owner, held.owner);
}

#[test]
fn an_event_tells_of_every_change_once_whoever_made_it() {
    let (mut bench, peer) = Bench::with(Kind::Py2p);
    bench.events();
    bench.set("k", 1);
    bench.set("k", 1);
    bench.set_by(peer, 1, 0, "l", 1);
    bench.set_by(peer, 1, 0, "k", 1);
    bench.set_by(peer, 1, 0, "l", Value::Nil);
    bench.set_by(peer, 1, 0, "l", Value::Nil);
    let mut told = Vec::new();
    for event in bench.events() {
        match event {
            SyncEvent::Update { key, value, meta } => {
                assert_eq!(*value, 1.into());
                told.push((key, meta.owner.node_id()));
            }
            SyncEvent::Delete { key, .. } => told.push((key, None)),
            _ => {}
        }
    }
    let (mine, theirs) = (Some(id(100)), Some(id(1)));
    // The smaller owner takes what was written in the same second.
    let expected = [("k", mine), ("k", mine), ("l", theirs), ("k", theirs), ("l", None)];
    let expected: Vec<(Bytes, _)> = expected.map(|(key, id)| (Bytes::from(key), id)).to_vec();
    let is_smaller = id(1).to_string() < id(100).to_string();
    assert!(is_smaller && told == expected, "{told:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_down_restores_the_same_node(
        writes in vec((0..12_u8, value(), 0..3_u8, 0..3_u64), 1..40),
        take_after in 0..40_usize,
    ) {
        let mut bench = alone();
        let peer = bench.join(Kind::Py2p);
        bench.sync.keep_changes();
        let mut disk = std::collections::BTreeMap::new();
        let mut memory = Vec::new();
        let mut take = |bench: &mut Bench| {
            let changes = bench.sync.take_changes();
            memory.clone_from(&changes.memory);
            for (key, record) in changes.records {
                match record {
                    Some(record) => disk.insert(key, record),
                    None => disk.remove(&key),
                };
            }
            (disk.clone(), memory.clone())
        };
        for (index, (key, value, how, wait)) in writes.into_iter().enumerate() {
            let key = format!("k{key}");
            bench.seconds(wait);
            match how {
                0 => bench.set_by(peer, 7, 0, &key, value),
                1 => drop(bench.call(|sync, now| sync.set(now, &key, value))),
                _ => drop(bench.call(|sync, now| sync.del(now, &key))),
            }
            if index == take_after {
                take(&mut bench);
            }
        }
        let (disk, memory) = take(&mut bench);
        prop_assert!(bench.sync.take_changes().records.is_empty());
        let mut again =
            Bench::at(bench.now, id(100), SyncConfig::default(), MeshConfig::default());
        again.sync.restore(Some(&memory), disk.clone()).unwrap();
        prop_assert_eq!(again.sync.keys(), bench.sync.keys());
        for key in bench.sync.keys() {
            let (one, other) = (bench.sync.entry(&key).unwrap(), again.sync.entry(&key).unwrap());
            prop_assert_eq!(format!("{one:?}"), format!("{other:?}"));
            prop_assert_eq!(one.meta.owner.form(), other.meta.owner.form());
        }
        let (one, other) = (bench.sync.status(bench.now), again.sync.status(again.now));
        prop_assert_eq!((one.keys, one.tombstones, one.bytes), (other.keys, other.tombstones, other.bytes));
        // What was not written down is that nothing has changed since.
        again.sync.keep_changes();
        prop_assert!(again.sync.take_changes().records.is_empty());
    }

    #[test]
    fn what_was_not_written_by_a_node_is_an_error_and_restores_nothing(
        bytes in vec(any::<u8>(), 0..60),
        at in 0..60_usize,
        bit in 0..8_u8,
    ) {
        let mut bench = alone();
        bench.sync.keep_changes();
        bench.set("a", 1);
        let (key, good) = bench.sync.take_changes().records.remove(0);
        let good = good.unwrap();
        let mut bad = good.clone();
        let at = at % bad.len();
        bad[at] ^= 1 << bit;
        for bad in [bytes, bad] {
            let mut other = alone();
            let records = [(key.clone(), good.clone()), ("b".into(), bad)];
            // A flipped bit may leave a record that makes sense.
            match other.sync.restore(None, records) {
                Err(error) => {
                    prop_assert_eq!(&error.key[..], b"b");
                    prop_assert!(other.sync.is_empty());
                    prop_assert_eq!(other.sync.status(other.now).tombstones, 0);
                }
                Ok(()) => prop_assert!(other.sync.contains("a")),
            }
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,6}".prop_map(Value::from),
        vec(any::<u8>(), 0..6).prop_map(Value::Binary),
        (any::<i8>(), vec(any::<u8>(), 0..6)).prop_map(|(kind, bytes)| Value::Ext(kind, bytes)),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((inner.clone(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}
