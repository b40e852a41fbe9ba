//! The table of all runs.

use std::fmt::{self, Display};

use super::escape::Escaped;
use super::number::{grouped, humane, plain};
use super::page::Entry;
use crate::outcome::{BoundOutcome, Outcome};

/// A row for each run; those with a section lead there.
pub(super) struct Overview<'a>(pub(super) &'a [Entry<'a>]);

impl Display for Overview<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let full = self.0.iter().filter(|entry| entry.section.is_some()).count();
        if full < self.0.len() {
            writeln!(
                f,
                "<p class=\"note\">Shown in full below: the runs that failed, and the first of \
                 each scenario; {full} of {}. The others are rows of this table only.</p>",
                self.0.len()
            )?;
        }
        f.write_str(
            "<div class=\"scroll\" role=\"region\" aria-label=\"All runs\" tabindex=\"0\">\n\
             <table class=\"runs\">\n<thead><tr><th scope=\"col\">Scenario</th>\
             <th scope=\"col\" class=\"n\">Seed</th><th scope=\"col\" class=\"n\">Nodes</th>\
             <th scope=\"col\">Verdict</th><th scope=\"col\">Figures</th>\
             <th scope=\"col\" class=\"n\">Deliveries/s</th>\
             <th scope=\"col\" class=\"n\">Memory/node</th></tr></thead>\n<tbody>\n",
        )?;
        self.0.iter().try_for_each(|entry| row(f, entry))?;
        f.write_str("</tbody>\n</table>\n</div>\n")
    }
}

/// Whether a run passed, as a badge.
pub(super) struct Verdict(pub(super) bool);

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            true => "<span class=\"badge good\">passed</span>",
            false => "<span class=\"badge bad\">failed</span>",
        })
    }
}

/// Deliveries for each second on the computer's clock.
pub(super) fn pace(outcome: &Outcome) -> String {
    match outcome.speed.deliveries_per_second() {
        pace if pace > 0.0 => humane(pace, "/s"),
        _ => "–".to_owned(),
    }
}

/// Memory for each node.
pub(super) fn memory(outcome: &Outcome) -> String {
    match outcome.speed.bytes_per_node {
        Some(bytes) => humane(bytes as f64, "B"),
        None => "–".to_owned(),
    }
}

fn row(f: &mut fmt::Formatter<'_>, Entry { outcome, section }: &Entry<'_>) -> fmt::Result {
    let name = Escaped(&outcome.scenario);
    match section {
        Some(section) => write!(f, "<tr><th scope=\"row\"><a href=\"#{section}\">{name}</a>")?,
        None => write!(f, "<tr><th scope=\"row\">{name}")?,
    }
    if let Some(bug) = &outcome.bug {
        write!(f, "<br><span class=\"planted\">planted: {}</span>", Escaped(bug))?;
    }
    write!(
        f,
        "</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"figures\">",
        outcome.seed,
        grouped(f64::from(outcome.nodes)),
        Verdict(outcome.passed()),
    )?;
    if let Some(failure) = outcome.failures.first() {
        write!(f, "<p class=\"why\">{}: {}", Escaped(&failure.rule), Escaped(&failure.seen))?;
        match outcome.failures.len() - 1 {
            0 => f.write_str("</p>")?,
            more => write!(f, " <span class=\"more\">and {more} more</span></p>")?,
        }
    }
    for (name, value) in telling(outcome) {
        write!(f, "<span class=\"figure\">{} <b>{}</b></span> ", Escaped(name), plain(value))?;
    }
    let (pace, memory) = (pace(outcome), memory(outcome));
    writeln!(f, "</td><td class=\"n\">{pace}</td><td class=\"n\">{memory}</td></tr>")
}

/// The figures that a scenario has bounds for are what it is about: those of broken bounds first,
/// then of the last phase. One without bounds tells what it has.
fn telling(outcome: &Outcome) -> Vec<(&str, f64)> {
    let bounds = || outcome.phases.iter().rev().flat_map(|phase| &phase.bounds);
    let bounded = bounds().filter(|bound| !bound.held).chain(bounds()).filter_map(measured);
    let others = outcome.phases.last().into_iter().flat_map(|phase| &phase.figures);
    let others = others.map(|(name, value)| (name.as_str(), *value));
    let any: Vec<(&str, f64)> = bounded.collect();
    let mut told: Vec<(&str, f64)> = Vec::new();
    for (name, value) in if any.is_empty() { others.collect() } else { any } {
        if told.len() < TOLD && told.iter().all(|known| known.0 != name) {
            told.push((name, value));
        }
    }
    told
}

fn measured(bound: &BoundOutcome) -> Option<(&str, f64)> {
    Some((bounded_figure(&bound.bound)?, bound.measured?))
}

/// `heard` of `heard >= 0.999`.
pub(super) fn bounded_figure(bound: &str) -> Option<&str> {
    bound.split(['<', '>', '=', '!', ' ']).next().filter(|name| !name.is_empty())
}

/// Figures in a row.
const TOLD: usize = 6;
