//! Users that write and read, some at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rs2p::chord::ChordSocket;
use rs2p::wire::Value;

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

/// Writes each key once, by one node after the other.
pub(crate) async fn puts(
    nodes: &[ChordSocket],
    count: usize,
    at_once: usize,
    bytes: usize,
) -> Load {
    let value = Value::Binary(vec![7; bytes]);
    run(count, at_once, nodes, move |node, number| {
        let value = value.clone();
        async move { node.set(key(number), value).await.is_ok() }
    })
    .await
}

/// Reads each key once, by another node than that which wrote it.
pub(crate) async fn gets(nodes: &[ChordSocket], count: usize, at_once: usize) -> Load {
    gets_of(nodes, count, count, at_once).await
}

/// Reads so many times, each of `keys` keys in turn.
pub(crate) async fn gets_of(
    nodes: &[ChordSocket],
    keys: usize,
    count: usize,
    at_once: usize,
) -> Load {
    run(count, at_once, nodes, move |node, number| async move {
        let number = (number + 5) % keys;
        matches!(node.get(key(number)).await, Ok(Some(_)))
    })
    .await
}

/// What sockets cost that do nothing but send a value to and fro.
pub(crate) async fn floor(count: usize, at_once: usize, bytes: usize) -> Load {
    let begin = Instant::now();
    let each = (count / at_once) as u32;
    let pairs = (0..at_once).map(|_| tokio::spawn(crate::floor::round_trips(bytes, each)));
    let mut times = Vec::with_capacity(count);
    for pair in pairs.collect::<Vec<_>>() {
        times.extend(pair.await.unwrap());
    }
    times.sort_unstable();
    Load { times, failed: 0, took: begin.elapsed() }
}

fn key(number: usize) -> String {
    format!("key {number}")
}

async fn run<F>(
    count: usize,
    at_once: usize,
    nodes: &[ChordSocket],
    act: impl Fn(ChordSocket, usize) -> F + Send + Sync + 'static,
) -> Load
where
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
