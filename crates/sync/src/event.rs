//! What a node of a replicated dictionary tells.

use std::sync::Arc;

use bytes::Bytes;
use rs2p_base::{RequestId, Time};
use rs2p_mesh::MeshEvent;
use rs2p_wire::Value;

use crate::owner::Owner;

/// What a [`Sync`](crate::Sync) tells its user.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SyncEvent {
    /// A key has a new value, written by this node or another.
    Update {
        /// Which key.
        key: Bytes,
        /// Its whole value.
        value: Arc<Value>,
        /// Who wrote it, and when.
        meta: Meta,
    },
    /// A key is deleted, by this node or another.
    Delete {
        /// Which key.
        key: Bytes,
        /// Who deleted it, and when. Nothing when that is forgotten: this node was away for longer
        /// than deletions are remembered.
        meta: Option<Meta>,
    },
    /// What the mesh below tells: peers, messages of users, the ends of requests.
    Mesh(MeshEvent),
}

impl SyncEvent {
    pub(crate) fn request(event: &Self) -> Option<RequestId> {
        match event {
            Self::Mesh(event) => <rs2p_mesh::Mesh as rs2p_base::Machine>::completes(event),
            _ => None,
        }
    }
}

/// Who wrote a value and when: the originals' metatuple, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Meta {
    /// Who wrote it.
    pub owner: Owner,
    /// When, in seconds since the Unix epoch, by the network's time.
    pub timestamp: u64,
    /// From when on others may write; nothing without leases.
    pub lease_end: Option<Time>,
}

/// A key's value, with who wrote it and when.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The value, shared with the table.
    pub value: Arc<Value>,
    /// Who wrote it, and when.
    pub meta: Meta,
}
