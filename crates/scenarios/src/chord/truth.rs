//! What was really written, and what a read may therefore give.

use std::collections::BTreeMap;

use bytes::Bytes;
use rs2p_wire::Value;

/// A write, by the order in which they began.
pub(super) type WriteId = u32;

/// A key, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// Its value is replaced and deleted.
    Plain(u32),
    /// Its value is a map that only grows.
    Map(u32),
}

/// All writes that users have begun. All times are in microseconds since the start.
#[derive(Debug, Default)]
pub(super) struct Truth {
    writes: Vec<Write>,
    of_key: BTreeMap<Key, Vec<WriteId>>,
}

/// A write that a user has begun.
#[derive(Clone, Copy, Debug)]
struct Write {
    key: Key,
    is_deletion: bool,
    begun: u64,
    /// Since when reads must know of it.
    known: u64,
    /// Since when it changes nothing any more.
    ended: u64,
}

const NEVER: u64 = u64::MAX;

impl Key {
    /// Its name.
    pub(super) fn name(self) -> Bytes {
        match self {
            Self::Plain(number) => format!("key {number}").into(),
            Self::Map(number) => format!("map {number}").into(),
        }
    }

    /// The key of a name.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let (kind, number) = std::str::from_utf8(name).ok()?.split_once(' ')?;
        let number = number.parse().ok()?;
        match kind {
            "key" => Some(Self::Plain(number)),
            "map" => Some(Self::Map(number)),
            _ => None,
        }
    }
}

impl Truth {
    /// The number that the next write gets, for its value to be like no other.
    pub(super) fn next(&self) -> WriteId {
        self.writes.len() as WriteId
    }

    /// A user begins to write.
    pub(super) fn begin(&mut self, key: Key, is_deletion: bool, now: u64) -> WriteId {
        let id = self.next();
        self.writes.push(Write { key, is_deletion, begun: now, known: NEVER, ended: NEVER });
        self.of_key.entry(key).or_default().push(id);
        id
    }

    /// It has been acknowledged.
    pub(super) fn acknowledge(&mut self, id: WriteId, now: u64) {
        let write = &mut self.writes[id as usize];
        (write.known, write.ended) = (write.known.min(now), now);
    }

    /// It has not, and after this time nothing comes of it any more.
    pub(super) fn give_up(&mut self, id: WriteId, at: u64) {
        self.writes[id as usize].ended = at;
    }

    /// Keys of which something must be known.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        let is_known = |id: &WriteId| self.writes[*id as usize].known != NEVER;
        self.of_key.iter().filter(move |(_, ids)| ids.iter().any(is_known)).map(|(key, _)| *key)
    }

    /// Whether nobody has begun to write a key since then.
    pub(super) fn is_quiet_since(&self, key: Key, at: u64) -> bool {
        let last = self.of_key.get(&key).and_then(|ids| ids.last());
        last.is_none_or(|id| self.writes[*id as usize].begun < at)
    }

    /// Whether a value is one that somebody wrote under this key.
    pub(super) fn is_written(&self, key: Key, value: &Value) -> bool {
        let Some(found) = numbers(key, value) else { return false };
        let is_of_key = |id: &WriteId| {
            self.writes.get(*id as usize).is_some_and(|it| it.key == key && !it.is_deletion)
        };
        !found.is_empty() && found.iter().all(is_of_key)
    }

    /// Whether a read that began then may give this.
    ///
    /// # Errors
    /// It may not: why, in words.
    pub(super) fn judge(&self, key: Key, begun: u64, value: Option<&Value>) -> Result<(), String> {
        if let Some(value) = value.filter(|value| !self.is_written(key, value)) {
            return Err(format!("{value}, which nobody wrote under that key"));
        }
        match key {
            Key::Plain(_) => self.judge_plain(key, begun, value),
            Key::Map(_) => self.judge_map(key, begun, value),
        }
    }

    fn judge_plain(&self, key: Key, begun: u64, value: Option<&Value>) -> Result<(), String> {
        let all = self.of_key.get(&key).map_or(&[][..], Vec::as_slice);
        // The last one to begin of those that must be known: what had ended before it is replaced.
        let known = all.iter().rev().filter(|id| self.writes[**id as usize].known <= begun);
        let latest = known.map(|id| self.writes[*id as usize]).max_by_key(|write| write.begun);
        let Some(latest) = latest else { return Ok(()) };
        let stands = |id: &WriteId| self.writes[*id as usize].ended >= latest.begun;
        let Some(value) = value else {
            let is_deletion = |id: &&WriteId| self.writes[**id as usize].is_deletion;
            return if all.iter().filter(is_deletion).any(stands) {
                Ok(())
            } else {
                Err(format!("nothing, though {} stands", told(latest)))
            };
        };
        let found = numbers(key, value).unwrap_or_default();
        match found.iter().find(|id| !stands(id)) {
            None => Ok(()),
            Some(old) => {
                let (old, new) = (told(self.writes[*old as usize]), told(latest));
                Err(format!("{old}, though {new} has replaced it"))
            }
        }
    }

    fn judge_map(&self, key: Key, begun: u64, value: Option<&Value>) -> Result<(), String> {
        let found = value.and_then(|value| numbers(key, value)).unwrap_or_default();
        let all = self.of_key.get(&key).map_or(&[][..], Vec::as_slice);
        let lacks =
            |id: &&WriteId| self.writes[**id as usize].known <= begun && !found.contains(id);
        match all.iter().find(lacks) {
            None => Ok(()),
            Some(lacking) => {
                let lacking = told(self.writes[*lacking as usize]);
                Err(format!("a map of {} entries without {lacking}", found.len()))
            }
        }
    }
}

fn told(write: Write) -> String {
    let seconds = |at: u64| at as f64 / 1e6;
    let what = match (write.key, write.is_deletion) {
        (Key::Map(_), _) => "change",
        (_, true) => "deletion",
        _ => "value",
    };
    let end = match write.known {
        NEVER => "not acknowledged".to_owned(),
        known => format!("acknowledged at {:.3} s", seconds(known)),
    };
    format!("the {what} of {:.3} s, {end},", seconds(write.begun))
}

/// The value of a write: a map with its number, which no other write has, and something more.
pub(super) fn numbered(number: WriteId, size: usize) -> Value {
    let text = "x".repeat(size.min(1 << 20));
    Value::Map(vec![(NUMBER.into(), number.into()), ("text".into(), text.into())])
}

/// A change of a map: an entry that no other write has.
pub(super) fn numbered_delta(number: WriteId) -> Vec<(Value, Value)> {
    vec![(format!("{NUMBER} {number}").into(), number.into())]
}

/// The writes that a value is of.
fn numbers(key: Key, value: &Value) -> Option<Vec<WriteId>> {
    let number = |value: &Value| WriteId::try_from(value.as_u64()?).ok();
    let entries = value.as_map()?.iter();
    match key {
        Key::Plain(_) => {
            let mut entries = entries.filter(|(name, _)| name.as_str() == Some(NUMBER));
            Some(vec![number(&entries.next()?.1)?])
        }
        Key::Map(_) => entries.map(|(_, value)| number(value)).collect(),
    }
}

const NUMBER: &str = "number";
