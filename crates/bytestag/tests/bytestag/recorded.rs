//! Captured cases.

use std::net::SocketAddrV4;

use rs2p_bytestag::Key;
use serde_json::Value as Json;

/// The cases of a file of `tests/vectors/bytestag`, which must be so many: a file cut short does
/// not pass.
pub(crate) fn cases(name: &str, count: usize) -> Vec<Json> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/bytestag/");
    let text = std::fs::read_to_string(format!("{directory}{name}.json")).unwrap();
    let file: Json = serde_json::from_str(&text).unwrap();
    let cases = file["cases"].as_array().unwrap().clone();
    assert_eq!(cases.len(), count, "cases of {name}");
    cases
}

pub(crate) fn text<'a>(case: &'a Json, member: &str) -> &'a str {
    case[member].as_str().unwrap_or_else(|| panic!("{member} is no text in {case}"))
}

pub(crate) fn list<'a>(case: &'a Json, member: &str) -> &'a [Json] {
    case[member].as_array().unwrap_or_else(|| panic!("{member} is no list in {case}"))
}

pub(crate) fn bytes(case: &Json, member: &str) -> Vec<u8> {
    hex::decode(text(case, member)).unwrap()
}

pub(crate) fn key(case: &Json, member: &str) -> Key {
    Key::try_from(&bytes(case, member)[..]).unwrap()
}

/// The address of a node that a case names.
pub(crate) fn address_of(node: &Json) -> SocketAddrV4 {
    let port = node["port"].as_u64().unwrap().try_into().unwrap();
    SocketAddrV4::new(text(node, "host").parse().unwrap(), port)
}

/// Whether two JSON values say the same: numbers by their whole part (times are cut to whole
/// seconds), lists of nodes and values in any order.
pub(crate) fn is_same(ours: &Json, theirs: &Json) -> bool {
    match (ours, theirs) {
        (Json::Number(ours), Json::Number(theirs)) => {
            let whole = |number: &serde_json::Number| number.as_f64().map(f64::trunc);
            whole(ours) == whole(theirs)
        }
        (Json::Array(ours), Json::Array(theirs)) => {
            let has = |theirs: &Json| ours.iter().any(|ours| is_same(ours, theirs));
            ours.len() == theirs.len() && theirs.iter().all(has)
        }
        (Json::Object(ours), Json::Object(theirs)) => {
            let same = |(member, theirs): (&String, &Json)| {
                ours.get(member).is_some_and(|ours| is_same(ours, theirs))
            };
            ours.len() == theirs.len() && theirs.iter().all(same)
        }
        _ => ours == theirs,
    }
}
