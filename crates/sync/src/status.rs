//! How a node is doing.

use rs2p_base::Time;
use rs2p_mesh::MeshStatus;

/// How a node of a replicated dictionary is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SyncStatus {
    /// How the mesh below is doing.
    pub mesh: MeshStatus,
    /// Keys that have a value.
    pub keys: usize,
    /// Deletions that are remembered.
    pub tombstones: usize,
    /// Bytes of all keys and encoded values.
    pub bytes: usize,
    /// Old peers that are still being told what this node holds.
    pub handing_over: usize,
    /// rs2p peers with which differences are being settled.
    pub exchanging: usize,
    /// When this node last held the same as a peer, by the network's time.
    pub same_as_peer: Option<Time>,
    /// What has happened so far.
    pub counts: SyncCounts,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncCounts {
    /// Writes of this node's user.
    pub written: u64,
    /// Writes of others that were taken.
    pub taken: u64,
    /// Writes of others that lost against what is held: an older one, or one against a lease.
    pub lost: u64,
    /// Writes of others that were refused for want of room: see
    /// [`SyncConfig`](crate::SyncConfig).
    pub no_room: u64,
    /// Writes of others that were refused since they are dated too far ahead.
    pub ahead: u64,
    /// Messages that make no sense.
    pub malformed: u64,
    /// Records that came from comparing with a peer and were taken.
    pub repaired: u64,
    /// Keys given up since they were deleted while this node was away.
    pub given_up: u64,
    /// Comparisons with peers that found no difference.
    pub same: u64,
    /// Comparisons with peers that found differences.
    pub different: u64,
}
