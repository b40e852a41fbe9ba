//! The routing table.

use std::time::Duration;

use rs2p_kad::{Key, Node, RoutingTable, Update};
use serde_json::Value as Json;

use crate::{cases, key, list, names, text};

#[test]
fn nodes_lie_in_the_buckets_of_the_reference_and_the_closest_are_exact() {
    let cases = cases("routing", 7);
    let tables: Vec<_> = cases.iter().filter(|case| text(case, "id") != "own-key").collect();
    assert_eq!(tables.len(), 6);
    for case in tables {
        let table = offered(case);
        assert_eq!(table.len() as u64, case["contacts"].as_u64().unwrap());
        for (number, bucket) in table.buckets().iter().enumerate() {
            let expected = case["buckets"].get(number.to_string());
            let ids: Vec<_> = bucket.nodes().map(|node| node.id.to_string()).collect();
            assert_eq!(ids, expected.map(names).unwrap_or_default(), "bucket {number}");
        }
        for target in list(case, "targets") {
            let wanted = key(text(target, "target_hex"));
            let bucket = target["bucket"].as_u64().unwrap();
            assert_eq!(u64::from(table.own().common_prefix(&wanted)), bucket);
            // What the reference counts: it looks into the target's bucket alone, ...
            let own = table.own().distance(&wanted);
            let there = table.buckets().get(bucket as usize);
            let near = there.into_iter().flat_map(|bucket| bucket.nodes());
            let near = near.filter(|node| node.id.distance(&wanted) < own).count();
            assert_eq!(near as u64, target["count_close"].as_u64().unwrap());
            // ... beyond which there may be some that are nearer, too.
            assert!(table.count_closer(&wanted) >= near);
            for sample in list(target, "samples") {
                let count = sample["count"].as_u64().unwrap() as usize;
                let closest = table.closest(&wanted).take(count);
                let ids: Vec<_> = closest.map(|node| node.id.to_string()).collect();
                assert_eq!(ids, names(&sample["true_closest_hex"]), "{}", text(case, "id"));
            }
        }
    }
}

fn offered(case: &Json) -> RoutingTable<std::net::SocketAddr> {
    let own = key(text(case, "table_key_hex"));
    let mut table = RoutingTable::new(own, Default::default());
    let mut refused = 0;
    for (number, id) in names(&case["offered"]).into_iter().enumerate() {
        let address = ([10, 0, 0, 1], number as u16 + 1).into();
        match table.update(Duration::ZERO, Node::new(key(&id), address)) {
            Update::Added => {}
            Update::Ping(oldest) => {
                // The oldest answers, and the reference leaves it at the head: no matter here.
                assert_eq!(table.get(&oldest.id), Some(&oldest));
                refused += 1;
            }
            Update::Spare => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, case["refused_because_full"].as_u64().unwrap());
    table
}

/// The reference fails on both; a robust table refuses the one and answers the other.
#[test]
fn a_table_refuses_its_own_key_and_tells_who_is_close_to_it() {
    let cases = cases("routing", 7);
    let case = cases.iter().find(|case| text(case, "id") == "own-key").unwrap();
    let own = key(text(case, "table_key_hex"));
    let mut table = RoutingTable::new(own, Default::default());
    let address = std::net::SocketAddr::from(([10, 0, 0, 1], 1));
    assert_eq!(table.update(Duration::ZERO, Node::new(own, address)), Update::Refused);
    assert_eq!(table.closest(&own).count(), 0);
    let [mut near, mut far] = [*own.as_bytes(); 2];
    near[19] ^= 1;
    far[0] ^= 0x80;
    for id in [far, near] {
        table.update(Duration::ZERO, Node::new(Key::new(id), address));
    }
    let ids: Vec<_> = table.closest(&own).map(|node| *node.id.as_bytes()).collect();
    assert_eq!(ids, [near, far]);
}
