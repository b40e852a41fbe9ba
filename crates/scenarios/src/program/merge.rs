//! `simnet merge`: one result of what shards have left.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::args::MergeArgs;
use super::failure::Failure;
use super::plan::Plan;
use super::results::Results;
use super::shard::Shard;
use super::store::{self, ShardFile};
use super::told::Told;
use super::{failed, numbers, table};

/// Whether all shards are there and all their runs passed.
pub(crate) fn run(args: &MergeArgs) -> Result<bool, Failure> {
    let directory = &args.directory;
    let mut joined = Joined::new();
    for (shard, path) in shards_in(directory)? {
        let file = store::read_shard(&path)?;
        joined.add(shard, file).map_err(|what| Failure::content(&path, what))?;
    }
    let Some((plan, of)) = joined.plan else {
        return Err(Failure::content(
            directory,
            "there is no shard-I-of-N.json: run `simnet SCENARIO --runs K --shard I/N --out` there",
        ));
    };
    let missing: Vec<u64> = (0..of).filter(|index| !joined.seen.contains_key(index)).collect();
    let told = Told::new(false);
    told.words(&table::table(&joined.results, false))?;
    told.words(&failed::failed(&plan, &joined.results))?;
    told.words(&store::write(directory, &joined.results)?)?;
    told.words(&told_missing(&missing, of, &plan))?;
    Ok(missing.is_empty() && joined.results.passed())
}

/// What has been read so far.
struct Joined {
    /// The plan of all, and into how many parts it is cut.
    plan: Option<(Plan, u64)>,
    seen: BTreeMap<u64, usize>,
    results: Results,
}

impl Joined {
    fn new() -> Self {
        Self { plan: None, seen: BTreeMap::new(), results: Results::default() }
    }

    /// Adds the file that is called after this shard.
    ///
    /// # Errors
    /// It is of another run than those before, or not what its name says. Nothing has been added.
    fn add(&mut self, shard: Shard, file: ShardFile) -> Result<(), String> {
        if file.shard != shard {
            return Err(format!(
                "this is shard {} under the name of another: seeds would count twice",
                file.shard
            ));
        }
        let (plan, of) = self.plan.get_or_insert_with(|| (file.plan.clone(), shard.of));
        if *of != shard.of {
            return Err(format!(
                "this is one of {} shards, beside others of {of}: leave those of one run only",
                shard.of
            ));
        }
        if *plan != file.plan {
            return Err(format!(
                "this is of another run ({}) than the shards before it ({}): leave those of one \
                 run only",
                words(&file.plan),
                words(plan)
            ));
        }
        let jobs = plan.jobs(Some(shard));
        let seeds = file.outcomes.iter().map(|outcome| outcome.seed);
        if !seeds.eq(jobs.iter().map(|job| job.seed)) {
            return Err("its seeds are not those of its shard: run it again".to_owned());
        }
        self.seen.insert(shard.index, jobs.len());
        for (job, outcome) in jobs.iter().zip(file.outcomes) {
            self.results.add(job, outcome);
        }
        Ok(())
    }
}

/// The files of shards, by number.
fn shards_in(directory: &Path) -> Result<BTreeMap<Shard, PathBuf>, Failure> {
    let unreadable = |cause| Failure::read(directory, cause);
    let mut shards = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if let Some(shard) = entry.file_name().to_str().and_then(Shard::from_file_name) {
            shards.insert(shard, entry.path());
        }
    }
    Ok(shards)
}

fn told_missing(missing: &[u64], of: u64, plan: &Plan) -> String {
    if missing.is_empty() {
        return String::new();
    }
    let parts = missing.iter().map(|&index| Shard { index, of });
    let runs: usize = parts.map(|shard| plan.jobs(Some(shard)).len()).sum();
    let numbers: Vec<_> = missing.iter().map(ToString::to_string).collect();
    let (shards, runs) = (numbers.join(", "), numbers::count(runs as u64));
    format!("\nMISSING: shard {shards} of {of}, {runs} runs\n")
}

fn words(plan: &Plan) -> String {
    let names: Vec<_> = plan.scenarios.iter().map(|planned| planned.given.as_str()).collect();
    let (names, last) = (names.join(", "), plan.seed.saturating_add(plan.runs - 1));
    format!("{names}, seeds {} to {last}", plan.seed)
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::plan;
    use super::super::results::tests::outcome;
    use super::*;

    fn file(index: u64, of: u64, plan: &Plan) -> (Shard, ShardFile) {
        let shard = Shard { index, of };
        let jobs = plan.jobs(Some(shard));
        let run = |seed| outcome(seed, &[], "heard >= 0.99", None, seed != 7);
        let outcomes = jobs.iter().map(|job| run(job.seed)).collect();
        (shard, ShardFile { shard, plan: plan.clone(), outcomes })
    }

    #[test]
    fn shards_in_any_order_come_to_what_one_run_would_have() {
        let plan = plan(5);
        let mut joined = Joined::new();
        for index in [2, 0, 1] {
            let (shard, file) = file(index, 3, &plan);
            joined.add(shard, file).unwrap();
        }
        let seeds: Vec<_> = joined.results.outcomes().map(|outcome| outcome.seed).collect();
        assert_eq!(seeds, [5, 6, 7, 8, 9, 5, 6, 7, 8, 9]);
        assert_eq!(joined.results.failed(), 2);
    }

    #[test]
    fn shards_of_another_run_are_refused() {
        let mut joined = Joined::new();
        let (shard, first) = file(0, 3, &plan(5));
        joined.add(shard, first).unwrap();
        let mut refused = |(shard, file): (Shard, ShardFile), reason: &str| {
            let error = joined.add(shard, file).unwrap_err();
            assert!(error.contains(reason), "{error}");
            assert_eq!(joined.results.len(), 4);
        };
        refused(file(1, 4, &plan(5)), "one of 4 shards");
        refused(file(1, 3, &plan(6)), "seeds 5 to 10");
        let mut mixed = plan(5);
        mixed.scenarios[0].given = "mesh/churn".to_owned();
        refused(file(1, 3, &mixed), "mesh/churn");
        let mut changed = plan(5);
        changed.scenarios[0].source = "nodes = 7".to_owned();
        refused(file(1, 3, &changed), "another run");
    }

    #[test]
    fn seeds_that_would_count_twice_or_are_missing_are_refused() {
        let mut joined = Joined::new();
        let (_, copied) = file(0, 3, &plan(5));
        let error = joined.add(Shard { index: 1, of: 3 }, copied).unwrap_err();
        assert!(error.contains("shard 0/3") && error.contains("twice"), "{error}");
        let (shard, mut twice) = file(0, 3, &plan(5));
        twice.outcomes[1] = twice.outcomes[0].clone();
        assert!(joined.add(shard, twice).unwrap_err().contains("run it again"));
        let (shard, mut short) = file(0, 3, &plan(5));
        short.outcomes.pop();
        assert!(joined.add(shard, short).unwrap_err().contains("run it again"));
    }

    #[test]
    fn missing_shards_are_named() {
        let text = told_missing(&[1, 3], 4, &plan(10));
        assert_eq!(text, "\nMISSING: shard 1, 3 of 4, 10 runs\n");
        assert_eq!(told_missing(&[], 4, &plan(10)), "");
    }
}
