//! What can go wrong for a caller.

use rs2p_base::{CloseReason, DialError, NodeId, QueueFull};
use rs2p_wire::{EncodeError, MessageError};
use thiserror::Error;

/// Why a message was not sent. Nothing was sent to anyone.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is nobody to send to: connect first.
    #[error("there are no peers: connect to one first")]
    NoPeers,
    /// The message is over a limit.
    #[error(transparent)]
    Message(#[from] EncodeError),
    /// Not every node could read the message: give each map distinct keys that are no arrays or
    /// maps themselves, and each timestamp (extension -1) a date up to the year 9999.
    #[error("not every node could read the message: {0}")]
    Unreadable(MessageError),
    /// A peer has enough to read. Wait, or try later; a peer that stays behind loses its link.
    #[error(transparent)]
    QueueFull(#[from] QueueFull),
    /// As many replies as are allowed wait for an address already.
    #[error("{limit} messages wait for their receiver's address already: wait for some to end")]
    TooManyDeferred {
        /// How many are allowed.
        limit: usize,
    },
    /// The sender of the message to reply to is not a node.
    #[error("the sender of that message is no node id, so it cannot be answered")]
    NoSender,
}

/// Why a connection came to nothing.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody answers at the address.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// Somebody answers, but is no peer for this node.
    #[error("not connected: {0}")]
    Closed(CloseReason),
}

/// Why a message to a node without a link was not delivered.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum DeliverError {
    /// No neighbour knew the node's address, or nobody answered there in time.
    #[error("{to} was not reached within {seconds} s: nobody knows its address, or it is away")]
    NotFound {
        /// Which node.
        to: NodeId,
        /// How long it was searched for.
        seconds: u64,
    },
    /// The message could not be sent once the node was reached.
    #[error(transparent)]
    Send(#[from] SendError),
}
