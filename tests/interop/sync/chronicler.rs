//! Tells of writes of any author and time, as an old node hands them over or as their author sends
//! them.

use rs2p::base::NodeId;
use rs2p::mesh::Mesh;
use rs2p::wire::{IdForm, Limits, MainFlag, MessageWriter, SubFlag};
use serde_json::Value as Json;

use crate::node::{Node, stay_put};
use crate::peer::Peer;
use crate::sync::dictionary::{Dictionary, bytes};
use crate::values::from_json;

/// A node of a dictionary's network that has no dictionary itself.
pub(crate) struct Chronicler {
    node: Node,
}

/// An author that no node is: in which form it writes its id, and what that is.
pub(crate) type Author<'a> = (&'a str, IdForm);

impl Chronicler {
    pub(crate) async fn start(subnet: &str) -> Self {
        let node = Node::start_with(|builder| builder.subnet(subnet).mesh_config(stay_put()));
        Self { node: node.await }
    }

    pub(crate) async fn knows(&mut self, ours: &mut Dictionary) {
        self.node.socket.connect(ours.address()).await.expect("a link");
        ours.has_peer(self.node.id()).await;
    }

    pub(crate) async fn knows_peer(&mut self, peer: &mut Peer) {
        self.node.link(peer, crate::node::Dialling::Us).await;
    }

    /// Hands a key over, as old nodes do when a node joins.
    pub(crate) fn hand_over(
        &self,
        to: NodeId,
        key: &Json,
        value: &Json,
        author: Author,
        time: u64,
    ) {
        self.tell(|mesh, now| {
            let link = mesh.peer(to).expect("a peer").link;
            let mut writer = mesh.begin_whisper(now, link, 5, 0).expect("a link");
            write(&mut writer, SubFlag::Store, key, value);
            writer.text_bytes(author.0.as_bytes(), author.1);
            writer.unsigned(time);
            mesh.finish_whisper(now, link, writer).expect("it is sent");
        });
    }

    /// Tells one node of a write, as if its author did.
    pub(crate) fn store(&self, to: NodeId, key: &Json, value: &Json, author: Author, time: u64) {
        self.broadcast(to, (SubFlag::Store, key, value), author, time);
    }

    /// As [`store`](Self::store), with the key as text, as nobody writes it there.
    pub(crate) fn store_under_text(&self, to: NodeId, key: &str, value: &Json, author: Author) {
        let time = self.clock();
        self.send(to, author, time, |writer| {
            writer.unsigned(SubFlag::Store.into());
            writer.text(key);
            writer.any(&from_json(value), &Limits::default()).expect("it can be written");
        });
    }

    /// Tells one node of a delta, as if its author did.
    pub(crate) fn delta(&self, to: NodeId, key: &Json, delta: &Json, author: Author, time: u64) {
        self.broadcast(to, (SubFlag::Delta, key, delta), author, time);
    }

    fn broadcast(
        &self,
        to: NodeId,
        (flag, key, value): (SubFlag, &Json, &Json),
        author: Author,
        time: u64,
    ) {
        self.send(to, author, time, |writer| write(writer, flag, key, value));
    }

    /// Sends one node a broadcast of three elements.
    fn send(&self, to: NodeId, author: Author, time: u64, fill: impl FnOnce(&mut MessageWriter)) {
        self.tell(|mesh, now| {
            let kind = MainFlag::Broadcast;
            let mut writer = MessageWriter::new(kind, author.1, author.0, time, 3);
            fill(&mut writer);
            let sent = mesh.finish_broadcast(now, writer, |peer, _| peer == to);
            assert_eq!(sent.expect("it is sent").peers, 1);
        });
    }

    fn tell(&self, act: impl FnOnce(&mut Mesh, rs2p::base::Time)) {
        self.node.socket.node().call(act).expect("it runs");
    }

    /// The network's time, in seconds.
    pub(crate) fn clock(&self) -> u64 {
        let clock = |mesh: &mut Mesh, now| mesh.network_time(now).as_secs();
        self.node.socket.node().call(clock).expect("it runs")
    }
}

fn write(writer: &mut MessageWriter, flag: SubFlag, key: &Json, value: &Json) {
    writer.unsigned(flag.into());
    writer.binary(&bytes(key));
    writer.any(&from_json(value), &Limits::default()).expect("it can be written");
}
