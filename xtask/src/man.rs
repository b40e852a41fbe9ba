//! `cargo xtask man`: the manual pages of the `rs2p` program.

use std::error::Error;

use crate::step::Step;
use crate::workspace::Workspace;

/// Write the manual pages of the rs2p program to target/man.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask man\n  man target/man/rs2p-mesh.1")]
pub(crate) struct Args {}

pub(crate) fn run(Args {}: &Args, workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    // The program writes them itself, so that this one is not built upon all layers.
    let line = "cargo run --quiet -p rs2p-cli -- man target/man";
    Ok(Step::new("manual pages", line).run(&workspace.root)?)
}
