//! The program: which runs are asked for, the runs, and what is told about them.
//!
//! [`args`] is what may be typed, [`plan`] the runs it stands for. [`pool`] spreads them over the
//! cores, [`results`] keeps what they came to, and the rest tells: [`table`], [`failed`],
//! [`compare`], [`shrink`], and the files of [`store`]. [`real`] sets processes beside the simulator.

mod args;
mod compare;
mod failed;
mod failure;
mod figures;
mod list;
mod merge;
mod numbers;
mod one;
mod plan;
mod pool;
mod progress;
mod real;
mod results;
mod sets;
mod shard;
mod shrink;
mod store;
mod table;
mod told;

use std::path::Path;

use rs2p_simnet::Outcome;

pub(crate) use self::args::Cli;
use self::args::{Command, RunArgs};
use self::failure::Failure;
use self::plan::Plan;
use self::results::Results;
use self::told::Told;

/// Whether everything that ran has passed.
///
/// # Errors
/// Wrong usage, a bad scenario, or a file that cannot be read or written.
pub(crate) fn run(cli: Cli) -> Result<bool, Failure> {
    match cli.command {
        Some(Command::Merge(args)) => merge::run(&args),
        None if cli.run.list => list::list(),
        None if cli.run.check => list::check(&cli.run.scenarios),
        None => match cli.run.real {
            Some(nodes) => real::run(&cli.run, nodes),
            None => scenarios(&cli.run),
        },
    }
}

fn scenarios(args: &RunArgs) -> Result<bool, Failure> {
    let plan = Plan::of(args)?;
    let shard = args.shard()?;
    // The baseline may be the very file that the runs will replace.
    let baseline = args.compare.as_deref().map(store::read_outcomes).transpose()?;
    let out = args.out();
    store::make_directory(&out)?;
    one::note_panics();

    let jobs = plan.jobs(shard);
    let progress = progress::Progress::new(&jobs, args.verbose > 0);
    let mut results = Results::default();
    let is_tour = args.scenarios.is_empty();
    let ended = pool::run(&plan, &jobs, args.jobs(), is_tour, &progress, |job, outcome| {
        progress.ended(&outcome);
        results.add(job, outcome);
    });
    progress.finish();
    ended.map_err(|(place, cause)| Failure::scenario(&plan.scenarios[place].given, cause))?;
    let passed = results.passed();

    let told = Told::new(args.json);
    if args.json {
        told.json(results.outcomes())?;
    }
    match shard {
        Some(shard) => {
            let file = store::write_shard(&out, shard, &plan, &results)?;
            let (runs, failed) = (numbers::count(results.len() as u64), results.failed());
            told.aside(&format!(
                "Shard {shard}: {runs} runs, {failed} failed, in {}.\n",
                file.display()
            ))?;
        }
        None => tell(&told, &plan, &results, &out, args.verbose > 0)?,
    }
    if args.shrink && !passed {
        told.words(&shrink::run(&plan, &results)?)?;
    }
    let mut is_worse = false;
    if let Some(baseline) = baseline {
        let now: Vec<&Outcome> = results.outcomes().collect();
        let comparison = compare::compare(&baseline, &now);
        is_worse = comparison.is_worse();
        told.words(&comparison.to_string())?;
    }
    Ok(passed && !is_worse)
}

/// The table, what failed, and the files.
fn tell(
    told: &Told,
    plan: &Plan,
    results: &Results,
    out: &Path,
    verbose: bool,
) -> Result<(), Failure> {
    told.aside(&table::table(results, verbose))?;
    told.words(&failed::failed(plan, results))?;
    let files = store::write(out, results)?;
    told.aside(&files)
}
