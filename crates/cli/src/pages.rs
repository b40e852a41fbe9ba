//! What packagers install beside the program: completion scripts and manual pages.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::Failure;

/// Prints a completion script.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rs2p", &mut script);
    io::stdout().write_all(&script).map_err(Failure::failed)
}

/// Writes a page for the program and one for each of its commands.
pub(crate) fn manual(directory: &Path) -> Result<(), Failure> {
    let failed = |error| Failure::Failed(format!("{}: {error}", directory.display()));
    fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), directory).map_err(failed)
}
