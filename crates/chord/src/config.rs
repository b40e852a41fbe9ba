//! How a node of a DHT behaves.

use std::time::Duration;

/// Options of a [`Chord`](crate::Chord), those of the mesh below not among them.
#[derive(Clone, Debug)]
pub struct ChordConfig {
    /// Whether the node stores data, and joins by itself when it starts. A node that does not, or
    /// that nobody can dial, only uses the network ("leeching"). Default yes.
    pub joins: bool,
    /// How long reads and writes may take. Default 10 s, as the originals.
    pub timeout: Duration,
    /// Nodes that keep each position: its owner and those before it. From 1 to 8. Default 3.
    pub copies: usize,
    /// Length of the successor list. That many neighbours may die at once, less one, without the
    /// ring coming apart; with n nodes twice the binary logarithm of n is safe. From 2 to 32.
    /// Default 16.
    pub successors: usize,
    /// Whether each new and each deleted key is told to everyone, as the originals do, who know
    /// keys from that alone. Without, [`ChordSocket::keys`](crate::ChordSocket::keys) asks around
    /// the ring, and a large network is spared a broadcast for each key. Default yes.
    pub announces: bool,
    /// How often a node asks its successor how things stand, when nothing changes. From 100 ms to
    /// one day. Default 5 s.
    pub stabilise: Duration,
    /// How often copies are compared, when nothing changes. From 100 ms to one day. Default 30 s.
    pub compare: Duration,
    /// In which time a node looks once at all it owns, whether it is at the key's other positions,
    /// too. Default ten minutes.
    pub audit: Duration,
    /// Further links, to nodes that lookups came upon. Default 16.
    pub shortcuts: usize,
    /// How long a deletion is remembered. A copy that was away for longer may bring it back. Default
    /// one day.
    pub tombstone_age: Duration,
    /// Writes dated further ahead of the network's time are refused. Default 60 s.
    pub max_ahead: Duration,
    /// Records at the most; a key takes five of them, each some times. Default 4,000,000.
    pub max_records: usize,
    /// Bytes of all records' keys and values at the most. Default 1 GiB.
    pub max_bytes: usize,
    /// The longest key, in bytes. Default 1,024.
    pub max_key: usize,
    /// The largest value, in bytes of its encoding. It has to fit into a frame with some 4 KiB to
    /// spare. Default 1 MiB.
    pub max_value: usize,
    /// Keys to know by announcements. Default 1,000,000.
    pub max_keys: usize,
    /// Operations of this node's user at a time. Default 16,384.
    pub max_operations: usize,
}

/// How often something is done at the most, and at the least.
const OFTEN: Duration = Duration::from_millis(100);
const SELDOM: Duration = Duration::from_secs(86_400);

impl Default for ChordConfig {
    fn default() -> Self {
        Self {
            joins: true,
            timeout: Duration::from_secs(10),
            copies: 3,
            successors: 16,
            announces: true,
            stabilise: Duration::from_secs(5),
            compare: Duration::from_secs(30),
            audit: Duration::from_secs(600),
            shortcuts: 16,
            tombstone_age: Duration::from_secs(86_400),
            max_ahead: Duration::from_secs(60),
            max_records: 4_000_000,
            max_bytes: 1 << 30,
            max_key: 1_024,
            max_value: 1 << 20,
            max_keys: 1_000_000,
            max_operations: 16_384,
        }
    }
}

impl ChordConfig {
    pub(crate) fn copies(&self) -> usize {
        self.copies.clamp(1, 8)
    }

    pub(crate) fn successors(&self) -> usize {
        self.successors.clamp(2, 32)
    }

    pub(crate) fn stabilise(&self) -> Duration {
        self.stabilise.clamp(OFTEN, SELDOM)
    }

    pub(crate) fn compare(&self) -> Duration {
        self.compare.clamp(OFTEN, SELDOM)
    }
}
