//! What a node is made of.

use rs2p_base::{Endpoint, NodeId, Protocol};

use crate::config::MeshConfig;
use crate::machine::Mesh;

/// What a layer's machine is made of: in most cases of a [`mesh`](Self::mesh).
///
/// `LayerBuilder` gives it once a node is bound, and [`new`](Self::new) is for nodes without
/// sockets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Birth {
    /// The node's id.
    pub id: NodeId,
    /// The network.
    pub protocol: Protocol,
    /// The address that peers are told to dial.
    pub advertised: Option<Endpoint>,
    /// Options of the mesh. A layer adds its capabilities here.
    pub config: MeshConfig,
    /// What the mesh's random choices are drawn from. A layer that draws some of its own seeds its
    /// generator from this and a constant.
    pub seed: u64,
}

impl Birth {
    /// Of a node at this address, as in a simulation: default options, and an id that depends on
    /// the address and the seed.
    #[must_use]
    pub fn new(subnet: &str, address: Endpoint, seed: u64) -> Self {
        let protocol = Protocol::new(subnet, "Plaintext");
        let id = NodeId::derive(&address.to_string(), &protocol.id(), &seed.to_string());
        let config = MeshConfig::default();
        Self { id, protocol, advertised: Some(address), config, seed }
    }

    /// The node knows these to begin with.
    #[must_use]
    pub fn seeds(mut self, seeds: impl IntoIterator<Item = Endpoint>) -> Self {
        self.config.seeds.extend(seeds);
        self
    }

    /// The mesh to build on.
    #[must_use]
    pub fn mesh(self) -> Mesh {
        Mesh::new(self.id, &self.protocol, self.advertised, self.config, self.seed)
    }
}
