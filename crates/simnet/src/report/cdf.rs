//! A distribution, as the share of values that are no larger.

use std::fmt::{self, Display};

use super::axis::Axis;
use super::figure::{ACROSS, FOOT, Figure, Frame, HEIGHT, Place, WIDTH};
use super::number::{Scale, grouped, humane};
use super::thin::thinned;
use crate::outcome::Distribution;

/// A plot of a distribution.
pub(super) struct Cdf<'a> {
    /// What is drawn.
    pub(super) distribution: &'a Distribution,
    /// Unlike any other on the page.
    pub(super) id: &'a str,
}

impl Display for Cdf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Distribution { name, unit, count, points } = self.distribution;
        let is_finite = |point: &&(f64, f64)| point.0.is_finite() && point.1.is_finite();
        let points: Vec<(f64, f64)> = points.iter().filter(is_finite).copied().collect();
        let (Some(smallest), Some(largest)) = (points.first(), points.last()) else {
            return Figure {
                id: self.id,
                name,
                unit: "",
                note: "no values",
                description: "No values.",
                size: (WIDTH, 8.0),
                drawing: "",
            }
            .fmt(f);
        };
        let marked: Vec<(&str, (f64, f64))> = MARKED
            .iter()
            .filter_map(|(name, share)| Some((*name, at_share(&points, *share)?)))
            .collect();
        let mut note = format!("{} values", grouped(*count as f64));
        for (name, point) in &marked {
            note.push_str(&format!("; {name} {}", humane(point.0, unit)));
        }
        if largest.1 >= 1.0 {
            note.push_str(&format!("; largest {}", humane(largest.0, unit)));
        }
        let (x, x_suffix) = across(&points, unit);
        Figure {
            id: self.id,
            name,
            unit: "",
            note: &note,
            description: &format!(
                "A rising curve from {} to {}: {note}.",
                humane(smallest.0, unit),
                humane(largest.0, unit)
            ),
            size: (WIDTH, TOP + HEIGHT + FOOT),
            drawing: Drawing {
                points: &thinned(&points, POINTS),
                marked: &marked,
                y: Axis::even((0.0, 1.0), &Scale::share(), (TOP + HEIGHT, TOP), 5),
                x,
                x_suffix,
            },
        }
        .fmt(f)
    }
}

struct Drawing<'a> {
    points: &'a [(f64, f64)],
    marked: &'a [(&'a str, (f64, f64))],
    x: Axis,
    x_suffix: String,
    y: Axis,
}

impl Display for Drawing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bottom, right) = (self.y.ends().0, self.x.ends().1);
        write!(f, "{}", Frame { x: &self.x, x_suffix: &self.x_suffix, y: &self.y, y_suffix: "%" })?;
        // Between two values the share stays what it was: stairs, not slopes.
        f.write_str("<path class=\"line\" d=\"")?;
        for (index, point) in self.points.iter().enumerate() {
            let (x, y) = (Place(self.x.at(point.0)), Place(self.y.at(point.1)));
            match index {
                0 => write!(f, "M{x} {}V{y}", Place(bottom))?,
                _ => write!(f, "H{x}V{y}")?,
            }
        }
        writeln!(f, "H{}\"/>", Place(right))?;
        for (name, point) in self.marked {
            let (x, y) = (Place(self.x.at(point.0)), Place(self.y.at(point.1)));
            write!(f, "<g class=\"marked\"><title>{name}</title><path d=\"M{x} {y}V{bottom}\"/>")?;
            writeln!(f, "<circle class=\"dot\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/></g>")?;
        }
        Ok(())
    }
}

/// By orders of magnitude when the values span more than two of them.
fn across(points: &[(f64, f64)], unit: &str) -> (Axis, String) {
    let values = || points.iter().map(|point| point.0);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let above_nought = values().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
    if low >= 0.0 && above_nought.is_finite() && high > 100.0 * above_nought {
        (Axis::log((above_nought, high), unit, ACROSS), String::new())
    } else {
        let scale = Scale::of(unit, high.abs().max(low.abs()));
        (Axis::round((low, high), &scale, ACROSS, 5, 0.0), scale.suffix)
    }
}

/// The first point at which so large a share is reached.
fn at_share(points: &[(f64, f64)], share: f64) -> Option<(f64, f64)> {
    points.iter().find(|point| point.1 >= share).copied()
}

/// What is marked on the curve, and at which share.
const MARKED: [(&str, f64); 2] = [("median", 0.5), ("99th percentile", 0.99)];

/// Points of a curve.
const POINTS: usize = 400;

/// Above it.
const TOP: f64 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(points: &[(f64, f64)], unit: &str) -> String {
        let (axis, suffix) = across(points, unit);
        let ticks: Vec<&str> = axis.ticks.iter().map(|tick| tick.label.as_str()).collect();
        format!("{} {suffix}", ticks.join(" ")).replace('\u{a0}', "")
    }

    #[test]
    fn more_than_two_decades_are_shown_by_orders_of_magnitude() {
        assert_eq!(labels(&[(1.0, 0.5), (100.0, 1.0)], "hops"), "0 20 40 60 80 100 hops");
        let wide = labels(&[(0.0, 0.1), (0.001, 0.5), (10.0, 1.0)], "s");
        assert!(wide.contains("1ms") && wide.contains("100ms") && wide.contains("10s"), "{wide}");
    }

    #[test]
    fn a_percentile_is_the_first_value_that_reaches_it() {
        let points = [(1.0, 0.2), (2.0, 0.5), (3.0, 0.98)];
        assert_eq!(at_share(&points, 0.5), Some((2.0, 0.5)));
        assert_eq!(at_share(&points, 0.99), None);
    }
}
