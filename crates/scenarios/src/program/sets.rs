//! Sets of numbers as one types them: `0,3-5`.

use std::collections::BTreeSet;

/// Reads such a set.
///
/// # Errors
/// A part that is no number and no range, or a range over [`MOST`] numbers.
pub(crate) fn parse(text: &str) -> Result<BTreeSet<usize>, String> {
    let mut set = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = first.trim().parse::<usize>().ok().zip(last.trim().parse().ok());
        match range {
            Some((first, last)) if first <= last && last - first < MOST => {
                set.extend(first..=last);
            }
            Some(_) => return Err(format!("`{part}` is no range of at most {MOST} numbers")),
            None => return Err(format!("`{part}` is no number and no range such as 3-5")),
        }
    }
    Ok(set)
}

/// Writes such a set, as short as it gets.
pub(crate) fn format(set: &BTreeSet<usize>) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &number in set {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let words = ranges.iter().map(|&(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    });
    words.collect::<Vec<_>>().join(",")
}

/// A mistyped range must not fill the memory.
const MOST: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_as_it_is_written() {
        for text in ["0", "0,1", "0-2", "1,3-5,8,9,11"] {
            assert_eq!(format(&parse(text).unwrap()), text);
        }
        assert_eq!(format(&parse("5, 1,2,3,2-4").unwrap()), "1-5");
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["", "1,", "a", "-1", "1-", "4-2", "0-99999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
