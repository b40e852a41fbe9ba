//! `simnet`: runs scenarios in the simulator. `cargo xtask simnet` builds and starts it.
//!
//! What may be typed, and what happens then, is in [`program`].

#![expect(clippy::print_stderr, reason = "a command talks to its user")]

mod program;

use std::process::ExitCode;

use clap::Parser as _;

use crate::program::Cli;

fn main() -> ExitCode {
    // Wrong usage ends here, with exit status 2.
    let cli = Cli::parse();
    match program::run(cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.status())
        }
    }
}
