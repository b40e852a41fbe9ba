//! Captured cases, for the tests of this crate.

use rs2p_kad::Key;
use serde_json::Value;

pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) value: Value,
}

impl Case {
    pub(crate) fn bytes(&self, member: &str) -> Vec<u8> {
        hex::decode(self.value[member].as_str().unwrap()).unwrap()
    }
}

pub(crate) fn hex_key(value: &Value) -> Key {
    Key::try_from(&hex::decode(value.as_str().unwrap()).unwrap()[..]).unwrap()
}

/// The cases of a file of `tests/vectors/bytestag`.
pub(crate) fn cases(name: &str) -> Vec<Case> {
    let path = format!("{}/../../tests/vectors/bytestag/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let mut all: Value = serde_json::from_str(&text).unwrap();
    let Value::Array(cases) = all["cases"].take() else { panic!("{name}: no cases") };
    assert!(!cases.is_empty(), "{name}");
    cases
        .into_iter()
        .map(|value| Case { id: value["id"].as_str().unwrap().to_owned(), value })
        .collect()
}
