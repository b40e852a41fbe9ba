//! What can go wrong with an operation.

use std::io;
use std::net::SocketAddrV4;

use rs2p_kad::Key;
use thiserror::Error;

use crate::config::MAX_VALUE;
use crate::value::ValueId;

/// Why a ping or a join came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReachError {
    /// Nobody answered, in two attempts each.
    #[error("no node answers at {}: is one running there, and do datagrams get through?", list(.0))]
    Silent(Vec<SocketAddrV4>),
    /// No address was given.
    #[error("no address to join by: name a node that is in the network")]
    NoAddress,
    /// Too much is under way. Wait for some of it to end.
    #[error("{0} operations are under way, as many as are allowed: wait for some to end")]
    Busy(usize),
}

/// Why a value could not be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GetError {
    /// No node is known: join first.
    #[error("no node is known: join a network first")]
    Alone,
    /// The nodes nearest to the key were asked, and none has it.
    #[error("no value under {key}: the {asked} nearest nodes that answered have none")]
    Absent {
        /// Where it should be.
        key: Key,
        /// How many answered.
        asked: usize,
    },
    /// Nodes say that they have it, and none of them sent it whole and right.
    #[error(
        "{id} is said to be at {sources} nodes, but {wrong} of them sent something else and the others nothing"
    )]
    Unavailable {
        /// The value.
        id: ValueId,
        /// Nodes that said they have it.
        sources: usize,
        /// Nodes that sent bytes of another SHA-1.
        wrong: usize,
    },
    /// Too much is under way. Wait for some of it to end.
    #[error("{0} operations are under way, as many as are allowed: wait for some to end")]
    Busy(usize),
}

/// Why a value could not be published.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PutError {
    /// It is too long. Nothing has changed; share it as a file instead.
    #[error("a value of {0} bytes, where {MAX_VALUE} are the most: share it as a file")]
    TooLong(usize),
    /// Its place for contents failed. Nothing has changed.
    #[error("the value cannot be kept here: {0}")]
    Contents(String),
    /// It is kept here and will be published once a node is known; none is now.
    #[error(
        "no node took the value: {refused} refused, {silent} were silent. It is kept here and tried again"
    )]
    Nowhere {
        /// Nodes that refused.
        refused: usize,
        /// Nodes that were silent or lost the value on the way.
        silent: usize,
    },
    /// Too much is under way. Wait for some of it to end.
    #[error("{0} operations are under way, as many as are allowed: wait for some to end")]
    Busy(usize),
}

/// The bytes of a value cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ContentsError {
    /// A file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A store.
    #[error("{0}")]
    Store(String),
    /// A shared file.
    #[error("{0}")]
    Library(String),
}

fn list(addresses: &[SocketAddrV4]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
