//! Which links a member keeps: to its neighbours in the ring, to nodes at doubling distances
//! (fingers), and to those that lookups come upon.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;
use rs2p_base::{Endpoint, NodeId, RequestId, Time, VecMap};
use rs2p_mesh::OverMesh as _;

use crate::asks::Ask;
use crate::contact::Contact;
use crate::machine::{Chord, Timer};
use crate::neighbour::Neighbour;
use crate::position::distance;
use crate::request::{Answer, Op};
use crate::ring::{Ring, between};
use crate::routing::Arrived;

/// Successors to which a member keeps links, if it keeps no more copies than that.
const NEAR: usize = 3;
/// How soon a member that has just come asks again, and looks up the next finger.
const SOONEST: Duration = Duration::from_millis(500);
const FINGER_SOON: Duration = Duration::from_millis(300);
/// How often it does when all fingers are there.
const FINGER_LATER: Duration = Duration::from_secs(10);
/// How often a member asks somebody at random where its own place is.
const MERGE: Duration = Duration::from_secs(20);
/// What could not be linked to within this is not asked any more.
const STALE: Duration = Duration::from_secs(10);
/// Links that are of no use any more, and kept all the same.
const SPARE: usize = 4;
/// Addresses of ring members to remember, those in the ring's lists among them.
const MAX_CONTACTS: usize = 512;
/// Nodes that wait for a link to be asked or told something, each; and dials under way.
const MAX_WANTED: usize = 32;
/// How long a dial of a successor may take before the next one in the list is dialled, too; and how
/// many of them may be under way, by the successors to which a member keeps links.
const SLOW: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 3;

/// Links that are wanted.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub(crate) has_seeds: bool,
    contacts: VecMap<NodeId, Endpoint>,
    /// Dials under way, whom they should lead to, and since when.
    dialling: BTreeMap<RequestId, (NodeId, Time)>,
    /// Nodes to which this one has opened a link, and when.
    opened: VecMap<NodeId, Time>,
    /// Nodes that are to be asked, or told, something once there is a link.
    to_ask: BTreeMap<NodeId, Time>,
    to_hint: BTreeMap<NodeId, Time>,
    /// Who is at or before the point this far ahead, by the binary logarithm.
    fingers: BTreeMap<u16, NodeId>,
    next_finger: u16,
    pub(crate) shortcuts: VecMap<NodeId, Time>,
    wait: Duration,
}

impl Upkeep {
    pub(crate) fn new(has_seeds: bool) -> Self {
        Self {
            has_seeds,
            contacts: VecMap::new(),
            dialling: BTreeMap::new(),
            opened: VecMap::new(),
            to_ask: BTreeMap::new(),
            to_hint: BTreeMap::new(),
            fingers: BTreeMap::new(),
            next_finger: TOP,
            shortcuts: VecMap::new(),
            wait: SOONEST,
        }
    }

    /// Something has changed: it is looked more often again.
    pub(crate) fn hurry(&mut self) {
        self.wait = SOONEST;
    }

    pub(crate) fn stabilise_wait(&mut self, longest: Duration) -> Duration {
        let wait = self.wait.min(longest);
        self.wait = (self.wait * 3 / 2).min(longest);
        wait
    }

    pub(crate) fn forget(&mut self, node: NodeId) {
        self.contacts.remove(&node);
        self.to_ask.remove(&node);
        self.to_hint.remove(&node);
        self.fingers.retain(|_, finger| *finger != node);
        self.shortcuts.remove(&node);
    }

    fn forget_stale(&mut self, now: Time) {
        self.to_ask.retain(|_, since| now.since(*since) < STALE);
        self.to_hint.retain(|_, since| now.since(*since) < STALE);
    }

    fn dialled_since(&self, node: NodeId) -> Option<Time> {
        let mut dials = self.dialling.values();
        dials.find(|(dialled, _)| *dialled == node).map(|(_, since)| *since)
    }

    pub(crate) fn linked_fingers(&self, peers: &VecMap<NodeId, Neighbour>) -> usize {
        self.fingers.values().filter(|finger| peers.contains_key(finger)).count()
    }
}

/// The largest exponent of a finger.
const TOP: u16 = 8 * NodeId::BYTES as u16 - 1;

impl Chord {
    pub(crate) fn begin_upkeep(&mut self, now: Time) {
        let spread = self.rng.random_range(0.5..1.5);
        self.timers.set(Timer::Stabilise, Some(now));
        self.timers.set(Timer::Finger, Some(now + FINGER_SOON.mul_f64(spread)));
        self.timers.set(Timer::Merge, Some(now + MERGE.mul_f64(spread) / 4));
        self.timers.set(Timer::Compare, Some(now));
        self.sweep_soon(now);
        self.audit_within(now, crate::maintenance::AUDIT);
    }

    pub(crate) fn end_upkeep(&mut self) {
        for timer in [
            Timer::Stabilise,
            Timer::Finger,
            Timer::Merge,
            Timer::Compare,
            Timer::Audit,
            Timer::Dial,
        ] {
            self.timers.set(timer, None);
        }
        self.upkeep.fingers.clear();
        self.upkeep.next_finger = TOP;
        self.copies.end();
    }

    pub(crate) fn contact(&self, id: NodeId) -> Option<Contact> {
        let told = self.peers.get(&id).and_then(|peer| peer.address.as_ref());
        let address = told.or_else(|| self.upkeep.contacts.get(&id))?;
        Some(Contact { id, address: address.clone() })
    }

    pub(crate) fn learn_contact(&mut self, id: NodeId, address: Option<Endpoint>) {
        let Some(address) = address.filter(|_| id != self.id()) else { return };
        if self.upkeep.contacts.len() >= MAX_CONTACTS {
            self.prune_contacts();
        }
        if self.upkeep.contacts.len() < MAX_CONTACTS || self.upkeep.contacts.contains_key(&id) {
            self.upkeep.contacts.insert(id, address);
        }
    }

    /// Notes that a node is to be asked how things stand once there is a link to it.
    pub(crate) fn ask_once_linked(&mut self, now: Time, node: NodeId) {
        self.upkeep.forget_stale(now);
        if self.upkeep.to_ask.len() < MAX_WANTED {
            self.upkeep.to_ask.insert(node, now);
        }
        self.want(now, node);
    }

    /// Notes that a node is to be told of this one once there is a link to it.
    pub(crate) fn hint_once_linked(&mut self, now: Time, node: NodeId) {
        self.upkeep.forget_stale(now);
        if self.upkeep.to_hint.len() < MAX_WANTED {
            self.upkeep.to_hint.insert(node, now);
        }
        self.want(now, node);
    }

    /// Forgets addresses of nodes that are of no interest now.
    pub(crate) fn prune_contacts(&mut self) {
        let ring = self.ring.as_ref();
        let is_neighbour = |ring: &Ring<NodeId>, id: NodeId| {
            ring.predecessor() == Some(id) || ring.successors().contains(&id)
        };
        let upkeep = &mut self.upkeep;
        let (fingers, to_ask, to_hint) = (&upkeep.fingers, &upkeep.to_ask, &upkeep.to_hint);
        upkeep.contacts.retain(|id, _| {
            ring.is_some_and(|ring| is_neighbour(ring, *id))
                || fingers.values().any(|finger| finger == id)
                || to_ask.contains_key(id)
                || to_hint.contains_key(id)
        });
    }

    /// Links to a node, if there is no link yet.
    pub(crate) fn want(&mut self, now: Time, id: NodeId) {
        if id == self.id()
            || self.peers.contains_key(&id)
            || self.upkeep.dialling.len() >= MAX_WANTED
            || self.upkeep.dialled_since(id).is_some()
        {
            return;
        }
        let Some(address) = self.upkeep.contacts.get(&id).cloned() else { return };
        if self.mesh().local().advertised() == Some(&address) {
            self.upkeep.forget(id);
            return;
        }
        let request = self.stack.below.connect(now, address);
        self.upkeep.dialling.insert(request, (id, now));
    }

    /// A dial has ended. Whether it was this layer's.
    pub(crate) fn on_dialled(
        &mut self,
        now: Time,
        request: RequestId,
        reached: Option<NodeId>,
    ) -> bool {
        let Some((wanted, _)) = self.upkeep.dialling.remove(&request) else { return false };
        if reached == Some(wanted) {
            self.upkeep.opened.insert(wanted, now);
        } else if !self.peers.contains_key(&wanted) {
            self.on_dead(now, wanted);
        }
        true
    }

    /// There is a link to a peer: what was to be said to it is said.
    pub(crate) fn on_linked(&mut self, now: Time, peer: NodeId) {
        if self.peers.get(&peer).is_some_and(|peer| peer.is_able) {
            self.wait_for_meta(now);
        }
        if self.upkeep.to_ask.remove(&peer).is_some() {
            self.ask_for_view(now, peer);
        }
        if self.upkeep.to_hint.remove(&peer).is_some() {
            self.give_hint(now, peer);
        }
    }

    /// A neighbour's link is gone, which does not mean that it is dead.
    pub(crate) fn on_unlinked(&mut self, now: Time, peer: NodeId) {
        self.upkeep.opened.remove(&peer);
        self.upkeep.shortcuts.remove(&peer);
        let Some(ring) = self.ring.as_ref() else { return };
        let is_near = ring.successors().iter().take(self.near()).any(|it| *it == peer);
        if is_near {
            self.upkeep.hurry();
            self.dial_neighbours(now);
        }
        if self.upkeep.fingers.values().any(|finger| *finger == peer) {
            self.want(now, peer);
        }
    }

    /// Closes links that this node has opened and has no use for any more. If the other end has, it
    /// opens one of its own.
    fn let_go(&mut self, now: Time) {
        let Some(ring) = self.ring.as_ref() else { return };
        // Those before them may be dead, and not known to be.
        let linked = ring.successors().iter().filter(|id| self.peers.contains_key(id));
        let near = linked.take(self.near() + 1);
        let mut needed: Vec<NodeId> = near.copied().chain(ring.predecessor()).collect();
        needed.extend(self.upkeep.fingers.values());
        needed.extend(self.upkeep.shortcuts.keys());
        needed.extend(self.copies.copiers());
        // An old node in this member's stretch is asked and told.
        let old = self.peers.iter().filter(|(_, peer)| peer.is_old());
        needed.extend(old.map(|(id, _)| *id));
        needed.sort_unstable();
        let idle =
            self.upkeep.opened.iter().filter(|(id, since)| {
                now.since(**since) >= STALE && needed.binary_search(id).is_err()
            });
        let mut idle: Vec<(Time, NodeId)> = idle.map(|(id, since)| (*since, *id)).collect();
        idle.sort_unstable();
        for (_, id) in idle.iter().take(idle.len().saturating_sub(SPARE)).take(2) {
            self.upkeep.opened.remove(id);
            self.stack.below.disconnect(now, *id);
        }
    }

    fn near(&self) -> usize {
        NEAR.max(self.config.copies())
    }

    /// Links to the next members.
    pub(crate) fn want_neighbours(&mut self, now: Time) {
        self.dial_neighbours(now);
        self.upkeep.forget_stale(now);
        self.let_go(now);
    }

    /// Dials the next members, and while some of them let it wait, as many further down the list: a
    /// host that is gone without a word says nothing, and its neighbours may be gone, too. Those
    /// among them that are linked for another reason are asked whether they are there: on a link on
    /// which nothing is due, nothing shows that the other end is gone.
    pub(crate) fn dial_neighbours(&mut self, now: Time) {
        let Some(ring) = self.ring.as_ref() else { return };
        let (near, most) = (self.near(), AT_ONCE * self.near());
        let (mut hopeful, mut under_way) = (0, 0);
        let (mut to_dial, mut to_ask) = (Vec::new(), Vec::new());
        let mut look: Option<Time> = None;
        let mut waits = false;
        for id in ring.successors() {
            if hopeful >= near || under_way >= most {
                break;
            }
            if let Some(peer) = self.peers.get(id) {
                hopeful += usize::from(!peer.is_silent);
                to_ask.extend((waits && !peer.is_silent).then_some(*id));
                continue;
            }
            let since = self.upkeep.dialled_since(*id);
            if since.is_none() && !self.upkeep.contacts.contains_key(id) {
                continue;
            }
            under_way += 1;
            let slow_at = since.unwrap_or(now) + SLOW;
            if slow_at > now {
                hopeful += 1;
                look = Some(look.map_or(slow_at, |look| look.min(slow_at)));
            } else {
                waits = true;
            }
            if since.is_none() {
                to_dial.push(*id);
            }
        }
        to_dial.into_iter().for_each(|id| self.want(now, id));
        to_ask.into_iter().for_each(|id| self.owes_answer(now, id));
        self.timers.set(Timer::Dial, look);
    }

    /// Looks up the next finger: the largest first, down to those that neighbours are nearer than.
    pub(crate) fn look_up_finger(&mut self, now: Time) {
        let Some(ring) = self.ring.as_ref() else { return };
        let near = ring.successors().iter().take(self.near()).next_back().copied();
        let Some(near) = near.filter(|near| *near != self.id()) else {
            self.timers.set(Timer::Finger, Some(now + FINGER_SOON * 4));
            return;
        };
        let (id, near) = (self.id(), distance(self.id(), near));
        let (exponent, step) = (self.upkeep.next_finger, power(self.upkeep.next_finger));
        let is_last = step <= near || exponent == 0;
        let wait = if is_last { FINGER_LATER } else { FINGER_SOON };
        let wait = wait.mul_f64(self.rng.random_range(0.75..1.25));
        self.upkeep.next_finger = if is_last { TOP } else { exponent - 1 };
        if is_last {
            self.upkeep.fingers.retain(|known, _| *known > exponent);
        } else {
            self.ask(now, sum(id, step), Op::Find, Ask::Finger(exponent));
        }
        self.timers.set(Timer::Finger, Some(now + wait));
    }

    pub(crate) fn on_finger_found(&mut self, now: Time, exponent: u16, arrived: Arrived) {
        if self.ring.is_none() || arrived.owner == self.id() {
            return;
        }
        self.learn_contact(arrived.owner, arrived.address);
        self.upkeep.fingers.insert(exponent, arrived.owner);
        self.want(now, arrived.owner);
    }

    /// A lookup took several hops: next time it takes one.
    pub(crate) fn consider_shortcut(&mut self, now: Time, owner: NodeId, address: &Endpoint) {
        let has_room = self.upkeep.shortcuts.len() < self.config.shortcuts;
        if has_room && !self.peers.contains_key(&owner) {
            self.learn_contact(owner, Some(address.clone()));
            self.upkeep.shortcuts.insert(owner, now);
            self.want(now, owner);
        }
    }

    /// Asks a peer at random where this node's place is. Another answer than expected shows that
    /// there are two rings, or that the ring has a fold; both are mended by neighbours that lie
    /// nearer.
    pub(crate) fn look_for_another_ring(&mut self, now: Time) {
        if self.ring.is_none() {
            return;
        }
        let ways = self.peers.iter().filter(|(_, peer)| peer.is_way()).map(|(id, _)| *id);
        let ways: Vec<NodeId> = ways.collect();
        if !ways.is_empty() {
            let first = ways[self.rng.random_range(0..ways.len())];
            self.ask_by(now, self.id(), Op::Find, Ask::Merge, Some(first));
        }
        let wait = MERGE.mul_f64(self.rng.random_range(0.75..1.25));
        self.timers.set(Timer::Merge, Some(now + wait));
    }

    pub(crate) fn on_ring_found(&mut self, now: Time, arrived: Arrived) {
        let Answer::Found { predecessor, successors } = arrived.answer else { return };
        let id = self.id();
        let Some(ring) = self.ring.as_ref() else { return };
        let (next, before) = (ring.successor(), ring.predecessor());
        let mut found: Vec<Contact> = predecessor.into_iter().chain(successors).collect();
        if let Some(address) = arrived.address.filter(|_| arrived.owner != id) {
            found.push(Contact { id: arrived.owner, address });
        }
        found.retain(|contact| contact.id != id);
        let is_nearer = |contact: &&Contact| next.is_none_or(|next| between(id, contact.id, next));
        let nearest = found.iter().filter(is_nearer).min_by_key(|it| distance(id, it.id)).cloned();
        let is_before = |contact: &&Contact| before.is_none_or(|it| between(it, contact.id, id));
        let last = found.iter().filter(is_before).min_by_key(|it| distance(it.id, id)).cloned();
        if let Some(nearest) = nearest {
            self.learn_contact(nearest.id, Some(nearest.address));
            self.ask_for_view(now, nearest.id);
        }
        if let Some(last) = last {
            self.learn_contact(last.id, Some(last.address));
            self.give_hint(now, last.id);
        }
    }
}

/// Two to the power of `exponent`.
fn power(exponent: u16) -> NodeId {
    let mut bytes = [0; NodeId::BYTES];
    let from_end = usize::from(exponent / 8);
    bytes[NodeId::BYTES - 1 - from_end] = 1 << (exponent % 8);
    NodeId::from_bytes(bytes)
}

/// A point so far ahead of another.
fn sum(from: NodeId, by: NodeId) -> NodeId {
    // The way from `by` back to zero is its negative.
    let zero = NodeId::from_bytes([0; NodeId::BYTES]);
    distance(distance(by, zero), from)
}
