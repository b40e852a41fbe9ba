//! What runs came to, as a page for people: one HTML file that needs nothing else.
//!
//! Each part of the page is a type that displays itself as HTML, so that only [`Escaped`] text and
//! numbers ever stand between its tags.
//!
//! [`Escaped`]: escape::Escaped

mod axis;
mod cdf;
mod escape;
mod faults;
mod figure;
mod graph;
mod number;
mod overview;
mod page;
mod phases;
mod run;
mod series;
#[cfg(test)]
mod tests;
mod thin;
mod timeline;

use crate::outcome::Outcome;

/// A page about runs: a table of all, and what each came to in figures, plots and its network.
///
/// It holds all it shows, without scripts and without links to anywhere else, and is the same for
/// the same outcomes. Of more than a dozen runs, only those that failed and the first of each
/// scenario are shown in full; the page says so.
#[must_use]
pub fn html(outcomes: &[Outcome]) -> String {
    page::Page::of(outcomes).to_string()
}
