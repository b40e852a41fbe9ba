//! The replicated dictionary as a state machine.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, SeedableRng as _};
use rs2p_base::{
    Capability, Deadlines, Layer, LinkId, NodeId, Protocol, RequestId, Stack, Time, VecMap,
};
use rs2p_mesh::{Birth, Mesh, MeshEvent, OverMesh, PeerInfo, PeerKind, Received};
use rs2p_wire::{Limits, MainFlag, SubFlag};

use crate::config::SyncConfig;
use crate::event::SyncEvent;
use crate::exchange::{COMPARE, Exchange, LIST, RECORDS, WANT};
use crate::hand_over::HandOver;
use crate::journal::Journal;
use crate::owner::{Owner, Owners};
use crate::repeat::Repeats;
use crate::status::{SyncCounts, SyncStatus};
use crate::table::Table;

/// A node of a replicated dictionary: every node holds every key, and a write is told to all.
///
/// It is a [`Machine`](rs2p_base::Machine) that owns a [`Mesh`]; `SyncSocket` runs one on real
/// sockets.
#[derive(Debug)]
pub struct Sync {
    pub(crate) stack: Stack<Mesh, SyncEvent>,
    pub(crate) config: SyncConfig,
    pub(crate) table: Table,
    pub(crate) owners: Owners,
    /// Old peers that are being told what this node holds.
    pub(crate) hand_overs: VecMap<NodeId, HandOver>,
    /// What old peers have missed and are to be told once more.
    pub(crate) repeats: VecMap<NodeId, Repeats>,
    /// rs2p peers with which this node compares what it holds.
    pub(crate) exchanges: VecMap<NodeId, Exchange>,
    /// The peer that is telling this node much just now, and when it last did.
    pub(crate) receiving: Option<(NodeId, Time)>,
    pub(crate) timers: Deadlines<Timer>,
    /// Up to when all deletions are known: when all that is known of the keys was last the same as
    /// at a peer that had been there all the while, in seconds of the network's time.
    pub(crate) synced: u64,
    /// Since when there have been peers to compare with.
    pub(crate) met: Option<Time>,
    /// The latest deletion that has been forgotten, here or at those from whom this node knows, in
    /// seconds.
    pub(crate) forgotten: u64,
    /// The latest time of a write of this node's own, in seconds.
    pub(crate) latest_own: u64,
    pub(crate) journal: Journal,
    pub(crate) counts: SyncCounts,
    pub(crate) rng: Xoshiro256PlusPlus,
}

/// What a node waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// It is time to compare with some peer.
    Compare,
    /// There is news from another part of the network, which other peers may lack.
    Spread,
    /// A comparison with this peer is to be made, or made again.
    Again(NodeId),
    /// Old deletions may be forgotten.
    Tombstones,
}

impl Sync {
    /// What rs2p nodes of a replicated dictionary announce: they write who may write behind each
    /// write, and compare what they hold. See `docs/protocol/sync.md`.
    pub const CAPABILITY: Capability = Capability::new(1);

    /// A network of this name. Networks with and without leases are two, as with the originals.
    #[must_use]
    pub fn protocol(subnet: &str, encryption: &str, leasing: bool) -> Protocol {
        Protocol::new(format!("{subnet}{}", u8::from(leasing)), encryption)
    }

    /// A node of a network that [`protocol`](Self::protocol) names. The options of the mesh are
    /// those of `birth`, and not those in `config`.
    #[must_use]
    pub fn new(birth: Birth, config: SyncConfig) -> Self {
        let Birth { id, protocol, advertised, config: mut mesh, seed, .. } = birth;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        mesh.capabilities.push(Self::CAPABILITY);
        mesh.asks_js2p = false;
        mesh.relayed_above.extend([SubFlag::Store, SubFlag::Delta]);
        mesh.relayed_above.extend([COMPARE, LIST, WANT, RECORDS].map(SubFlag::Other));
        let table = Table::new(rng.next_u64());
        let mesh = Mesh::new(id, &protocol, advertised, mesh, rng.next_u64());
        Self {
            stack: Stack::new(mesh),
            config,
            table,
            owners: Owners::default(),
            hand_overs: VecMap::new(),
            repeats: VecMap::new(),
            exchanges: VecMap::new(),
            receiving: None,
            timers: Deadlines::new(),
            synced: 0,
            met: None,
            forgotten: 0,
            latest_own: 0,
            journal: Journal::default(),
            counts: SyncCounts::default(),
            rng,
        }
    }

    /// This node's id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.mesh().id()
    }

    /// How the node is doing.
    #[must_use]
    pub fn status(&self, now: Time) -> SyncStatus {
        SyncStatus {
            mesh: self.mesh().status(now),
            keys: self.table.len(),
            tombstones: self.table.tombstones(),
            bytes: self.table.bytes(),
            handing_over: self.hand_overs.len(),
            exchanging: self.exchanges.values().filter(|exchange| exchange.is_busy()).count(),
            same_as_peer: (self.synced > 0).then(|| Time::from_secs(self.synced)),
            counts: self.counts,
        }
    }

    /// The network's time, in seconds.
    pub(crate) fn clock(&self, now: Time) -> u64 {
        self.mesh().network_time(now).as_secs()
    }

    pub(crate) fn limits(&self) -> Limits {
        self.mesh().local().config().limits
    }

    /// This node, as the owner of what it writes.
    pub(crate) fn me(&mut self) -> Owner {
        let (id, form) = (self.id(), self.mesh().broadcast_form());
        let owner = self.owners.intern(id.to_text().as_bytes(), form);
        owner.unwrap_or_else(|| Owner::new(id, form))
    }

    /// Whether a peer is an rs2p node that compares what it holds.
    pub(crate) fn compares(&self, link: LinkId) -> bool {
        let handshake = self.mesh().link(link).and_then(|link| link.peer());
        handshake.is_some_and(|handshake| handshake.can(Self::CAPABILITY))
    }

    fn on_connected(&mut self, now: Time, peer: &PeerInfo) {
        // A node that was away for a while may bring deletions that all others have forgotten.
        self.forget_old_deletions(now);
        if self.compares(peer.link) {
            self.begin_exchange(now, peer);
        } else {
            self.hand_overs.insert(peer.id, HandOver::new(peer.link));
        }
    }

    fn on_unclaimed(&mut self, now: Time, received: Received) {
        match received.sub_flag() {
            Some(SubFlag::Store) => self.on_store(now, &received),
            Some(SubFlag::Delta) => self.on_delta(now, &received),
            Some(SubFlag::Other(flag @ (COMPARE | LIST | WANT | RECORDS))) => {
                // It is between two: a broadcast would have every node answer.
                let is_whisper = received.kind() == MainFlag::Whisper;
                if !is_whisper || !self.exchanges.contains_key(&received.neighbour()) {
                    self.counts.malformed += 1;
                    return;
                }
                match flag {
                    COMPARE => self.on_compare(now, &received),
                    LIST => self.on_list(now, &received),
                    WANT => self.on_want(now, &received),
                    _ => self.on_records(now, &received),
                }
            }
            _ => self.stack.tell(SyncEvent::Mesh(MeshEvent::Unclaimed(received))),
        }
    }

    pub(crate) fn kind(&self, peer: NodeId) -> Option<PeerKind> {
        self.mesh().peer(peer).map(|peer| peer.kind)
    }
}

impl OverMesh for Sync {
    fn mesh(&self) -> &Mesh {
        &self.stack.below
    }

    fn with_mesh<R>(&mut self, now: Time, act: impl FnOnce(&mut Mesh) -> R) -> R {
        let result = act(&mut self.stack.below);
        self.settle(now);
        result
    }

    fn mesh_event(event: &SyncEvent) -> Option<&MeshEvent> {
        match event {
            SyncEvent::Mesh(event) => Some(event),
            _ => None,
        }
    }
}

impl Layer for Sync {
    rs2p_base::stack!(stack: Stack<Mesh, SyncEvent>);

    fn on_event(&mut self, now: Time, event: MeshEvent) {
        match event {
            MeshEvent::Unclaimed(received) => return self.on_unclaimed(now, received),
            MeshEvent::Connected(ref peer) => self.on_connected(now, peer),
            MeshEvent::Disconnected { peer, .. } => {
                self.hand_overs.remove(&peer);
                self.repeats.remove(&peer);
                self.end_exchange(peer);
            }
            _ => {}
        }
        self.stack.tell(SyncEvent::Mesh(event));
    }

    fn on_timeout(&mut self, now: Time) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Compare => self.compare_with_some_peer(now),
                Timer::Spread => self.compare_with_all(now),
                Timer::Again(peer) => self.compare_with(now, peer),
                Timer::Tombstones => self.forget_old_deletions(now),
            }
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    fn carry_on(&mut self, now: Time) {
        self.redate(now);
        self.hand_over_more(now);
        self.repeat_more(now);
        self.exchange_more(now);
    }

    fn completes(event: &SyncEvent) -> Option<RequestId> {
        SyncEvent::request(event)
    }
}
