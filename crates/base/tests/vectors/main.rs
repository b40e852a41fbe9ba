//! What py2p 0.7.878 and js2p 0.7.870 really do, held against ids, handshakes and links.
//!
//! The numbers of cases are asserted, so that a file cut short does not pass for a good one.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a vector that cannot be read fails its test"
)]

mod for_a_peer;
mod for_a_reference;
mod golden;
#[path = "../harness/mod.rs"]
mod harness;
mod ids;
mod rules;
mod transcript;

use serde_json::Value as Json;

/// The vector file `name` of the workspace.
fn load(name: &str) -> Json {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/");
    let text = std::fs::read_to_string(format!("{directory}{name}.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The list under `key`, which must hold `count` cases.
fn cases<'a>(file: &'a Json, key: &str, count: usize) -> &'a [Json] {
    let cases = file[key].as_array().unwrap();
    assert_eq!(cases.len(), count, "cases under {key}");
    cases
}

fn text<'a>(case: &'a Json, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("{key} is no text in {case}"))
}
