//! What every plot over time shows around its line: the phases, the faults, the first failures.

use std::fmt::{self, Display};

use super::axis::{Axis, text_width};
use super::escape::Escaped;
use super::faults::span;
use super::figure::{ACROSS, FOOT, HEIGHT, Place};
use super::number::Scale;
use super::run::moment;
use crate::outcome::{FaultOutcome, Outcome};

/// The time of a run, laid out once for all of its plots.
pub(super) struct Timeline<'a> {
    /// From the start to the end.
    pub(super) x: Axis,
    /// What the times are in.
    pub(super) suffix: String,
    outcome: &'a Outcome,
    marks: Vec<Mark<'a>>,
    lanes: usize,
}

/// A fault above a plot.
struct Mark<'a> {
    number: usize,
    fault: &'a FaultOutcome,
    lane: usize,
    is_numbered: bool,
}

impl<'a> Timeline<'a> {
    /// As long as anything that it has to show.
    pub(super) fn of(outcome: &'a Outcome) -> Self {
        let phases = outcome.phases.iter().map(|phase| phase.to);
        let points = outcome.series.iter().filter_map(|series| series.points.last());
        let failures = outcome.failures.iter().map(|failure| failure.at);
        let times = phases.chain(points.map(|point| point.0)).chain(failures);
        let end = times.filter(|time| time.is_finite()).fold(0.0, f64::max);
        let scale = Scale::of("s", end);
        let mut timeline = Self {
            x: Axis::even((0.0, end), &scale, ACROSS, 6),
            suffix: scale.suffix,
            outcome,
            marks: Vec::new(),
            lanes: 0,
        };
        timeline.lay_out_faults();
        timeline
    }

    /// Faults that overlap stand above each other, as far as there is room.
    fn lay_out_faults(&mut self) {
        let faults = self.outcome.phases.iter().flat_map(|phase| &phase.faults);
        let mut taken: Vec<Vec<(f64, f64)>> = Vec::new();
        for (number, fault) in (1..).zip(faults) {
            let (from, to) = self.bar(fault);
            let label = self.label(number, fault);
            let (from, to) = (from.min(label) - 1.0, to.max(label + number_width(number)) + 1.0);
            let is_free = |lane: &Vec<(f64, f64)>| lane.iter().all(|it| to < it.0 || it.1 < from);
            let free = taken.iter().position(is_free);
            if free.is_none() && taken.len() < LANES {
                taken.push(Vec::new());
            }
            let lane = free.unwrap_or(taken.len() - 1);
            let is_numbered = is_free(&taken[lane]);
            taken[lane].push((from, to));
            self.marks.push(Mark { number, fault, lane, is_numbered });
        }
        self.lanes = taken.len();
    }

    /// What the marks mean; nothing when there are none.
    pub(super) fn key(&self) -> String {
        let mut key = String::new();
        if !self.marks.is_empty() {
            key.push_str("Above each plot stand the faults, by their numbers in the table. ");
        }
        if self.marks.iter().any(|mark| !mark.is_numbered) {
            key.push_str("Where they are too many for numbers, they overlap. ");
        }
        if !self.outcome.failures.is_empty() {
            key.push_str("Red lines are failures.");
        }
        key.trim_end().to_owned()
    }

    /// Where the line of a plot has its place, from the bottom to the top.
    pub(super) fn up(&self) -> (f64, f64) {
        let top = LANE * self.lanes as f64 + NAMES;
        (top + HEIGHT, top)
    }

    /// How high a plot is in all.
    pub(super) fn height(&self) -> f64 {
        self.up().0 + FOOT
    }

    /// A blow is drawn as long as its mark is wide.
    fn bar(&self, fault: &FaultOutcome) -> (f64, f64) {
        let from = self.x.at(fault.from).min(ACROSS.1 - BLOW);
        (from, self.x.at(fault.to).max(from + BLOW))
    }

    /// The number stands after the bar, or before it where the paper ends.
    fn label(&self, number: usize, fault: &FaultOutcome) -> f64 {
        let (from, to) = self.bar(fault);
        let width = number_width(number);
        if to + width <= ACROSS.1 { to } else { from - width }
    }

    fn phases(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bottom, top) = self.up();
        for (index, phase) in self.outcome.phases.iter().enumerate() {
            let (from, to) = (self.x.at(phase.from), self.x.at(phase.to));
            let class = if index % 2 == 0 { "band" } else { "band odd" };
            writeln!(
                f,
                "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{}, \
                 {}</title></rect>",
                Place(from),
                Place(top - NAMES),
                Place(to - from),
                Place(bottom - top + NAMES),
                Escaped(&phase.name),
                span(phase.from, phase.to)
            )?;
            let room = ((to - from - 6.0) / text_width("x")).max(0.0) as usize;
            if let Some(name) = shortened(&phase.name, room) {
                let (x, y) = (Place(from + 4.0), Place(top - 4.0));
                writeln!(f, "<text class=\"phase\" x=\"{x}\" y=\"{y}\">{}</text>", Escaped(name))?;
            }
        }
        Ok(())
    }

    fn faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bottom, top) = self.up();
        for mark in &self.marks {
            let y = LANE * mark.lane as f64;
            let (from, to) = self.bar(mark.fault);
            let (x, width) = (Place(from), Place(to - from));
            let (what, when) = (Escaped(&mark.fault.fault), span(mark.fault.from, mark.fault.to));
            write!(f, "<g class=\"fault\"><title>{}. {what}, {when}</title>", mark.number)?;
            write!(f, "<path d=\"M{x} {}V{}\"/>", Place(top), Place(bottom))?;
            write!(f, "<rect x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"5\"/>", y + 3.0)?;
            if mark.is_numbered {
                let x = Place(self.label(mark.number, mark.fault) + 3.0);
                write!(f, "<text x=\"{x}\" y=\"{}\">{}</text>", Place(y + 9.5), mark.number)?;
            }
            f.write_str("</g>\n")?;
        }
        Ok(())
    }

    fn failures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bottom, top) = self.up();
        for failure in self.outcome.failures.iter().take(FAILURES) {
            let x = Place(self.x.at(failure.at));
            let (top, bottom) = (Place(top), Place(bottom));
            let (rule, at) = (Escaped(&failure.rule), moment(failure.at));
            write!(f, "<path class=\"failed\" d=\"M{x} {top}V{bottom}\">")?;
            writeln!(f, "<title>{rule}, {at}</title></path>")?;
        }
        Ok(())
    }
}

impl Display for Timeline<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.phases(f)?;
        self.faults(f)?;
        self.failures(f)
    }
}

/// As much of a name as there is room for; nothing where it would say nothing.
fn shortened(name: &str, room: usize) -> Option<String> {
    if name.chars().count() <= room {
        return Some(name.to_owned());
    }
    let kept: String = name.chars().take(room.saturating_sub(1)).collect();
    (room >= 4).then(|| format!("{}…", kept.trim_end()))
}

fn number_width(number: usize) -> f64 {
    text_width(&number.to_string()) + 6.0
}

/// How high a row of faults is.
const LANE: f64 = 12.0;

/// Rows of faults at the most.
const LANES: usize = 6;

/// How high the names of phases are.
const NAMES: f64 = 16.0;

/// How wide the mark of a fault without length is.
const BLOW: f64 = 3.0;

/// Failures marked.
const FAILURES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shortened_to_its_room() {
        assert_eq!(shortened("partition", 9).as_deref(), Some("partition"));
        assert_eq!(shortened("partition", 6).as_deref(), Some("parti…"));
        assert_eq!(shortened("partition", 3), None);
        assert_eq!(shortened("größer", 6).as_deref(), Some("größer"));
    }
}
