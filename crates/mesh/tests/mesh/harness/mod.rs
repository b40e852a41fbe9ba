//! A small network in virtual time: machines, old peers driven by hand, and the wire between them.
//!
//! Everything that a driver would do is done here, with the real codec, and every machine is held
//! to its contract on the way: deadlines lie ahead once they have been served, nothing is said on a
//! link after it was closed, no link is closed twice, each dial has a number of its own.

mod old_peer;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rs2p_base::{
    CloseReason, DialError, DialId, Endpoint, Input, LinkId, Machine as _, NodeId, Origin,
    OutFrame, Output, Protocol, RequestId, Time,
};
use rs2p_mesh::{ConnectError, Mesh, MeshConfig, MeshEvent, PeerInfo};
use rs2p_wire::{Compression, IdForm, Limits, Message, RawFrame};

pub(crate) use old_peer::OldPeer;

/// When every run begins.
pub(crate) const START: Time = Time::from_secs(1_795_301_952);

/// How long a frame is under way, unless a test says otherwise.
pub(crate) const LATENCY: Duration = Duration::from_millis(20);

/// A point in a run, in milliseconds from its beginning.
pub(crate) fn at(millis: u64) -> Time {
    START + Duration::from_millis(millis)
}

/// The id of a test's node: larger numbers have larger ids.
pub(crate) fn id(number: u8) -> NodeId {
    NodeId::from_bytes([number; NodeId::BYTES])
}

/// Where the node of a number listens.
pub(crate) fn address(number: u8) -> Endpoint {
    Endpoint::Socket(([10, 0, 0, number], 4_000 + u16::from(number)).into())
}

/// A node or an old peer of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Node(u8),
    Old(u8),
}

pub(crate) struct Net {
    pub(crate) now: Time,
    pub(crate) latency: Duration,
    /// Whether frames of known messages are dropped before they are hashed, as real drivers do.
    pub(crate) drops_known: bool,
    /// Dials that were asked for: when, by whom, where to.
    pub(crate) dials: Vec<(Time, u8, Endpoint)>,
    /// How many frames nodes have sent.
    pub(crate) frames: usize,
    /// Addresses at which nobody answers at all.
    pub(crate) silent: BTreeSet<Endpoint>,
    /// Everything that left a machine, as far as it is asked for.
    pub(crate) log: Option<Vec<u8>>,
    nodes: BTreeMap<u8, Node>,
    old: BTreeMap<u8, OldPeer>,
    listening: BTreeMap<Endpoint, Who>,
    ends: BTreeMap<LinkId, End>,
    happenings: BTreeMap<(Time, u64), Happening>,
    next_link: u64,
    order: u64,
}

struct Node {
    mesh: Mesh,
    /// How many seconds its clock is ahead.
    ahead: i64,
    events: Vec<MeshEvent>,
    dials: BTreeSet<DialId>,
    /// Dials not answered yet.
    dialling: BTreeSet<DialId>,
}

impl Node {
    fn clock(&self, now: Time) -> Time {
        Time::from_millis(now.as_millis().saturating_add_signed(1_000 * self.ahead))
    }

    /// When it has to be woken, by a clock that goes right.
    fn alarm(&self) -> Option<Time> {
        let due = self.mesh.poll_timeout()?;
        Some(Time::from_millis(due.as_millis().saturating_add_signed(-1_000 * self.ahead)))
    }
}

/// One end of a link.
struct End {
    who: Who,
    other: LinkId,
    stream: BytesMut,
    /// Frames that do not get away, because the peer does not read.
    held: Option<Vec<OutFrame>>,
    /// Why its machine closes it, if it does.
    closing: Option<CloseReason>,
    /// What is sent here vanishes without a word.
    is_cut: bool,
}

enum Happening {
    Arrive { link: LinkId, bytes: Bytes },
    Flushed { link: LinkId, bytes: usize },
    Ended { link: LinkId, reason: CloseReason },
    Accepted { dialler: Who, dial: Option<DialId>, to: Endpoint },
    Opened { link: LinkId, dial: Option<DialId>, remote: Endpoint },
    DialFailed { node: u8, dial: DialId, to: Endpoint, kind: io::ErrorKind },
}

impl Net {
    pub(crate) fn new() -> Self {
        Self {
            now: START,
            latency: LATENCY,
            drops_known: false,
            dials: Vec::new(),
            frames: 0,
            silent: BTreeSet::new(),
            log: None,
            nodes: BTreeMap::new(),
            old: BTreeMap::new(),
            listening: BTreeMap::new(),
            ends: BTreeMap::new(),
            happenings: BTreeMap::new(),
            next_link: 0,
            order: 0,
        }
    }

    /// Adds nodes of the default configuration, which listen and advertise where they do.
    pub(crate) fn nodes<const N: usize>(numbers: [u8; N]) -> Self {
        let mut net = Self::new();
        numbers.into_iter().for_each(|number| net.add(number, MeshConfig::default()));
        net
    }

    pub(crate) fn add(&mut self, number: u8, config: MeshConfig) {
        let address = address(number);
        self.listening.insert(address.clone(), Who::Node(number));
        self.add_dialler(number, Some(address), config);
    }

    /// Adds a node that is found at `advertised`, if anywhere.
    pub(crate) fn add_dialler(
        &mut self,
        number: u8,
        advertised: Option<Endpoint>,
        config: MeshConfig,
    ) {
        let protocol = Protocol::new("mesh", "Plaintext");
        let mesh = Mesh::new(id(number), &protocol, advertised, config, u64::from(number));
        let (events, dials, dialling) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let node = Node { mesh, ahead: 0, events, dials, dialling };
        assert!(self.nodes.insert(number, node).is_none());
    }

    /// Adds an old peer that listens and greets whoever comes.
    pub(crate) fn add_old(&mut self, number: u8, form: IdForm) {
        self.listening.insert(address(number), Who::Old(number));
        self.old.insert(number, OldPeer::new(number, form));
    }

    /// Lets an address lead to a node as well.
    pub(crate) fn alias(&mut self, address: Endpoint, who: Who) {
        self.listening.insert(address, who);
    }

    /// A node vanishes, and with it its links; the others notice after the latency.
    pub(crate) fn stop(&mut self, number: u8) {
        let who = Who::Node(number);
        self.nodes.remove(&number);
        self.listening.retain(|_, listener| *listener != who);
        self.happenings.retain(|_, happening| match happening {
            Happening::Accepted { dialler, .. } => *dialler != who,
            Happening::DialFailed { node, .. } => *node != number,
            _ => true,
        });
        for link in self.links_of(who) {
            let reason = CloseReason::PeerClosed;
            if let Some(end) = self.ends.remove(&link) {
                self.after(self.latency, Happening::Ended { link: end.other, reason });
            }
        }
    }

    /// Sets a node's clock; ahead only, unless nothing has happened to it yet.
    pub(crate) fn set_ahead(&mut self, number: u8, seconds: i64) {
        self.nodes.get_mut(&number).unwrap().ahead = seconds;
    }

    /// What a node's clock tells.
    pub(crate) fn clock(&self, number: u8) -> Time {
        self.nodes[&number].clock(self.now)
    }

    pub(crate) fn mesh(&self, number: u8) -> &Mesh {
        &self.nodes[&number].mesh
    }

    pub(crate) fn old(&self, number: u8) -> &OldPeer {
        &self.old[&number]
    }

    pub(crate) fn old_mut(&mut self, number: u8) -> &mut OldPeer {
        self.old.get_mut(&number).unwrap()
    }

    /// An operation of a node's user.
    pub(crate) fn call<R>(
        &mut self,
        number: u8,
        operation: impl FnOnce(&mut Mesh, Time) -> R,
    ) -> R {
        let now = self.clock(number);
        let result = operation(&mut self.nodes.get_mut(&number).unwrap().mesh, now);
        self.drain(number);
        result
    }

    /// Connects two nodes, and fails when that does not come about within a second.
    pub(crate) fn connect(&mut self, from: u8, to: u8) {
        let request = self.call(from, |mesh, now| mesh.connect(now, address(to)));
        self.run_for(1_000);
        assert_eq!(self.connected(from, request).unwrap().unwrap(), id(to));
    }

    /// How a call of `connect` went, and forgets it.
    pub(crate) fn connected(
        &mut self,
        number: u8,
        call: RequestId,
    ) -> Option<Result<NodeId, ConnectError>> {
        let events = &mut self.nodes.get_mut(&number).unwrap().events;
        let is_it = |event: &MeshEvent| matches!(event, MeshEvent::ConnectDone { request, .. } if *request == call);
        match events.remove(events.iter().position(is_it)?) {
            MeshEvent::ConnectDone { result, .. } => Some(result),
            _ => None,
        }
    }

    /// What a node has told since it was asked last.
    pub(crate) fn events(&mut self, number: u8) -> Vec<MeshEvent> {
        std::mem::take(&mut self.nodes.get_mut(&number).unwrap().events)
    }

    /// The texts of the messages that a node has told of since it was asked last; what else it has
    /// told is forgotten.
    pub(crate) fn texts(&mut self, number: u8) -> Vec<String> {
        let text = |event: &MeshEvent| match event {
            MeshEvent::Message(received) => {
                Some(received.packets()[0].as_str().unwrap().to_owned())
            }
            _ => None,
        };
        self.events(number).iter().filter_map(text).collect()
    }

    pub(crate) fn peers(&self, number: u8) -> Vec<PeerInfo> {
        self.mesh(number).peers().collect()
    }

    /// The ids of a node's peers, by their numbers.
    pub(crate) fn peer_numbers(&self, number: u8) -> Vec<u8> {
        self.peers(number).iter().map(|peer| peer.id.to_bytes()[0]).collect()
    }

    pub(crate) fn is_up(&self, number: u8) -> bool {
        self.nodes.contains_key(&number)
    }

    /// A machine's links that have not ended.
    pub(crate) fn links_of(&self, who: Who) -> Vec<LinkId> {
        let of_who = |(link, end): (&LinkId, &End)| (end.who == who).then_some(*link);
        self.ends.iter().filter_map(of_who).collect()
    }

    /// An old peer dials a node; the link is open and both have been greeted a little later.
    pub(crate) fn dial_by_old(&mut self, number: u8, to: u8) {
        let happening =
            Happening::Accepted { dialler: Who::Old(number), dial: None, to: address(to) };
        self.after(self.latency, happening);
    }

    /// An old peer sends a message on the newest of its links.
    pub(crate) fn say(&mut self, number: u8, message: &Message) {
        self.say_bytes(number, message.frame().plain().clone());
    }

    pub(crate) fn say_bytes(&mut self, number: u8, bytes: Bytes) {
        let link = *self.links_of(Who::Old(number)).last().unwrap();
        self.say_on(link, bytes);
    }

    /// An old peer sends on a link.
    pub(crate) fn say_on(&mut self, link: LinkId, bytes: Bytes) {
        if let Some(end) = self.ends.get(&link).filter(|end| !end.is_cut) {
            self.after(self.latency, Happening::Arrive { link: end.other, bytes });
        }
    }

    /// A node's link to another node or old peer.
    pub(crate) fn link(&self, from: Who, to: Who) -> LinkId {
        let leads = |link: &LinkId| {
            let other = self.ends[link].other;
            self.ends.get(&other).is_some_and(|end| end.who == to)
        };
        self.links_of(from).into_iter().rfind(leads).unwrap()
    }

    /// Ends a link: the one end learns it at once, the other after the latency.
    pub(crate) fn cut(&mut self, link: LinkId) {
        let lost = CloseReason::Io("cut".into());
        let other = self.ends[&link].other;
        self.after(Duration::ZERO, Happening::Ended { link, reason: lost });
        self.after(self.latency, Happening::Ended { link: other, reason: CloseReason::PeerClosed });
    }

    /// From now on nothing gets through a link any more, and nobody is told.
    pub(crate) fn cut_silently(&mut self, link: LinkId) {
        let other = self.ends[&link].other;
        for link in [link, other] {
            if let Some(end) = self.ends.get_mut(&link) {
                end.is_cut = true;
            }
        }
    }

    /// What is sent on a link stays in its send queue from now on.
    pub(crate) fn hold(&mut self, link: LinkId) {
        self.ends.get_mut(&link).unwrap().held.get_or_insert_default();
    }

    /// What was held on a link leaves, as does what follows.
    pub(crate) fn release(&mut self, link: LinkId) {
        let Some(end) = self.ends.get_mut(&link) else { return };
        for frame in end.held.take().unwrap_or_default() {
            self.transmit(link, &frame);
        }
    }

    pub(crate) fn run_for(&mut self, millis: u64) {
        self.run(self.now + Duration::from_millis(millis));
    }

    /// Lets everything happen that happens until `end`.
    pub(crate) fn run(&mut self, end: Time) {
        let mut steps = (self.now, 0);
        loop {
            let alarms = self.nodes.values().filter_map(Node::alarm);
            let happening = self.happenings.first_key_value().map(|((time, _), _)| *time);
            let next = alarms.chain(happening).min();
            let Some(now) = next.filter(|next| *next <= end) else { break };
            self.now = now.max(self.now);
            steps = if steps.0 == self.now { (self.now, steps.1 + 1) } else { (self.now, 0) };
            assert!(steps.1 < 100_000, "the network spins at {now}");
            self.serve_deadlines();
            if let Some(entry) = self.happenings.first_entry()
                && entry.key().0 <= self.now
            {
                let happening = entry.remove();
                self.happen(happening);
            }
        }
        self.now = end;
    }

    fn serve_deadlines(&mut self) {
        let is_due = |node: &Node| node.alarm().is_some_and(|due| due <= self.now);
        let due = self.nodes.iter().filter(|(_, node)| is_due(node));
        for number in due.map(|(number, _)| *number).collect::<Vec<_>>() {
            let now = self.clock(number);
            let mesh = &mut self.nodes.get_mut(&number).unwrap().mesh;
            mesh.handle_timeout(now);
            let next = mesh.poll_timeout();
            assert!(next.is_none_or(|next| next > now), "{next:?} is not after {now}");
            self.drain(number);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive { link, bytes } => self.arrive(link, &bytes),
            Happening::Flushed { link, bytes } => {
                if let Some(Who::Node(node)) = self.ends.get(&link).map(|end| end.who) {
                    self.input(node, Input::Flushed { link, bytes });
                }
            }
            Happening::Ended { link, reason } => {
                // The reason told first counts, even if the other end hangs up meanwhile.
                let is_told = |end: &&End| end.closing.as_ref().is_none_or(|it| *it == reason);
                let Some(end) = self.ends.get(&link).filter(is_told) else { return };
                let who = end.who;
                self.ends.remove(&link);
                match who {
                    Who::Node(node) => self.input(node, Input::Closed { link, reason }),
                    Who::Old(old) => {
                        let now = self.now;
                        self.old_mut(old).closed.push(link);
                        self.old_mut(old).ended.push((now, link));
                    }
                }
            }
            Happening::Accepted { dialler, dial, to } => self.accept(dialler, dial, to),
            Happening::Opened { link, dial, remote } => {
                let Some(end) = self.ends.get(&link) else { return };
                match (end.who, dial) {
                    (Who::Node(node), Some(dial)) => {
                        assert!(self.nodes.get_mut(&node).unwrap().dialling.remove(&dial));
                        let origin = Origin::Dialled(dial);
                        self.input(node, Input::Opened { link, origin, remote });
                    }
                    (Who::Old(old), _) => self.greet(old, link),
                    (Who::Node(_), None) => {}
                }
            }
            Happening::DialFailed { node, dial, to, kind } => {
                let Some(dialler) = self.nodes.get_mut(&node) else { return };
                if dialler.dialling.remove(&dial) {
                    let error = DialError::new(to, &kind.into());
                    self.input(node, Input::DialFailed { dial, error });
                }
            }
        }
    }

    fn accept(&mut self, dialler: Who, dial: Option<DialId>, to: Endpoint) {
        if let Who::Node(node) = dialler
            && !self.nodes.contains_key(&node)
        {
            return;
        }
        let Some(acceptor) = self.listening.get(&to).copied() else {
            if let (Who::Node(node), Some(dial)) = (dialler, dial) {
                let kind = io::ErrorKind::ConnectionRefused;
                self.after(self.latency, Happening::DialFailed { node, dial, to, kind });
            }
            return;
        };
        let (ours, theirs) = (LinkId(self.next_link), LinkId(self.next_link + 1));
        self.next_link += 2;
        for (link, who, other) in [(ours, dialler, theirs), (theirs, acceptor, ours)] {
            let stream = BytesMut::new();
            let end = End { who, other, stream, held: None, closing: None, is_cut: false };
            self.ends.insert(link, end);
        }
        // A driver tells the address that a name led to.
        let remote = match acceptor {
            Who::Node(number) | Who::Old(number) => address(number),
        };
        self.after(self.latency, Happening::Opened { link: ours, dial, remote });
        match acceptor {
            Who::Node(node) => {
                let remote = Endpoint::Socket(([10, 9, 9, 9], 50_000).into());
                let origin = Origin::Accepted;
                self.input(node, Input::Opened { link: theirs, origin, remote });
            }
            Who::Old(old) => self.greet(old, theirs),
        }
    }

    fn greet(&mut self, old: u8, link: LinkId) {
        let now = self.now;
        let greeting = self.old_mut(old).opened(now, link);
        if let Some(message) = greeting {
            self.say_on(link, message.frame().plain().clone());
        }
    }

    fn arrive(&mut self, link: LinkId, bytes: &[u8]) {
        let Some(end) = self.ends.get_mut(&link) else { return };
        end.stream.extend_from_slice(bytes);
        let who = end.who;
        let limits = Limits::default();
        while let Some(end) = self.ends.get_mut(&link) {
            let raw = match RawFrame::split_from(&mut end.stream, &limits) {
                Ok(Some(raw)) => raw,
                Ok(None) => return,
                Err(error) => return self.give_up(link, error.into()),
            };
            if let Who::Node(node) = who
                && self.drops_known
                && self.nodes[&node].mesh.is_duplicate(&raw.claimed_id())
            {
                continue;
            }
            let message = match raw.verify(Compression::AVAILABLE, &limits) {
                Ok(frame) => Message::parse(frame),
                Err(error) => return self.give_up(link, error.into()),
            };
            match who {
                Who::Node(node) => self.input(
                    node,
                    match message {
                        Ok(message) => Input::Message { link, message },
                        Err(error) => Input::Malformed { link, error },
                    },
                ),
                Who::Old(old) => {
                    let now = self.now;
                    let message = message.unwrap();
                    let answer = self.old(old).answer(now, &message);
                    self.old_mut(old).heard.push((now, link, message));
                    if let Some(answer) = answer {
                        self.say_on(link, answer.frame().plain().clone());
                    }
                }
            }
        }
    }

    fn input(&mut self, node: u8, input: Input) {
        let Some(to) = self.nodes.get_mut(&node) else { return };
        to.mesh.handle_input(to.clock(self.now), input);
        self.drain(node);
    }

    fn drain(&mut self, number: u8) {
        let node = self.nodes.get_mut(&number).unwrap();
        let outputs: Vec<_> = std::iter::from_fn(|| node.mesh.poll_output()).collect();
        for output in outputs {
            self.note(number, &output);
            let node = self.nodes.get_mut(&number).unwrap();
            match output {
                Output::Event(event) => node.events.push(event),
                Output::Dial { dial, to } => {
                    assert!(node.dials.insert(dial), "{dial:?} comes twice");
                    node.dialling.insert(dial);
                    self.dials.push((self.now, number, to.clone()));
                    if self.silent.contains(&to) {
                        let kind = io::ErrorKind::TimedOut;
                        let failure = Happening::DialFailed { node: number, dial, to, kind };
                        self.after(Duration::from_secs(10), failure);
                    } else {
                        let (dialler, dial) = (Who::Node(number), Some(dial));
                        self.after(self.latency, Happening::Accepted { dialler, dial, to });
                    }
                }
                Output::CancelDial { dial } => assert!(node.dialling.remove(&dial)),
                Output::Send { link, frame, gather } => {
                    let other = self.ends.get(&self.ends[&link].other).map(|end| end.who);
                    assert!(!gather || !matches!(other, Some(Who::Old(_))), "too much in a write");
                    let end = self.ends.get_mut(&link).unwrap();
                    assert!(
                        end.who == Who::Node(number) && end.closing.is_none(),
                        "sent after its end"
                    );
                    match &mut end.held {
                        Some(held) => held.push(frame),
                        None => self.transmit(link, &frame),
                    }
                }
                Output::Close { link, reason } => {
                    let end = &self.ends[&link];
                    assert!(end.who == Who::Node(number) && end.closing.is_none(), "closed twice");
                    self.close(link, reason);
                }
                _ => panic!("a mesh sends no datagrams"),
            }
        }
    }

    fn transmit(&mut self, link: LinkId, frame: &OutFrame) {
        let end = &self.ends[&link];
        let (other, is_cut) = (end.other, end.is_cut);
        self.frames += 1;
        self.after(Duration::ZERO, Happening::Flushed { link, bytes: frame.weight() });
        if !is_cut {
            let bytes = frame.bytes().clone();
            self.after(self.latency, Happening::Arrive { link: other, bytes });
        }
    }

    /// Ends a link whose stream is of no more use, as drivers do.
    fn give_up(&mut self, link: LinkId, reason: CloseReason) {
        self.close(link, reason.clone());
        self.happen(Happening::Ended { link, reason });
    }

    /// Ends a link from this side. A driver, too, takes a moment until the end is there.
    fn close(&mut self, link: LinkId, reason: CloseReason) {
        let end = self.ends.get_mut(&link).unwrap();
        end.closing = Some(reason.clone());
        let (other, is_cut) = (end.other, end.is_cut);
        self.after(Duration::from_millis(1), Happening::Ended { link, reason });
        if !is_cut {
            let reason = CloseReason::PeerClosed;
            self.after(self.latency, Happening::Ended { link: other, reason });
        }
    }

    fn after(&mut self, delay: Duration, happening: Happening) {
        self.order += 1;
        self.happenings.insert((self.now + delay, self.order), happening);
    }

    fn note(&mut self, node: u8, output: &Output<MeshEvent>) {
        let Some(log) = &mut self.log else { return };
        log.extend_from_slice(format!("{} {node} ", self.now).as_bytes());
        match output {
            Output::Send { link, frame, gather } => {
                log.extend_from_slice(format!("{link} {gather} ").as_bytes());
                log.extend_from_slice(frame.bytes());
            }
            output => log.extend_from_slice(format!("{output:?}").as_bytes()),
        }
        log.push(b'\n');
    }
}
