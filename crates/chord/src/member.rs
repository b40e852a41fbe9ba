//! Joining the ring, staying in it, and leaving it.

use std::time::Duration;

use rand::RngExt as _;
use rs2p_base::{NodeId, RequestId, Time};
use rs2p_mesh::{OverMesh as _, Received};
use rs2p_wire::{Element, MessageWriter, SubFlag};

use crate::asks::Ask;
use crate::contact::{self, Contact};
use crate::error::NotReachable;
use crate::event::ChordEvent;
use crate::machine::{Chord, Timer};
use crate::neighbour::Neighbour;
use crate::request::{Answer, MAX_HOPS, Op};
use crate::ring::{Ring, Step, View, between};
use crate::routing::Arrived;

/// The sub-flag of what neighbours in the ring tell each other.
pub(crate) const RING: u64 = 0x2e;

/// How long a node with links waits for somebody who stores, before it begins a ring of its own;
/// and one that knows of seeds, for a link.
const ALONE: Duration = Duration::from_secs(2);
const UNLINKED: Duration = Duration::from_secs(5);
/// When an attempt to join is made once more.
const JOIN_AGAIN: Duration = Duration::from_secs(3);
/// How soon neighbours are asked again after a change.
const STABILISE_SOON: Duration = Duration::from_millis(500);
/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(30);
const LEAVE_LOOK: Duration = Duration::from_millis(200);
/// How long a member that is alone waits for a new peer to say whether it stores, and for two rings
/// to become one, before it answers as if all were its own.
const META: Duration = Duration::from_secs(1);
const MERGING: Duration = Duration::from_secs(3);

/// A node that looks for its place.
#[derive(Debug, Default)]
pub(crate) struct Joining {
    since: Option<Time>,
    /// Who will be before this node, and what it has told.
    found: Option<(NodeId, View<NodeId>)>,
}

/// A member that hands over what it has.
#[derive(Debug)]
pub(crate) struct Leaving {
    request: RequestId,
    /// Calls that came when it was leaving already.
    others: Vec<RequestId>,
    until: Time,
    /// Whether it is to join again when it has left.
    joins_again: bool,
}

/// What neighbours in the ring tell each other.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    AreYouThere,
    IAmThere,
    /// What do you know of your neighbours?
    Ask,
    /// This, the predecessor and the successors.
    View(Option<Contact>, Vec<Contact>),
    /// I am before you.
    Notify,
    /// I may be right behind you: ask me.
    Hint,
    /// I leave.
    Leave,
}

impl Word {
    fn write(&self, writer: &mut MessageWriter) {
        writer.unsigned(RING);
        match self {
            Self::AreYouThere => writer.unsigned(0),
            Self::IAmThere => writer.unsigned(1),
            Self::Ask => writer.unsigned(2),
            Self::View(predecessor, successors) => {
                writer.unsigned(3);
                match predecessor {
                    Some(contact) => contact.write(writer),
                    None => writer.nil(),
                }
                contact::write_all(successors, writer);
            }
            Self::Notify => writer.unsigned(4),
            Self::Hint => writer.unsigned(5),
            Self::Leave => writer.unsigned(6),
        }
    }

    fn elements(&self) -> usize {
        if matches!(self, Self::View(..)) { 4 } else { 2 }
    }
}

impl Chord {
    /// Stores from now on, as a member of the ring: see [`ChordEvent::Joined`].
    ///
    /// # Errors
    /// Nobody can dial this node.
    pub fn join(&mut self, now: Time) -> Result<(), NotReachable> {
        if self.mesh().local().advertised().is_none() {
            return Err(NotReachable);
        }
        if let Some(leaving) = self.leaving.as_mut() {
            leaving.joins_again = true;
        } else if self.ring.is_none() && self.joining.is_none() {
            self.timers.set(Timer::Join, Some(now));
            self.try_to_join(now);
        }
        rs2p_base::Layer::settle(self, now);
        Ok(())
    }

    /// Stores no more: hands over what it has, and uses the network from then on.
    /// [`ChordEvent::Left`] tells when that is done.
    pub fn unjoin(&mut self, now: Time) -> RequestId {
        let request = self.stack.below.request_id();
        self.timers.set(Timer::Join, None);
        self.joining = None;
        if let Some(leaving) = self.leaving.as_mut() {
            leaving.others.push(request);
            leaving.joins_again = false;
        } else if self.ring.is_none() {
            self.stack.tell(ChordEvent::Left { request: Some(request), lost: 0 });
        } else {
            let (others, until) = (Vec::new(), now + LEAVE);
            self.leaving = Some(Leaving { request, others, until, joins_again: false });
            self.begin_handing_over(now);
            self.timers.set(Timer::Leave, Some(now));
            self.go_on_leaving(now);
        }
        rs2p_base::Layer::settle(self, now);
        request
    }

    /// What this node says of itself to each new peer.
    pub(crate) fn choose_greeting(&mut self) {
        let stores = self.ring.is_some() && !self.maintenance.says_it_leaves;
        let stores = if stores { "0" } else { "1" };
        self.stack.below.set_greeting(vec![SubFlag::Handshake.into(), stores.into()]);
    }

    /// Whether a peer stores (spec section 10.4).
    pub(crate) fn on_meta(&mut self, now: Time, received: &Received) {
        let limits = self.limits();
        let Ok(mut payload) = received.message().elements(&limits) else { return };
        let (2, Some(what)) = (payload.len(), payload.nth(1)) else {
            self.counts.malformed += 1;
            return;
        };
        let leeches = match what {
            Element::Unsigned(number) => number != 0,
            what => what.text_bytes() == Some(b"1"),
        };
        let from = received.neighbour();
        if leeches && !self.has_ways() {
            self.merging = None;
        }
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if peer.stores != leeches {
            return;
        }
        peer.stores = !leeches;
        let is_old = peer.is_old();
        if leeches {
            self.hand_overs.remove(&from);
            return;
        }
        if is_old {
            self.on_old_member(now, from);
        } else if self.joining.is_some() {
            self.try_to_join(now);
        } else if self.is_alone() {
            // Two who were alone, or one and a ring.
            self.merging = Some(now + MERGING);
            self.ask_by(now, self.id(), Op::Find, Ask::Merge, Some(from));
        }
    }

    /// Whether this node is the only member of its ring.
    pub(crate) fn is_alone(&self) -> bool {
        self.ring.as_ref().is_some_and(|ring| ring.successor().is_none())
    }

    fn has_ways(&self) -> bool {
        self.peers.values().any(Neighbour::is_way)
    }

    /// A member that is alone waits a moment for what a new peer has to tell: it may have a ring.
    pub(crate) fn wait_for_meta(&mut self, now: Time) {
        if self.is_alone() && self.merging.is_none() {
            self.merging = Some(now + META);
        }
    }

    pub(crate) fn try_to_join(&mut self, now: Time) {
        if self.ring.is_some() || self.mesh().local().advertised().is_none() {
            return;
        }
        let since = *self.joining.get_or_insert_default().since.get_or_insert(now);
        let ways = self.peers.iter().filter(|(_, peer)| peer.is_way()).map(|(id, _)| *id);
        let ways: Vec<NodeId> = ways.collect();
        self.timers.set(Timer::Join, Some(now + JOIN_AGAIN));
        if !ways.is_empty() {
            let first = ways[self.rng.random_range(0..ways.len())];
            self.ask_by(now, self.id(), Op::Find, Ask::Join, Some(first));
            return;
        }
        let patience = match (self.peers.is_empty(), self.upkeep.has_seeds) {
            (true, false) => Duration::ZERO,
            (true, true) => UNLINKED,
            (false, _) if self.peers.values().any(|peer| peer.is_able) => ALONE,
            (false, _) => Duration::ZERO,
        };
        let patience = patience.mul_f64(self.rng.random_range(0.75..1.25));
        if now.since(since) >= patience {
            let ring = Ring::born(self.id(), self.config.successors(), &[]);
            self.become_member(now, ring, true);
        } else {
            self.timers.set(Timer::Join, Some(now + patience / 4));
        }
    }

    /// Somebody has told who is before this node's place.
    pub(crate) fn on_place_found(&mut self, now: Time, arrived: Arrived) {
        let Answer::Found { predecessor, successors } = arrived.answer else { return };
        if self.ring.is_some() || arrived.owner == self.id() {
            return;
        }
        let view = self.learn_view(predecessor, successors);
        self.learn_contact(arrived.owner, arrived.address);
        let next = view.successors.iter().copied().find(|next| *next != self.id());
        let next = next.unwrap_or(arrived.owner);
        let Some(joining) = self.joining.as_mut() else { return };
        joining.found = Some((arrived.owner, view));
        // A successor is one only once it has answered.
        self.ask_for_view(now, next);
    }

    fn become_member(&mut self, now: Time, ring: Ring<NodeId>, is_settled: bool) {
        self.joining = None;
        self.timers.set(Timer::Join, None);
        self.ring = Some(ring);
        self.is_settled = is_settled;
        self.choose_greeting();
        self.stack.below.greet_all(now);
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.expect_hand_over(now, peer);
        }
        self.stack.tell(ChordEvent::Joined);
        self.upkeep.hurry();
        self.begin_upkeep(now);
        for old in self.old_members() {
            self.on_old_member(now, old);
        }
    }

    pub(crate) fn stabilise(&mut self, now: Time) {
        let Some(ring) = self.ring.as_ref() else { return };
        if let Some(successor) = ring.successor() {
            self.ask_for_view(now, successor);
        }
        let wait = self.upkeep.stabilise_wait(self.config.stabilise());
        let wait = wait.mul_f64(self.rng.random_range(0.75..1.25));
        self.timers.set(Timer::Stabilise, Some(now + wait));
        self.want_neighbours(now);
    }

    /// Asks a node what it knows of its neighbours, once there is a link to it.
    pub(crate) fn ask_for_view(&mut self, now: Time, node: NodeId) {
        match self.peers.get(&node) {
            Some(peer) if peer.is_silent => {}
            Some(_) => {
                self.owes_answer(now, node);
                self.tell_word(now, node, &Word::Ask);
            }
            None => {
                self.ask_once_linked(now, node);
            }
        }
    }

    pub(crate) fn tell_word(&mut self, now: Time, to: NodeId, word: &Word) {
        let room =
            if let Word::View(_, successors) = word { 90 * (successors.len() + 1) } else { 8 };
        self.tell_peer(now, to, word.elements(), room, |writer| word.write(writer));
    }

    pub(crate) fn on_ring(&mut self, now: Time, received: &Received) -> Option<()> {
        let limits = self.limits();
        let mut payload = received.message().elements(&limits).ok()?;
        payload.next()?;
        let from = received.neighbour();
        match payload.next()?.as_u64()? {
            0 => self.tell_word(now, from, &Word::IAmThere),
            1 => {}
            2 => {
                let (predecessor, successors) = self.own_view();
                let word = if self.ring.is_some() {
                    Word::View(predecessor, successors)
                } else {
                    // It was one in a former life, or has left: who takes it for one would keep it
                    // from its place.
                    Word::Leave
                };
                self.tell_word(now, from, &word);
            }
            3 => {
                let predecessor = match payload.next()? {
                    Element::Nil => None,
                    contact => Some(Contact::read(&contact)?),
                };
                let successors = contact::read_all(&payload.next()?, MAX_HOPS)?;
                let view = self.learn_view(predecessor, successors);
                self.on_view(now, from, &view);
            }
            4 => self.on_notified(now, from),
            5 => self.on_hint(now, from),
            6 => self.on_leave(now, from),
            _ => return None,
        }
        Some(())
    }

    fn on_view(&mut self, now: Time, from: NodeId, view: &View<NodeId>) {
        let (id, length) = (self.id(), self.config.successors());
        self.learn_contact(from, self.peers.get(&from).and_then(|peer| peer.address.clone()));
        if self.ring.is_none() {
            let Some(joining) = self.joining.as_mut() else { return };
            let Some((predecessor, its)) = joining.found.take() else { return };
            let is_next = its.successors.iter().find(|next| **next != id).unwrap_or(&predecessor);
            if *is_next != from {
                joining.found = Some((predecessor, its));
                return;
            }
            let ring = Ring::joined(id, length, predecessor, &its);
            self.become_member(now, ring, false);
            self.give_hint(now, predecessor);
        }
        let Some(ring) = self.ring.as_mut() else { return };
        let before = ring.successors().to_vec();
        let dead: Vec<NodeId> =
            self.peers.iter().filter(|(_, peer)| peer.is_silent).map(|(id, _)| *id).collect();
        let step = ring.on_view(from, view);
        if view.predecessor == Some(id) {
            self.copies.followed_by = Some(from);
        }
        dead.into_iter().for_each(|dead| ring.on_dead(dead));
        match step {
            Some(Step::Ask(nearer)) => {
                self.tell_notify(now, from);
                self.ask_for_view(now, nearer);
            }
            Some(Step::Notify(successor)) => self.tell_notify(now, successor),
            None => {}
        }
        self.on_ring_changed(now, &before);
    }

    fn tell_notify(&mut self, now: Time, successor: NodeId) {
        self.tell_word(now, successor, &Word::Notify);
    }

    fn on_notified(&mut self, now: Time, from: NodeId) {
        let Some(ring) = self.ring.as_mut() else { return };
        // Who has left the ring may still be a peer.
        let is_there = |id: &NodeId| self.peers.get(id).is_some_and(Neighbour::is_way);
        let is_dead = ring.predecessor().is_some_and(|known| !is_there(&known));
        let before = ring.successors().to_vec();
        let was_before = ring.predecessor();
        ring.on_notify(from, is_dead);
        if ring.predecessor() == Some(from) {
            self.copies.copied_by(now, from);
            if was_before != Some(from) {
                self.upkeep.hurry();
                self.compare_soon(now);
            }
        }
        self.learn_contact(from, self.peers.get(&from).and_then(|peer| peer.address.clone()));
        self.on_ring_changed(now, &before);
    }

    /// Somebody may be right behind this member.
    fn on_hint(&mut self, now: Time, from: NodeId) {
        let Some(ring) = self.ring.as_ref() else { return };
        let (id, next) = (self.id(), ring.successor());
        if next.is_none_or(|next| between(id, from, next)) {
            self.learn_contact(from, self.peers.get(&from).and_then(|peer| peer.address.clone()));
            self.ask_for_view(now, from);
        }
    }

    pub(crate) fn give_hint(&mut self, now: Time, to: NodeId) {
        if self.peers.contains_key(&to) {
            self.tell_word(now, to, &Word::Hint);
        } else {
            self.hint_once_linked(now, to);
        }
    }

    fn on_leave(&mut self, now: Time, from: NodeId) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.stores = false;
        }
        self.on_dead(now, from);
    }

    /// A node does not answer, cannot be reached, or leaves: the next one takes its place.
    pub(crate) fn on_dead(&mut self, now: Time, node: NodeId) {
        self.upkeep.forget(node);
        let Some(ring) = self.ring.as_mut() else { return };
        let before = ring.successors().to_vec();
        ring.on_dead(node);
        if ring.successors() != before {
            let next = ring.successor();
            self.on_ring_changed(now, &before);
            if let Some(next) = next {
                self.ask_for_view(now, next);
            }
        }
    }

    fn on_ring_changed(&mut self, now: Time, before: &[NodeId]) {
        let Some(ring) = self.ring.as_ref() else { return };
        if ring.successors() == before {
            return;
        }
        if before.is_empty() {
            // The other one may have had a ring, or data.
            (self.merging, self.is_settled) = (None, false);
            self.timers.set(Timer::Overdue, Some(now));
        }
        let copies = self.config.copies();
        let near = |list: &[NodeId]| list.iter().take(copies).copied().collect::<Vec<_>>();
        let (was, is) = (near(before), near(ring.successors()));
        let lost_next = was.first().is_some_and(|next| !ring.successors().contains(next));
        self.upkeep.hurry();
        self.prune_contacts();
        self.want_neighbours(now);
        let soon = now + STABILISE_SOON;
        if self.timers.get(&Timer::Stabilise).is_none_or(|at| at > soon) {
            self.timers.set(Timer::Stabilise, Some(soon));
        }
        if was != is {
            self.compare_soon(now);
            self.sweep_soon(now);
            if lost_next {
                self.audit_soon(now);
            }
        }
    }

    pub(crate) fn go_on_leaving(&mut self, now: Time) {
        let Some(until) = self.leaving.as_ref().map(|leaving| leaving.until) else { return };
        let left = self.left_to_hand_over();
        if left > 0 && now < until && self.has_heirs() {
            self.hand_over_some(now);
            self.timers.set(Timer::Leave, Some(now + LEAVE_LOOK));
            return;
        }
        let able = self.peers.iter().filter(|(_, peer)| peer.is_able);
        for peer in able.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.tell_word(now, peer, &Word::Leave);
        }
        let Some(leaving) = self.leaving.take() else { return };
        self.timers.set(Timer::Leave, None);
        self.timers.set(Timer::Join, leaving.joins_again.then_some(now));
        (self.ring, self.is_settled) = (None, false);
        self.end_handing_over();
        self.end_upkeep();
        self.choose_greeting();
        self.stack.below.greet_all(now);
        for request in std::iter::once(leaving.request).chain(leaving.others) {
            self.stack.tell(ChordEvent::Left { request: Some(request), lost: left });
        }
    }

    /// Whether there is anybody who could take what this member has.
    fn has_heirs(&self) -> bool {
        self.peers.values().any(|peer| peer.stores && !peer.is_silent)
    }

    /// What this member tells who asks.
    pub(crate) fn own_view(&self) -> (Option<Contact>, Vec<Contact>) {
        let Some(ring) = self.ring.as_ref() else { return (None, Vec::new()) };
        let predecessor = ring.predecessor().and_then(|id| self.contact(id));
        let successors = ring.successors().iter().filter_map(|id| self.contact(*id)).collect();
        (predecessor, successors)
    }

    fn learn_view(
        &mut self,
        predecessor: Option<Contact>,
        successors: Vec<Contact>,
    ) -> View<NodeId> {
        let id = |contact: &Contact| contact.id;
        let view = View {
            predecessor: predecessor.as_ref().map(id),
            successors: successors.iter().map(id).collect(),
        };
        for Contact { id, address } in predecessor.into_iter().chain(successors) {
            self.learn_contact(id, Some(address));
        }
        view
    }
}
