//! One node, and peers that are driven by hand: they say what a test wants, and keep what they
//! hear.

use std::collections::VecDeque;
use std::time::Duration;

use rs2p_base::{
    Capability, CloseReason, DialError, DialId, Endpoint, Handshake, Input, LinkConfig, LinkId,
    Machine as _, NodeId, Origin, OutFrame, Output, Protocol, RequestId, Time,
};
use rs2p_chord::{Chord, ChordConfig, ChordCounts, ChordEvent, ReadError, Spot, Table, WriteError};
use rs2p_mesh::{Birth, MeshConfig};
use rs2p_wire::{IdForm, Limits, MainFlag, Message, SubFlag, Value};

/// When every test begins, in seconds.
pub(crate) const BEGIN: u64 = 1_795_301_952;
/// What node and peers read and write.
const LIMITS: Limits = Limits { frame: 16 << 20, expanded: 16 << 20, depth: 64, items: 1_000_000 };

pub(crate) const REQUEST: u64 = 0x2c;
pub(crate) const ANSWER: u64 = 0x2d;
pub(crate) const RING: u64 = 0x2e;
pub(crate) const COPY: u64 = 0x2f;

pub(crate) struct Bench {
    pub(crate) chord: Chord,
    pub(crate) now: Time,
    pub(crate) protocol: Protocol,
    peers: Vec<Peer>,
    events: Vec<ChordEvent>,
    /// Dials that nobody has answered yet.
    pub(crate) dials: Vec<(DialId, Endpoint)>,
    /// Broadcasts that were said so far.
    said: u64,
}

/// A peer, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerIndex(usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Py2p,
    Js2p,
    Rs2p,
}

struct Peer {
    id: NodeId,
    form: IdForm,
    /// What is sent stays in the node's send queue, for a peer that does not read.
    waiting: Option<VecDeque<OutFrame>>,
    heard: Vec<Message>,
    closed: Option<CloseReason>,
}

/// The id of a test's node.
pub(crate) fn id(number: u8) -> NodeId {
    NodeId::from_bytes([number; NodeId::BYTES])
}

/// An id as rs2p nodes write it.
pub(crate) fn binary(id: NodeId) -> Value {
    Value::Binary(id.to_bytes().to_vec())
}

/// A place of a table, as rs2p nodes write it: two elements.
pub(crate) fn spot(spot: Spot) -> [Value; 2] {
    let table = Table::ALL.iter().position(|table| *table == spot.table()).unwrap();
    let all = hex::decode(format!("{:0>128x}", number_of(spot))).unwrap();
    let bytes = if all[..16] == [0; 16] { &all[16..] } else { &all[..] };
    [table.into(), Value::Binary(bytes.to_vec())]
}

fn number_of(spot: Spot) -> num_bigint::BigUint {
    const DIGITS: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let digit = |text: u8| DIGITS.iter().position(|digit| *digit == text).unwrap();
    let text = spot.position().to_string();
    text.bytes().fold(0_u8.into(), |sum: num_bigint::BigUint, text| sum * 58_u8 + digit(text))
}

/// A record of a key at one of its places, as rs2p nodes write it: six elements.
pub(crate) fn record(
    table: Table,
    key: &str,
    time: u64,
    author: u8,
    value: impl Into<Value>,
) -> Vec<Value> {
    let mut elements = spot(Spot::of(table, key.as_bytes())).to_vec();
    elements.extend([time.into(), binary(id(author))]);
    elements.extend([Value::Binary(key.into()), value.into()]);
    elements
}

/// A question: from whom, by way of whom, about what.
pub(crate) fn question(target: NodeId, hops: &[NodeId], number: u64, op: Vec<Value>) -> Vec<Value> {
    let hops = hops.iter().flat_map(|hop| hop.to_bytes()).collect();
    vec![
        REQUEST.into(),
        binary(target),
        Value::Binary(hops),
        number.into(),
        0.into(),
        Value::Array(op),
    ]
}

/// A question to keep a record.
pub(crate) fn keep(
    table: Table,
    key: &str,
    from: NodeId,
    number: u64,
    rest: Vec<Value>,
) -> Vec<Value> {
    let op = [vec![2.into()], rest].concat();
    question(Spot::of(table, key.as_bytes()).point(), &[from], number, op)
}

pub(crate) fn fetch(table: Table, key: &str, from: NodeId, number: u64) -> Vec<Value> {
    let at = Spot::of(table, key.as_bytes());
    question(at.point(), &[from], number, [&[1.into()][..], &spot(at)].concat())
}

impl Bench {
    /// A member of the number 100, alone.
    pub(crate) fn new(config: ChordConfig) -> Self {
        let mut bench = Self::at(Time::from_secs(BEGIN), id(100), config);
        bench.seconds(1);
        bench
    }

    pub(crate) fn at(now: Time, id: NodeId, config: ChordConfig) -> Self {
        let mut birth = Birth::new("chord", address(100), 7);
        birth.id = id;
        let protocol = birth.protocol.clone();
        let mesh = MeshConfig::default();
        let link = LinkConfig { keepalive: None, idle: None, limits: LIMITS, ..mesh.link };
        birth.config = MeshConfig { max_outgoing: 0, link, ..mesh };
        let chord = Chord::new(birth, config);
        let (peers, events, dials) = (Vec::new(), Vec::new(), Vec::new());
        Self { chord, now, protocol, peers, events, dials, said: 0 }
    }

    /// Alone with a peer that stores nothing.
    pub(crate) fn with(kind: Kind) -> (Self, PeerIndex) {
        let mut bench = Self::new(ChordConfig::default());
        let peer = bench.join(kind);
        bench.seconds(2);
        bench.clear();
        (bench, peer)
    }

    /// In a ring of two with an rs2p peer of this number, and settled.
    pub(crate) fn in_ring(config: ChordConfig, other: u8) -> (Self, PeerIndex) {
        let mut bench = Self::new(config);
        let peer = bench.join_as(id(other), Kind::Rs2p);
        bench.become_neighbour(peer);
        bench.clear();
        (bench, peer)
    }

    /// An rs2p peer says that it stores, that it is before the node, and that both have the same.
    pub(crate) fn become_neighbour(&mut self, peer: PeerIndex) {
        self.stores(peer, true);
        self.whisper(peer, &[RING.into(), 4.into()]);
        let (from, to) = (self.chord.id(), self.id(peer));
        let at = Value::Array(vec!["10.0.0.100".into(), 4_000.into()]);
        let node = Value::Array(vec![binary(from), at]);
        let view = [RING.into(), 3.into(), node.clone(), Value::Array(vec![node])];
        self.whisper(peer, &view);
        self.whisper(peer, &[COPY.into(), 6.into(), binary(from), binary(to)]);
        assert_eq!(self.chord.membership(), rs2p_chord::Membership::Joined);
    }

    /// A peer joins, whose number is the next one from 1 on.
    pub(crate) fn join(&mut self, kind: Kind) -> PeerIndex {
        self.join_as(id(self.peers.len() as u8 + 1), kind)
    }

    pub(crate) fn join_as(&mut self, id: NodeId, kind: Kind) -> PeerIndex {
        let number = self.peers.len();
        let form = if kind == Kind::Js2p { IdForm::Str } else { IdForm::Bin };
        let capabilities = match kind {
            Kind::Rs2p => vec![Capability::RS2P, Chord::CAPABILITY],
            _ => Vec::new(),
        };
        self.peers.push(Peer { id, form, waiting: None, heard: Vec::new(), closed: None });
        let (link, remote) = (LinkId(number as u64), address(number as u8));
        self.input(Input::Opened { link, origin: Origin::Accepted, remote });
        let handshake = Handshake {
            id,
            protocol: self.protocol.id().to_string().into(),
            address: Some(address(number as u8)),
            methods: [].into(),
            capabilities: capabilities.into(),
            form,
            opening: false,
        };
        let message = handshake.encode(self.now, &LIMITS).unwrap();
        let peer = PeerIndex(number);
        self.hear(peer, message);
        if kind == Kind::Py2p {
            // It answers a handshake with its peers list.
            self.whisper(peer, &[SubFlag::Peers.into(), Value::Array(Vec::new())]);
        }
        peer
    }

    /// A peer says whether it stores.
    pub(crate) fn stores(&mut self, peer: PeerIndex, stores: bool) {
        let meta = self.peers[peer.0].form.value(if stores { "0" } else { "1" });
        self.whisper(peer, &[SubFlag::Handshake.into(), meta]);
    }

    pub(crate) fn id(&self, peer: PeerIndex) -> NodeId {
        self.peers[peer.0].id
    }

    /// A peer's link ends.
    pub(crate) fn leave(&mut self, peer: PeerIndex) {
        let link = LinkId(peer.0 as u64);
        self.peers[peer.0].closed = Some(CloseReason::PeerClosed);
        self.input(Input::Closed { link, reason: CloseReason::PeerClosed });
    }

    /// A message comes from a peer.
    pub(crate) fn hear(&mut self, peer: PeerIndex, message: Message) {
        let link = LinkId(peer.0 as u64);
        if self.peers[peer.0].closed.is_none() {
            self.input(Input::Message { link, message });
        }
    }

    /// A peer whispers something of its own.
    pub(crate) fn whisper(&mut self, peer: PeerIndex, payload: &[Value]) {
        self.say(peer, MainFlag::Whisper, payload);
    }

    /// A message of a peer's.
    pub(crate) fn say(&mut self, peer: PeerIndex, kind: MainFlag, payload: &[Value]) {
        let Peer { id, form, .. } = self.peers[peer.0];
        let (author, time) = (id.to_string(), self.now.as_secs());
        let message = Message::encode(kind, form, &author, time, payload, &LIMITS).unwrap();
        self.said += 1;
        // Equal ones within a second are two, as with rs2p nodes.
        let message = match kind {
            MainFlag::Broadcast => message.distinct(self.said, &LIMITS).unwrap(),
            _ => message,
        };
        self.hear(peer, message);
    }

    /// A chord message of the originals about a key's place in a table.
    pub(crate) fn plain(
        &mut self,
        peer: PeerIndex,
        flag: SubFlag,
        table: Table,
        key: &str,
        value: Option<Value>,
    ) {
        let number = Spot::of(table, key.as_bytes()).position().to_string();
        let form = self.peers[peer.0].form;
        let mut payload = vec![flag.into(), form.value(table.name()), form.value(&number)];
        payload.extend(value);
        self.whisper(peer, &payload);
    }

    /// Nobody answers where the node dials.
    pub(crate) fn fail_dials(&mut self) {
        for (dial, to) in std::mem::take(&mut self.dials) {
            let error = DialError::new(to, &std::io::ErrorKind::ConnectionRefused.into());
            self.input(Input::DialFailed { dial, error });
        }
    }

    /// What the node's user does.
    pub(crate) fn call<R>(&mut self, act: impl FnOnce(&mut Chord, Time) -> R) -> R {
        let result = act(&mut self.chord, self.now);
        self.drain();
        result
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) -> RequestId {
        let value = value.into();
        self.call(|chord, now| chord.set(now, key, &value)).unwrap()
    }

    pub(crate) fn get(&mut self, key: &str) -> RequestId {
        self.call(|chord, now| chord.get(now, key)).unwrap()
    }

    /// The end of a read, if it has ended.
    pub(crate) fn read_of(&mut self, read: RequestId) -> Option<Result<Option<Value>, ReadError>> {
        self.events.iter().find_map(|event| match event {
            ChordEvent::Read { request, result } if *request == read => Some(result.clone()),
            _ => None,
        })
    }

    /// The end of a write, if it has ended.
    pub(crate) fn write_of(
        &mut self,
        write: RequestId,
    ) -> Option<Result<Option<Value>, WriteError>> {
        self.events.iter().find_map(|event| match event {
            ChordEvent::Written { request, result } if *request == write => Some(result.clone()),
            _ => None,
        })
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        let mut steps = 0;
        while let Some(due) = self.chord.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.chord.handle_timeout(self.now);
            let next = self.chord.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "{next:?} is not after {}", self.now);
            self.drain();
            steps += 1;
            assert!(steps < 100_000, "it spins");
        }
        self.now = end;
    }

    pub(crate) fn seconds(&mut self, seconds: u64) {
        self.run_for(Duration::from_secs(seconds));
    }

    pub(crate) fn events(&mut self) -> Vec<ChordEvent> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn counts(&self) -> ChordCounts {
        self.chord.status(self.now).counts
    }

    /// What a peer has heard of a sub-flag since it was asked last.
    pub(crate) fn heard(&mut self, peer: PeerIndex, flag: impl Into<SubFlag>) -> Vec<Message> {
        let flag = flag.into();
        let heard = &mut self.peers[peer.0].heard;
        let (of_flag, others) =
            std::mem::take(heard).into_iter().partition(|it: &Message| it.sub_flag() == Some(flag));
        *heard = others;
        of_flag
    }

    /// The payloads of what a peer has heard of a sub-flag, that flag left out.
    pub(crate) fn payloads(
        &mut self,
        peer: PeerIndex,
        flag: impl Into<SubFlag>,
    ) -> Vec<Vec<Value>> {
        let payload = |message: Message| message.payload(&LIMITS).unwrap().split_off(1);
        self.heard(peer, flag).into_iter().map(payload).collect()
    }

    /// What a peer has been told of copies, of one kind.
    pub(crate) fn copies(&mut self, peer: PeerIndex, kind: u64) -> Vec<Vec<Value>> {
        let mut all = self.payloads(peer, SubFlag::Other(COPY));
        all.retain(|payload| payload[0] == kind.into());
        all
    }

    /// The answers that a peer has got, by number: what stands in the answer.
    pub(crate) fn answers(&mut self, peer: PeerIndex) -> Vec<(u64, Vec<Value>)> {
        let answers = self.payloads(peer, SubFlag::Other(ANSWER)).into_iter();
        let read = |mut payload: Vec<Value>| {
            let answer = payload.remove(3);
            (payload[1].as_u64().unwrap(), answer.as_array().unwrap().clone())
        };
        answers.map(read).collect()
    }

    /// The questions that a peer has got: number, and what is asked.
    pub(crate) fn questions(&mut self, peer: PeerIndex) -> Vec<(u64, Vec<Value>)> {
        let questions = self.payloads(peer, SubFlag::Other(REQUEST)).into_iter();
        let read = |payload: Vec<Value>| {
            (payload[2].as_u64().unwrap(), payload[4].as_array().unwrap().clone())
        };
        questions.map(read).collect()
    }

    /// A peer answers a question of this node's.
    pub(crate) fn answer(&mut self, peer: PeerIndex, number: u64, answer: Vec<Value>) {
        let hops = Value::Binary(self.chord.id().to_bytes().to_vec());
        let answer = Value::Array(answer);
        self.whisper(peer, &[ANSWER.into(), hops, number.into(), Value::Nil, answer]);
    }

    /// Forgets what peers have heard.
    pub(crate) fn clear(&mut self) {
        self.peers.iter_mut().for_each(|peer| peer.heard.clear());
        self.events.clear();
    }

    /// A peer reads no more.
    pub(crate) fn hold(&mut self, peer: PeerIndex) {
        self.peers[peer.0].waiting.get_or_insert_default();
    }

    /// A peer that does not read by itself reads so many frames. How many there were.
    pub(crate) fn read(&mut self, peer: PeerIndex, frames: usize) -> usize {
        let mut count = 0;
        while count < frames {
            let Some(waiting) = &mut self.peers[peer.0].waiting else { break };
            let Some(frame) = waiting.pop_front() else { break };
            self.deliver(peer.0, &frame);
            self.drain();
            count += 1;
        }
        count
    }

    /// Bytes that wait for a peer.
    pub(crate) fn waiting(&self, peer: PeerIndex) -> usize {
        let waiting = self.peers[peer.0].waiting.iter().flatten();
        waiting.map(OutFrame::weight).sum()
    }

    pub(crate) fn is_closed(&self, peer: PeerIndex) -> bool {
        self.peers[peer.0].closed.is_some()
    }

    fn input(&mut self, input: Input) {
        self.chord.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.chord.poll_output() {
            match output {
                Output::Event(event) => self.events.push(event),
                Output::Send { link, frame, .. } => {
                    let number = link.0 as usize;
                    assert!(self.peers[number].closed.is_none(), "sent after the end");
                    match &mut self.peers[number].waiting {
                        Some(waiting) => waiting.push_back(frame),
                        None => self.deliver(number, &frame),
                    }
                }
                Output::Close { link, reason } => {
                    self.peers[link.0 as usize].closed = Some(reason.clone());
                    self.chord.handle_input(self.now, Input::Closed { link, reason });
                }
                Output::Dial { dial, to } => self.dials.push((dial, to)),
                Output::CancelDial { dial } => self.dials.retain(|(it, _)| *it != dial),
                output => panic!("{output:?}"),
            }
        }
    }

    fn deliver(&mut self, number: usize, frame: &OutFrame) {
        self.peers[number].heard.push(frame.message().clone());
        let (link, bytes) = (LinkId(number as u64), frame.weight());
        self.chord.handle_input(self.now, Input::Flushed { link, bytes });
        let Peer { id, form, .. } = self.peers[number];
        let payload = frame.message().payload(&LIMITS).unwrap_or_default();
        let reply = match &payload[..] {
            // Old peers are asked for their lists, which shows that they have read what came before.
            asked if asked == [SubFlag::Request.into(), form.value("*")] => {
                [SubFlag::Peers.into(), Value::Array(Vec::new())]
            }
            // Whoever reads is there.
            asked if asked == [RING.into(), 0.into()] => [RING.into(), 1.into()],
            _ => return,
        };
        let (kind, id, now) = (MainFlag::Whisper, id.to_string(), self.now.as_secs());
        let message = Message::encode(kind, form, &id, now, &reply, &LIMITS).unwrap();
        self.chord.handle_input(self.now, Input::Message { link, message });
    }
}

pub(crate) fn address(number: u8) -> Endpoint {
    Endpoint::Socket(([10, 0, 0, number], 4_000).into())
}
