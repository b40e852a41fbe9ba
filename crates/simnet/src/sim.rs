//! The engine: nodes, links between them, and what happens when.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv6Addr, SocketAddr};

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::{
    CloseReason, DialError, DialId, Endpoint, Input, LinkId, Machine, Origin, OutFrame, Output,
    Time,
};
use rs2p_wire::{Frame, Limits, Message};

use crate::network::Network;
use crate::queue::EventQueue;
use crate::streams::stream;
use crate::trace::{Counts, TraceDigest};

/// A node of a simulation, by the order in which it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u32);

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fidelity {
    /// As they are.
    Messages,
    /// Each as the bytes of its frame, compressed as agreed, and verified on arrival.
    Frames(Limits),
}

/// A network of machines in virtual time.
///
/// The same seed and the same calls give the same run, whatever else the computer does:
/// [`digest`](Self::digest) tells. Time is counted in microseconds inside and handed to machines
/// in milliseconds.
pub struct Sim<M: Machine> {
    seed: u64,
    network: Network,
    fidelity: Fidelity,
    /// Microseconds since the start.
    now: u64,
    nodes: Vec<Node<M>>,
    by_address: BTreeMap<Endpoint, NodeIndex>,
    ends: Vec<End>,
    queue: EventQueue<Happening>,
    digest: TraceDigest,
    counts: Counts,
    told: Vec<(NodeIndex, M::Event)>,
}

struct Node<M> {
    /// Gone once the node has crashed.
    machine: Option<M>,
    address: Endpoint,
    region: usize,
    /// How far its clock is off, in milliseconds.
    skew: i64,
    /// The deadline for which a timeout is in the queue.
    timer: Option<u64>,
    rng: Xoshiro256PlusPlus,
    dials: BTreeSet<DialId>,
    /// Its ends of open links.
    open: BTreeSet<u32>,
}

/// One end of a link.
struct End {
    node: NodeIndex,
    other: u32,
    is_open: bool,
    latency: u64,
    /// When all that was sent has left.
    sent_by: u64,
    /// When the last of it arrives.
    arrives_by: u64,
}

enum Happening {
    Deliver { end: u32, message: Message },
    DeliverBytes { end: u32, frame: OutFrame },
    Flushed { end: u32, bytes: usize },
    Closed { end: u32, reason: CloseReason },
    Dialled { from: NodeIndex, dial: DialId, to: Endpoint },
    DialFailed { from: NodeIndex, dial: DialId, error: DialError },
    Timeout { node: NodeIndex },
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
            by_address: BTreeMap::new(),
            ends: Vec::new(),
            queue: EventQueue::new(),
            digest: TraceDigest::default(),
            counts: Counts::default(),
            told: Vec::new(),
        }
    }

    /// Adds a node. `make` gets its address and a seed of its own.
    pub fn add(&mut self, region: usize, make: impl FnOnce(Endpoint, u64) -> M) -> NodeIndex {
        let index = NodeIndex(self.nodes.len() as u32);
        let address = Self::address(index);
        let mut rng = stream(self.seed, "node", index.0.into());
        let machine = make(address.clone(), rng.random());
        self.by_address.insert(address.clone(), index);
        self.nodes.push(Node {
            machine: Some(machine),
            address,
            region,
            skew: 0,
            timer: None,
            rng,
            dials: BTreeSet::new(),
            open: BTreeSet::new(),
        });
        self.drain(index);
        index
    }

    /// The address at which a node is dialled.
    #[must_use]
    pub fn address(node: NodeIndex) -> Endpoint {
        // Of the range for documentation (RFC 3849).
        let ip = Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(node.0));
        SocketAddr::new(ip.into(), 4_444).into()
    }

    /// Sets a node's clock ahead by so many milliseconds, or back.
    pub fn set_skew(&mut self, node: NodeIndex, millis: i64) {
        self.nodes[node.0 as usize].skew = millis;
    }

    /// Virtual time, by a clock that goes right.
    #[must_use]
    pub fn now(&self) -> Time {
        Time::from_millis(Self::EPOCH * 1_000 + self.now / 1_000)
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
    pub fn nodes(&self) -> impl Iterator<Item = NodeIndex> + use<M> {
        (0..self.nodes.len() as u32).map(NodeIndex)
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
        self.tell_all(&mut tell);
        while self.queue.next_at().is_some_and(|at| at <= until) {
            if let Some((at, happening)) = self.queue.pop() {
                self.now = at;
                self.happen(happening);
                self.tell_all(&mut tell);
            }
        }
        self.now = self.now.max(until);
    }

    /// Lets so many microseconds pass, and forgets what nodes tell.
    pub fn run_for(&mut self, micros: u64) {
        self.run_until(self.now + micros, |_, _, _| {});
    }

    /// Takes a node down without a word. Its peers' links are reset after their latency, or stay
    /// open for the peers to find out by themselves.
    pub fn crash(&mut self, node: NodeIndex, resets: bool) {
        let slot = &mut self.nodes[node.0 as usize];
        slot.machine = None;
        slot.timer = None;
        slot.dials.clear();
        for end in std::mem::take(&mut slot.open) {
            self.ends[end as usize].is_open = false;
            if resets {
                let other = self.ends[end as usize].other;
                let at = self.now + self.ends[end as usize].latency;
                let reason = CloseReason::Io("connection reset".into());
                self.queue.push(at, Happening::Closed { end: other, reason });
            }
        }
    }

    /// Starts a node that is down, with whatever state `make` gives it.
    pub fn restart(&mut self, node: NodeIndex, make: impl FnOnce(Endpoint, u64) -> M) {
        let slot = &mut self.nodes[node.0 as usize];
        if slot.machine.is_none() {
            let seed = slot.rng.random();
            slot.machine = Some(make(slot.address.clone(), seed));
            self.drain(node);
        }
    }

    /// Whether a node is up.
    #[must_use]
    pub fn is_up(&self, node: NodeIndex) -> bool {
        self.machine(node).is_some()
    }

    /// The nodes that a node has open links to, as they really are.
    pub fn neighbours(&self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        self.nodes[node.0 as usize].open.iter().map(|end| {
            let other = self.ends[*end as usize].other;
            self.ends[other as usize].node
        })
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

    /// What is still to happen, counted.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    fn clock_of(&self, node: NodeIndex) -> Time {
        let millis = Self::EPOCH * 1_000 + self.now / 1_000;
        Time::from_millis(millis.saturating_add_signed(self.nodes[node.0 as usize].skew))
    }

    fn tell_all(&mut self, tell: &mut impl FnMut(&Self, NodeIndex, M::Event)) {
        if self.told.is_empty() {
            return;
        }
        for (node, event) in std::mem::take(&mut self.told) {
            tell(self, node, event);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Deliver { end, message } => self.deliver(end, message),
            Happening::DeliverBytes { end, frame } => {
                let Fidelity::Frames(limits) = self.fidelity else { return };
                match Frame::decode(frame.bytes().clone(), &limits).map(Message::parse) {
                    Ok(Ok(message)) => self.deliver(end, message),
                    Ok(Err(error)) => self.input(end, |link| Input::Malformed { link, error }),
                    Err(error) => self.close(end, CloseReason::Frame(error)),
                }
            }
            Happening::Flushed { end, bytes } => {
                self.input(end, |link| Input::Flushed { link, bytes });
            }
            Happening::Closed { end, reason } => self.close(end, reason),
            Happening::Dialled { from, dial, to } => self.connect(from, dial, to),
            Happening::DialFailed { from, dial, error } => {
                let node = &mut self.nodes[from.0 as usize];
                if node.dials.remove(&dial) {
                    self.counts.dials_failed += 1;
                    self.node_input(from, Input::DialFailed { dial, error });
                }
            }
            Happening::Timeout { node } => self.timeout(node),
        }
    }

    fn deliver(&mut self, end: u32, message: Message) {
        if !self.ends[end as usize].is_open {
            self.counts.lost += 1;
            return;
        }
        self.counts.deliveries += 1;
        self.counts.bytes += message.frame().plain().len() as u64;
        let id = message.id();
        let word = id.as_bytes().first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        self.digest.note(self.now, end.into(), word);
        self.input(end, |link| Input::Message { link, message });
    }

    fn timeout(&mut self, node: NodeIndex) {
        let now = self.clock_of(node);
        let slot = &mut self.nodes[node.0 as usize];
        if slot.timer != Some(self.now) {
            return;
        }
        slot.timer = None;
        let Some(machine) = &mut slot.machine else { return };
        if machine.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.counts.timeouts += 1;
            machine.handle_timeout(now);
            debug_assert!(machine.poll_timeout().is_none_or(|deadline| deadline > now));
        }
        self.drain(node);
    }

    /// Hands something to the node at an open end.
    fn input(&mut self, end: u32, make: impl FnOnce(LinkId) -> Input) {
        let End { node, is_open, .. } = self.ends[end as usize];
        if is_open {
            self.node_input(node, make(LinkId(end.into())));
        }
    }

    fn node_input(&mut self, node: NodeIndex, input: Input) {
        let now = self.clock_of(node);
        if let Some(machine) = &mut self.nodes[node.0 as usize].machine {
            machine.handle_input(now, input);
            self.drain(node);
        }
    }

    /// Does what a machine wants done, and sets its timer.
    fn drain(&mut self, node: NodeIndex) {
        while let Some(output) =
            self.nodes[node.0 as usize].machine.as_mut().and_then(Machine::poll_output)
        {
            match output {
                Output::Send { link, frame, .. } => self.send(link, frame),
                Output::Close { link, reason } => self.close(link.0 as u32, reason),
                Output::Dial { dial, to } => self.dial(node, dial, to),
                Output::CancelDial { dial } => {
                    self.nodes[node.0 as usize].dials.remove(&dial);
                }
                Output::Event(event) => {
                    self.counts.events += 1;
                    self.digest.note(self.now, u64::from(node.0) | 1 << 40, self.counts.events);
                    self.told.push((node, event));
                }
                _ => {}
            }
        }
        self.set_timer(node);
    }

    fn set_timer(&mut self, node: NodeIndex) {
        let slot = &mut self.nodes[node.0 as usize];
        let Some(deadline) = slot.machine.as_ref().and_then(Machine::poll_timeout) else {
            slot.timer = None;
            return;
        };
        let real = deadline.as_millis().saturating_add_signed(-slot.skew);
        let at = (real.saturating_sub(Self::EPOCH * 1_000) * 1_000).max(self.now);
        // A timer that fires early finds nothing due and is set anew, which is cheaper than one
        // for every deadline that is put off.
        if slot.timer.is_none_or(|timer| at < timer) {
            slot.timer = Some(at);
            self.queue.push(at, Happening::Timeout { node });
        }
    }

    fn send(&mut self, link: LinkId, frame: OutFrame) {
        let index = link.0 as usize;
        let jitter = self.network.jitter;
        let end = &mut self.ends[index];
        if !end.is_open {
            return;
        }
        let weight = frame.weight();
        let node = end.node;
        let start = end.sent_by.max(self.now);
        end.sent_by = match self.network.bandwidth {
            Some(bandwidth) => start + weight as u64 * 1_000_000 / bandwidth.max(1),
            None => start,
        };
        let late = match jitter {
            0 => 0,
            jitter => self.nodes[node.0 as usize].rng.random_range(0..=jitter),
        };
        end.arrives_by = end.arrives_by.max(end.sent_by + end.latency + late);
        let (other, sent_by, arrives_by) = (end.other, end.sent_by, end.arrives_by);
        let happening = match self.fidelity {
            Fidelity::Messages => {
                Happening::Deliver { end: other, message: frame.message().clone() }
            }
            Fidelity::Frames(_) => Happening::DeliverBytes { end: other, frame },
        };
        self.queue.push(arrives_by, happening);
        if sent_by > self.now {
            self.queue.push(sent_by, Happening::Flushed { end: index as u32, bytes: weight });
        } else {
            let now = self.clock_of(node);
            if let Some(machine) = &mut self.nodes[node.0 as usize].machine {
                machine.handle_input(now, Input::Flushed { link, bytes: weight });
            }
        }
    }

    /// Ends a link at one end, and sends the news to the other.
    fn close(&mut self, end: u32, reason: CloseReason) {
        let closing = &mut self.ends[end as usize];
        if !closing.is_open {
            return;
        }
        closing.is_open = false;
        let (node, other, latency) = (closing.node, closing.other, closing.latency);
        let at = closing.arrives_by.max(closing.sent_by.max(self.now) + latency);
        if self.ends[other as usize].is_open {
            let reason = CloseReason::PeerClosed;
            self.queue.push(at, Happening::Closed { end: other, reason });
        }
        self.digest.note(self.now, u64::from(end) | 1 << 41, 0);
        let now = self.clock_of(node);
        self.nodes[node.0 as usize].open.remove(&end);
        if let Some(machine) = &mut self.nodes[node.0 as usize].machine {
            machine.handle_input(now, Input::Closed { link: LinkId(end.into()), reason });
            self.drain(node);
        }
    }

    fn dial(&mut self, from: NodeIndex, dial: DialId, to: Endpoint) {
        let region = self.nodes[from.0 as usize].region;
        self.nodes[from.0 as usize].dials.insert(dial);
        let target = self.by_address.get(&to).copied();
        let there = target.map_or(region, |target| self.nodes[target.0 as usize].region);
        let rng = &mut self.nodes[from.0 as usize].rng;
        let latency = self.network.latency.draw(region, there, rng);
        // The first packet there and its answer back.
        let at = self.now + 2 * latency;
        match target {
            Some(_) => self.queue.push(at, Happening::Dialled { from, dial, to }),
            None => {
                let error = DialError::new(to, &io::ErrorKind::ConnectionRefused.into());
                self.queue.push(at, Happening::DialFailed { from, dial, error });
            }
        }
    }

    fn connect(&mut self, from: NodeIndex, dial: DialId, to: Endpoint) {
        if !self.nodes[from.0 as usize].dials.contains(&dial) {
            return;
        }
        let target = self.by_address.get(&to).copied().filter(|target| self.is_up(*target));
        let Some(target) = target else {
            let error = DialError::new(to, &io::ErrorKind::ConnectionRefused.into());
            return self.happen(Happening::DialFailed { from, dial, error });
        };
        self.nodes[from.0 as usize].dials.remove(&dial);
        let regions = [from, target].map(|node| self.nodes[node.0 as usize].region);
        let rng = &mut self.nodes[from.0 as usize].rng;
        let latency = self.network.latency.draw(regions[0], regions[1], rng);
        let (near, far) = (self.ends.len() as u32, self.ends.len() as u32 + 1);
        for (node, end, other) in [(from, near, far), (target, far, near)] {
            let (sent_by, arrives_by) = (self.now, self.now);
            self.ends.push(End { node, other, is_open: true, latency, sent_by, arrives_by });
            self.nodes[node.0 as usize].open.insert(end);
        }
        self.counts.links += 1;
        self.digest.note(self.now, u64::from(near) | 1 << 42, target.0.into());
        let back = self.nodes[from.0 as usize].address.clone();
        let accepted =
            Input::Opened { link: LinkId(far.into()), origin: Origin::Accepted, remote: back };
        self.node_input(target, accepted);
        let opened =
            Input::Opened { link: LinkId(near.into()), origin: Origin::Dialled(dial), remote: to };
        self.node_input(from, opened);
    }
}
