//! How a node of a replicated dictionary behaves.

use std::time::Duration;

/// Options of a [`Sync`](crate::Sync), those of the mesh below not among them.
#[derive(Clone, Debug)]
pub struct SyncConfig {
    /// Whether a write closes its key to others for a while. All nodes of a network agree on it:
    /// networks with and without are two networks, as with the originals. Default `true`.
    pub leasing: bool,
    /// How long a write of this node's closes its key, in whole seconds, from one to
    /// [`LONGEST_LEASE`](Self::LONGEST_LEASE). Old nodes take every lease for an hour. Default one hour.
    pub lease: Duration,
    /// Writes dated further ahead of the network's time are refused; this node's clock is corrected
    /// by its peers' before. Default 60 s, which is how far behind it may lag for its broadcasts to
    /// be heard.
    pub max_ahead: Duration,
    /// How long a deletion is remembered. Whoever was away for longer gives up what has been
    /// deleted meanwhile; a part of the network that was cut off for longer may bring deleted keys
    /// back. Default seven days.
    pub tombstone_age: Duration,
    /// Deletions to remember; the oldest go first, whatever their age. Default 100,000.
    pub max_tombstones: usize,
    /// Keys at the most, deleted ones not counted. Default 1,000,000.
    pub max_keys: usize,
    /// The longest key, in bytes. Default 1,024.
    pub max_key: usize,
    /// The largest value, in bytes of its encoding. It has to fit into a frame with some 512 bytes
    /// to spare, whatever stands here: [`Limits::frame`](rs2p_wire::Limits). Default 1 MiB.
    pub max_value: usize,
    /// Bytes of all keys and encoded values at the most. Default 256 MiB.
    pub max_bytes: usize,
    /// How often the node compares what it holds with a peer, if nothing gave reason to before.
    /// Only rs2p nodes can. Default 60 s.
    pub compare: Duration,
}

impl SyncConfig {
    /// The longest lease that counts: thirty days.
    pub const LONGEST_LEASE: Duration = Duration::from_secs(crate::lease::LONGEST as u64);
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self {
            leasing: true,
            lease: Duration::from_secs(crate::lease::LEASE.into()),
            max_ahead: Duration::from_secs(60),
            tombstone_age: Duration::from_secs(7 * 24 * 3_600),
            max_tombstones: 100_000,
            max_keys: 1_000_000,
            max_key: 1_024,
            max_value: 1 << 20,
            max_bytes: 256 << 20,
            compare: Duration::from_secs(60),
        }
    }
}
