//! What got worse than before.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rs2p_simnet::{Outcome, PhaseOutcome};

use super::figures;

/// The difference between two sets of outcomes.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Runs that are in both.
    compared: usize,
    /// Of these, runs that went exactly as before.
    same: usize,
    /// Figures that got better.
    better: usize,
    /// By run; those without a finding are left out.
    runs: Vec<(String, Vec<Finding>)>,
    /// Runs that only one side has.
    only_before: Vec<String>,
    only_now: Vec<String>,
}

#[derive(Debug, PartialEq)]
enum Finding {
    /// Something that makes the rest less telling.
    Note(String),
    /// A bound that held and does no longer.
    Broken { phase: String, bound: String, measured: Option<f64> },
    /// Something failed that is no bound.
    Failed(String),
    /// A figure whose direction is known, changed for the worse.
    Worse(Change),
    /// A figure that changed, for better or worse.
    Changed(Change),
}

#[derive(Debug, PartialEq)]
struct Change {
    phase: String,
    figure: String,
    before: f64,
    now: f64,
}

/// Which way a figure is good, as the bounds of its scenario tell.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Good {
    High,
    Low,
    Near(f64),
}

/// Compares runs of the same scenario and seed.
pub(crate) fn compare(before: &[Outcome], now: &[&Outcome]) -> Comparison {
    let mut comparison = Comparison::default();
    let mut old: BTreeMap<(&str, u64), &Outcome> =
        before.iter().map(|run| ((run.scenario.as_str(), run.seed), run)).collect();
    for run in now {
        let name = format!("{}, seed {}", run.scenario, run.seed);
        let Some(old) = old.remove(&(run.scenario.as_str(), run.seed)) else {
            comparison.only_now.push(name);
            continue;
        };
        comparison.compared += 1;
        let findings = if old.digest == run.digest && old.phases == run.phases {
            comparison.same += 1;
            Vec::new()
        } else {
            let (findings, better) = compare_run(old, run);
            comparison.better += better;
            findings
        };
        if !findings.is_empty() {
            comparison.runs.push((name, findings));
        }
    }
    let left = old.values().map(|run| format!("{}, seed {}", run.scenario, run.seed));
    comparison.only_before = left.collect();
    comparison
}

/// The findings, and how many figures got better.
fn compare_run(old: &Outcome, now: &Outcome) -> (Vec<Finding>, usize) {
    let mut findings = Vec::new();
    let mut better = 0;
    if old.nodes != now.nodes {
        findings.push(Finding::Note(format!("{} nodes, {} before", now.nodes, old.nodes)));
    }
    if old.bug != now.bug {
        let name = |bug: &Option<String>| bug.clone().unwrap_or_else(|| "no bug".to_owned());
        findings.push(Finding::Note(format!("{}, {} before", name(&now.bug), name(&old.bug))));
    }
    if old.source != now.source {
        findings.push(Finding::Note("the scenario has been changed".to_owned()));
    }
    let ruled = |run: &Outcome| -> BTreeSet<String> {
        let bounds = run.phases.iter().flat_map(|phase| &phase.bounds);
        let bounds: Vec<_> = bounds.map(|bound| bound.bound.as_str()).collect();
        let rules = run.failures.iter().map(|failure| failure.rule.clone());
        rules.filter(|rule| !bounds.iter().any(|bound| rule.ends_with(bound))).collect()
    };
    findings.extend(ruled(now).difference(&ruled(old)).cloned().map(Finding::Failed));
    let goods = goods(&[old, now]);
    for phase in &now.phases {
        let old = old.phases.iter().find(|old| old.name == phase.name);
        findings.extend(broken(old, phase));
        let Some(old) = old else { continue };
        for (figure, &value) in &phase.figures {
            let Some(&before) = old.figures.get(figure) else { continue };
            let change =
                Change { phase: phase.name.clone(), figure: figure.clone(), before, now: value };
            if change.share().abs() <= ENOUGH {
                continue;
            }
            match good(&goods, &phase.name, figure).map(|good| good.prefers(before, value)) {
                Some(true) => better += 1,
                Some(false) => findings.push(Finding::Worse(change)),
                None => findings.push(Finding::Changed(change)),
            }
        }
    }
    (findings, better)
}

fn broken(old: Option<&PhaseOutcome>, now: &PhaseOutcome) -> Vec<Finding> {
    let held_before = |text: &str| {
        let same = old.and_then(|old| old.bounds.iter().find(|old| old.bound == text));
        same.is_none_or(|old| old.held)
    };
    let bounds = now.bounds.iter().filter(|bound| !bound.held && held_before(&bound.bound));
    let finding = |bound: &rs2p_simnet::BoundOutcome| Finding::Broken {
        phase: now.name.clone(),
        bound: bound.bound.clone(),
        measured: bound.measured,
    };
    bounds.map(finding).collect()
}

/// Each figure's good direction, by the phase that states a bound on it.
fn goods<'a>(runs: &[&'a Outcome]) -> BTreeMap<(&'a str, &'a str), Good> {
    let phases = runs.iter().flat_map(|run| &run.phases);
    let bounds = phases.flat_map(|phase| phase.bounds.iter().map(move |bound| (phase, bound)));
    let read = bounds.filter_map(|(phase, bound)| {
        let (figure, good) = read_bound(&bound.bound)?;
        Some(((phase.name.as_str(), figure), good))
    });
    read.collect()
}

/// What the phase says; where it says nothing, what all others that say something agree on.
fn good(goods: &BTreeMap<(&str, &str), Good>, phase: &str, figure: &str) -> Option<Good> {
    if let Some(good) = goods.get(&(phase, figure)) {
        return Some(*good);
    }
    let mut others = goods.iter().filter(|((_, other), _)| *other == figure).map(|(_, good)| *good);
    let first = others.next()?;
    others.all(|other| other == first).then_some(first)
}

fn read_bound(bound: &str) -> Option<(&str, Good)> {
    let mut words = bound.split_whitespace();
    let (figure, relation, value) = (words.next()?, words.next()?, words.next()?);
    let good = match relation {
        ">=" | ">" => Good::High,
        "<=" | "<" => Good::Low,
        "==" => Good::Near(value.parse().ok()?),
        _ => return None,
    };
    Some((figure, good))
}

impl Good {
    fn prefers(self, before: f64, now: f64) -> bool {
        match self {
            Self::High => now >= before,
            Self::Low => now <= before,
            Self::Near(value) => (now - value).abs() <= (before - value).abs(),
        }
    }
}

impl Change {
    /// By which share of what it was before it changed.
    fn share(&self) -> f64 {
        let difference = self.now - self.before;
        if difference == 0.0 { 0.0 } else { difference / self.before.abs() }
    }
}

impl Comparison {
    /// Whether something got worse for certain.
    pub(crate) fn is_worse(&self) -> bool {
        let findings = self.runs.iter().flat_map(|(_, findings)| findings);
        findings.into_iter().any(|finding| {
            matches!(finding, Finding::Broken { .. } | Finding::Failed(_) | Finding::Worse(_))
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compared, same, better, .. } = self;
        let runs = if *compared == 1 { "run" } else { "runs" };
        writeln!(f, "\nBeside the baseline: {compared} {runs} compared, {same} of them the same.")?;
        for (name, findings) in &self.runs {
            writeln!(f, "{name}:")?;
            for finding in findings {
                writeln!(f, "  {finding}")?;
            }
        }
        if *better > 0 {
            let figures = if *better == 1 { "figure" } else { "figures" };
            writeln!(f, "{better} {figures} got better.")?;
        }
        for (runs, side) in [(&self.only_before, "the baseline"), (&self.only_now, "these runs")] {
            if let Some(first) = runs.first() {
                let more = match runs.len() {
                    1 => String::new(),
                    many => format!(" and {} more", many - 1),
                };
                writeln!(f, "Only in {side}: {first}{more}.")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note(what) => write!(f, "not quite comparable: {what}"),
            Self::Broken { phase, bound, measured: Some(measured) } => {
                write!(f, "BROKEN: {bound} in {phase}: it is {measured}")
            }
            Self::Broken { phase, bound, measured: None } => {
                write!(f, "BROKEN: {bound} in {phase}: nothing was measured")
            }
            Self::Failed(rule) => write!(f, "BROKEN: {rule}"),
            Self::Worse(change) => write!(f, "worse: {change}"),
            Self::Changed(change) => write!(f, "changed: {change}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, now] = [self.before, self.now].map(|it| figures::write(&self.figure, it));
        write!(f, "{} in {}: {before} -> {now}", self.figure, self.phase)?;
        if self.before == 0.0 {
            return Ok(());
        }
        write!(f, " ({:+.0} %)", self.share() * 100.0)
    }
}

/// By which share a figure has to change to be told.
const ENOUGH: f64 = 0.05;

#[cfg(test)]
mod tests {
    use super::super::results::tests::outcome;
    use super::*;

    fn run(digest: &str, figures: &[(&str, f64)], bound: &str, held: bool) -> Outcome {
        Outcome { digest: digest.to_owned(), ..outcome(1, figures, bound, Some(0.5), held) }
    }

    /// The comparison of a run whose only figure goes from one value to another.
    fn change(bound: &str, before: f64, now: f64) -> Comparison {
        let figure = bound.split(' ').next().unwrap();
        let old = run("a", &[(figure, before)], bound, true);
        let new = run("b", &[(figure, now)], bound, true);
        compare(&[old], &[&new])
    }

    #[test]
    fn the_bound_tells_which_way_is_worse() {
        for (bound, before, now) in [
            ("heard >= 0.5", 1.0, 0.9),
            ("p99_ms <= 9", 1.0, 1.1),
            ("components == 1", 1.0, 2.0),
            ("components == 1", 1.0, 0.0),
            ("lost <= 10", 0.0, 1.0),
        ] {
            assert!(change(bound, before, now).is_worse(), "{bound}: {before} to {now}");
            let back = change(bound, now, before);
            assert!(!back.is_worse() && back.better == 1, "{bound}: {now} to {before}");
        }
    }

    #[test]
    fn a_small_change_and_one_of_unknown_direction_are_not_worse() {
        let small = change("heard >= 0.5", 1.0, 0.96);
        assert!(!small.is_worse() && small.runs.is_empty());
        let old = run("a", &[("links", 8.0)], "heard >= 0.5", true);
        let new = run("b", &[("links", 10.0)], "heard >= 0.5", true);
        let unknown = compare(&[old], &[&new]);
        assert!(!unknown.is_worse());
        let text = unknown.to_string();
        assert!(text.contains("changed: links in steady: 8 -> 10 (+25 %)"), "{text}");
    }

    #[test]
    fn a_bound_of_another_phase_tells_the_way_unless_they_disagree() {
        let goods = BTreeMap::from([
            (("heal", "heard"), Good::High),
            (("cut", "components"), Good::Near(2.0)),
            (("heal", "components"), Good::Near(1.0)),
        ]);
        assert_eq!(good(&goods, "cut", "heard"), Some(Good::High));
        assert_eq!(good(&goods, "cut", "components"), Some(Good::Near(2.0)));
        assert_eq!(good(&goods, "start", "components"), None);
        assert_eq!(good(&goods, "start", "links"), None);
    }

    #[test]
    fn a_bound_that_no_longer_holds_is_told_and_one_that_never_did_is_not() {
        let held = run("a", &[], "heard >= 0.99", true);
        let broken = run("b", &[], "heard >= 0.99", false);
        let comparison = compare(std::slice::from_ref(&held), &[&broken]);
        assert!(comparison.is_worse());
        let text = comparison.to_string();
        assert!(text.contains("BROKEN: heard >= 0.99 in steady: it is 0.5"), "{text}");
        assert_eq!(text.matches("BROKEN").count(), 1, "{text}");
        let still = Outcome { digest: "c".to_owned(), ..broken.clone() };
        assert!(!compare(&[broken], &[&still]).is_worse());
    }

    #[test]
    fn a_broken_invariant_is_told() {
        let old = run("a", &[], "heard >= 0.99", true);
        let mut new = run("b", &[], "heard >= 0.99", false);
        new.phases.clear();
        new.failures[0].rule = "nobody hears twice".to_owned();
        let comparison = compare(&[old], &[&new]);
        assert!(comparison.is_worse());
        assert!(comparison.to_string().contains("BROKEN: nobody hears twice"));
    }

    #[test]
    fn equal_runs_and_runs_of_one_side_are_counted() {
        let same = run("a", &[("heard", 1.0)], "heard >= 0.99", true);
        let other = Outcome { seed: 2, ..same.clone() };
        let third = Outcome { seed: 3, ..same.clone() };
        let comparison = compare(&[same.clone(), other], &[&same, &third]);
        let text = comparison.to_string();
        assert!(text.contains("1 run compared, 1 of them the same"), "{text}");
        assert!(text.contains("Only in the baseline: mesh/flood, seed 2."), "{text}");
        assert!(text.contains("Only in these runs: mesh/flood, seed 3."), "{text}");
        assert!(!comparison.is_worse());
    }
}
