//! Chord's numbers, as the originals have them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use num_bigint::BigUint;
use rs2p_base::NodeId;
use rs2p_chord::{Position, Table, distance};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/chord_hashes.json")).unwrap()
}

fn point(decimal: &Value) -> NodeId {
    let number: BigUint = decimal.as_str().unwrap().parse().unwrap();
    let digits = number.to_bytes_be();
    // The ring sees the lower 384 bits.
    let digits = &digits[digits.len().saturating_sub(NodeId::BYTES)..];
    let mut bytes = [0; NodeId::BYTES];
    bytes[NodeId::BYTES - digits.len()..].copy_from_slice(digits);
    NodeId::from_bytes(bytes)
}

#[test]
fn keys_lie_where_the_originals_put_them() {
    for row in vectors()["hashes"].as_array().unwrap() {
        let key = hex::decode(row["key"].as_str().unwrap()).unwrap();
        for (number, table) in Table::ALL.into_iter().enumerate() {
            assert_eq!(row["tables"][number], table.name());
            assert_eq!(Table::from_name(table.name().as_bytes()), Some(table));
            let position = table.position(&key);
            let text = row["base58"][number].as_str().unwrap();
            assert_eq!(position.to_string(), text);
            assert_eq!(Position::from_text(text.as_bytes()), Ok(position));
            assert_eq!(hex::encode(position.point().to_bytes()), row["ring_hex"][number]);
        }
    }
}

#[test]
fn distances_go_round_clockwise() {
    for row in vectors()["distance"].as_array().unwrap() {
        assert_eq!(
            distance(point(&row["from"]), point(&row["to"])),
            point(&row["distance"]),
            "{row}"
        );
    }
}
