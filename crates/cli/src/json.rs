//! MessagePack values as JSON, and back.
//!
//! `str` is a string and `bin` is `{"bin":"<hex>"}`. Keys of maps have to be strings in JSON: text
//! and UTF-8 `bin` stand as they are, any other key as its JSON text. What MessagePack has and JSON
//! lacks: extensions are `{"ext":{"type":N,"data":"<hex>"}}`, and a float that is not a
//! finite number is `null`.

use rs2p_wire::Value;
use serde_json::{Map, Value as Json, json};

/// The only key of an object that stands for binary.
const BIN: &str = "bin";

pub(crate) fn from_value(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Boolean(boolean) => Json::Bool(*boolean),
        Value::Integer(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into(),
            (None, number) => number.into(),
        },
        Value::F32(number) => f64::from(*number).into(),
        Value::F64(number) => (*number).into(),
        Value::String(text) => String::from_utf8_lossy(text.as_bytes()).into(),
        Value::Binary(bytes) => json!({ BIN: hex::encode(bytes) }),
        Value::Array(values) => from_values(values),
        Value::Map(pairs) => {
            pairs.iter().map(|(key, value)| (key_text(key), from_value(value))).collect()
        }
        Value::Ext(kind, data) => json!({ "ext": { "type": kind, "data": hex::encode(data) } }),
    }
}

pub(crate) fn from_values(values: &[Value]) -> Json {
    values.iter().map(from_value).collect()
}

fn key_text(key: &Value) -> String {
    if let Some(Ok(text)) = rs2p_wire::text_bytes(key).map(std::str::from_utf8) {
        return text.to_owned();
    }
    from_value(key).to_string()
}

/// The other way: an object whose only key is `bin` is binary, everything else is as it looks.
pub(crate) fn to_value(json: &Json) -> Result<Value, String> {
    Ok(match json {
        Json::Null => Value::Nil,
        Json::Bool(boolean) => (*boolean).into(),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            _ => number.as_f64().map_or(Value::Nil, Value::from),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(values) => Value::Array(values.iter().map(to_value).collect::<Result<_, _>>()?),
        Json::Object(map) => match binary(map) {
            Some(hex) => Value::Binary(hex::decode(hex).map_err(|error| {
                format!(
                    "{{\"{BIN}\":\"{hex}\"}} stands for binary, but is not hexadecimal: {error}"
                )
            })?),
            None => Value::Map(
                map.iter()
                    .map(|(key, value)| Ok((key.as_str().into(), to_value(value)?)))
                    .collect::<Result<_, String>>()?,
            ),
        },
    })
}

fn binary(map: &Map<String, Json>) -> Option<&str> {
    match map.iter().next() {
        Some((key, Json::String(hex))) if map.len() == 1 && key == BIN => Some(hex),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(value: Value, text: &str) {
        assert_eq!(from_value(&value).to_string(), text);
    }

    #[test]
    fn what_json_has_goes_both_ways() {
        let text = r#"{"a":[null,true,-1,18446744073709551615,1.5,"x",{"bin":"00ff"}],"bin":{}}"#;
        let value = to_value(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(value["a"][6], Value::Binary(vec![0, 255]));
        same(value, text);
    }

    #[test]
    fn keys_become_strings() {
        let key = |key: Value, text: &str| same(Value::Map(vec![(key, Value::Nil)]), text);
        key("a".into(), r#"{"a":null}"#);
        key(Value::Binary(b"a".to_vec()), r#"{"a":null}"#);
        key(Value::Binary(vec![0xff]), r#"{"{\"bin\":\"ff\"}":null}"#);
        key(1.into(), r#"{"1":null}"#);
        key(Value::Nil, r#"{"null":null}"#);
    }

    #[test]
    fn what_json_lacks_has_a_form_of_its_own() {
        same(Value::Ext(-1, vec![1, 2]), r#"{"ext":{"type":-1,"data":"0102"}}"#);
        same(Value::F64(f64::NAN), "null");
        same(Value::F32(0.5), "0.5");
    }

    #[test]
    fn binary_that_is_no_hexadecimal_is_refused() {
        let error = to_value(&json!([{ "bin": "0g" }])).unwrap_err();
        assert!(error.contains("0g") && error.contains("hexadecimal"), "{error}");
    }
}
