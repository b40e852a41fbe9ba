//! The mesh as a state machine.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, SeedableRng as _};
use rs2p_base::{
    CloseReason, Deadlines, DialId, Endpoint, Input, Link, LinkEvent, LinkId, Links, LocalNode,
    Machine, NodeId, Origin, Output, Protocol, RequestId, Time, VecMap,
};
use rs2p_wire::{IdForm, MessageId, SubFlag, Value};

use crate::address_book::AddressBook;
use crate::config::{Bounds, MeshConfig};
use crate::deferred::Deferred;
use crate::error::ConnectError;
use crate::event::{MeshEvent, PeerInfo};
use crate::exchange::SeenRequests;
use crate::for_layers::PeerKind;
use crate::handlers::Handler;
use crate::mixing::{Missed, Swap};
use crate::network_time::Clock;
use crate::peers::{ASK_FIRST, Peer, Surplus};
use crate::status::{MeshCounts, MeshStatus, Problems};
use crate::waterfall::Waterfall;

/// A node of a mesh: it keeps peers, passes on broadcasts, and delivers messages.
///
/// It is a [`Machine`]; `MeshSocket` runs one on real sockets, and a layer of one's own
/// owns one and takes from [`MeshEvent`]s what it knows.
#[derive(Debug)]
pub struct Mesh {
    pub(crate) bounds: Bounds,
    pub(crate) links: Links,
    pub(crate) peers: VecMap<NodeId, Peer>,
    pub(crate) book: AddressBook,
    /// Dials on their way and links without a handshake, by the dial that opened them.
    pub(crate) opening: VecMap<DialId, Opening>,
    /// Links that this node opened and that are beyond their handshake.
    pub(crate) dialled: VecMap<LinkId, Dialled>,
    /// When an address was last dialled, other than by hand.
    pub(crate) last_dial: Option<Time>,
    /// Whether there have never been links enough yet.
    pub(crate) is_joining: bool,
    pub(crate) missed: Missed,
    pub(crate) swap: Swap,
    pub(crate) clock: Clock,
    pub(crate) seen: Waterfall,
    pub(crate) seen_requests: SeenRequests,
    pub(crate) deferred: BTreeMap<RequestId, Deferred>,
    pub(crate) handlers: Vec<Handler>,
    pub(crate) relayed_above: Vec<SubFlag>,
    /// What a layer above says to a peer before anything else.
    pub(crate) greeting: Vec<Value>,
    pub(crate) counts: MeshCounts,
    pub(crate) problems: Problems,
    pub(crate) rng: Xoshiro256PlusPlus,
    pub(crate) timers: Deadlines<Timer>,
    pub(crate) output: VecDeque<Output<MeshEvent>>,
    /// How long to wait until peers are asked for more nodes.
    pub(crate) ask_wait: Duration,
    /// Whether a handler runs, which may call this node's operations.
    pub(crate) in_handler: bool,
    /// How broadcasts of this node's own write its id.
    pub(crate) broadcast_form: IdForm,
    started: Option<Time>,
    next_request: u64,
    pub(crate) next_nonce: u64,
}

/// What the mesh itself waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// An address may be dialled again.
    Dial,
    /// There are too few links and nobody to dial: a peer may know somebody.
    Ask,
    /// A deferred message has waited long enough, or is to be asked for once more.
    Deferred(RequestId),
    /// It has to show whether this link, which is kept of two, works.
    Settle(LinkId),
    /// It is time to look for a peer that has fallen silent.
    Missed,
    /// Somebody new may take a peer's place.
    Swap,
    /// This link has had time to deliver what was under way on it, and gives way to a new one.
    GiveWay(LinkId),
    /// The second link to a peer has had time to deliver what was under way on it.
    Surplus(LinkId),
}

/// A link on its way to becoming a peer's.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) to: Endpoint,
    /// Calls of `connect` that wait for it.
    pub(crate) requests: Vec<RequestId>,
}

/// Where a link led that this node opened.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) to: Endpoint,
    /// When the handshake was done.
    since: Time,
    /// Whether the user wanted it.
    pub(crate) by_hand: bool,
    /// Whether it is about to give way to another.
    pub(crate) gives_way: bool,
}

impl Mesh {
    /// A node of this id in this network. Peers are told to dial `advertised`. All its choices are
    /// drawn from `seed`.
    #[must_use]
    pub fn new(
        id: NodeId,
        protocol: &Protocol,
        advertised: Option<Endpoint>,
        config: MeshConfig,
        seed: u64,
    ) -> Self {
        let bounds = Bounds::from(&config);
        let mut local = LocalNode::new(id, protocol, advertised, config.link);
        for capability in &config.capabilities {
            local = local.with_capability(*capability);
        }
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let secret = rng.next_u64();
        let mut timers = Deadlines::new();
        timers.set(Timer::Dial, (!config.seeds.is_empty()).then(Time::default));
        Self {
            bounds,
            links: Links::new(Arc::new(local)),
            peers: VecMap::new(),
            book: AddressBook::new(config.max_addresses, config.seeds, secret),
            opening: VecMap::new(),
            dialled: VecMap::new(),
            last_dial: None,
            is_joining: true,
            missed: Missed::default(),
            swap: Swap::default(),
            clock: Clock::default(),
            seen: Waterfall::new(config.max_seen, secret),
            seen_requests: SeenRequests::default(),
            deferred: BTreeMap::new(),
            handlers: Vec::new(),
            relayed_above: config.relayed_above,
            greeting: Vec::new(),
            counts: MeshCounts::default(),
            problems: Problems::default(),
            rng,
            timers,
            output: VecDeque::new(),
            ask_wait: ASK_FIRST,
            in_handler: false,
            broadcast_form: IdForm::Bin,
            started: None,
            next_request: 0,
            next_nonce: 0,
        }
    }

    /// This node.
    #[must_use]
    pub fn local(&self) -> &Arc<LocalNode> {
        self.links.local()
    }

    /// This node's id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.local().id()
    }

    /// Connects to a node by hand. [`MeshEvent::ConnectDone`] tells how it went.
    pub fn connect(&mut self, now: Time, to: Endpoint) -> RequestId {
        let request = self.request_id();
        let connected = self.peers.iter().find_map(|(id, peer)| {
            let is_there = self.links.get(peer.link)?.peer()?.address.as_ref() == Some(&to)
                || self.dialled.get(&peer.link).is_some_and(|dialled| dialled.to == to);
            is_there.then_some((*id, peer.link))
        });
        if let Some((id, link)) = connected {
            self.keep_by_hand(link);
            self.tell(MeshEvent::ConnectDone { request, result: Ok(id) });
        } else if let Some(opening) = self.opening.values_mut().find(|opening| opening.to == to) {
            opening.requests.push(request);
        } else {
            self.dial(to, vec![request]);
        }
        self.drain(now);
        request
    }

    /// Adds a node to those to begin with: see [`MeshConfig::seeds`].
    pub fn add_seed(&mut self, now: Time, address: Endpoint) {
        self.book.seed(address);
        self.dial_more(now);
        self.drain(now);
    }

    /// Parts from a peer; it is not dialled again by itself. `false` when it is no peer.
    pub fn disconnect(&mut self, now: Time, peer: NodeId) -> bool {
        if !self.peers.contains_key(&peer) {
            return false;
        }
        self.book.part(peer);
        let is_its = |link: &&Link| link.peer().is_some_and(|it| it.id == peer);
        let links: Vec<LinkId> = self.links.iter().filter(is_its).map(Link::id).collect();
        for link in links {
            self.lose_peer(now, peer, link, &CloseReason::Requested);
            self.links.close(now, link, CloseReason::Requested);
        }
        self.drain(now);
        true
    }

    /// The peers, ordered by id.
    pub fn peers(&self) -> impl Iterator<Item = PeerInfo> {
        self.peers.keys().filter_map(|id| self.peer(*id))
    }

    /// A peer.
    #[must_use]
    pub fn peer(&self, id: NodeId) -> Option<PeerInfo> {
        let peer = self.peers.get(&id)?;
        let link = self.links.get(peer.link)?;
        Some(PeerInfo {
            id,
            address: link.peer()?.address.clone().unwrap_or_else(|| link.remote().clone()),
            outgoing: link.origin().is_outgoing(),
            link: peer.link,
            kind: PeerKind::of(link),
            queued: link.queued(),
        })
    }

    /// The link to a peer, which may change while it is one.
    #[must_use]
    pub fn link_to(&self, peer: NodeId) -> Option<LinkId> {
        self.peers.get(&peer).map(|peer| peer.link)
    }

    /// How many peers there are.
    #[must_use]
    pub fn peer_count(&self) -> usize {
        self.peers.len()
    }

    /// How many broadcasts are remembered, in order to recognise them:
    /// [`MeshConfig::max_seen`] at the most.
    #[must_use]
    pub fn seen_count(&self) -> usize {
        self.seen.len()
    }

    /// The link of a peer or of a node about to become one.
    #[must_use]
    pub fn link(&self, link: LinkId) -> Option<&Link> {
        self.links.get(link)
    }

    /// How the node is doing.
    #[must_use]
    pub fn status(&self, now: Time) -> MeshStatus {
        MeshStatus {
            uptime: self.started.map(|started| now.since(started)).unwrap_or_default(),
            peers: self.peers.len(),
            outgoing: self.outgoing_peers(),
            opening: self.links.iter().filter(|link| link.peer().is_none()).count(),
            dialling: self.links.dialling(),
            addresses: self.book.len(),
            deferred: self.deferred.len(),
            seen: self.seen.len(),
            clock_off: self.clock.off,
            counts: self.counts,
            problems: self.problems.list(),
        }
    }

    fn on_link_event(&mut self, now: Time, event: LinkEvent) {
        match event {
            LinkEvent::Established { link } => self.on_established(now, link),
            LinkEvent::Repeated { .. } => {}
            LinkEvent::Message { link, message } => self.on_message_in(now, link, message),
            LinkEvent::Malformed { link, error } => {
                self.counts.malformed += 1;
                self.problems.note(now, format_args!("{link}: {error}"));
            }
            LinkEvent::Closed { link, origin, remote, peer, reason } => {
                self.note_missed(now, link, peer.as_deref(), &reason);
                let peer = peer.map(|peer| peer.id);
                self.on_closed(now, link, origin, &remote, peer, reason);
            }
            LinkEvent::DialFailed { dial, error } => {
                self.problems.note(now, &error);
                let Some(opening) = self.opening.remove(&dial) else { return };
                self.book.failed(now, &opening.to, self.peers.is_empty(), &mut self.rng);
                self.connect_done(opening.requests, &Err(ConnectError::Dial(error)));
                self.dial_more(now);
            }
            _ => {}
        }
    }

    fn on_established(&mut self, now: Time, link: LinkId) {
        let Some(via) = self.links.get(link) else { return };
        let Some(handshake) = via.peer().cloned() else { return };
        let (origin, form, is_rs2p) = (via.origin(), via.form(), via.gathers());
        let id = handshake.id;
        let opening = match origin {
            Origin::Dialled(dial) => self.opening.remove(&dial),
            Origin::Accepted => None,
        };
        let mut requests = Vec::new();
        if let Some(opening) = opening {
            self.book.met(now, &opening.to, id, form);
            self.found_again(&opening.to);
            let by_hand = !opening.requests.is_empty();
            let dialled = Dialled { to: opening.to, since: now, by_hand, gives_way: false };
            self.dialled.insert(link, dialled);
            requests = opening.requests;
        }
        if let Some(address) = &handshake.address {
            self.book.claimed(now, address, id, form);
            self.found_again(address);
        }
        let is_full = self.peers.len() >= self.bounds.max_peers && !self.peers.contains_key(&id);
        if is_full && !origin.is_outgoing() {
            self.send_peers(now, link);
            self.links.close(now, link, CloseReason::Full);
            return;
        }
        let is_new = match self.surplus(id, link) {
            Surplus::None => true,
            Surplus::Other(other) => {
                self.let_go(now, other);
                false
            }
            Surplus::This => {
                self.let_go(now, link);
                self.connect_done(requests, &Ok(id));
                return;
            }
        };
        if let Some(before) = self.peers.insert(id, Peer::new(link, id, origin.is_outgoing())) {
            self.timers.set(Timer::Settle(before.link), None);
        }
        self.choose_form();
        self.connect_done(requests, &Ok(id));
        if is_new && let Some(info) = self.peer(id) {
            self.tell(MeshEvent::Connected(info));
        }
        self.greet(now, link);
        self.send_peers(now, link);
        if form == IdForm::Str && !is_rs2p && !origin.is_outgoing() {
            // A js2p node that dialled from a list sends no peers by itself (spec, js2p 6).
            self.request_peers_of(now, link);
        }
        self.send_deferred(now, id);
        if let Origin::Dialled(dial) = origin {
            self.finish_swap(now, dial);
        }
        self.plan_swap(now);
        self.dial_more(now);
    }

    /// From the moment at which its link begins to close, a node is no peer any more: nothing can
    /// be said to it.
    fn lose_peer(&mut self, now: Time, peer: NodeId, link: LinkId, reason: &CloseReason) {
        if self.peers.get(&peer).is_none_or(|peer| peer.link != link) {
            return;
        }
        self.peers.remove(&peer);
        self.choose_form();
        self.timers.set(Timer::Settle(link), None);
        self.ask_wait = ASK_FIRST;
        if self.peers.is_empty() {
            self.book.hurry(now);
        }
        self.tell(MeshEvent::Disconnected { peer, reason: reason.clone() });
    }

    fn on_closed(
        &mut self,
        now: Time,
        link: LinkId,
        origin: Origin,
        remote: &Endpoint,
        peer: Option<NodeId>,
        reason: CloseReason,
    ) {
        let expected = matches!(
            reason,
            CloseReason::Requested
                | CloseReason::Surplus
                | CloseReason::Exchanged
                | CloseReason::Shutdown
                | CloseReason::Full
        );
        if !expected {
            self.problems.note(now, format_args!("{remote}: {reason}"));
        }
        self.timers.set(Timer::Surplus(link), None);
        self.timers.set(Timer::GiveWay(link), None);
        if let Some(peer) = peer {
            self.lose_peer(now, peer, link, &reason);
            self.settle(now, peer);
        }
        if let Some(dialled) = self.dialled.remove(&link) {
            let lasted = now.since(dialled.since);
            if !matches!(reason, CloseReason::Surplus | CloseReason::Exchanged) {
                self.book.lost(now, &dialled.to, lasted, self.peers.is_empty(), &mut self.rng);
            }
        }
        if let Origin::Dialled(dial) = origin
            && let Some(opening) = self.opening.remove(&dial)
        {
            match reason {
                CloseReason::Itself | CloseReason::OtherNetwork { .. } => {
                    self.book.forget(now, &opening.to);
                }
                _ => {
                    self.book.refused(now, &opening.to, self.peers.is_empty(), &mut self.rng);
                }
            }
            self.connect_done(opening.requests, &Err(ConnectError::Closed(reason)));
        }
        self.dial_more(now);
    }

    pub(crate) fn connect_done(
        &mut self,
        requests: Vec<RequestId>,
        result: &Result<NodeId, ConnectError>,
    ) {
        for request in requests {
            self.tell(MeshEvent::ConnectDone { request, result: result.clone() });
        }
    }

    pub(crate) fn tell(&mut self, event: MeshEvent) {
        self.output.push_back(Output::Event(event));
    }

    /// A number for a request, of the mesh's own or of a layer above: one that no other has.
    pub fn request_id(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    /// Acts on what the links tell, and passes on what they want done.
    pub(crate) fn drain(&mut self, now: Time) {
        // What came behind the message that a handler is busy with is told when it is done.
        if self.in_handler {
            return;
        }
        while let Some(output) = self.links.poll_output() {
            match output.into_event() {
                Ok(event) => self.on_link_event(now, event),
                Err(output) => {
                    if let Output::Close { link, reason } = &output
                        && let Some(peer) = self.links.get(*link).and_then(Link::peer)
                    {
                        self.lose_peer(now, peer.id, *link, reason);
                    }
                    self.output.push_back(output);
                }
            }
        }
    }
}

impl Machine for Mesh {
    type Event = MeshEvent;

    fn handle_input(&mut self, now: Time, input: Input) {
        self.started.get_or_insert(now);
        match input {
            Input::Message { link, message } => {
                if let Some(message) = self.links.handle_message(now, link, message) {
                    self.on_message_in(now, link, message);
                }
            }
            Input::Flushed { link, bytes } => return self.links.handle_flushed(now, link, bytes),
            Input::Heard { link } => return self.links.handle_heard(now, link),
            input => self.links.handle_input(now, input),
        }
        self.drain(now);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.started.get_or_insert(now);
        self.links.handle_timeout(now);
        self.drain(now);
        self.seen.handle_timeout(now);
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Dial => self.dial_more(now),
                Timer::Ask => self.ask_for_more(now),
                Timer::Settle(link) => self.on_settle_due(now, link),
                Timer::Missed => self.look_for_missed(now),
                Timer::Swap => self.begin_swap(now),
                Timer::GiveWay(link) => self.links.close(now, link, CloseReason::Exchanged),
                Timer::Surplus(link) => self.links.close(now, link, CloseReason::Surplus),
                Timer::Deferred(request) => self.on_deferred_due(now, request),
            }
            self.drain(now);
        }
    }

    fn poll_output(&mut self) -> Option<Output<MeshEvent>> {
        let output = self.output.pop_front();
        // A node has nothing to do most of the time, and many nodes in one process share the memory
        // that each gives back.
        if self.output.is_empty() && self.output.capacity() > 0 {
            self.output = VecDeque::new();
        }
        output
    }

    fn poll_timeout(&self) -> Option<Time> {
        let deadlines = [self.links.poll_timeout(), self.timers.next(), self.seen.poll_timeout()];
        deadlines.into_iter().flatten().min()
    }

    fn is_duplicate(&self, claimed: &MessageId) -> bool {
        // A single peer hardly tells anything twice.
        self.peers.len() > 1 && self.seen.contains(claimed)
    }

    fn completes(event: &MeshEvent) -> Option<RequestId> {
        match event {
            MeshEvent::ConnectDone { request, .. } | MeshEvent::Delivered { request, .. } => {
                Some(*request)
            }
            _ => None,
        }
    }
}
