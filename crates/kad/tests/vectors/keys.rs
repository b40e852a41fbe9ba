//! Text forms of keys, distances, random keys of a bucket.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rs2p_kad::{Key, KeyError};
use serde_json::Value as Json;

use crate::{cases, key, list, text};

fn of_kind(kind: &str, count: usize) -> Vec<Json> {
    let all = cases("keys", 108).into_iter();
    let chosen: Vec<_> = all.filter(|case| text(case, "kind") == kind).collect();
    assert_eq!(chosen.len(), count, "cases of {kind}");
    chosen
}

/// We are as lenient as the reference, so quirks are no exception.
#[test]
fn text_is_read_as_the_reference_reads_it() {
    for case in of_kind("parse", 56) {
        let (id, expect) = (text(&case, "id"), &case["expect"]);
        let read = text(&case, "text").parse::<Key>();
        let decoded = expect["decoded_len"].as_u64();
        let wanted = match (expect["ok"].as_bool().unwrap(), decoded) {
            (true, _) => Ok(key(text(expect, "key_hex"))),
            (false, None) => Err(KeyError::NotAKey),
            (false, Some(found)) => Err(KeyError::Length { found: found as usize, expected: 20 }),
        };
        assert_eq!(read, wanted, "{id}");
    }
}

#[test]
fn a_key_is_written_in_the_forms_of_the_reference() {
    for case in of_kind("text", 6) {
        let (key, expect) = (key(text(&case, "key_hex")), &case["expect"]);
        assert_eq!(key.to_base64(), text(expect, "base64"));
        assert_eq!(key.to_base32(), text(expect, "base32"));
        assert_eq!(key.to_string().to_uppercase(), text(expect, "base16"));
        let bits: String = key.as_bytes().iter().map(|byte| format!("{byte:08b}")).collect();
        assert_eq!(bits, text(expect, "bits"));
    }
}

#[test]
fn a_key_has_twenty_bytes() {
    for case in of_kind("raw", 5) {
        let bytes = hex::decode(text(&case, "bytes_hex")).unwrap();
        let ok = case["expect"]["ok"].as_bool().unwrap();
        assert_eq!(Key::<20>::try_from(&bytes[..]).is_ok(), ok, "{}", text(&case, "id"));
    }
}

#[test]
fn distances_and_buckets_are_those_of_the_reference() {
    for case in of_kind("distance", 24) {
        let (a, b) = (key(text(&case, "a_hex")), key(text(&case, "b_hex")));
        let expect = &case["expect"];
        assert_eq!(hex::encode(a.distance(&b).as_bytes()), text(expect, "xor_hex"));
        assert_eq!(u64::from(a.common_prefix(&b)), expect["bucket"].as_u64().unwrap());
        assert_eq!(a < b, expect["a_less_than_b"].as_bool().unwrap());
        assert_eq!(a == b, expect["equal"].as_bool().unwrap());
    }
}

#[test]
fn zero_bits_are_counted_from_the_front() {
    for case in of_kind("leading_zero_bits", 6) {
        let bytes = hex::decode(text(&case, "bytes_hex")).unwrap();
        let expect = case["expect"].as_u64().unwrap();
        // Behind the bytes a one, so that zeros end with them.
        let mut padded = [0xff; 20];
        padded[..bytes.len()].copy_from_slice(&bytes);
        let zero = Key::new([0; 20]);
        let found = zero.distance(&Key::new(padded)).leading_zeros();
        assert_eq!(u64::from(found), expect, "{}", text(&case, "id"));
    }
}

#[test]
fn a_random_key_lies_in_its_bucket_as_those_of_the_reference_do() {
    let mut rng = StdRng::seed_from_u64(1);
    for case in of_kind("random_bucket_key", 4) {
        let own = key(text(&case, "node_key_hex"));
        for row in list(&case, "rows") {
            let bucket = row["bucket"].as_u64().unwrap() as u32;
            for sample in list(row, "samples_hex") {
                assert_eq!(own.common_prefix(&key(sample.as_str().unwrap())), bucket);
            }
            let drawn = own.random_in_bucket(bucket, &mut rng).unwrap();
            assert_eq!(own.common_prefix(&drawn), bucket);
        }
        assert_eq!(own.random_in_bucket(160, &mut rng), None);
    }
}

/// What a JSON value means, and what a value's key is, is no matter of this crate.
#[test]
fn json_and_hashes_are_left_to_the_crate_that_knows_them() {
    of_kind("parse_json", 4);
    of_kind("hash", 3);
}
