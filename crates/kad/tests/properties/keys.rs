//! Keys and distances.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rs2p_kad::{Key, KeyError};

fn short(id: u32) -> Key<4> {
    Key::new(id.to_be_bytes())
}

/// What reading base32 gives: it may look like hexadecimal, which is tried first.
fn from_base32<const N: usize>(text: &str, key: Key<N>) -> Result<Key<N>, KeyError> {
    match hex::decode(text) {
        Ok(bytes) => Err(KeyError::Length { found: bytes.len(), expected: N }),
        Err(_) => Ok(key),
    }
}

proptest! {
    #[test]
    fn every_text_form_is_read_back(bytes: [u8; 20]) {
        let key = Key::new(bytes);
        for text in [key.to_string(), key.to_string().to_uppercase(), key.to_base64()] {
            prop_assert_eq!(text.parse(), Ok(key));
        }
        for text in [key.to_base32(), key.to_base32().to_lowercase()] {
            prop_assert_eq!(text.parse(), from_base32(&text, key));
        }
    }

    #[test]
    fn keys_of_other_lengths_have_text_forms_too(long: [u8; 32], short: [u8; 3], none: [u8; 0]) {
        prop_assert_eq!(Key::new(long).to_string().parse(), Ok(Key::new(long)));
        prop_assert_eq!(Key::new(long).to_base64().parse(), Ok(Key::new(long)));
        prop_assert_eq!(Key::new(none).to_base64().parse(), Ok(Key::new(none)));
        // Four digits may be hexadecimal ones.
        let text = Key::new(short).to_base64();
        let wanted = match hex::decode(&text) {
            Ok(bytes) => Err(KeyError::Length { found: bytes.len(), expected: 3 }),
            Err(_) => Ok(Key::new(short)),
        };
        prop_assert_eq!(text.parse(), wanted);
    }

    #[test]
    fn another_length_is_refused_by_its_number(bytes: [u8; 19]) {
        let wrong = Err(KeyError::Length { found: 19, expected: 20 });
        prop_assert_eq!(Key::new(bytes).to_string().parse::<Key>(), wrong);
        prop_assert_eq!(Key::new(bytes).to_base64().parse::<Key>(), wrong);
    }

    #[test]
    fn whatever_is_hexadecimal_is_read_as_such(text in "([0-9a-fA-F]{2}){0,24}|[A-F2-7]{32}") {
        let bytes = hex::decode(&text).unwrap();
        prop_assert_eq!(text.parse::<Key>(), Key::try_from(&bytes[..]));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[A-Za-z0-9+/=\\- \u{e4}]{0,48}|.{0,40}") {
        if let Ok(key) = text.parse::<Key>() {
            prop_assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    #[test]
    fn a_distance_is_the_number_that_the_exclusive_or_makes(a: u32, b: u32, c: u32, d: u32) {
        let distance = short(a).distance(&short(b));
        prop_assert_eq!(distance.as_bytes(), &(a ^ b).to_be_bytes());
        prop_assert_eq!(distance.leading_zeros(), (a ^ b).leading_zeros());
        let other = short(c).distance(&short(d));
        prop_assert_eq!(distance.cmp(&other), (a ^ b).cmp(&(c ^ d)));
        prop_assert_eq!(short(a).common_prefix(&short(b)), (a ^ b).leading_zeros());
    }

    #[test]
    fn a_distance_is_a_metric_with_one_key_at_each(a: [u8; 20], b: [u8; 20], c: [u8; 20]) {
        let [a, b, c] = [a, b, c].map(Key::new);
        prop_assert_eq!(a.distance(&b), b.distance(&a));
        prop_assert_eq!(a.distance(&a).leading_zeros(), 160);
        prop_assert_eq!(a.distance(&b) == a.distance(&c), b == c);
        // By way of a third key it is no shorter: already the larger leg is of that order.
        let legs = a.distance(&b).leading_zeros().min(b.distance(&c).leading_zeros());
        prop_assert!(a.distance(&c).leading_zeros() >= legs);
        // From a key, a distance leads to one other key, and from there back.
        let there = |from: Key, way: Key| Key::new(*from.distance(&way).as_bytes());
        let way = Key::new(*a.distance(&b).as_bytes());
        prop_assert_eq!((there(a, way), there(b, way)), (b, a));
    }

    #[test]
    fn a_random_key_shares_so_many_bits_and_no_more(own: [u8; 20], bucket in 0..160_u32, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let drawn = Key::new(own).random_in_bucket(bucket, &mut rng).unwrap();
        prop_assert_eq!(Key::new(own).common_prefix(&drawn), bucket);
    }

    #[test]
    fn beyond_the_last_bucket_there_is_no_key(own: [u8; 2], bucket in 16_u32..) {
        let mut rng = StdRng::seed_from_u64(0);
        prop_assert_eq!(Key::new(own).random_in_bucket(bucket, &mut rng), None);
    }
}

#[test]
fn every_key_of_a_bucket_may_be_drawn() {
    let own = Key::new([0b1010_0110]);
    let mut rng = StdRng::seed_from_u64(1);
    for bucket in 0..8 {
        let draw = |_| own.random_in_bucket(bucket, &mut rng).unwrap();
        let drawn: BTreeSet<_> = (0..2000).map(draw).collect();
        assert_eq!(drawn.len(), 1 << (7 - bucket), "bucket {bucket}");
    }
}
