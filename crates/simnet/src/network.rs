//! How long things take between two places.

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;

/// What links are like, all times in microseconds.
#[derive(Clone, Debug)]
pub struct Network {
    /// One way, between nodes of the same region and of different ones: the shortest and the
    /// longest. Each link draws its own once.
    pub latency: Latency,
    /// By how much a single delivery may be later than the link's latency. Streams stay in order.
    pub jitter: u64,
    /// Bytes per second that a link carries in each direction; `None` for as many as come.
    pub bandwidth: Option<u64>,
    /// How long a dial may go without an answer.
    pub dial_timeout: u64,
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

    pub(crate) fn draw(&self, one: usize, other: usize, rng: &mut Xoshiro256PlusPlus) -> u64 {
        let last = self.matrix.len() - 1;
        let (from, to) = (one.min(other).min(last), one.max(other).min(last));
        let (shortest, longest) = self.matrix[from][to];
        rng.random_range(shortest..=longest.max(shortest))
    }
}

/// A matrix of regions has as many rows as columns, and one at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSquare;

impl std::fmt::Display for NotSquare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a latency matrix needs as many rows as columns, and one at least")
    }
}

impl std::error::Error for NotSquare {}

impl Default for Network {
    /// 10 to 80 ms one way, 2 ms of jitter, no limit of bandwidth, dials of 10 s at most.
    fn default() -> Self {
        Self {
            latency: Latency::uniform(10_000, 80_000),
            jitter: 2_000,
            bandwidth: None,
            dial_timeout: 10_000_000,
        }
    }
}
