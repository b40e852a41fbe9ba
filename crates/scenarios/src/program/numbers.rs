//! Numbers for people to read.

/// A count: `10,000`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A large number where three digits will do: `2.13 M`.
pub(crate) fn short(number: f64) -> String {
    match number.abs() {
        size if size >= 999.5e6 => format!("{} G", digits(number / 1e9)),
        size if size >= 999.5e3 => format!("{} M", digits(number / 1e6)),
        size if size >= 999.5 => format!("{} k", digits(number / 1e3)),
        _ => digits(number),
    }
}

/// Bytes: `7.9 KiB`.
pub(crate) fn bytes(number: f64) -> String {
    match number {
        size if size >= 1_048_064.0 => format!("{} MiB", digits(size / 1_048_576.0)),
        size if size >= 1000.0 => format!("{} KiB", digits(size / 1024.0)),
        size => format!("{size:.0} B"),
    }
}

/// A share of one: `99.95 %`. What is not all is never shown as 100 %.
pub(crate) fn share(number: f64) -> String {
    let percent = number * 100.0;
    match format!("{percent:.2}") {
        rounded if rounded == "100.00" && percent < 100.0 => "> 99.99 %".to_owned(),
        text => format!("{} %", trimmed(&text)),
    }
}

/// A time given in seconds: `120 ms`, `1.35 s`, `2.5 min`.
pub(crate) fn seconds(number: f64) -> String {
    match number.abs() {
        size if size >= 7200.0 => format!("{} h", digits(number / 3600.0)),
        size if size >= 120.0 => format!("{} min", digits(number / 60.0)),
        size if size >= 0.9995 => format!("{} s", digits(number)),
        0.0 => "0 s".to_owned(),
        _ => format!("{} ms", digits(number * 1e3)),
    }
}

/// Three digits that count, whole ones all of them.
pub(crate) fn digits(number: f64) -> String {
    let places = match number.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 || size == 0.0 => 2,
        _ => 3,
    };
    trimmed(&format!("{number:.places$}")).to_owned()
}

fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_thousands_apart() {
        let texts = [0, 999, 1000, 12_345, 1_234_567].map(count);
        assert_eq!(texts, ["0", "999", "1,000", "12,345", "1,234,567"]);
    }

    #[test]
    fn numbers_keep_three_digits() {
        let texts = [0.0, 0.1234, 3.456, 12.34, 123.4, 1234.0, 999_600.0, 2.134e6, 3e9].map(short);
        assert_eq!(texts, ["0", "0.123", "3.46", "12.3", "123", "1.23 k", "1 M", "2.13 M", "3 G"]);
    }

    #[test]
    fn times_and_bytes_get_the_unit_that_fits() {
        let texts = [0.0, 0.0004, 0.12, 0.9999, 1.354, 90.0, 150.0, 9000.0].map(seconds);
        assert_eq!(texts, ["0 s", "0.4 ms", "120 ms", "1 s", "1.35 s", "90 s", "2.5 min", "2.5 h"]);
        let texts = [0.0, 999.0, 8092.0, 1_048_576.0].map(bytes);
        assert_eq!(texts, ["0 B", "999 B", "7.9 KiB", "1 MiB"]);
    }

    #[test]
    fn what_is_not_all_is_never_shown_as_all() {
        let texts = [1.0, 0.999_999, 0.9999, 0.9995, 0.5, 0.0].map(share);
        assert_eq!(texts, ["100 %", "> 99.99 %", "99.99 %", "99.95 %", "50 %", "0 %"]);
    }
}
