//! `cargo xtask`: the project's own commands. CI runs nothing but these.
//!
//! One file per command. A command is a list of [`step::Step`]s, each an ordinary command line
//! that is printed before it runs, so that anybody can repeat it by hand.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to its user")]

mod bench;
mod ci;
mod fuzz;
mod interop;
mod man;
mod simnet;
mod step;
mod test;
mod tidy;
mod workspace;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// The project's own commands.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Example:\n  cargo xtask ci    # everything that must pass before a change goes in"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Bench(bench::Args),
    Ci(ci::Args),
    Fuzz(fuzz::Args),
    Interop(interop::Args),
    Man(man::Args),
    Simnet(simnet::Args),
    Test(test::Args),
    Tidy(tidy::Args),
}

fn main() -> ExitCode {
    // Wrong usage ends here, with exit status 2.
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode, Box<dyn Error>> {
    let workspace = Workspace::load()?;
    match command {
        Command::Bench(args) => bench::run(&args, &workspace)?,
        Command::Ci(args) => ci::run(&args, &workspace)?,
        Command::Fuzz(args) => fuzz::run(&args, &workspace)?,
        Command::Interop(args) => interop::run(&args, &workspace)?,
        Command::Man(args) => man::run(&args, &workspace)?,
        Command::Simnet(args) => return simnet::run(&args, &workspace),
        Command::Test(args) => test::run(&args, &workspace)?,
        Command::Tidy(args) => tidy::run(&args, &workspace)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed_and_every_command_shows_an_example() {
        let mut cli = super::Cli::command();
        cli.build();
        cli.clone().debug_assert();
        for command in cli.get_subcommands().filter(|command| command.get_name() != "help") {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = format!("cargo xtask {}", command.get_name());
            assert!(help.contains(&example), "{example}: {help:?}");
            assert!(command.get_about().is_some(), "{example}");
        }
    }
}
