//! What the network between the nodes is like.

use thiserror::Error;

use crate::streams::Draws;

/// What links and datagrams meet on their way, all times in microseconds.
#[derive(Clone, Debug)]
pub struct Network {
    /// One way, between nodes of the same region and of different ones: the shortest and the
    /// longest. Each link, and each pair of nodes that exchange datagrams, draws its own once.
    pub latency: Latency,
    /// By how much a single delivery may be later than that. Streams stay in order.
    pub jitter: u64,
    /// Bytes per second that a link carries in each direction; `None` for as many as come.
    pub bandwidth: Option<u64>,
    /// Bytes that may be under way on a link in each direction, or wait to be read, before its
    /// sender has to wait; `None` for as many as come. One frame always passes.
    pub buffer: Option<usize>,
    /// Bytes that may wait at the sender of a link, as in the tokio driver's send queue. A link
    /// that exceeds it is closed as [`SlowReader`](rs2p_base::CloseReason::SlowReader).
    pub send_queue: usize,
    /// How long a dial may go without an answer.
    pub dial_timeout: u64,
    /// What becomes of datagrams.
    pub datagrams: Datagrams,
}

/// What becomes of datagrams, as shares from 0 to 1. Rules may make it worse.
#[derive(Clone, Debug, Default)]
pub struct Datagrams {
    /// How many are lost.
    pub loss: f64,
    /// How many arrive twice.
    pub duplication: f64,
    /// How many are held up, so that later ones overtake them.
    pub reordering: f64,
    /// For how long at the most, in microseconds.
    pub held_up: u64,
}

/// Latencies between regions.
#[derive(Clone, Debug)]
pub struct Latency {
    /// `(shortest, longest)` by the two regions; symmetrical in use: the smaller region first.
    matrix: Vec<Vec<(u64, u64)>>,
}

impl Latency {
    /// One region for all.
    #[must_use]
    pub fn uniform(shortest: u64, longest: u64) -> Self {
        Self { matrix: vec![vec![(shortest, longest.max(shortest))]] }
    }

    /// A matrix of `(shortest, longest)` by region and region. Only entries with the smaller
    /// region first are looked at.
    ///
    /// # Errors
    /// The matrix is not square, or empty.
    pub fn regions(matrix: Vec<Vec<(u64, u64)>>) -> Result<Self, NotSquare> {
        let size = matrix.len();
        if size == 0 || matrix.iter().any(|row| row.len() != size) {
            return Err(NotSquare);
        }
        Ok(Self { matrix })
    }

    /// How many regions there are.
    #[must_use]
    pub fn region_count(&self) -> usize {
        self.matrix.len()
    }

    /// The shortest and the longest between two regions.
    #[must_use]
    pub fn between(&self, one: usize, other: usize) -> (u64, u64) {
        let last = self.matrix.len() - 1;
        let (from, to) = (one.min(other).min(last), one.max(other).min(last));
        self.matrix[from][to]
    }

    pub(crate) fn draw(&self, one: usize, other: usize, draws: &mut Draws) -> u64 {
        let (shortest, longest) = self.between(one, other);
        draws.between(shortest, longest)
    }
}

/// A matrix of regions has as many rows as columns, and one at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a latency matrix needs as many rows as columns, and one at least")]
pub struct NotSquare;

impl Default for Network {
    /// 10 to 80 ms one way, 2 ms of jitter, links that carry as much as comes, the tokio driver's
    /// send queue of 16 MiB, dials of 10 s at most, and datagrams that all arrive once.
    fn default() -> Self {
        Self {
            latency: Latency::uniform(10_000, 80_000),
            jitter: 2_000,
            bandwidth: None,
            buffer: None,
            send_queue: 16 << 20,
            dial_timeout: 10_000_000,
            datagrams: Datagrams::default(),
        }
    }
}
