//! The golden bytes: what py2p 0.7.878 and js2p 0.7.870 really write and read.
//!
//! Each file's number of cases is asserted, so that a file cut short does not pass for a good one.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a vector that cannot be read fails its test"
)]

mod compressed;
mod ids;
mod messages;
mod tagged;
mod unusual;

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

fn bytes(case: &Json, key: &str) -> Vec<u8> {
    hex::decode(text(case, key)).unwrap()
}
