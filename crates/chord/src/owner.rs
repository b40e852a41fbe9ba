//! What the owner of a position does with questions.

use std::time::Duration;

use bytes::Bytes;
use rs2p_base::{NodeId, Time};
use rs2p_wire::{Encoded, SubFlag, Value};

use crate::change::Change;
use crate::contact::Contact;
use crate::machine::Chord;
use crate::position::Table;
use crate::record::{Record, Spot, Version};
use crate::request::{Answer, Fetched, Kept, MAX_KEYS, Op, Refusal, Request};
use crate::ring::Ring;
use crate::stretch::Stretch;

/// How long a write waits for copies; those that have not been acknowledged by then do not count.
/// Whoever asked asks again after two seconds.
pub(crate) const COPY_PATIENCE: Duration = Duration::from_millis(1_800);
/// Writes that may wait for copies at the same time.
const MAX_PENDING: usize = 16_384;

/// A write that waits for copies to be acknowledged.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) until: Time,
    /// Who has not acknowledged it yet.
    pub(crate) left: Vec<NodeId>,
    pub(crate) copies: u64,
    then: Then,
}

/// What follows a write.
#[derive(Debug)]
struct Then {
    hops: Vec<NodeId>,
    number: u64,
    result: Written,
}

#[derive(Debug)]
enum Written {
    Kept { had: bool },
    Merged { version: Version, value: Encoded, change: Change },
}

impl Chord {
    /// Answers a question, as the owner of the point or in its place.
    pub(crate) fn serve(&mut self, now: Time, request: Request) {
        self.counts.served += 1;
        if self.ring.is_none() {
            return self.serve_by_old(now, request);
        }
        let Request { target, hops, number, op, .. } = request;
        match op {
            Op::Find => {
                let (predecessor, successors) = self.own_view();
                self.answer(now, hops, number, Answer::Found { predecessor, successors });
            }
            Op::Fetch(spot) => self.fetch(now, spot, hops, number),
            Op::Check(spot) => {
                self.answer(now, hops, number, Answer::Checked(self.shelf.version(spot)));
            }
            // Nobody waits for what old nodes wrote, and nobody would ask again.
            Op::Keep { record: Record { key: Some(_), .. }, .. } | Op::Merge { .. }
                if self.is_busy() =>
            {
                self.refuse_for_now(now, hops, number);
            }
            Op::Keep { spot, record } => {
                let result = self.keep(now, spot, &record);
                match result {
                    Ok(false) if record.is_tombstone() && self.nearer_old(spot).is_some() => {
                        let copiers = self.copiers(now);
                        self.push(now, spot, 0, &copiers, None);
                        self.delete_by_old(now, spot, hops, number);
                    }
                    Ok(had) => {
                        self.tell_nearer_old(now, spot, record.version, record.value.as_ref());
                        self.acknowledge(now, spot, hops, number, Written::Kept { had });
                    }
                    Err(kept) => self.answer(now, hops, number, Answer::Kept(kept)),
                }
            }
            Op::Merge { spot, base, key, number: change, delta } => {
                let change = Change { author: hops[0], number: change };
                match self.merge(now, spot, change, base, key, &delta) {
                    Ok((version, value)) => {
                        self.tell_nearer_old(now, spot, version, Some(&value));
                        let merged = Written::Merged { version, value, change };
                        self.acknowledge(now, spot, hops, number, merged);
                    }
                    Err(kept) => self.answer(now, hops, number, Answer::Kept(kept)),
                }
            }
            Op::List(table, end) => {
                let answer = self.keys_from(table, target, end);
                self.answer(now, hops, number, answer);
            }
            Op::Adopt(contact) => self.adopt(now, contact),
        }
    }

    fn fetch(&mut self, now: Time, spot: Spot, hops: Vec<NodeId>, number: u64) {
        if let Some(old) = self.nearer_old(spot) {
            self.consult(now, old, spot, hops, number, false);
            return;
        }
        self.answer(now, hops, number, Answer::Fetched(self.held(spot)));
    }

    /// What is known here of a spot.
    pub(crate) fn held(&self, spot: Spot) -> Fetched {
        match self.shelf.get(spot) {
            Some(record) => Fetched::Record(record.version, record.value.clone()),
            None => Fetched::Nothing,
        }
    }

    /// Whether so many writes wait for copies that no more may.
    fn is_busy(&self) -> bool {
        self.pending.len() >= MAX_PENDING
    }

    fn refuse_for_now(&mut self, now: Time, hops: Vec<NodeId>, number: u64) {
        self.counts.refused += 1;
        self.answer(now, hops, number, Answer::Kept(Kept::Refused(Refusal::Busy)));
    }

    /// Takes a record, if nothing later is known. Whether there was a value before.
    pub(crate) fn keep(&mut self, now: Time, spot: Spot, record: &Record) -> Result<bool, Kept> {
        let before = self.shelf.version(spot);
        let kept = self.keep_what_follows(now, spot, record);
        if self.shelf.version(spot) != before {
            self.changes.forget(spot);
        }
        kept
    }

    /// As [`keep`](Self::keep), for a record that was made of what is here.
    pub(crate) fn keep_what_follows(
        &mut self,
        now: Time,
        spot: Spot,
        record: &Record,
    ) -> Result<bool, Kept> {
        if let Some(held) = self.shelf.get(spot) {
            let had = held.value.is_some();
            if held.version == record.version {
                return Ok(had);
            }
            if held.version > record.version {
                return Err(Kept::Newer(held.version));
            }
            self.admit(now, spot, record).map_err(Kept::Refused)?;
            self.shelf.put(spot, record.clone());
            return Ok(had);
        }
        self.admit(now, spot, record).map_err(Kept::Refused)?;
        self.shelf.put(spot, record.clone());
        Ok(false)
    }

    /// Whether a record is within the bounds.
    pub(crate) fn admit(&mut self, now: Time, spot: Spot, record: &Record) -> Result<(), Refusal> {
        let latest = self.latest_allowed(now);
        let size = record.size();
        let (held, records) = match self.shelf.get(spot) {
            Some(held) => (held.size(), 0),
            None => (0, 1),
        };
        let is_large = size > self.config.max_value + self.config.max_key;
        let is_full = self.shelf.len() + records > self.config.max_records
            || self.shelf.bytes() + size > self.config.max_bytes + held;
        let refusal = match () {
            () if record.version.time > latest => Refusal::Ahead,
            // A deletion of what is there makes room.
            () if is_large || (is_full && !(record.is_tombstone() && records == 0)) => {
                Refusal::Full
            }
            () => return Ok(()),
        };
        self.counts.refused += 1;
        Err(refusal)
    }

    /// The latest time that a write may have, in milliseconds since the Unix epoch.
    pub(crate) fn latest_allowed(&self, now: Time) -> u64 {
        self.clock(now).saturating_add(self.config.max_ahead.as_millis() as u64)
    }

    /// Tells neighbours of a write, and answers once the copies are acknowledged.
    fn acknowledge(
        &mut self,
        now: Time,
        spot: Spot,
        hops: Vec<NodeId>,
        number: u64,
        result: Written,
    ) {
        let then = Then { hops, number, result };
        let mut left = self.copiers(now);
        // A write in the place of an owner that does not know everything yet is news to that one.
        let owns = |ring: &Ring<NodeId>| ring.owns(spot.point());
        let asker = then.hops.last().filter(|_| !self.ring.as_ref().is_some_and(owns)).copied();
        if let Some(asker) = asker.filter(|asker| *asker != self.id() && !left.contains(asker)) {
            left.push(asker);
        }
        let change = match &then.result {
            Written::Merged { change, .. } => Some(*change),
            Written::Kept { .. } => None,
        };
        let copy = self.asks.number();
        let is_held = !left.is_empty() && self.shelf.get(spot).is_some();
        let told = if is_held { self.push(now, spot, copy, &left, change) } else { Vec::new() };
        let old = self.nearer_old(spot);
        self.wait_for_copies(now, copy, told, old, then);
    }

    /// py2p parts from who deletes what it does not have (spec section 13): it is asked first.
    fn delete_by_old(&mut self, now: Time, spot: Spot, hops: Vec<NodeId>, number: u64) {
        if let Some(old) = self.nearer_old(spot) {
            self.consult(now, old, spot, hops, number, true);
        }
    }

    /// An old node had something to delete, which it has been told to, or nothing.
    pub(crate) fn on_deleted_by_old(
        &mut self,
        now: Time,
        old: NodeId,
        (hops, number): (Vec<NodeId>, u64),
        had: bool,
    ) {
        let then = Then { hops, number, result: Written::Kept { had } };
        if !had {
            return self.acknowledged(now, 1, then);
        }
        let copy = self.asks.number();
        self.wait_for_copies(now, copy, Vec::new(), Some(old), then);
    }

    /// Answers once these nodes have acknowledged, and an old one has read what it was told.
    fn wait_for_copies(
        &mut self,
        now: Time,
        copy: u64,
        mut told: Vec<NodeId>,
        old: Option<NodeId>,
        then: Then,
    ) {
        told.extend(old);
        if told.is_empty() {
            return self.acknowledged(now, 1, then);
        }
        if self.is_busy() {
            return self.refuse_for_now(now, then.hops, then.number);
        }
        let pending = Pending { until: now + COPY_PATIENCE, left: told, copies: 1, then };
        self.pending.insert(copy, pending);
        self.watch_for_overdue(now);
        if let Some(old) = old {
            self.fence(now, old, copy);
        }
    }

    fn acknowledged(&mut self, now: Time, copies: u64, then: Then) {
        let answer = match then.result {
            Written::Kept { had } => Answer::Kept(Kept::Done { copies, had }),
            Written::Merged { version, value, .. } => Answer::Merged { version, value },
        };
        self.answer(now, then.hops, then.number, answer);
    }

    /// A neighbour has a copy.
    pub(crate) fn on_copied(&mut self, now: Time, by: NodeId, copy: u64) {
        let Some(pending) = self.pending.get_mut(&copy) else { return };
        let Some(at) = pending.left.iter().position(|left| *left == by) else { return };
        pending.left.swap_remove(at);
        pending.copies += 1;
        self.finish_copy(now, copy);
    }

    fn finish_copy(&mut self, now: Time, copy: u64) {
        let is_done = |pending: &Pending| pending.left.is_empty() || pending.until <= now;
        if self.pending.get(&copy).is_some_and(is_done)
            && let Some(pending) = self.pending.remove(&copy)
        {
            self.acknowledged(now, pending.copies, pending.then);
        }
    }

    /// Nobody waits for a neighbour that is gone.
    pub(crate) fn give_up_on(&mut self, now: Time, neighbour: NodeId) {
        for copy in self.pending.keys().copied().collect::<Vec<_>>() {
            if let Some(pending) = self.pending.get_mut(&copy) {
                pending.left.retain(|left| *left != neighbour);
            }
            self.finish_copy(now, copy);
        }
    }

    pub(crate) fn finish_overdue_copies(&mut self, now: Time) {
        let due = |(copy, pending): (&u64, &Pending)| (pending.until <= now).then_some(*copy);
        for copy in self.pending.iter().filter_map(due).collect::<Vec<_>>() {
            self.finish_copy(now, copy);
        }
    }

    /// Merges a map into the one held, or into `base` if that is later. Deltas of one key are all
    /// merged in one place, so none is lost. One that is in it already is not merged again.
    fn merge(
        &mut self,
        now: Time,
        spot: Spot,
        change: Change,
        base: Option<Record>,
        key: Option<Bytes>,
        delta: &Encoded,
    ) -> Result<(Version, Encoded), Kept> {
        if self.changes.has(spot, change)
            && let Some(Record { version, value: Some(value), .. }) = self.shelf.get(spot)
        {
            return Ok((*version, value.clone()));
        }
        if let Some(base) = base
            && self.shelf.version(spot).is_none_or(|held| held < base.version)
        {
            self.admit(now, spot, &base).map_err(Kept::Refused)?;
            self.shelf.put(spot, base);
            self.changes.forget(spot);
        }
        let held = self.shelf.get(spot);
        let before = held.and_then(|held| held.value.as_ref()).map(Encoded::to_value);
        let Some(merged) = merge(before, delta.to_value()) else {
            return Err(Kept::Refused(Refusal::NoMap));
        };
        let key = key.or_else(|| held.and_then(|held| held.key.clone()));
        let version = self.next_version(now, held.map(|held| held.version));
        let limits = self.limits();
        let value = Encoded::new(&merged, &limits).map_err(|_| Kept::Refused(Refusal::Full))?;
        let record = Record { version, key, value: Some(value.clone()) };
        self.admit(now, spot, &record).map_err(Kept::Refused)?;
        self.shelf.put(spot, record);
        self.changes.note(now, spot, change);
        Ok((version, value))
    }

    /// A node that stores nothing, and knows nobody but old nodes that do, has them answer its own
    /// questions.
    fn serve_by_old(&mut self, now: Time, request: Request) {
        let Request { hops, number, op, .. } = request;
        match op {
            Op::Fetch(spot) => self.fetch(now, spot, hops, number),
            Op::Keep { spot, record } if record.is_tombstone() => {
                self.delete_by_old(now, spot, hops, number);
            }
            Op::Keep { spot, record } => {
                let Some(old) = self.nearer_old(spot) else { return };
                self.tell_old(now, old, SubFlag::Store, spot, Some(record.value.as_ref()));
                // Old nodes do not say what was there before.
                let result = Written::Kept { had: true };
                let (copy, then) = (self.asks.number(), Then { hops, number, result });
                self.wait_for_copies(now, copy, Vec::new(), Some(old), then);
            }
            Op::Merge { base, delta, .. } => {
                let before = base.and_then(|base| base.value).map(|value| value.to_value());
                let merged = merge(before, delta.to_value());
                let value = merged.and_then(|it| Encoded::new(&it, &self.limits()).ok());
                let version = self.next_version(now, None);
                let answer = match value {
                    Some(value) => Answer::Merged { version, value },
                    None => Answer::Kept(Kept::Refused(Refusal::NoMap)),
                };
                self.answer(now, hops, number, answer);
            }
            Op::Find | Op::Check(_) | Op::List(..) | Op::Adopt(_) => {}
        }
    }

    /// A version of this node's own, later than another one.
    pub(crate) fn next_version(&mut self, now: Time, later_than: Option<Version>) -> Version {
        let later = later_than.map_or(0, |version| version.time.saturating_add(1));
        let time = self.clock(now).max(self.latest_own.saturating_add(1)).max(later);
        self.latest_own = time;
        Version { time, author: self.id() }
    }

    /// Keys of a table from a point on, as far as they are this member's.
    fn keys_from(&self, table: Table, from: NodeId, end: Option<NodeId>) -> Answer {
        let zero = NodeId::from_bytes([0; NodeId::BYTES]);
        let Some(ring) = self.ring.as_ref() else {
            return Answer::Listed { keys: Vec::new(), next: None };
        };
        // Up to the next member, or to the end of all numbers: there the walk ends.
        let end = end.or(ring.successor()).filter(|next| *next > from).unwrap_or(zero);
        let mut keys = Vec::new();
        let mut bytes = 0;
        for (spot, record, _) in self.shelf.iter(Stretch { from, to: end }) {
            let (Some(key), Some(_)) = (&record.key, &record.value) else { continue };
            if spot.table() != table {
                continue;
            }
            if keys.len() == MAX_KEYS || bytes > LISTED_BYTES {
                return Answer::Listed { keys, next: Some(spot.point()) };
            }
            bytes += key.len();
            keys.push(key.clone());
        }
        Answer::Listed { keys, next: (end != zero).then_some(end) }
    }

    /// An old node that stores lies in this member's stretch: it is linked to.
    fn adopt(&mut self, now: Time, contact: Contact) {
        let Contact { id, address } = contact;
        if self.ring.as_ref().is_some_and(|ring| ring.owns(id)) {
            self.learn_contact(id, Some(address));
            self.want(now, id);
        }
    }
}

/// Bytes of keys in one answer, but for the last one.
const LISTED_BYTES: usize = 32 << 10;

/// A map with changes merged into it; nothing when it is no map. Nil stays a value, as with the
/// originals (spec section 9).
pub(crate) fn merge(before: Option<Value>, delta: Value) -> Option<Value> {
    let mut pairs = match before {
        None | Some(Value::Nil) => Vec::new(),
        Some(Value::Map(pairs)) => pairs,
        Some(_) => return None,
    };
    let Value::Map(changes) = delta else { return None };
    for (key, value) in changes {
        match pairs.iter_mut().find(|(known, _)| is_same(known, &key)) {
            Some((_, known)) => *known = value,
            None => pairs.push((key, value)),
        }
    }
    Some(Value::Map(pairs))
}

/// Text and bytes are the same key.
fn is_same(one: &Value, other: &Value) -> bool {
    match (rs2p_wire::text_bytes(one), rs2p_wire::text_bytes(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}
