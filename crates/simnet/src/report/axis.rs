//! Axes: where a value stands on the paper, and which values are marked.

use super::number::{Scale, grouped, humane, is_bytes};

/// From values to places along one direction of a plot.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    is_log: bool,
    from: f64,
    to: f64,
    /// What is marked.
    pub(super) ticks: Vec<Tick>,
}

/// A marked value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// Where it is marked.
    pub(super) at: f64,
    /// What is written there.
    pub(super) label: String,
}

impl Axis {
    /// Exactly from one value to another, and evenly.
    pub(super) fn even(range: (f64, f64), scale: &Scale, place: (f64, f64), most: usize) -> Self {
        let (low, high) = widened(range);
        let step = step(low * scale.factor, high * scale.factor, most);
        Self::stepped((low, high), scale, place, step)
    }

    /// From the step below the lowest value to the step above the highest, and from nought unless
    /// the values lie close together far from it. Steps are no finer than `finest`.
    pub(super) fn round(
        range: (f64, f64),
        scale: &Scale,
        place: (f64, f64),
        most: usize,
        finest: f64,
    ) -> Self {
        let (low, high) =
            widened(if range.0 >= 0.0 && range.0 < 0.6 * range.1 { (0.0, range.1) } else { range });
        let (low, high) = (low * scale.factor, high * scale.factor);
        let step = step(low, high, most).max(finest);
        let low = (low / step + SLACK).floor() * step / scale.factor;
        let high = (high / step - SLACK).ceil() * step / scale.factor;
        Self::stepped((low, high), scale, place, step)
    }

    /// By orders of magnitude, those of bytes being 1024 each. Values from nought downwards stand at its beginning.
    pub(super) fn log(range: (f64, f64), unit: &str, place: (f64, f64)) -> Self {
        let mut axis = Self::new(range, true, place);
        let (base, between) =
            if is_bytes(unit) { (1024.0, [1.0, 8.0, 64.0]) } else { (10.0, [1.0, 2.0, 5.0]) };
        let lowest = range.0.log(base).floor() as i32;
        let highest = range.1.log(base).ceil() as i32;
        let values =
            (lowest..=highest).flat_map(|power| between.map(|times| times * base.powi(power)));
        let inside =
            |value: &f64| (range.0 * (1.0 - SLACK)..=range.1 * (1.0 + SLACK)).contains(value);
        axis.ticks = values
            .filter(inside)
            .map(|value| Tick { at: axis.at(value), label: humane(value, unit) })
            .collect();
        axis.make_room();
        axis
    }

    fn new((low, high): (f64, f64), is_log: bool, (from, to): (f64, f64)) -> Self {
        Self { low, high, is_log, from, to, ticks: Vec::new() }
    }

    fn stepped((low, high): (f64, f64), scale: &Scale, place: (f64, f64), step: f64) -> Self {
        let mut axis = Self::new((low, high), false, place);
        let marked = multiples(low * scale.factor, high * scale.factor, step);
        axis.ticks = marked
            .map(|value| Tick { at: axis.at(value / scale.factor), label: label(value, step) })
            .collect();
        axis
    }

    /// Where a value stands; one outside stands at the nearer end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value / self.low).max(1.0).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Where it begins and ends.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.from, self.to)
    }

    /// Powers of the base are marked first; the values between them where there is room left.
    fn make_room(&mut self) {
        let is_power = |tick: &Tick| tick.label.starts_with('1');
        let mut kept: Vec<Tick> = Vec::new();
        let (powers, between): (Vec<_>, Vec<_>) = self.ticks.drain(..).partition(is_power);
        for tick in powers.into_iter().chain(between) {
            let width = text_width(&tick.label);
            let is_free = |other: &Tick| {
                (tick.at - other.at).abs() > (width + text_width(&other.label)) / 2.0 + GAP
            };
            if kept.iter().all(is_free) {
                kept.push(tick);
            }
        }
        kept.sort_by(|one, other| one.at.total_cmp(&other.at));
        self.ticks = kept;
    }
}

/// About how wide a text is in a plot: fonts differ, so rather too wide than too narrow.
pub(super) fn text_width(text: &str) -> f64 {
    6.4 * text.chars().count() as f64
}

/// Between two labels.
const GAP: f64 = 6.0;

/// Room for the inaccuracy of fractions, in steps.
const SLACK: f64 = 1e-9;

/// A range that has a length.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    if high > low {
        (low, high)
    } else if low == 0.0 {
        (0.0, 1.0)
    } else {
        (low.min(0.0), (low * 1.25).max(0.0))
    }
}

/// The smallest of 1, 2, 5, 10, ... that marks no more than so many values.
fn step(low: f64, high: f64, most: usize) -> f64 {
    let rough = (high - low) / most.max(1) as f64;
    let decade = 10_f64.powf(rough.log10().floor());
    let fitting = [1.0, 2.0, 5.0].into_iter().map(|times| times * decade);
    fitting.into_iter().find(|step| *step >= rough * (1.0 - SLACK)).unwrap_or(10.0 * decade)
}

fn multiples(low: f64, high: f64, step: f64) -> impl Iterator<Item = f64> {
    let first = (low / step - SLACK).ceil() as i64;
    let last = (high / step + SLACK).floor() as i64;
    (first..=last).map(move |times| times as f64 * step)
}

/// As many decimals as the step needs.
fn label(value: f64, step: f64) -> String {
    let decimals = (-(step * (1.0 + SLACK)).log10().floor()).clamp(0.0, 12.0) as usize;
    match decimals {
        0 => grouped(value),
        decimals => format!("{:.decimals$}", value + 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count() -> Scale {
        Scale { factor: 1.0, suffix: String::new() }
    }

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn an_even_axis_marks_round_values_where_they_are() {
        let axis = Axis::even((0.0, 600.0), &count(), (50.0, 350.0), 6);
        assert_eq!(labels(&axis), ["0", "100", "200", "300", "400", "500", "600"]);
        assert_eq!((axis.at(0.0), axis.at(300.0), axis.at(600.0)), (50.0, 200.0, 350.0));
        assert_eq!(axis.ticks[3].at, 200.0);
        assert_eq!((axis.at(-5.0), axis.at(1e9)), (50.0, 350.0), "nothing leaves the plot");
    }

    #[test]
    fn a_round_axis_begins_at_nought_unless_its_values_are_close_together() {
        let far = Axis::round((3.0, 47.0), &count(), (150.0, 0.0), 5, 0.0);
        assert_eq!(labels(&far), ["0", "10", "20", "30", "40", "50"]);
        assert_eq!((far.at(0.0), far.at(50.0)), (150.0, 0.0), "upwards");
        let close = Axis::round((0.9993, 1.0), &Scale::share(), (150.0, 0.0), 5, 0.0);
        assert_eq!(labels(&close), ["99.92", "99.94", "99.96", "99.98", "100.00"]);
        let below = Axis::round((-3.0, 4.0), &count(), (150.0, 0.0), 5, 0.0);
        assert_eq!(labels(&below), ["-4", "-2", "0", "2", "4"]);
    }

    #[test]
    fn a_level_line_has_an_axis_too() {
        assert_eq!(
            labels(&Axis::round((0.0, 0.0), &count(), (9.0, 0.0), 2, 0.0)),
            ["0.0", "0.5", "1.0"]
        );
        let one = Axis::round((1.0, 1.0), &count(), (100.0, 0.0), 5, 0.0);
        assert!(one.at(1.0) > 0.0 && one.at(1.0) < 100.0, "{one:?}");
    }

    #[test]
    fn counts_are_not_marked_in_halves() {
        let counts = Axis::round((1.0, 2.0), &count(), (100.0, 0.0), 5, 1.0);
        assert_eq!(labels(&counts), ["0", "1", "2"]);
        let halves = Axis::round((1.0, 2.0), &count(), (100.0, 0.0), 5, 0.0);
        assert!(labels(&halves).contains(&"1.5"));
    }

    #[test]
    fn a_log_axis_gives_each_decade_as_much_room() {
        let axis = Axis::log((0.001, 10.0), "s", (0.0, 400.0));
        assert!((axis.at(0.01) - 100.0).abs() < 1e-6 && (axis.at(1.0) - 300.0).abs() < 1e-6);
        let texts = labels(&axis).join(" ").replace('\u{a0}', "");
        for decade in ["1ms", "10ms", "100ms", "1s", "10s"] {
            assert!(texts.split(' ').any(|text| text == decade), "{texts}");
        }
        assert_eq!(axis.at(0.0), 0.0, "nought stands at the beginning");
    }

    #[test]
    fn a_log_axis_of_bytes_marks_round_ones() {
        let axis = Axis::log((40.0, 3e7), "B", (0.0, 400.0));
        let texts = labels(&axis).join(", ").replace('\u{a0}', " ");
        assert_eq!(texts, "64 B, 1 KiB, 8 KiB, 64 KiB, 1 MiB, 8 MiB");
    }

    #[test]
    fn labels_of_a_log_axis_do_not_overlap() {
        let axis = Axis::log((1e-6, 1e6), "messages", (0.0, 300.0));
        assert!(axis.ticks.len() > 2);
        for pair in axis.ticks.windows(2) {
            let room = (text_width(&pair[0].label) + text_width(&pair[1].label)) / 2.0;
            assert!(pair[1].at - pair[0].at > room, "{pair:?}");
        }
    }
}
