//! What a run comes to: a digest of all that happened, counts of it, and the last of it.

use std::fmt;

use crate::sim::NodeIndex;
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
    /// Messages that reached a node, those included that it knew by their id and passed over.
    pub deliveries: u64,
    /// Of those, the ones that it passed over.
    pub duplicates: u64,
    /// Bytes of all of them, as they would be on the wire without compression.
    pub bytes: u64,
    /// Messages that were under way on a link when it broke.
    pub lost: u64,
    /// Links opened.
    pub links: u64,
    /// Links broken by a fault, not closed by a node.
    pub broken: u64,
    /// Dials that came to nothing.
    pub dials_failed: u64,
    /// Dials to addresses at which there has never been a node.
    pub dials_nowhere: u64,
    /// Datagrams that reached a node.
    pub datagrams: u64,
    /// Datagrams that did not, or never left.
    pub datagrams_lost: u64,
    /// Deadlines that nodes acted on.
    pub timeouts: u64,
    /// Events told by nodes.
    pub events: u64,
}

impl Counts {
    /// Whether nodes have only exchanged datagrams so far: figures of links say nothing then.
    #[must_use]
    pub const fn is_without_links(&self) -> bool {
        self.datagrams > 0 && self.links == 0 && self.dials_failed == 0
    }
}

/// One thing that happened to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When, in microseconds since the start.
    pub at: u64,
    /// To which node.
    pub node: NodeIndex,
    /// What.
    pub what: What,
}

/// What can happen to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// It was started, for the first time or again.
    Started,
    /// It went down.
    Crashed,
    /// It stopped for a while, or was let go on.
    Paused(bool),
    /// A link to this node opened.
    Opened(NodeIndex),
    /// A link to this node closed.
    Closed(NodeIndex),
    /// A dial came to nothing.
    DialFailed,
    /// A message came from this node; the first four bytes of its id.
    Message(NodeIndex, u32),
    /// A message came that it knew already.
    Duplicate(NodeIndex, u32),
    /// A datagram came from this node.
    Datagram(NodeIndex),
    /// It acted on a deadline.
    Timeout,
    /// It told its user something.
    Event,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.at / 1_000_000, self.at % 1_000_000);
        write!(f, "{seconds:>6}.{micros:06} s  {}: ", self.node)?;
        match self.what {
            What::Started => f.write_str("started"),
            What::Crashed => f.write_str("crashed"),
            What::Paused(true) => f.write_str("paused"),
            What::Paused(false) => f.write_str("goes on"),
            What::Opened(with) => write!(f, "link to {with} opened"),
            What::Closed(with) => write!(f, "link to {with} closed"),
            What::DialFailed => f.write_str("dial failed"),
            What::Message(from, id) => write!(f, "message {id:08x} from {from}"),
            What::Duplicate(from, id) => write!(f, "message {id:08x} from {from}, known already"),
            What::Datagram(from) => write!(f, "datagram from {from}"),
            What::Timeout => f.write_str("deadline"),
            What::Event => f.write_str("told its user"),
        }
    }
}

/// The last things that happened.
#[derive(Debug)]
pub(crate) struct Recent {
    ring: Vec<Moment>,
    next: usize,
}

impl Recent {
    const KEPT: usize = 4_096;

    pub(crate) fn new() -> Self {
        Self { ring: Vec::new(), next: 0 }
    }

    pub(crate) fn note(&mut self, at: u64, node: NodeIndex, what: What) {
        let moment = Moment { at, node, what };
        match self.ring.get_mut(self.next) {
            Some(oldest) => *oldest = moment,
            None => self.ring.push(moment),
        }
        self.next = (self.next + 1) % Self::KEPT;
    }

    /// From the oldest to the newest.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Moment> {
        let (newer, older) = self.ring.split_at(self.next.min(self.ring.len()));
        older.iter().chain(newer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_moments_come_in_order() {
        let mut recent = Recent::new();
        for at in 0..3 {
            recent.note(at, NodeIndex(0), What::Event);
        }
        assert_eq!(recent.iter().map(|moment| moment.at).collect::<Vec<_>>(), [0, 1, 2]);
        for at in 3..10_000 {
            recent.note(at, NodeIndex(0), What::Event);
        }
        let kept: Vec<u64> = recent.iter().map(|moment| moment.at).collect();
        assert_eq!(kept, ((10_000 - 4_096)..10_000).collect::<Vec<_>>());
    }
}
