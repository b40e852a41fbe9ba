//! The DHT as a state machine.

use std::collections::{BTreeMap, VecDeque};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, SeedableRng as _};
use rs2p_base::{Capability, Deadlines, Layer, NodeId, RequestId, Stack, Time, VecMap};
use rs2p_mesh::{Birth, Mesh, MeshEvent, OverMesh, PeerInfo, PeerKind, Received};
use rs2p_wire::{Limits, MainFlag, MessageWriter, SubFlag};

use crate::asks::Asks;
use crate::change::Changes;
use crate::config::ChordConfig;
use crate::consult::Consult;
use crate::copies::{COPY, Copies};
use crate::event::ChordEvent;
use crate::keys::Keys;
use crate::maintenance::Maintenance;
use crate::member::{Joining, Leaving, RING};
use crate::neighbour::Neighbour;
use crate::old_peers::{DueAnswer, HandOver};
use crate::operation::Operation;
use crate::owner::Pending;
use crate::request::{ANSWER, REQUEST};
use crate::ring::Ring;
use crate::shelf::Shelf;
use crate::status::{ChordCounts, ChordStatus, Membership};
use crate::upkeep::Upkeep;

/// A node of a Chord DHT: what is stored lies at positions of a ring, and each position belongs to
/// the node before it.
///
/// It is a [`Machine`](rs2p_base::Machine) that owns a [`Mesh`]; `ChordSocket` runs one on real
/// sockets.
#[derive(Debug)]
pub struct Chord {
    pub(crate) stack: Stack<Mesh, ChordEvent>,
    pub(crate) config: ChordConfig,
    /// This member's neighbours in the ring, if it is a member.
    pub(crate) ring: Option<Ring<NodeId>>,
    /// Whether all is here that neighbours held for this member.
    pub(crate) is_settled: bool,
    pub(crate) joining: Option<Joining>,
    /// Until when a member that is alone waits for what a peer that stores has to tell.
    pub(crate) merging: Option<Time>,
    pub(crate) leaving: Option<Leaving>,
    pub(crate) peers: VecMap<NodeId, Neighbour>,
    pub(crate) upkeep: Upkeep,
    pub(crate) shelf: Shelf,
    pub(crate) keys: Keys,
    pub(crate) asks: Asks,
    pub(crate) operations: BTreeMap<RequestId, Operation>,
    /// Writes that wait for copies to be acknowledged.
    pub(crate) pending: BTreeMap<u64, Pending>,
    /// Questions that old nodes are to answer.
    pub(crate) consults: Vec<Consult>,
    /// Changes of maps that were merged here lately.
    pub(crate) changes: Changes,
    pub(crate) copies: Copies,
    pub(crate) maintenance: Maintenance,
    /// Old peers that are being told what belongs to them.
    pub(crate) hand_overs: VecMap<NodeId, HandOver>,
    /// Answers to py2p peers that are due soon, in the order in which they are.
    pub(crate) due_answers: VecDeque<DueAnswer>,
    pub(crate) timers: Deadlines<Timer>,
    /// The latest time of a write of this node's own.
    pub(crate) latest_own: u64,
    pub(crate) counts: ChordCounts,
    /// Whether nothing is done now and then to keep the ring in order.
    upkeep_is_paused: bool,
    pub(crate) rng: Xoshiro256PlusPlus,
}

/// What a node waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// To join, or try it once more.
    Join,
    /// To hand over the rest, or give up.
    Leave,
    /// The successor is to be asked how things stand.
    Stabilise,
    /// Further successors are to be dialled if nearer ones still do not answer.
    Dial,
    /// Somebody at random is to be asked whether there is another ring.
    Merge,
    /// A finger is to be looked up.
    Finger,
    /// Copies are to be compared.
    Compare,
    /// It is time to see who does not answer.
    Silence,
    /// It is time to see whose answers are overdue.
    Overdue,
    /// Records that belong to others are to be given away, and old deletions forgotten.
    Sweep,
    /// A few records are to be looked for at the key's other positions.
    Audit,
    /// An answer to a py2p peer is due.
    Answer,
}

impl Timer {
    /// Whether it keeps the ring in order, and no question waits for it.
    fn is_periodic(self) -> bool {
        use Timer::{Audit, Compare, Finger, Merge, Stabilise, Sweep};
        matches!(self, Stabilise | Merge | Finger | Compare | Sweep | Audit)
    }
}

/// Nodes in a peers list to another rs2p node, which finds more by lookups.
const LISTED: usize = 8;

impl Chord {
    /// What rs2p nodes of a DHT announce: they route questions, keep copies, and compare them. See
    /// `docs/protocol/chord.md`.
    pub const CAPABILITY: Capability = Capability::new(2);

    /// A node of a network. The options of the mesh are those of `birth`, and not those in
    /// `config`.
    #[must_use]
    pub fn new(birth: Birth, config: ChordConfig) -> Self {
        let Birth { id, protocol, advertised, config: mut mesh, seed, .. } = birth;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        mesh.capabilities.push(Self::CAPABILITY);
        mesh.relayed_above.push(SubFlag::Notify);
        mesh.relayed_above.extend([REQUEST, ANSWER, RING, COPY].map(SubFlag::Other));
        mesh.max_listed = mesh.max_listed.min(LISTED);
        let has_seeds = !mesh.seeds.is_empty();
        let mesh = Mesh::new(id, &protocol, advertised, mesh, rng.next_u64());
        let mut timers = Deadlines::new();
        timers.set(Timer::Join, config.joins.then(Time::default));
        let mut chord = Self {
            stack: Stack::new(mesh),
            config,
            ring: None,
            is_settled: false,
            joining: None,
            merging: None,
            leaving: None,
            peers: VecMap::new(),
            upkeep: Upkeep::new(has_seeds),
            shelf: Shelf::default(),
            keys: Keys::default(),
            asks: Asks::default(),
            operations: BTreeMap::new(),
            pending: BTreeMap::new(),
            consults: Vec::new(),
            changes: Changes::default(),
            copies: Copies::default(),
            maintenance: Maintenance::default(),
            hand_overs: VecMap::new(),
            due_answers: VecDeque::new(),
            timers,
            latest_own: 0,
            counts: ChordCounts::default(),
            upkeep_is_paused: false,
            rng,
        };
        chord.choose_greeting();
        chord
    }

    /// This node's id, which is its place on the ring.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.mesh().id()
    }

    /// What this node has to do with the ring.
    #[must_use]
    pub fn membership(&self) -> Membership {
        match (&self.ring, &self.joining, &self.leaving) {
            (_, _, Some(_)) => Membership::Leaving,
            (Some(_), _, _) if self.is_settled => Membership::Joined,
            (Some(_), _, _) => Membership::Settling,
            (None, Some(_), _) => Membership::Joining,
            (None, None, None) => Membership::Leeching,
        }
    }

    /// This member's neighbours, as far as it knows. Nothing for who is no member.
    #[must_use]
    pub fn ring(&self) -> Option<&Ring<NodeId>> {
        self.ring.as_ref()
    }

    /// Leaves out what a member does now and then to keep the ring in order, or takes it up again:
    /// asking its successor, looking up fingers and other rings, comparing and auditing copies. What
    /// a question runs into is seen to all the same. To measure how far lookups get without it; a
    /// node that goes on like that does not stay in the ring.
    pub fn pause_upkeep(&mut self, now: Time, pauses: bool) {
        let ends = self.upkeep_is_paused && !pauses;
        self.upkeep_is_paused = pauses;
        if ends && self.ring.is_some() {
            self.begin_upkeep(now);
        }
        self.settle(now);
    }

    /// How the node is doing.
    #[must_use]
    pub fn status(&self, now: Time) -> ChordStatus {
        ChordStatus {
            mesh: self.mesh().status(now),
            membership: self.membership(),
            predecessor: self.ring.as_ref().and_then(Ring::predecessor),
            successors: self.ring.as_ref().map_or(Vec::new(), |ring| ring.successors().to_vec()),
            fingers: self.upkeep.linked_fingers(&self.peers),
            shortcuts: self.upkeep.shortcuts.len(),
            storing_peers: self.peers.values().filter(|peer| peer.stores).count(),
            silent_peers: self.peers.values().filter(|peer| peer.is_silent).count(),
            records: self.shelf.len(),
            tombstones: self.shelf.tombstones(),
            bytes: self.shelf.bytes(),
            keys: self.keys.len(),
            operations: self.operations.len(),
            counts: self.counts,
        }
    }

    /// The network's time, in milliseconds since the Unix epoch.
    pub(crate) fn clock(&self, now: Time) -> u64 {
        self.mesh().network_time(now).as_millis()
    }

    pub(crate) fn limits(&self) -> Limits {
        self.mesh().local().config().limits
    }

    /// Whispers to a peer, whatever waits before it.
    pub(crate) fn tell_peer(
        &mut self,
        now: Time,
        peer: NodeId,
        elements: usize,
        room: usize,
        write: impl FnOnce(&mut MessageWriter),
    ) {
        // A link may have taken another one's place.
        let Some(link) = self.mesh().link_to(peer) else { return };
        let Some(mut writer) = self.mesh().begin_whisper(now, link, elements, room) else { return };
        write(&mut writer);
        if self.stack.below.finish_whisper(now, link, writer).is_err() {
            // Limits far below the default, or a value that this peer could not read.
            self.counts.dropped += 1;
        }
    }

    fn on_connected(&mut self, now: Time, peer: &PeerInfo) {
        let link = self.mesh().link(peer.link);
        let handshake = link.and_then(|link| link.peer());
        let is_able = handshake.is_some_and(|it| it.can(Self::CAPABILITY));
        let address = handshake.and_then(|handshake| handshake.address.clone());
        let is_able = is_able && peer.kind == PeerKind::Rs2p;
        let neighbour = Neighbour::new(peer, address, is_able);
        self.peers.insert(peer.id, neighbour);
        if self.ring.is_some() {
            self.expect_hand_over(now, peer.id);
        }
        self.announce_keys_to(peer);
        self.on_linked(now, peer.id);
    }

    fn on_disconnected(&mut self, now: Time, peer: NodeId) {
        self.peers.remove(&peer);
        self.hand_overs.remove(&peer);
        self.copies.forget(peer);
        self.on_unlinked(now, peer);
        self.give_up_on(now, peer);
        self.hand_over_to_others(peer);
    }

    fn on_unclaimed(&mut self, now: Time, received: Received) {
        let from = received.neighbour();
        let is_whisper = received.kind() == MainFlag::Whisper;
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if is_whisper {
            peer.is_heard();
        }
        let is_able = peer.is_able;
        match received.sub_flag() {
            Some(SubFlag::Handshake) => self.on_meta(now, &received),
            Some(SubFlag::Notify) => self.on_notify(now, &received),
            Some(SubFlag::Store | SubFlag::Delta) if is_whisper => {
                self.on_old_write(now, &received)
            }
            Some(SubFlag::Retrieve) if is_whisper => self.on_retrieve(now, &received),
            Some(SubFlag::Retrieved) if is_whisper => self.on_retrieved(now, &received),
            Some(SubFlag::Other(flag @ (REQUEST | ANSWER | RING | COPY))) => {
                // It is between two, who both know what it means.
                let known = is_whisper && is_able;
                let read = known.then(|| match flag {
                    REQUEST => self.on_request(now, &received),
                    ANSWER => self.on_answer_in(now, &received),
                    RING => self.on_ring(now, &received),
                    _ => self.on_copy(now, &received),
                });
                if read.flatten().is_none() {
                    self.counts.malformed += 1;
                }
            }
            _ => self.stack.tell(ChordEvent::Mesh(MeshEvent::Unclaimed(received))),
        }
    }
}

impl OverMesh for Chord {
    fn mesh(&self) -> &Mesh {
        &self.stack.below
    }

    fn with_mesh<R>(&mut self, now: Time, act: impl FnOnce(&mut Mesh) -> R) -> R {
        let result = act(&mut self.stack.below);
        self.settle(now);
        result
    }

    fn mesh_event(event: &ChordEvent) -> Option<&MeshEvent> {
        match event {
            ChordEvent::Mesh(event) => Some(event),
            _ => None,
        }
    }
}

impl Layer for Chord {
    rs2p_base::stack!(stack: Stack<Mesh, ChordEvent>);

    fn on_event(&mut self, now: Time, event: MeshEvent) {
        match event {
            MeshEvent::Unclaimed(received) => return self.on_unclaimed(now, received),
            MeshEvent::Connected(ref peer) => self.on_connected(now, peer),
            MeshEvent::Disconnected { peer, .. } => self.on_disconnected(now, peer),
            MeshEvent::ConnectDone { request, ref result }
                if self.on_dialled(now, request, result.as_ref().ok().copied()) =>
            {
                return;
            }
            MeshEvent::Message(ref received) => {
                if let Some(peer) = self.peers.get_mut(&received.neighbour()) {
                    peer.is_heard();
                }
            }
            _ => {}
        }
        self.stack.tell(ChordEvent::Mesh(event));
    }

    fn on_timeout(&mut self, now: Time) {
        while let Some(timer) = self.timers.pop_due(now) {
            if self.upkeep_is_paused && timer.is_periodic() {
                continue;
            }
            match timer {
                Timer::Join => self.try_to_join(now),
                Timer::Leave => self.go_on_leaving(now),
                Timer::Stabilise => self.stabilise(now),
                Timer::Dial => self.dial_neighbours(now),
                Timer::Merge => self.look_for_another_ring(now),
                Timer::Finger => self.look_up_finger(now),
                Timer::Compare => self.compare_copies(now),
                Timer::Silence => self.look_for_silence(now),
                Timer::Overdue => self.look_for_overdue(now),
                Timer::Sweep => self.sweep(now),
                Timer::Audit => self.audit(now),
                Timer::Answer => self.give_due_answers(now),
            }
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    fn carry_on(&mut self, now: Time) {
        self.announce_more(now);
        self.copy_more(now);
        self.hand_over_more(now);
    }

    fn completes(event: &ChordEvent) -> Option<RequestId> {
        ChordEvent::request(event)
    }
}
