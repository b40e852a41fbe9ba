//! How a node is doing.

use std::collections::VecDeque;
use std::time::Duration;

use rs2p_base::Time;

/// How a node is doing.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MeshStatus {
    /// How long the node has been running.
    pub uptime: Duration,
    /// Peers.
    pub peers: usize,
    /// Peers whose link this node opened.
    pub outgoing: usize,
    /// Links whose handshake is not done.
    pub opening: usize,
    /// Dials on their way.
    pub dialling: usize,
    /// Addresses of other nodes that are known.
    pub addresses: usize,
    /// Messages that wait for their receiver's address.
    pub deferred: usize,
    /// Broadcasts that would be recognised.
    pub seen: usize,
    /// By how many seconds most peers' clocks are ahead of this node's, where that is more than
    /// 20 s: [`network_time`](crate::Mesh::network_time) follows them then.
    pub clock_off: i64,
    /// What has passed.
    pub counts: MeshCounts,
    /// The last things that went wrong, oldest first, 16 at the most.
    pub problems: Vec<(Time, String)>,
}

/// What has passed through a node since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MeshCounts {
    /// Messages of this node's own, each counted once however many peers it went to.
    pub sent: u64,
    /// Messages handed to handlers or told as events.
    pub delivered: u64,
    /// Broadcasts passed on.
    pub relayed: u64,
    /// Broadcasts that had come before.
    pub duplicates: u64,
    /// Broadcasts older than 60 s.
    pub expired: u64,
    /// Messages that made no sense, and went nowhere.
    pub malformed: u64,
    /// Requests and the like from peers that ask too often, not answered.
    pub unanswered: u64,
}

/// The last few things that went wrong.
#[derive(Debug, Default)]
pub(crate) struct Problems(VecDeque<(Time, String)>);

impl Problems {
    const KEPT: usize = 16;

    pub(crate) fn note(&mut self, now: Time, problem: impl ToString) {
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back((now, problem.to_string()));
    }

    pub(crate) fn list(&self) -> Vec<(Time, String)> {
        self.0.iter().cloned().collect()
    }
}
