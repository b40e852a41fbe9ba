//! What a node of a DHT tells.

use bytes::Bytes;
use rs2p_base::{NodeId, RequestId};
use rs2p_mesh::MeshEvent;
use rs2p_wire::Value;

use crate::error::{ReadError, WriteError};
use crate::position::{Position, Table};

/// What a [`Chord`](crate::Chord) tells its user.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChordEvent {
    /// Somebody has announced a new key.
    Add {
        /// Which.
        key: Bytes,
    },
    /// Somebody has announced that a key is gone.
    Delete {
        /// Which.
        key: Bytes,
    },
    /// This node stores from now on: it has joined a ring.
    Joined,
    /// What neighbours held for this node is here.
    Settled,
    /// This node stores no more. What it had is with others, or went nowhere because there are none.
    Left {
        /// The call that wanted it.
        request: Option<RequestId>,
        /// Records that were not handed over: nobody was there, or time ran out.
        lost: usize,
    },
    /// A read has ended.
    Read {
        /// Which call.
        request: RequestId,
        /// The value, or nothing when there is none.
        result: Result<Option<Value>, ReadError>,
    },
    /// A write has ended.
    Written {
        /// Which call.
        request: RequestId,
        /// What it gives: after `pop` the value that was there, after `apply_delta` the whole map.
        result: Result<Option<Value>, WriteError>,
    },
    /// A part of the keys.
    Listed {
        /// Which call.
        request: RequestId,
        /// Keys, and where to go on; nothing at the end of the ring.
        result: Result<(Vec<Bytes>, Option<NodeId>), ReadError>,
    },
    /// The ways to a key's positions.
    Explained {
        /// Which call.
        request: RequestId,
        /// One for each table.
        paths: Vec<Path>,
    },
    /// What the mesh below tells: peers, messages of users, the ends of requests.
    Mesh(MeshEvent),
}

/// The way to a key's position in one table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Path {
    /// Which table.
    pub table: Table,
    /// Where the key lies.
    pub position: Position,
    /// Who was asked, this node first and the owner last; nothing when nobody answered.
    pub hops: Vec<NodeId>,
    /// Where the owner can be dialled, if it told.
    pub address: Option<rs2p_base::Endpoint>,
}

impl ChordEvent {
    pub(crate) fn request(event: &Self) -> Option<RequestId> {
        match event {
            Self::Read { request, .. }
            | Self::Written { request, .. }
            | Self::Listed { request, .. }
            | Self::Explained { request, .. } => Some(*request),
            Self::Left { request, .. } => *request,
            Self::Mesh(event) => <rs2p_mesh::Mesh as rs2p_base::Machine>::completes(event),
            Self::Add { .. } | Self::Delete { .. } | Self::Joined | Self::Settled => None,
        }
    }
}
