//! The table of results.

use std::fmt::Write as _;

use rs2p_simnet::Outcome;

use super::figures::{COLUMNS, Column};
use super::numbers;
use super::results::Results;

/// A row for each run; one for each scenario that ran with many seeds. `with_digest`: the digests,
/// too.
pub(crate) fn table(results: &Results, with_digest: bool) -> String {
    let shown: Vec<&Column> = COLUMNS
        .iter()
        .filter(|column| results.outcomes().any(|run| (column.of)(run).is_some()))
        .collect();
    let mut heading = vec![left("scenario"), right("seed"), right("nodes"), left("verdict")];
    heading.extend(shown.iter().map(|column| right(column.heading)));
    if with_digest {
        heading.push(left("digest"));
    }
    let mut rows = vec![heading];
    let mut has_medians = false;
    for runs in results.by_scenario().values() {
        let groups: Vec<&[&Outcome]> = if runs.len() > ROWS {
            has_medians = true;
            vec![runs.as_slice()]
        } else {
            runs.chunks(1).collect()
        };
        rows.extend(groups.into_iter().map(|runs| row(runs, &shown, with_digest)));
    }
    let mut text = aligned(&rows);
    if has_medians {
        text.push_str("Figures of several seeds are medians.\n");
    }
    text
}

fn row(runs: &[&Outcome], shown: &[&Column], with_digest: bool) -> Vec<Cell> {
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Vec::new() };
    let failed = runs.iter().filter(|run| !run.passed()).count();
    let (seed, verdict) = match (runs.len(), failed) {
        (1, 0) => (first.seed.to_string(), "passed".to_owned()),
        (1, _) => (first.seed.to_string(), "FAILED".to_owned()),
        (many, 0) => (seeds(first, last), format!("{} passed", numbers::count(many as u64))),
        (many, _) => {
            let [failed, many] = [failed, many].map(|it| numbers::count(it as u64));
            (seeds(first, last), format!("{failed} of {many} FAILED"))
        }
    };
    let nodes = numbers::count(first.nodes.into());
    let mut row = vec![left(&first.scenario), right(&seed), right(&nodes), left(&verdict)];
    row.extend(shown.iter().map(|column| {
        let figure = median(runs.iter().filter_map(|run| (column.of)(run)).collect());
        right(&figure.map_or_else(|| "-".to_owned(), column.write))
    }));
    if with_digest {
        row.push(left(if runs.len() == 1 { &first.digest } else { "-" }));
    }
    row
}

fn seeds(first: &Outcome, last: &Outcome) -> String {
    format!("{}-{}", first.seed, last.seed)
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().checked_sub(1)? / 2).copied()
}

/// A cell, and on which side of its column it stands.
pub(super) struct Cell {
    text: String,
    is_right: bool,
}

pub(super) fn left(text: &str) -> Cell {
    Cell { text: text.to_owned(), is_right: false }
}

pub(super) fn right(text: &str) -> Cell {
    Cell { text: text.to_owned(), is_right: true }
}

pub(super) fn aligned(rows: &[Vec<Cell>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, &width) in row.iter().zip(&widths) {
            // Into a string, writing does not fail.
            _ = if cell.is_right {
                write!(line, "{:>width$}  ", cell.text)
            } else {
                write!(line, "{:<width$}  ", cell.text)
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Up to so many runs of a scenario have a row each.
const ROWS: usize = 12;

#[cfg(test)]
mod tests {
    use super::super::results::tests::{outcome, results};
    use super::*;

    #[test]
    fn each_run_has_a_row_and_figures_that_nobody_has_no_column() {
        let good = outcome(1, &[("heard", 1.0), ("hops", 3.456)], "heard >= 0.99", None, true);
        let bad = outcome(10, &[("heard", 0.5)], "heard >= 0.99", None, false);
        let text = table(&results([good, bad]), true);
        assert_eq!(
            text,
            "scenario    seed  nodes  verdict  heard  hops  digest\n\
             mesh/flood     1  1,000  passed   100 %  3.46  0001\n\
             mesh/flood    10  1,000  FAILED    50 %     -  000a\n"
        );
    }

    #[test]
    fn many_seeds_share_a_row_of_medians() {
        let run = |seed: u64| outcome(seed, &[("hops", seed as f64)], "hops <= 9", None, seed < 99);
        let text = table(&results((1..=99).map(run)), false);
        assert_eq!(
            text,
            "scenario    seed  nodes  verdict         hops\n\
             mesh/flood  1-99  1,000  1 of 99 FAILED    50\n\
             Figures of several seeds are medians.\n"
        );
    }

    #[test]
    fn a_table_of_nothing_is_its_heading() {
        assert_eq!(table(&results([]), false), "scenario  seed  nodes  verdict\n");
    }
}
