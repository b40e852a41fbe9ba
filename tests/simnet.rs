//! Real mesh nodes in a virtual network.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use rand::RngExt as _;
use rs2p::base::{Endpoint, NodeId, Protocol};
use rs2p::mesh::{Mesh, MeshConfig, MeshEvent};
use rs2p::wire::Limits;
use rs2p_simnet::{Counts, Crash, Fidelity, Latency, Network, NodeIndex, Sim, TraceDigest, stream};

const SECOND: u64 = 1_000_000;

fn node(address: Endpoint, seed: u64, seeds: Vec<Endpoint>) -> Mesh {
    let protocol = Protocol::new("mesh", "Plaintext");
    let id = NodeId::derive(&address.to_string(), &protocol.id(), "simulated");
    let config = MeshConfig { seeds, ..MeshConfig::default() };
    Mesh::new(id, &protocol, Some(address), config, seed)
}

/// Nodes that each know one that came before, and time to find each other.
fn settled(seed: u64, count: u32, network: Network, fidelity: Fidelity) -> Sim<Mesh> {
    let mut sim = Sim::new(seed, network, fidelity);
    let mut rng = stream(seed, "join", 0);
    for number in 0..count {
        let seeds = match number {
            0 => Vec::new(),
            _ => vec![NodeIndex(rng.random_range(0..number)).address()],
        };
        sim.add(0, |address, seed| node(address, seed, seeds));
    }
    sim.run_for(30 * SECOND);
    sim
}

/// How often each node hears a broadcast of one of them.
fn hear(sim: &mut Sim<Mesh>, from: NodeIndex) -> BTreeMap<NodeIndex, usize> {
    let said = sim.call(from, |mesh, now| mesh.broadcast(now, ["hello".into()])).unwrap();
    let id = said.unwrap().id;
    let mut heard = BTreeMap::new();
    let until = sim.elapsed_micros() + 10 * SECOND;
    sim.run_until(until, |_, node, event| {
        if let MeshEvent::Message(message) = event {
            assert_eq!(message.id(), id);
            *heard.entry(node).or_default() += 1;
        }
    });
    heard
}

fn run(seed: u64, fidelity: Fidelity) -> (TraceDigest, Counts) {
    let mut sim = settled(seed, 60, Network::default(), fidelity);
    hear(&mut sim, NodeIndex(3));
    (sim.digest(), sim.counts())
}

#[test]
fn everyone_hears_a_broadcast_once() {
    let mut sim = settled(1, 300, Network::default(), Fidelity::Messages);
    let heard = hear(&mut sim, NodeIndex(7));
    assert_eq!(heard.len(), 299);
    assert!(heard.values().all(|times| *times == 1));
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_another() {
    let first = run(1, Fidelity::Messages);
    assert_eq!(run(1, Fidelity::Messages), first);
    assert_ne!(run(2, Fidelity::Messages).0, first.0);
}

#[test]
fn whole_frames_make_the_same_run_as_bare_messages() {
    let bare = run(5, Fidelity::Messages);
    assert_eq!(run(5, Fidelity::Frames(Limits::default())), bare);
}

#[test]
fn after_a_crash_of_a_third_the_others_still_hear_each_other() {
    for how in [Crash::Process, Crash::Host] {
        let mut sim = settled(3, 90, Network::default(), Fidelity::Messages);
        for number in (0..90).filter(|number| number % 3 == 0) {
            sim.crash(NodeIndex(number), how);
        }
        // A peer that says nothing more is given up after a minute.
        sim.run_for(120 * SECOND);
        let heard = hear(&mut sim, NodeIndex(1));
        assert_eq!(heard.len(), 59, "{how:?}");
        assert!(heard.keys().all(|node| sim.is_up(*node)));
        for node in sim.nodes().filter(|node| sim.is_up(*node)) {
            let peers = sim.machine(node).unwrap().peers();
            assert!(peers.map(|peer| peer.link).all(|link| sim.links_of(node).contains(&link)));
            assert!(sim.neighbours(node).all(|other| sim.is_up(other)));
        }
    }
}

#[test]
fn a_node_that_starts_again_is_one_of_them_again() {
    let mut sim = settled(4, 20, Network::default(), Fidelity::Messages);
    let (gone, friend) = (NodeIndex(5), NodeIndex(1).address());
    sim.crash(gone, Crash::Process);
    sim.run_for(SECOND);
    assert!(sim.call(gone, |mesh, now| mesh.status(now)).is_none());
    sim.restart(gone, |address, seed, _| node(address, seed, vec![friend]));
    sim.run_for(30 * SECOND);
    assert!(hear(&mut sim, NodeIndex(2)).contains_key(&gone));
}

#[test]
fn a_clock_that_goes_wrong_changes_what_a_node_writes_and_not_what_it_hears() {
    let mut sim = settled(6, 20, Network::default(), Fidelity::Messages);
    let ahead = NodeIndex(4);
    sim.set_skew(ahead, 365 * 24 * 3_600 * 1_000);
    assert_eq!(hear(&mut sim, ahead).len(), 19);
    assert!(hear(&mut sim, NodeIndex(5)).len() >= 18, "the node ahead takes it for old");
}

#[test]
fn bandwidth_and_regions_make_a_message_late() {
    let arrival = |network: Network, regions: [usize; 2]| {
        let mut sim = Sim::new(1, network, Fidelity::Messages);
        let one = sim.add(regions[0], |address, seed| node(address, seed, Vec::new()));
        let there = one.address();
        let other = sim.add(regions[1], |address, seed| node(address, seed, vec![there]));
        sim.run_for(10 * SECOND);
        let start = sim.elapsed_micros();
        let text = "x".repeat(100_000);
        sim.call(other, |mesh, now| mesh.broadcast(now, [text.into()])).unwrap().unwrap();
        let mut at = None;
        sim.run_until(start + 60 * SECOND, |sim, _, event| {
            if let MeshEvent::Message(_) = event {
                at = Some(sim.elapsed_micros() - start);
            }
        });
        at.unwrap()
    };
    let matrix = vec![vec![(1_000, 1_000), (70_000, 70_000)], vec![(0, 0), (2_000, 2_000)]];
    let network =
        Network { latency: Latency::regions(matrix).unwrap(), jitter: 0, ..Network::default() };
    assert_eq!(arrival(network.clone(), [0, 0]), 1_000);
    assert_eq!(arrival(network.clone(), [1, 0]), 70_000);
    assert_eq!(arrival(network.clone(), [1, 1]), 2_000);
    let narrow = Network { bandwidth: Some(100_000), ..network };
    let late = arrival(narrow, [0, 0]);
    assert!((1_001_000..1_010_000).contains(&late), "{late}");
    assert!(Latency::regions(vec![vec![(0, 0)], vec![]]).is_err());
}
