//! Which keys there are, as far as it is announced (spec section 10.2).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rs2p_base::{NodeId, Time};
use rs2p_mesh::{OverMesh as _, PeerInfo, PeerKind, Received};
use rs2p_wire::{Element, IdForm, MainFlag, SubFlag};

use crate::event::ChordEvent;
use crate::machine::Chord;

/// Keys that have been announced, and those that peers have not been told yet.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// Whether a js2p node announced it as text: then it falls over its deletion (spec section 13,
    /// js2p 2).
    known: BTreeMap<Bytes, bool>,
    /// Peers that are being told, and the last key told.
    telling: VecDeque<(NodeId, Option<Bytes>)>,
}

impl Keys {
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

impl Chord {
    /// The keys that have been announced, in the order of their bytes; nothing where keys are not
    /// announced: then [`list`](Self::list) asks around the ring.
    #[must_use]
    pub fn known_keys(&self) -> Option<Vec<Bytes>> {
        self.config.announces.then(|| self.keys.known.keys().cloned().collect())
    }

    /// Tells everyone of a new key, if that is wanted and news.
    pub(crate) fn announce(&mut self, now: Time, key: &Bytes) {
        if self.config.announces && self.note_key(key, false) {
            self.broadcast_key(now, key, false);
        }
    }

    pub(crate) fn announce_deletion(&mut self, now: Time, key: &Bytes) {
        if self.config.announces && self.forget_key(key).is_some() {
            self.broadcast_key(now, key, true);
        }
    }

    fn broadcast_key(&mut self, now: Time, key: &Bytes, is_gone: bool) {
        let time = self.mesh().network_time(now).as_secs();
        let elements = 2 + usize::from(is_gone);
        let mut writer = self.mesh().begin_broadcast(time, elements, key.len() + 16);
        writer.unsigned(SubFlag::Notify.into());
        writer.binary(key);
        if is_gone {
            writer.id("del", self.mesh().broadcast_form());
        }
        let keys = &self.keys;
        let may = |_: NodeId, kind| may_be_told(keys, kind, key, is_gone);
        // Who misses it asks around the ring.
        let _ = self.stack.below.finish_broadcast(now, writer, may);
    }

    /// Whether it is news.
    fn note_key(&mut self, key: &Bytes, is_text: bool) -> bool {
        if let Some(was_text) = self.keys.known.get_mut(key) {
            *was_text |= is_text;
            return false;
        }
        if self.keys.known.len() >= self.config.max_keys {
            return false;
        }
        self.keys.known.insert(key.clone(), is_text);
        self.stack.tell(ChordEvent::Add { key: key.clone() });
        true
    }

    /// A key that was announced in a former life: the whole network may have forgotten it since, and
    /// peers are told of it as of others.
    pub(crate) fn know_key(&mut self, key: Bytes) {
        if self.config.announces && self.keys.known.len() < self.config.max_keys {
            self.keys.known.entry(key).or_insert(false);
        }
    }

    fn forget_key(&mut self, key: &Bytes) -> Option<bool> {
        let was_text = self.keys.known.remove(key)?;
        self.stack.tell(ChordEvent::Delete { key: key.clone() });
        Some(was_text)
    }

    pub(crate) fn on_notify(&mut self, now: Time, received: &Received) {
        let limits = self.limits();
        let Ok(mut payload) = received.message().elements(&limits) else { return };
        let _ = payload.next();
        let (key, what) = (payload.next(), payload.next());
        let Some((key, form)) = key.and_then(|key| Some((key.text_bytes()?, key.form()?))) else {
            self.counts.malformed += 1;
            return;
        };
        if key.len() > self.config.max_key {
            self.counts.refused += 1;
            return;
        }
        let key = Bytes::copy_from_slice(key);
        let is_gone = what.as_ref().and_then(Element::text_bytes) == Some(b"del");
        let keys = &self.keys;
        let may = |_: NodeId, kind| may_be_told(keys, kind, &key, is_gone);
        self.stack.below.relay_where(now, received, may);
        if !is_gone {
            self.note_key(&key, form == IdForm::Str && received.kind() == MainFlag::Broadcast);
        } else if self.forget_key(&key).is_some() {
            self.on_old_deletion(now, received, &key);
        }
    }

    /// A new peer is told all keys.
    pub(crate) fn announce_keys_to(&mut self, peer: &PeerInfo) {
        if self.config.announces && !self.keys.known.is_empty() {
            self.keys.telling.push_back((peer.id, None));
        }
    }

    /// Tells peers more keys, as far as there is room.
    pub(crate) fn announce_more(&mut self, now: Time) {
        for _ in 0..self.keys.telling.len() {
            let Some((peer, mut told)) = self.keys.telling.pop_front() else { return };
            let Some(neighbour) = self.peers.get(&peer) else { continue };
            let kind = neighbour.kind;
            loop {
                if !self.has_room(peer) {
                    self.keys.telling.push_back((peer, told));
                    break;
                }
                let next = match &told {
                    Some(told) => {
                        let behind = (std::ops::Bound::Excluded(told), std::ops::Bound::Unbounded);
                        self.keys.known.range::<Bytes, _>(behind).next()
                    }
                    None => self.keys.known.iter().next(),
                };
                let Some((key, is_text)) = next else { break };
                let (key, is_text) = (key.clone(), *is_text);
                if !(is_text && kind == PeerKind::Js2p) {
                    self.tell_peer(now, peer, 2, key.len() + 8, |writer| {
                        writer.unsigned(SubFlag::Notify.into());
                        writer.binary(&key);
                    });
                }
                told = Some(key);
            }
        }
    }
}

fn may_be_told(keys: &Keys, kind: PeerKind, key: &[u8], is_gone: bool) -> bool {
    kind != PeerKind::Js2p || !is_gone || keys.known.get(key) != Some(&true)
}
