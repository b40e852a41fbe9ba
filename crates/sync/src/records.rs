//! The messages of an exchange on the wire (`docs/protocol/sync.md`).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use rs2p_base::{LinkId, Time};
use rs2p_mesh::{OverMesh as _, Received};
use rs2p_wire::{Element, Elements, MessageWriter};

use crate::exchange::{COMPARE, LIST, Part, RECORDS, WANT};
use crate::machine::Sync;
use crate::owner::Owner;
use crate::place;
use crate::remote::Verdict;
use crate::repeat::Theirs;
use crate::table::Sum;
use crate::version::{Stamp, Version};

/// Elements of a record: key, value, owner, and five numbers.
const RECORD: usize = 8;
/// Parts, digests or places that are read from one message; rs2p sends fewer.
const MAX_READ: usize = 4_096;

impl Sync {
    /// Asks a peer to compare parts; none of them says that all is the same.
    pub(crate) fn tell_parts(&mut self, now: Time, link: LinkId, parts: &[Part], lists: bool) {
        let (forgotten, known) = (self.forgotten, self.synced);
        let room = 32 * parts.len() + 16;
        self.tell_peer(now, link, COMPARE, 5, room, |writer| {
            writer.unsigned(forgotten);
            writer.unsigned(lists.into());
            writer.array(4 * parts.len(), |writer| {
                for Part { range, sum } in parts {
                    let numbers = [*range.start(), *range.end(), sum.digest, sum.count];
                    numbers.into_iter().for_each(|number| writer.unsigned(number));
                }
            });
            writer.unsigned(known);
        });
    }

    /// Tells all places in a range at which something is known, with its digest.
    pub(crate) fn tell_list(
        &mut self,
        now: Time,
        link: LinkId,
        range: RangeInclusive<u64>,
        items: &[(u64, u64)],
    ) {
        let pairs = items.iter().flat_map(|(place, digest)| [place, digest]);
        let bytes: Vec<u8> = pairs.flat_map(|number| number.to_be_bytes()).collect();
        self.tell_peer(now, link, LIST, 4, bytes.len() + 24, |writer| {
            writer.unsigned(*range.start());
            writer.unsigned(*range.end());
            writer.binary(&bytes);
        });
    }

    /// Asks for all that a peer knows at some places.
    pub(crate) fn tell_wanted(&mut self, now: Time, link: LinkId, places: &[u64]) {
        let bytes: Vec<u8> = places.iter().flat_map(|place| place.to_be_bytes()).collect();
        self.tell_peer(now, link, WANT, 2, bytes.len() + 8, |writer| writer.binary(&bytes));
    }

    /// Tells what is known of some keys.
    pub(crate) fn tell_records(&mut self, now: Time, link: LinkId, keys: &[Bytes]) {
        let known = keys.iter().filter_map(|key| Some((key, self.table.get(key)?)));
        let records: Vec<_> = known.map(|(key, record)| (key.clone(), record.clone())).collect();
        if records.is_empty() {
            return;
        }
        let mut owners: BTreeMap<&Owner, u64> = BTreeMap::new();
        let mut in_order = Vec::new();
        for (_, record) in &records {
            let owner = &record.stamp.version.owner;
            owners.entry(owner).or_insert_with(|| {
                in_order.push(owner);
                in_order.len() as u64 - 1
            });
        }
        let limits = self.limits();
        let sizes: usize = records.iter().map(|(_, record)| record.size + 48).sum();
        let room = sizes + 72 * in_order.len();
        let elements = 2 + RECORD * records.len();
        self.tell_peer(now, link, RECORDS, elements, room, |writer| {
            writer.array(in_order.len(), |writer| {
                for owner in &in_order {
                    writer.text_bytes(owner.text(), owner.form());
                }
            });
            for (key, record) in &records {
                let Stamp { version, lease, .. } = &*record.stamp;
                writer.binary(key);
                // A value that fits into no message never came into the table.
                let written = record.value.as_ref().map(|value| writer.any(value, &limits));
                if !matches!(written, Some(Ok(()))) {
                    writer.nil();
                }
                writer.unsigned(owners.get(&version.owner).copied().unwrap_or(0));
                writer.unsigned(version.after);
                writer.unsigned(version.start);
                writer.unsigned(version.time);
                writer.unsigned(version.seq.into());
                writer.unsigned((*lease).into());
            }
        });
    }

    fn tell_peer(
        &mut self,
        now: Time,
        link: LinkId,
        flag: u64,
        elements: usize,
        room: usize,
        write: impl FnOnce(&mut MessageWriter),
    ) {
        let Some(mut writer) = self.mesh().begin_whisper(now, link, elements, room) else { return };
        writer.unsigned(flag);
        write(&mut writer);
        // Limits far below the default may refuse it; then nothing is compared.
        let _ = self.stack.below.finish_whisper(now, link, writer);
    }

    /// Takes what wins of the records in a message. How many; `None` when it makes no sense.
    pub(crate) fn take_records(&mut self, now: Time, received: &Received) -> Option<u64> {
        let mut payload = received.message().elements(&self.limits()).ok()?;
        let owners = payload.nth(1)?.as_array()?;
        let mut known = Vec::with_capacity(owners.len());
        for owner in owners {
            known.push(self.owners.intern(owner.text_bytes()?, owner.form()?)?);
        }
        let exchange = self.exchanges.get(&received.neighbour());
        let gives_up = exchange.and_then(|exchange| exchange.gives_up);
        let mut taken = 0;
        let passes_on = self.has_old_peers();
        while let Some(key) = payload.next() {
            let record = read_record(&mut payload, &known)?;
            let (value, stamp) = record;
            let key = key.text_bytes()?;
            let held = self.table.get(key).filter(|_| passes_on);
            let before = held.and_then(|held| Theirs::same(&held.stamp));
            let verdict = match gives_up {
                Some(until) => self.adopt_giving_up(now, key, value, stamp, until),
                None => self.adopt(now, key, value, stamp),
            };
            if passes_on && verdict == Verdict::Taken {
                self.pass_on(key, before.as_ref(), received.neighbour());
            }
            taken += u64::from(verdict == Verdict::Taken);
            self.count(verdict);
        }
        Some(taken)
    }
}

type Value = Option<Arc<rs2p_wire::Value>>;

fn read_record(payload: &mut Elements<'_>, owners: &[Owner]) -> Option<(Value, Stamp)> {
    let value = match payload.next()? {
        Element::Nil => None,
        value => Some(Arc::new(value.to_value())),
    };
    let mut number = || payload.next()?.as_u64();
    let owner = owners.get(usize::try_from(number()?).ok()?)?.clone();
    let (after, start, time) = (number()?, number()?, number()?);
    let (seq, lease) = (u32::try_from(number()?).ok()?, u32::try_from(number()?).ok()?);
    let content = value.as_deref().map(place::content);
    Some((value, Stamp { version: Version { after, start, owner, time, seq }, lease, content }))
}

/// What a peer wants compared.
pub(crate) struct Compared {
    /// The latest deletion that the peer has forgotten, in seconds.
    pub(crate) forgotten: u64,
    /// Up to when the peer knows of all deletions, in seconds; 0 when it knows of nothing.
    pub(crate) known: u64,
    pub(crate) parts: Vec<Part>,
    /// Whether it wants lists of what differs.
    pub(crate) wants_lists: bool,
}

pub(crate) fn read_parts(received: &Received, sync: &Sync) -> Option<Compared> {
    let mut payload = received.message().elements(&sync.limits()).ok()?;
    let forgotten = payload.nth(1)?.as_u64()?;
    let wants_lists = payload.next()?.as_u64()? > 0;
    let mut numbers = payload.next()?.as_array()?;
    if numbers.len() > 4 * MAX_READ {
        return None;
    }
    let mut parts: Vec<Part> = Vec::with_capacity(numbers.len() / 4);
    while let Some(first) = numbers.next() {
        let mut number = || numbers.next()?.as_u64();
        let range = first.as_u64()?..=number()?;
        let sum = Sum { digest: number()?, count: number()? };
        // Parts that overlap would have the same records summed up over and over.
        let is_next = parts.last().is_none_or(|last| last.range.end() < range.start());
        if range.is_empty() || !is_next {
            return None;
        }
        parts.push(Part { range, sum });
    }
    let known = payload.next()?.as_u64()?;
    Some(Compared { forgotten, known, parts, wants_lists })
}

type Listed = (RangeInclusive<u64>, Vec<(u64, u64)>);

/// A range, and all that the peer knows there, in order.
pub(crate) fn read_list(received: &Received, sync: &Sync) -> Option<Listed> {
    let mut payload = received.message().elements(&sync.limits()).ok()?;
    let range = payload.nth(1)?.as_u64()?..=payload.next()?.as_u64()?;
    let Element::Bin(bytes) = payload.next()? else { return None };
    let numbers = read_numbers(bytes)?;
    let (pairs, []) = numbers.as_chunks::<2>() else { return None };
    let items: Vec<(u64, u64)> = pairs.iter().map(|[place, digest]| (*place, *digest)).collect();
    let is_sorted = items.is_sorted_by_key(|(place, _)| *place);
    let is_within = items.iter().all(|(place, _)| range.contains(place));
    (is_sorted && is_within && !range.is_empty()).then_some((range, items))
}

pub(crate) fn read_places(received: &Received, sync: &Sync) -> Option<Vec<u64>> {
    let mut payload = received.message().elements(&sync.limits()).ok()?;
    let Element::Bin(bytes) = payload.nth(1)? else { return None };
    read_numbers(bytes)
}

fn read_numbers(bytes: &[u8]) -> Option<Vec<u64>> {
    let (numbers, []) = bytes.as_chunks::<8>() else { return None };
    (numbers.len() <= 2 * MAX_READ)
        .then(|| numbers.iter().map(|number| u64::from_be_bytes(*number)).collect())
}
