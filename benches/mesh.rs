//! What a mesh costs, beside the least that two sockets can cost.
//!
//! The floor is tokio's TCP with a length-delimited codec and one SHA-256 at each end. Both run in
//! one thread; pin the process to one core, or figures vary tenfold:
//! `cargo xtask bench mesh`. Ten million messages, each checked: `cargo xtask bench mesh -- soak`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "mesh/floor.rs"]
mod floor;
#[path = "mesh/memory.rs"]
mod memory;
#[path = "mesh/nodes.rs"]
mod nodes;
#[path = "mesh/soak.rs"]
mod soak;

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

/// Bytes of binary payload, and how many messages of that size make a run.
const SIZES: [(usize, u32); 3] = [(64, 400_000), (1 << 10, 200_000), (64 << 10, 6_000)];
/// Runs of each kind, taken in turn; the table has medians.
const RUNS: usize = 5;
const ROUND_TRIPS: u32 = 5_000;
const BROADCASTS: u32 = 20_000;

fn main() {
    if !std::env::args().any(|word| word == "--bench") {
        // `cargo test` only wants to know whether it runs.
        let runtime = runtime();
        runtime.block_on(nodes::one_way(64, 1_000));
        return;
    }
    if std::env::args().any(|word| word == "soak") {
        runtime().block_on(soak::run());
        return;
    }
    println!("one way, messages per second");
    println!(
        "{:>8} {:>12} {:>12} {:>12} {:>8}",
        "bytes", "floor each", "floor 64", "mesh", "ratio"
    );
    for (size, count) in SIZES {
        let mut rates = [const { Vec::new() }; 3];
        for _ in 0..RUNS {
            rates[0].push(rate(count / 4, floor::one_way(size, count / 4, 1)));
            rates[1].push(rate(count, floor::one_way(size, count, 64)));
            rates[2].push(rate(count, nodes::one_way(size, count)));
        }
        let ratio = median(rates[2].iter().zip(&rates[1]).map(|(mesh, floor)| mesh / floor));
        let [each, batched, mesh] = rates.map(median);
        println!("{size:>8} {each:>12.0} {batched:>12.0} {mesh:>12.0} {ratio:>8.2}");
    }
    println!("\nround trip, microseconds");
    println!(
        "{:>8} {:>10} {:>10} {:>10} {:>10} {:>8} {:>8}",
        "bytes", "floor p50", "floor p99", "mesh p50", "mesh p99", "r50", "r99"
    );
    for (size, _) in SIZES {
        let mut points = [const { Vec::new() }; 4];
        for _ in 0..RUNS {
            let floor = percentiles(runtime().block_on(floor::round_trips(size, ROUND_TRIPS)));
            let mesh = percentiles(runtime().block_on(nodes::round_trips(size, ROUND_TRIPS)));
            for (points, value) in points.iter_mut().zip([floor.0, floor.1, mesh.0, mesh.1]) {
                points.push(value);
            }
        }
        let [f50, f99, m50, m99] = points.map(median);
        println!(
            "{size:>8} {f50:>10.1} {f99:>10.1} {m50:>10.1} {m99:>10.1} {:>8.2} {:>8.2}",
            m50 / f50,
            m99 / f99
        );
    }
    println!("\nbroadcast of 1 KiB into 16 nodes, deliveries per second");
    let deliveries = |took: Duration| f64::from(BROADCASTS) * 15.0 / took.as_secs_f64();
    let rates =
        (0..RUNS).map(|_| deliveries(runtime().block_on(nodes::flood(16, 1 << 10, BROADCASTS))));
    println!("{:>12.0}", median(rates));
    println!("\nmemory when idle, bytes on the heap");
    memory::print(&runtime());
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn rate(count: u32, run: impl Future<Output = Duration>) -> f64 {
    f64::from(count) / runtime().block_on(run).as_secs_f64()
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Median and 99th percentile, in microseconds.
fn percentiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e6;
    (at(50), at(99))
}
