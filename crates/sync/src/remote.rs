//! Writes of other nodes (spec section 9, and `docs/protocol/sync.md`).

use std::sync::Arc;

use bytes::Bytes;
use rs2p_base::Time;
use rs2p_mesh::Received;
use rs2p_wire::{IdForm, MainFlag, Value, encoded_len, text_bytes};

use crate::dictionary::merge;
use crate::event::SyncEvent;
use crate::lease::{self, permits};
use crate::machine::Sync;
use crate::owner::Owner;
use crate::place;
use crate::relay::{Hazards, Told};
use crate::repeat::{Theirs, is_empty};
use crate::table::Record;
use crate::version::{self, Stamp, Version, Winner, Write};

/// What an rs2p node writes behind a write.
#[derive(Clone, Copy, Debug)]
struct Trailer {
    after: u64,
    start: u64,
    seq: u32,
    lease: u32,
    /// The digest of the value that the write leads to.
    content: u64,
}

impl Trailer {
    fn read(received: &Received, sync: &Sync) -> Option<Self> {
        let behind = received.message().behind(&sync.limits())?;
        let [after, start, seq, lease, content] = behind.as_array_of()?.map(|it| it.as_u64());
        let (seq, lease) = (u32::try_from(seq?).ok()?, u32::try_from(lease?).ok()?);
        Some(Self { after: after?, start: start?, seq, lease, content: content? })
    }

    fn stamp(&self, owner: Owner, time: u64, content: Option<u64>) -> Stamp {
        let Self { after, start, seq, lease, .. } = *self;
        Stamp { version: Version { after, start, owner, time, seq }, lease, content }
    }
}

/// What became of a write of another node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is held now.
    Taken,
    /// What was held stays.
    Lost,
    /// It was held already.
    Known,
    /// It is against a bound, and was counted.
    Refused,
}

impl Sync {
    pub(crate) fn on_store(&mut self, now: Time, received: &Received) {
        let payload = received.payload();
        match &payload[..] {
            [_, written, value] => match text_bytes(written) {
                Some(key) => self.on_write(now, received, (key, written), value),
                None => self.counts.malformed += 1,
            },
            [_, key, value, owner, time] => {
                let owner = text_bytes(owner).zip(form_of(owner));
                let owner = owner.and_then(|(text, form)| self.owners.intern(text, form));
                match (text_bytes(key), owner, seconds(time)) {
                    (Some(key), Some(owner), Some(time)) => {
                        self.on_handed_over(now, received, key, value, &owner, time);
                    }
                    _ => self.counts.malformed += 1,
                }
            }
            _ => self.counts.malformed += 1,
        }
    }

    fn on_write(
        &mut self,
        now: Time,
        received: &Received,
        (key, written): (&[u8], &Value),
        value: &Value,
    ) {
        let Some(owner) = self.author(received) else { return };
        let time = received.time();
        let held = self.table.get(key);
        let told = if value.is_nil() { Told::Deletion } else { Told::Value(value) };
        let hazards = Hazards::of(key, told, held, &owner, time).key(written);
        self.relay(now, received, key, &hazards);
        let value = (!value.is_nil()).then(|| Arc::new(value.clone()));
        if let Some(trailer) = Trailer::read(received, self) {
            let content = value.as_deref().map(place::content);
            let stamp = trailer.stamp(owner, time, content);
            let verdict = self.adopt(now, key, value, stamp);
            self.count(verdict);
            return;
        }
        let verdict = self.judge_plain(now, key, value, &owner, time);
        self.count(verdict);
    }

    /// A write of an old node, by the originals' rule.
    fn judge_plain(
        &mut self,
        now: Time,
        key: &[u8],
        value: Option<Arc<Value>>,
        owner: &Owner,
        time: u64,
    ) -> Verdict {
        let clock = self.clock(now);
        let held = self.table.get(key).map(|held| &*held.stamp);
        if let Some(Stamp { version, content, .. }) = held {
            // An old message that has been overtaken, also by the deletion. Clocks tick at
            // different moments, and the originals may date a write a second early.
            let is_overtaken = match content {
                _ if version.owner == *owner => time < version.time,
                None => time.saturating_add(1) < version.time,
                Some(_) => false,
            };
            if is_overtaken {
                return Verdict::Lost;
            }
        }
        if !self.permits(held, false, owner, time, clock) {
            return Verdict::Lost;
        }
        let content = value.as_deref().map(place::content);
        let stamp = Write { owner, time, lease: self.plain_lease(), content }.over(held);
        self.take(now, key, value, stamp)
    }

    /// The originals' rule. What has been deleted is free; an old node takes every lease for an
    /// hour.
    fn permits(
        &self,
        held: Option<&Stamp>,
        is_delta: bool,
        owner: &Owner,
        time: u64,
        clock: u64,
    ) -> bool {
        let held = held.filter(|held| !held.is_tombstone());
        let held = held.map(|held| (&held.version.owner, held.version.time));
        permits(self.config.leasing, is_delta, held, (owner, time), clock, lease::LEASE)
    }

    /// An old node tells what it holds, because this node is new to it.
    fn on_handed_over(
        &mut self,
        now: Time,
        received: &Received,
        key: &[u8],
        value: &Value,
        owner: &Owner,
        time: u64,
    ) {
        if value.is_nil() || received.kind() == MainFlag::Broadcast {
            self.counts.malformed += 1;
            return;
        }
        let held = self.table.get(key).map(|held| &*held.stamp);
        let content = place::content(value);
        let is_of_author = owner.node_id() == Some(received.neighbour());
        let is_newer = match held {
            None => true,
            Some(held) if held.is_tombstone() => time > held.version.time,
            Some(held) => {
                let version = &held.version;
                let is_free = self.config.leasing && time.saturating_mul(1_000) >= held.end();
                // The last word about a second in which it wrote twice is its author's.
                let is_last_word =
                    time == version.time && is_of_author && held.content != Some(content);
                (version.owner == *owner && (time > version.time || is_last_word))
                    || is_free
                    || (time == version.time && version.owner > *owner)
                    || (!self.config.leasing && time > version.time)
            }
        };
        let peer = received.neighbour();
        if !is_newer {
            self.plan_repeat(peer, key, Theirs { owner: owner.clone(), time, content });
            return;
        }
        // An empty value gives way to whatever is handed over, so also to the older one that this
        // node may have told before it heard of this one.
        let before = held.and_then(Theirs::same);
        let stamp =
            Write { owner, time, lease: self.plain_lease(), content: Some(content) }.over(held);
        let verdict = self.take(now, key, Some(Arc::new(value.clone())), stamp);
        self.count(verdict);
        if verdict == Verdict::Taken {
            self.pass_on(key, before.as_ref(), peer);
            if let Some(before) = before.filter(|it| it.owner == *owner && is_empty(value)) {
                self.plan_repeat(peer, key, before);
            }
        }
    }

    pub(crate) fn on_delta(&mut self, now: Time, received: &Received) {
        let payload = received.payload();
        let [_, written, Value::Map(delta)] = &payload[..] else {
            self.counts.malformed += 1;
            return;
        };
        let (Some(key), Some(owner)) = (text_bytes(written), self.author(received)) else {
            self.counts.malformed += 1;
            return;
        };
        let time = received.time();
        let held = self.table.get(key);
        let hazards = Hazards::of(key, Told::Delta, held, &owner, time).key(written);
        self.relay(now, received, key, &hazards);
        let held = self.table.get(key);
        let merged = match held.and_then(|held| held.value.as_deref()) {
            None => Some(merge(&[], delta)),
            Some(Value::Map(map)) => Some(merge(map, delta)),
            Some(_) => None,
        };
        let content = merged.as_ref().map(place::content);
        let stamp = held.map(|held| &*held.stamp);
        let trailer = Trailer::read(received, self);
        let verdict = match (trailer, merged) {
            // What the author merged it into is not here, but a peer may have it.
            (Some(trailer), _)
                if self.config.leasing
                    && content != Some(trailer.content)
                    && !self.exchanges.is_empty() =>
            {
                let stamp = trailer.stamp(owner, time, Some(trailer.content));
                self.fetch_if_newer(now, received, key, stamp);
                return;
            }
            (Some(trailer), Some(merged))
                if self.config.leasing && content == Some(trailer.content) =>
            {
                let stamp = trailer.stamp(owner, time, content);
                self.adopt(now, key, Some(Arc::new(merged)), stamp)
            }
            (_, Some(merged)) => {
                let clock = self.clock(now);
                if !self.permits(stamp, true, &owner, time, clock) {
                    Verdict::Lost
                } else {
                    let lease = self.plain_lease();
                    let new = Write { owner: &owner, time, lease, content };
                    // Without leases deltas count in any order, and the latest names the owner.
                    let new = match stamp {
                        Some(held) if time < held.version.time => Stamp { content, ..held.clone() },
                        held => new.over(held),
                    };
                    self.take(now, key, Some(Arc::new(merged)), new)
                }
            }
            (_, None) => Verdict::Lost,
        };
        self.count(verdict);
    }

    /// Holds a write whose stamp an rs2p node made, if it wins.
    pub(crate) fn adopt(
        &mut self,
        now: Time,
        key: &[u8],
        value: Option<Arc<Value>>,
        mut new: Stamp,
    ) -> Verdict {
        let version = &new.version;
        let is_sound = version.start <= version.time
            && new.lease <= lease::LONGEST
            && (new.lease > 0) == self.config.leasing;
        if !is_sound {
            self.counts.malformed += 1;
            return Verdict::Refused;
        }
        let latest = self.clock(now).saturating_add(self.config.max_ahead.as_secs());
        if version.after / 1_000 > latest {
            self.counts.ahead += 1;
            return Verdict::Refused;
        }
        let Some(held) = self.table.get(key) else { return self.take(now, key, value, new) };
        let mut settled = Stamp::clone(&held.stamp);
        let winner = version::settle(&mut settled, &mut new);
        if winner != Winner::New {
            if settled != *held.stamp {
                let record = Record::new(held.value.clone(), settled, held.size);
                self.restamp(now, key, record);
            }
            return if winner == Winner::Both { Verdict::Known } else { Verdict::Lost };
        }
        self.take(now, key, value, new)
    }

    /// As [`adopt`](Self::adopt), on a node that was away for longer than deletions are remembered.
    /// A key that has been deleted and written anew meanwhile has a version that knows nothing of
    /// the one held from before that second, and may rank below it.
    pub(crate) fn adopt_giving_up(
        &mut self,
        now: Time,
        key: &[u8],
        value: Option<Arc<Value>>,
        new: Stamp,
        until: u64,
    ) -> Verdict {
        let held = self.table.get(key);
        let is_given_up = held.is_some_and(|held| held.stamp.version.time < until);
        match self.adopt(now, key, value.clone(), new.clone()) {
            Verdict::Lost if is_given_up => {
                self.counts.given_up += 1;
                self.take(now, key, value, new)
            }
            verdict => verdict,
        }
    }

    /// Holds a write of another node's, if it is within bounds.
    fn take(&mut self, now: Time, key: &[u8], value: Option<Arc<Value>>, stamp: Stamp) -> Verdict {
        let clock = self.clock(now);
        if stamp.version.time > clock.saturating_add(self.config.max_ahead.as_secs()) {
            self.counts.ahead += 1;
            return Verdict::Refused;
        }
        if value.is_none() && stamp.version.time < self.oldest_remembered(clock) {
            return Verdict::Known;
        }
        let length = value.as_deref().map_or(Ok(0), |value| encoded_len(value, &self.limits()));
        let has_room = length.is_ok_and(|length| {
            key.len() <= self.config.max_key
                && length <= self.largest_value(key)
                && (value.is_none() || self.check_room_for(key, length).is_ok())
        });
        if !has_room {
            self.counts.no_room += 1;
            return Verdict::Refused;
        }
        self.put(now, key, value, stamp);
        Verdict::Taken
    }

    /// Holds a record and tells the user what that changes.
    pub(crate) fn put(&mut self, now: Time, key: &[u8], value: Option<Arc<Value>>, stamp: Stamp) {
        let held = self.table.get(key);
        let was_live = held.is_some_and(|held| held.value.is_some());
        let is_new_to_user = held.is_none_or(|held| {
            let (one, two) = (&held.stamp.version, &stamp.version);
            held.stamp.content != stamp.content
                || (&one.owner, one.time, one.seq) != (&two.owner, two.time, two.seq)
        });
        let key = self.table.own_key(key).unwrap_or_else(|| Bytes::copy_from_slice(key));
        match &value {
            Some(value) if is_new_to_user => {
                let (value, meta) = (value.clone(), self.meta(&stamp));
                self.stack.tell(SyncEvent::Update { key: key.clone(), value, meta });
            }
            None if was_live => {
                let meta = Some(self.meta(&stamp));
                self.stack.tell(SyncEvent::Delete { key: key.clone(), meta });
            }
            _ => {}
        }
        let length = value.as_deref().map_or(Ok(0), |value| encoded_len(value, &self.limits()));
        let size = key.len() + length.unwrap_or(0);
        self.journal.note(&key);
        let is_tombstone = value.is_none();
        self.table.insert(key, Record::new(value, stamp, size));
        if is_tombstone {
            self.on_tombstone(now);
        }
    }

    /// Nothing has changed for the user.
    fn restamp(&mut self, now: Time, key: &[u8], record: Record) {
        self.put(now, key, record.value, *record.stamp);
    }

    fn relay(&mut self, now: Time, received: &Received, key: &[u8], hazards: &Hazards) {
        let Self { stack, hand_overs, .. } = self;
        stack.below.relay_where(now, received, |id, kind| hazards.may(kind, hand_overs.get(&id)));
        self.on_told(key, hazards);
    }

    fn author(&mut self, received: &Received) -> Option<Owner> {
        let form = received.message().sender_form();
        let owner = self.owners.intern(received.sender(), form);
        if owner.is_none() {
            self.counts.malformed += 1;
        }
        owner
    }

    /// The lease of what old nodes write, in seconds.
    fn plain_lease(&self) -> u32 {
        if self.config.leasing { lease::LEASE } else { 0 }
    }

    pub(crate) fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Taken => self.counts.taken += 1,
            Verdict::Lost => self.counts.lost += 1,
            Verdict::Known | Verdict::Refused => {}
        }
    }
}

fn form_of(value: &Value) -> Option<IdForm> {
    match value {
        Value::Binary(_) => Some(IdForm::Bin),
        Value::String(_) => Some(IdForm::Str),
        _ => None,
    }
}

/// A time in seconds; js2p writes those after 2038 as floats.
fn seconds(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|time| (0.0..1e15).contains(time)).map(|time| time as u64);
    value.as_u64().or_else(float)
}
