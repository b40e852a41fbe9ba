//! A node of ours.

use rs2p::base::net::{EventStream, StreamConfig};
use rs2p::base::{Endpoint, NodeId};
use rs2p::mesh::{
    Mesh, MeshBuilder, MeshConfig, MeshEvent, MeshSocket, OverMesh, PeerInfo, Received,
};
use serde_json::{Value as Json, json};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::PATIENCE;
use crate::peer::{Kind, Peer};
use crate::values::{alike, from_json, to_json};

/// A mesh node, or one of a layer over the mesh, and what its mesh has told so far.
pub(crate) struct Node<M: OverMesh = Mesh> {
    pub(crate) socket: MeshSocket<M>,
    heard: Vec<Heard>,
    events: EventStream<MeshEvent>,
    log: Vec<MeshEvent>,
}

/// A message that came, and what it says, in the form that the peers' scripts use.
pub(crate) struct Heard {
    pub(crate) message: Received,
    pub(crate) packets: Json,
}

/// Who opens a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialling {
    Us,
    Them,
}

impl Dialling {
    pub(crate) const BOTH: [Self; 2] = [Self::Us, Self::Them];
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::start_with(|builder| builder).await
    }

    pub(crate) async fn start_with(configure: impl FnOnce(MeshBuilder) -> MeshBuilder) -> Self {
        Self::over(configure(MeshSocket::builder()).start().await.expect("it starts"))
    }

    /// A node of ours and one of the originals, with a link that is ready at both ends.
    pub(crate) async fn with_peer(kind: Kind, dialling: Dialling) -> (Self, Peer) {
        let (ours, mut peer) = tokio::join!(Self::start(), Peer::start(kind));
        let mut ours = ours;
        ours.link(&mut peer, dialling).await;
        (ours, peer)
    }
}

impl<M: OverMesh> Node<M> {
    /// A node that has just been started.
    pub(crate) fn over(socket: MeshSocket<M>) -> Self {
        // Messages have a stream of their own, on which none is lost.
        let all_but_messages = |event: &M::Event| match M::mesh_event(event) {
            None | Some(MeshEvent::Message(_)) => None,
            Some(event) => Some(event.clone()),
        };
        let config = StreamConfig { events: 100_000, ..StreamConfig::default() };
        let events = socket.node().subscribe(config, all_but_messages, |_| 0).expect("it runs");
        Self { socket, heard: Vec::new(), events, log: Vec::new() }
    }

    /// Opens a link to a peer, and waits until both ends are ready.
    pub(crate) async fn link(&mut self, peer: &mut Peer, dialling: Dialling) {
        match dialling {
            Dialling::Us => {
                let connected = self.socket.connect(peer.address()).await;
                assert_eq!(connected.expect("a link"), peer.node_id());
            }
            Dialling::Them => peer.connect(&self.address()).await,
        }
        self.has_peer(peer.node_id()).await;
        peer.knows(self.id()).await;
    }

    pub(crate) fn id(&self) -> NodeId {
        self.socket.id()
    }

    pub(crate) fn address(&self) -> Endpoint {
        self.socket.address().expect("it listens").into()
    }

    /// Its address as it stands in lists.
    pub(crate) fn address_json(&self) -> Json {
        let address = self.socket.address().expect("it listens");
        json!([address.ip().to_string(), address.port()])
    }

    pub(crate) fn peers(&self) -> Vec<PeerInfo> {
        self.socket.peers().expect("it runs")
    }

    pub(crate) async fn send(&self, packets: &Json) {
        self.socket.send(values(packets)).await.expect("it is sent");
    }

    pub(crate) async fn whisper(&self, packets: &Json) {
        self.socket.whisper(values(packets)).await.expect("it is sent");
    }

    pub(crate) async fn reply(&self, to: &Received, packets: &Json) {
        self.socket.reply(to, values(packets)).await.expect("it is sent");
    }

    /// Waits until this node is a peer.
    pub(crate) async fn has_peer(&mut self, id: NodeId) {
        self.until_peers(&format!("peer {id}"), |peers| peers.iter().any(|peer| peer.id == id))
            .await;
    }

    /// Waits until a link to this node has been lost.
    pub(crate) async fn loses(&mut self, id: NodeId) {
        let deadline = Instant::now() + PATIENCE;
        while self.times_lost(id) == 0 {
            self.next_event(deadline, &format!("loss of {id}")).await;
        }
    }

    /// Waits until the peers are as they should be.
    pub(crate) async fn until_peers(
        &mut self,
        what: &str,
        are_right: impl Fn(&[PeerInfo]) -> bool,
    ) {
        let deadline = Instant::now() + PATIENCE;
        while !are_right(&self.peers()) {
            self.next_event(deadline, what).await;
        }
    }

    /// Waits until something like this has gone wrong.
    pub(crate) async fn until_problem(&mut self, is_it: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, _) = self.socket.status().expect("it runs");
            if status.problems.iter().any(|(_, text)| is_it(text)) {
                return;
            }
            assert!(Instant::now() < deadline, "no such problem\n{}", self.report());
            // Links that never became peers tell no event.
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// How often a link to this node was lost so far.
    pub(crate) fn times_lost(&mut self, id: NodeId) -> usize {
        let is_it = |event: &&MeshEvent| matches!(event, MeshEvent::Disconnected { peer, .. } if *peer == id);
        self.told().iter().filter(is_it).count()
    }

    /// What the mesh has told so far, messages left out.
    pub(crate) fn told(&mut self) -> &[MeshEvent] {
        while let Some(event) = self.events.try_recv() {
            self.log.push(event.expect("no event is lost"));
        }
        &self.log
    }

    /// Waits for a message with these packets.
    pub(crate) async fn hears(&mut self, packets: impl Into<Json>) -> Received {
        let packets = packets.into();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.heard.iter().find(|it| alike(&it.packets, &packets)) {
                return found.message.clone();
            }
            self.next_message(deadline, &packets).await;
        }
    }

    /// Whether it hears these packets within a second.
    pub(crate) async fn hears_soon(&mut self, packets: &Json) -> bool {
        timeout(Duration::from_secs(1), self.hears(packets.clone())).await.is_ok()
    }

    /// Whether any message has come, heard or waiting to be.
    pub(crate) async fn hears_anything(&mut self) -> bool {
        !self.heard.is_empty() || timeout(Duration::ZERO, self.socket.recv()).await.is_ok()
    }

    /// The messages heard so far, in order.
    pub(crate) fn heard(&self) -> &[Heard] {
        &self.heard
    }

    /// How often it has heard these packets so far.
    pub(crate) fn times_heard(&self, packets: &Json) -> usize {
        self.heard.iter().filter(|it| alike(&it.packets, packets)).count()
    }

    /// Waits until it has heard `count` messages in all.
    pub(crate) async fn hears_in_all(&mut self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.heard.len() < count {
            let heard = self.heard.len();
            self.next_message(deadline, &format!("{count} messages, {heard} came").into()).await;
        }
    }

    async fn next_message(&mut self, deadline: Instant, what: &Json) {
        match timeout_at(deadline, self.socket.recv()).await {
            Ok(message) => {
                let message = message.expect("no message is lost");
                let packets = message.packets().iter().map(to_json).collect();
                self.heard.push(Heard { message, packets });
            }
            Err(_) => panic!("not heard in {PATIENCE:?}: {what:.200}\n{}", self.report()),
        }
    }

    async fn next_event(&mut self, deadline: Instant, what: &str) {
        match timeout_at(deadline, self.events.recv()).await {
            Ok(event) => self.log.push(event.expect("no event is lost")),
            Err(_) => panic!("no {what} in {PATIENCE:?}\n{}", self.report()),
        }
    }

    /// What is known of it, for the message of a failed test.
    fn report(&self) -> String {
        format!("our events: {:#?}\n{:#?}", self.log, self.socket.status())
    }
}

/// Dials nobody by itself.
pub(crate) fn stay_put() -> MeshConfig {
    MeshConfig { max_outgoing: 0, ..MeshConfig::default() }
}

pub(crate) fn values(packets: &Json) -> Vec<rs2p::wire::Value> {
    packets.as_array().expect("a list").iter().map(from_json).collect()
}
