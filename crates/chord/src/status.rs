//! How a node of a DHT is doing.

use rs2p_base::NodeId;
use rs2p_mesh::MeshStatus;

/// A node's state at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChordStatus {
    /// The mesh below.
    pub mesh: MeshStatus,
    /// Whether the node stores.
    pub membership: Membership,
    /// The member before this one.
    pub predecessor: Option<NodeId>,
    /// The next members, the nearest first.
    pub successors: Vec<NodeId>,
    /// Nodes at doubling distances to which there are links.
    pub fingers: usize,
    /// Links to nodes that lookups came upon.
    pub shortcuts: usize,
    /// Peers that store.
    pub storing_peers: usize,
    /// Peers that do not answer just now.
    pub silent_peers: usize,
    /// Records held, for this node and its neighbours; deletions count.
    pub records: usize,
    /// How many of them are deletions.
    pub tombstones: usize,
    /// Bytes of keys and values held.
    pub bytes: usize,
    /// Keys known by announcements.
    pub keys: usize,
    /// Operations of this node's user under way.
    pub operations: usize,
    /// What has happened so far.
    pub counts: ChordCounts,
}

/// What a node has to do with the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Membership {
    /// It uses the network and stores nothing.
    Leeching,
    /// It is looking for its place.
    Joining,
    /// It stores; what its neighbours held for it is not all here yet.
    Settling,
    /// It stores.
    Joined,
    /// It hands over what it has, to store no more.
    Leaving,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChordCounts {
    /// Questions answered as the owner.
    pub served: u64,
    /// Questions passed on.
    pub routed: u64,
    /// Questions and answers dropped: no way, too many hops, or no room on the link.
    pub dropped: u64,
    /// Lookups of this node's that came back, and their hops in all.
    pub lookups: u64,
    /// Hops of those lookups.
    pub hops: u64,
    /// The most hops that one of them took.
    pub most_hops: u64,
    /// Questions asked once more.
    pub retried: u64,
    /// Writes dated anew because something later was known.
    pub redated: u64,
    /// Records that came from neighbours to make copies the same.
    pub repaired: u64,
    /// Records given to whom they belong.
    pub moved: u64,
    /// Tables that were brought up to date after a read.
    pub read_repairs: u64,
    /// Records refused for lack of room or for their time.
    pub refused: u64,
    /// Messages that made no sense.
    pub malformed: u64,
    /// Neighbours that stopped answering.
    pub silent: u64,
}
