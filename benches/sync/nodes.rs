//! Nodes of a dictionary on sockets of this machine.

use std::hint::black_box;
use std::time::{Duration, Instant};

use rs2p::mesh::OverMesh as _;
use rs2p::sync::{Sync, SyncSocket};
use rs2p::wire::Value;

/// Bytes of a key.
pub(crate) const KEY: usize = 16;

async fn node() -> SyncSocket {
    SyncSocket::builder().start().await.unwrap()
}

fn key(number: usize) -> String {
    format!("key-{number:012}")
}

/// How long it takes until all nodes have what one, or each in turn, has set.
pub(crate) async fn spread(count: usize, keys: usize, by_all: bool) -> Duration {
    let mut nodes = vec![node().await];
    while nodes.len() < count {
        let newcomer = node().await;
        newcomer.connect(nodes[0].address().unwrap()).await.unwrap();
        nodes.push(newcomer);
    }
    for node in &nodes {
        let linked = |sync: &Sync| (sync.mesh().peer_count() >= count.min(3) - 1).then_some(());
        node.wait_for(linked).await.unwrap();
    }
    let start = Instant::now();
    for number in 0..keys {
        let by = if by_all { number % count } else { 0 };
        nodes[by].set(key(number), number).await.unwrap();
    }
    for node in &nodes {
        has(node, keys).await;
    }
    start.elapsed()
}

/// How long it takes until a newcomer has everything.
pub(crate) async fn join(keys: usize, size: usize) -> Duration {
    let (full, newcomer) = (node().await, node().await);
    for number in 0..keys {
        // Not all the same, or compression would make them vanish.
        let mut seed = number as u64;
        let noise = std::iter::from_fn(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            Some((seed >> 56) as u8)
        });
        let value = Value::Binary(noise.take(size).collect());
        full.set(key(number), value).await.unwrap();
    }
    let start = Instant::now();
    newcomer.connect(full.address().unwrap()).await.unwrap();
    has(&newcomer, keys).await;
    start.elapsed()
}

async fn has(node: &SyncSocket, keys: usize) {
    let all = |sync: &Sync| (sync.len() == keys).then_some(());
    node.wait_for(all).await.unwrap();
}

/// How many nanoseconds it takes to read a key.
pub(crate) async fn reads(keys: usize, count: usize) -> f64 {
    let node = node().await;
    for number in 0..keys {
        node.set(key(number), number).await.unwrap();
    }
    let names: Vec<String> = (0..keys).map(key).collect();
    let start = Instant::now();
    let mut at = 0;
    for _ in 0..count {
        // The table scatters keys, so that neighbours are as far from each other as any.
        at = (at + 1) % keys;
        black_box(node.get(&names[at]).unwrap());
    }
    start.elapsed().as_secs_f64() * 1e9 / count as f64
}
