//! How a node starts, of the mesh or of a layer over it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::Deref;
use std::sync::Arc;

use rs2p_base::net::{ListenError, NetConfig, Node, NodeBuilder, Stopped, Tcp, Transport};
use rs2p_base::{Endpoint, Machine, NodeId, Protocol};
use thiserror::Error;

use crate::birth::Birth;
use crate::config::MeshConfig;

/// Options of a node of any layer over the mesh, and its start on real sockets.
///
/// ```
/// use rs2p_mesh::{Birth, LayerBuilder, Started};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // A layer of one's own would be made of the mesh here. `call` calls its operations.
/// let node: Started<_> = LayerBuilder::new("counter").start(Birth::mesh).await?;
/// assert_eq!(node.call(|mesh, _| mesh.id())?, node.id);
/// # Ok(())
/// # }
/// ```
///
/// A layer with options of its own has a builder that holds one of these, and offers its options by
/// `layer_options!(self.FIELD)`, as [`MeshBuilder`](crate::MeshBuilder) does.
// The macro writes to the fields from other crates.
pub struct LayerBuilder {
    #[doc(hidden)]
    pub listen: Option<SocketAddr>,
    #[doc(hidden)]
    pub advertise: Option<Endpoint>,
    #[doc(hidden)]
    pub subnet: String,
    #[doc(hidden)]
    pub transport: Arc<dyn Transport>,
    #[doc(hidden)]
    pub id: Option<NodeId>,
    #[doc(hidden)]
    pub rng_seed: Option<u64>,
    #[doc(hidden)]
    pub mesh: MeshConfig,
    #[doc(hidden)]
    pub net: NetConfig,
}

/// A node that runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Started<M>
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    /// The handle to it. The node stops when the last one is dropped.
    pub node: Node<M>,
    /// Its id.
    pub id: NodeId,
    /// Where it listens, with the port that it got.
    pub address: Option<SocketAddr>,
}

/// What a [`Node`] can do.
impl<M> Deref for Started<M>
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    type Target = Node<M>;

    fn deref(&self) -> &Node<M> {
        &self.node
    }
}

impl LayerBuilder {
    /// Default options for a node of this network.
    #[must_use]
    pub fn new(subnet: impl Into<String>) -> Self {
        Self {
            listen: Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)),
            advertise: None,
            subnet: subnet.into(),
            transport: Arc::new(Tcp),
            id: None,
            rng_seed: None,
            mesh: MeshConfig::default(),
            net: NetConfig::default(),
        }
    }

    crate::layer_options!(self);

    /// Adds to the network's name, as layers do whose nodes must not meet those of another kind.
    #[must_use]
    pub fn extend_subnet(mut self, by: &str) -> Self {
        self.subnet.push_str(by);
        self
    }

    /// Binds, and starts a node in the tokio runtime that runs this. `make` makes its machine; what
    /// can fail of that, such as opening files, comes before.
    ///
    /// # Errors
    /// The address is in use or not this machine's; the system gives no random numbers.
    pub async fn start<M>(self, make: impl FnOnce(Birth) -> M) -> Result<Started<M>, StartError>
    where
        M: Machine + Send + 'static,
        M::Event: Clone + Send + 'static,
    {
        let mut seed = [0; 8];
        let mut salt = [0; 16];
        match self.rng_seed {
            Some(given) => seed = given.to_le_bytes(),
            None => getrandom::fill(&mut seed)?,
        }
        getrandom::fill(&mut salt)?;
        let protocol = Protocol::new(self.subnet, self.transport.encryption());
        let mut builder = NodeBuilder::new(self.transport).config(self.net);
        let address = match self.listen {
            Some(listen) => Some(builder.listen(listen).await?),
            None => None,
        };
        let advertised = self.advertise.or_else(|| address.and_then(reachable));
        let id = self.id.unwrap_or_else(|| {
            let salt: String = salt.iter().map(|byte| format!("{byte:02x}")).collect();
            NodeId::derive(&format!("{address:?}"), &protocol.id(), &salt)
        });
        let seed = u64::from_le_bytes(seed);
        let birth = Birth { id, protocol, advertised, config: self.mesh, seed };
        Ok(Started { node: builder.start(make(birth)), id, address })
    }
}

/// The options of a [`LayerBuilder`] that is this field, or `self`: methods of a layer's builder,
/// with their documentation.
#[doc(hidden)]
#[macro_export]
macro_rules! layer_options {
    ($this:ident $(.$field:ident)*) => {
        /// Where to listen. Default: a free port on 127.0.0.1. `None`: nowhere; the node then only
        /// dials.
        #[must_use]
        pub fn listen(
            mut $this,
            address: impl ::core::convert::Into<::core::option::Option<::std::net::SocketAddr>>,
        ) -> Self {
            $this$(.$field)*.listen = address.into();
            $this
        }

        /// The address that peers are told to dial. Default: where the node listens; when it
        /// listens on all interfaces, the one that leads outside.
        #[must_use]
        pub fn advertise(
            mut $this,
            address: impl ::core::convert::Into<$crate::__options::Endpoint>,
        ) -> Self {
            $this$(.$field)*.advertise = ::core::option::Option::Some(address.into());
            $this
        }

        /// The network's name. Default: the layer's, as the originals have it.
        #[must_use]
        pub fn subnet(
            mut $this,
            subnet: impl ::core::convert::Into<::std::string::String>,
        ) -> Self {
            $this$(.$field)*.subnet = subnet.into();
            $this
        }

        /// How bytes travel. Default TCP.
        #[must_use]
        pub fn transport(mut $this, transport: impl $crate::__options::Transport) -> Self {
            $this$(.$field)*.transport = ::std::sync::Arc::new(transport);
            $this
        }

        /// The node's id. Default: derived from its address, its network and a random salt.
        #[must_use]
        pub fn id(mut $this, id: $crate::__options::NodeId) -> Self {
            $this$(.$field)*.id = ::core::option::Option::Some(id);
            $this
        }

        /// Nodes to begin with; they are dialled in the background, again and again.
        #[must_use]
        pub fn seeds(
            mut $this,
            seeds: impl ::core::iter::IntoIterator<Item = $crate::__options::Endpoint>,
        ) -> Self {
            $this$(.$field)*.mesh.seeds.extend(seeds);
            $this
        }

        /// What a frame from a peer may cost.
        #[must_use]
        pub fn limits(mut $this, limits: $crate::__options::Limits) -> Self {
            $this$(.$field)*.mesh.link.limits = limits;
            $this$(.$field)*.net.limits = limits;
            $this
        }

        /// What the node's random choices are drawn from. Default: from the system.
        #[must_use]
        pub fn rng_seed(mut $this, seed: u64) -> Self {
            $this$(.$field)*.rng_seed = ::core::option::Option::Some(seed);
            $this
        }

        /// All options of the mesh at once. Limits and seeds given before are replaced.
        #[must_use]
        pub fn mesh_config(mut $this, config: $crate::MeshConfig) -> Self {
            $this$(.$field)*.mesh = config;
            $this
        }

        /// All options of the sockets at once. Limits given before are replaced.
        #[must_use]
        pub fn net_config(mut $this, config: $crate::__options::NetConfig) -> Self {
            $this$(.$field)*.net = config;
            $this
        }
    };
}

/// What `layer_options` names, wherever it is used.
#[doc(hidden)]
pub mod __options {
    pub use rs2p_base::net::{NetConfig, Transport};
    pub use rs2p_base::{Endpoint, NodeId};
    pub use rs2p_wire::Limits;
}

/// The address to tell peers when the node listens on `address`. On all interfaces, that is the
/// address of the one through which packets would leave.
fn reachable(address: SocketAddr) -> Option<Endpoint> {
    if !address.ip().is_unspecified() {
        return Some(address.into());
    }
    // An address of documentation (RFC 5737, RFC 3849). Connecting a UDP socket asks the system
    // for a route and sends nothing.
    let (any, far): (IpAddr, IpAddr) = if address.is_ipv4() {
        (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into())
    } else {
        (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into())
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((far, 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then(|| SocketAddr::new(ip, address.port()).into())
}

/// Why a node does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system has no random numbers for it.
    #[error("no random numbers from the system: {0}")]
    Random(#[from] getrandom::Error),
    /// It stopped before it had begun.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
