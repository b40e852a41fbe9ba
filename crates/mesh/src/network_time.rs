//! What time it is for the network.
//!
//! Nodes drop broadcasts that are older than a minute, by what their authors wrote. A node whose
//! clock is behind would be heard by nobody, and one whose clock is ahead would hear nobody. So a
//! node goes by what most of its peers say, when that is far from what its own clock tells.

use std::time::Duration;

use rs2p_base::{Link, Time};
use rs2p_wire::Message;

use crate::machine::Mesh;
use crate::waterfall::Waterfall;

/// Clocks that differ by less, in seconds, are left alone.
const TOLERATED: u64 = 20;
const JUDGED_EVERY: Duration = Duration::from_secs(5);

/// What this node makes of its clock.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// By how many seconds most peers' clocks are ahead of it, if they are far off.
    pub(crate) off: i64,
    /// When that was last looked at.
    judged: Option<Time>,
}

impl Mesh {
    /// What time it is for the network: this node's clock, unless most of the peers say that it is
    /// off by more than 20 s. It can go backwards.
    #[must_use]
    pub fn network_time(&self, now: Time) -> Time {
        let off = self.clock.off.saturating_mul(1_000);
        Time::from_millis(now.as_millis().saturating_add_signed(off))
    }

    /// Looks at the clocks when a message is dated far from now, ahead or behind.
    pub(crate) fn compare_clocks(&mut self, now: Time, message: &Message) {
        let apart = message.time().abs_diff(self.network_time(now).as_secs());
        if apart > TOLERATED {
            self.judge_clock(now);
        }
    }

    /// Whether a broadcast is so old that it may be a copy of one that was forgotten (spec section
    /// 7.3).
    pub(crate) fn is_expired(&self, now: Time, message: &Message) -> bool {
        let written = Time::from_secs(message.time());
        written + Waterfall::WINDOW < self.network_time(now).whole_secs()
    }

    /// Looks at what most of the clocks tell, this node's own among them: their median. At most
    /// once in a few seconds.
    pub(crate) fn judge_clock(&mut self, now: Time) {
        if self.clock.judged.is_some_and(|judged| now.since(judged) < JUDGED_EVERY) {
            return;
        }
        self.clock.judged = Some(now);
        let links = self.peers.values().filter_map(|peer| self.links.get(peer.link));
        let mut votes: Vec<i64> = links.filter_map(Link::ahead).chain([0]).collect();
        votes.sort_unstable();
        let (lower, upper) = (votes[(votes.len() - 1) / 2], votes[votes.len() / 2]);
        let median = if lower.unsigned_abs() < upper.unsigned_abs() { lower } else { upper };
        let off = if median.unsigned_abs() <= TOLERATED { 0 } else { median };
        if off.abs_diff(self.clock.off) <= 2 {
            return;
        }
        self.clock.off = off;
        if off != 0 {
            let which = if off < 0 { "ahead of" } else { "behind" };
            let by = off.unsigned_abs();
            let what = format_args!("this node's clock is {by} s {which} most peers': set it");
            self.problems.note(now, what);
        }
    }
}
