//! The same scenario in the simulator and with processes, line by line.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rs2p_scenarios::{Both, Interrupts, RealRequest};
use rs2p_simnet::{Bound, Outcome, PhaseOutcome};
use serde_json::Value;

use super::args::RunArgs;
use super::failure::Failure;
use super::plan::{self, Job};
use super::progress::Progress;
use super::results::Results;
use super::table::{Cell, aligned, left, right};
use super::told::Told;
use super::{figures, store};

/// Whether all that has to hold does, with processes.
///
/// # Errors
/// The scenario cannot be run with processes, or not here.
pub(crate) fn run(args: &RunArgs, nodes: u32) -> Result<bool, Failure> {
    // Before anything else starts a thread.
    let interrupts = Interrupts::catch();
    let [given] = args.scenarios.as_slice() else {
        return Err(Failure::Usage("--real goes with one SCENARIO".to_owned()));
    };
    let (source, _) = plan::checked(given)?;
    let program = match &args.rs2p {
        Some(program) => program.clone(),
        None => built()?,
    };
    let out = args.out();
    store::make_directory(&out)?;
    let request = RealRequest {
        source,
        seed: args.seed,
        nodes,
        hurry: args.hurry,
        without: args.without(),
        program,
        netns: args.netns,
    };
    let job = |place: usize| Job { place, seed: args.seed, weight: 1 };
    let progress = Progress::new(&[job(0)], args.verbose > 0);
    let mut share = progress.share(&job(0));
    let ended = rs2p_scenarios::real(&request, &interrupts, &mut |done| share.is(done));
    if let Ok(both) = &ended {
        progress.ended(&both.real);
    }
    progress.finish();
    let both = ended.map_err(|cause| Failure::Real { given: given.clone(), cause })?;

    let mut results = Results::default();
    results.add(&job(0), both.simulated.clone());
    results.add(&job(1), both.real.clone());
    let told = Told::new(args.json);
    if args.json {
        told.json(results.outcomes())?;
    }
    told.words(&compared(&both))?;
    told.aside(&store::write(&out, &results)?)?;
    Ok(both.real.passed())
}

/// The program `rs2p`, as cargo builds it from the sources that this program comes from.
fn built() -> Result<PathBuf, Failure> {
    let wrong =
        |what: &str| Failure::Usage(format!("{what}; --rs2p PATH names a program that is there"));
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let root = manifest.as_deref().and_then(|manifest| manifest.ancestors().nth(2));
    let root = root.ok_or_else(|| wrong("without cargo, `rs2p` cannot be built"))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--profile", "simnet", "--package", "rs2p-cli", "--bin", "rs2p"])
        .args(["--message-format", "json-render-diagnostics", "--manifest-path"])
        .arg(root.join("Cargo.toml"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|cause| wrong(&format!("cargo cannot be started: {cause}")))?;
    let program = executable(&String::from_utf8_lossy(&output.stdout));
    program.filter(|_| output.status.success()).ok_or_else(|| wrong("`rs2p` cannot be built"))
}

/// What cargo has built, as it tells in JSON.
fn executable(told: &str) -> Option<PathBuf> {
    told.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(Path::new(message["executable"].as_str()?).to_owned())
    })
}

/// The figures of both beside each other, what failed, and the notes.
fn compared(both: &Both) -> String {
    let Both { simulated, real, notes } = both;
    let mut heading = Vec::from(["phase", "figure"].map(left));
    heading.extend(["simulated", "real"].map(right));
    heading.extend(["bound", "simulated", "real"].map(left));
    let mut rows = vec![heading];
    let phases = simulated.phases.len().max(real.phases.len());
    for number in 0..phases {
        rows.extend(lines(simulated.phases.get(number), real.phases.get(number)));
    }
    let mut text = aligned(&rows);
    for (outcome, name) in [(simulated, "in the simulator"), (real, "with processes")] {
        text.push_str(&verdict(outcome, name));
    }
    for note in notes {
        // Into a string, writing does not fail.
        _ = writeln!(text, "Note: {note}.");
    }
    text
}

fn verdict(outcome: &Outcome, name: &str) -> String {
    let nodes = outcome.nodes;
    let head = format!("{nodes} nodes, seed {}, {name}", outcome.seed);
    if outcome.passed() {
        return format!("{head}: passed\n");
    }
    let mut text = format!("{head}: FAILED\n");
    for failure in &outcome.failures {
        _ = writeln!(text, "  {failure}");
    }
    text
}

/// The lines of a phase: its bounds, then the other figures that both have.
fn lines(simulated: Option<&PhaseOutcome>, real: Option<&PhaseOutcome>) -> Vec<Vec<Cell>> {
    let Some(any) = simulated.or(real) else { return Vec::new() };
    let figure = |phase: Option<&PhaseOutcome>, name: &str| {
        let figure = phase.and_then(|phase| phase.figures.get(name));
        figure.map_or_else(|| "-".to_owned(), |figure| figures::write(name, *figure))
    };
    let mut rows = Vec::new();
    let mut row = |name: &str, bound: Option<&str>| {
        let held = |phase: Option<&PhaseOutcome>| {
            let bound = phase?.bounds.iter().find(|it| Some(it.bound.as_str()) == bound)?;
            Some(if bound.held { "holds" } else { "BROKEN" })
        };
        let is_open = bound.is_some() && real.is_some();
        let in_real = held(real).unwrap_or(if is_open { "not measured" } else { "" });
        rows.push(vec![
            left(&any.name),
            left(name),
            right(&figure(simulated, name)),
            right(&figure(real, name)),
            left(bound.unwrap_or("")),
            left(held(simulated).unwrap_or("")),
            left(in_real),
        ]);
    };
    let mut bound = Vec::new();
    for it in &any.bounds {
        if let Ok(Bound { figure, .. }) = it.bound.parse() {
            row(&figure, Some(&it.bound));
            bound.push(figure);
        }
    }
    let both = any.figures.keys().filter(|name| {
        let has = |phase: Option<&PhaseOutcome>| {
            phase.is_some_and(|phase| phase.figures.contains_key(*name))
        };
        has(simulated) && has(real) && !bound.contains(name)
    });
    for name in both {
        row(name, None);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::outcome;
    use super::*;

    #[test]
    fn figures_and_bounds_stand_beside_each_other() {
        let bound = "heard >= 0.99";
        let simulated =
            outcome(1, &[("heard", 1.0), ("links", 8.0), ("hops", 3.0)], bound, Some(1.0), true);
        let real = outcome(1, &[("heard", 0.5), ("links", 7.5)], bound, Some(0.5), false);
        let both = Both { simulated, real, notes: vec!["it rains".to_owned()] };
        assert_eq!(
            compared(&both),
            "phase   figure  simulated  real  bound          simulated  real\n\
             steady  heard           1   0.5  heard >= 0.99  holds      BROKEN\n\
             steady  links           8   7.5\n\
             1000 nodes, seed 1, in the simulator: passed\n\
             1000 nodes, seed 1, with processes: FAILED\n  \
               heard >= 0.99: it is not so, at 1.000 s\n\
             Note: it rains.\n"
        );
    }

    #[test]
    fn a_bound_that_processes_cannot_measure_is_told_so() {
        let bound = "dials_nowhere == 0";
        let simulated = outcome(1, &[("dials_nowhere", 0.0)], bound, Some(0.0), true);
        let mut real = outcome(1, &[], bound, None, true);
        real.phases[0].bounds.clear();
        let text = compared(&Both { simulated, real, notes: Vec::new() });
        assert!(text.contains("dials_nowhere == 0  holds      not measured"), "{text}");
    }

    #[test]
    fn the_program_is_the_last_that_cargo_tells_of() {
        let told = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"executable\":\"/a/rs2p\"}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(executable(told), Some(PathBuf::from("/a/rs2p")));
        assert_eq!(executable("{}\n"), None);
    }
}
