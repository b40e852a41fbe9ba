//! How a mesh node behaves.

use std::time::Duration;

use rs2p_base::{Capability, Endpoint, LinkConfig};
use rs2p_wire::SubFlag;

/// Options of a [`Mesh`](crate::Mesh).
#[derive(Clone, Debug)]
pub struct MeshConfig {
    /// How links are treated.
    pub link: LinkConfig,
    /// Nodes to begin with. They are dialled at the start, and again whenever there are too few
    /// peers; they are never forgotten.
    pub seeds: Vec<Endpoint>,
    /// Links that the node opens by itself, from peers lists and to come back to lost peers.
    /// Links opened by [`connect`](crate::Mesh::connect) count, but are not limited. For some
    /// minutes after links from outside have fallen silent there may be twice as many. With fewer
    /// than 3 a network falls apart easily. Default 4, as the originals.
    pub max_outgoing: usize,
    /// Whether js2p peers, too, are asked time and again whom they know, while there are fewer
    /// links than that. A js2p node of a dictionary answers with all that it holds. Default yes.
    pub asks_js2p: bool,
    /// Peers at the most, those not counted that this node dials. A node beyond that is handed a
    /// peers list and let go. Default 512.
    pub max_peers: usize,
    /// Nodes in a peers list to an rs2p node, at the most; layers whose nodes find each other by
    /// other means need few. Old nodes know of others from lists alone and are told up to 64 of
    /// them. Default 64, which is also the most.
    pub max_listed: usize,
    /// Addresses to remember, seeds not counted; the least promising go first. Default 256.
    pub max_addresses: usize,
    /// Broadcasts to recognise, the oldest half forgotten first. A copy of a forgotten one that
    /// still circles would be delivered again. About 20 bytes each, taken only under load. Default
    /// 131,072.
    pub max_seen: usize,
    /// Replies that may wait for an address at the same time. Default 1,024.
    pub max_deferred: usize,
    /// How long a reply to a node without a link may take to find it. Default 10 s.
    pub defer: Duration,
    /// What the layers above announce to peers.
    pub capabilities: Vec<Capability>,
    /// Broadcasts that the mesh does not pass on: the layer above looks at them first and calls
    /// [`relay_where`](crate::Mesh::relay_where). For messages that harm some old nodes.
    pub relayed_above: Vec<SubFlag>,
}

/// The options that are asked for while a node runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) max_outgoing: usize,
    pub(crate) asks_js2p: bool,
    pub(crate) max_peers: usize,
    pub(crate) max_listed: usize,
    pub(crate) max_deferred: usize,
    pub(crate) defer: Duration,
}

impl From<&MeshConfig> for Bounds {
    fn from(config: &MeshConfig) -> Self {
        let MeshConfig { max_outgoing, asks_js2p, max_peers, max_listed, .. } = *config;
        let MeshConfig { max_deferred, defer, .. } = *config;
        Self { max_outgoing, asks_js2p, max_peers, max_listed, max_deferred, defer }
    }
}

impl Default for MeshConfig {
    fn default() -> Self {
        Self {
            link: LinkConfig::default(),
            seeds: Vec::new(),
            max_outgoing: 4,
            asks_js2p: true,
            max_peers: 512,
            max_listed: 64,
            max_addresses: 256,
            max_seen: 131_072,
            max_deferred: 1_024,
            defer: Duration::from_secs(10),
            capabilities: Vec::new(),
            relayed_above: Vec::new(),
        }
    }
}
