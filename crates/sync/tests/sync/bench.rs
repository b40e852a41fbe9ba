//! One node, and peers that are driven by hand: they say what a test wants, and keep what they
//! hear.

use std::collections::VecDeque;
use std::time::Duration;

use rs2p_base::{
    Capability, CloseReason, Endpoint, Handshake, Input, LinkConfig, LinkId, Machine as _, NodeId,
    Origin, OutFrame, Output, Protocol, Time,
};
use rs2p_mesh::{Birth, MeshConfig};
use rs2p_sync::{Sync, SyncConfig, SyncEvent};
use rs2p_wire::{IdForm, Limits, MainFlag, Message, MessageWriter, SubFlag, Value};

/// When every test begins, in seconds.
pub(crate) const BEGIN: u64 = 1_795_301_952;
/// What node and peers read and write.
const LIMITS: Limits = Limits { frame: 16 << 20, expanded: 16 << 20, depth: 64, items: 1_000_000 };

pub(crate) const COMPARE: u64 = 0x28;
pub(crate) const LIST: u64 = 0x29;
pub(crate) const WANT: u64 = 0x2a;
pub(crate) const RECORDS: u64 = 0x2b;

pub(crate) struct Bench {
    pub(crate) sync: Sync,
    pub(crate) now: Time,
    pub(crate) protocol: Protocol,
    peers: Vec<Peer>,
    events: Vec<SyncEvent>,
    /// Broadcasts that were said so far.
    said: u64,
    /// Whether who joins does not read by itself.
    slow: bool,
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

/// The id of a test's node. Larger numbers have larger texts up to 27, and again from 28 on.
pub(crate) fn id(number: u8) -> NodeId {
    NodeId::from_bytes([number; NodeId::BYTES])
}

impl Bench {
    /// A node of the number 100.
    pub(crate) fn new(config: SyncConfig) -> Self {
        Self::at(Time::from_secs(BEGIN), id(100), config, MeshConfig::default())
    }

    pub(crate) fn at(now: Time, id: NodeId, config: SyncConfig, mut mesh: MeshConfig) -> Self {
        mesh.link.limits = LIMITS;
        Self::at_with_limits(now, id, config, mesh)
    }

    pub(crate) fn at_with_limits(
        now: Time,
        id: NodeId,
        config: SyncConfig,
        mesh: MeshConfig,
    ) -> Self {
        let protocol = Sync::protocol("bench", "Plaintext", config.leasing);
        let mut birth = Birth::new("bench", address(100), 7);
        birth.id = id;
        birth.protocol = protocol.clone();
        let link = LinkConfig { keepalive: None, idle: None, ..mesh.link };
        birth.config = MeshConfig { max_outgoing: 0, link, ..mesh };
        let sync = Sync::new(birth, config);
        Self { sync, now, protocol, peers: Vec::new(), events: Vec::new(), said: 0, slow: false }
    }

    /// Of the default configuration, with such a peer.
    pub(crate) fn with(kind: Kind) -> (Self, PeerIndex) {
        let mut bench = Self::new(SyncConfig::default());
        let peer = bench.join(kind);
        (bench, peer)
    }

    /// A peer joins, whose number is the next one from 1 on.
    pub(crate) fn join(&mut self, kind: Kind) -> PeerIndex {
        self.join_as(id(self.peers.len() as u8 + 1), kind)
    }

    /// As [`join`](Self::join); it does not read by itself.
    pub(crate) fn join_slow(&mut self, kind: Kind) -> PeerIndex {
        self.slow = true;
        let peer = self.join(kind);
        self.slow = false;
        peer
    }

    pub(crate) fn join_as(&mut self, id: NodeId, kind: Kind) -> PeerIndex {
        let number = self.peers.len();
        let form = if kind == Kind::Js2p { IdForm::Str } else { IdForm::Bin };
        let capabilities = match kind {
            Kind::Rs2p => vec![Capability::RS2P, Sync::CAPABILITY],
            _ => Vec::new(),
        };
        let waiting = self.slow.then(VecDeque::new);
        self.peers.push(Peer { id, form, waiting, heard: Vec::new(), closed: None });
        let (link, remote) = (LinkId(number as u64), address(number as u8));
        self.input(Input::Opened { link, origin: Origin::Accepted, remote });
        let handshake = Handshake {
            id,
            protocol: self.protocol.id().to_string().into(),
            address: None,
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
        let Peer { id, form, .. } = self.peers[peer.0];
        self.say(peer, MainFlag::Whisper, (id, form), 0, payload);
    }

    /// A message of any author, and dated so many seconds from now, comes by way of a peer.
    pub(crate) fn say(
        &mut self,
        peer: PeerIndex,
        kind: MainFlag,
        (author, form): (NodeId, IdForm),
        seconds: i64,
        payload: &[Value],
    ) {
        let (author, time) = (author.to_string(), self.time(seconds));
        let message = Message::encode(kind, form, &author, time, payload, &LIMITS).unwrap();
        self.said += 1;
        // Equal ones within a second are two, as with rs2p nodes.
        let message = match kind {
            MainFlag::Broadcast => message.distinct(self.said, &LIMITS).unwrap(),
            _ => message,
        };
        self.hear(peer, message);
    }

    /// An old node sets a key, by way of a peer; `nil` deletes it.
    pub(crate) fn set_by(
        &mut self,
        peer: PeerIndex,
        author: u8,
        seconds: i64,
        key: &str,
        value: impl Into<Value>,
    ) {
        let form = self.peers[peer.0].form;
        let payload = [SubFlag::Store.into(), Value::Binary(key.into()), value.into()];
        self.say(peer, MainFlag::Broadcast, (id(author), form), seconds, &payload);
    }

    /// An old peer tells of a key that it holds.
    pub(crate) fn hand_over(
        &mut self,
        peer: PeerIndex,
        (owner, form): (u8, IdForm),
        seconds: i64,
        key: &str,
        value: impl Into<Value>,
    ) {
        let (owner, time) = (form.value(&id(owner).to_string()), self.time(seconds));
        let key = Value::Binary(key.into());
        self.whisper(peer, &[SubFlag::Store.into(), key, value.into(), owner, time.into()]);
    }

    /// An rs2p node's write, with what stands behind it: after, start, seq, lease, content.
    pub(crate) fn write_by(
        &mut self,
        peer: PeerIndex,
        author: u8,
        seconds: i64,
        payload: &[Value],
        behind: [u64; 5],
    ) {
        let (author, time) = (id(author).to_string(), self.time(seconds));
        let kind = MainFlag::Broadcast;
        let mut writer = MessageWriter::new(kind, IdForm::Bin, &author, time, payload.len());
        payload.iter().for_each(|value| writer.any(value, &LIMITS).unwrap());
        writer.behind(1, |writer| {
            writer.array(5, |writer| behind.iter().for_each(|number| writer.unsigned(*number)));
        });
        let message = writer.finish(&LIMITS).unwrap();
        self.hear(peer, message);
    }

    /// Seconds since the Unix epoch, so many from now.
    pub(crate) fn time(&self, seconds: i64) -> u64 {
        self.now.as_secs().saturating_add_signed(seconds)
    }

    /// What the node's user does.
    pub(crate) fn call<R>(&mut self, act: impl FnOnce(&mut Sync, Time) -> R) -> R {
        let result = act(&mut self.sync, self.now);
        self.drain();
        result
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.call(|sync, now| sync.set(now, key, value)).unwrap();
    }

    pub(crate) fn del(&mut self, key: &str) {
        self.call(|sync, now| sync.del(now, key)).unwrap();
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        let mut steps = 0;
        while let Some(due) = self.sync.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.sync.handle_timeout(self.now);
            let next = self.sync.poll_timeout();
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

    /// What the node has told of its keys since it was asked last, as text.
    pub(crate) fn told(&mut self) -> Vec<String> {
        let text = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        let tell = |event| match event {
            SyncEvent::Update { key, value, .. } => Some(format!("{} = {value}", text(&key))),
            SyncEvent::Delete { key, .. } => Some(format!("{} deleted", text(&key))),
            _ => None,
        };
        self.events().into_iter().filter_map(tell).collect()
    }

    pub(crate) fn events(&mut self) -> Vec<SyncEvent> {
        std::mem::take(&mut self.events)
    }

    /// The value of a key as text.
    pub(crate) fn value(&self, key: &str) -> Option<String> {
        self.sync.get(key).map(|value| value.to_string())
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

    /// The keys of the stores that a peer has heard of.
    pub(crate) fn stored(&mut self, peer: PeerIndex) -> Vec<String> {
        let key = |payload: Vec<Value>| {
            let bytes = rs2p_wire::text_bytes(&payload[0]).unwrap().to_vec();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        self.payloads(peer, SubFlag::Store).into_iter().map(key).collect()
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
        self.sync.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.sync.poll_output() {
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
                    self.sync.handle_input(self.now, Input::Closed { link, reason });
                }
                output => panic!("{output:?}"),
            }
        }
    }

    fn deliver(&mut self, number: usize, frame: &OutFrame) {
        self.peers[number].heard.push(frame.message().clone());
        let (link, bytes) = (LinkId(number as u64), frame.weight());
        self.sync.handle_input(self.now, Input::Flushed { link, bytes });
        // Old peers are asked for their lists, which shows that they have read what came before.
        let Peer { id, form, .. } = self.peers[number];
        let star = [SubFlag::Request.into(), form.value("*")];
        if frame.message().payload(&LIMITS).is_ok_and(|payload| payload == star) {
            let list = [SubFlag::Peers.into(), Value::Array(Vec::new())];
            let (kind, id, now) = (MainFlag::Whisper, id.to_string(), self.now.as_secs());
            let message = Message::encode(kind, form, &id, now, &list, &LIMITS).unwrap();
            self.sync.handle_input(self.now, Input::Message { link, message });
        }
    }
}

fn address(number: u8) -> Endpoint {
    Endpoint::Socket(([10, 0, 0, number], 4_000).into())
}
