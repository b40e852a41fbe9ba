//! `cargo xtask test`: every test and doc test.

use std::error::Error;
use std::path::Path;

use crate::interop;
use crate::step::Step;
use crate::workspace::Workspace;

/// Run all tests, doc tests and examples, with all features, those with real processes, and
/// those with py2p and js2p.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask test\n\n\
    A single test: cargo test -p rs2p-wire --all-features NAME")]
pub(crate) struct Args {}

pub(crate) fn run(Args {}: &Args, workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    run_all(&workspace.root)
}

pub(crate) fn run_all(root: &Path) -> Result<(), Box<dyn Error>> {
    // Plain `cargo test`, so that a fresh machine needs nothing else. It builds the examples and,
    // as each carries a test of its own, runs them.
    Step::new("tests", "cargo test --workspace --all-features").run(root)?;
    Step::new("program for real processes", "cargo build -p rs2p-cli --all-features").run(root)?;
    let line = "cargo test -p rs2p-scenarios --all-features --test real -- --ignored";
    Step::new("real processes", line).run(root)?;
    interop::run_in(root, None)
}
