//! What the Kademlia DHT costs: nodes on real UDP sockets in one process, which all know each
//! other, and values published by and fetched from all of them; then a file from one to another.
//!
//! `cargo bench -p rs2p --bench kad` uses two cores. The floor of operations is a datagram of the
//! same size to and fro, that of the file as many bytes in datagrams of the same size one way.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot run may stop")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "kad/floor.rs"]
mod floor;
#[path = "kad/load.rs"]
mod load;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use load::Load;
use rs2p::bytestag::{DhtConfig, DhtNode, ValueId};
use tokio::runtime::{Builder, Runtime};

/// Nodes, and bytes of a value.
const NODES: usize = 16;
const VALUE: usize = 100;
/// Nodes beside them that keep nothing of others, so that they have to ask.
const READERS: usize = 4;
/// Operations one at a time and sixteen at a time.
const ALONE: usize = 3_000;
const TOGETHER: usize = 20_000;
/// Bytes of the file.
const FILE: usize = 64 << 20;

fn main() {
    if !std::env::args().any(|word| word == "--bench") {
        // `cargo test` only wants to know whether it runs.
        runtime().block_on(async {
            let (nodes, readers) = nodes(3, 1).await;
            assert_eq!(puts(&nodes, 20, 4).await.failed, 0);
            assert_eq!(gets(&nodes, 20, 4).await.failed, 0);
            assert_eq!(gets(&readers, 20, 4).await.failed, 0);
            file(1 << 20).await;
            floor::one_way(1 << 16).await;
            floor::round_trips(VALUE, 20).await;
        });
        return;
    }
    println!("{NODES} nodes, values of {VALUE} B");
    println!(
        "{:>24} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "done", "failed", "a second", "p50 us", "p99 us"
    );
    runtime().block_on(async {
        for at_once in [1, 16] {
            let count = if at_once == 1 { ALONE } else { TOGETHER };
            let (nodes, readers) = nodes(NODES, READERS).await;
            show(&format!("put, {at_once} at once"), &puts(&nodes, count, at_once).await);
            show(&format!("get asked, {at_once} at once"), &gets(&readers, count, at_once).await);
            show(&format!("get held, {at_once} at once"), &gets(&nodes, count, at_once).await);
            show(&format!("floor, {at_once} at once"), &floor_load(count, at_once).await);
        }
        println!();
        for _ in 0..3 {
            let (took, bound) = (file(FILE).await, floor::one_way(FILE).await);
            let rate = |took: Duration| (FILE >> 20) as f64 / took.as_secs_f64();
            println!(
                "{} MiB: fetched at {:.0} MiB/s; bare datagrams {:.0} MiB/s; ratio {:.2}",
                FILE >> 20,
                rate(took),
                rate(bound),
                bound.as_secs_f64() / took.as_secs_f64()
            );
        }
    });
}

/// Nodes that all know each other: some that keep values, and some that keep none of others.
async fn nodes(keeping: usize, reading: usize) -> (Vec<DhtNode>, Vec<DhtNode>) {
    let mut all: Vec<DhtNode> = Vec::new();
    for number in 0..keeping + reading {
        let capacity = if number < keeping { 1 << 36 } else { 0 };
        // What is measured is the cost of operations, so nothing is stored beside.
        let config = DhtConfig { capacity, caches: false, rate: 1_000_000, ..DhtConfig::default() };
        let node = DhtNode::builder().config(config).start().await.unwrap();
        if let Some(first) = all.first() {
            node.join([first.address()]).await.unwrap();
        }
        all.push(node);
    }
    for node in &all {
        for other in all.iter().filter(|other| other.id() != node.id()) {
            node.ping(other.address()).await.unwrap();
        }
    }
    let readers = all.split_off(keeping);
    (all, readers)
}

fn value(number: usize) -> Vec<u8> {
    let mut value = vec![7; VALUE];
    value[..8].copy_from_slice(&(number as u64).to_be_bytes());
    value
}

async fn puts(nodes: &[DhtNode], count: usize, at_once: usize) -> Load {
    load::run(nodes, count, at_once, |node, number| async move {
        matches!(node.put(value(number)).await, Ok((_, copies)) if copies.silent == 0)
    })
    .await
}

/// Each by another node than that which published it.
async fn gets(nodes: &[DhtNode], count: usize, at_once: usize) -> Load {
    load::run(nodes, count, at_once, move |node, number| async move {
        let id = ValueId::of(&value((number + 5) % count));
        node.get(id.key, Some(id.index)).await.is_ok()
    })
    .await
}

async fn floor_load(count: usize, at_once: usize) -> Load {
    let begin = Instant::now();
    let pairs = (0..at_once).map(|_| tokio::spawn(floor::round_trips(VALUE, count / at_once)));
    let mut times = Vec::with_capacity(count);
    for pair in pairs.collect::<Vec<_>>() {
        times.extend(pair.await.unwrap());
    }
    times.sort_unstable();
    Load { times, failed: 0, took: begin.elapsed() }
}

/// How long it takes to fetch a file of so many bytes from the node that shares it: reading,
/// hashing on both sides, and writing included.
async fn file(bytes: usize) -> Duration {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    let content: Vec<u8> = (0..bytes as u64)
        .flat_map(|at| at.wrapping_mul(0x9e37_79b9).to_be_bytes())
        .take(bytes)
        .collect();
    std::fs::write(&path, content).unwrap();
    // Only the sharer has it: the other one keeps nothing of others.
    let config = DhtConfig { capacity: 0, rate: 1_000_000, ..DhtConfig::default() };
    let sharer = DhtNode::builder().config(config.clone()).start().await.unwrap();
    let fetcher = DhtNode::builder().config(config).start().await.unwrap();
    fetcher.join([sharer.address()]).await.unwrap();
    let shared = sharer.share(&path, |_| ControlFlow::Continue(())).await.unwrap();
    let begin = Instant::now();
    fetcher.fetch(&shared.magnet, directory.path().join("fetched"), |_| {}).await.unwrap();
    begin.elapsed()
}

fn show(name: &str, load: &Load) {
    let micros = |share: f64| load.quantile(share).as_secs_f64() * 1e6;
    println!(
        "{name:>24} {:>9} {:>9} {:>9.0} {:>9.0} {:>9.0}",
        load.times.len(),
        load.failed,
        load.rate(),
        micros(0.5),
        micros(0.99)
    );
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
