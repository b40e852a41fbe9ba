//! Links: byte streams between two nodes, of which whole messages are carried.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use rs2p_base::{
    CloseReason, DialError, DialId, Endpoint, Input, LinkId, Machine, Origin, OutFrame,
};
use rs2p_wire::{Compression, FrameError, Limits, Message, RawFrame};

use crate::rules::Verdict;
use crate::sim::{Crash, Fidelity, NodeIndex, Sim};
use crate::streams::Draws;
use crate::trace::What;

/// What is going to happen to a node.
#[derive(Debug)]
pub(crate) enum Happening {
    Deliver { link: LinkId, frame: OutFrame },
    Flushed { link: LinkId, bytes: usize },
    Closed { link: LinkId, reason: CloseReason },
    Dialled { dial: Dial, to: NodeIndex, latency: u64 },
    DialFailed { dial: Dial, error: DialError },
    Datagram { from: SocketAddr, to: NodeIndex, data: Bytes },
    Timeout { node: NodeIndex },
    Serve { node: NodeIndex },
}

/// A dial. Machines number theirs anew in each life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dial {
    pub(crate) from: NodeIndex,
    pub(crate) life: u32,
    pub(crate) id: DialId,
}

/// One end of a link.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) node: NodeIndex,
    /// The other end, and the node there.
    pub(crate) other: LinkId,
    pub(crate) peer: NodeIndex,
    serial: u32,
    is_open: bool,
    /// Whether it has been reset, and its machine is about to hear of that.
    is_broken: bool,
    /// What the machine has been told of duplicates: when, in seconds since the start.
    heard: u32,
    latency: u64,
    /// When all that was sent has left.
    sent_by: u64,
    /// When the last of it arrives.
    arrives_by: u64,
    /// Bytes that are under way or that the other end has not read, where that is bounded.
    under_way: usize,
    draws: Draws,
    /// What cannot leave now.
    waiting: Option<Box<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<OutFrame>,
    bytes: usize,
    /// Whether the end of the link comes behind them.
    ends: bool,
}

impl End {
    /// Whether so many bytes more may be under way.
    fn has_room(&self, weight: usize, buffer: Option<usize>) -> bool {
        let is_over = |buffer| self.under_way.saturating_add(weight) > buffer;
        self.under_way == 0 || !buffer.is_some_and(is_over)
    }

    /// Tells how many messages that were.
    fn drop_waiting(&mut self) -> u64 {
        self.waiting.take().map_or(0, |waiting| waiting.frames.len() as u64)
    }
}

/// All ends, of open links and of those whose news is still under way. A [`LinkId`] is a place here
/// and, above it, a serial number, so a place can be used again.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    ends: Vec<End>,
    free: Vec<u32>,
    serial: u32,
}

impl Ends {
    fn place(link: LinkId) -> usize {
        link.0 as u32 as usize
    }

    pub(crate) fn get(&self, link: LinkId) -> Option<&End> {
        self.ends.get(Self::place(link)).filter(|end| u64::from(end.serial) == link.0 >> 32)
    }

    fn get_mut(&mut self, link: LinkId) -> Option<&mut End> {
        self.ends.get_mut(Self::place(link)).filter(|end| u64::from(end.serial) == link.0 >> 32)
    }

    fn get_open(&mut self, link: LinkId) -> Option<&mut End> {
        self.get_mut(link).filter(|end| end.is_open)
    }

    /// The node at an end, as long as the end is open.
    pub(crate) fn open_node(&self, link: LinkId) -> Option<NodeIndex> {
        self.get(link).filter(|end| end.is_open).map(|end| end.node)
    }

    pub(crate) fn peer_of(&self, link: LinkId) -> Option<NodeIndex> {
        self.get(link).map(|end| end.peer)
    }

    fn add(&mut self, make: impl FnOnce(u32) -> End) -> LinkId {
        self.serial += 1;
        let end = make(self.serial);
        let place = match self.free.pop() {
            Some(place) => {
                self.ends[place as usize] = end;
                place
            }
            None => {
                self.ends.push(end);
                (self.ends.len() - 1) as u32
            }
        };
        LinkId(u64::from(self.serial) << 32 | u64::from(place))
    }

    /// Gives the places of a link free, once both of its ends are closed. What waits there can
    /// reach nobody any more: tells how many messages that were.
    #[must_use]
    fn tidy(&mut self, link: LinkId) -> u64 {
        let Some(end) = self.get(link) else { return 0 };
        let other = end.other;
        if end.is_open || self.get(other).is_none_or(|other| other.is_open) {
            return 0;
        }
        let mut lost = 0;
        for gone in [link, other] {
            let place = Self::place(gone);
            lost += self.ends[place].drop_waiting();
            self.ends[place].serial = 0;
            self.free.push(place as u32);
        }
        lost
    }
}

impl<M: Machine> Sim<M> {
    pub(crate) fn dial(&mut self, from: NodeIndex, dial: DialId, to: Endpoint) {
        let target = self.at_address(&to);
        let slot = &mut self.nodes[from.0 as usize];
        slot.dials.push(dial);
        let dial = Dial { from, life: slot.lives as u32, id: dial };
        let region = slot.region;
        let mut draws = slot.draws;
        let there = target.map_or(region, |target| self.nodes[target.0 as usize].region);
        let latency = self.network.latency.draw(region, there, &mut draws);
        self.nodes[from.0 as usize].draws = draws;
        // The first packet there and its answer back.
        let at = self.now + 2 * latency;
        match target {
            Some(to) => self.wheel.push(at, Happening::Dialled { dial, to, latency }),
            None => {
                self.counts.dials_nowhere += 1;
                let error = DialError::new(to, &io::ErrorKind::ConnectionRefused.into());
                self.wheel.push(at, Happening::DialFailed { dial, error });
            }
        }
    }

    /// Whether a dial still waits for its answer.
    pub(crate) fn is_pending(&self, dial: Dial) -> bool {
        let slot = &self.nodes[dial.from.0 as usize];
        slot.lives as u32 == dial.life && slot.dials.contains(&dial.id)
    }

    /// A dial has no answer: the dialling node gives it up in the end.
    pub(crate) fn dial_in_vain(&mut self, dial: Dial, to: NodeIndex) {
        let error = DialError::new(to.address(), &io::ErrorKind::TimedOut.into());
        let at = self.now + self.network.dial_timeout;
        self.wheel.push(at, Happening::DialFailed { dial, error });
    }

    pub(crate) fn connect(&mut self, dial: Dial, to: NodeIndex, latency: u64) {
        let from = dial.from;
        if !self.is_pending(dial) {
            return;
        }
        let mut draws = self.nodes[from.0 as usize].draws;
        let there = self.rules.judge(from, to, &mut draws);
        let back = self.rules.judge(to, from, &mut draws);
        self.nodes[from.0 as usize].draws = draws;
        let is_gone = !self.is_up(to) && self.nodes[to.0 as usize].crash == Crash::Host;
        if there.blocked || back.blocked || there.breaks || is_gone {
            return self.dial_in_vain(dial, to);
        }
        if !self.is_up(to) {
            let refused = io::ErrorKind::ConnectionRefused.into();
            let error = DialError::new(to.address(), &refused);
            return self.take_in(Happening::DialFailed { dial, error });
        }
        let slot = &mut self.nodes[from.0 as usize];
        slot.dials.retain(|pending| *pending != dial.id);
        let stream = slot.draws.next();
        let now = self.now;
        let end = |node, peer, serial| End {
            node,
            other: LinkId(0),
            peer,
            serial,
            is_open: true,
            is_broken: false,
            heard: u32::MAX,
            latency,
            sent_by: now,
            arrives_by: now,
            under_way: 0,
            draws: Draws::new(stream, "link", u64::from(node == from)),
            waiting: None,
        };
        let near = self.ends.add(|serial| end(from, to, serial));
        let far = self.ends.add(|serial| end(to, from, serial));
        for (link, other, node) in [(near, far, from), (far, near, to)] {
            if let Some(end) = self.ends.get_mut(link) {
                end.other = other;
            }
            self.nodes[node.0 as usize].open.push(link);
        }
        self.counts.links += 1;
        self.digest.note(self.now, u64::from(from.0) | 1 << 42, to.0.into());
        self.note(from, What::Opened(to));
        self.note(to, What::Opened(from));
        let (origin, remote) = (Origin::Accepted, from.address());
        self.node_input(to, Input::Opened { link: far, origin, remote });
        let (origin, remote) = (Origin::Dialled(dial.id), to.address());
        self.node_input(from, Input::Opened { link: near, origin, remote });
    }

    pub(crate) fn send(&mut self, link: LinkId, frame: OutFrame) {
        let Some(end) = self.ends.get_open(link) else { return };
        if end.is_broken {
            self.counts.lost += 1;
            return;
        }
        let weight = frame.weight();
        let verdict = self.rules.judge(end.node, end.peer, &mut end.draws);
        if verdict.breaks {
            self.counts.lost += 1;
            return self.break_link(link);
        }
        if verdict.blocked || end.waiting.is_some() || !end.has_room(weight, self.network.buffer) {
            let waiting = end.waiting.get_or_insert_default();
            waiting.frames.push_back(frame);
            waiting.bytes += weight;
            let (queued, limit) = (waiting.bytes, self.network.send_queue);
            if queued > limit {
                let reason = CloseReason::SlowReader { queued, limit };
                self.wheel.push(self.now, Happening::Closed { link, reason });
            }
            return;
        }
        self.launch(link, frame, verdict);
    }

    /// Puts a frame onto its way.
    fn launch(&mut self, link: LinkId, frame: OutFrame, verdict: Verdict) {
        let Some(end) = self.ends.get_mut(link) else { return };
        let (node, weight) = (end.node, frame.weight());
        if self.network.buffer.is_some() {
            end.under_way += weight;
        }
        let start = end.sent_by.max(self.now);
        end.sent_by = match self.network.bandwidth.unwrap_or(u64::MAX).min(verdict.bandwidth) {
            u64::MAX => start,
            bandwidth => start + (weight as u64).saturating_mul(1_000_000) / bandwidth.max(1),
        };
        let late = match self.network.jitter {
            0 => 0,
            jitter => end.draws.between(0, jitter),
        };
        end.arrives_by = end.arrives_by.max(end.sent_by + end.latency + late + verdict.delay);
        let (other, sent_by, arrives_by) = (end.other, end.sent_by, end.arrives_by);
        let is_open = end.is_open;
        self.wheel.push(arrives_by, Happening::Deliver { link: other, frame });
        if sent_by > self.now || self.is_held(node) {
            self.wheel.push(sent_by, Happening::Flushed { link, bytes: weight });
        } else if is_open {
            let now = self.clock_of(node);
            if let Some(machine) = &mut self.nodes[node.0 as usize].machine {
                machine.handle_input(now, Input::Flushed { link, bytes: weight });
            }
        }
    }

    pub(crate) fn deliver(&mut self, link: LinkId, frame: OutFrame) {
        let weight = frame.weight();
        let (node, from) = match self.ends.get(link) {
            Some(end) if end.is_broken => {
                self.counts.lost += 1;
                return;
            }
            Some(end) if end.is_open => (end.node, end.peer),
            found => {
                self.counts.lost += 1;
                let closed = found.map(|end| (end.node, end.other));
                // A host that is there says that it knows of no such link.
                if let Some((node, other)) = closed
                    && (self.is_up(node) || self.nodes[node.0 as usize].crash == Crash::Process)
                {
                    self.reset(other, link);
                }
                return;
            }
        };
        self.counts.deliveries += 1;
        self.counts.bytes += weight as u64;
        let id = frame.message().id();
        let word = id.as_bytes().first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        self.digest.note(self.now, link.0, word);
        if self.network.buffer.is_some() {
            self.has_read(link, weight);
        }
        let mark = word.swap_bytes() as u32;
        let raw = match self.fidelity {
            Fidelity::Messages => None,
            Fidelity::Frames(limits) => match split(frame.bytes(), &limits) {
                Ok(raw) => Some((raw, limits)),
                Err(error) => return self.close(link, CloseReason::Frame(error)),
            },
        };
        let claimed = raw.as_ref().map_or(id, |(raw, _)| raw.claimed_id());
        let machine = self.nodes[node.0 as usize].machine.as_ref();
        if machine.is_some_and(|machine| machine.is_duplicate(&claimed)) {
            self.recent.note(self.now, node, What::Duplicate(from, mark));
            return self.pass_over(node, link);
        }
        self.recent.note(self.now, node, What::Message(from, mark));
        let message = match raw {
            None => Ok(frame.message().clone()),
            Some((raw, limits)) => match raw.verify(Compression::AVAILABLE, &limits) {
                Ok(frame) => Message::parse(frame).and_then(|message| message.checked(&limits)),
                Err(error) => return self.close(link, CloseReason::Frame(error)),
            },
        };
        self.node_input(
            node,
            match message {
                Ok(message) => Input::Message { link, message },
                Err(error) => Input::Malformed { link, error },
            },
        );
    }

    /// A duplicate is dropped unread; that the peer is alive is told once a second at most, as the
    /// tokio driver does.
    fn pass_over(&mut self, node: NodeIndex, link: LinkId) {
        self.counts.duplicates += 1;
        let second = (self.now / 1_000_000) as u32;
        if let Some(end) = self.ends.get_mut(link)
            && end.heard != second
        {
            end.heard = second;
            self.node_input(node, Input::Heard { link });
        }
    }

    /// The other end's sender has room again.
    fn has_read(&mut self, link: LinkId, weight: usize) {
        let Some(sender) = self.ends.get(link).map(|end| end.other) else { return };
        let Some(end) = self.ends.get_mut(sender) else { return };
        end.under_way = end.under_way.saturating_sub(weight);
        if end.waiting.is_some() {
            self.release(sender);
        }
    }

    /// Sends what waited, as far as it can leave now.
    fn release(&mut self, link: LinkId) {
        let Some(end) = self.ends.get_mut(link) else { return };
        let node = end.node;
        while let Some(end) = self.ends.get_mut(link)
            && !self.rules.is_blocked(end.node, end.peer)
            && let Some(waiting) = &mut end.waiting
        {
            let Some(weight) = waiting.frames.front().map(OutFrame::weight) else {
                let ends = waiting.ends;
                end.waiting = None;
                let at = end.arrives_by.max(self.now + end.latency);
                if ends {
                    let (link, reason) = (end.other, CloseReason::PeerClosed);
                    self.wheel.push(at, Happening::Closed { link, reason });
                }
                break;
            };
            if !end.has_room(weight, self.network.buffer) {
                break;
            }
            let verdict = self.rules.judge(end.node, end.peer, &mut end.draws);
            if verdict.breaks {
                self.break_link(link);
                break;
            }
            let Some(frame) = end.waiting.as_mut().and_then(|waiting| {
                waiting.bytes -= weight;
                waiting.frames.pop_front()
            }) else {
                break;
            };
            self.launch(link, frame, verdict);
        }
        self.counts.lost += self.ends.tidy(link);
        self.drain(node);
    }

    /// Sends what waited on any link, as far as it can leave now.
    pub(crate) fn release_links(&mut self) {
        for place in 0..self.ends.ends.len() {
            let end = &self.ends.ends[place];
            if end.serial != 0 && end.waiting.is_some() {
                self.release(LinkId(u64::from(end.serial) << 32 | place as u64));
            }
        }
    }

    /// Ends a link at one end, and sends the news to the other.
    pub(crate) fn close(&mut self, link: LinkId, reason: CloseReason) {
        let Some(closing) = self.ends.get_open(link) else { return };
        closing.is_open = false;
        let (node, peer, other) = (closing.node, closing.peer, closing.other);
        let at = closing.arrives_by.max(closing.sent_by.max(self.now) + closing.latency);
        if closing.waiting.is_some() || self.rules.is_blocked(node, peer) {
            closing.waiting.get_or_insert_default().ends = true;
        } else if self.ends.open_node(other).is_some() {
            let reason = CloseReason::PeerClosed;
            self.wheel.push(at, Happening::Closed { link: other, reason });
        }
        self.digest.note(self.now, u64::from(node.0) | 1 << 41, peer.0.into());
        self.note(node, What::Closed(peer));
        self.counts.lost += self.ends.tidy(link);
        self.nodes[node.0 as usize].open.retain(|open| *open != link);
        self.node_input(node, Input::Closed { link, reason });
    }

    /// The node at this end is no more. Its system resets the link, or nobody does.
    pub(crate) fn vanish(&mut self, link: LinkId, resets: bool) {
        let Some(end) = self.ends.get_open(link) else { return };
        end.is_open = false;
        self.counts.lost += end.drop_waiting();
        let other = end.other;
        if resets {
            self.reset(other, link);
        }
        self.counts.lost += self.ends.tidy(link);
    }

    /// Tells an end, after the latency of the other, that there is no such link.
    fn reset(&mut self, link: LinkId, by: LinkId) {
        let Some(end) = self.ends.get(by) else { return };
        if !self.rules.is_blocked(end.node, end.peer) {
            let reason = CloseReason::Io("connection reset".into());
            self.wheel.push(self.now + end.latency, Happening::Closed { link, reason });
        }
    }

    /// Breaks a link, as a fault of the network would: both ends hear of a reset, and what was
    /// under way is lost. `false` when it is not open.
    pub fn reset_link(&mut self, link: LinkId) -> bool {
        let is_whole = self.ends.get_open(link).is_some_and(|end| !end.is_broken);
        if is_whole {
            self.break_link(link);
        }
        is_whole
    }

    fn break_link(&mut self, link: LinkId) {
        let Some(end) = self.ends.get(link) else { return };
        let (other, latency) = (end.other, end.latency);
        for link in [link, other] {
            if let Some(end) = self.ends.get_mut(link) {
                end.is_broken = true;
                self.counts.lost += end.drop_waiting();
            }
        }
        self.counts.broken += 1;
        for (link, at) in [(link, self.now), (other, self.now + latency)] {
            let reason = CloseReason::Io("connection reset".into());
            self.wheel.push(at, Happening::Closed { link, reason });
        }
    }
}

/// A frame as it comes off the wire.
fn split(bytes: &Bytes, limits: &Limits) -> Result<RawFrame, FrameError> {
    let mut buffer = BytesMut::from(&bytes[..]);
    RawFrame::split_from(&mut buffer, limits)?.ok_or(FrameError::Incomplete { bytes: bytes.len() })
}
