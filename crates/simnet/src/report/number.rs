//! Numbers as people read them: few digits, a unit, and never rounder than they are.

/// Between a number and its unit: a space at which no line breaks.
const SPACE: char = '\u{a0}';

/// Differences that are arithmetic, not measurement.
const NOISE: f64 = 1e-11;

/// A figure by itself, to four digits; more where it would look whole without being so, as 0.99999
/// would.
pub(super) fn plain(value: f64) -> String {
    let size = value.abs();
    let whole = value.round();
    if !value.is_finite() {
        "–".to_owned()
    } else if size > 1e15 || (size > 0.0 && size < 1e-6) {
        format!("{value:.2e}")
    } else if size >= 1000.0 || (value - whole).abs() <= NOISE * size.max(1.0) {
        grouped(whole)
    } else {
        let texts = (decimals(size, 4)..=10).map(|decimals| trimmed(value, decimals));
        let mut honest = texts.skip_while(|text| !text.contains('.'));
        honest.next().unwrap_or_else(|| grouped(whole))
    }
}

/// A share of 1, as a percentage.
pub(super) fn percent(share: f64) -> String {
    format!("{}{SPACE}%", plain(share * 100.0))
}

/// A value with its unit, to three digits, in the multiple of the unit that suits it.
pub(super) fn humane(value: f64, unit: &str) -> String {
    let scale = Scale::of(unit, value.abs());
    scale.with_suffix(&shortest(value * scale.factor, unit))
}

/// A multiple of a unit, in which all values of a plot are shown.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    /// What a value is multiplied by.
    pub(super) factor: f64,
    /// What stands after it: `ms`, `k messages/s`, `%`, or nothing.
    pub(super) suffix: String,
}

impl Scale {
    /// The multiple in which the largest value is short.
    pub(super) fn of(unit: &str, largest: f64) -> Self {
        if let Some(seconds) = seconds_of(unit) {
            return Self::of_time(seconds, largest);
        }
        let symbol = match unit {
            "%" => return Self { factor: 1.0, suffix: "%".to_owned() },
            unit if is_bytes(unit) => return Self::of_bytes(&unit.replace("bytes", "B"), largest),
            other => other,
        };
        let (factor, prefix) = match largest {
            size if size >= 1e9 => (1e-9, "G"),
            size if size >= 1e6 => (1e-6, "M"),
            // Four digits are as short as three and a letter.
            size if size >= 1e4 => (1e-3, "k"),
            _ => (1.0, ""),
        };
        let is_word = !prefix.is_empty() && !matches!(symbol, "bit/s" | "");
        let apart = if is_word && !symbol.starts_with('/') { "\u{a0}" } else { "" };
        Self { factor, suffix: format!("{prefix}{apart}{symbol}") }
    }

    /// Shares of 1, as percentages.
    pub(super) fn share() -> Self {
        Self { factor: 100.0, suffix: "%".to_owned() }
    }

    /// A value in this multiple, without the unit.
    pub(super) fn write(&self, value: f64) -> String {
        shortest(value * self.factor, &self.suffix)
    }

    fn of_bytes(symbol: &str, largest: f64) -> Self {
        let (factor, prefix) = match largest {
            size if size >= 1024.0 * 1024.0 * 1000.0 => (0.5_f64.powi(30), "Gi"),
            size if size >= 1024.0 * 1000.0 => (0.5_f64.powi(20), "Mi"),
            size if size >= 1000.0 => (0.5_f64.powi(10), "Ki"),
            _ => (1.0, ""),
        };
        Self { factor, suffix: format!("{prefix}{symbol}") }
    }

    fn of_time(seconds: f64, largest: f64) -> Self {
        let (factor, symbol) = match largest * seconds {
            0.0 => (1.0 / seconds, "s"),
            size if size >= 1.0 => (1.0, "s"),
            size if size >= 1e-3 => (1e3, "ms"),
            _ => (1e6, "µs"),
        };
        Self { factor: factor * seconds, suffix: symbol.to_owned() }
    }

    fn with_suffix(&self, number: &str) -> String {
        match self.suffix.as_str() {
            "" => number.to_owned(),
            suffix => format!("{number}{SPACE}{suffix}"),
        }
    }
}

/// Whether its multiples are those of 1024.
pub(super) fn is_bytes(unit: &str) -> bool {
    matches!(unit, "B" | "bytes" | "B/s" | "bytes/s")
}

/// A whole number, its thousands set apart.
pub(super) fn grouped(whole: f64) -> String {
    // Adding nought takes the sign off a negative nought.
    let digits = format!("{:.0}", whole + 0.0);
    let (sign, digits) = digits.strip_prefix('-').map_or(("", &*digits), |rest| ("-", rest));
    let mut text = sign.to_owned();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Percentages are told by their last digits; of the rest, three say enough beside a unit.
fn shortest(value: f64, unit: &str) -> String {
    let size = value.abs();
    if unit.is_empty() || unit == "%" || !value.is_finite() {
        plain(value)
    } else if size >= 100.0 || size == 0.0 {
        grouped(value.round())
    } else {
        trimmed(value, decimals(size, 3))
    }
}

fn decimals(size: f64, digits: i32) -> usize {
    let before = size.log10().floor() as i32 + 1;
    (digits - before).clamp(0, 10) as usize
}

fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn seconds_of(unit: &str) -> Option<f64> {
    match unit {
        "s" | "seconds" => Some(1.0),
        "ms" | "milliseconds" => Some(1e-3),
        "us" | "µs" | "microseconds" => Some(1e-6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: f64, unit: &str) -> String {
        humane(value, unit).replace(SPACE, " ")
    }

    #[test]
    fn a_figure_has_four_digits_and_a_large_one_its_thousands_apart() {
        assert_eq!(plain(0.0), "0");
        assert_eq!(plain(-0.0), "0");
        assert_eq!(plain(3.0), "3");
        assert_eq!(plain(0.123_456), "0.1235");
        assert_eq!(plain(12.345_6), "12.35");
        assert_eq!(plain(-1_234_567.8), "-1,234,568");
        assert_eq!(plain(100_000.0), "100,000");
        assert_eq!(plain(0.000_000_12), "1.20e-7");
        assert_eq!(plain(f64::NAN), "–");
    }

    #[test]
    fn what_is_not_whole_never_looks_whole() {
        assert_eq!(plain(0.99999), "0.99999");
        assert_eq!(plain(0.999_999_6), "0.9999996");
        assert_eq!(plain(1.000_02), "1.00002");
        assert_eq!(plain(1.0 - 1e-15), "1", "that is how fractions add up");
        assert_eq!(percent(0.99999), "99.999\u{a0}%");
        assert_eq!(percent(0.9998), "99.98\u{a0}%");
        assert_eq!(percent(0.999_999_9), "99.99999\u{a0}%");
        assert_eq!(percent(1.0), "100\u{a0}%");
        assert_eq!(percent(0.07), "7\u{a0}%");
    }

    #[test]
    fn a_value_takes_the_multiple_of_its_unit_that_suits_it() {
        assert_eq!(shown(0.0123, "s"), "12.3 ms");
        assert_eq!(shown(0.000_02, "s"), "20 µs");
        assert_eq!(shown(0.0, "ms"), "0 s");
        assert_eq!(shown(1_500.0, "ms"), "1.5 s");
        assert_eq!(shown(4_512_345.0, "/s"), "4.51 M/s");
        assert_eq!(shown(4_512.0, "/s"), "4,512 /s");
        assert_eq!(shown(48_200.0, "bytes"), "47.1 KiB");
        assert_eq!(shown(45_000.0, "messages"), "45 k messages");
        assert_eq!(shown(7.0, "hops"), "7 hops");
        assert_eq!(shown(99.98, "%"), "99.98 %");
    }

    #[test]
    fn all_values_of_a_plot_share_a_scale() {
        let scale = Scale::of("ms", 40.0);
        assert_eq!(scale, Scale { factor: 1.0, suffix: "ms".to_owned() });
        assert_eq!((scale.write(12.34), scale.write(0.0)), ("12.3".to_owned(), "0".to_owned()));
        assert_eq!(Scale::share().write(0.99999), "99.999");
        assert_eq!(Scale::of("s", 0.2), Scale { factor: 1e3, suffix: "ms".to_owned() });
    }
}
