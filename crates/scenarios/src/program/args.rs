//! What may be typed behind `simnet`.

use std::collections::BTreeSet;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::thread;

use clap::{ArgAction, Args, Parser, Subcommand};

use super::failure::Failure;
use super::sets;
use super::shard::Shard;

/// Run scenarios in the simulator: thousands of real nodes in one process, in virtual time.
///
/// Without a SCENARIO it is a tour of every layer, within a minute on two cores. It ends in a
/// table, and a report to open in a browser.
#[derive(Debug, Parser)]
#[command(
    name = "simnet",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = EXAMPLES
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Join what shards have written: table, report, outcome.json.
    #[command(after_help = "\
Example:
  cargo xtask simnet mesh/churn --runs 100 --shard 0/2 --out results    # on one machine
  cargo xtask simnet mesh/churn --runs 100 --shard 1/2 --out results    # on another
  cargo xtask simnet merge results

Exit status: 0 all passed, 1 some bound or invariant failed or a shard is missing, 2 the files
cannot be read or are of different runs.")]
    Merge(MergeArgs),
}

#[derive(Args, Debug)]
pub(crate) struct MergeArgs {
    /// Where the files shard-I-of-N.json are; the report goes there too.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// A built-in scenario, such as mesh/flood, or the path of a TOML file.
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<String>,

    /// Nodes at the start, in the place of what the scenario says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) nodes: Option<u32>,

    /// The seed, or the first one: everything random is drawn from it.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,

    /// Run this many seeds, S and those that follow; tells which fail and how to repeat them.
    #[arg(long, value_name = "K", default_value = "1")]
    pub(crate) runs: NonZeroU64,

    /// Runs at the same time [default: one for each core].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Print the outcomes as JSON, a line each, and nothing else on standard output.
    #[arg(long)]
    pub(crate) json: bool,

    /// Where report.html and outcome.json go [default: target/simnet].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Plant a bug, to see it found; --list names them.
    #[arg(long, value_name = "NAME")]
    pub(crate) bug: Option<String>,

    /// Leave out faults by number, such as 0,3-5; --shrink tells which do not matter.
    #[arg(long, value_name = "NUMBERS", value_parser = sets::parse)]
    without: Option<BTreeSet<usize>>,

    /// Of the first run that fails, find the few faults that are needed for it.
    #[arg(long, conflicts_with = "shard")]
    pub(crate) shrink: bool,

    /// Tell what got worse than in this outcome.json of before.
    #[arg(long, value_name = "BASELINE.json", conflicts_with_all = ["shard", "shards"])]
    pub(crate) compare: Option<PathBuf>,

    /// Run part I of N of the seeds, I from 0, and write shard-I-of-N.json for `simnet merge`.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,

    /// Run one of N parts of the seeds: the one that the environment names in
    /// JOB_COMPLETION_INDEX, as a Kubernetes Indexed Job does.
    #[arg(long, value_name = "N", conflicts_with_all = ["shard", "shrink"])]
    shards: Option<NonZeroU64>,

    /// List the built-in scenarios, and the figures, misdeeds and bugs that can be named.
    #[arg(long, exclusive = true)]
    pub(crate) list: bool,

    /// Only check the scenarios, all built-in ones when none is named.
    #[arg(long)]
    pub(crate) check: bool,

    /// Run it with N real processes of `rs2p` as well, in real time, and compare.
    #[arg(
        long,
        value_name = "N",
        conflicts_with_all = ["nodes", "runs", "jobs", "bug", "shrink", "compare", "shard",
            "shards", "list", "check"],
    )]
    pub(crate) real: Option<u32>,

    /// With --real: have everything come F times sooner, the times that nodes keep excepted.
    #[arg(long, value_name = "F", default_value = "1", value_parser = hurry, requires = "real")]
    pub(crate) hurry: f64,

    /// With --real: give each process a network namespace of its own, with the scenario's latency
    /// and faults of the network. Needs root, and `ip` and `tc` (apt-get install iproute2).
    #[arg(long, requires = "real")]
    pub(crate) netns: bool,

    /// With --real: the program to run, in the place of the one that cargo builds.
    #[arg(long, value_name = "PATH", requires = "real")]
    pub(crate) rs2p: Option<PathBuf>,

    /// Tell the digest of each run, and each run as it ends.
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl RunArgs {
    /// Which part of the seeds this process runs; nothing when it runs them all.
    pub(crate) fn shard(&self) -> Result<Option<Shard>, Failure> {
        let Some(of) = self.shards else { return Ok(self.shard) };
        let index = std::env::var("JOB_COMPLETION_INDEX").map_err(|_| {
            Failure::Usage(
                "--shards takes the part to run from JOB_COMPLETION_INDEX, which is not set: use \
                 --shard I/N"
                    .to_owned(),
            )
        })?;
        let shard = format!("{index}/{of}").parse();
        shard.map(Some).map_err(|error| Failure::Usage(format!("JOB_COMPLETION_INDEX: {error}")))
    }

    /// How many runs go on at the same time.
    pub(crate) fn jobs(&self) -> usize {
        let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.jobs.unwrap_or_else(cores).get()
    }

    /// Where files go.
    pub(crate) fn out(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| {
            // When cargo starts the program, that is the repository's, wherever in it one stands.
            let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
            let root = manifest.as_deref().and_then(|manifest| manifest.ancestors().nth(2));
            let is_here = root.zip(std::env::current_dir().ok()).is_none_or(|(a, b)| a == b);
            let root = root.filter(|_| !is_here).unwrap_or(Path::new(""));
            root.join("target/simnet")
        })
    }

    /// Faults left out.
    pub(crate) fn without(&self) -> BTreeSet<usize> {
        self.without.clone().unwrap_or_default()
    }
}

fn hurry(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor: &f64| (1.0..=1_000.0).contains(factor));
    factor.ok_or_else(|| "a number from 1 to 1000".to_owned())
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask simnet                                  # the tour
  cargo xtask simnet --list
  cargo xtask simnet mesh/flood --nodes 500 --seed 7
  cargo xtask simnet mine.toml --runs 100             # which of 100 seeds fail?
  cargo xtask simnet mesh/churn --seed 17 --shrink    # which faults does it take?
  cargo xtask simnet --compare before.json            # what got worse?
  cargo xtask simnet mesh/flood --json | jq .digest
  cargo xtask simnet mesh/crash --real 40 --hurry 6   # does the simulator tell the truth?

Exit status: 0 all passed, 1 some bound or invariant failed (or, with --compare, something got
worse), 2 wrong usage, a bad scenario, or a file that cannot be read or written, 130 interrupted.";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed_and_every_command_shows_examples() {
        let mut cli = Cli::command();
        cli.build();
        cli.clone().debug_assert();
        for command in [&cli].into_iter().chain(cli.get_subcommands()) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("cargo xtask simnet"), "{}", command.get_name());
            assert!(help.contains("Exit status: 0"), "{}", command.get_name());
        }
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        let refused = [
            "--list mesh/flood",
            "--runs 0",
            "--nodes 0",
            "--nodes 1000001",
            "--jobs 0",
            "--shard 2/2",
            "--shard 0/2 --shards 2",
            "--shard 0/2 --compare a.json",
            "--without 1-",
            "mesh/flood --real 5 --nodes 5",
            "mesh/flood --real 5 --hurry 0.5",
            "mesh/flood --real 5 --hurry inf",
            "mesh/flood --hurry 2",
            "mesh/flood --netns",
            "merge",
        ];
        for line in refused {
            let words = ["simnet"].into_iter().chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_err(), "{line}");
        }
    }

    #[test]
    fn a_scenario_may_be_followed_by_options_and_more_scenarios() {
        let line = ["simnet", "mesh/flood", "--seed", "3", "b.toml", "--without", "0,2-4"];
        let cli = Cli::try_parse_from(line).unwrap();
        assert_eq!(cli.run.scenarios, ["mesh/flood", "b.toml"]);
        assert_eq!((cli.run.seed, cli.run.runs.get()), (3, 1));
        assert_eq!(cli.run.without(), BTreeSet::from([0, 2, 3, 4]));
        assert_eq!(cli.run.shard().unwrap(), None);
    }
}
