//! What a mesh node tells.

use std::fmt;
use std::sync::Arc;

use rs2p_base::{CloseReason, Endpoint, Handshake, LinkId, NodeId, RequestId};
use rs2p_wire::{Limits, MainFlag, Message, MessageId, SubFlag, Value};

use crate::error::{ConnectError, DeliverError};
use crate::for_layers::PeerKind;

/// What a [`Mesh`](crate::Mesh) tells its user, or the layer above.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MeshEvent {
    /// A node has become a peer.
    Connected(PeerInfo),
    /// A peer is gone.
    Disconnected {
        /// Who.
        peer: NodeId,
        /// Why.
        reason: CloseReason,
    },
    /// A user's message that no handler took.
    Message(Received),
    /// A message that neither the mesh nor a handler knows: for a layer above.
    Unclaimed(Received),
    /// A peer has told of a node that was not known.
    PeerFound {
        /// Who.
        id: NodeId,
        /// Where.
        address: Endpoint,
    },
    /// [`connect`](crate::Mesh::connect) has ended.
    ConnectDone {
        /// Which call.
        request: RequestId,
        /// The peer there, or why there is none.
        result: Result<NodeId, ConnectError>,
    },
    /// [`reply`](crate::Mesh::reply) or [`send_to`](crate::Mesh::send_to) has ended.
    Delivered {
        /// Which call.
        request: RequestId,
        /// The message sent, or why none was.
        result: Result<MessageId, DeliverError>,
    },
}

impl MeshEvent {
    /// What a message says that came under this sub-flag of a layer above, the sub-flag left out.
    /// Nothing when the event is another one.
    #[must_use]
    pub fn unclaimed(&self, sub_flag: SubFlag) -> Vec<Value> {
        match self {
            Self::Unclaimed(received) if received.sub_flag() == Some(sub_flag) => {
                received.packets()
            }
            _ => Vec::new(),
        }
    }
}

/// A peer, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Who.
    pub id: NodeId,
    /// Where it can be dialled; where it cannot be, the other end of its link.
    pub address: Endpoint,
    /// Whether this node opened the link.
    pub outgoing: bool,
    /// The link.
    pub link: LinkId,
    /// Which implementation it runs.
    pub kind: PeerKind,
    /// Bytes that wait to be sent to it.
    pub queued: usize,
}

/// A message that came. Cloning one copies no bytes.
#[derive(Clone)]
pub struct Received {
    pub(crate) message: Message,
    pub(crate) link: LinkId,
    pub(crate) neighbour: Arc<Handshake>,
    pub(crate) limits: Limits,
}

impl Received {
    /// Its id, the same on every node.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.message.id()
    }

    /// How it came: as a broadcast, a whisper, or under a type of the application's own.
    #[must_use]
    pub fn kind(&self) -> MainFlag {
        self.message.kind()
    }

    /// What it means. Nothing for an empty payload or one that does not begin with a number.
    #[must_use]
    pub fn sub_flag(&self) -> Option<SubFlag> {
        self.message.sub_flag()
    }

    /// The author's id as it stands in the message: base 58 text, if the author is honest. It is
    /// not proven: anyone can write any sender.
    #[must_use]
    pub fn sender(&self) -> &[u8] {
        self.message.sender()
    }

    /// The author's id, if it is one.
    #[must_use]
    pub fn sender_id(&self) -> Option<NodeId> {
        NodeId::from_text(self.sender()).ok()
    }

    /// When its author says it was written, in seconds since the Unix epoch.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.message.time()
    }

    /// The peer it came from, which for a broadcast need not be its author.
    #[must_use]
    pub fn neighbour(&self) -> NodeId {
        self.neighbour.id
    }

    /// The link it came on.
    #[must_use]
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// What it says, the sub-flag left out.
    #[must_use]
    pub fn packets(&self) -> Vec<Value> {
        let mut packets = self.payload();
        if !packets.is_empty() {
            packets.remove(0);
        }
        packets
    }

    /// The whole payload, beginning with the sub-flag.
    #[must_use]
    pub fn payload(&self) -> Vec<Value> {
        // The mesh has checked it against the same limits before it let it through.
        self.message.payload(&self.limits).unwrap_or_default()
    }

    /// The message as it stands on the wire.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("message", &self.message)
            .field("neighbour", &self.neighbour.id)
            .field("link", &self.link)
            .finish()
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The message's id.
    pub id: MessageId,
    /// How many peers it was sent to.
    pub peers: usize,
}
