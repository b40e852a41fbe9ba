//! `rs2p`: peer-to-peer nodes on the command line.
//!
//! [`args`] is what may be typed, [`settings`] makes one set of options of command line,
//! environment and file. A [`session`] is a running node that is spoken to over standard input;
//! what the commands do is up to its layer: [`mesh`],
//! [`sync`], [`chord`] or [`kad`]. [`inspect`] runs no node.

#![expect(clippy::print_stderr, reason = "a command talks to its user")]

mod args;
mod chord;
mod dictionary;
mod failure;
mod inspect;
mod json;
mod kad;
mod key;
mod mesh;
mod pages;
mod session;
mod settings;
mod sync;
mod words;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    // Wrong usage ends here, with exit status 2.
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(text) = failure.text() {
                eprintln!("error: {text}");
            }
            ExitCode::from(failure.status())
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Mesh(args) => mesh::run(&args),
        Command::Sync(args) => sync::run(&args),
        Command::Chord(args) => chord::run(&args),
        Command::Kad(args) => kad::run(&args),
        Command::Seed(args) => chord::run_seed(&args),
        Command::Inspect(args) => inspect::run(&args.what),
        Command::Completions { shell } => pages::completions(shell),
        Command::Man { directory } => pages::manual(&directory),
    }
}
