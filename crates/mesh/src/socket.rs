//! The async handle to a mesh node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use rs2p_base::net::{
    EventStream, ListenError, NetConfig, Node, NodeBuilder, RecvError, Stopped, StreamConfig, Tcp,
    TrafficCount, Transport,
};
use rs2p_base::{CloseReason, DialError, Endpoint, NodeId, Protocol, Time};
use rs2p_wire::{Limits, MainFlag, MessageId, SubFlag, Value};
use thiserror::Error;
use tokio::sync::Mutex;

use crate::config::MeshConfig;
use crate::error::{ConnectError, DeliverError, SendError};
use crate::event::{MeshEvent, PeerInfo, Receipt, Received};
use crate::machine::Mesh;
use crate::messages::payload;
use crate::status::MeshStatus;

/// A running mesh node. Clones are handles to the same node; it stops when the last one is
/// dropped.
///
/// ```
/// use rs2p_mesh::MeshSocket;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let one = MeshSocket::builder().start().await?;
/// let two = MeshSocket::builder().start().await?;
/// two.connect(one.address().ok_or("it listens")?).await?;
/// two.send(["hello".into()]).await?;
/// let message = one.recv().await?;
/// assert_eq!(message.packets()[0].as_str(), Some("hello"));
/// one.reply(&message, ["hello yourself".into()]).await?;
/// assert_eq!(two.recv().await?.packets()[0].as_str(), Some("hello yourself"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MeshSocket {
    node: Node<Mesh>,
    inbox: Arc<Mutex<EventStream<Received>>>,
    id: NodeId,
    address: Option<SocketAddr>,
}

/// Options of a node that is about to be started.
pub struct MeshBuilder {
    listen: Option<SocketAddr>,
    advertise: Option<Endpoint>,
    subnet: String,
    transport: Arc<dyn Transport>,
    id: Option<NodeId>,
    seed: Option<u64>,
    inbox: StreamConfig,
    mesh: MeshConfig,
    net: NetConfig,
}

impl MeshBuilder {
    /// Where to listen. Default: a free port on 127.0.0.1. `None`: nowhere; the node then only
    /// dials.
    #[must_use]
    pub fn listen(mut self, address: impl Into<Option<SocketAddr>>) -> Self {
        self.listen = address.into();
        self
    }

    /// The address that peers are told to dial. Default: where the node listens; when it listens
    /// on all interfaces, the one that leads outside.
    #[must_use]
    pub fn advertise(mut self, address: impl Into<Endpoint>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// The network's name. Default `mesh`, as the originals.
    #[must_use]
    pub fn subnet(mut self, subnet: impl Into<String>) -> Self {
        self.subnet = subnet.into();
        self
    }

    /// How bytes travel. Default [`Tcp`].
    #[must_use]
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Arc::new(transport);
        self
    }

    /// The node's id. Default: derived from its address, its network and a random salt.
    #[must_use]
    pub fn id(mut self, id: NodeId) -> Self {
        self.id = Some(id);
        self
    }

    /// Nodes to begin with; they are dialled in the background, again and again.
    #[must_use]
    pub fn seeds(mut self, seeds: impl IntoIterator<Item = Endpoint>) -> Self {
        self.mesh.seeds.extend(seeds);
        self
    }

    /// What a frame from a peer may cost.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.mesh.link.limits = limits;
        self.net.limits = limits;
        self
    }

    /// What the node's random choices are drawn from. Default: from the system.
    #[must_use]
    pub fn rng_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Bounds of the messages that wait for [`MeshSocket::recv`]. Default: 1,024 messages, 64 MiB.
    #[must_use]
    pub fn inbox(mut self, inbox: StreamConfig) -> Self {
        self.inbox = inbox;
        self
    }

    /// All options of the mesh at once. Limits and seeds given before are replaced.
    #[must_use]
    pub fn mesh_config(mut self, config: MeshConfig) -> Self {
        self.mesh = config;
        self
    }

    /// All options of the sockets at once. Limits given before are replaced.
    #[must_use]
    pub fn net_config(mut self, config: NetConfig) -> Self {
        self.net = config;
        self
    }

    /// Binds, and starts the node in the tokio runtime that runs this.
    ///
    /// # Errors
    /// The address is in use or not this machine's; the system gives no random numbers.
    pub async fn start(self) -> Result<MeshSocket, StartError> {
        let mut seed = [0; 8];
        let mut salt = [0; 16];
        match self.seed {
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
        let mesh = Mesh::new(id, &protocol, advertised, self.mesh, u64::from_le_bytes(seed));
        let node = builder.start(mesh);
        let inbox = StreamConfig { paced: true, ..self.inbox };
        let messages = |event: &MeshEvent| match event {
            MeshEvent::Message(received) => Some(received.clone()),
            _ => None,
        };
        let weigh = |received: &Received| received.message().body().len();
        let inbox = node.subscribe(inbox, messages, weigh)?;
        Ok(MeshSocket { node, inbox: Arc::new(Mutex::new(inbox)), id, address })
    }
}

impl MeshSocket {
    /// Options for a node; [`start`](MeshBuilder::start) starts it.
    #[must_use]
    pub fn builder() -> MeshBuilder {
        MeshBuilder {
            listen: Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)),
            advertise: None,
            subnet: "mesh".to_owned(),
            transport: Arc::new(Tcp),
            id: None,
            seed: None,
            inbox: StreamConfig::default(),
            mesh: MeshConfig::default(),
            net: NetConfig::default(),
        }
    }

    /// The node's id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Connects to a node and waits for its handshake. Cancel safe: when the future is dropped,
    /// the attempt goes on.
    ///
    /// # Errors
    /// Nobody answers there, or nobody of this network.
    pub async fn connect(&self, to: impl Into<Endpoint>) -> Result<NodeId, MeshError> {
        let to = to.into();
        let request =
            self.node.request(|mesh, now| Ok::<_, SendError>(mesh.connect(now, to)))??;
        match request.await? {
            MeshEvent::ConnectDone { result, .. } => Ok(result?),
            _ => Err(MeshError::Stopped(Stopped)),
        }
    }

    /// Parts from a peer; `false` when it is none.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn disconnect(&self, peer: NodeId) -> Result<bool, MeshError> {
        Ok(self.node.call(|mesh, now| mesh.disconnect(now, peer))?)
    }

    /// Sends a message to every node of the network, waiting while peers have enough to read.
    /// Cancel safe: it was sent, or it was not.
    ///
    /// # Errors
    /// There are no peers, or the message is over a limit.
    pub async fn send(
        &self,
        packets: impl IntoIterator<Item = Value>,
    ) -> Result<Receipt, MeshError> {
        let send = |mesh: &mut Mesh, now, packets| {
            let payload = payload(SubFlag::Broadcast, packets);
            mesh.broadcast_unasked(now, MainFlag::Broadcast, &payload)
        };
        self.when_there_is_room(packets, send).await
    }

    /// As [`send`](Self::send), without waiting.
    ///
    /// # Errors
    /// As [`send`](Self::send); or a peer has enough to read, and nothing was sent.
    pub fn try_send(&self, packets: impl IntoIterator<Item = Value>) -> Result<Receipt, MeshError> {
        Ok(self.node.call(|mesh, now| mesh.broadcast(now, packets))??)
    }

    /// Sends a message to all peers, who do not pass it on. Waits and cancels as
    /// [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn whisper(
        &self,
        packets: impl IntoIterator<Item = Value>,
    ) -> Result<Receipt, MeshError> {
        self.when_there_is_room(packets, |mesh, now, packets| mesh.whisper(now, packets)).await
    }

    async fn when_there_is_room<P: IntoIterator<Item = Value>>(
        &self,
        packets: P,
        send: impl Fn(&mut Mesh, Time, P) -> Result<Receipt, SendError>,
    ) -> Result<Receipt, MeshError> {
        let mut packets = Some(packets);
        let attempt = |mesh: &mut Mesh, now| match mesh.check_room() {
            Err(SendError::QueueFull(_)) => None,
            Err(error) => Some(Err(error)),
            Ok(()) => packets.take().map(|packets| send(mesh, now, packets)),
        };
        Ok(self.node.retry_when_flushed(attempt).await??)
    }

    /// Answers the author of a message, connecting to it first when there is no link, and waits
    /// until the answer has left. Cancel safe: when the future is dropped, it is sent all the same.
    ///
    /// # Errors
    /// The author is not found in time, or is no node; or as [`send_to`](Self::send_to).
    pub async fn reply(
        &self,
        to: &Received,
        packets: impl IntoIterator<Item = Value>,
    ) -> Result<MessageId, MeshError> {
        let author = to.sender_id().ok_or(SendError::NoSender)?;
        self.send_to(author, packets).await
    }

    /// Whispers to one node, connecting to it first when there is no link, and waiting while it has
    /// enough to read. Waits and cancels as [`reply`](Self::reply).
    ///
    /// # Errors
    /// The node is not found in time; there are no peers to ask; too many messages wait already;
    /// or the message is over a limit.
    pub async fn send_to(
        &self,
        to: NodeId,
        packets: impl IntoIterator<Item = Value>,
    ) -> Result<MessageId, MeshError> {
        let mut packets = Some(packets);
        let request = loop {
            let room = |mesh: &mut Mesh, _| mesh.has_room_for(to).then_some(());
            self.node.retry_when_flushed(room).await?;
            // Somebody else may have taken the room by now.
            let begun = self.node.request(|mesh, now| {
                let packets = packets.take_if(|_| mesh.has_room_for(to)).ok_or(None)?;
                mesh.send_to(now, to, packets).map_err(Some)
            })?;
            match begun {
                Ok(request) => break request,
                Err(Some(error)) => return Err(error.into()),
                Err(None) => {}
            }
        };
        match request.await? {
            MeshEvent::Delivered { result, .. } => Ok(result?),
            _ => Err(MeshError::Stopped(Stopped)),
        }
    }

    /// The next message that no handler took. Cancel safe: no message is lost when the future is
    /// dropped. Clones of the handle share the messages between them.
    ///
    /// While messages are taken, a full inbox makes peers wait. When none is taken for a while
    /// ([`NetConfig::patience`]), the oldest go, and are counted.
    ///
    /// # Errors
    /// Messages were dropped because nobody took them; the node has stopped.
    pub async fn recv(&self) -> Result<Received, RecvError> {
        self.inbox.lock().await.recv().await
    }

    /// Waits for a message, and takes what else is there, up to `limit` in all.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn recv_many(&self, limit: usize) -> Result<Vec<Received>, RecvError> {
        self.inbox.lock().await.recv_many(limit).await
    }

    /// Everything that happens from now on, messages included.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn events(&self) -> Result<EventStream<MeshEvent>, MeshError> {
        let weigh = |event: &MeshEvent| match event {
            MeshEvent::Message(received) | MeshEvent::Unclaimed(received) => {
                received.message().body().len()
            }
            _ => 0,
        };
        let known = |event: &MeshEvent| match event {
            // Nobody is above to claim it.
            MeshEvent::Unclaimed(_) => None,
            event => Some(event.clone()),
        };
        Ok(self.node.subscribe(StreamConfig::default(), known, weigh)?)
    }

    /// Registers a handler: see [`Mesh::on_message`]. It runs within the node, so it sends by the
    /// [`Mesh`] that it is given, not by this handle.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn on_message(
        &self,
        takes: impl Fn(&Received) -> bool + Send + 'static,
        act: impl FnMut(&mut Mesh, Time, Received) + Send + 'static,
    ) -> Result<(), MeshError> {
        Ok(self.node.call(|mesh, _| mesh.on_message(takes, act))?)
    }

    /// The peers, ordered by id.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn peers(&self) -> Result<Vec<PeerInfo>, MeshError> {
        Ok(self.node.call(|mesh, _| mesh.peers().collect())?)
    }

    /// Asks all peers whom they know.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn request_peers(&self) -> Result<(), MeshError> {
        Ok(self.node.call(|mesh, now| mesh.request_peers(now))?)
    }

    /// How the node is doing, and what has passed over its links.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn status(&self) -> Result<(MeshStatus, TrafficCount), MeshError> {
        let status = self.node.call(|mesh, now| mesh.status(now))?;
        Ok((status, self.node.traffic()))
    }

    /// The node itself, for what this handle does not offer.
    #[must_use]
    pub fn node(&self) -> &Node<Mesh> {
        &self.node
    }

    /// Stops the node: what was accepted for sending leaves first, within
    /// [`NetConfig::flush`]. Dropping the future leaves the rest to the background.
    pub async fn close(&self) {
        self.node.shutdown().await;
    }
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

/// Why an operation on a [`MeshSocket`] failed.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum MeshError {
    /// The message was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The message did not reach its receiver.
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl MeshError {
    /// Whether a connection failed because the node there belongs to another network.
    #[must_use]
    pub fn is_other_network(&self) -> bool {
        matches!(self, Self::Connect(ConnectError::Closed(CloseReason::OtherNetwork { .. })))
    }

    /// The failed dial, if that is what it was.
    #[must_use]
    pub fn dial_error(&self) -> Option<&DialError> {
        match self {
            Self::Connect(ConnectError::Dial(error)) => Some(error),
            _ => None,
        }
    }
}
