//! What a member answers, and what it makes of answers: how many count.

use std::time::Duration;

use rs2p_chord::{ChordConfig, Spot, Table, WriteError};
use rs2p_wire::{SubFlag, Value};

use crate::bench::{
    BEGIN, Bench, COPY, Kind, PeerIndex, RING, binary, id, keep, question, record, spot,
};

const NOW: u64 = 1_000 * BEGIN;

/// A node whose successor is right behind it and owns all.
fn with_owner() -> (Bench, PeerIndex) {
    Bench::in_ring(ChordConfig::default(), 101)
}

/// A node that owns all but for its predecessor's point, and that predecessor, which copies it.
fn with_copier() -> (Bench, PeerIndex) {
    Bench::in_ring(ChordConfig::default(), 99)
}

/// That a table has this value of this time.
fn has(time: u64, value: &str) -> Vec<Value> {
    vec![2.into(), time.into(), binary(id(9)), value.into()]
}

fn done() -> Vec<Value> {
    vec![4.into(), 3.into(), 1.into()]
}

/// The one before it still has what belongs to it, and may not know where that ends.
#[test]
fn who_has_just_come_lets_keys_be_listed_up_to_its_own_end() {
    let mut bench = Bench::new(ChordConfig::default());
    let before = bench.join_as(id(50), Kind::Rs2p);
    let asker = bench.join_as(id(150), Kind::Rs2p);
    bench.stores(before, true);
    bench.whisper(before, &[RING.into(), 4.into()]);
    bench.whisper(before, &[RING.into(), 3.into(), Value::Nil, Value::Array(vec![])]);
    bench.clear();
    let list = question(id(120), &[id(150)], 1, vec![5.into(), 0.into()]);
    bench.whisper(asker, &list);
    let (_, asked) = bench.questions(before).remove(0);
    assert_eq!(asked, [5.into(), 0.into(), binary(id(50))]);
    // And who answers in its place keeps to that.
    for (from, end, next) in [(120, 140, Some(140)), (120, 30, None)] {
        let list = vec![5.into(), 0.into(), binary(id(end))];
        let mut list = question(id(from), &[id(150)], 1, list);
        list[4] = 1.into();
        bench.whisper(asker, &list);
        let (_, answer) = bench.answers(asker).remove(0);
        assert_eq!(answer[1], next.map_or(Value::Nil, |end| binary(id(end))), "{from}");
    }
}

#[test]
fn a_write_is_acknowledged_though_an_old_node_does_not_say_what_it_has_read() {
    let mut bench = Bench::new(ChordConfig::default());
    let old = bench.join_as(id(150), Kind::Py2p);
    bench.stores(old, true);
    bench.hold(old);
    let write = bench.set("key", "value");
    bench.seconds(5);
    assert_eq!(bench.write_of(write), Some(Ok(None)));
}

#[test]
fn a_write_is_acknowledged_by_three_tables_and_no_fewer() {
    let (mut bench, owner) = with_owner();
    let write = bench.set("key", 1);
    let asked = bench.questions(owner);
    assert_eq!(asked.len(), 5);
    for (at, (number, _)) in asked.into_iter().take(3).enumerate() {
        assert_eq!(bench.write_of(write), None, "{at} tables");
        bench.answer(owner, number, done());
    }
    assert_eq!(bench.write_of(write), Some(Ok(None)));
}

#[test]
fn a_value_that_few_tables_have_is_brought_to_three_before_it_is_read() {
    let (mut bench, owner) = with_owner();
    let read = bench.get("key");
    let asked = bench.questions(owner);
    assert_eq!(asked.len(), 3);
    for (at, (number, _)) in asked.into_iter().enumerate() {
        let answer = if at == 0 { has(NOW, "new") } else { has(NOW - 9, "old") };
        bench.answer(owner, number, answer);
    }
    // The others are asked, too.
    let asked = bench.questions(owner);
    assert_eq!(asked.len(), 2);
    for (number, _) in asked {
        assert_eq!(bench.read_of(read), None);
        bench.answer(owner, number, has(NOW - 9, "other"));
    }
    let asked = bench.questions(owner);
    assert_eq!(asked.len(), 5);
    for (number, op) in asked.into_iter().take(3) {
        assert_eq!((&op[0], &op[3], &op[6]), (&2.into(), &NOW.into(), &"new".into()));
        assert_eq!(bench.read_of(read), None);
        bench.answer(owner, number, done());
    }
    assert_eq!(bench.read_of(read), Some(Ok(Some("new".into()))));
}

#[test]
fn a_table_that_has_less_than_the_others_is_brought_up_to_date() {
    let (mut bench, owner) = with_owner();
    let read = bench.get("key");
    for (at, (number, _)) in bench.questions(owner).into_iter().enumerate() {
        let answer = if at == 0 { has(NOW - 9, "old") } else { has(NOW, "new") };
        bench.answer(owner, number, answer);
    }
    let (number, _) = bench.questions(owner).remove(0);
    bench.answer(owner, number, has(NOW, "new"));
    assert_eq!(bench.read_of(read), Some(Ok(Some("new".into()))));
    let asked = bench.questions(owner);
    assert_eq!(asked.len(), 1);
    assert_eq!((&asked[0].1[0], &asked[0].1[6]), (&2.into(), &"new".into()));
}

#[test]
fn a_write_is_answered_once_it_is_copied_or_there_is_nobody_left_to_copy_it() {
    for acknowledges in [true, false] {
        let (mut bench, copier) = with_copier();
        let writer = bench.join_as(id(50), Kind::Rs2p);
        bench.clear();
        let record = record(Table::Sha1, "key", NOW, 9, 1);
        bench.whisper(writer, &keep(Table::Sha1, "key", id(50), 1, record.clone()));
        assert!(bench.answers(writer).is_empty());
        let told = bench.copies(copier, 0).remove(0);
        assert_eq!(told[2..], record);
        if acknowledges {
            bench.whisper(copier, &[COPY.into(), 1.into(), told[1].clone()]);
        } else {
            bench.leave(copier);
        }
        let (_, answer) = bench.answers(writer).remove(0);
        let copies = if acknowledges { 2 } else { 1 };
        assert_eq!(answer, [4.into(), copies.into(), 0.into()]);
    }
}

#[test]
fn a_change_is_merged_into_what_the_writer_has_read_if_that_is_later() {
    let (mut bench, copier) = with_copier();
    let map = |name: &str| Value::Map(vec![(name.into(), 1.into())]);
    let at = Spot::of(Table::Sha1, b"key");
    let (key, mut merged) = (Value::Binary(b"key".to_vec()), Vec::new());
    for (time, base, change) in [(NOW, "a", "b"), (NOW - 9, "older", "c")] {
        let base = record(Table::Sha1, "key", time, 9, map(base));
        let op =
            [vec![4.into()], spot(at).to_vec(), vec![key.clone(), time.into(), map(change)], base]
                .concat();
        bench.whisper(copier, &question(at.point(), &[id(99)], 1, op));
        let told = bench.copies(copier, 0).remove(0);
        bench.whisper(copier, &[COPY.into(), 1.into(), told[1].clone()]);
        let (_, answer) = bench.answers(copier).remove(0);
        merged = answer[3].as_map().unwrap().iter().map(|(name, _)| name.to_string()).collect();
    }
    assert_eq!(merged, ["\"a\"", "\"b\"", "\"c\""]);
}

/// The earlier one may be followed by another value in the two tables that were not asked.
#[test]
fn the_same_value_written_before_does_not_count_for_a_write_that_few_tables_have() {
    let (mut bench, owner) = with_owner();
    let read = bench.get("key");
    for (at, (number, _)) in bench.questions(owner).into_iter().enumerate() {
        let time = if at == 0 { NOW } else { NOW - 9 };
        bench.answer(owner, number, has(time, "same"));
    }
    for (number, _) in bench.questions(owner) {
        assert_eq!(bench.read_of(read), None);
        bench.answer(owner, number, has(NOW - 5, "other"));
    }
    let asked = bench.questions(owner);
    assert_eq!(asked.len(), 5);
    for (number, op) in asked.into_iter().take(3) {
        assert_eq!((&op[0], &op[3], &op[6]), (&2.into(), &NOW.into(), &"same".into()));
        assert_eq!(bench.read_of(read), None);
        bench.answer(owner, number, done());
    }
    assert_eq!(bench.read_of(read), Some(Ok(Some("same".into()))));
}

#[test]
fn a_key_is_announced_once_its_write_is_acknowledged() {
    let (mut bench, owner) = with_owner();
    let refused = bench.set("refused", 1);
    for (number, _) in bench.questions(owner) {
        bench.answer(owner, number, vec![6.into(), 0.into()]);
    }
    assert!(matches!(bench.write_of(refused), Some(Err(WriteError::NotAcknowledged { .. }))));
    let kept = bench.set("kept", 1);
    let asked = bench.questions(owner);
    assert!(bench.heard(owner, SubFlag::Notify).is_empty());
    for (number, _) in asked {
        bench.answer(owner, number, done());
    }
    assert_eq!(bench.write_of(kept), Some(Ok(None)));
    assert_eq!(bench.chord.known_keys(), Some(vec!["kept".into()]));
    assert_eq!(bench.payloads(owner, SubFlag::Notify), [[Value::Binary("kept".into())]]);
}

#[test]
fn what_is_written_while_a_key_is_popped_is_given_instead() {
    let (mut bench, owner) = with_owner();
    let pop = bench.call(|chord, now| chord.pop(now, "key")).unwrap();
    for (number, _) in bench.questions(owner) {
        bench.answer(owner, number, has(NOW, "first"));
    }
    for (at, (number, op)) in bench.questions(owner).into_iter().enumerate() {
        // Right behind what was read, before all that anybody writes.
        let mut author = [9; 48];
        author[47] = 10;
        let version = [NOW.into(), Value::Binary(author.to_vec())];
        assert_eq!((&op[0], &op[3..5], &op[6]), (&2.into(), &version[..], &Value::Nil));
        let newer = vec![5.into(), (NOW + 3).into(), binary(id(9))];
        bench.answer(owner, number, if at < 2 { done() } else { newer });
        if at == 2 {
            break;
        }
    }
    let asked = bench.questions(owner);
    assert!(asked.len() == 3 && asked.iter().all(|(_, op)| op[0] == 1.into()));
    for (number, _) in asked {
        bench.answer(owner, number, has(NOW + 3, "second"));
    }
    for (number, _) in bench.questions(owner) {
        bench.answer(owner, number, done());
    }
    assert_eq!(bench.write_of(pop), Some(Ok(Some("second".into()))));
}

/// As many writes as may wait for a copier that says nothing, and some more.
#[test]
fn a_write_that_cannot_wait_for_its_copies_is_refused_for_now() {
    let (mut bench, copier) = with_copier();
    let writer = bench.join_as(id(50), Kind::Rs2p);
    let write = |bench: &mut Bench, number: u64| {
        let key = format!("{number}");
        let record = record(Table::Sha1, &key, NOW, 9, 1);
        bench.whisper(writer, &keep(Table::Sha1, &key, id(50), number, record));
        bench.answers(writer)
    };
    let refused = (0..20_000).find(|number| !write(&mut bench, *number).is_empty()).unwrap();
    assert_eq!(bench.copies(copier, 0).len(), 16_384);
    assert_eq!(write(&mut bench, refused), [(refused, vec![6.into(), 3.into()])]);
    assert!(bench.chord.record(Table::Sha1, refused.to_string()).is_none());
    let change = Value::Map(vec![(1.into(), 1.into())]);
    let (_, answer) = merge(&mut bench, writer, 1, change);
    assert_eq!(answer, [6.into(), 3.into()]);
    // What waits is answered in time, and others may.
    bench.seconds(2);
    bench.clear();
    assert_eq!(write(&mut bench, refused), []);
    let told = bench.copies(copier, 0).remove(0);
    bench.whisper(copier, &[COPY.into(), 1.into(), told[1].clone()]);
    assert_eq!(bench.answers(writer), [(refused, vec![4.into(), 2.into(), 0.into()])]);
}

#[test]
fn a_table_that_is_busy_is_asked_again() {
    let (mut bench, owner) = with_owner();
    let write = bench.set("key", 1);
    for (at, (number, _)) in bench.questions(owner).into_iter().enumerate() {
        bench.answer(owner, number, if at < 2 { done() } else { vec![6.into(), 3.into()] });
    }
    assert_eq!((bench.write_of(write), bench.questions(owner).len()), (None, 0));
    bench.seconds(1);
    let asked = bench.questions(owner);
    assert_eq!(asked.iter().filter(|(_, op)| op[0] == 2.into()).count(), 3);
    for (number, _) in asked {
        bench.answer(owner, number, done());
    }
    assert_eq!(bench.write_of(write), Some(Ok(None)));
}

/// Asks for a change of the map "key" to be merged; the answer.
fn merge(bench: &mut Bench, by: PeerIndex, change: u64, delta: Value) -> (u64, Vec<Value>) {
    let at = Spot::of(Table::Sha1, b"key");
    let key = Value::Binary(b"key".to_vec());
    let op = [vec![4.into()], spot(at).to_vec(), vec![key, change.into(), delta]].concat();
    let by_id = bench.id(by);
    bench.whisper(by, &question(at.point(), &[by_id], change, op));
    bench.answers(by).remove(0)
}

#[test]
fn a_change_that_is_asked_for_again_does_not_overwrite_a_later_one() {
    let map = |value: u64| Value::Map(vec![("a".into(), value.into())]);
    let (mut bench, copier) = with_copier();
    let other = bench.join_as(id(50), Kind::Rs2p);
    // It says nothing, and so is not waited for.
    bench.leave(copier);
    assert_eq!(merge(&mut bench, other, 1, map(1)).1[3], map(1));
    assert_eq!(merge(&mut bench, other, 2, map(2)).1[3], map(2));
    let again = merge(&mut bench, other, 1, map(1)).1;
    assert_eq!(again[3], map(2));
    // Somebody sets the key, with none of it in what he sets.
    let later = again[1].as_u64().unwrap() + 1;
    let record = record(Table::Sha1, "key", later, 9, map(7));
    bench.whisper(other, &keep(Table::Sha1, "key", id(50), 9, record));
    bench.clear();
    assert_eq!(merge(&mut bench, other, 1, map(1)).1[3], map(1));
}

#[test]
fn a_copier_knows_which_changes_are_in_a_map() {
    let map = |value: u64| Value::Map(vec![("a".into(), value.into())]);
    let (mut bench, owner) = with_copier();
    for (change, time) in [(1, NOW), (2, NOW + 1)] {
        let record = record(Table::Sha1, "key", time, 9, map(change));
        let from = [binary(id(50)), change.into()];
        bench.whisper(
            owner,
            &[vec![COPY.into(), 0.into(), 1.into()], record, from.to_vec()].concat(),
        );
    }
    // The owner dies, and this node takes its place.
    bench.leave(owner);
    let other = bench.join_as(id(50), Kind::Rs2p);
    bench.clear();
    let (_, answer) = merge(&mut bench, other, 1, map(1));
    assert_eq!(answer, [8.into(), (NOW + 1).into(), binary(id(9)), map(2)]);
    assert_eq!(merge(&mut bench, other, 3, map(3)).1[3], map(3));
}

#[test]
fn a_change_goes_to_the_next_table_when_the_first_one_says_nothing() {
    let (mut bench, owner) = with_owner();
    let delta = vec![("a".into(), 1.into())];
    let change = bench.call(|chord, now| chord.apply_delta(now, "key", delta.clone())).unwrap();
    let mut merges = Vec::new();
    for _ in 0..3 {
        for (number, asked) in bench.questions(owner) {
            if asked[0] == 1.into() {
                bench.answer(owner, number, vec![1.into()]);
            } else {
                merges.push((number, asked));
            }
        }
    }
    for _ in 0..50 {
        bench.run_for(Duration::from_millis(100));
        merges.extend(bench.questions(owner).into_iter().filter(|(_, op)| op[0] == 4.into()));
    }
    let tables: Vec<u64> = merges.iter().map(|(_, op)| op[1].as_u64().unwrap()).collect();
    assert_eq!(tables, [0, 0, 1]);
    assert!(merges.iter().all(|(_, op)| op[4] == merges[0].1[4]), "it is the same change");
    let merged = vec![8.into(), NOW.into(), binary(id(9)), Value::Map(delta.clone())];
    bench.answer(owner, merges[2].0, merged);
    for (number, _) in bench.questions(owner) {
        bench.answer(owner, number, done());
    }
    assert_eq!(bench.write_of(change), Some(Ok(Some(Value::Map(delta)))));
}
