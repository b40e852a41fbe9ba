//! The vectors' tagged JSON: every MessagePack value as an object with one key, its type.

use rs2p_wire::{IdForm, MainFlag, Message, Value};
use serde_json::Value as Json;

/// What a vector says about a message.
pub(crate) struct Expected {
    pub(crate) kind: MainFlag,
    pub(crate) form: IdForm,
    pub(crate) sender: String,
    pub(crate) time: u64,
    pub(crate) payload: Vec<Value>,
    /// js2p writes times after 2038 as floats; such a body is not the smallest one.
    pub(crate) time_is_float: bool,
}

impl Expected {
    /// `None` where kind, sender or time are of a type that no author uses.
    pub(crate) fn read(message: &Json) -> Option<Self> {
        let kind = message["type"].get("int")?.as_u64()?.into();
        let sender = value(&message["sender"]);
        let form = IdForm::of(&sender)?;
        let sender = String::from_utf8(rs2p_wire::text_bytes(&sender)?.to_vec()).unwrap();
        let time = value(&message["time"]);
        let seconds = time.as_u64().or(time.as_f64().map(|seconds| seconds as u64))?;
        Some(Self {
            kind,
            form,
            sender,
            time: seconds,
            payload: values(&message["payload"]),
            time_is_float: time.is_f64(),
        })
    }

    /// Whether `message` says the same, numbers of another width or precision aside.
    pub(crate) fn is_said_by(&self, message: &Message, payload: &[Value]) -> bool {
        message.kind() == self.kind
            && message.sender() == self.sender.as_bytes()
            && message.sender_form() == self.form
            && message.time() == self.time
            && written(payload) == written(&self.payload)
    }
}

pub(crate) fn values(list: &Json) -> Vec<Value> {
    list.as_array().unwrap().iter().map(value).collect()
}

/// # Panics
/// A tag that no vector of this project has.
pub(crate) fn value(tagged: &Json) -> Value {
    let (tag, content) = tagged.as_object().unwrap().iter().next().unwrap();
    match tag.as_str() {
        "nil" => Value::Nil,
        "bool" => content.as_bool().unwrap().into(),
        "int" => match content.as_u64() {
            Some(number) => number.into(),
            None => content.as_i64().unwrap().into(),
        },
        "float" => match content.as_str() {
            Some(special) => special.parse::<f64>().unwrap().into(),
            None => content.as_f64().unwrap().into(),
        },
        "str" => content.as_str().unwrap().into(),
        "bin" => Value::Binary(binary(content)),
        "array" => Value::Array(values(content)),
        "map" => Value::Map(content.as_array().unwrap().iter().map(pair).collect()),
        // The type is a signed byte; js2p shows it as an unsigned one.
        "ext" => Value::Ext(content[0].as_i64().unwrap() as i8, binary(&content[1])),
        // py2p shows the decoded time of a timestamp of 32 bits.
        "timestamp_ext" => {
            Value::Ext(-1, (content.as_f64().unwrap() as u32).to_be_bytes().to_vec())
        }
        "str_rep" => content[0].as_str().unwrap().repeat(count(&content[1])).into(),
        "bin_rep" => Value::Binary(binary(&content[0]).repeat(count(&content[1]))),
        "array_rep" => Value::Array(vec![value(&content[0]); count(&content[1])]),
        "map_seq" => Value::Map(
            (0..count(content)).map(|index| (format!("k{index}").into(), index.into())).collect(),
        ),
        // js2p has no extensions; it turns them into objects of its own.
        "js_object" => Value::from(format!("an object of js2p: {content}")),
        other => panic!("no such tag: {other}"),
    }
}

/// The values' smallest encoding, which tells NaN from nothing and -0 from 0; single precision
/// counts as double.
fn written(values: &[Value]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        let value = match value {
            Value::F32(number) => Value::F64(f64::from(*number)),
            other => other.clone(),
        };
        rmpv::encode::write_value(&mut bytes, &value).unwrap();
    }
    bytes
}

fn pair(pair: &Json) -> (Value, Value) {
    (value(&pair[0]), value(&pair[1]))
}

fn binary(hex: &Json) -> Vec<u8> {
    hex::decode(hex.as_str().unwrap()).unwrap()
}

fn count(number: &Json) -> usize {
    number.as_u64().unwrap() as usize
}
