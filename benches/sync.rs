//! What the replicated dictionary costs: until all nodes have what is written, until one that comes
//! late has everything, and to read a key.
//!
//! Joining is shown beside two sockets that pass the same bytes on in frames of 64 KiB, each hashed
//! at both ends. `cargo xtask bench sync` pins it to one core; `cargo bench -p rs2p --bench sync`
//! uses two.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "mesh/floor.rs"]
#[expect(dead_code, reason = "the benchmark of the mesh uses all of it")]
mod floor;
#[path = "sync/nodes.rs"]
mod nodes;

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Runs of each kind; the table has medians.
const RUNS: usize = 5;
/// Nodes that write, and how much.
const NODES: usize = 8;
const WRITES: usize = 1_000;
/// Keys that a newcomer is told of.
const KEYS: usize = 100_000;
/// Bytes of a value.
const SIZES: [usize; 3] = [10, 100, 1_000];

fn main() {
    if !std::env::args().any(|word| word == "--bench") {
        // `cargo test` only wants to know whether it runs.
        runtime().block_on(async {
            nodes::spread(3, 30, false).await;
            nodes::join(100, 100).await;
            nodes::reads(100, 1_000).await;
        });
        return;
    }
    println!("{NODES} nodes, {WRITES} keys set, milliseconds until all have all");
    for (name, by_all) in [("set by one", false), ("set by all", true)] {
        let times = (0..RUNS).map(|_| runtime().block_on(nodes::spread(NODES, WRITES, by_all)));
        println!("{name:>12} {:>8.1}", 1e3 * median(times.map(|took| took.as_secs_f64())));
    }

    println!("\na node joins one that has {KEYS} keys, MB of keys and values a second");
    println!("{:>8} {:>8} {:>8} {:>8} {:>8}", "bytes", "ms", "join", "floor", "ratio");
    for size in SIZES {
        let bytes = (KEYS * (nodes::KEY + size)) as f64;
        let frames = (bytes / 65_536.0).ceil() as u32;
        let mut figures = [const { Vec::new() }; 3];
        for _ in 0..RUNS {
            let rate = |took: Duration| bytes / 1e6 / took.as_secs_f64();
            let joined = runtime().block_on(nodes::join(KEYS, size));
            figures[0].push(1e3 * joined.as_secs_f64());
            figures[1].push(rate(joined));
            figures[2].push(rate(runtime().block_on(floor::one_way(64 << 10, frames, 1))));
        }
        let [took, join, floor] = figures.map(median);
        println!("{size:>8} {took:>8.1} {join:>8.1} {floor:>8.1} {:>8.2}", join / floor);
    }

    println!("\nnanoseconds to read a key, by the handle of a running node");
    for keys in [1_000, KEYS] {
        let times = (0..RUNS).map(|_| runtime().block_on(nodes::reads(keys, 1_000_000)));
        println!("{keys:>8} keys {:>8.0}", median(times));
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
