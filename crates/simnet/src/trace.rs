//! What a run comes to: a digest of all that happened, and counts of it.

use std::fmt;

use crate::streams::finish;

/// A digest of every delivery and event of a run. Equal digests mean equal runs, as far as 64 bits
/// can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceDigest(u64);

impl TraceDigest {
    pub(crate) fn note(&mut self, at: u64, what: u64, detail: u64) {
        self.0 = finish(self.0 ^ at.rotate_left(17) ^ what.rotate_left(41)) ^ finish(detail);
    }
}

impl fmt::Display for TraceDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What has happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Messages handed to a node.
    pub deliveries: u64,
    /// Bytes of those messages, as they would be on the wire without compression.
    pub bytes: u64,
    /// Messages that were under way on a link when it broke.
    pub lost: u64,
    /// Links opened.
    pub links: u64,
    /// Dials that came to nothing.
    pub dials_failed: u64,
    /// Deadlines that nodes acted on.
    pub timeouts: u64,
    /// Events told by nodes.
    pub events: u64,
}
