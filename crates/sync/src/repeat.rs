//! What an old peer has missed is told to it once more, as its author told it: because it was away,
//! or because it came here by no broadcast.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use rs2p_base::{LinkId, NodeId, Time};
use rs2p_mesh::{OverMesh as _, PeerKind};
use rs2p_wire::{SubFlag, Value};

use crate::lease::{self, permits};
use crate::machine::Sync;
use crate::owner::Owner;
use crate::place;
use crate::relay::{Hazards, js_survives};
use crate::version::Stamp;

/// What an old peer is to be told once more.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    /// Keys of which it knows an older state, with what it knows, if anything: as many as there are
    /// keys at the most.
    waiting: BTreeMap<Bytes, Option<Theirs>>,
    /// Keys of which it was told on this link that they are deleted. What it handed over of them
    /// was under way then, and py2p drops who tells it of a deletion twice.
    deleted: BTreeSet<Bytes>,
}

/// An old peer hands over right after the handshake. When there have been so many deletions since,
/// none of it is under way any more.
const MAX_DELETED: usize = 4_096;

/// What an old peer holds of a key.
#[derive(Clone, Debug)]
pub(crate) struct Theirs {
    pub(crate) owner: Owner,
    /// In seconds.
    pub(crate) time: u64,
    /// The digest of the value.
    pub(crate) content: u64,
}

impl Theirs {
    /// Of a peer that holds what this node does.
    pub(crate) fn same(held: &Stamp) -> Option<Self> {
        let (owner, time) = (held.version.owner.clone(), held.version.time);
        Some(Self { owner, time, content: held.content? })
    }
}

impl Sync {
    /// An old peer holds something else than this node, which may have to be told to it.
    pub(crate) fn plan_repeat(&mut self, peer: NodeId, key: &[u8], theirs: Theirs) {
        let is_old = matches!(self.kind(peer), Some(PeerKind::Py2p | PeerKind::Js2p));
        let is_deleted = self.table.value(key).is_none();
        if let Some(key) = self.table.own_key(key).filter(|_| is_old) {
            self.with_repeats(peer, |repeats| {
                if !is_deleted || !repeats.deleted.contains(&key) {
                    repeats.waiting.insert(key, Some(theirs));
                }
            });
        }
    }

    /// Whether anybody has to be told what comes by no broadcast.
    pub(crate) fn has_old_peers(&self) -> bool {
        self.mesh().peers().any(|peer| peer.kind != PeerKind::Rs2p)
    }

    /// A peer has told of a write by no broadcast, so the old peers have not heard of it. They hold
    /// what this node held before.
    pub(crate) fn pass_on(&mut self, key: &[u8], before: Option<&Theirs>, from: NodeId) {
        let Some(key) = self.table.own_key(key) else { return };
        let place = place::place(&key);
        let others = self.mesh().peers().filter(|peer| peer.id != from);
        let old = others.filter(|peer| {
            // What it is still to be told of is told as it is then.
            let is_told = self.hand_overs.get(&peer.id).is_none_or(|over| over.is_past(place));
            is_told && peer.kind != PeerKind::Rs2p
        });
        let old: Vec<NodeId> = old.map(|peer| peer.id).collect();
        for peer in old {
            self.with_repeats(peer, |repeats| {
                repeats.waiting.entry(key.clone()).or_insert_with(|| before.cloned());
            });
        }
    }

    /// A broadcast has told peers of this key what waited to be told.
    pub(crate) fn on_told(&mut self, key: &[u8], hazards: &Hazards) {
        if self.repeats.is_empty() && !hazards.is_deletion() {
            return;
        }
        let old = self.mesh().peers().filter(|peer| peer.kind != PeerKind::Rs2p);
        let told = old.filter(|peer| hazards.may(peer.kind, self.hand_overs.get(&peer.id)));
        let told: Vec<NodeId> = told.map(|peer| peer.id).collect();
        for peer in told {
            self.with_repeats(peer, |repeats| {
                repeats.waiting.remove(key);
                if hazards.is_deletion() && repeats.deleted.len() < MAX_DELETED {
                    repeats.deleted.insert(Bytes::copy_from_slice(key));
                }
            });
        }
    }

    /// Changes what is to be told to a peer.
    fn with_repeats(&mut self, peer: NodeId, change: impl FnOnce(&mut Repeats)) {
        let mut repeats = self.repeats.remove(&peer).unwrap_or_default();
        change(&mut repeats);
        self.repeats.insert(peer, repeats);
    }

    /// Tells old peers more of what they have missed, as far as there is room on their links.
    pub(crate) fn repeat_more(&mut self, now: Time) {
        let waits = |(_, repeats): &(&NodeId, &Repeats)| !repeats.waiting.is_empty();
        if !self.repeats.iter().any(|it| waits(&it)) {
            return;
        }
        let peers: Vec<NodeId> = self.repeats.iter().filter(waits).map(|(id, _)| *id).collect();
        for peer in peers {
            let Some(mut repeats) = self.repeats.remove(&peer) else { continue };
            let Some(link) = self.mesh().peer(peer).map(|peer| peer.link) else { continue };
            while self.has_bulk_room(link)
                && let Some((key, theirs)) = repeats.waiting.pop_first()
            {
                match theirs {
                    Some(theirs) => self.repeat(now, (peer, link), &key, &theirs),
                    None => {
                        let is_js = self.kind(peer) == Some(PeerKind::Js2p);
                        self.tell_key(now, link, &key, is_js);
                    }
                }
            }
            self.repeats.insert(peer, repeats);
        }
    }

    /// The peer takes it where the originals' rule permits.
    fn repeat(&mut self, now: Time, (peer, link): (NodeId, LinkId), key: &[u8], theirs: &Theirs) {
        let Some(held) = self.table.get(key) else { return };
        let version = held.stamp.version.clone();
        let is_same_second = version.owner == theirs.owner && version.time == theirs.time;
        // Of several writes of a second, they have heard of an earlier one. If this node knows of
        // one only, it cannot tell which is the later.
        let knows_later = held.stamp.content != Some(theirs.content)
            && (version.seq > 0 || version.owner.node_id() == Some(self.id()));
        if is_same_second && held.value.is_some() && !knows_later {
            return;
        }
        let value = held.value.as_deref().unwrap_or(&Value::Nil);
        let is_heard = match self.kind(peer) {
            Some(PeerKind::Py2p) => true,
            Some(PeerKind::Js2p) => js_survives(key, value),
            _ => false,
        };
        let (of_theirs, of_held) = ((&theirs.owner, theirs.time), (&version.owner, version.time));
        let (leasing, clock) = (self.config.leasing, self.clock(now));
        if !is_heard || !permits(leasing, false, Some(of_theirs), of_held, clock, lease::LEASE) {
            return;
        }
        let Ok(author) = std::str::from_utf8(version.owner.text()) else { return };
        // py2p takes the same owner in another form for another one, and cannot compare owners of
        // different forms, as it does when their times are the same.
        let is_compared = version.owner == theirs.owner || version.time == theirs.time;
        let form = if is_compared { theirs.owner.form() } else { version.owner.form() };
        let room = held.size + 16;
        let mut writer = self.mesh().begin_repeat((author, form), version.time, 3, room);
        writer.unsigned(SubFlag::Store.into());
        writer.binary(key);
        if writer.any(value, &self.limits()).is_ok() {
            // What does not fit into a message was refused before it came into the table.
            let _ = self.stack.below.finish_whisper(now, link, writer);
        }
    }
}

/// Whether the originals take a value for none when they are handed another one.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Nil | Value::Boolean(false) => true,
        Value::Integer(number) => number.as_u64() == Some(0),
        Value::F32(number) => *number == 0.0 || number.is_nan(),
        Value::F64(number) => *number == 0.0 || number.is_nan(),
        Value::String(text) => text.as_bytes().is_empty(),
        Value::Binary(bytes) => bytes.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        _ => false,
    }
}
