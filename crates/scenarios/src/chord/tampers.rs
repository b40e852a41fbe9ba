//! Bugs to plant into nodes of the DHT. They stand between a node and the world, and change what it
//! says or hears.

use std::time::Duration;

use rs2p_base::{Input, Output, Time};
use rs2p_simnet::{Fate, NodeIndex, Tamper};
use rs2p_wire::{Limits, Message, SubFlag, Value};

use super::Boxed;
use super::node::{Node, Told};

/// The bugs, each with what is wrong.
pub(super) const BUGS: &[(&str, &str)] = &[
    ("first-join", "who joins knows its successor only, as Chord was published at first"),
    ("long-step", "after a minute, it takes over every second entry of its successor's list"),
    ("lost-ack", "one in three acknowledgements of writes is lost"),
    ("stale-owner", "an owner acknowledges what replaces a value, and keeps the old one"),
];

pub(super) fn bug(name: &str, node: NodeIndex) -> Option<Boxed> {
    Some(match name {
        "first-join" => Box::new(FirstJoin),
        "long-step" => Box::new(LongStep::default()),
        "lost-ack" => Box::new(LostAck { count: node.0 }),
        "stale-owner" => Box::new(StaleOwner),
        _ => return None,
    })
}

/// Knows of no more than one successor while it joins.
struct FirstJoin;

impl Tamper<Node> for FirstJoin {
    fn input(&mut self, node: &mut Node, _: Time, input: Input) -> Option<Input> {
        if node.chord().is_none_or(|chord| chord.ring().is_some()) {
            return Some(input);
        }
        rewrite(input, |payload| match payload {
            // Who is before its place, and the successors of that one.
            [flag, _, _, _, Value::Array(answer)] if is(flag, ANSWER) => {
                let [kind, _, Value::Array(list)] = &mut answer[..] else { return false };
                is(kind, FOUND) && cut(list, 1)
            }
            // What its successor knows.
            [flag, word, _, Value::Array(list)] if is(flag, RING) => is(word, VIEW) && cut(list, 0),
            _ => false,
        })
    }
}

fn cut(list: &mut Vec<Value>, length: usize) -> bool {
    let is_longer = list.len() > length;
    list.truncate(length);
    is_longer
}

/// Skips members, once the ring is a safe one.
#[derive(Default)]
struct LongStep {
    since: Option<Time>,
}

impl Tamper<Node> for LongStep {
    fn input(&mut self, _: &mut Node, now: Time, input: Input) -> Option<Input> {
        if now.since(*self.since.get_or_insert(now)) < Duration::from_secs(60) {
            return Some(input);
        }
        rewrite(input, |payload| match payload {
            [flag, word, _, Value::Array(list)] if is(flag, RING) && is(word, VIEW) => {
                let mut place = 0;
                list.retain(|_| {
                    place += 1;
                    place % 2 == 0
                });
                place > 0
            }
            _ => false,
        })
    }
}

/// Does not tell that it has kept something.
struct LostAck {
    count: u32,
}

impl Tamper<Node> for LostAck {
    fn output(&mut self, _: &Node, _: Time, output: Output<Told>) -> Fate<Told> {
        let Output::Send { frame, .. } = &output else { return Fate::Pass(output) };
        if is_ack(frame.message()).unwrap_or(false) {
            self.count += 1;
            if self.count.is_multiple_of(3) {
                return Fate::Drop;
            }
        }
        Fate::Pass(output)
    }
}

fn is_ack(message: &Message) -> Option<bool> {
    if message.sub_flag() != Some(SubFlag::Other(ANSWER)) {
        return Some(false);
    }
    let payload = message.payload(&Limits::default()).ok()?;
    let kind = payload.get(4)?.as_array()?.first()?;
    Some(is(kind, KEPT))
}

/// Takes what it has already for what it is told to keep in its place.
struct StaleOwner;

impl Tamper<Node> for StaleOwner {
    fn input(&mut self, node: &mut Node, _: Time, input: Input) -> Option<Input> {
        rewrite(input, |payload| {
            let [flag, _, _, _, _, Value::Array(op)] = payload else { return false };
            if !is(flag, REQUEST) {
                return false;
            }
            let [kind, table, _, time, author, key, value] = &mut op[..] else { return false };
            if !is(kind, KEEP) {
                return false;
            }
            let table = table.as_u64().and_then(|at| rs2p_chord::Table::ALL.get(at as usize));
            let (Some(table), Some(name)) = (table, key.as_slice()) else { return false };
            let Some(held) = node.chord().and_then(|chord| chord.record(*table, name)) else {
                return false;
            };
            *time = held.version.time.into();
            *author = Value::Binary(held.version.author.to_bytes().to_vec());
            *value = held.value.as_ref().map_or(Value::Nil, rs2p_wire::Encoded::to_value);
            true
        })
    }
}

/// A message as it was, or with its payload changed.
fn rewrite(input: Input, change: impl FnOnce(&mut [Value]) -> bool) -> Option<Input> {
    let Input::Message { link, message } = &input else { return Some(input) };
    let is_between_two =
        matches!(message.sub_flag(), Some(SubFlag::Other(REQUEST | ANSWER | RING)));
    if !is_between_two {
        return Some(input);
    }
    match rewritten(message, change) {
        Some(message) => Some(Input::Message { link: *link, message }),
        None => Some(input),
    }
}

fn rewritten(message: &Message, change: impl FnOnce(&mut [Value]) -> bool) -> Option<Message> {
    let limits = Limits::default();
    let mut payload = message.payload(&limits).ok()?;
    if !change(&mut payload) {
        return None;
    }
    let (kind, form) = (message.kind(), message.sender_form());
    let sender = std::str::from_utf8(message.sender()).ok()?;
    Message::encode(kind, form, sender, message.time(), &payload, &limits).ok()
}

fn is(value: &Value, number: u64) -> bool {
    value.as_u64() == Some(number)
}

/// Sub-flags between rs2p nodes, and what is said with them (`docs/protocol/chord.md`).
const REQUEST: u64 = 0x2c;
const ANSWER: u64 = 0x2d;
const RING: u64 = 0x2e;
const KEEP: u64 = 2;
const FOUND: u64 = 0;
const KEPT: u64 = 4;
const VIEW: u64 = 3;
