//! rs2p nodes in one network with running py2p, js2p and Bytestag nodes.
//!
//! `cargo xtask interop` installs the originals and runs these tests; `cargo test` shows them as
//! ignored. `peers/README.md` describes the programs that run the originals.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bridge;
mod bursts;
mod bytestag;
mod chord;
mod comeback;
mod compression;
mod disturbances;
mod handshake;
mod messages;
mod networks;
mod node;
mod peer;
mod requests;
mod sync;
mod two_links;
mod values;

use std::pin::pin;
use std::time::Duration;

use tokio::time::timeout;

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a whole test may take. Most of it is for peers that start slowly on a busy machine.
const LIMIT: Duration = Duration::from_secs(80);

/// Runs a test in a runtime of its own.
fn run(test: impl Future<Output = ()>) {
    run_within(LIMIT, test);
}

/// As [`run`], for a test that may take longer than others.
fn run_within(limit: Duration, test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        // Peers are dropped after this has panicked, and know then that the test has failed.
        let mut test = pin!(test);
        assert!(timeout(limit, test.as_mut()).await.is_ok(), "over {limit:?} in all");
    });
}
