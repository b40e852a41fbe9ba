//! What ten thousand simulated mesh nodes cost, beside the least that their events can cost.
//!
//! The floor is a bare event loop: a queue of what is to happen, and a counter for each node. With
//! every byte encoded there is a second one, a SHA-256 of each frame that is delivered. Pin the
//! process to one core: `cargo xtask bench simnet`. A hundred thousand nodes, which takes a minute:
//! `cargo xtask bench simnet -- large`. A single flood, for a profiler: `-- once`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "simnet/flood.rs"]
mod flood;
#[path = "simnet/floor.rs"]
mod floor;
#[path = "simnet/process.rs"]
mod process;

use rs2p::wire::Limits;
use rs2p_simnet::Fidelity;

use crate::flood::{Flood, flood};
use crate::floor::{HeapQueue, WheelQueue, event_loop, hashes};

const NODES: u32 = 10_000;
const MANY: u32 = 100_000;
/// Events that a run of a bare loop lets happen.
const EVENTS: u32 = 4_000_000;
/// Runs of each kind, taken in turn; the tables have medians.
const RUNS: usize = 5;
const FLOODS: usize = 3;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|given| given == word);
    if !has("--bench") {
        // `cargo test` only wants to know whether it runs.
        event_loop::<HeapQueue>(100, 10_000);
        event_loop::<WheelQueue>(100, 10_000);
        flood(100, Fidelity::Messages);
    } else if has("large") {
        println!("{MANY} mesh nodes find each other in 30 virtual seconds, then 1 broadcast");
        single(MANY, || flood::large(MANY));
    } else if has("once") {
        single(NODES, || flood(NODES, Fidelity::Messages));
    } else {
        floods();
        floors();
    }
}

fn floors() {
    println!("\nbare event loops, 8 events under way for each node, millions of events per second");
    println!("{:>8} {:>8} {:>8}", "nodes", "heap", "wheel");
    for nodes in [1_000, NODES, MANY] {
        let mut rates = [const { Vec::new() }; 2];
        for _ in 0..RUNS {
            rates[0].push(event_loop::<HeapQueue>(nodes, EVENTS));
            rates[1].push(event_loop::<WheelQueue>(nodes, EVENTS));
        }
        let [heap, wheel] = rates.map(|rates| median(rates) / 1e6);
        println!("{nodes:>8} {heap:>8.1} {wheel:>8.1}");
    }
}

fn floods() {
    println!("{NODES} mesh nodes find each other in 30 virtual seconds, then 10 broadcasts");
    heading();
    let mut first = None;
    for (name, fidelity) in
        [("messages", Fidelity::Messages), ("frames", Fidelity::Frames(Limits::default()))]
    {
        let mut runs = Vec::new();
        for _ in 0..FLOODS {
            let run = Run::new(NODES, || flood(NODES, fidelity));
            first.get_or_insert(run.flood);
            runs.push(run);
        }
        row(name, &runs);
    }
    if let Some(first) = first {
        memory(&first, NODES);
    }
}

fn single(nodes: u32, flood: impl FnOnce() -> Flood) {
    heading();
    let run = Run::new(nodes, flood);
    row("messages", &[run]);
    memory(&run.flood, nodes);
}

/// A flood, and the floors beside it.
#[derive(Clone, Copy)]
struct Run {
    flood: Flood,
    /// Events per second of a bare heap with as many nodes.
    heap: f64,
    /// Frames as large that can be hashed per second.
    hashes: f64,
}

impl Run {
    /// The flood comes first: memory that a process has once had it keeps, so what the first flood
    /// takes shows only where nothing came before it.
    fn new(nodes: u32, flood: impl FnOnce() -> Flood) -> Self {
        let flood = flood();
        let heap = event_loop::<HeapQueue>(nodes, EVENTS);
        Self { flood, heap, hashes: hashes(flood.bytes_each()) }
    }
}

fn heading() {
    println!(
        "{:>10} {:>8} {:>8} {:>8} {:>8} {:>10} {:>10} {:>8} {:>8} {:>10} {:>8}",
        "travel as",
        "join s",
        "M/s",
        "cast s",
        "total s",
        "M deliv.",
        "M deliv./s",
        "M heap/s",
        "ratio",
        "M hash/s",
        "ratio"
    );
}

fn row(name: &str, runs: &[Run]) {
    let of = |value: fn(&Run) -> f64| median(runs.iter().map(value));
    println!(
        "{name:>10} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>10.2} {:>10.2} {:>8.1} {:>8.3} {:>10.2} \
         {:>8.3}",
        of(|run| run.flood.join),
        of(|run| run.flood.join_deliveries / run.flood.join / 1e6),
        of(|run| run.flood.cast),
        of(|run| run.flood.join + run.flood.cast),
        of(|run| run.flood.cast_deliveries / 1e6),
        of(|run| run.flood.rate() / 1e6),
        of(|run| run.heap / 1e6),
        of(|run| run.flood.rate() / run.heap),
        of(|run| run.hashes / 1e6),
        of(|run| run.flood.rate() / run.hashes),
    );
}

fn memory(flood: &Flood, nodes: u32) {
    let nodes = f64::from(nodes);
    println!("\nmemory that the process has grown by, bytes");
    println!("{:>12.0} per node, idle, with {:.1} links", flood.idle / nodes, flood.links);
    println!("{:>12.0} per node after the broadcasts", flood.heard / nodes);
    println!("{:>12.0} MiB at the most", process::peak() / (1 << 20) as f64);
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
