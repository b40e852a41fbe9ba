//! Old nodes that own a position in the eyes of their kind.
//!
//! Old nodes choose among the peers they have. A member whose stretch holds an old node that stores
//! keeps a link to it: what lies behind that node belongs to it, as far as old nodes know, and they
//! write it there. So the member asks it when it is read, tells it of what is written, and keeps a
//! copy of both for the others.

use std::time::Duration;

use rs2p_base::{NodeId, Time};
use rs2p_mesh::{PeerKind, Received};
use rs2p_wire::{Encoded, IdForm, Limits, SubFlag};

use crate::machine::Chord;
use crate::position::{Position, Table, distance};
use crate::record::{Record, Spot, Version};
use crate::request::{Answer, Fetched};
use crate::ring::between;
use crate::witness;

/// How long an old node may take, which answers with nothing at first when it asks others itself
/// (spec section 10.2).
const PATIENCE: Duration = Duration::from_millis(1_500);
const AFTER_NOTHING: Duration = Duration::from_millis(700);
/// Questions to old nodes that may be open.
const MAX_CONSULTS: usize = 8_192;

/// A question that an old node is to answer.
#[derive(Debug)]
pub(crate) struct Consult {
    old: NodeId,
    spot: Spot,
    hops: Vec<NodeId>,
    number: u64,
    until: Time,
    /// Whether it is to be deleted there, if there is anything.
    deletes: bool,
    /// The version whose witness is asked for.
    witness: Option<Version>,
}

impl Consult {
    pub(crate) fn is_for(&self, old: NodeId, spot: Spot) -> bool {
        self.old == old && self.spot == spot
    }

    /// The witness of this version is asked for; whether it was not before.
    pub(crate) fn awaits_witness(&mut self, now: Time, version: Version) -> bool {
        self.until = self.until.min(now + AFTER_NOTHING);
        self.witness.replace(version).is_none()
    }

    /// Of which spot and version this is the witness, if it is asked for.
    pub(crate) fn witnessed_by(&self, old: NodeId, place: Spot) -> Option<(Spot, Version)> {
        let is_it = self.old == old && witness::place(self.spot) == place;
        self.witness.filter(|_| is_it).map(|version| (self.spot, version))
    }
}

impl Chord {
    /// The old peer that stores, and is nearer to a spot than this node.
    pub(crate) fn nearer_old(&self, spot: Spot) -> Option<NodeId> {
        self.nearer_olds(spot).min_by_key(|old| distance(*old, spot.point()))
    }

    /// All old peers that store, and are nearer to a spot than this node.
    fn nearer_olds(&self, spot: Spot) -> impl Iterator<Item = NodeId> {
        let (id, point) = (self.id(), spot.point());
        let is_member = self.ring.is_some();
        let old = self.peers.iter().filter(|(_, peer)| peer.is_old() && peer.stores);
        let nearer = move |old: &NodeId| !is_member || *old == point || between(id, *old, point);
        old.map(|(old, _)| *old).filter(move |old| id != point && nearer(old))
    }

    /// Lets an old node answer a question.
    pub(crate) fn consult(
        &mut self,
        now: Time,
        old: NodeId,
        spot: Spot,
        hops: Vec<NodeId>,
        number: u64,
        deletes: bool,
    ) {
        if self.consults.len() >= MAX_CONSULTS {
            self.counts.dropped += 1;
            return;
        }
        let asked = self.consults.iter().find(|open| open.spot == spot).map(|open| open.old);
        let (is_asked, old) = (asked.is_some(), asked.unwrap_or(old));
        self.consults.push(Consult {
            old,
            spot,
            hops,
            number,
            until: now + PATIENCE,
            deletes,
            witness: None,
        });
        self.watch_for_overdue(now);
        if !is_asked {
            self.tell_old(now, old, SubFlag::Retrieve, spot, None);
        }
    }

    /// Whispers a chord message of the originals: about this spot, and a value where it has one.
    pub(crate) fn tell_old(
        &mut self,
        now: Time,
        old: NodeId,
        flag: SubFlag,
        spot: Spot,
        value: Option<Option<&Encoded>>,
    ) {
        let Some(peer) = self.peers.get(&old) else { return };
        let kind = peer.kind;
        let form = if kind == PeerKind::Js2p { IdForm::Str } else { IdForm::Bin };
        let number = spot.position().to_string();
        let room = number.len() + 32 + value.flatten().map_or(0, |value| value.as_bytes().len());
        self.tell_peer(now, old, 3 + usize::from(value.is_some()), room, |writer| {
            writer.unsigned(flag.into());
            writer.id(spot.table().name(), form);
            writer.id(&number, form);
            match value {
                Some(Some(value)) => writer.encoded(value),
                Some(None) => writer.nil(),
                None => {}
            }
        });
    }

    /// An old node that is nearer is told of a value.
    pub(crate) fn tell_nearer_old(
        &mut self,
        now: Time,
        spot: Spot,
        version: Version,
        value: Option<&Encoded>,
    ) {
        if let Some(old) = self.nearer_old(spot) {
            self.tell_record(now, old, spot, version, value);
        }
    }

    /// A value that an old node has been asked for.
    pub(crate) fn on_retrieved(&mut self, now: Time, received: &Received) {
        let limits = self.limits();
        let Some((spot, value)) = read_valued(received, &limits) else {
            self.counts.malformed += 1;
            return;
        };
        let from = received.neighbour();
        if self.on_fence(now, from, spot) {
            return;
        }
        if witness::is_witness(spot) {
            return self.on_witness(now, from, spot, value.as_ref());
        }
        // A value counts from whoever was asked at first.
        let is_awaited = |open: &Consult| open.old == from || value.is_some();
        if !self.consults.iter().any(|open| open.spot == spot && is_awaited(open)) {
            return;
        }
        let is_kept = self.shelf.get(spot).is_some_and(|held| held.value.is_some());
        if value.is_none() && !is_kept {
            return self.on_nothing_there(now, from, spot);
        }
        if value.is_none() && self.ask_for_witness(now, from, spot) {
            return;
        }
        self.end_consult(now, from, spot, value);
    }

    /// An old node has nothing, or not yet: it may be asking others. One of its kind that is farther
    /// from the spot may not know of it, and have the value itself.
    fn on_nothing_there(&mut self, now: Time, from: NodeId, spot: Spot) {
        let tried = distance(from, spot.point());
        let next = self.nearer_olds(spot).filter(|old| distance(*old, spot.point()) > tried);
        let next = next.min_by_key(|old| distance(*old, spot.point()));
        for open in &mut self.consults {
            if open.old == from && open.spot == spot {
                open.until = match next {
                    Some(_) => now + PATIENCE,
                    None => open.until.min(now + AFTER_NOTHING),
                };
                open.old = next.unwrap_or(from);
            }
        }
        if let Some(next) = next {
            self.tell_old(now, next, SubFlag::Retrieve, spot, None);
        }
    }

    pub(crate) fn end_consult(
        &mut self,
        now: Time,
        old: NodeId,
        spot: Spot,
        value: Option<Encoded>,
    ) {
        let had = value.is_some();
        let fetched = self.weigh_old(now, old, spot, value);
        let is_it = |open: &Consult| open.spot == spot;
        let (ended, open) = std::mem::take(&mut self.consults).into_iter().partition(is_it);
        self.consults = open;
        let ended: Vec<Consult> = ended;
        let deletes = ended.iter().any(|ended| ended.deletes);
        // A member has told it when it weighed what is there.
        if deletes && had && self.ring.is_none() {
            self.tell_old(now, old, SubFlag::Store, spot, Some(None));
        }
        for Consult { hops, number, deletes, .. } in ended {
            if deletes {
                self.on_deleted_by_old(now, old, (hops, number), had);
            } else {
                self.answer(now, hops, number, Answer::Fetched(fetched.clone()));
            }
        }
    }

    /// What counts: an old node's value, which may have been written there, else what is kept here.
    fn weigh_old(&mut self, now: Time, old: NodeId, spot: Spot, value: Option<Encoded>) -> Fetched {
        let held = self.shelf.get(spot).cloned();
        match (value, held) {
            (Some(value), Some(held)) if held.value.as_ref() == Some(&value) => {
                if held.version.time == OLDEST {
                    return Fetched::Old(Some(value));
                }
                Fetched::Record(held.version, Some(value))
            }
            (Some(value), held) if self.ring.is_some() => {
                // It was deleted here, and the old node has not heard of it.
                if let Some(Record { version, value: None, .. }) = held
                    && self.clock(now).saturating_sub(version.time) < RECENT
                {
                    self.tell_old(now, old, SubFlag::Store, spot, Some(None));
                    return Fetched::Record(version, None);
                }
                // It may be newer than what is here, or have been replaced long ago where the old
                // node did not hear of it: the other tables tell.
                let version = handed_over(self.id());
                let record = Record { version, key: None, value: Some(value.clone()) };
                if held.is_none() && self.admit(now, spot, &record).is_ok() {
                    self.shelf.put(spot, record);
                    self.changes.forget(spot);
                    let copiers = self.copiers(now);
                    self.push(now, spot, 0, &copiers, None);
                    self.tell_witness(now, old, spot, Some(version));
                }
                Fetched::Old(Some(value))
            }
            (Some(value), _) => Fetched::Old(Some(value)),
            (None, Some(Record { version, value: Some(value), .. })) => {
                self.tell_record(now, old, spot, version, Some(&value));
                Fetched::Record(version, Some(value))
            }
            (None, Some(Record { version, value: None, .. })) => Fetched::Record(version, None),
            (None, None) => Fetched::Old(None),
        }
    }

    pub(crate) fn end_overdue_consults(&mut self, now: Time) {
        while let Some(Consult { old, spot, .. }) = self.consults.iter().find(|it| it.until <= now)
        {
            let (old, spot) = (*old, *spot);
            self.end_consult(now, old, spot, None);
        }
    }
}

/// How long after a deletion an old node's value counts as one that has not heard of it, in
/// milliseconds.
const RECENT: u64 = 2_000;

/// `[flag, table, number, value]`.
pub(crate) fn read_valued(received: &Received, limits: &Limits) -> Option<(Spot, Option<Encoded>)> {
    let mut payload = received.message().elements(limits).ok()?;
    payload.next()?;
    let table = Table::from_name(payload.next()?.text_bytes()?)?;
    let position = Position::from_text(payload.next()?.text_bytes()?).ok()?;
    let value = match payload.next()?.to_value() {
        rs2p_wire::Value::Nil => None,
        value => Some(Encoded::new(&value, limits).ok()?),
    };
    Some((Spot::new(table, position), value))
}

/// A version that loses to every other.
pub(crate) const OLDEST: u64 = 1;

/// The version of what an old node handed over, without saying when it was written.
pub(crate) fn handed_over(author: NodeId) -> Version {
    Version { time: OLDEST, author }
}
