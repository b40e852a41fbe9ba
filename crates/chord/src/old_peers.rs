//! What py2p and js2p nodes ask of this node, and are told by it (spec section 10).

use std::time::Duration;

use rand::RngExt as _;
use rs2p_base::{NodeId, Time};
use rs2p_mesh::{PeerKind, Received};
use rs2p_wire::{Encoded, IdForm, SubFlag};

use bytes::Bytes;

use crate::asks::Ask;
use crate::consult::{handed_over, read_valued};
use crate::machine::{Chord, Timer};
use crate::position::{Position, Table};
use crate::record::{Record, Spot};
use crate::request::{Fetched, Kept, Op};
use crate::stretch::Stretch;
use crate::witness::is_witness;

/// How often a write of an old node's is dated anew.
const TRIES: u8 = 4;

/// A question of an old peer's.
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    peer: NodeId,
    spot: Spot,
    table_form: IdForm,
    number: Bytes,
    number_form: IdForm,
}

/// py2p asks, and only then gets ready for the answer: one that comes at once is lost to it. It
/// looks for answers ten times a second.
const ANSWER_AFTER: Duration = Duration::from_millis(10);
/// Answers that may be due; more are given at once.
const MAX_DUE: usize = 1_024;

/// An answer to a py2p peer that is due soon.
#[derive(Debug)]
pub(crate) struct DueAnswer {
    at: Time,
    plain: Plain,
    value: Option<Encoded>,
}

/// How far an old peer has been told what belongs to it.
#[derive(Debug)]
pub(crate) struct HandOver {
    stretch: Stretch,
    told: Option<Spot>,
}

impl Chord {
    pub(crate) fn old_members(&self) -> Vec<NodeId> {
        let old = self.peers.iter().filter(|(_, peer)| peer.is_old() && peer.stores);
        old.map(|(id, _)| *id).collect()
    }

    /// An old peer stores: it is told what lies behind it, and the member in whose stretch it lies
    /// is told of it.
    pub(crate) fn on_old_member(&mut self, now: Time, old: NodeId) {
        let Some(ring) = self.ring.as_ref() else { return };
        if ring.owns(old) {
            let to = ring.successor().unwrap_or_else(|| self.id());
            let hand_over = HandOver { stretch: Stretch { from: old, to }, told: None };
            self.hand_overs.insert(old, hand_over);
        } else if let Some(contact) = self.contact(old) {
            self.ask(now, old, Op::Adopt(contact), Ask::Told);
        }
    }

    pub(crate) fn hand_over_more(&mut self, now: Time) {
        for old in self.hand_overs.keys().copied().collect::<Vec<_>>() {
            while self.has_room(old) {
                let Some(hand_over) = self.hand_overs.get_mut(&old) else { break };
                let rest = self.shelf.iter_behind(hand_over.stretch, hand_over.told);
                let next = rest.map(|(spot, record, _)| (spot, record.clone())).next();
                let Some((spot, Record { version, value, .. })) = next else {
                    self.hand_overs.remove(&old);
                    break;
                };
                hand_over.told = Some(spot);
                if value.is_some() && self.nearer_old(spot) == Some(old) {
                    self.tell_record(now, old, spot, version, value.as_ref());
                }
            }
        }
    }

    /// An old peer has a value to keep, or changes of a map.
    pub(crate) fn on_old_write(&mut self, now: Time, received: &Received) {
        let limits = self.limits();
        let Some((spot, value)) = read_valued(received, &limits) else {
            self.counts.malformed += 1;
            return;
        };
        if is_witness(spot) {
            // An old node hands it over like anything else.
            return;
        }
        let from = received.neighbour();
        let size = value.as_ref().map_or(0, |value| value.as_bytes().len());
        if size > self.config.max_value || !self.asks.may_relay() {
            self.counts.refused += 1;
            return;
        }
        if received.sub_flag() == Some(SubFlag::Delta) {
            if let Some(delta) = value {
                let number = self.rng.random();
                let op = Op::Merge { spot, base: None, key: None, number, delta };
                self.ask(now, spot.point(), op, Ask::Merged);
            }
            return;
        }
        let hands_over = self.peers.get(&from).is_some_and(|peer| peer.fence.hands_over(now));
        if hands_over && value.is_none() {
            return;
        }
        self.keep_plain(now, spot, value, hands_over, 0);
    }

    fn keep_plain(
        &mut self,
        now: Time,
        spot: Spot,
        value: Option<Encoded>,
        is_old: bool,
        tries: u8,
    ) {
        let version = if is_old { handed_over(self.id()) } else { self.next_version(now, None) };
        let record = Record { version, key: None, value: value.clone() };
        let ask = if is_old { Ask::Told } else { Ask::Store { spot, value, tries } };
        self.ask(now, spot.point(), Op::Keep { spot, record }, ask);
    }

    /// The owner has looked at an old peer's write.
    pub(crate) fn on_plain_kept(
        &mut self,
        now: Time,
        spot: Spot,
        value: Option<Encoded>,
        tries: u8,
        kept: Kept,
    ) {
        if let Kept::Newer(version) = kept
            && tries < TRIES
        {
            self.counts.redated += 1;
            self.latest_own = self.latest_own.max(version.time);
            self.keep_plain(now, spot, value, false, tries + 1);
        }
    }

    /// An old peer asks for a value.
    pub(crate) fn on_retrieve(&mut self, now: Time, received: &Received) {
        let Some(plain) = read_plain(received, self) else {
            self.counts.malformed += 1;
            return;
        };
        let spot = plain.spot;
        let answers = self.ring.is_some() || self.peers.values().any(|peer| peer.is_way());
        let answers = answers && self.asks.may_relay() && !is_witness(spot);
        let asked = answers
            .then(|| self.ask(now, spot.point(), Op::Fetch(spot), Ask::Retrieve(plain.clone())));
        if asked.flatten().is_none() {
            // It is better told that there is nothing than left to wait.
            self.answer_plain(now, &plain, &Fetched::Nothing);
        }
    }

    /// Tells an old peer what it has asked for, in its own words.
    pub(crate) fn answer_plain(&mut self, now: Time, plain: &Plain, fetched: &Fetched) {
        let value = match fetched {
            Fetched::Record(_, value) | Fetched::Old(value) => value.clone(),
            Fetched::Nothing => None,
        };
        let is_py2p = self.peers.get(&plain.peer).is_some_and(|peer| peer.kind == PeerKind::Py2p);
        let due = DueAnswer { at: now + ANSWER_AFTER, plain: plain.clone(), value };
        if !is_py2p || self.due_answers.len() >= MAX_DUE {
            return self.give_answer(now, &due);
        }
        self.due_answers.push_back(due);
        self.timers.set(Timer::Answer, self.due_answers.front().map(|first| first.at));
    }

    pub(crate) fn give_due_answers(&mut self, now: Time) {
        while let Some(due) = self.due_answers.pop_front_if(|due| due.at <= now) {
            self.give_answer(now, &due);
        }
        self.timers.set(Timer::Answer, self.due_answers.front().map(|first| first.at));
    }

    fn give_answer(&mut self, now: Time, DueAnswer { plain, value, .. }: &DueAnswer) {
        let value = value.as_ref();
        let room = 160 + value.map_or(0, |value| value.as_bytes().len());
        self.tell_peer(now, plain.peer, 4, room, |writer| {
            writer.unsigned(SubFlag::Retrieved.into());
            writer.id(plain.spot.table().name(), plain.table_form);
            writer.text_bytes(&plain.number, plain.number_form);
            crate::record::write_value(value, writer);
        });
    }

    /// An old node has announced that a key is gone: so are the copies that old nodes do not know
    /// of.
    pub(crate) fn on_old_deletion(&mut self, now: Time, received: &Received, key: &Bytes) {
        let is_old = self.peers.get(&received.neighbour()).is_some_and(|peer| peer.is_old());
        if !is_old || self.ring.is_none() {
            return;
        }
        for table in Table::ALL {
            let spot = Spot::of(table, key);
            let is_own = self.ring.as_ref().is_some_and(|ring| ring.owns(spot.point()));
            let Some(held) = self.shelf.get(spot).filter(|held| is_own && held.value.is_some())
            else {
                continue;
            };
            // What was written after the announcement stays.
            if held.version.time / 1_000 <= received.time() && self.nearer_old(spot).is_some() {
                let version = self.next_version(now, Some(held.version));
                let record = Record { version, key: Some(key.clone()), value: None };
                self.shelf.put(spot, record);
                self.changes.forget(spot);
                let copiers = self.copiers(now);
                self.push(now, spot, 0, &copiers, None);
            }
        }
    }
}

fn read_plain(received: &Received, chord: &Chord) -> Option<Plain> {
    let limits = chord.limits();
    let mut payload = received.message().elements(&limits).ok()?;
    payload.next()?;
    let (table, number) = (payload.next()?, payload.next()?);
    let (table_form, number_form) = (table.form()?, number.form()?);
    let table = Table::from_name(table.text_bytes()?)?;
    let number = number.text_bytes()?;
    let spot = Spot::new(table, Position::from_text(number).ok()?);
    let number = Bytes::copy_from_slice(number);
    Some(Plain { peer: received.neighbour(), spot, table_form, number, number_form })
}
