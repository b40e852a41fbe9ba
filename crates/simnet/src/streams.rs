//! Random streams with names.

use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;

/// The stream of random numbers for one purpose of a run.
///
/// Streams of different names or indices have nothing to do with each other, so one more node,
/// link or fault changes nothing for the others.
#[must_use]
pub fn stream(seed: u64, name: &str, index: u64) -> Xoshiro256PlusPlus {
    // FNV-1a over the name, then the finalizer of SplitMix64 after each part: every bit counts.
    let name = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let seed = finish(finish(finish(seed) ^ name) ^ index);
    Xoshiro256PlusPlus::seed_from_u64(seed)
}

pub(crate) fn finish(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
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
}
