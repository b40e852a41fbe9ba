//! What a node may be told.

use std::net::SocketAddrV4;
use std::time::Duration;

use rs2p_kad::{LookupConfig, TableConfig};

/// Bounds and waits of a node. The defaults are those of the reference where it has any (spec,
/// section 1).
#[derive(Clone, Debug)]
pub struct DhtConfig {
    /// The routing table.
    pub table: TableConfig,
    /// Searches.
    pub lookup: LookupConfig,
    /// Nodes to join by, tried again for as long as nobody is known. None by default.
    pub seeds: Vec<SocketAddrV4>,
    /// How long to wait for the answer to a question before it is sent once more, and how long
    /// after that. After the first, another node is asked as well. 1 s and 3 s; answers that take
    /// longer than a path's round trip do no harm but cost datagrams.
    pub patience: [Duration; 2],
    /// The same for a question whether a value may be stored, which old nodes take seconds to
    /// answer. 5 s each.
    pub store_patience: [Duration; 2],
    /// How long to wait for the confirmation of a piece before it is sent once more, and how long
    /// after that, among nodes without the windowed transfer. 5 s each.
    pub chunk_patience: [Duration; 2],
    /// How long a transfer may be silent before it is given up. 10 s.
    pub idle: Duration,
    /// How long after a node's leave to send a value, or its wish to have one, the first piece
    /// leaves: old nodes often miss one that comes at once (spec, D2). Also how long they have to
    /// file a value before they are asked for it. 40 ms; not used between nodes of rs2p.
    pub breath: Duration,
    /// Nodes a value is stored on. 20, the `k` of Kademlia.
    pub copies: usize,
    /// Nodes that are sent the same value at a time. 3.
    pub parallel: usize,
    /// How long values live (86,490 s), from their last publication on; values far from their
    /// place live shorter.
    pub expire: Duration,
    /// How often a node's own values are published. 86,400 s, a little less than values live.
    pub republish: Duration,
    /// How often values of others are passed on to the nodes nearest to them. 3,600 s.
    pub replicate: Duration,
    /// How long a bucket may go without news before a key in it is looked up. 3,600 s.
    pub refresh: Duration,
    /// Bytes of others' values that are kept. 2^36; with 0 every one is refused, and the node
    /// still serves its own.
    pub capacity: u64,
    /// How many values of others are kept, whatever their size: each takes some 300 bytes of
    /// memory. 1,000,000.
    pub max_values: usize,
    /// How many values are kept under one key. 64.
    pub max_values_per_key: usize,
    /// Whether a value is kept under a key that is neither its SHA-1 nor that of the file it
    /// describes. Nothing ties such a value to its key (spec, D21). `false`.
    pub keeps_foreign_keys: bool,
    /// Values that are being sent, at most: 64, and 8 to one address. A request beyond is not
    /// answered, as by a busy node.
    pub uploads: [usize; 2],
    /// Values of others that are being received at the same time, at most: 64, and 8 from one
    /// address. Beyond that, stores are refused.
    pub incoming: [usize; 2],
    /// Operations of the user that are under way at the same time: 16,384. One more fails at once.
    pub operations: usize,
    /// Datagrams a second that are taken from one address, and as many at once after a pause.
    /// 5,000; the loopback network counts by port.
    pub rate: u32,
    /// Whether the extensions of rs2p are spoken to nodes that know them. `true`.
    pub extended: bool,
    /// Whether a value that was fetched is stored on the nearest node that was asked and lacks it
    /// (Kademlia, section 2.3). `true`.
    pub caches: bool,
}

impl Default for DhtConfig {
    fn default() -> Self {
        Self {
            table: TableConfig::default(),
            lookup: LookupConfig::default(),
            seeds: Vec::new(),
            patience: [Duration::from_secs(1), Duration::from_secs(3)],
            store_patience: [Duration::from_secs(5); 2],
            chunk_patience: [Duration::from_secs(5); 2],
            idle: Duration::from_secs(10),
            breath: Duration::from_millis(40),
            copies: 20,
            parallel: 3,
            expire: Duration::from_secs(86_490),
            republish: Duration::from_secs(86_400),
            replicate: Duration::from_secs(3_600),
            refresh: Duration::from_secs(3_600),
            capacity: 1 << 36,
            max_values: 1_000_000,
            max_values_per_key: 64,
            keeps_foreign_keys: false,
            uploads: [64, 8],
            incoming: [64, 8],
            operations: 16_384,
            rate: 5_000,
            extended: true,
            caches: true,
        }
    }
}

/// The longest value, in bytes: a receiver takes no more (spec, section 1).
pub const MAX_VALUE: usize = 1 << 20;
