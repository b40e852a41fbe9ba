//! A few nodes that know each other.

use rs2p_mesh::Birth;
use rs2p_simnet::{Fidelity, Network, NodeIndex, Sim};
use rs2p_sync::{Sync, SyncConfig};

pub(crate) const SECOND: u64 = 1_000_000;

pub(crate) fn birth(address: rs2p_base::Endpoint, seed: u64, leasing: bool) -> Birth {
    Birth::new(if leasing { "sync1" } else { "sync0" }, address, seed)
}

/// Nodes that each know the first one, and have had time to find each other.
pub(crate) fn network(count: u32, config: &SyncConfig) -> Sim<Sync> {
    let mut sim = Sim::new(7, Network::default(), Fidelity::Frames(rs2p_wire::Limits::default()));
    for _ in 0..count {
        add(&mut sim, config);
    }
    sim.run_for(10 * SECOND);
    sim
}

pub(crate) fn add(sim: &mut Sim<Sync>, config: &SyncConfig) -> NodeIndex {
    let first = sim.nodes().next().map(NodeIndex::address);
    sim.add(0, |address, seed| {
        Sync::new(birth(address, seed, config.leasing).seeds(first), config.clone())
    })
}

/// What a node holds, with who wrote it and when.
pub(crate) fn held(sim: &Sim<Sync>, node: NodeIndex) -> Vec<(String, String, String)> {
    let sync = sim.machine(node).unwrap();
    let entry = |key: bytes::Bytes| {
        let entry = sync.entry(&key).unwrap();
        let (value, meta) = (entry.value.to_string(), format!("{:?}", entry.meta));
        (String::from_utf8_lossy(&key).into_owned(), value, meta)
    };
    sync.keys().into_iter().map(entry).collect()
}

pub(crate) fn agree(sim: &Sim<Sync>) -> bool {
    let mut nodes = sim.nodes().filter(|node| sim.is_up(*node));
    let first = held(sim, nodes.next().unwrap());
    nodes.all(|node| held(sim, node) == first)
}
