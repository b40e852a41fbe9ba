//! The async handle to a mesh node.

use std::net::SocketAddr;
use std::sync::Arc;

use rs2p_base::net::{EventStream, Node, RecvError, Stopped, StreamConfig, TrafficCount};
use rs2p_base::{CloseReason, DialError, Endpoint, NodeId, RequestId, Time};
use rs2p_wire::{MainFlag, MessageId, SubFlag, Value};
use thiserror::Error;
use tokio::sync::Mutex;

use crate::birth::Birth;
use crate::builder::{LayerBuilder, StartError, Started};
use crate::error::{ConnectError, DeliverError, SendError};
use crate::event::{MeshEvent, PeerInfo, Receipt, Received};
use crate::for_layers::OverMesh;
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
///
/// A layer over the mesh has one, too: what a user can do with the mesh, done to the mesh of that
/// layer.
#[derive(Debug)]
pub struct MeshSocket<M: OverMesh = Mesh> {
    node: Node<M>,
    inbox: Arc<Mutex<EventStream<Received>>>,
    id: NodeId,
    address: Option<SocketAddr>,
}

/// Options of a node that is about to be started.
pub struct MeshBuilder {
    layer: LayerBuilder,
    inbox: StreamConfig,
}

impl MeshBuilder {
    crate::layer_options!(self.layer);

    /// Bounds of the messages that wait for [`MeshSocket::recv`]. Default: 1,024 messages, 64 MiB.
    #[must_use]
    pub fn inbox(mut self, inbox: StreamConfig) -> Self {
        self.inbox = inbox;
        self
    }

    /// Binds, and starts the node in the tokio runtime that runs this.
    ///
    /// # Errors
    /// The address is in use or not this machine's; the system gives no random numbers.
    pub async fn start(self) -> Result<MeshSocket, StartError> {
        let started = self.layer.start(Birth::mesh).await?;
        Ok(MeshSocket::new(started, self.inbox)?)
    }
}

impl<M: OverMesh> Clone for MeshSocket<M> {
    fn clone(&self) -> Self {
        let Self { node, inbox, id, address } = self;
        Self { node: node.clone(), inbox: inbox.clone(), id: *id, address: *address }
    }
}

impl MeshSocket {
    /// Options for a node; [`start`](MeshBuilder::start) starts it.
    #[must_use]
    pub fn builder() -> MeshBuilder {
        MeshBuilder { layer: LayerBuilder::new("mesh"), inbox: StreamConfig::default() }
    }
}

impl<M: OverMesh> MeshSocket<M> {
    /// The handle to the mesh of a node, with bounds for the messages that wait for
    /// [`recv`](Self::recv).
    ///
    /// # Errors
    /// The node has stopped.
    pub fn new(started: Started<M>, inbox: StreamConfig) -> Result<Self, Stopped> {
        let Started { node, id, address } = started;
        let inbox = StreamConfig { paced: true, ..inbox };
        let messages = |event: &M::Event| match M::mesh_event(event) {
            Some(MeshEvent::Message(received)) => Some(received.clone()),
            _ => None,
        };
        let weigh = |received: &Received| received.message().body().len();
        let inbox = node.subscribe(inbox, messages, weigh)?;
        Ok(Self { node, inbox: Arc::new(Mutex::new(inbox)), id, address })
    }

    /// Calls an operation of the mesh.
    fn call<R>(&self, act: impl FnOnce(&mut Mesh, Time) -> R) -> Result<R, Stopped> {
        self.node.call(|machine, now| machine.with_mesh(now, |mesh| act(mesh, now)))
    }

    /// Calls an operation of the mesh whose result comes as an event, and waits for that.
    async fn request<E>(
        &self,
        begin: impl FnOnce(&mut Mesh, Time) -> Result<RequestId, E>,
    ) -> Result<Result<MeshEvent, E>, Stopped> {
        let begin = |machine: &mut M, now| machine.with_mesh(now, |mesh| begin(mesh, now));
        match self.node.request(begin)? {
            Err(error) => Ok(Err(error)),
            Ok(event) => Ok(Ok(M::mesh_event(&event.await?).cloned().ok_or(Stopped)?)),
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
        let connect = |mesh: &mut Mesh, now| Ok::<_, SendError>(mesh.connect(now, to));
        match self.request(connect).await?? {
            MeshEvent::ConnectDone { result, .. } => Ok(result?),
            _ => Err(MeshError::Stopped(Stopped)),
        }
    }

    /// Adds a node to those to begin with, which are dialled in the background, again and again. In
    /// contrast to [`MeshBuilder::seeds`] it comes after whoever wants to hear of all events.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn add_seed(&self, address: impl Into<Endpoint>) -> Result<(), MeshError> {
        let address = address.into();
        Ok(self.call(|mesh, now| mesh.add_seed(now, address))?)
    }

    /// Parts from a peer; `false` when it is none.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn disconnect(&self, peer: NodeId) -> Result<bool, MeshError> {
        Ok(self.call(|mesh, now| mesh.disconnect(now, peer))?)
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
        Ok(self.call(|mesh, now| mesh.broadcast(now, packets))??)
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
        let attempt = |machine: &mut M, now| match machine.mesh().check_room() {
            Err(SendError::QueueFull(_)) => None,
            Err(error) => Some(Err(error)),
            Ok(()) => {
                let packets = packets.take()?;
                Some(machine.with_mesh(now, |mesh| send(mesh, now, packets)))
            }
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
        loop {
            let room = |machine: &mut M, _| machine.mesh().has_room_for(to).then_some(());
            self.node.retry_when_flushed(room).await?;
            // Somebody else may have taken the room by now.
            let begin = |mesh: &mut Mesh, now| {
                let packets = packets.take_if(|_| mesh.has_room_for(to)).ok_or(None)?;
                mesh.send_to(now, to, packets).map_err(Some)
            };
            match self.request(begin).await? {
                Ok(MeshEvent::Delivered { result, .. }) => return Ok(result?),
                Ok(_) => return Err(MeshError::Stopped(Stopped)),
                Err(Some(error)) => return Err(error.into()),
                Err(None) => {}
            }
        }
    }

    /// The next message that no handler took. Cancel safe: no message is lost when the future is
    /// dropped. Clones of the handle share the messages between them.
    ///
    /// While messages are taken, a full inbox makes peers wait. When none is taken for a while
    /// ([`NetConfig::patience`]), the oldest go, and are counted.
    ///
    /// [`NetConfig::patience`]: rs2p_base::net::NetConfig::patience
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
        let known = |event: &M::Event| match M::mesh_event(event)? {
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
        Ok(self.call(|mesh, _| mesh.on_message(takes, act))?)
    }

    /// The peers, ordered by id.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn peers(&self) -> Result<Vec<PeerInfo>, MeshError> {
        Ok(self.call(|mesh, _| mesh.peers().collect())?)
    }

    /// Asks all peers whom they know.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn request_peers(&self) -> Result<(), MeshError> {
        Ok(self.call(|mesh, now| mesh.request_peers(now))?)
    }

    /// How the node is doing, and what has passed over its links.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn status(&self) -> Result<(MeshStatus, TrafficCount), MeshError> {
        let status = self.call(|mesh, now| mesh.status(now))?;
        Ok((status, self.node.traffic()))
    }

    /// The node itself, for what this handle does not offer.
    #[must_use]
    pub fn node(&self) -> &Node<M> {
        &self.node
    }

    /// Stops the node: what was accepted for sending leaves first, within
    /// [`NetConfig::flush`]. Dropping the future leaves the rest to the background.
    ///
    /// [`NetConfig::flush`]: rs2p_base::net::NetConfig::flush
    pub async fn close(&self) {
        self.node.shutdown().await;
    }
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
