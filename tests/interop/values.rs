//! MessagePack values as JSON, in the form that the peers' scripts use, and samples of them.

use rs2p::wire::Value;
use serde_json::{Map, Value as Json, json};

use crate::peer::Kind;

pub(crate) fn to_json(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Boolean(value) => json!(value),
        Value::Integer(value) => match value.as_i64() {
            Some(small) => json!(small),
            None => json!(value.as_u64()),
        },
        Value::F32(value) => json!(value),
        Value::F64(value) => json!(value),
        Value::String(text) => json!(text.as_str()),
        Value::Binary(bytes) => json!({"bin": hex::encode(bytes)}),
        Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => {
            let keys: Vec<_> = entries.iter().map(|(key, _)| key.as_str()).collect();
            let values = entries.iter().map(|(_, item)| to_json(item));
            if let Some(names) = keys.iter().copied().collect::<Option<Vec<_>>>()
                && !matches!(names[..], ["bin" | "map"])
            {
                let names = names.into_iter().map(str::to_owned);
                return Json::Object(names.zip(values).collect::<Map<_, _>>());
            }
            let keys = entries.iter().map(|(key, _)| to_json(key));
            json!({"map": keys.zip(values).map(|(key, item)| json!([key, item])).collect::<Json>()})
        }
        Value::Ext(..) => json!({"other": value.to_string()}),
    }
}

pub(crate) fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => value.into(),
            (_, Some(value)) => value.into(),
            _ => Value::F64(number.as_f64().expect("a number")),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Value::Array(items.iter().map(from_json).collect()),
        Json::Object(entries) => match (entries.len(), entries.get("bin"), entries.get("map")) {
            (1, Some(bin), _) => {
                Value::Binary(hex::decode(bin.as_str().expect("text")).expect("hex"))
            }
            (1, _, Some(map)) => {
                let pairs = map.as_array().expect("a list").iter();
                Value::Map(pairs.map(|pair| (from_json(&pair[0]), from_json(&pair[1]))).collect())
            }
            _ => Value::Map(
                entries.iter().map(|(key, item)| (key.as_str().into(), from_json(item))).collect(),
            ),
        },
    }
}

/// Whether they are the same, up to how numbers are written: js2p does not tell 1.0 from 1.
pub(crate) fn alike(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => {
            one == other || (one.is_f64() != other.is_f64() && one.as_f64() == other.as_f64())
        }
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            let is_alike = |(key, item)| other.get(key).is_some_and(|other| alike(item, other));
            one.len() == other.len() && one.iter().all(is_alike)
        }
        _ => one == other,
    }
}

/// Lists of packets of every kind that the peer can write.
pub(crate) fn samples(kind: Kind) -> Vec<Json> {
    let nested = json!([[1, ["a", [{"bin": "01"}, []]]], {"key": {"list": [true, false, null]}}]);
    let mut samples = vec![
        json!(["hello", "", "\u{fc}\u{65e5}\u{1f980}"]),
        json!([{"bin": "00ff80"}, {"bin": ""}]),
        json!([0, 1, -1, 127, 128, -32, -33, 255, 256, 65_535, 65_536, i32::MAX, i32::MIN]),
        json!([0.5, -0.25, 1.5e300]),
        json!([null, true, false]),
        nested,
        json!([]),
    ];
    match kind {
        Kind::Py => {
            let map = json!({"map": [[1, "one"], ["two", 2]]});
            samples.push(json!([i64::MIN, i64::MAX, u64::MAX, 1.0, map]));
            samples.push(mebibyte());
            samples.push(json!(["text ".repeat((1 << 20) / 5)]));
        }
        // js2p reads and writes what is beyond 32 bits as a float. A mebibyte takes it seconds.
        Kind::Js => samples.push(json!([9_007_199_254_740_992.0, -1_099_511_627_776.0])),
        Kind::Bytestag => {}
    }
    samples
}

/// 1 MiB that no method compresses.
pub(crate) fn mebibyte() -> Json {
    json!([{"bin": hex::encode(noise(1 << 20))}])
}

/// Bytes that no method compresses.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(length).collect()
}
