//! A figure over time, as a line.

use std::fmt::{self, Display};

use super::axis::Axis;
use super::figure::{Figure, Frame, Place, WIDTH};
use super::number::{Scale, humane, percent};
use super::run::moment;
use super::thin::thinned;
use super::timeline::Timeline;
use crate::outcome::Series;

/// A plot of a series.
pub(super) struct Line<'a> {
    /// What is drawn.
    pub(super) series: &'a Series,
    /// What it is drawn over.
    pub(super) timeline: &'a Timeline<'a>,
    /// Unlike any other on the page.
    pub(super) id: &'a str,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Series { name, unit, points } = self.series;
        let is_finite = |point: &&(f64, f64)| point.0.is_finite() && point.1.is_finite();
        let points: Vec<(f64, f64)> = points.iter().filter(is_finite).copied().collect();
        let by_value = |one: &&(f64, f64), other: &&(f64, f64)| one.1.total_cmp(&other.1);
        let (Some(lowest), Some(highest), Some(last)) =
            (points.iter().min_by(by_value), points.iter().max_by(by_value), points.last())
        else {
            return Figure {
                id: self.id,
                name,
                unit: "",
                note: "no values",
                description: "No values.",
                size: (WIDTH, FOOTNOTE),
                drawing: "",
            }
            .fmt(f);
        };
        let is_share = unit == "share" || (unit.is_empty() && is_share(&points));
        let told = |value: f64| if is_share { percent(value) } else { humane(value, unit) };
        let largest = highest.1.abs().max(lowest.1.abs());
        let scale = if is_share { Scale::share() } else { Scale::of(unit, largest) };
        let are_whole = !is_share && points.iter().all(|point| point.1.fract() == 0.0);
        let finest = if are_whole { scale.factor } else { 0.0 };
        let y = Axis::round((lowest.1, highest.1), &scale, self.timeline.up(), 5, finest);
        Figure {
            id: self.id,
            name,
            unit: &scale.suffix,
            note: &format!(
                "lowest {}, highest {}, last {}",
                scale.write(lowest.1),
                scale.write(highest.1),
                scale.write(last.1)
            ),
            description: &format!(
                "A line from {} to {}. Lowest {} at {}, highest {} at {}, last {}.",
                moment(points[0].0),
                moment(last.0),
                told(lowest.1),
                moment(lowest.0),
                told(highest.1),
                moment(highest.0),
                told(last.1)
            ),
            size: (WIDTH, self.timeline.height()),
            drawing: Drawing { points: &thinned(&points, POINTS), timeline: self.timeline, y },
        }
        .fmt(f)
    }
}

struct Drawing<'a> {
    points: &'a [(f64, f64)],
    timeline: &'a Timeline<'a>,
    y: Axis,
}

impl Display for Drawing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let x = &self.timeline.x;
        write!(f, "{}", self.timeline)?;
        write!(f, "{}", Frame { x, x_suffix: &self.timeline.suffix, y: &self.y, y_suffix: "" })?;
        if let [point] = self.points {
            let (x, y) = (Place(x.at(point.0)), Place(self.y.at(point.1)));
            return writeln!(f, "<circle class=\"dot\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/>");
        }
        f.write_str("<polyline class=\"line\" points=\"")?;
        for (index, point) in self.points.iter().enumerate() {
            let apart = if index == 0 { "" } else { " " };
            write!(f, "{apart}{},{}", Place(x.at(point.0)), Place(self.y.at(point.1)))?;
        }
        f.write_str("\"/>\n")
    }
}

/// Counts have no unit either, but a count between 0 and 1 is 0 or 1.
fn is_share(points: &[(f64, f64)]) -> bool {
    points.iter().all(|point| (0.0..=1.0).contains(&point.1))
        && points.iter().any(|point| point.1.fract() != 0.0)
}

/// Points of a line: more than there are pixels say nothing.
const POINTS: usize = 600;

/// How high a drawing of nothing is.
const FOOTNOTE: f64 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_told_from_counts() {
        assert!(is_share(&[(0.0, 1.0), (1.0, 0.5)]));
        assert!(!is_share(&[(0.0, 1.0), (1.0, 0.0)]), "one component, then none");
        assert!(!is_share(&[(0.0, 0.5), (1.0, 1.5)]));
    }
}
