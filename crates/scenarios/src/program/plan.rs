//! Which runs a command line stands for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rs2p_scenarios::{BUILT_IN, Request, Summary, TOUR};
use serde::{Deserialize, Serialize};

use super::args::RunArgs;
use super::failure::Failure;
use super::sets;
use super::shard::Shard;

/// All runs of a command line: each of its scenarios with each of its seeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) scenarios: Vec<Planned>,
    /// The first seed; the others follow it.
    pub(crate) seed: u64,
    /// How many seeds there are.
    pub(crate) runs: u64,
}

/// A scenario, and how it is to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Planned {
    /// As it was named: a built-in name, or a path.
    pub(crate) given: String,
    pub(crate) source: String,
    pub(crate) nodes: Option<u32>,
    pub(crate) bug: Option<String>,
    pub(crate) without: BTreeSet<usize>,
    /// A guess at how long it takes, to share out the work.
    #[serde(skip)]
    weight: u64,
}

/// One run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Job {
    /// The place of the scenario in the plan.
    pub(crate) place: usize,
    pub(crate) seed: u64,
    /// A guess at how long it takes, beside that of others.
    pub(crate) weight: u64,
}

impl Plan {
    /// Looks the scenarios up and checks them.
    ///
    /// # Errors
    /// One is not there, is refused, or has not the bug that is to be planted.
    pub(crate) fn of(args: &RunArgs) -> Result<Self, Failure> {
        let runs = args.runs.get();
        if args.seed.checked_add(runs - 1).is_none() {
            return Err(usage(format!("the last of {runs} seeds from {} is too large", args.seed)));
        }
        let without = args.without();
        if !without.is_empty() && args.scenarios.len() != 1 {
            return Err(usage("--without goes with one SCENARIO: faults are numbered in each"));
        }
        let given: Vec<(&str, Option<u32>)> = if args.scenarios.is_empty() {
            TOUR.iter().map(|&(name, nodes)| (name, Some(nodes))).collect()
        } else {
            args.scenarios.iter().map(|given| (given.as_str(), None)).collect()
        };
        let mut scenarios = Vec::new();
        let mut names: Vec<(String, &str)> = Vec::new();
        for (given, nodes) in given {
            let (source, summary) = checked(given)?;
            if let Some(bug) = &args.bug
                && !summary.bugs.iter().any(|(name, _)| name == bug)
            {
                // The tour leaves out the layers that cannot have the bug.
                if args.scenarios.is_empty() {
                    continue;
                }
                return Err(usage(format!("{given} has no bug `{bug}`; {}", bugs(&summary))));
            }
            let name = summary.name.to_string();
            if let Some((_, other)) = names.iter().find(|(taken, _)| *taken == name) {
                let both = format!("{other} and {given} are both called `{name}`");
                return Err(usage(format!("{both}: their results could not be told apart")));
            }
            names.push((name, given));
            let nodes = args.nodes.or(nodes);
            scenarios.push(Planned {
                given: given.to_owned(),
                source,
                nodes,
                bug: args.bug.clone(),
                without: without.clone(),
                weight: weight(nodes.unwrap_or(summary.nodes), summary.virtual_seconds),
            });
        }
        match &args.bug {
            Some(bug) if scenarios.is_empty() => {
                Err(usage(format!("no layer has a bug `{bug}`; --list names them")))
            }
            _ => Ok(Self { scenarios, seed: args.seed, runs }),
        }
    }

    /// The runs, or those of a part of them, by scenario and seed.
    pub(crate) fn jobs(&self, shard: Option<Shard>) -> Vec<Job> {
        let shard = shard.unwrap_or(Shard { index: 0, of: 1 });
        let scenarios = self.scenarios.iter().enumerate();
        let jobs = scenarios.flat_map(|(place, planned)| {
            let seeds = shard.places(self.runs).map(|at| self.seed.saturating_add(at));
            seeds.map(move |seed| Job { place, seed, weight: planned.weight })
        });
        jobs.collect()
    }

    /// What the library is asked for.
    pub(crate) fn request(&self, job: &Job) -> Request {
        let planned = &self.scenarios[job.place];
        Request {
            source: planned.source.clone(),
            seed: job.seed,
            nodes: planned.nodes,
            bug: planned.bug.clone(),
            without: planned.without.clone(),
        }
    }

    /// The command line that repeats a run, `without` these faults.
    pub(crate) fn command(&self, place: usize, seed: u64, without: &BTreeSet<usize>) -> String {
        let planned = &self.scenarios[place];
        let mut line = format!("{} {} --seed {seed}", program(), quoted(&planned.given));
        if let Some(nodes) = planned.nodes {
            line.push_str(&format!(" --nodes {nodes}"));
        }
        if let Some(bug) = &planned.bug {
            line.push_str(&format!(" --bug {}", quoted(bug)));
        }
        if !without.is_empty() {
            line.push_str(&format!(" --without {}", sets::format(without)));
        }
        line
    }
}

/// The text of a scenario and what it comes to.
///
/// # Errors
/// It is not there, or is refused.
pub(crate) fn checked(given: &str) -> Result<(String, Summary), Failure> {
    let source = source(given)?;
    let summary =
        rs2p_scenarios::check(&source).map_err(|cause| Failure::scenario(given, cause))?;
    Ok((source, summary))
}

/// As a sentence.
fn bugs(summary: &Summary) -> String {
    let names: Vec<_> = summary.bugs.iter().map(|&(name, _)| name).collect();
    if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) }
}

fn source(given: &str) -> Result<String, Failure> {
    if let Some(built_in) = BUILT_IN.iter().find(|built_in| built_in.name == given) {
        return Ok(built_in.source.to_owned());
    }
    let path = Path::new(given);
    if !path.exists() && path.extension().is_none_or(|extension| extension != "toml") {
        return Err(usage(format!(
            "there is no scenario `{given}`, built in (--list names them) or as a file"
        )));
    }
    fs::read_to_string(path).map_err(|cause| Failure::read(path, cause))
}

/// Events grow with the nodes and the time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a guess, at least one, and saturating"
)]
fn weight(nodes: u32, virtual_seconds: f64) -> u64 {
    (f64::from(nodes) * virtual_seconds).clamp(1.0, 1e12) as u64
}

/// What starts this program again: cargo builds it, or it stands alone.
fn program() -> &'static str {
    if std::env::var_os("CARGO").is_some() { "cargo xtask simnet" } else { "simnet" }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

fn usage(what: impl Into<String>) -> Failure {
    Failure::Usage(what.into())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn plan(runs: u64) -> Plan {
        let planned = |given: &str| Planned {
            given: given.to_owned(),
            source: String::new(),
            nodes: None,
            bug: None,
            without: BTreeSet::new(),
            weight: 1,
        };
        Plan { scenarios: vec![planned("a"), planned("my file.toml")], seed: 5, runs }
    }

    #[test]
    fn runs_go_by_scenario_and_seed() {
        let jobs: Vec<_> = plan(2).jobs(None).iter().map(|job| (job.place, job.seed)).collect();
        assert_eq!(jobs, [(0, 5), (0, 6), (1, 5), (1, 6)]);
    }

    #[test]
    fn shards_share_out_the_seeds_of_each_scenario() {
        let plan = plan(5);
        let mut jobs: Vec<_> =
            (0..3).flat_map(|index| plan.jobs(Some(Shard { index, of: 3 }))).collect();
        jobs.sort_unstable_by_key(|job| (job.place, job.seed));
        assert_eq!(jobs, plan.jobs(None));
    }

    #[test]
    fn a_run_is_repeated_by_the_line_that_is_told() {
        let mut plan = plan(2);
        let line = plan.command(0, 6, &BTreeSet::new());
        assert!(line.ends_with("simnet a --seed 6"), "{line}");
        plan.scenarios[1].nodes = Some(30);
        plan.scenarios[1].bug = Some("deaf".to_owned());
        let line = plan.command(1, 6, &BTreeSet::from([1, 2, 3]));
        let end = "simnet 'my file.toml' --seed 6 --nodes 30 --bug deaf --without 1-3";
        assert!(line.ends_with(end), "{line}");
    }

    #[test]
    fn a_scenario_that_is_not_there_is_told_so() {
        let error = source("mesh/no-such").unwrap_err().to_string();
        assert!(error.contains("mesh/no-such") && error.contains("--list"), "{error}");
        let error = source("no-such.toml").unwrap_err().to_string();
        assert!(error.starts_with("no-such.toml: cannot be read"), "{error}");
    }
}
