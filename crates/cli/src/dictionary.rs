//! What commands on keys and values share, whichever layer holds them.

use std::borrow::Borrow;
use std::time::Duration;

use rs2p_wire::Value;
use serde_json::{Map, Value as Json, json};

use crate::session::{CommandError, CommandSpec, Completes, Style, Told};
use crate::{json, key, words};

/// What a command gives.
pub(crate) type Answer = Result<Told, CommandError>;

/// A command without arguments.
pub(crate) const fn plain(name: &'static str, help: &'static str) -> CommandSpec {
    CommandSpec::new(name, name, help, (0, Some(0)), Completes::Nothing)
}

/// A command whose first argument is a key.
pub(crate) const fn on_key(
    name: &'static str,
    usage: &'static str,
    help: &'static str,
    arity: (usize, Option<usize>),
) -> CommandSpec {
    CommandSpec::new(name, usage, help, arity, Completes::Keys)
}

pub(crate) fn parse_key(word: &str) -> Result<Vec<u8>, CommandError> {
    key::parse(word).map_err(|reason| format!("the key `{word}`: {reason}").into())
}

/// The keys and values of `update`.
pub(crate) fn parse_pairs(words: &[String]) -> Result<Vec<(Vec<u8>, Value)>, CommandError> {
    let (pairs, rest) = words.as_chunks();
    if let [key] = rest {
        return Err(format!("`{key}` has no value: update KEY VALUE KEY VALUE ...").into());
    }
    // All of them first: a slip of the fingers shall not leave half of them behind.
    pairs.iter().map(|[key, value]| Ok((parse_key(key)?, words::value(value)?))).collect()
}

/// Keys to offer for completion, in their order.
pub(crate) fn offered(
    keys: impl IntoIterator<Item = impl AsRef<[u8]>>,
    begun: &str,
) -> Vec<String> {
    /// So many are read at a glance.
    const OFFERED: usize = 256;
    // The editor takes words apart at white space, whatever the quotes.
    let words = keys.into_iter().map(|key| key::to_word(key.as_ref()));
    let fitting = words.filter(|word| word.starts_with(begun) && !word.contains(['\'', '"']));
    fitting.take(OFFERED).collect()
}

/// The reply to a command on a key, as far as programs are told.
pub(crate) fn on(command: &str, key: &[u8]) -> Told {
    Told::reply(command).field("key", key::to_json(key))
}

/// The reply to `get`.
pub(crate) fn got(key: &[u8], value: Option<&Value>) -> Told {
    let json = value.map_or(Json::Null, json::from_value);
    let line = value.map_or_else(no_such_key, |value| plain_line(value_text(value)));
    on("get", key).field("value", json).line([line])
}

/// The reply to `pop`.
pub(crate) fn popped(key: &[u8], value: &Value) -> Told {
    on("pop", key).field("value", json::from_value(value)).line([plain_line(value_text(value))])
}

/// A reply of a key and its value.
pub(crate) fn item(command: &str, key: &[u8], value: &Value) -> Told {
    on(command, key).field("value", json::from_value(value)).line(pair(key, value))
}

pub(crate) fn all_keys(keys: &[impl AsRef<[u8]>]) -> Told {
    let list: Json = keys.iter().map(|key| key::to_json(key.as_ref())).collect();
    let told = Told::reply("keys").field("keys", list);
    lines(told, keys, |key| [(Style::Bold, key::to_word(key.as_ref()))])
}

pub(crate) fn all_values(values: &[impl Borrow<Value>]) -> Told {
    let list: Json = values.iter().map(|value| json::from_value(value.borrow())).collect();
    let told = Told::reply("values").field("values", list);
    lines(told, values, |value| [plain_line(value_text(value.borrow()))])
}

pub(crate) fn all_items(items: &[(impl AsRef<[u8]>, impl Borrow<Value>)]) -> Told {
    let list: Json = items
        .iter()
        .map(|(key, value)| json!([key::to_json(key.as_ref()), json::from_value(value.borrow())]))
        .collect();
    let told = Told::reply("items").field("items", list);
    lines(told, items, |(key, value)| pair(key.as_ref(), value.borrow()))
}

/// The reply to `copy`.
pub(crate) fn as_object(items: &[(impl AsRef<[u8]>, impl Borrow<Value>)]) -> Told {
    let object: Map<String, Json> = items
        .iter()
        .map(|(key, value)| (key::to_text(key.as_ref()), json::from_value(value.borrow())))
        .collect();
    let text = Json::from(object.clone()).to_string();
    Told::reply("copy").field("copy", object).line([plain_line(text)])
}

/// The reply to `len`.
pub(crate) fn length(len: usize) -> Told {
    Told::reply("len").field("len", len).line([plain_line(len.to_string())])
}

/// So many keys, in words.
pub(crate) fn count_of_keys(count: usize) -> String {
    if count == 1 { "1 key".to_owned() } else { format!("{count} keys") }
}

pub(crate) fn plain_line(text: String) -> (Style, String) {
    (Style::Plain, text)
}

pub(crate) fn no_such_key() -> (Style, String) {
    (Style::Faint, "there is no such key".to_owned())
}

/// A value for people: as JSON, so that `7` and `"7"` differ.
pub(crate) fn value_text(value: &Value) -> String {
    json::from_value(value).to_string()
}

/// A duration for people, to the second.
pub(crate) fn duration(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

/// A key and its value on a line.
fn pair(key: &[u8], value: &Value) -> [(Style, String); 2] {
    [(Style::Bold, key::to_word(key)), (Style::Plain, format!(" = {}", value_text(value)))]
}

/// A line for each, or one that says that there are none.
fn lines<T, const N: usize>(
    told: Told,
    all: &[T],
    line: impl Fn(&T) -> [(Style, String); N],
) -> Told {
    if all.is_empty() {
        return told.line([(Style::Faint, "there are no keys".to_owned())]);
    }
    all.iter().fold(told, |told, one| told.line(line(one)))
}
