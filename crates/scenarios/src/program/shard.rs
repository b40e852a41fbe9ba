//! A part of the seeds, for work that is spread over machines.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Part `index` of `of`, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Shard {
    pub(crate) index: u64,
    pub(crate) of: u64,
}

impl Shard {
    /// The places of its seeds among `runs` of them. Neighbours go to different parts, so that
    /// all parts take about as long.
    pub(crate) fn places(self, runs: u64) -> impl Iterator<Item = u64> {
        let mut next = (self.index < runs).then_some(self.index);
        std::iter::from_fn(move || {
            let place = next?;
            next = place.checked_add(self.of).filter(|&place| place < runs);
            Some(place)
        })
    }

    /// What its file is called.
    pub(crate) fn file_name(self) -> String {
        format!("shard-{}-of-{}.json", self.index, self.of)
    }

    /// The part whose file is called so.
    pub(crate) fn from_file_name(name: &str) -> Option<Self> {
        let (index, of) = name.strip_prefix("shard-")?.strip_suffix(".json")?.split_once("-of-")?;
        format!("{index}/{of}").parse().ok()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').map(|(index, of)| (index.parse(), of.parse()));
        match parts {
            Some((Ok(index), Ok(of))) if index < of => Ok(Self { index, of }),
            Some((Ok(_), Ok(of))) if of > 0 => {
                Err(format!("`{text}`: the parts are 0 to {}", of - 1))
            }
            _ => Err(format!("`{text}` is not I/N, such as 0/20 for the first part of 20")),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_cover_every_seed_exactly_once() {
        for (runs, of) in [(0, 1), (1, 1), (10, 1), (10, 3), (3, 10), (100, 7), (20, 20)] {
            let mut all: Vec<u64> =
                (0..of).flat_map(|index| Shard { index, of }.places(runs)).collect();
            all.sort_unstable();
            assert_eq!(all, (0..runs).collect::<Vec<_>>(), "{runs} runs in {of} parts");
        }
    }

    #[test]
    fn parts_differ_by_one_run_at_most() {
        let sizes: Vec<_> =
            (0..7).map(|index| Shard { index, of: 7 }.places(100).count()).collect();
        assert_eq!((sizes.iter().min(), sizes.iter().max()), (Some(&14), Some(&15)));
    }

    #[test]
    fn the_end_of_the_numbers_is_no_overflow() {
        let shard = Shard { index: u64::MAX - 1, of: u64::MAX };
        assert_eq!(shard.places(u64::MAX).count(), 1);
    }

    #[test]
    fn a_part_is_read_as_it_is_written() {
        let shard: Shard = "3/20".parse().unwrap();
        assert_eq!(shard.to_string(), "3/20");
        assert_eq!(shard.file_name(), "shard-3-of-20.json");
        assert_eq!(Shard::from_file_name(&shard.file_name()), Some(shard));
        for name in ["shard-3-of-3.json", "shard-x-of-3.json", "outcome.json", "shard-1-of-2.tmp"] {
            assert_eq!(Shard::from_file_name(name), None, "{name}");
        }
        for text in ["", "1", "20/20", "0/0", "-1/3", "a/b", "1/2/3"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
