//! rs2p peers that lie, and old ones that flood: what they say costs no panic, no memory without
//! bound, and no honest peer its answers.

use std::time::Duration;

use rs2p_base::NodeId;
use rs2p_chord::{ChordConfig, Membership, Spot, Table, WriteError};
use rs2p_wire::{MainFlag, SubFlag, Value};

use crate::bench::{
    ANSWER, BEGIN, Bench, COPY, Kind, REQUEST, RING, binary, id, keep, question, record, spot,
};

/// Milliseconds, as versions have them.
const NOW: u64 = 1_000 * BEGIN;

fn bytes(bytes: &[u8]) -> Value {
    Value::Binary(bytes.to_vec())
}

#[test]
fn what_makes_no_sense_is_counted_and_changes_nothing() {
    let (mut bench, peer) = Bench::in_ring(ChordConfig::default(), 50);
    let at = Spot::of(Table::Sha1, b"k");
    let me = id(50);
    let good = || record(Table::Sha1, "k", NOW, 9, 1);
    let array = |values: Vec<Value>| Value::Array(values);
    let asked = |op: Vec<Value>| question(at.point(), &[me], 1, op);
    let nonsense: Vec<Vec<Value>> = vec![
        vec![REQUEST.into()],
        vec![REQUEST.into(), bytes(&[0; 47])],
        question(at.point(), &[], 1, vec![0.into()]),
        question(at.point(), &[me; 49], 1, vec![0.into()]),
        vec![
            REQUEST.into(),
            binary(me),
            bytes(&[0; 49]),
            1.into(),
            0.into(),
            array(vec![0.into()]),
        ],
        vec![REQUEST.into(), binary(me), binary(me), "x".into(), 0.into(), array(vec![0.into()])],
        vec![REQUEST.into(), binary(me), binary(me), 1.into(), 0.into(), 0.into()],
        asked(vec![]),
        asked(vec![7.into()]),
        asked(vec![u64::MAX.into()]),
        asked(vec![1.into()]),
        asked(vec![1.into(), 5.into(), binary(at.point())]),
        // Not where the question goes.
        question(id(1), &[me], 1, [&[1.into()][..], &spot(at)].concat()),
        // Only SHA-512 has more than 384 bits.
        asked(vec![1.into(), 0.into(), bytes(&[1; 64])]),
        asked(vec![1.into(), 4.into(), bytes(&[1; 63])]),
        asked([vec![2.into()], good()[..5].to_vec()].concat()),
        // A record under a key that does not lie there.
        keep(Table::Sha1, "k", me, 1, record(Table::Sha1, "l", NOW, 9, 1)),
        asked([vec![4.into()], spot(at).to_vec(), vec![5.into(), 5.into()]].concat()),
        asked(vec![5.into(), 5.into()]),
        asked(vec![6.into(), array(vec![binary(me)])]),
        vec![ANSWER.into()],
        vec![ANSWER.into(), bytes(&[]), 1.into(), Value::Nil, array(vec![1.into()])],
        // The way back does not pass this node.
        vec![ANSWER.into(), binary(me), 1.into(), Value::Nil, array(vec![1.into()])],
        vec![ANSWER.into(), binary(id(100)), 1.into(), Value::Nil, array(vec![])],
        vec![ANSWER.into(), binary(id(100)), 1.into(), Value::Nil, array(vec![10.into()])],
        vec![ANSWER.into(), binary(id(100)), 1.into(), Value::Nil, array(vec![0.into(), 1.into()])],
        vec![ANSWER.into(), binary(id(100)), 1.into(), Value::Nil, array(vec![9.into(), 1.into()])],
        vec![RING.into()],
        vec![RING.into(), 7.into()],
        vec![RING.into(), 3.into(), 3.into(), array(vec![])],
        vec![RING.into(), 3.into(), Value::Nil, array(vec![binary(me)])],
        vec![COPY.into()],
        vec![COPY.into(), 7.into()],
        [vec![COPY.into(), 0.into()], good()].concat(),
        vec![COPY.into(), 1.into()],
        vec![COPY.into(), 2.into(), 0.into(), array(vec![binary(me), binary(me), 1.into()])],
        vec![COPY.into(), 2.into(), 0.into(), array(vec![1.into(); 4])],
        vec![COPY.into(), 3.into(), binary(me), binary(me), array(vec![0.into()])],
        vec![COPY.into(), 4.into(), array(vec![0.into()])],
        [vec![COPY.into(), 5.into()], good()[..3].to_vec()].concat(),
        vec![COPY.into(), 6.into(), binary(me)],
        vec![SubFlag::Store.into(), "sha1".into()],
        vec![SubFlag::Store.into(), "sha0".into(), "1".into(), 1.into()],
        vec![SubFlag::Store.into(), "sha1".into(), "0".into(), 1.into()],
        vec![SubFlag::Store.into(), "sha1".into(), "z".repeat(100).into(), 1.into()],
        vec![SubFlag::Retrieve.into(), "sha1".into()],
        vec![SubFlag::Retrieve.into(), 1.into(), "1".into()],
        vec![SubFlag::Retrieved.into(), "sha1".into(), "1".into()],
        vec![SubFlag::Handshake.into()],
        vec![SubFlag::Handshake.into(), "0".into(), "1".into()],
        vec![SubFlag::Notify.into()],
        vec![SubFlag::Notify.into(), 5.into()],
    ];
    for (number, payload) in nonsense.iter().enumerate() {
        bench.whisper(peer, payload);
        assert_eq!(bench.counts().malformed, number as u64 + 1, "{payload:?}");
    }
    assert_eq!(bench.chord.records().count(), 0);
    assert_eq!(bench.chord.membership(), Membership::Joined);
    assert!(!bench.is_closed(peer));
}

#[test]
fn what_is_between_two_is_not_taken_as_a_broadcast_nor_from_old_nodes() {
    let (mut bench, peer) = Bench::in_ring(ChordConfig::default(), 50);
    let old = bench.join_as(id(7), Kind::Py2p);
    let record = record(Table::Sha1, "k", NOW, 9, 1);
    let told = [vec![COPY.into(), 0.into(), 1.into()], record.clone()].concat();
    for payload in [
        keep(Table::Sha1, "k", id(50), 1, record),
        told,
        vec![RING.into(), 6.into()],
        vec![ANSWER.into(), binary(id(100)), 1.into(), Value::Nil, Value::Array(vec![1.into()])],
    ] {
        let before = bench.counts().malformed;
        bench.say(peer, MainFlag::Broadcast, &payload);
        bench.whisper(old, &payload);
        assert_eq!(bench.counts().malformed, before + 2, "{payload:?}");
    }
    assert_eq!(bench.chord.records().count(), 0);
    assert_eq!(bench.chord.ring().unwrap().successor(), Some(id(50)));
}

#[test]
fn answers_to_what_was_never_asked_change_nothing() {
    let (mut bench, peer) = Bench::in_ring(ChordConfig::default(), 50);
    let contact = || {
        let address = Value::Array(vec!["10.0.0.9".into(), 4_000.into()]);
        Value::Array(vec![binary(id(120)), address])
    };
    for number in [0, 5_000, u64::MAX] {
        bench.answer(peer, number, vec![0.into(), contact(), Value::Array(vec![contact()])]);
        bench.answer(peer, number, vec![8.into(), NOW.into(), binary(id(9)), 1.into()]);
        bench.answer(peer, number, vec![4.into(), 3.into(), 1.into()]);
        bench.whisper(peer, &[COPY.into(), 1.into(), number.into()]);
    }
    assert_eq!((bench.counts().malformed, bench.counts().lookups), (0, 0));
    assert!(bench.dials.is_empty());
    assert_eq!(bench.chord.ring().unwrap().successors(), [id(50)]);
}

/// A question that has come round, or has gone too far, goes no further.
#[test]
fn a_question_that_has_passed_the_node_or_too_many_is_dropped() {
    let (mut bench, other) = Bench::in_ring(ChordConfig::default(), 180);
    let peer = bench.join_as(id(50), Kind::Rs2p);
    bench.clear();
    let target = id(200);
    let hop = |number: u8| id(number);
    let before = bench.counts().dropped;
    bench.whisper(peer, &question(target, &[id(1), id(100), id(50)], 1, vec![0.into()]));
    let far: Vec<NodeId> = (1..=48).map(hop).collect();
    bench.whisper(peer, &question(target, &far, 1, vec![0.into()]));
    assert_eq!(bench.counts().dropped, before + 2);
    // One less may pass, and not back to whom it came from.
    bench.whisper(peer, &question(target, &far[..47], 1, vec![0.into()]));
    assert_eq!(bench.questions(other).len(), 1);
    let seen: Vec<NodeId> = [id(1), id(180), id(50)].to_vec();
    bench.whisper(peer, &question(target, &seen, 1, vec![0.into()]));
    assert!(bench.questions(other).is_empty());
}

/// Else its next write would be dated by a clock that nobody has.
#[test]
fn a_version_of_the_far_future_is_not_believed() {
    for time in [NOW + 100_000_000, u64::MAX] {
        let (mut bench, peer) = Bench::in_ring(ChordConfig::default(), 101);
        let write = bench.set("key", 1);
        for _ in 0..20 {
            for (number, asked) in bench.questions(peer) {
                if asked[0] == 2.into() {
                    bench.answer(peer, number, vec![5.into(), time.into(), binary(id(9))]);
                }
            }
            bench.run_for(Duration::from_millis(100));
        }
        bench.seconds(10);
        let result = bench.write_of(write).unwrap();
        assert!(matches!(result, Err(WriteError::NotAcknowledged { .. })), "{result:?}");
        // Its successor is gone, and it is the owner of everything.
        bench.leave(peer);
        bench.seconds(1);
        bench.fail_dials();
        bench.seconds(1);
        bench.fail_dials();
        let write = bench.set("other", 1);
        bench.seconds(11);
        assert_eq!(bench.write_of(write), Some(Ok(None)), "{time}");
    }
}

#[test]
fn a_record_of_the_far_future_is_refused_and_what_a_table_tells_of_one_is_no_record() {
    let (mut bench, peer) = Bench::in_ring(ChordConfig::default(), 99);
    let time = bench.now.as_millis();
    let ahead = ChordConfig::default().max_ahead.as_millis() as u64;
    for (number, time, kept) in [(1, time + ahead, 4), (2, time + ahead + 1, 6), (3, u64::MAX, 6)] {
        let record = record(Table::Sha1, &format!("{number}"), time, 9, 1);
        bench.whisper(peer, &keep(Table::Sha1, &format!("{number}"), id(99), number, record));
        for told in bench.payloads(peer, SubFlag::Other(COPY)) {
            if told[0] == 0.into() {
                bench.whisper(peer, &[COPY.into(), 1.into(), told[1].clone()]);
            }
        }
        let answers = bench.answers(peer);
        assert_eq!(answers.len(), 1, "{number}");
        assert_eq!(answers[0].1[0], kept.into(), "{number}");
    }
    assert_eq!(bench.counts().refused, 2);
}

/// A node of small bounds, alone, and a peer of this kind which stores nothing.
fn bounded(kind: Kind) -> (Bench, crate::bench::PeerIndex) {
    let config = ChordConfig {
        max_records: 10,
        max_bytes: 100,
        max_key: 8,
        max_value: 40,
        max_keys: 5,
        ..ChordConfig::default()
    };
    let mut bench = Bench::new(config);
    let peer = bench.join_as(id(50), kind);
    bench.seconds(2);
    bench.clear();
    (bench, peer)
}

fn shelf(bench: &Bench) -> (usize, usize) {
    let status = bench.chord.status(bench.now);
    (status.records, status.bytes)
}

#[test]
fn records_over_the_limits_are_refused_and_counted() {
    let (mut bench, peer) = bounded(Kind::Rs2p);
    let text = |size: usize| Value::from("x".repeat(size));
    // A key of one byte and a value of 2 + 45 are what both limits allow together.
    for (number, size, kept) in [(1, 45, true), (2, 48, false)] {
        let record = record(Table::Sha1, "k", NOW + number, 9, text(size));
        bench.whisper(peer, &keep(Table::Sha1, "k", id(50), number, record));
        let kind = if kept { 4 } else { 6 };
        assert_eq!(bench.answers(peer)[0].1[0], kind.into(), "{size}");
    }
    // As many bytes as there is room for.
    for number in 0..20 {
        let key = format!("{number}");
        let record = record(Table::Sha1, &key, NOW, 9, text(20));
        bench.whisper(peer, &keep(Table::Sha1, &key, id(50), number, record));
    }
    let (records, bytes) = shelf(&bench);
    assert!(bytes <= 100 && records == 3, "{records} {bytes}");
    // What makes room is taken, and then there is room for another.
    for (key, value) in [("k", Value::Nil), ("z", text(20))] {
        let record = record(Table::Sha1, key, NOW + 9, 9, value);
        bench.whisper(peer, &keep(Table::Sha1, key, id(50), 1, record));
    }
    assert!(bench.chord.record(Table::Sha1, "k").unwrap().value.is_none());
    assert!(bench.chord.record(Table::Sha1, "z").is_some());
    assert!(bench.counts().refused >= 19);
}

#[test]
fn neither_values_nor_deletions_nor_copies_exceed_the_number_of_records() {
    for value in [Value::from(1), Value::Nil] {
        let (mut bench, peer) = bounded(Kind::Rs2p);
        let old = bench.join_as(id(7), Kind::Py2p);
        for number in 0..40 {
            let key = format!("{number}");
            let record = record(Table::Sha1, &key, NOW, 9, value.clone());
            bench.whisper(peer, &keep(Table::Sha1, &key, id(50), number, record.clone()));
            bench.whisper(peer, &[vec![COPY.into(), 0.into(), 1.into()], record.clone()].concat());
            bench.whisper(peer, &[vec![COPY.into(), 5.into()], record].concat());
            bench.plain(old, SubFlag::Store, Table::Sha256, &key, Some(value.clone()));
        }
        assert_eq!(shelf(&bench).0, 10, "{value}");
        assert!(bench.counts().refused >= 30);
    }
}

#[test]
fn keys_are_announced_up_to_a_number_and_a_length() {
    let (mut bench, peer) = bounded(Kind::Rs2p);
    let old = bench.join_as(id(7), Kind::Py2p);
    for number in 0..20 {
        let notify = [SubFlag::Notify.into(), bytes(format!("{number}").as_bytes())];
        bench.say(peer, MainFlag::Broadcast, &notify);
        bench.whisper(old, &notify);
    }
    bench.say(peer, MainFlag::Broadcast, &[SubFlag::Notify.into(), bytes(&[b'x'; 9])]);
    assert_eq!(bench.chord.known_keys().unwrap().len(), 5);
    assert_eq!(bench.counts().refused, 1);
    let gone = [SubFlag::Notify.into(), bytes(b"0"), bytes(b"del")];
    bench.say(peer, MainFlag::Broadcast, &gone);
    bench.say(peer, MainFlag::Broadcast, &[SubFlag::Notify.into(), bytes(b"longest_")]);
    assert!(bench.chord.known_keys().unwrap().contains(&"longest_".into()));
}

#[test]
fn what_the_user_does_is_within_the_same_limits() {
    let config = ChordConfig { max_key: 8, max_value: 40, max_operations: 2, ..Default::default() };
    let (mut bench, _) = Bench::in_ring(config, 101);
    let value = |size: usize| Value::from("x".repeat(size));
    let mut set =
        |key: &str, value: Value| bench.call(|chord, now| chord.set(now, key, &value)).map(|_| ());
    assert!(matches!(set("123456789", 1.into()), Err(WriteError::Key(it)) if it.limit == 8));
    let over = set("k", value(39));
    assert_eq!(over, Err(WriteError::Value { size: 41, limit: 40 }));
    assert_eq!(set("k", Value::Nil), Err(WriteError::Nil));
    assert_eq!(set("12345678", value(38)), Ok(()));
    assert_eq!(set("k", 1.into()), Ok(()));
    let busy = set("k", 1.into());
    assert!(matches!(busy, Err(WriteError::Busy(it)) if it.limit == 2), "{busy:?}");
    let now = bench.now;
    assert!(bench.chord.get(now, "k").is_err() && bench.chord.list(now, None).is_err());
    assert!(bench.chord.explain(now, "k").is_err());
    assert!(bench.chord.apply_delta(now, "k", vec![]).is_err());
    // They end, and others may begin.
    bench.seconds(11);
    assert!(bench.chord.get(bench.now, "k").is_ok());
    assert_eq!(bench.chord.status(bench.now).operations, 1);
}

/// Each view and each order to link tells of nodes where there are none.
#[test]
fn contacts_and_dials_that_peers_cause_have_a_bound() {
    let contact = |high: u8, low: u8| {
        let mut id = [high; NodeId::BYTES];
        id[1] = low;
        let address = vec![format!("10.9.{high}.{low}").into(), 4_000.into()];
        Value::Array(vec![bytes(&id), Value::Array(address)])
    };
    for joins in [true, false] {
        let config = ChordConfig { joins, ..ChordConfig::default() };
        let mut bench = Bench::new(config);
        let peer = bench.join_as(id(200), Kind::Rs2p);
        if joins {
            bench.become_neighbour(peer);
        }
        let mut told = 0;
        for high in 101..=199 {
            for low in 0..10 {
                let view = Value::Array((0..20).map(|at| contact(high, 20 * low + at)).collect());
                let told_last = contact(high, 20 * low);
                bench.whisper(peer, &[RING.into(), 3.into(), told_last.clone(), view]);
                let adopt = vec![6.into(), told_last];
                let at = NodeId::from_bytes([high; NodeId::BYTES]);
                bench.whisper(peer, &question(at, &[id(200)], told, adopt));
                told += 1;
            }
        }
        assert!(bench.dials.len() <= 64, "{} dials", bench.dials.len());
        assert_eq!(bench.counts().malformed, 0);
        let memory = format!("{:?}", bench.chord).len();
        assert!(memory < 300_000, "{memory} letters, {joins}");
    }
}

/// The ways of the questions are not known, or not gone.
#[test]
fn an_old_peer_that_floods_costs_no_memory_without_bound() {
    let (mut bench, way) = Bench::in_ring(ChordConfig::default(), 101);
    let old = bench.join_as(id(7), Kind::Py2p);
    bench.hold(way);
    let value = Value::from("x".repeat(1_000));
    for number in 0..20_000 {
        let key = format!("{number}");
        bench.plain(old, SubFlag::Retrieve, Table::Sha1, &key, None);
        bench.plain(old, SubFlag::Store, Table::Sha1, &key, Some(value.clone()));
    }
    let memory = format!("{:?}", bench.chord).len();
    assert!(memory < 20_000_000, "{memory} letters");
    // It goes on for others.
    bench.seconds(11);
    let memory = format!("{:?}", bench.chord).len();
    assert!(memory < 500_000, "{memory} letters");
}

#[test]
fn a_peer_that_asks_for_everything_again_and_again_is_told_as_it_reads() {
    let (mut bench, peer) = Bench::in_ring(ChordConfig::default(), 101);
    let other = bench.join_as(id(50), Kind::Rs2p);
    let count = 3_000;
    for number in 0..count {
        let record = record(Table::Sha1, &format!("{number}"), NOW, 9, "x".repeat(100));
        bench.whisper(peer, &[vec![COPY.into(), 0.into(), 1.into()], record].concat());
    }
    assert_eq!(shelf(&bench).0, count);
    bench.clear();
    bench.hold(peer);
    let stretch = [binary(id(100)), binary(id(100))];
    for _ in 0..500 {
        // All of it by digests, by a list, and by a part that is empty there.
        let sum = [stretch.to_vec(), vec![0.into(), 0.into()]].concat();
        bench.whisper(peer, &[COPY.into(), 2.into(), 0.into(), Value::Array(sum)]);
        let list = [vec![COPY.into(), 3.into()], stretch.to_vec(), vec![Value::Array(vec![])]];
        bench.whisper(peer, &list.concat());
    }
    assert!(bench.waiting(peer) < 2 << 20, "{} bytes wait", bench.waiting(peer));
    let memory = format!("{:?}", bench.chord).len();
    assert!(memory < 6_000_000, "{memory} letters");
    // It is told as it reads, and it is not told for ever.
    let mut told = 0;
    while bench.read(peer, 100) > 0 {
        told += bench.copies(peer, 5).len();
        assert!(told < 70 * 20, "{told} messages");
    }
    assert!(told > 0);
    // Another is served.
    let key = (0..).map(|it| it.to_string()).find(|key| {
        bench.chord.ring().unwrap().owns(Spot::of(Table::Sha1, key.as_bytes()).point())
    });
    let key = key.unwrap_or_default();
    bench.whisper(other, &crate::bench::fetch(Table::Sha1, &key, id(50), 1));
    assert_eq!(bench.answers(other).len(), 1);
}

/// It would not move any more.
#[test]
fn a_record_whose_new_owner_talks_nonsense_is_offered_again() {
    let config = ChordConfig { copies: 1, ..ChordConfig::default() };
    let (mut bench, peer) = Bench::in_ring(config, 101);
    let key = (0..).map(|it| it.to_string()).find(|key| {
        !bench.chord.ring().unwrap().owns(Spot::of(Table::Sha1, key.as_bytes()).point())
    });
    let record = record(Table::Sha1, &key.unwrap(), NOW, 9, 1);
    bench.whisper(peer, &[vec![COPY.into(), 0.into(), 1.into()], record].concat());
    let mut offered = 0;
    for _ in 0..100 {
        bench.seconds(1);
        for (number, asked) in bench.questions(peer) {
            if asked[0] == 2.into() {
                offered += 1;
                // First nonsense, then that it is kept.
                let kept = vec![4.into(), 1.into(), 0.into()];
                bench.answer(peer, number, if offered == 1 { vec![1.into()] } else { kept });
            }
        }
    }
    assert_eq!((offered, bench.chord.records().count()), (2, 0));
}

#[test]
fn intervals_beyond_all_reason_neither_spin_nor_overflow() {
    for span in [Duration::ZERO, Duration::MAX] {
        let config = ChordConfig {
            timeout: span,
            stabilise: span,
            compare: span,
            audit: span,
            tombstone_age: span,
            max_ahead: span,
            ..ChordConfig::default()
        };
        let (mut bench, peer) = Bench::in_ring(config, 101);
        let record = record(Table::Sha1, "k", NOW, 9, 1);
        bench.whisper(peer, &[vec![COPY.into(), 0.into(), 1.into()], record].concat());
        bench.set("key", 1);
        let now = bench.now;
        bench.call(|chord, _| chord.get_within(now, "key", span)).unwrap();
        bench.seconds(100);
        assert_eq!(bench.chord.membership(), Membership::Joined);
    }
}

#[test]
fn who_claims_more_records_than_can_be_counted_is_answered_like_anybody() {
    let (mut bench, peer) = Bench::in_ring(ChordConfig::default(), 50);
    let request = bench.set("key", "value");
    bench.clear();
    let whole = binary(id(1));
    let parts = Value::Array(vec![whole.clone(), whole, u64::MAX.into(), 1.into()]);
    bench.whisper(peer, &[COPY.into(), 2.into(), 1.into(), parts]);
    assert_eq!(bench.counts().malformed, 0);
    assert!(!bench.payloads(peer, SubFlag::Other(COPY)).is_empty());
    bench.seconds(3);
    assert!(bench.write_of(request).is_some());
}
