//! Integers in base 58, and the ids that are made of them.

use rs2p_wire::base58::{self, Base58Error};
use sha2::{Digest as _, Sha256};

use crate::{bytes, cases, load, text};

/// Bytes of the widest number among the vectors.
const WIDTH: usize = 64;

#[test]
fn integers_are_written_and_read_as_by_the_references() {
    let file = load("node_ids");
    for case in cases(&file, "base58_int", 41) {
        let number = from_decimal(text(case, "decimal"));
        assert_eq!(base58::encode(&number), text(case, "text"));
        assert_eq!(base58::decode(text(case, "text").as_bytes()), Ok(number), "{case}");
    }
}

#[test]
fn leading_ones_are_zeros() {
    let file = load("node_ids");
    for case in cases(&file, "base58_decode_only", 4) {
        let number = Ok(from_decimal(text(case, "decimal")));
        match text(case, "text") {
            // The references read nothing as zero; nothing is no id of anyone.
            "" => assert_eq!(base58::decode::<WIDTH>(b""), Err(Base58Error::Empty)),
            text => assert_eq!(base58::decode(text.as_bytes()), number, "{text}"),
        }
    }
}

#[test]
fn foreign_characters_are_refused() {
    let file = load("node_ids");
    // py2p strips the blank of "a ", and js2p makes numbers of all of them; a text that no node
    // writes is not worth guessing at.
    for case in cases(&file, "base58_invalid", 9) {
        let read = base58::decode::<WIDTH>(text(case, "text").as_bytes());
        assert!(matches!(read, Err(Base58Error::Digit { .. })), "{case}: {read:?}");
    }
}

#[test]
fn a_protocol_id_is_the_digest_of_subnet_encryption_and_version() {
    let file = load("protocol_ids");
    for case in cases(&file, "cases", 52) {
        let named = format!(
            "{}{}{}",
            text(case, "subnet"),
            text(case, "encryption"),
            text(&file, "protocol_version")
        );
        let digest: [u8; 32] = Sha256::digest(named).into();
        assert_eq!(digest, *bytes(case, "sha256"), "{case}");
        assert_eq!(base58::encode(&digest), text(case, "id"));
        assert_eq!(base58::decode(text(case, "id").as_bytes()), Ok(digest), "{case}");
    }
}

#[test]
fn a_node_id_is_the_number_of_its_digest() {
    let file = load("node_ids");
    for case in cases(&file, "py2p", 22).iter().chain(cases(&file, "js2p", 22)) {
        let digest: [u8; 48] = bytes(case, "sha384").try_into().unwrap();
        assert_eq!(base58::encode(&digest), text(case, "id"));
        assert_eq!(base58::decode(text(case, "id").as_bytes()), Ok(digest), "{case}");
    }
}

fn from_decimal(digits: &str) -> [u8; WIDTH] {
    let mut number = [0; WIDTH];
    for digit in digits.bytes() {
        let mut carry = u16::from(digit - b'0');
        for byte in number.iter_mut().rev() {
            let product = u16::from(*byte) * 10 + carry;
            (*byte, carry) = (product as u8, product >> 8);
        }
        assert_eq!(carry, 0, "{digits} is over {WIDTH} bytes");
    }
    number
}
