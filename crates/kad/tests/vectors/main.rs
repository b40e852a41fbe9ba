//! What Bytestag 0.3a1 does with keys, buckets, tables and lookups, and where we do better.
//!
//! A case is what we must agree on, a quirk, or a defect; where we differ, the test says what we
//! do instead. The numbers of cases are asserted, so that a file cut short does not pass.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a vector that cannot be read fails its test"
)]

mod bucket;
mod keys;
mod routing;
mod shortlist;

use rs2p_kad::Key;
use serde_json::Value as Json;

/// The cases of a vector file, which must be so many.
fn cases(name: &str, count: usize) -> Vec<Json> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/bytestag/");
    let text = std::fs::read_to_string(format!("{directory}{name}.json")).unwrap();
    let file: Json = serde_json::from_str(&text).unwrap();
    let cases = file["cases"].as_array().unwrap().clone();
    assert_eq!(cases.len(), count, "cases of {name}");
    cases
}

fn text<'a>(case: &'a Json, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("{key} is no text in {case}"))
}

fn list<'a>(case: &'a Json, key: &str) -> &'a [Json] {
    case[key].as_array().unwrap_or_else(|| panic!("{key} is no list in {case}"))
}

fn names(list: &Json) -> Vec<String> {
    let names = list.as_array().unwrap();
    names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn key(hex: &str) -> Key {
    hex.parse().unwrap()
}
