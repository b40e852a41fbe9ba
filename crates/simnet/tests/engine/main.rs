//! The engine, the way a machine sees it, in sentences.
//!
//! The nodes are toys that check the driver's side of the contract in everything that they see.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod contract;
mod crashes;
mod datagrams;
mod faults;
mod hold;
mod layer;
mod links;
mod places;
mod tampered;
mod time;
mod toy;

use rs2p_base::LinkId;
use rs2p_simnet::{Effect, Fidelity, Latency, Network, NodeIndex, NodeSet, Rule, Sim};

use crate::toy::Toy;

const MILLI: u64 = 1_000;
const SECOND: u64 = 1_000_000;

const A: NodeIndex = NodeIndex(0);
const B: NodeIndex = NodeIndex(1);
const C: NodeIndex = NodeIndex(2);

/// 10 ms from everyone to everyone, always.
fn even() -> Network {
    Network { latency: Latency::uniform(10 * MILLI, 10 * MILLI), jitter: 0, ..Network::default() }
}

/// So many toys that know nothing of each other.
fn toys(seed: u64, network: Network, count: u32) -> Sim<Toy> {
    let mut sim = Sim::new(seed, network, Fidelity::Messages);
    for _ in 0..count {
        sim.add(0, Toy::new);
    }
    sim
}

/// Lets one dial the other. Tells both ends of the new link, once it is open.
fn link(sim: &mut Sim<Toy>, from: NodeIndex, to: NodeIndex) -> (LinkId, LinkId) {
    dial(sim, from, to);
    sim.run_for(SECOND);
    let last = |sim: &Sim<Toy>, node| *sim.links_of(node).last().unwrap();
    let ends = (last(sim, from), last(sim, to));
    assert_eq!((sim.peer_of(ends.0), sim.peer_of(ends.1)), (Some(to), Some(from)));
    ends
}

fn dial(sim: &mut Sim<Toy>, from: NodeIndex, to: NodeIndex) {
    sim.call(from, |toy, _| toy.dial(to.address())).unwrap();
}

/// Lets a node say the next few numbers on a link.
fn say(sim: &mut Sim<Toy>, node: NodeIndex, link: LinkId, times: usize) {
    sim.call(node, |toy, _| {
        for _ in 0..times {
            toy.say(link, 0);
        }
    })
    .unwrap();
}

fn toy(sim: &Sim<Toy>, node: NodeIndex) -> &Toy {
    sim.machine(node).unwrap()
}

fn set(nodes: &[NodeIndex]) -> NodeSet {
    nodes.iter().copied().collect()
}

fn rule(from: NodeIndex, to: NodeIndex, effect: Effect) -> Rule {
    Rule { from: set(&[from]), to: set(&[to]), effect }
}
