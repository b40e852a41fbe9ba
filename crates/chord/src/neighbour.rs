//! What a node knows of the peers it has links to.

use std::time::Duration;

use rs2p_base::{Endpoint, NodeId, Time};
use rs2p_mesh::{OverMesh as _, PeerInfo, PeerKind};

use crate::fence::Fence;
use crate::machine::{Chord, Timer};
use crate::member::Word;

/// When a peer that owes an answer is asked for a sign of life, and when it counts as silent.
const ASK_FOR_LIFE: Duration = Duration::from_millis(500);
const SILENT: Duration = Duration::from_millis(1_500);
/// How often it is looked, and silent peers are asked once more.
const LOOK: Duration = Duration::from_millis(250);
const ASK_SILENT: Duration = Duration::from_secs(1);

/// A peer.
#[derive(Debug)]
pub(crate) struct Neighbour {
    pub(crate) kind: PeerKind,
    /// Where it can be dialled, if it can.
    pub(crate) address: Option<Endpoint>,
    /// Whether it speaks the extension.
    pub(crate) is_able: bool,
    /// Whether it says that it stores.
    pub(crate) stores: bool,
    /// Since when it owes an answer.
    owes: Option<Time>,
    /// When it was last asked for a sign of life.
    asked: Option<Time>,
    /// Whether it does not answer: nothing is sent by way of it until it does.
    pub(crate) is_silent: bool,
    /// How far it has read what it was told, if it is an old node.
    pub(crate) fence: Fence,
}

impl Neighbour {
    pub(crate) fn new(peer: &PeerInfo, address: Option<Endpoint>, is_able: bool) -> Self {
        Self {
            kind: peer.kind,
            address,
            is_able,
            stores: false,
            owes: None,
            asked: None,
            is_silent: false,
            fence: Fence::default(),
        }
    }

    /// Something came from it.
    pub(crate) fn is_heard(&mut self) {
        (self.owes, self.asked, self.is_silent) = (None, None, false);
    }

    /// Whether questions can be passed to it: it is a member of the ring, as far as it says.
    pub(crate) fn is_way(&self) -> bool {
        self.is_able && self.stores && !self.is_silent
    }

    pub(crate) fn is_old(&self) -> bool {
        !self.is_able
    }
}

impl Chord {
    /// This peer has been told something that it has to answer.
    pub(crate) fn owes_answer(&mut self, now: Time, peer: NodeId) {
        let Some(peer) = self.peers.get_mut(&peer) else { return };
        peer.owes.get_or_insert(now);
        if self.timers.get(&Timer::Silence).is_none() {
            self.timers.set(Timer::Silence, Some(now + LOOK));
        }
    }

    pub(crate) fn look_for_silence(&mut self, now: Time) {
        let mut to_ask = Vec::new();
        let mut fell_silent = Vec::new();
        let mut waits = false;
        for id in self.peers.keys().copied().collect::<Vec<_>>() {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            let Some(owes) = peer.owes.filter(|_| peer.is_able) else { continue };
            waits = true;
            let pause = if peer.is_silent { ASK_SILENT } else { SILENT };
            if now.since(owes) >= ASK_FOR_LIFE
                && peer.asked.is_none_or(|asked| now.since(asked) >= pause)
            {
                peer.asked = Some(now);
                to_ask.push(id);
            }
            if now.since(owes) >= SILENT && !peer.is_silent {
                peer.is_silent = true;
                fell_silent.push(id);
            }
        }
        for id in to_ask {
            self.tell_word(now, id, &Word::AreYouThere);
        }
        for id in fell_silent {
            self.counts.silent += 1;
            self.on_dead(now, id);
        }
        self.timers.set(Timer::Silence, waits.then(|| now + LOOK));
    }

    /// Whether there is a link to a peer, which does answer and has room.
    pub(crate) fn has_room(&self, peer: NodeId) -> bool {
        let answers = self.peers.get(&peer).is_some_and(|peer| !peer.is_silent);
        let link = self.mesh().link_to(peer).filter(|_| answers);
        link.is_some_and(|link| self.mesh().room_on(link).is_ok())
    }

    /// Whether it has room for what can wait. Most of the link's queue stays free for questions.
    pub(crate) fn has_bulk_room(&self, peer: NodeId) -> bool {
        let limit = self.mesh().local().config().send_queue / 4;
        let link = self.mesh().link_to(peer).filter(|_| self.has_room(peer));
        let link = link.and_then(|link| self.mesh().link(link));
        link.is_some_and(|link| link.queued() <= limit)
    }
}
