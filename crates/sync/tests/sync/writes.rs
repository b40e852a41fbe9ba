//! What rs2p nodes write behind their writes, and what becomes of it.

use rs2p_mesh::MeshConfig;
use rs2p_sync::SyncConfig;
use rs2p_wire::{Limits, MainFlag, SubFlag, Value};

use crate::bench::{BEGIN, Bench, Kind, RECORDS, WANT, id};

fn store(key: &str, value: impl Into<Value>) -> Vec<Value> {
    vec![SubFlag::Store.into(), Value::Binary(key.into()), value.into()]
}

/// What stands behind a message: five numbers.
fn behind(message: &rs2p_wire::Message) -> [u64; 5] {
    let behind = message.behind(&Limits::default()).unwrap();
    behind.as_array_of().unwrap().map(|it| it.as_u64().unwrap())
}

#[test]
fn behind_each_write_stands_whom_it_follows_its_start_number_lease_and_content() {
    let (mut bench, peer) = Bench::with(Kind::Rs2p);
    bench.set("k", 1);
    bench.set("k", 2);
    bench.seconds(5);
    bench.call(|sync, now| sync.set_for(now, "k", 1, 77)).unwrap();
    bench.del("k");
    bench.seconds(1);
    bench.set("k", 1);
    let heard = bench.heard(peer, SubFlag::Store);
    let numbers: Vec<[u64; 5]> = heard.iter().map(behind).collect();
    let contents: Vec<u64> = numbers.iter().map(|it| it[4]).collect();
    assert!(contents[0] == contents[2] && contents[0] != contents[1] && contents[3] == 0);
    let numbers: Vec<_> = numbers.iter().map(|it| [it[0], it[1], it[2], it[3]]).collect();
    let deleted = 1_000 * (BEGIN + 5) + 1;
    assert_eq!(
        numbers,
        [
            [0, BEGIN, 0, 3_600],
            [0, BEGIN, 1, 3_600],
            [0, BEGIN, 0, 77],
            [0, BEGIN, 1, 3_600],
            [deleted, BEGIN + 6, 0, 3_600],
        ]
    );
    assert!(heard.iter().all(|it| it.kind() == MainFlag::Broadcast));
}

#[test]
fn writes_and_deletions_end_the_same_in_whatever_order_they_come() {
    // One sets, renews and deletes; another one takes the free key.
    let first = |bench: &mut Bench, peer, number: usize| match number {
        0 => bench.write_by(peer, 7, 0, &store("k", 1), [0, BEGIN, 0, 3_600, 0]),
        1 => bench.write_by(peer, 7, 2, &store("k", 2), [0, BEGIN, 0, 3_600, 0]),
        2 => bench.write_by(peer, 7, 2, &store("k", Value::Nil), [0, BEGIN, 1, 3_600, 0]),
        _ => {
            let after = 1_000 * (BEGIN + 2) + 1;
            bench.write_by(peer, 9, 2, &store("k", 3), [after, BEGIN + 2, 0, 3_600, 0]);
        }
    };
    for order in 0..24 {
        let mut left = vec![0, 1, 2, 3];
        let (mut bench, peer) = Bench::with(Kind::Rs2p);
        let mut code = order;
        for count in (1..=4).rev() {
            let number = left.remove(code % count);
            code /= count;
            first(&mut bench, peer, number);
            // A second time changes nothing.
            bench.told();
            first(&mut bench, peer, number);
            assert!(bench.told().is_empty());
        }
        assert_eq!(bench.value("k").as_deref(), Some("3"), "{order}");
        assert_eq!(bench.sync.entry("k").unwrap().meta.owner.node_id(), Some(id(9)));
    }
}

#[test]
fn a_write_that_makes_no_sense_behind_is_refused_and_one_that_has_nothing_there_is_an_old_nodes() {
    let (mut bench, peer) = Bench::with(Kind::Rs2p);
    let malformed = |bench: &Bench| bench.sync.status(bench.now).counts.malformed;
    bench.write_by(peer, 7, 0, &store("k", 1), [0, BEGIN + 1, 0, 3_600, 0]);
    bench.write_by(peer, 7, 0, &store("k", 1), [0, BEGIN, 0, 0, 0]);
    bench.write_by(peer, 7, 0, &store("k", 1), [0, BEGIN, 0, 2_592_001, 0]);
    assert_eq!((bench.sync.len(), malformed(&bench)), (0, 3));
    // A number that is too large is as good as none.
    bench.write_by(peer, 7, 0, &store("l", 1), [0, BEGIN, u64::MAX, 3_600, 0]);
    bench.set_by(peer, 7, 0, "m", 1);
    assert_eq!(bench.sync.keys(), ["l", "m"]);
    assert_eq!(bench.sync.entry("l").unwrap().meta.lease_end.unwrap().as_secs(), BEGIN + 3_601);
}

#[test]
fn a_delta_to_what_is_not_held_asks_for_the_whole_value() {
    let (mut bench, peer) = Bench::with(Kind::Rs2p);
    let map = Value::Map(vec![("a".into(), 1.into())]);
    let delta = [SubFlag::Delta.into(), Value::Binary("k".into()), map.clone()];
    bench.clear();
    // The author merged it into a map of which this node knows nothing.
    bench.write_by(peer, 7, 0, &delta, [0, BEGIN, 3, 3_600, 12_345]);
    assert_eq!(bench.value("k"), None);
    let wanted = bench.payloads(peer, WANT);
    assert_eq!(wanted.len(), 1);
    assert_eq!(wanted[0][0].as_slice().unwrap().len(), 8);
    // One that would lose anyway is not asked for.
    bench.set("k", 5);
    bench.clear();
    bench.write_by(peer, 7, 10, &delta, [0, BEGIN + 10, 0, 3_600, 12_345]);
    assert!(bench.heard(peer, WANT).is_empty());
    assert_eq!(bench.value("k").as_deref(), Some("5"));
}

#[test]
fn what_a_delta_led_to_is_known_by_its_digest_and_taken() {
    let mut one = Bench::new(SyncConfig::default());
    let author = one.join(Kind::Rs2p);
    let mut to = Bench::at(one.now, id(7), SyncConfig::default(), MeshConfig::default());
    let from = to.join_as(id(100), Kind::Rs2p);
    for pairs in [vec![("a".into(), 1.into())], vec![("b".into(), Value::Nil)], vec![]] {
        one.call(|sync, now| sync.apply_delta(now, "map", &pairs)).unwrap();
    }
    for message in one.heard(author, SubFlag::Delta) {
        to.hear(from, message);
    }
    assert_eq!(to.value("map"), one.value("map"));
    assert_eq!(to.sync.entry("map").unwrap().meta, one.sync.entry("map").unwrap().meta);
    assert!(to.heard(from, WANT).is_empty() && to.heard(from, RECORDS).is_empty());
}
