//! Values: put, get and what is known of them.

use std::io::Read as _;

use bytes::Bytes;
use rs2p_bytestag::{Copies, DhtError, Key, MAX_VALUE, PutError, ValueId};
use serde_json::{Value as Json, json};

use super::nodes::{bytes, explained, nodes};
use super::{KadNode, parse_key};
use crate::dictionary::Answer;
use crate::session::{CommandError, Style, Told};

impl KadNode {
    pub(super) async fn put(&self, words: &[String]) -> Answer {
        let value = value_of(&words[0]).await?;
        if value.len() > MAX_VALUE {
            let length = value.len();
            return Err(format!(
                "a value of {length} bytes, where {MAX_VALUE} are the most: `share` it as a file"
            )
            .into());
        }
        let id = ValueId::of(&value);
        let copies = match self.node.put(value).await {
            Ok((_, copies)) => copies,
            // It is kept and tried again: nothing is lost, and nothing is to be done.
            Err(DhtError::Put(PutError::Nowhere { refused, silent })) => {
                Copies { refused, silent, ..Copies::default() }
            }
            Err(error) => return Err(error.into()),
        };
        let text = match copies.stored + copies.had {
            0 => "  is kept here, and published as soon as a node takes it".to_owned(),
            count => format!("  is at {}", nodes(count)),
        };
        let told = Told::reply("put")
            .field("key", id.key.to_string())
            .field("index", id.index.to_string())
            .field("stored", copies.stored)
            .field("had", copies.had);
        Ok(told.line([(Style::Bold, id.key.to_string()), (Style::Plain, text)]))
    }

    pub(super) async fn get(&self, words: &[String]) -> Answer {
        let (key, index) = parse_id(words)?;
        let got = self.node.get(key, index).await.map_err(explained)?;
        let told = Told::reply("get")
            .field("key", got.id.key.to_string())
            .field("index", got.id.index.to_string())
            .field("size", got.value.len())
            .field("value", json!({ "bin": hex::encode(&got.value) }));
        Ok(shown(told, &got.value))
    }

    pub(super) async fn values(&self, words: &[String]) -> Answer {
        let Some(word) = words.first() else { return self.values_here() };
        let key = parse_key(word)?;
        let found = self.node.find_value(key, None).await?;
        let list: Json = found
            .values
            .iter()
            .map(|(entry, count)| {
                json!({ "index": entry.id.index.to_string(), "size": entry.size, "nodes": count })
            })
            .collect();
        let told = Told::reply("values").field("key", key.to_string()).field("values", list);
        if found.values.is_empty() {
            let text = format!("none: {} were asked", nodes(found.asked));
            return Ok(told.line([(Style::Faint, text)]));
        }
        Ok(found.values.iter().fold(told, |told, (entry, count)| {
            let size = entry.size.and_then(|size| u64::try_from(size).ok());
            let size = size.map_or("of unknown size".to_owned(), bytes);
            let text = format!("  {size}, at {}", nodes(*count));
            told.line([(Style::Bold, entry.id.index.to_string()), (Style::Plain, text)])
        }))
    }

    fn values_here(&self) -> Answer {
        let here = |dht: &mut rs2p_bytestag::Dht, _| {
            let mut all = dht.values();
            let some: Vec<_> = all.by_ref().take(LISTED).collect();
            (some, all.count())
        };
        let (values, more) = self.node.machine().call(here)?;
        let list: Json = values
            .iter()
            .map(|id| json!({ "key": id.key.to_string(), "index": id.index.to_string() }))
            .collect();
        let mut told = Told::reply("values").field("values", list).field("more", more);
        for id in &values {
            let index = if id.key == id.index { String::new() } else { format!("  {}", id.index) };
            told = told.line([(Style::Bold, id.key.to_string()), (Style::Plain, index)]);
        }
        Ok(match (values.is_empty(), more) {
            (true, _) => told.line([(Style::Faint, "there are none here".to_owned())]),
            (false, 0) => told,
            (false, more) => told.line([(Style::Faint, format!("and {more} more"))]),
        })
    }

    pub(super) fn withdraw(&self, words: &[String]) -> Answer {
        let (key, index) = parse_id(words)?;
        let id = ValueId { key, index: index.unwrap_or(key) };
        if !self.node.withdraw(id)? {
            return Err(format!("no value of {key} with the index {} is here", id.index).into());
        }
        let text = "kept here no longer; other nodes keep it until it expires, a day at the most";
        Ok(Told::reply("withdraw")
            .field("key", id.key.to_string())
            .field("index", id.index.to_string())
            .line([(Style::Faint, text.to_owned())]))
    }

    /// Keys of values that are here, to be completed to.
    pub(super) fn known_keys(&self, begun: &str) -> Vec<String> {
        let begun = begun.to_owned();
        let keys = move |dht: &mut rs2p_bytestag::Dht, _| {
            let keys = dht.values().map(|id| id.key.to_string());
            keys.filter(|key| key.starts_with(&begun)).take(256).collect()
        };
        self.node.machine().call(keys).unwrap_or_default()
    }
}

fn parse_id(words: &[String]) -> Result<(Key, Option<Key>), CommandError> {
    let index = words.get(1).map(|word| parse_key(word)).transpose()?;
    Ok((parse_key(&words[0])?, index))
}

/// What `put` is to store: text, the contents of `@FILE`, or with `@@` text that begins with an `@`.
async fn value_of(word: &str) -> Result<Bytes, CommandError> {
    let Some(path) = word.strip_prefix('@') else { return Ok(word.to_owned().into()) };
    if path.starts_with('@') {
        return Ok(path.to_owned().into());
    }
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let failed = |reason: String| format!("{path}: {reason}");
        let metadata = std::fs::metadata(&path).map_err(|error| failed(error.to_string()))?;
        if !metadata.is_file() {
            return Err(failed("is no file; `share` takes directories".to_owned()));
        }
        if metadata.len() > MAX_VALUE as u64 {
            let length = metadata.len();
            return Err(failed(format!(
                "has {length} bytes, where {MAX_VALUE} are the most of a value: `share {path}` \
                 shares it as a file"
            )));
        }
        let mut value = Vec::new();
        let file = std::fs::File::open(&path).map_err(|error| failed(error.to_string()))?;
        // It may have grown meanwhile.
        let mut file = file.take(MAX_VALUE as u64 + 1);
        file.read_to_end(&mut value).map_err(|error| failed(error.to_string()))?;
        Ok(Bytes::from(value))
    });
    Ok(read.await??)
}

/// A value for people: text as such, the beginning of anything else.
fn shown(told: Told, value: &[u8]) -> Told {
    match str::from_utf8(value) {
        Ok(text) if text.len() <= TEXT => {
            text.lines().fold(told, |told, line| told.line([(Style::Plain, line.to_owned())]))
        }
        _ => {
            let start = &value[..value.len().min(BEGINNING)];
            let dots = if start.len() < value.len() { "…" } else { "" };
            told.line([
                (Style::Plain, format!("{}{dots}", hex::encode(start))),
                (Style::Faint, format!("  ({})", bytes(value.len() as u64))),
            ])
            .line([(Style::Faint, "`fetch KEY FILE` writes it to a file".to_owned())])
        }
    }
}

/// Values that are listed, at most.
const LISTED: usize = 1_000;

/// Bytes of a text that is shown as such.
const TEXT: usize = 16 << 10;

/// Bytes that are shown of what is no text.
const BEGINNING: usize = 64;
