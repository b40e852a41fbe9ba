//! Nodes of rs2p among each other.

use std::time::Duration;

use rs2p_bytestag::{DhtConfig, GetError, ValueId};
use rs2p_simnet::{Crash, Datagrams, Network};

use crate::network::{Net, SECOND};

#[test]
fn a_lookup_finds_exactly_the_nearest_nodes() {
    let mut net = Net::settled(120, 1, &DhtConfig::default());
    let nodes: Vec<_> = net.sim.nodes().collect();
    for number in 0..20_u64 {
        let key = ValueId::of(&number.to_be_bytes()).key;
        let node = nodes[number as usize * 5];
        let own = net.sim.machine(node).unwrap().id();
        let found = net.find(node, key);
        let mut expected = net.nearest(&key);
        expected.retain(|id| *id != own);
        let found: Vec<_> = found.nodes.iter().map(|node| node.id).collect();
        assert_eq!(found, expected[..20]);
    }
}

#[test]
fn a_value_of_any_length_is_stored_on_the_nearest_nodes_and_fetched_by_all() {
    let mut net = Net::settled(40, 2, &DhtConfig::default());
    let nodes: Vec<_> = net.sim.nodes().collect();
    for (number, length) in [0, 1, 700, 701, 5_000, 262_144, 1 << 20].into_iter().enumerate() {
        let value: Vec<u8> = (0..length).map(|at| (at * 7 + number) as u8).collect();
        let (id, copies) = net.put(nodes[number], value.clone()).unwrap();
        assert_eq!(copies.stored, 20, "{length} bytes");
        assert_eq!(net.copies(&id), 21, "{length} bytes");
        for node in nodes.iter().skip(number).step_by(9) {
            assert_eq!(net.get(*node, id).unwrap().value, value, "{length} bytes");
        }
    }
}

#[test]
fn a_value_that_nobody_has_is_absent() {
    let mut net = Net::settled(40, 3, &DhtConfig::default());
    let node = net.sim.nodes().next().unwrap();
    let id = ValueId::of(b"nowhere");
    assert!(matches!(net.get(node, id), Err(GetError::Absent { asked: 20.., .. })));
}

#[test]
fn values_outlive_a_third_of_the_nodes() {
    let mut net = Net::settled(100, 4, &DhtConfig::default());
    let nodes: Vec<_> = net.sim.nodes().collect();
    let ids: Vec<_> = (0..30_u64)
        .map(|number| net.put(nodes[number as usize], number.to_be_bytes().repeat(200)).unwrap().0)
        .collect();
    for node in nodes.iter().step_by(3) {
        net.sim.crash(*node, Crash::Host);
    }
    for (number, id) in ids.iter().enumerate() {
        let node = nodes[(number * 3 + 1) % 99];
        assert!(net.get(node, *id).is_ok(), "value {number}");
    }
}

#[test]
fn values_come_whole_when_one_datagram_in_twenty_is_lost() {
    let datagrams = Datagrams { loss: 0.05, ..Datagrams::default() };
    let network = Network { datagrams, ..Network::default() };
    let mut net = Net::settled_within(40, 5, &DhtConfig::default(), network);
    let nodes: Vec<_> = net.sim.nodes().collect();
    for number in 0..10 {
        let value = vec![number as u8; 100_000];
        let (id, _) = net.put(nodes[number], value.clone()).unwrap();
        assert_eq!(net.get(nodes[number + 20], id).unwrap().value, value);
    }
    net.run_for(SECOND);
}

/// Published again every 400 s, and gone 500 s after that.
fn short_lived() -> DhtConfig {
    let seconds = Duration::from_secs;
    let (expire, republish, replicate) = (seconds(500), seconds(400), seconds(100));
    DhtConfig { expire, republish, replicate, ..DhtConfig::default() }
}

#[test]
fn a_value_that_is_fetched_again_and_again_expires_all_the_same() {
    let mut net = Net::settled(25, 7, &short_lived());
    let nodes: Vec<_> = net.sim.nodes().collect();
    let (id, _) = net.put(nodes[0], vec![1; 100]).unwrap();
    net.sim.crash(nodes[0], Crash::Host);
    // Who comes now lacks it, and the next one to fetch it stores it there.
    for _ in 0..20 {
        net.run_for(20 * SECOND);
        let newcomers = [(); 3].map(|()| net.add(&short_lived()));
        net.run_for(2 * SECOND);
        assert!(net.get(newcomers[2], id).is_ok());
    }
    net.run_for(100 * SECOND);
    assert_eq!(net.copies(&id), 0);
}
