//! Bugs to plant into nodes of the dictionary. But for an option that is set wrong, they stand
//! between a node and the world, and change what it says or hears.

use std::time::Duration;

use rs2p_base::{Input, Output, Time};
use rs2p_simnet::{Fate, NodeIndex, Tamper};
use rs2p_sync::{Sync, SyncConfig, SyncEvent};
use rs2p_wire::{Limits, MainFlag, Message, MessageWriter, SubFlag, Value, text_bytes};

use super::Boxed;
use super::truth::Record;

/// The bugs, each with what is wrong.
pub(super) const BUGS: &[(&str, &str)] = &[
    ("future-lease", "a node dates its writes half a minute ahead"),
    ("distant-lease", "a node dates its writes ten minutes ahead"),
    ("lost-tombstone", "deletions are forgotten after five seconds, and nobody is told so"),
    ("odd-ties", "of two who take a key in the same second, every other node keeps the larger"),
];

/// The options of a node with this bug.
pub(super) fn config(bug: Option<&str>, config: &SyncConfig) -> SyncConfig {
    let mut config = config.clone();
    if bug == Some("lost-tombstone") {
        config.tombstone_age = Duration::from_secs(5);
    }
    config
}

pub(super) fn bug(name: &str, node: NodeIndex) -> Option<Boxed> {
    Some(match name {
        "future-lease" => Box::new(Ahead { seconds: 30 }),
        "distant-lease" => Box::new(Ahead { seconds: 600 }),
        "lost-tombstone" => Box::new(Silent),
        "odd-ties" if node.0 % 2 == 1 => Box::new(Odd),
        _ => return None,
    })
}

/// Dates its writes ahead.
struct Ahead {
    seconds: u64,
}

impl Tamper<Sync> for Ahead {
    fn output(&mut self, sync: &Sync, _: Time, output: Output<SyncEvent>) -> Fate<SyncEvent> {
        let Output::Send { link, frame, gather } = &output else { return Fate::Pass(output) };
        let message = frame.message();
        let is_own = message.sender() == sync.id().to_text().as_bytes();
        let is_write = matches!(message.sub_flag(), Some(SubFlag::Store | SubFlag::Delta));
        if !is_own || !is_write || message.kind() != MainFlag::Broadcast {
            return Fate::Pass(output);
        }
        match self.ahead(message) {
            Some(message) => {
                let (link, frame, gather) = (*link, message.into(), *gather);
                Fate::Instead(Output::Send { link, frame, gather })
            }
            None => Fate::Pass(output),
        }
    }
}

impl Ahead {
    fn ahead(&self, message: &Message) -> Option<Message> {
        let limits = Limits::default();
        let payload = message.payload(&limits).ok()?;
        let (kind, form) = (message.kind(), message.sender_form());
        let sender = std::str::from_utf8(message.sender()).ok()?;
        let time = message.time() + self.seconds;
        let mut writer = MessageWriter::new(kind, form, sender, time, payload.len());
        payload.iter().try_for_each(|value| writer.any(value, &limits)).ok()?;
        let behind = message.behind(&limits)?.as_array_of::<5>()?;
        let mut numbers = behind.iter().filter_map(|number| number.as_u64()).enumerate();
        writer.behind(1, |writer| {
            writer.array(behind.len(), |writer| {
                let start = |place| if place == 1 { self.seconds } else { 0 };
                numbers.by_ref().for_each(|(place, number)| writer.unsigned(number + start(place)));
            });
        });
        writer.finish(&limits).ok()
    }
}

/// Does not tell that it has forgotten deletions.
struct Silent;

impl Tamper<Sync> for Silent {
    fn output(&mut self, _: &Sync, _: Time, output: Output<SyncEvent>) -> Fate<SyncEvent> {
        let Output::Send { link, frame, gather } = &output else { return Fate::Pass(output) };
        if frame.message().sub_flag() != Some(SubFlag::Other(COMPARE)) {
            return Fate::Pass(output);
        }
        match silent(frame.message()) {
            Some(message) => {
                let (link, frame, gather) = (*link, message.into(), *gather);
                Fate::Instead(Output::Send { link, frame, gather })
            }
            None => Fate::Pass(output),
        }
    }
}

/// The same without the latest deletion forgotten.
fn silent(message: &Message) -> Option<Message> {
    let limits = Limits::default();
    let mut payload = message.payload(&limits).ok()?;
    *payload.get_mut(1)? = 0.into();
    let (kind, form) = (message.kind(), message.sender_form());
    let sender = std::str::from_utf8(message.sender()).ok()?;
    Message::encode(kind, form, sender, message.time(), &payload, &limits).ok()
}

/// Does not hear of a write that began in the same second as the one held, by a smaller owner.
struct Odd;

impl Tamper<Sync> for Odd {
    fn input(&mut self, sync: &mut Sync, _: Time, input: Input) -> Option<Input> {
        let Input::Message { message, .. } = &input else { return Some(input) };
        let is_missed = match message.sub_flag() {
            Some(SubFlag::Store) => is_tie_in_write(sync, message),
            Some(SubFlag::Other(RECORDS)) => is_tie_in_records(sync, message),
            _ => None,
        };
        (!is_missed.unwrap_or(false)).then_some(input)
    }
}

fn is_tie_in_write(sync: &Sync, message: &Message) -> Option<bool> {
    let limits = Limits::default();
    let payload = message.payload(&limits).ok()?;
    let [_, start, ..] = message.behind(&limits)?.as_array_of::<5>()?;
    let key = text_bytes(payload.get(1)?)?;
    Some(is_tie(sync, key, start.as_u64()?, message.sender()))
}

fn is_tie_in_records(sync: &Sync, message: &Message) -> Option<bool> {
    let payload = message.payload(&Limits::default()).ok()?;
    let [_, Value::Array(owners), records @ ..] = &payload[..] else { return None };
    let (records, []) = records.as_chunks::<8>() else { return None };
    Some(records.iter().any(|[key, _, owner, _, start, ..]| {
        let owner = owner.as_u64().and_then(|owner| owners.get(usize::try_from(owner).ok()?));
        let parts = (text_bytes(key), start.as_u64(), owner.and_then(text_bytes));
        let (Some(key), Some(start), Some(owner)) = parts else { return false };
        is_tie(sync, key, start, owner)
    }))
}

fn is_tie(sync: &Sync, key: &[u8], start: u64, owner: &[u8]) -> bool {
    let held = sync.record(key).as_deref().and_then(Record::read);
    held.is_some_and(|held| held.start == start && owner < &held.owner[..])
}

/// Sub-flags between rs2p nodes.
const COMPARE: u64 = 0x28;
const RECORDS: u64 = 0x2b;
