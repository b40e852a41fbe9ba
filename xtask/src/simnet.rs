//! `cargo xtask simnet`: scenarios in the simulator.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::process::{Command, ExitCode};

use crate::workspace::Workspace;

/// Run scenarios in the simulator; without one, a tour of every layer.
///
/// The words go to the program `simnet`, whose help this shows: cargo xtask simnet --help
#[derive(clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  \
        cargo xtask simnet\n  \
        cargo xtask simnet --help                 # everything it can do\n  \
        cargo xtask simnet mesh/churn --runs 100"
)]
pub(crate) struct Args {
    /// Words for the program.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORDS")]
    words: Vec<OsString>,
}

/// The program's exit status is this one's.
pub(crate) fn run(args: &Args, workspace: &Workspace) -> Result<ExitCode, Box<dyn Error>> {
    let built = workspace.root.join("target/simnet/simnet");
    if !built.exists() && io::stderr().is_terminal() {
        eprintln!("Building the simulator; the first time takes a minute or two.");
    }
    // Where the caller is, so that paths mean what they say, and without the lines around a step:
    // with --json, standard output is for outcomes only.
    let status = Command::new("cargo")
        .args(["run", "--quiet", "--profile", "simnet", "-p", "rs2p-scenarios", "--bin", "simnet"])
        .arg("--manifest-path")
        .arg(workspace.root.join("Cargo.toml"))
        .arg("--")
        .args(&args.words)
        .status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    // Without a status of its own it was ended by a signal.
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
