//! The whole of it, in small networks.

use rs2p_chord::{ChordConfig, WriteError};
use rs2p_simnet::Crash;
use rs2p_wire::Value;

use crate::network::{Net, SECOND};

#[test]
fn nodes_that_come_one_after_the_other_make_one_ring_and_find_what_is_stored() {
    let mut net = Net::settled(20, 1, &ChordConfig::default());
    let members = net.members();
    for number in 0..50 {
        let (_, node) = members[number % members.len()];
        net.set(node, &format!("key {number}"), number as u64).unwrap();
    }
    for number in 0..50 {
        let (_, node) = members[(7 * number + 3) % members.len()];
        let value = net.get(node, &format!("key {number}"));
        assert_eq!(value, Ok(Some(Value::from(number as u64))), "{number}");
    }
    assert_eq!(net.get(members[0].1, "no key"), Ok(None));
}

#[test]
fn what_is_written_and_deleted_is_seen_at_once_from_everywhere() {
    let mut net = Net::settled(8, 2, &ChordConfig::default());
    let members = net.members();
    for turn in 0..20u64 {
        let (_, writer) = members[turn as usize % 8];
        let (_, reader) = members[(turn as usize + 3) % 8];
        net.set(writer, "key", turn).unwrap();
        assert_eq!(net.get(reader, "key"), Ok(Some(turn.into())));
        let request = net.sim.call(reader, |chord, now| chord.del(now, "key")).unwrap().unwrap();
        assert_eq!(net.written(reader, request), Ok(None));
        assert_eq!(net.get(writer, "key"), Ok(None));
    }
    let (_, node) = members[0];
    let request = net.sim.call(node, |chord, now| chord.del(now, "key")).unwrap().unwrap();
    assert_eq!(net.written(node, request), Err(WriteError::Absent));
}

#[test]
fn a_third_of_the_nodes_dies_and_every_key_is_still_there() {
    let mut net = Net::settled(30, 3, &ChordConfig::default());
    let members = net.members();
    for number in 0..100 {
        let (_, node) = members[number % members.len()];
        net.set(node, &format!("key {number}"), number as u64).unwrap();
    }
    for (_, node) in members.iter().skip(1).step_by(3) {
        net.sim.crash(*node, Crash::Host);
    }
    let members = net.members();
    for number in 0..100 {
        let (_, node) = members[(7 * number + 3) % members.len()];
        let value = net.get(node, &format!("key {number}"));
        assert_eq!(value, Ok(Some(Value::from(number as u64))), "{number}");
    }
    net.wait_for_ring();
    net.run_for(60 * SECOND);
    for number in 0..100 {
        let (_, node) = members[(11 * number + 3) % members.len()];
        let value = net.get(node, &format!("key {number}"));
        assert_eq!(value, Ok(Some(Value::from(number as u64))), "{number}");
    }
}
