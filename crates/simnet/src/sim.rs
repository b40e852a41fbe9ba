//! The engine: nodes, and what happens to them when.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use rs2p_base::{DialError, DialId, Endpoint, Input, LinkId, Machine, Output, Time};
use rs2p_wire::Limits;

use crate::hold::Hold;
use crate::links::{Dial, Ends, Happening};
use crate::network::Network;
use crate::rules::{NodeSet, Rule, RuleId, Rules};
use crate::streams::{Draws, derive};
use crate::trace::{Counts, Moment, Recent, TraceDigest, What};
use crate::wheel::Wheel;

/// A node of a simulation, by the order in which it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u32);

impl NodeIndex {
    /// Addresses are of the range for documentation (RFC 3849).
    const PREFIX: u128 = 0x2001_0db8 << 96;
    /// Of the range for private networks (RFC 1918), which has room for sixteen million.
    const PREFIX_V4: u32 = 10 << 24;
    const PORT: u16 = 4_444;

    /// The address at which the node is dialled.
    #[must_use]
    pub fn address(self) -> Endpoint {
        self.socket_address().into()
    }

    /// The address from which its datagrams over IPv4 come, and to which they go.
    #[must_use]
    pub fn address_v4(self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::from(Self::PREFIX_V4 | self.0), Self::PORT)
    }

    pub(crate) fn socket_address(self) -> SocketAddr {
        let ip = Ipv6Addr::from(Self::PREFIX | u128::from(self.0));
        SocketAddr::new(ip.into(), Self::PORT)
    }
}

impl fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fidelity {
    /// As they are.
    Messages,
    /// Each as the bytes of its frame, compressed as agreed, and verified on arrival.
    Frames(Limits),
}

/// How a node goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Its process ends: the system closes its links, and refuses new ones.
    Process,
    /// Its host is gone without a word: links stay open for the peers to find out by themselves,
    /// dials time out.
    Host,
}

/// A network of machines in virtual time.
///
/// The same seed and the same calls give the same run, whatever else the computer does:
/// [`digest`](Self::digest) tells. Time is counted in microseconds inside and handed to machines
/// in milliseconds.
pub struct Sim<M: Machine> {
    pub(crate) seed: u64,
    pub(crate) network: Network,
    pub(crate) fidelity: Fidelity,
    /// Microseconds since the start.
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node<M>>,
    pub(crate) ends: Ends,
    pub(crate) wheel: Wheel<Happening>,
    pub(crate) rules: Rules,
    /// Nodes that are paused or slow.
    pub(crate) held: usize,
    pub(crate) digest: TraceDigest,
    pub(crate) counts: Counts,
    pub(crate) recent: Recent,
    pub(crate) told: VecDeque<(NodeIndex, M::Event)>,
}

pub(crate) struct Node<M> {
    /// Gone once the node has crashed.
    pub(crate) machine: Option<M>,
    /// What was left of it then.
    remains: Option<M>,
    pub(crate) region: usize,
    /// How far the clock of its host is off, in milliseconds.
    set: i64,
    /// How far the time is off that its machine is told.
    skew: i64,
    /// The time for which a timeout is in the wheel.
    timer: Option<u64>,
    /// Of links and datagrams that it sends.
    pub(crate) draws: Draws,
    pub(crate) dials: Vec<DialId>,
    /// Its ends of open links, in the order in which they were opened.
    pub(crate) open: Vec<LinkId>,
    pub(crate) hold: Option<Box<Hold>>,
    /// How it went down last.
    pub(crate) crash: Crash,
    pub(crate) lives: u64,
}

impl<M: Machine> Sim<M> {
    /// When simulations begin, in seconds since the Unix epoch: some day in 2027.
    const EPOCH: u64 = 1_800_000_000;

    /// An empty network.
    #[must_use]
    pub fn new(seed: u64, network: Network, fidelity: Fidelity) -> Self {
        Self {
            seed,
            network,
            fidelity,
            now: 0,
            nodes: Vec::new(),
            ends: Ends::default(),
            wheel: Wheel::new(),
            rules: Rules::default(),
            held: 0,
            digest: TraceDigest::default(),
            counts: Counts::default(),
            recent: Recent::new(),
            told: VecDeque::new(),
        }
    }

    /// Adds a node. `make` gets its address and a seed of its own.
    pub fn add(&mut self, region: usize, make: impl FnOnce(Endpoint, u64) -> M) -> NodeIndex {
        let index = NodeIndex(self.nodes.len() as u32);
        self.nodes.push(Node {
            machine: None,
            remains: None,
            region,
            set: 0,
            skew: 0,
            timer: None,
            draws: Draws::new(self.seed, "node", index.0.into()),
            dials: Vec::new(),
            open: Vec::new(),
            hold: None,
            crash: Crash::Process,
            lives: 0,
        });
        self.restart(index, |address, seed, _| make(address, seed));
        index
    }

    /// Adds a node that joins those that are there. `make` gets its address, a seed of its own, and
    /// the address of the first node, which knows the way to the others.
    pub fn join(&mut self, make: impl FnOnce(Endpoint, u64, Option<Endpoint>) -> M) -> NodeIndex {
        let first = self.nodes().next().map(NodeIndex::address);
        self.add(0, |address, seed| make(address, seed, first))
    }

    /// The node at an address, if there has ever been one.
    #[must_use]
    pub fn at_address(&self, address: &Endpoint) -> Option<NodeIndex> {
        let Endpoint::Socket(address) = address else { return None };
        self.at_socket_address(*address)
    }

    pub(crate) fn at_socket_address(&self, address: SocketAddr) -> Option<NodeIndex> {
        let index = match address.ip() {
            IpAddr::V6(ip) => u32::try_from(u128::from(ip) ^ NodeIndex::PREFIX).ok()?,
            IpAddr::V4(ip) => u32::from(ip) ^ NodeIndex::PREFIX_V4,
        };
        let is_there = address.port() == NodeIndex::PORT && (index as usize) < self.nodes.len();
        is_there.then_some(NodeIndex(index))
    }

    /// Sets the clock of a node's host ahead by so many milliseconds, or back. As with the tokio
    /// driver, a machine that is up follows a step ahead at once, while its time goes on as before
    /// after a step back: only its next life begins with that.
    pub fn set_skew(&mut self, node: NodeIndex, millis: i64) {
        let slot = &mut self.nodes[node.0 as usize];
        slot.set = millis;
        slot.skew = if slot.machine.is_some() { slot.skew.max(millis) } else { millis };
        self.set_timer(node);
    }

    /// The seed of the run.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Virtual time, by a clock that goes right.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::from_millis(Self::EPOCH * 1_000 + self.now / 1_000)
    }

    /// Virtual time, by a node's own clock.
    #[must_use]
    pub fn clock_of(&self, node: NodeIndex) -> Time {
        let slot = &self.nodes[node.0 as usize];
        let millis = Self::EPOCH * 1_000 + self.now / 1_000;
        Time::from_millis(millis.saturating_add_signed(slot.skew))
    }

    /// Microseconds since the start.
    #[must_use]
    pub fn elapsed_micros(&self) -> u64 {
        self.now
    }

    /// A node's machine, if it is up.
    #[must_use]
    pub fn machine(&self, node: NodeIndex) -> Option<&M> {
        self.nodes.get(node.0 as usize)?.machine.as_ref()
    }

    /// All nodes, up or down.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = NodeIndex> + ExactSizeIterator + use<M> {
        (0..self.nodes.len() as u32).map(NodeIndex)
    }

    /// Whether all nodes are up, and something holds for each of them.
    pub fn all(&self, mut holds: impl FnMut(&M) -> bool) -> bool {
        self.nodes().all(|node| self.machine(node).is_some_and(&mut holds))
    }

    /// Whether a node is up.
    #[must_use]
    pub fn is_up(&self, node: NodeIndex) -> bool {
        self.machine(node).is_some()
    }

    /// How often a node has been started.
    #[must_use]
    pub fn lives(&self, node: NodeIndex) -> u64 {
        self.nodes[node.0 as usize].lives
    }

    /// Calls a node's machine, as its user would. `None` when it is down.
    pub fn call<R>(&mut self, node: NodeIndex, act: impl FnOnce(&mut M, Time) -> R) -> Option<R> {
        let now = self.clock_of(node);
        let result = act(self.nodes[node.0 as usize].machine.as_mut()?, now);
        self.drain(node);
        Some(result)
    }

    /// Lets time pass up to `until` microseconds since the start, and tells each event.
    pub fn run_until(&mut self, until: u64, mut tell: impl FnMut(&Self, NodeIndex, M::Event)) {
        while let Some((node, event)) = self.next_event(until) {
            tell(self, node, event);
        }
    }

    /// Lets time pass until a node tells something, or up to `until` microseconds since the start.
    pub fn next_event(&mut self, until: u64) -> Option<(NodeIndex, M::Event)> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return Some(told);
            }
            let Some((at, happening)) = self.wheel.pop(until) else {
                self.now = self.now.max(until);
                return None;
            };
            self.now = at;
            self.happen(happening);
        }
    }

    /// Lets time pass until something holds, for so many microseconds at the most, and tells whether
    /// it does. It is looked at first, whenever a node has told something, and at the end; what
    /// nodes tell meanwhile is forgotten.
    pub fn wait_for(&mut self, micros: u64, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now + micros;
        while !holds(self) {
            if self.next_event(until).is_none() {
                return holds(self);
            }
        }
        true
    }

    /// Lets so many microseconds pass, and forgets what nodes tell.
    pub fn run_for(&mut self, micros: u64) {
        self.run_until(self.now + micros, |_, _, _| {});
    }

    /// Takes a node down. What it held is kept for [`restart`](Self::restart).
    pub fn crash(&mut self, node: NodeIndex, how: Crash) {
        let slot = &mut self.nodes[node.0 as usize];
        let Some(machine) = slot.machine.take() else { return };
        slot.remains = Some(machine);
        slot.crash = how;
        slot.timer = None;
        slot.dials.clear();
        let open = std::mem::take(&mut slot.open);
        self.let_go_on(node);
        self.note(node, What::Crashed);
        for link in open {
            self.vanish(link, how == Crash::Process);
        }
    }

    /// Starts a node that is down. `make` gets its address, a seed of its own, and the machine that
    /// it was before, to take from it what would have been on its disk.
    pub fn restart(
        &mut self,
        node: NodeIndex,
        make: impl FnOnce(Endpoint, u64, Option<M>) -> M,
    ) -> bool {
        let slot = &mut self.nodes[node.0 as usize];
        if slot.machine.is_some() {
            return false;
        }
        slot.lives += 1;
        slot.skew = slot.set;
        let seed = derive(derive(self.seed, "life", node.0.into()), "life", slot.lives);
        let remains = slot.remains.take();
        slot.machine = Some(make(node.address(), seed, remains));
        self.note(node, What::Started);
        self.drain(node);
        true
    }

    /// The nodes that a node has open links to, as they really are.
    pub fn neighbours(&self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        let open = self.nodes[node.0 as usize].open.iter();
        open.filter_map(|link| self.ends.peer_of(*link))
    }

    /// The node at the other end of an open link.
    #[must_use]
    pub fn peer_of(&self, link: LinkId) -> Option<NodeIndex> {
        self.ends.open_node(link)?;
        self.ends.peer_of(link)
    }

    /// The open ends of a node's links.
    #[must_use]
    pub fn links_of(&self, node: NodeIndex) -> &[LinkId] {
        &self.nodes[node.0 as usize].open
    }

    /// Which nodes can reach each other over open links through which something gets now: for each
    /// node the first one of its component; nothing for nodes that are down.
    #[must_use]
    pub fn components(&self) -> Vec<Option<NodeIndex>> {
        let mut root: Vec<u32> = (0..self.nodes.len() as u32).collect();
        let find = |root: &mut Vec<u32>, mut node: u32| {
            while root[node as usize] != node {
                root[node as usize] = root[root[node as usize] as usize];
                node = root[node as usize];
            }
            node
        };
        for node in self.nodes() {
            for other in self.neighbours(node).filter(|other| *other > node) {
                if self.rules.is_blocked(node, other) || self.rules.is_blocked(other, node) {
                    continue;
                }
                let (one, two) = (find(&mut root, node.0), find(&mut root, other.0));
                root[one.max(two) as usize] = one.min(two);
            }
        }
        let component =
            |node: NodeIndex| self.is_up(node).then(|| NodeIndex(find(&mut root, node.0)));
        self.nodes().map(component).collect()
    }

    /// Sets a rule up. [`hits`](Self::hits) tells whether it ever had an effect.
    pub fn add_rule(&mut self, rule: Rule) -> RuleId {
        self.rules.add(rule)
    }

    /// Ends a rule, and tells how often it had an effect. What waited for it goes on.
    pub fn remove_rule(&mut self, rule: RuleId) -> u64 {
        let hits = self.rules.remove(rule);
        self.release_links();
        hits
    }

    /// How often a standing rule has had an effect.
    #[must_use]
    pub fn hits(&self, rule: RuleId) -> u64 {
        self.rules.hits(rule)
    }

    /// From now on no rule holds between nodes of this set; `None` ends that.
    pub fn spare(&mut self, nodes: Option<NodeSet>) {
        self.rules.spare(nodes);
        self.release_links();
    }

    /// A digest of all that has happened.
    #[must_use]
    pub fn digest(&self) -> TraceDigest {
        self.digest
    }

    /// What has happened, counted.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The last things that happened, from the oldest to the newest: some thousands at the most.
    pub fn recent(&self) -> impl DoubleEndedIterator<Item = &Moment> {
        self.recent.iter()
    }

    /// What is still to happen, counted.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.wheel.len()
    }

    pub(crate) fn note(&mut self, node: NodeIndex, what: What) {
        self.recent.note(self.now, node, what);
    }

    fn happen(&mut self, happening: Happening) {
        let now = if self.held == 0 { Some(happening) } else { self.hold_back(happening) };
        if let Some(happening) = now {
            self.take_in(happening);
        }
    }

    pub(crate) fn take_in(&mut self, happening: Happening) {
        match happening {
            Happening::Deliver { link, frame } => self.deliver(link, frame),
            Happening::Flushed { link, bytes } => {
                if let Some(node) = self.ends.open_node(link) {
                    self.node_input(node, Input::Flushed { link, bytes });
                }
            }
            Happening::Closed { link, reason } => self.close(link, reason),
            Happening::Dialled { dial, to, latency } => self.connect(dial, to, latency),
            Happening::DialFailed { dial, error } => self.dial_failed(dial, error),
            Happening::Datagram { from, to, data } => self.deliver_datagram(from, to, data),
            Happening::Timeout { node } => self.timeout(node),
            Happening::Serve { node } => self.serve(node),
        }
    }

    fn dial_failed(&mut self, dial: Dial, error: DialError) {
        if !self.is_pending(dial) {
            return;
        }
        let Dial { from, id: dial, .. } = dial;
        self.nodes[from.0 as usize].dials.retain(|pending| *pending != dial);
        self.counts.dials_failed += 1;
        self.note(from, What::DialFailed);
        self.node_input(from, Input::DialFailed { dial, error });
    }

    fn timeout(&mut self, node: NodeIndex) {
        let now = self.clock_of(node);
        let slot = &mut self.nodes[node.0 as usize];
        if slot.timer.is_none_or(|timer| timer > self.now) {
            return;
        }
        slot.timer = None;
        let Some(machine) = &mut slot.machine else { return };
        if machine.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.counts.timeouts += 1;
            machine.handle_timeout(now);
            debug_assert!(machine.poll_timeout().is_none_or(|deadline| deadline > now));
            self.recent.note(self.now, node, What::Timeout);
        }
        self.drain(node);
    }

    pub(crate) fn node_input(&mut self, node: NodeIndex, input: Input) {
        let now = self.clock_of(node);
        if let Some(machine) = &mut self.nodes[node.0 as usize].machine {
            machine.handle_input(now, input);
            self.drain(node);
        }
    }

    /// Does what a machine wants done, and sets its timer.
    pub(crate) fn drain(&mut self, node: NodeIndex) {
        while let Some(output) =
            self.nodes[node.0 as usize].machine.as_mut().and_then(Machine::poll_output)
        {
            match output {
                Output::Send { link, frame, .. } => self.send(link, frame),
                Output::Close { link, reason } => self.close(link, reason),
                Output::Dial { dial, to } => self.dial(node, dial, to),
                Output::CancelDial { dial } => {
                    self.nodes[node.0 as usize].dials.retain(|pending| *pending != dial);
                }
                Output::Datagram { to, data } => self.send_datagram(node, to, data),
                Output::Event(event) => {
                    self.counts.events += 1;
                    self.digest.note(self.now, u64::from(node.0) | 1 << 40, self.counts.events);
                    self.recent.note(self.now, node, What::Event);
                    self.told.push_back((node, event));
                }
                _ => {}
            }
        }
        self.set_timer(node);
    }

    pub(crate) fn set_timer(&mut self, node: NodeIndex) {
        let slot = &mut self.nodes[node.0 as usize];
        let Some(deadline) = slot.machine.as_ref().and_then(Machine::poll_timeout) else {
            slot.timer = None;
            return;
        };
        let real = deadline.as_millis().saturating_add_signed(slot.skew.saturating_neg());
        let at = (real.saturating_sub(Self::EPOCH * 1_000).saturating_mul(1_000)).max(self.now);
        // A timer that fires early finds nothing due and is set anew, which is cheaper than one
        // for every deadline that is put off.
        if slot.timer.is_none_or(|timer| at < timer) {
            slot.timer = Some(at);
            self.wheel.push(at, Happening::Timeout { node });
        }
    }
}
