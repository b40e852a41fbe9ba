//! What the DHT costs: nodes on real sockets in one process, each with links to the others, and
//! values written and read from all of them.
//!
//! `cargo bench -p rs2p --bench chord` uses two cores. The floor is a question and an answer of the
//! same sizes between two sockets, one at a time and sixteen at a time.
//!
//! `cargo bench -p rs2p --bench chord -- mixed` does so in a ring with py2p nodes, which `cargo xtask
//! interop` installs.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

#[path = "mesh/floor.rs"]
#[expect(dead_code, reason = "the benchmark of the mesh uses all of it")]
mod floor;
#[path = "chord/load.rs"]
mod load;
#[path = "chord/nodes.rs"]
mod nodes;
#[path = "chord/old.rs"]
mod old;

use load::Load;
use tokio::runtime::{Builder, Runtime};

/// Nodes, and bytes of a value.
const NODES: usize = 16;
const VALUE: usize = 100;
/// Operations of each kind, one at a time and sixteen at a time.
const ALONE: usize = 10_000;
const TOGETHER: usize = 100_000;
/// A ring of ours and of py2p's, what is written there, and how often each of it is read.
const OURS: usize = 4;
const THEIRS: usize = 2;
const MIXED: usize = 1_000;
const TIMES: usize = 100;

fn main() {
    if !std::env::args().any(|word| word == "--bench") {
        // `cargo test` only wants to know whether it runs.
        runtime().block_on(async {
            let nodes = nodes::start(3).await;
            for load in [load::puts(&nodes, 30, 4, VALUE).await, load::gets(&nodes, 30, 4).await] {
                assert_eq!(load.failed, 0);
            }
            load::floor(30, 4, VALUE).await;
        });
        return;
    }
    if std::env::args().any(|word| word == "mixed") {
        println!("{OURS} nodes and {THEIRS} of py2p, values of {VALUE} B");
        return runtime().block_on(mixed());
    }
    println!("{NODES} nodes, values of {VALUE} B");
    show_head();
    runtime().block_on(async {
        for at_once in [1, 16] {
            let count = if at_once == 1 { ALONE } else { TOGETHER };
            let nodes = nodes::start(NODES).await;
            show(
                &format!("put, {at_once} at once"),
                &load::puts(&nodes, count, at_once, VALUE).await,
            );
            show(&format!("get, {at_once} at once"), &load::gets(&nodes, count, at_once).await);
            show(&format!("floor, {at_once} at once"), &load::floor(count, at_once, VALUE).await);
        }
    });
}

/// In a ring with py2p nodes, all in processes of their own, on the same cores.
async fn mixed() {
    let nodes = nodes::start(OURS).await;
    let mut olds = Vec::new();
    for node in nodes.iter().take(THEIRS) {
        olds.push(old::start(node).await);
    }
    show_head();
    for at_once in [1, 16] {
        show(&format!("put, {at_once} at once"), &load::puts(&nodes, MIXED, at_once, VALUE).await);
        show("get straight after", &load::gets(&nodes, MIXED, at_once).await);
    }
    for at_once in [1, 16] {
        let count = if at_once == 1 { MIXED } else { MIXED * TIMES };
        let gets = load::gets_of(&nodes, MIXED, count, at_once).await;
        show(&format!("get, {at_once} at once"), &gets);
    }
}

fn show_head() {
    println!(
        "{:>18} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "done", "failed", "a second", "p50 us", "p99 us"
    );
}

fn show(name: &str, load: &Load) {
    let micros = |share: f64| load.quantile(share).as_secs_f64() * 1e6;
    println!(
        "{name:>18} {:>9} {:>9} {:>9.0} {:>9.0} {:>9.0}",
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
