//! rs2p peers that lie: what they say costs no panic, no memory without bound, and nobody else's
//! keys.

use std::time::Duration;

use rs2p_sync::SyncConfig;
use rs2p_wire::{MainFlag, SubFlag, Value};

use crate::bench::{BEGIN, Bench, COMPARE, Kind, LIST, PeerIndex, RECORDS, WANT, id};

/// A node with so many keys and a peer whose questions and answers are over.
fn with_keys(count: usize) -> (Bench, PeerIndex) {
    let (mut bench, peer) = Bench::with(Kind::Rs2p);
    for number in 0..count {
        bench.set(&format!("key {number}"), number as u64);
    }
    bench.clear();
    (bench, peer)
}

/// A question about parts: first and last place, digest, count.
fn compare(forgotten: u64, lists: u64, parts: &[[u64; 4]]) -> Vec<Value> {
    let numbers = parts.iter().flatten().map(|number| Value::from(*number)).collect();
    vec![COMPARE.into(), forgotten.into(), lists.into(), Value::Array(numbers), 0.into()]
}

fn list(first: u64, last: u64, items: &[(u64, u64)]) -> Vec<Value> {
    let numbers = items.iter().flat_map(|(place, digest)| [*place, *digest]);
    let bytes = numbers.flat_map(u64::to_be_bytes).collect();
    vec![LIST.into(), first.into(), last.into(), Value::Binary(bytes)]
}

/// One record of a live key: text, then after, start, time, seq, lease.
pub(crate) fn records(key: &str, value: impl Into<Value>, numbers: [u64; 5]) -> Vec<Value> {
    let owners = Value::Array(vec![Value::Binary(id(9).to_string().into_bytes())]);
    let mut payload = vec![RECORDS.into(), owners, Value::Binary(key.into()), value.into()];
    payload.push(0.into());
    payload.extend(numbers.map(Value::from));
    payload
}

#[test]
fn a_part_that_claims_to_hold_endless_records_is_compared_like_any_other() {
    let (mut bench, peer) = with_keys(3);
    for count in [1, u64::MAX - 1, u64::MAX] {
        bench.whisper(peer, &compare(0, 0, &[[0, u64::MAX, 1, count]]));
        bench.whisper(peer, &compare(0, 0, &[[0, 1 << 63, 1, count]]));
    }
    assert_eq!(bench.sync.status(bench.now).counts.malformed, 0);
    assert!(!bench.is_closed(peer));
}

#[test]
fn what_belongs_to_an_exchange_of_two_is_not_taken_as_a_broadcast() {
    let (mut bench, peer) = with_keys(3);
    let other = bench.join(Kind::Rs2p);
    bench.clear();
    let before = bench.sync.status(bench.now).counts.malformed;
    let time = bench.time(0);
    for payload in [
        compare(0, 0, &[[0, u64::MAX, 1, 0]]),
        list(0, u64::MAX, &[]),
        vec![WANT.into(), Value::Binary(vec![0; 8])],
        records("new", 1, [0, time, time, 0, 3_600]),
    ] {
        bench.say(peer, MainFlag::Broadcast, (id(9), rs2p_wire::IdForm::Bin), 0, &payload);
    }
    for peer in [peer, other] {
        assert!(bench.heard(peer, RECORDS).is_empty());
        assert!(bench.heard(peer, LIST).is_empty());
    }
    assert_eq!(bench.value("new"), None);
    assert_eq!(bench.sync.status(bench.now).counts.malformed, before + 4);
}

#[test]
fn a_deletion_forgotten_in_the_future_is_not_believed() {
    let (mut bench, liar) = with_keys(1);
    bench.seconds(1);
    // They are the same, and the node knows that from now on.
    bench.whisper(liar, &compare(0, 0, &[]));
    assert!(bench.sync.status(bench.now).same_as_peer.is_some());
    bench.seconds(10);
    let far = bench.time(1_000_000);
    bench.whisper(liar, &compare(far, 0, &[]));
    bench.whisper(liar, &compare(u64::MAX, 0, &[]));
    assert_eq!(bench.sync.status(bench.now).counts.malformed, 2);
    // Else whatever an honest peer lacks would be given up.
    let honest = bench.join(Kind::Rs2p);
    bench.clear();
    bench.whisper(honest, &compare(0, 0, &[[0, u64::MAX, 1, 1]]));
    bench.whisper(honest, &list(0, u64::MAX, &[]));
    assert_eq!(bench.sync.status(bench.now).counts.given_up, 0);
    assert_eq!(bench.value("key 0").as_deref(), Some("0"));
    bench.whisper(honest, &compare(0, 0, &[]));
    bench.seconds(120);
    for message in bench.payloads(honest, COMPARE) {
        assert_eq!(message[0], 0.into(), "it is not passed on");
    }
}

#[test]
fn a_peer_that_repeats_itself_does_not_keep_a_node_from_the_others() {
    let (mut bench, liar) = with_keys(3);
    let honest = bench.join(Kind::Rs2p);
    bench.clear();
    let time = bench.time(0);
    for _ in 0..50 {
        bench.whisper(liar, &records("same", 1, [0, time, time, 0, 3_600]));
        bench.run_for(Duration::from_millis(100));
    }
    // What it told at first may be news to the others.
    assert!(!bench.heard(honest, COMPARE).is_empty());
}

#[test]
fn questions_that_nobody_waits_for_the_answers_to_are_not_kept_without_bound() {
    let (mut bench, peer) = with_keys(500);
    bench.hold(peer);
    for _ in 0..200 {
        bench.whisper(peer, &list(0, u64::MAX, &[]));
        bench.whisper(peer, &compare(0, 0, &[[0, u64::MAX, 1, 0]]));
        bench.whisper(peer, &[WANT.into(), Value::Binary(vec![7; 8 * 8_192])]);
    }
    // Answers of records wait for room; those of digests are as large as what was asked.
    assert!(bench.waiting(peer) < 1 << 20, "{} bytes wait", bench.waiting(peer));
    // It does not read, and so loses its link.
    bench.seconds(30);
    assert!(bench.is_closed(peer) || bench.waiting(peer) < 256 << 10);
}

#[test]
fn what_makes_no_sense_is_counted_and_changes_nothing() {
    let (mut bench, peer) = with_keys(3);
    let now = BEGIN;
    let binary = |bytes: &[u8]| Value::Binary(bytes.to_vec());
    let owner = Value::Array(vec![binary(id(9).to_string().as_bytes())]);
    let nonsense: Vec<Vec<Value>> = vec![
        vec![COMPARE.into()],
        vec![COMPARE.into(), 0.into(), 0.into()],
        vec![COMPARE.into(), 0.into(), 0.into(), Value::Array(vec![1.into()])],
        vec![COMPARE.into(), "x".into(), 0.into(), Value::Array(vec![])],
        compare(0, 0, &[[5, 4, 0, 0]]),
        compare(0, 0, &[[0, 5, 0, 0], [5, 9, 0, 0]]),
        compare(0, 0, &[[6, 9, 0, 0], [0, 5, 0, 0]]),
        compare(0, 0, &(0..4_097).map(|at| [2 * at, 2 * at, 0, 1]).collect::<Vec<_>>()),
        vec![LIST.into(), 0.into(), 1.into(), binary(&[0; 15])],
        vec![LIST.into(), 0.into(), 1.into(), binary(&[0; 8])],
        list(1, 0, &[]),
        list(0, 5, &[(6, 0)]),
        list(0, 5, &[(3, 0), (2, 0)]),
        vec![LIST.into(), 0.into(), 1.into(), "x".into()],
        list(0, u64::MAX, &vec![(0, 0); 4_097]),
        vec![WANT.into()],
        vec![WANT.into(), binary(&[0; 9])],
        vec![WANT.into(), binary(&[0; 8 * 8_193])],
        vec![RECORDS.into()],
        vec![RECORDS.into(), Value::Array(vec![binary(&[b'x'; 129])])],
        vec![RECORDS.into(), owner.clone(), binary(b"k")],
        vec![
            RECORDS.into(),
            owner.clone(),
            binary(b"k"),
            1.into(),
            1.into(),
            0.into(),
            now.into(),
            now.into(),
            0.into(),
            3_600.into(),
        ],
        vec![
            RECORDS.into(),
            owner,
            7.into(),
            1.into(),
            0.into(),
            0.into(),
            now.into(),
            now.into(),
            0.into(),
            3_600.into(),
        ],
        // A start behind the time, leases that there are not, numbers that are too large.
        records("k", 1, [0, now + 1, now, 0, 3_600]),
        records("k", 1, [0, now, now, 0, 0]),
        records("k", 1, [0, now, now, 0, 30 * 24 * 3_600 + 1]),
        records("k", 1, [0, now, now, 1 << 32, 3_600]),
        records("k", 1, [0, now, now, 0, 1 << 32]),
        vec![SubFlag::Store.into()],
        vec![SubFlag::Store.into(), binary(b"k")],
        vec![SubFlag::Store.into(), 5.into(), 1.into()],
        vec![SubFlag::Store.into(), binary(b"k"), 1.into(), binary(b"x")],
        vec![SubFlag::Store.into(), binary(b"k"), 1.into(), 5.into(), 5.into()],
        vec![SubFlag::Store.into(), binary(b"k"), 1.into(), binary(b"x"), "y".into()],
        vec![SubFlag::Store.into(), binary(b"k"), Value::Nil, binary(b"x"), 5.into()],
        vec![SubFlag::Store.into(), binary(b"k"), 1.into(), binary(&[b'x'; 129]), 5.into()],
        vec![SubFlag::Delta.into(), binary(b"k")],
        vec![SubFlag::Delta.into(), binary(b"k"), 5.into()],
        vec![SubFlag::Delta.into(), 5.into(), Value::Map(vec![])],
    ];
    for (number, payload) in nonsense.iter().enumerate() {
        bench.whisper(peer, payload);
        let malformed = bench.sync.status(bench.now).counts.malformed;
        assert_eq!(malformed, number as u64 + 1, "{payload:?}");
    }
    assert_eq!(bench.sync.len(), 3);
    assert!(bench.told().is_empty());
    assert!(!bench.is_closed(peer));
}

#[test]
fn what_is_dated_ahead_is_refused_and_counted_and_so_is_a_tenure_after_one_of_the_future() {
    let (mut bench, peer) = Bench::with(Kind::Rs2p);
    let ahead = SyncConfig::default().max_ahead.as_secs();
    let latest = BEGIN + ahead;
    bench.whisper(peer, &records("k", 1, [0, latest, latest, 0, 3_600]));
    bench.whisper(peer, &records("l", 1, [1_000 * latest + 999, BEGIN, BEGIN, 0, 3_600]));
    assert_eq!(bench.sync.len(), 2);
    bench.whisper(peer, &records("m", 1, [0, BEGIN, latest + 1, 0, 3_600]));
    bench.whisper(peer, &records("n", 1, [1_000 * (latest + 1), BEGIN, BEGIN, 0, 3_600]));
    bench.whisper(peer, &records("n", Value::Nil, [u64::MAX, 0, BEGIN, 0, 3_600]));
    assert_eq!(bench.sync.len(), 2);
    assert_eq!(bench.sync.status(bench.now).counts.ahead, 3);
}
