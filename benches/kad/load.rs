//! Users that publish and fetch, some at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How operations went.
#[derive(Debug)]
pub(crate) struct Load {
    /// How long each took, sorted.
    pub(crate) times: Vec<Duration>,
    pub(crate) failed: usize,
    pub(crate) took: Duration,
}

impl Load {
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let at = (self.times.len() as f64 * share) as usize;
        self.times.get(at.min(self.times.len().saturating_sub(1))).copied().unwrap_or_default()
    }

    pub(crate) fn rate(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }
}

/// Does something so often, by one node after the other, so many at a time.
pub(crate) async fn run<N, F>(
    nodes: &[N],
    count: usize,
    at_once: usize,
    act: impl Fn(N, usize) -> F + Send + Sync + 'static,
) -> Load
where
    N: Clone + Send + Sync + 'static,
    F: Future<Output = bool> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let act = Arc::new(act);
    let begin = Instant::now();
    let workers = (0..at_once).map(|_| {
        let (next, act, nodes) = (next.clone(), act.clone(), nodes.to_vec());
        tokio::spawn(async move {
            let (mut times, mut failed) = (Vec::with_capacity(count / at_once + 1), 0);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return (times, failed);
                }
                let node = nodes[number % nodes.len()].clone();
                let begin = Instant::now();
                let is_done = act(node, number).await;
                times.push(begin.elapsed());
                failed += usize::from(!is_done);
            }
        })
    });
    let (mut times, mut failed) = (Vec::with_capacity(count), 0);
    for worker in workers.collect::<Vec<_>>() {
        let (its, its_failed) = worker.await.unwrap();
        times.extend(its);
        failed += its_failed;
    }
    times.sort_unstable();
    Load { times, failed, took: begin.elapsed() }
}
