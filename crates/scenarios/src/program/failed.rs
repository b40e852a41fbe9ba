//! What failed, and how to see it again.

use std::fmt::Write as _;

use super::numbers;
use super::plan::Plan;
use super::results::Results;

/// A paragraph for each run that failed, the first [`TOLD`] of them; nothing when all passed.
pub(crate) fn failed(plan: &Plan, results: &Results) -> String {
    let mut text = String::new();
    let failed: Vec<_> = results
        .by_scenario()
        .into_iter()
        .flat_map(|(place, runs)| runs.into_iter().map(move |run| (place, run)))
        .filter(|(_, run)| !run.passed())
        .collect();
    for (place, run) in failed.iter().take(TOLD) {
        let (name, seed) = (&run.scenario, run.seed);
        let planned = plan.scenarios.get(*place);
        let without = planned.map(|planned| planned.without.clone()).unwrap_or_default();
        let command = plan.command(*place, seed, &without);
        // Into a string, writing does not fail.
        _ = writeln!(text, "\n{name}, seed {seed}, FAILED:");
        for failure in run.failures.iter().take(FAILURES) {
            _ = writeln!(text, "  {failure}");
        }
        if let Some(more) = run.failures.len().checked_sub(FAILURES).filter(|more| *more > 0) {
            _ = writeln!(text, "  and {more} more");
        }
        _ = writeln!(text, "  repeat it with: {command}");
    }
    if let Some(rest) = failed.get(TOLD..).filter(|rest| !rest.is_empty()) {
        let seeds: Vec<_> = rest.iter().map(|(_, run)| run.seed.to_string()).collect();
        let more = numbers::count(rest.len() as u64);
        let end = if seeds.len() > SEEDS { ", ..." } else { "" };
        let seeds = seeds[..seeds.len().min(SEEDS)].join(", ");
        _ = writeln!(text, "\n{more} more FAILED: seeds {seeds}{end}");
    }
    text
}

/// How many runs are told about at length.
const TOLD: usize = 10;
/// How many failures of a run are told.
const FAILURES: usize = 5;
/// How many further seeds are named.
const SEEDS: usize = 100;

#[cfg(test)]
mod tests {
    use super::super::plan::tests::plan;
    use super::super::results::tests::{outcome, results};
    use super::*;

    #[test]
    fn a_failing_seed_is_told_with_its_reason_and_the_line_that_repeats_it() {
        let run = |seed: u64| outcome(seed, &[], "heard >= 0.99", None, seed != 6);
        let text = failed(&plan(3), &results((5..8).map(run)));
        let expected = "\nmesh/flood, seed 6, FAILED:\n  heard >= 0.99: it is not so, at 1.000 s\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with("simnet a --seed 6\n"), "{text}");
        assert_eq!(failed(&plan(1), &results([run(5)])), "");
    }

    #[test]
    fn of_many_failing_seeds_the_later_ones_are_only_named() {
        let run = |seed: u64| outcome(seed, &[], "heard >= 0.99", None, false);
        let text = failed(&plan(12), &results((5..17).map(run)));
        assert_eq!(text.matches("repeat it with").count(), TOLD);
        assert!(text.ends_with("2 more FAILED: seeds 15, 16\n"), "{text}");
        let text = failed(&plan(200), &results((5..205).map(run)));
        assert!(text.contains("190 more FAILED") && text.ends_with(", ...\n"), "{text}");
    }
}
