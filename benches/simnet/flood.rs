//! Mesh nodes in a virtual network: they find each other, and some of them broadcast.

use rand::RngExt as _;
use rs2p::base::{NodeId, Protocol};
use rs2p::mesh::{Mesh, MeshConfig, MeshEvent};
use rs2p::wire::Value;
use rs2p_simnet::{Fidelity, Network, NodeIndex, Sim, stream};

use crate::process::{resident, seconds};

const SECOND: u64 = 1_000_000;
const JOIN: u64 = 30 * SECOND;
const BROADCASTS: u32 = 10;
/// How long after the last broadcast all must have heard all of them.
const PATIENCE: u64 = 10 * SECOND;
/// Bytes of binary payload.
const PAYLOAD: usize = 64;
const SEED: u64 = 1;

/// What it came to.
#[derive(Clone, Copy)]
pub(crate) struct Flood {
    /// Seconds of processor time until all had found each other, and what was delivered meanwhile.
    pub(crate) join: f64,
    pub(crate) join_deliveries: f64,
    /// Seconds of processor time until all had heard all broadcasts, and what was delivered meanwhile.
    pub(crate) cast: f64,
    pub(crate) cast_deliveries: f64,
    cast_bytes: f64,
    /// Links of a node, on average.
    pub(crate) links: f64,
    /// Bytes of memory when all had found each other, and when they had heard all.
    pub(crate) idle: f64,
    pub(crate) heard: f64,
}

impl Flood {
    /// Deliveries per second while there were broadcasts.
    pub(crate) fn rate(&self) -> f64 {
        self.cast_deliveries / self.cast
    }

    /// How large a delivered frame was, on average.
    pub(crate) fn bytes_each(&self) -> usize {
        (self.cast_bytes / self.cast_deliveries) as usize
    }
}

/// Ten broadcasts, a second apart.
pub(crate) fn flood(nodes: u32, fidelity: Fidelity) -> Flood {
    run(nodes, BROADCASTS, fidelity)
}

/// One broadcast.
pub(crate) fn large(nodes: u32) -> Flood {
    run(nodes, 1, Fidelity::Messages)
}

fn run(nodes: u32, broadcasts: u32, fidelity: Fidelity) -> Flood {
    let before = resident();
    let start = seconds();
    let mut sim = joined(nodes, fidelity);
    let join = seconds() - start;
    let (idle, joined) = (resident() - before, sim.counts());
    let ends: usize = sim.nodes().map(|node| sim.links_of(node).len()).sum();

    let start = seconds();
    let mut unheard = u64::from(broadcasts) * u64::from(nodes - 1);
    for number in 1..=broadcasts {
        let from = NodeIndex(number * (nodes / broadcasts) - 1);
        let packets = [Value::Binary(vec![7; PAYLOAD]), number.into()];
        sim.call(from, |mesh, now| mesh.broadcast(now, packets)).unwrap().unwrap();
        let is_last = number == broadcasts;
        let until = sim.elapsed_micros() + if is_last { PATIENCE } else { SECOND };
        while unheard > 0
            && let Some((_, event)) = sim.next_event(until)
        {
            unheard -= u64::from(matches!(event, MeshEvent::Message(_)));
        }
    }
    let cast = seconds() - start;
    assert_eq!(unheard, 0, "each node hears each broadcast");
    let all = sim.counts();
    Flood {
        join,
        join_deliveries: joined.deliveries as f64,
        cast,
        cast_deliveries: (all.deliveries - joined.deliveries) as f64,
        cast_bytes: (all.bytes - joined.bytes) as f64,
        links: ends as f64 / f64::from(nodes),
        idle,
        heard: resident() - before,
    }
}

/// Nodes that each knew one that came before, and have had time to find others.
fn joined(nodes: u32, fidelity: Fidelity) -> Sim<Mesh> {
    let mut sim = Sim::new(SEED, Network::default(), fidelity);
    let mut rng = stream(SEED, "join", 0);
    let protocol = Protocol::new("mesh", "Plaintext");
    for number in 0..nodes {
        let seeds = match number {
            0 => Vec::new(),
            _ => vec![NodeIndex(rng.random_range(0..number)).address()],
        };
        sim.add(0, |address, seed| {
            let id = NodeId::derive(&address.to_string(), &protocol.id(), "simulated");
            let config = MeshConfig { seeds, ..MeshConfig::default() };
            Mesh::new(id, &protocol, Some(address), config, seed)
        });
    }
    sim.run_for(JOIN);
    sim
}
