//! The page around the runs, and which of them it shows in full.

use std::collections::BTreeSet;
use std::fmt::{self, Display};

use super::escape::Escaped;
use super::overview::Overview;
use super::run::Run;
use crate::outcome::Outcome;

/// A whole HTML document.
pub(super) struct Page<'a> {
    entries: Vec<Entry<'a>>,
}

/// A run as it stands on the page.
pub(super) struct Entry<'a> {
    /// What it came to.
    pub(super) outcome: &'a Outcome,
    /// The name of its section in links; nothing when it has none.
    pub(super) section: Option<String>,
}

impl<'a> Page<'a> {
    /// Runs that failed come first: they are what a reader looks for.
    pub(super) fn of(outcomes: &'a [Outcome]) -> Self {
        let mut seen = BTreeSet::new();
        let mut ordered: Vec<(&Outcome, bool)> = outcomes
            .iter()
            .map(|outcome| (outcome, seen.insert(&outcome.scenario) || !outcome.passed()))
            .collect();
        ordered.sort_by_key(|(outcome, _)| outcome.passed());
        let entry = |(index, (outcome, is_telling)): (usize, (&'a Outcome, bool))| {
            let is_full = is_telling || outcomes.len() <= ALL_IN_FULL;
            Entry { outcome, section: is_full.then(|| format!("run-{}", index + 1)) }
        };
        Self { entries: ordered.into_iter().enumerate().map(entry).collect() }
    }

    fn title(&self) -> String {
        match self.entries.as_slice() {
            [Entry { outcome, .. }] => {
                let verdict = if outcome.passed() { "passed" } else { "failed" };
                format!("{}, seed {}: {verdict}", outcome.scenario, outcome.seed)
            }
            _ => format!("Simulator: {}", self.verdict()),
        }
    }

    fn verdict(&self) -> String {
        let all = self.entries.len();
        let failed = self.entries.iter().filter(|entry| !entry.outcome.passed()).count();
        match (all, failed) {
            (0, _) => "no runs".to_owned(),
            (1, 0) => "the run passed".to_owned(),
            (1, _) => "the run failed".to_owned(),
            (_, 0) => format!("all {all} runs passed"),
            (_, failed) if failed == all => format!("all {all} runs failed"),
            (_, failed) => format!("{failed} of {all} runs failed"),
        }
    }
}

impl Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = self.title();
        write!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n\
             <header id=\"top\">\n<p class=\"kicker\">rs2p simulator</p>\n<h1>{}</h1>\n</header>\n\
             <main>\n",
            Escaped(&title),
            include_str!("style.css"),
            Escaped(&title),
        )?;
        write!(f, "{}", Overview(&self.entries))?;
        for Entry { outcome, section } in &self.entries {
            if let Some(section) = section {
                write!(f, "{}", Run { outcome, section })?;
            }
        }
        f.write_str("</main>\n</body>\n</html>\n")
    }
}

/// Up to so many runs are all shown in full.
const ALL_IN_FULL: usize = 12;
