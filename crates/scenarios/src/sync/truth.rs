//! What was really written: each write that a node has acknowledged, after which other one, and who
//! has known of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use rs2p_simnet::NodeIndex;
use rs2p_wire::{Limits, Value, read_values, text_bytes};

/// A write, by the order in which they were acknowledged.
pub(super) type WriteId = u32;
/// A key, by its number.
pub(super) type Key = u32;

/// All writes that nodes have acknowledged to their users.
#[derive(Debug, Default)]
pub(super) struct Truth {
    writes: Vec<Write>,
    of_key: Vec<Vec<WriteId>>,
    by_mark: BTreeMap<Mark, WriteId>,
    owners: BTreeMap<Vec<u8>, u32>,
}

/// A write that a node has acknowledged.
#[derive(Debug)]
pub(super) struct Write {
    /// In microseconds since the start.
    pub(super) at: u64,
    pub(super) by: NodeIndex,
    pub(super) is_deletion: bool,
    /// The write that its author held until then. What it follows it replaces for good.
    pub(super) over: Option<WriteId>,
    mark: Mark,
    /// Those who have held it and have not lost their memory since, a bit each.
    known_by: Vec<u64>,
}

/// What a node knows of a key, as it would be written to its disk.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) value: Value,
    pub(super) owner: Vec<u8>,
    pub(super) start: u64,
    time: u64,
    seq: u64,
}

impl Record {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let values = read_values(bytes, 8, &Limits::default()).ok()?;
        let [_, value, owner, _, start, time, seq, _] = &values[..] else { return None };
        Some(Self {
            value: value.clone(),
            owner: text_bytes(owner)?.to_vec(),
            start: start.as_u64()?,
            time: time.as_u64()?,
            seq: seq.as_u64()?,
        })
    }
}

/// What tells a write from all others, wherever it is held. What nodes learn later of who came
/// after whom is not in it.
type Mark = (Key, u32, u64, u64, u64, Option<u64>);

impl Truth {
    /// The name of a key.
    pub(super) fn name(key: Key) -> Bytes {
        format!("key {key}").into()
    }

    /// The key of a name.
    pub(super) fn key(name: &[u8]) -> Option<Key> {
        std::str::from_utf8(name).ok()?.strip_prefix("key ")?.parse().ok()
    }

    /// The number that the next write gets, for its value to be like no other.
    pub(super) fn next(&self) -> WriteId {
        self.writes.len() as WriteId
    }

    /// How many keys have ever been written: those below.
    pub(super) fn keys(&self) -> Key {
        self.of_key.len() as Key
    }

    pub(super) fn write(&self, id: WriteId) -> &Write {
        &self.writes[id as usize]
    }

    pub(super) fn of_key(&self, key: Key) -> &[WriteId] {
        self.of_key.get(key as usize).map_or(&[], Vec::as_slice)
    }

    /// A node has acknowledged a write, and holds this now.
    pub(super) fn note(
        &mut self,
        key: Key,
        at: u64,
        by: NodeIndex,
        record: &Record,
        over: Option<WriteId>,
    ) -> WriteId {
        let id = self.next();
        let mark = self.mark(key, record);
        self.by_mark.insert(mark, id);
        let is_deletion = record.value.is_nil();
        let known_by = Vec::new();
        self.writes.push(Write { at, by, is_deletion, over, mark, known_by });
        if self.of_key.len() <= key as usize {
            self.of_key.resize(key as usize + 1, Vec::new());
        }
        self.of_key[key as usize].push(id);
        self.learn(id, by);
        id
    }

    /// Which write a record is of; nothing for one that nobody has acknowledged.
    pub(super) fn identify(&mut self, key: Key, record: &Record) -> Option<WriteId> {
        let mark = self.mark(key, record);
        let known = self.by_mark.get(&mark).copied();
        known.or_else(|| self.redated(key, mark))
    }

    /// The write that its author has dated anew, since it was dated too far ahead.
    fn redated(&mut self, key: Key, mark: Mark) -> Option<WriteId> {
        let (_, owner, _, time, _, number) = mark;
        let id = self.of_key(key).iter().rev().copied().find(|id| {
            let (_, wrote, _, before, _, what) = self.write(*id).mark;
            (wrote, what) == (owner, number) && before > time
        })?;
        self.by_mark.insert(mark, id);
        Some(id)
    }

    fn mark(&mut self, key: Key, record: &Record) -> Mark {
        let next = self.owners.len() as u32;
        let owner = *self.owners.entry(record.owner.clone()).or_insert(next);
        (key, owner, record.start, record.time, record.seq, number(&record.value))
    }

    /// A node holds a write.
    pub(super) fn learn(&mut self, id: WriteId, node: NodeIndex) {
        let known_by = &mut self.writes[id as usize].known_by;
        let word = node.0 as usize / 64;
        if known_by.len() <= word {
            known_by.resize(word + 1, 0);
        }
        known_by[word] |= 1 << (node.0 % 64);
    }

    /// A node has lost its memory.
    pub(super) fn forget(&mut self, node: NodeIndex) {
        let word = node.0 as usize / 64;
        for write in &mut self.writes {
            if let Some(word) = write.known_by.get_mut(word) {
                *word &= !(1 << (node.0 % 64));
            }
        }
    }

    /// Whether one of these nodes has held a write and has not lost its memory since.
    pub(super) fn is_known(&self, id: WriteId, counting: &[u64]) -> bool {
        let known_by = self.write(id).known_by.iter();
        known_by.zip(counting).any(|(known, counting)| known & counting != 0)
    }

    /// The writes that one replaces, from the last to the first.
    pub(super) fn before(&self, id: WriteId) -> impl Iterator<Item = WriteId> {
        std::iter::successors(self.write(id).over, |id| self.write(*id).over)
    }

    /// Whether a write replaces another one, directly or not.
    pub(super) fn is_after(&self, id: WriteId, other: WriteId) -> bool {
        self.before(id).take_while(|before| *before >= other).any(|before| before == other)
    }
}

/// A set of nodes, a bit each.
pub(super) fn bits(nodes: impl Iterator<Item = NodeIndex>) -> Vec<u64> {
    let mut bits = Vec::new();
    for NodeIndex(node) in nodes {
        let word = node as usize / 64;
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        bits[word] |= 1 << (node % 64);
    }
    bits
}

/// What users write: a map with a number that no other write has, and something more.
pub(super) fn numbered(number: WriteId, size: usize) -> Value {
    let text = "x".repeat(size.min(1 << 20));
    Value::Map(vec![(NUMBER.into(), number.into()), ("text".into(), text.into())])
}

/// The same as a change to a map: one of a few entries, and the number.
pub(super) fn numbered_delta(number: WriteId) -> [(Value, Value); 2] {
    [(NUMBER.into(), number.into()), (format!("part {}", number % 4).into(), number.into())]
}

fn number(value: &Value) -> Option<u64> {
    let entries = value.as_map()?.iter();
    let number = entries.filter(|(name, _)| name.as_str() == Some(NUMBER));
    number.map(|(_, number)| number).next()?.as_u64()
}

const NUMBER: &str = "number";
