//! `cargo xtask test`: every test and doc test.

use std::error::Error;

use crate::step::Step;
use crate::workspace::Workspace;

/// Run all tests, doc tests and examples, with all features.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask test\n\n\
    A single test: cargo test -p rs2p-wire --all-features NAME")]
pub(crate) struct Args {}

pub(crate) fn run(Args {}: &Args, workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    steps().iter().try_for_each(|step| Ok(step.run(&workspace.root)?))
}

pub(crate) fn steps() -> Vec<Step> {
    // Plain `cargo test`, so that a fresh machine needs nothing else. It builds the examples and,
    // as each carries a test of its own, runs them.
    vec![Step::new("tests", "cargo test --workspace --all-features")]
}
