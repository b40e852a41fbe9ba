//! How a node is.

/// How a node is, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DhtStatus {
    /// Nodes in the routing table.
    pub contacts: usize,
    /// Values published here, parts of shared files included.
    pub own_values: usize,
    /// Values of others that are kept here.
    pub foreign_values: usize,
    /// Their bytes.
    pub foreign_bytes: u64,
    /// Values being sent.
    pub uploads: usize,
    /// Values being received.
    pub downloads: usize,
    /// Questions that wait for an answer.
    pub questions: usize,
    /// Operations under way, those that the node does by itself included.
    pub operations: usize,
    /// Own values that wait for their time to be published.
    pub to_publish: usize,
    /// Own values that no other node has been seen to have yet.
    pub unpublished: usize,
    /// What has happened so far.
    pub counts: Counts,
}

/// What has happened so far, in datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Sent.
    pub sent: u64,
    /// Received and read.
    pub received: u64,
    /// Dropped: more came from one address than it may send.
    pub over_rate: u64,
    /// Dropped: none of this protocol.
    pub unreadable: u64,
    /// Dropped: answers to nothing that was asked, such as late ones.
    pub unexpected: u64,
    /// Questions to which nobody answered.
    pub silent: u64,
}
