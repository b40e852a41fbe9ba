//! Random streams with names.

use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;

/// The stream of random numbers for one purpose of a run.
///
/// Streams of different names or indices have nothing to do with each other, so one more node,
/// link or fault changes nothing for the others.
#[must_use]
pub fn stream(seed: u64, name: &str, index: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(derive(seed, name, index))
}

/// The start of a stream.
pub(crate) fn derive(seed: u64, name: &str, index: u64) -> u64 {
    // FNV-1a over the name, then the finalizer of SplitMix64 after each part: every bit counts.
    let name = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    finish(finish(finish(seed) ^ name) ^ index)
}

pub(crate) fn finish(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A stream of a single word, SplitMix64, for what there are very many of: every end of a link has
/// one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(seed: u64, name: &str, index: u64) -> Self {
        Self(derive(seed, name, index))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        finish(self.0)
    }

    /// From `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        if most <= least {
            return least;
        }
        let span = u128::from(most - least) + 1;
        least + ((u128::from(self.next()) * span) >> 64) as u64
    }

    /// `true` so often, 0 to 1.
    pub(crate) fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && (self.next() >> 11) as f64 / (1_u64 << 53) as f64 <= share
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::Rng as _;

    use super::*;

    #[test]
    fn seed_name_and_index_each_make_another_stream_and_the_same_ones_the_same() {
        let mut firsts = BTreeSet::new();
        for seed in 0..10 {
            for name in ["", "a", "b", "ab", "node", "link"] {
                for index in 0..10 {
                    assert!(firsts.insert(stream(seed, name, index).next_u64()));
                }
            }
        }
        assert_eq!(stream(1, "node", 2).next_u64(), stream(1, "node", 2).next_u64());
    }

    #[test]
    fn draws_stay_in_their_range_and_come_as_often_as_asked() {
        let mut draws = Draws::new(1, "test", 0);
        let drawn: BTreeSet<u64> = (0..1_000).map(|_| draws.between(3, 7)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6, 7]);
        assert_eq!((draws.between(5, 5), draws.between(5, 1)), (5, 5));
        let hits = (0..10_000).filter(|_| draws.chance(0.3)).count();
        assert!((2_800..3_200).contains(&hits), "{hits}");
        assert!(!draws.chance(0.0) && draws.chance(1.0));
    }
}
