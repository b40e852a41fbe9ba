//! The whole of it, in small networks.

use rs2p_chord::{ChordConfig, ChordEvent, Membership, WriteError};
use rs2p_simnet::{Crash, Network};
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

#[test]
fn what_is_there_is_read_while_a_node_that_joins_does_not_have_it_yet() {
    for seed in 0..4 {
        let network = Network { bandwidth: Some(1 << 20), ..Network::default() };
        let mut net = Net::within(seed, network);
        let first = net.join(&ChordConfig::default());
        net.wait_for_ring();
        let value = Value::Binary(vec![7; 100_000]);
        for number in 0..40 {
            net.set(first, &format!("key {number}"), value.clone()).unwrap();
        }
        let second = net.join(&ChordConfig::default());
        let is_joined =
            |net: &Net| net.sim.machine(second).unwrap().membership() == Membership::Joined;
        for turn in 0.. {
            let read = net.get(first, &format!("key {}", turn % 40));
            let read = read.map(|read| read.as_ref() == Some(&value));
            assert_eq!(read, Ok(true), "seed {seed}, turn {turn}");
            if is_joined(&net) {
                break;
            }
        }
        // All of it would take 20 s on a link that does nothing else.
        assert!(net.sim.elapsed_micros() < 40 * SECOND, "seed {seed}");
    }
}

#[test]
fn a_member_tells_once_it_has_what_belongs_to_it() {
    let mut net = Net::settled(2, 4, &ChordConfig::default());
    let node = net.join(&ChordConfig::default());
    let until = net.sim.elapsed_micros() + 60 * SECOND;
    let mut told = Vec::new();
    while let Some((from, event)) = net.sim.next_event(until) {
        if from == node && matches!(event, ChordEvent::Joined | ChordEvent::Settled) {
            told.push(net.sim.machine(node).unwrap().membership());
        }
    }
    assert_eq!(told, [Membership::Settling, Membership::Joined]);
}

#[test]
fn members_that_came_at_the_same_time_read_at_once_what_they_write() {
    for seed in 60..100 {
        let mut net = Net::new(seed);
        let first = net.join(&ChordConfig::default());
        net.wait_for_ring();
        let come = [net.join(&ChordConfig::default()), net.join(&ChordConfig::default())];
        let all = [first, come[0], come[1]];
        let is_joined =
            |net: &Net, node| net.sim.machine(node).unwrap().membership() == Membership::Joined;
        while !all.iter().all(|node| is_joined(&net, *node)) {
            net.run_for(SECOND / 1_000);
        }
        for number in 0..12u64 {
            let key = format!("key {number}");
            let (writer, reader) = (all[number as usize % 3], all[(number as usize + 1) % 3]);
            net.set(writer, &key, number).unwrap();
            assert_eq!(net.get(reader, &key), Ok(Some(number.into())), "seed {seed}, {key}");
        }
    }
}
