//! Whatever comes from peers of every kind: nothing breaks, nothing grows beyond its bounds, and a
//! user is told the end of all that he begins.
//!
//! The fuzz target `chord` runs this body; so do the tests here, over the committed seeds and over
//! arbitrary input.

use std::collections::BTreeSet;
use std::time::Duration;

use rs2p_chord::{ChordConfig, ChordEvent, Spot, Table};
use rs2p_wire::{MainFlag, SubFlag, Value};

use super::bench::{
    ANSWER, BEGIN, Bench, COPY, Kind, RING, binary, fetch, id, keep, question, record, spot,
};

/// Small bounds, so that they are reached.
const RECORDS: usize = 30;
const BYTES: usize = 2_000;
const KEYS: usize = 12;

/// Messages as an honest peer of the number 50 says them.
fn valid(step: u8, key: u8, extra: u8) -> Vec<Value> {
    let (name, number) = (format!("{key}"), u64::from(extra));
    let table = Table::ALL[usize::from(extra) % 5];
    let time = 1_000 * BEGIN + 100 * number;
    let value = if extra.is_multiple_of(3) {
        Value::Nil
    } else {
        Value::Map(vec![(extra.into(), 1.into())])
    };
    let at = Spot::of(table, name.as_bytes());
    let record = record(table, &name, time, 1 + extra % 4, value.clone());
    let position = at.position().to_string();
    let me = id(50);
    let address = Value::Array(vec![format!("10.0.0.{key}").into(), 4_000.into()]);
    let contact = Value::Array(vec![binary(id(key)), address]);
    let contacts = Value::Array(vec![contact.clone(); usize::from(extra % 4)]);
    let stretch = [binary(id(key)), binary(id(extra))];
    let answer = |answer: Vec<Value>| {
        let answer = Value::Array(answer);
        vec![ANSWER.into(), binary(id(100)), number.into(), Value::Nil, answer]
    };
    let copy = |kind: u64, rest: Vec<Value>| [vec![COPY.into(), kind.into()], rest].concat();
    match step % 28 {
        0 => keep(table, &name, me, number, record),
        1 => fetch(table, &name, me, number),
        2 => question(at.point(), &[me], number, vec![0.into()]),
        3 => question(at.point(), &[me], number, [&[3.into()][..], &spot(at)].concat()),
        4 => {
            let op =
                [vec![4.into()], spot(at).to_vec(), vec![Value::Nil, number.into(), value], record];
            question(at.point(), &[me], number, op.concat())
        }
        5 => question(id(key), &[id(extra), me], number, vec![5.into(), 0.into()]),
        6 => question(id(key), &[me], number, vec![6.into(), contact]),
        7 => answer(vec![0.into(), contact, contacts]),
        8 => answer(vec![2.into(), time.into(), binary(id(extra)), value]),
        9 => answer(vec![4.into(), 3.into(), 1.into()]),
        10 => answer(vec![5.into(), time.into(), binary(id(extra))]),
        11 => answer(vec![8.into(), time.into(), binary(id(extra)), value]),
        12 => answer(vec![9.into(), binary(id(key)), Value::Array(vec![name.into()])]),
        13 => vec![RING.into(), u64::from(extra % 7).into()],
        14 => vec![RING.into(), 3.into(), contact, contacts],
        15 => copy(0, [vec![number.into()], record].concat()),
        16 => copy(1, vec![number.into()]),
        17 => {
            let parts = [stretch.to_vec(), vec![number.into(), time.into()]].concat();
            copy(2, vec![u64::from(key % 2).into(), Value::Array(parts)])
        }
        18 => {
            let versions = [spot(at).to_vec(), vec![time.into(), binary(id(extra))]].concat();
            copy(3, [stretch.to_vec(), vec![Value::Array(versions)]].concat())
        }
        19 => copy(4, vec![Value::Array(spot(at).to_vec())]),
        20 => copy(5, record),
        21 => copy(6, stretch.to_vec()),
        22 => vec![SubFlag::Store.into(), table.name().into(), position.into(), value],
        23 => vec![SubFlag::Retrieve.into(), table.name().into(), position.into()],
        24 => vec![SubFlag::Retrieved.into(), table.name().into(), position.into(), value],
        25 => vec![SubFlag::Delta.into(), table.name().into(), position.into(), value],
        26 => vec![SubFlag::Handshake.into(), format!("{}", extra % 2).into()],
        _ => vec![SubFlag::Notify.into(), Value::Binary(name.into()), "del".into()],
    }
}

/// Changes something in the midst of a message, but for its sub-flag.
fn garble(value: &mut Value, how: u8, path: &[u8]) {
    let Some((first, rest)) = path.split_first() else {
        *value = match (how % 8, &*value) {
            (0, _) => Value::Nil,
            (1, _) => u64::MAX.into(),
            (2, _) => (-1).into(),
            (3, Value::Binary(bytes)) => Value::Binary(bytes[..bytes.len() / 2].to_vec()),
            (4, Value::Binary(bytes)) => Value::Binary([&bytes[..], &bytes[..]].concat()),
            (5, Value::Array(values)) => Value::Array([&values[..], &values[..]].concat()),
            (6, value) => Value::Array(vec![value.clone()]),
            (7, Value::Binary(bytes)) => Value::Binary(bytes.iter().map(|it| it ^ how).collect()),
            _ => Value::Array(Vec::new()),
        };
        return;
    };
    match value {
        Value::Array(values) if !values.is_empty() => {
            let at = usize::from(*first) % values.len();
            if how % 16 == 15 {
                values.remove(at);
            } else {
                garble(&mut values[at], how, rest);
            }
        }
        value => garble(value, how, &[]),
    }
}

/// A step of somebody's: what, about what, and how it is spoiled.
type Action = (u8, u8, u8, u8, Option<(u8, Vec<u8>)>);

/// As many steps as an input is read for.
const STEPS: usize = 200;

/// Runs steps that are read from `input`, and panics when a promise is broken.
pub(crate) fn chord(input: &[u8]) {
    let Some((first, mut rest)) = input.split_first() else { return };
    let mut take = || rest.split_off_first().copied();
    let mut actions: Vec<Action> = Vec::new();
    while actions.len() < STEPS
        && let (Some(who), Some(step), Some(key), Some(extra)) = (take(), take(), take(), take())
    {
        let spoiled = take().filter(|how| how % 2 == 1).map(|how| {
            let path = std::iter::from_fn(&mut take).take(1 + usize::from(how / 64)).collect();
            (how / 2, path)
        });
        actions.push((who, step, key % 20, extra, spoiled));
    }
    run(&actions, first % 2 == 0);
}

fn run(actions: &[Action], joins: bool) {
    let config = ChordConfig {
        joins,
        max_records: RECORDS,
        max_bytes: BYTES,
        max_keys: KEYS,
        max_operations: 20,
        ..ChordConfig::default()
    };
    let mut bench = Bench::new(config);
    bench.chord.keep_changes();
    let liar = bench.join_as(id(50), Kind::Rs2p);
    bench.stores(liar, true);
    let old = [Kind::Py2p, Kind::Js2p].map(|kind| bench.join(kind));
    let honest = bench.join_as(id(200), Kind::Rs2p);
    let mut begun = BTreeSet::new();
    for (who, step, key, extra, spoiled) in actions {
        let name = format!("{key}");
        match who % 10 {
            0 => {
                let value = Value::Map(vec![(1.into(), (*extra).into())]);
                let request = bench.call(|chord, now| match step % 6 {
                    0 => chord.set(now, &name, &value).ok(),
                    1 => chord.get(now, &name).ok(),
                    2 => chord.del(now, &name).ok(),
                    3 => chord.pop(now, &name).ok(),
                    4 => chord.apply_delta(now, &name, vec![(2.into(), 3.into())]).ok(),
                    _ => chord.list(now, Some(id(*key))).ok(),
                });
                begun.extend(request);
            }
            1 => bench.run_for(Duration::from_millis(20 * u64::from(*extra))),
            2 if *step % 16 == 0 => {
                let unjoins = *extra % 2 == 0;
                bench.call(|chord, now| {
                    if unjoins {
                        chord.unjoin(now);
                    } else {
                        let _ = chord.join(now);
                    }
                });
            }
            2 => bench.fail_dials(),
            _ => {
                let mut message = valid(*step, *key, *extra);
                if let Some((how, path)) = spoiled {
                    let mut rest = Value::Array(message.split_off(1));
                    garble(&mut rest, *how, path);
                    match rest {
                        Value::Array(rest) => message.extend(rest),
                        other => message.push(other),
                    }
                }
                let by = if step % 28 < 22 { liar } else { old[usize::from(*who) % 2] };
                let is_notify = step % 28 == 27;
                let kind = if is_notify { MainFlag::Broadcast } else { MainFlag::Whisper };
                bench.say(by, kind, &message);
            }
        }
        let status = bench.chord.status(bench.now);
        assert!(status.records <= RECORDS && status.bytes <= BYTES + 2 * RECORDS);
        assert!(status.keys <= KEYS && status.operations <= 20);
        assert!(bench.dials.len() <= 64);
        let (mut records, mut tombstones, mut bytes) = (0, 0, 0);
        for (spot, record) in bench.chord.records() {
            records += 1;
            tombstones += usize::from(record.value.is_none());
            bytes += record.value.as_ref().map_or(0, |value| value.as_bytes().len());
            bytes += record.key.as_ref().map_or(0, |key| key.len());
            let is_there = |key: &bytes::Bytes| Spot::of(spot.table(), key) == spot;
            assert!(record.key.as_ref().is_none_or(is_there));
        }
        let counted = (status.records, status.tombstones, status.bytes);
        assert_eq!((records, tombstones, bytes), counted);
    }
    for peer in [old[0], old[1], liar, honest] {
        assert!(!bench.is_closed(peer), "no message costs a link");
    }
    // All that was begun ends, each once.
    bench.seconds(40);
    bench.fail_dials();
    bench.seconds(40);
    for event in bench.events() {
        if let ChordEvent::Read { request, .. }
        | ChordEvent::Written { request, .. }
        | ChordEvent::Listed { request, .. } = event
        {
            assert!(begun.remove(&request), "{request:?} ended twice");
        }
    }
    assert!(begun.is_empty(), "{begun:?} never ended");
    // What was written down is what there is.
    let mut again = Bench::at(bench.now, bench.chord.id(), ChordConfig::default());
    let changes = bench.chord.take_changes();
    let records = changes.into_iter().filter_map(|(spot, record)| Some((spot, record?)));
    again.chord.restore(records).unwrap();
    assert!(again.chord.records().eq(bench.chord.records()));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_seeds_break_nothing() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/chord");
        let mut count = 0;
        for entry in std::fs::read_dir(directory).unwrap() {
            chord(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0);
    }

    #[test]
    fn any_bytes_are_steps() {
        chord(&[]);
        chord(&[1; 3]);
        chord(&[0; 5_000]);
    }

    fn actions() -> impl Strategy<Value = Vec<Action>> {
        let spoiled = proptest::option::of((any::<u8>(), vec(any::<u8>(), 1..4)));
        vec((any::<u8>(), any::<u8>(), 0..20_u8, any::<u8>(), spoiled), 0..120)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

        #[test]
        fn nothing_that_peers_say_breaks_a_member(actions in actions()) {
            run(&actions, true);
        }

        #[test]
        fn nothing_that_peers_say_breaks_who_only_uses_the_network(actions in actions()) {
            run(&actions, false);
        }
    }

    /// What an honest peer says is understood, else the tests above try nothing.
    #[test]
    fn the_messages_that_are_spoiled_make_sense_before() {
        let (mut bench, peer) = Bench::in_ring(ChordConfig::default(), 50);
        let old = bench.join_as(id(7), Kind::Js2p);
        for step in 0..28 {
            for extra in [1, 2, 3] {
                if step == 13 {
                    continue;
                }
                let by = if step < 22 { peer } else { old };
                let message = valid(step, 5, extra);
                bench.whisper(by, &message);
                assert_eq!(bench.counts().malformed, 0, "{step}: {message:?}");
            }
        }
    }
}
