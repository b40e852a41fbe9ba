//! How all places are split.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn parts_cover_what_is_split_and_nothing_twice(one in any::<u64>(), shift in 0..64_u32) {
        let last = one.saturating_add(u64::MAX >> shift);
        for range in [one..=last, 0..=u64::MAX, one..=one, one..=one.saturating_add(15)] {
            let parts: Vec<_> = split(&range).collect();
            prop_assert_eq!(parts[0].start(), range.start());
            prop_assert_eq!(parts[parts.len() - 1].end(), range.end());
            for pair in parts.windows(2) {
                prop_assert_eq!(pair[0].end() + 1, *pair[1].start());
            }
            prop_assert!(parts.iter().all(|part| !part.is_empty()));
            let is_whole = range == (0..=u64::MAX);
            let most = if is_whole { 1 << BUCKET_BITS } else { 1 << FAN_OUT_BITS };
            prop_assert!(parts.len() <= most, "{} parts", parts.len());
            if range.start() != range.end() {
                prop_assert!(parts.len() > 1, "{range:?} is not split");
            }
        }
    }
}

#[test]
fn all_places_are_split_into_the_buckets_that_the_table_sums_up() {
    let parts: Vec<_> = split(&(0..=u64::MAX)).collect();
    assert_eq!(parts.len(), 256);
    assert_eq!(parts[255], 255 << 56..=u64::MAX);
}
