//! Which faults it takes to make a run fail.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use rs2p_scenarios::Request;
use rs2p_simnet::Outcome;

use super::failure::Failure;
use super::one;
use super::plan::{Job, Plan};
use super::results::Results;

/// Shrinks the first failing run of each scenario, and tells about it.
pub(crate) fn run(plan: &Plan, results: &Results) -> Result<String, Failure> {
    let mut text = String::new();
    for (place, runs) in results.by_scenario() {
        if let Some(run) = runs.into_iter().find(|run| !run.passed()) {
            text.push_str(&shrunk(plan, place, run)?);
        }
    }
    Ok(text)
}

fn shrunk(plan: &Plan, place: usize, failed: &Outcome) -> Result<String, Failure> {
    let given = &plan.scenarios[place].given;
    let request = plan.request(&Job { place, seed: failed.seed, weight: 1 });
    let faults =
        rs2p_scenarios::faults(&request).map_err(|cause| Failure::scenario(given, cause))?;
    let numbers = 0..faults.len();
    let planned: Vec<usize> = numbers.filter(|number| !request.without.contains(number)).collect();
    let all: BTreeSet<usize> = (0..faults.len()).collect();
    let others = |kept: &[usize]| &all - &kept.iter().copied().collect();
    let rule = failed.failures.first().map_or("", |failure| failure.rule.as_str());
    let mut runs = 0;
    let needed = rs2p_simnet::shrink(&planned, |kept| {
        runs += 1;
        fails(&request, others(kept), rule)
    });

    // Into a string, writing does not fail.
    let mut text = String::new();
    let (name, seed) = (&failed.scenario, failed.seed);
    _ = match (needed.len(), planned.len()) {
        (_, 0) => writeln!(text, "\n{name}, seed {seed}: there is no fault to leave out."),
        (0, _) => writeln!(text, "\n{name}, seed {seed}, fails without any fault ({rule})."),
        (few, many) => {
            let faults = if few == 1 { "fault" } else { "faults" };
            writeln!(
                text,
                "\n{name}, seed {seed}, needs {few} {faults} of {many} to fail ({rule}):"
            )
        }
    };
    for &number in &needed {
        _ = writeln!(text, "  {number:>3}  {}", faults[number]);
    }
    let command = plan.command(place, seed, &others(&needed));
    _ = writeln!(text, "  found in {runs} runs; repeat it with: {command}");
    Ok(text)
}

/// Whether the same rule is broken. Another one may be so only since faults are missing.
fn fails(request: &Request, without: BTreeSet<usize>, rule: &str) -> bool {
    let request = Request { without, ..request.clone() };
    let outcome = one::run(&request, &mut |_| ());
    outcome.is_ok_and(|outcome| outcome.failures.iter().any(|failure| failure.rule == rule))
}
