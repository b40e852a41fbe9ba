//! A machine that does what it is told, writes down what it sees, and panics when its driver breaks
//! the contract.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::{
    CloseReason, DialId, Endpoint, Input, LinkId, Machine, Origin, OutFrame, Output, Time,
};
use rs2p_simnet::stream;
use rs2p_wire::{IdForm, Limits, MainFlag, Message};

/// What a toy has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Opened { link: LinkId, outgoing: bool, remote: Endpoint },
    Heard { link: LinkId, number: u64 },
    Flushed { link: LinkId, bytes: usize },
    Closed { link: LinkId, reason: CloseReason },
    Failed { dial: DialId, kind: io::ErrorKind },
    Datagram { from: SocketAddr, data: Bytes },
    Woken,
}

#[derive(Debug, Default)]
struct Ledger {
    said: u64,
    heard: u64,
    waits: usize,
}

/// What a toy does of its own accord, now and then.
#[derive(Debug)]
struct Whims {
    rng: Xoshiro256PlusPlus,
    others: Vec<Endpoint>,
}

#[derive(Debug)]
pub(crate) struct Toy {
    pub(crate) address: Endpoint,
    pub(crate) seed: u64,
    pub(crate) log: Vec<(Time, Seen)>,
    /// Dials without an answer.
    pub(crate) pending: BTreeMap<DialId, Endpoint>,
    /// What it would have on its disk.
    pub(crate) memory: u64,
    /// Whether each message is sent back as it came, numbered anew.
    pub(crate) echoes: bool,
    links: BTreeMap<LinkId, Ledger>,
    ended: BTreeSet<LinkId>,
    alarm: Option<Time>,
    now: Time,
    next_dial: u64,
    whims: Option<Whims>,
    output: VecDeque<Output<Seen>>,
}

impl Toy {
    pub(crate) fn new(address: Endpoint, seed: u64) -> Self {
        Self {
            address,
            seed,
            log: Vec::new(),
            pending: BTreeMap::new(),
            memory: 0,
            echoes: false,
            links: BTreeMap::new(),
            ended: BTreeSet::new(),
            alarm: None,
            now: Time::default(),
            next_dial: 0,
            whims: None,
            output: VecDeque::new(),
        }
    }

    /// One that remembers what it was.
    pub(crate) fn with_memory(mut self, memory: u64) -> Self {
        self.memory = memory;
        self
    }

    /// From now on it dials these, talks, and hangs up, as it likes.
    pub(crate) fn be_wild(&mut self, now: Time, others: Vec<Endpoint>) {
        self.whims = Some(Whims { rng: stream(self.seed, "whims", 0), others });
        self.alarm = Some(now + Duration::from_millis(1));
    }

    /// From now on it only answers.
    pub(crate) fn be_calm(&mut self) {
        self.whims = None;
        self.alarm = None;
    }

    pub(crate) fn wake_at(&mut self, at: Time) {
        self.alarm = Some(at);
    }

    pub(crate) fn dial(&mut self, to: Endpoint) -> DialId {
        let dial = DialId(self.next_dial);
        self.next_dial += 1;
        self.pending.insert(dial, to.clone());
        self.output.push_back(Output::Dial { dial, to });
        dial
    }

    pub(crate) fn cancel(&mut self, dial: DialId) {
        if self.pending.remove(&dial).is_some() {
            self.output.push_back(Output::CancelDial { dial });
        }
    }

    /// Says the next number on a link, in a message with so much padding. Tells its weight.
    pub(crate) fn say(&mut self, link: LinkId, padding: usize) -> usize {
        let ledger = self.links.get_mut(&link).unwrap();
        let frame = frame(ledger.said, padding);
        let weight = frame.weight();
        ledger.said += 1;
        ledger.waits += weight;
        self.output.push_back(Output::Send { link, frame, gather: true });
        weight
    }

    pub(crate) fn close(&mut self, link: LinkId) {
        if self.links.remove(&link).is_some() {
            self.ended.insert(link);
            self.output.push_back(Output::Close { link, reason: CloseReason::Requested });
        }
    }

    pub(crate) fn datagram(&mut self, to: SocketAddr, data: Bytes) {
        self.output.push_back(Output::Datagram { to, data });
    }

    /// Its links, in the order of their numbers.
    pub(crate) fn links(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }

    /// How many messages it has said on a link, and how many it has heard.
    pub(crate) fn tally(&self, link: LinkId) -> (u64, u64) {
        let ledger = &self.links[&link];
        (ledger.said, ledger.heard)
    }

    /// Bytes on a link that it has not been told to have left.
    pub(crate) fn waits(&self, link: LinkId) -> usize {
        self.links[&link].waits
    }

    /// The numbers heard on any link, in order.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let number = |(_, seen): &(Time, Seen)| match seen {
            Seen::Heard { number, .. } => Some(*number),
            _ => None,
        };
        self.log.iter().filter_map(number).collect()
    }

    /// Why links have closed, in order.
    pub(crate) fn ends(&self) -> Vec<CloseReason> {
        let reason = |(_, seen): &(Time, Seen)| match seen {
            Seen::Closed { reason, .. } => Some(reason.clone()),
            _ => None,
        };
        self.log.iter().filter_map(reason).collect()
    }

    /// How dials have failed, in order.
    pub(crate) fn failures(&self) -> Vec<io::ErrorKind> {
        let kind = |(_, seen): &(Time, Seen)| match seen {
            Seen::Failed { kind, .. } => Some(*kind),
            _ => None,
        };
        self.log.iter().filter_map(kind).collect()
    }

    fn note(&mut self, seen: Seen) {
        self.log.push((self.now, seen.clone()));
        self.output.push_back(Output::Event(seen));
    }

    fn pass(&mut self, now: Time) {
        assert!(now >= self.now, "time went back from {} to {now}", self.now);
        self.now = now;
    }

    fn ledger(&mut self, link: LinkId, what: &str) -> &mut Ledger {
        assert!(!self.ended.contains(&link), "{what} on {link} after its end");
        self.links.get_mut(&link).unwrap_or_else(|| panic!("{what} on {link}, which is not open"))
    }

    /// Does something that nobody has asked for.
    fn follow_a_whim(&mut self) {
        let Some(mut whims) = self.whims.take() else { return };
        let rng = &mut whims.rng;
        let links = self.links();
        let link = (!links.is_empty()).then(|| links[rng.random_range(0..links.len())]);
        match (rng.random_range(0..20), link) {
            (0..3, _) | (_, None) => {
                let to = whims.others[rng.random_range(0..whims.others.len())].clone();
                self.dial(to);
            }
            (3, Some(link)) => self.close(link),
            (4, _) => {
                let pending: Vec<DialId> = self.pending.keys().copied().collect();
                pending.into_iter().for_each(|dial| self.cancel(dial));
            }
            (_, Some(link)) => {
                for _ in 0..rng.random_range(1..4) {
                    self.say(link, rng.random_range(0..200));
                }
            }
        }
        self.alarm = Some(self.now + Duration::from_millis(rng.random_range(1..400)));
        self.whims = Some(whims);
    }
}

impl Machine for Toy {
    type Event = Seen;

    fn handle_input(&mut self, now: Time, input: Input) {
        self.pass(now);
        match input {
            Input::Opened { link, origin, remote } => {
                if let Origin::Dialled(dial) = origin {
                    let to = self.pending.remove(&dial);
                    assert_eq!(to.as_ref(), Some(&remote), "the answer to {dial:?}");
                }
                assert!(!self.ended.contains(&link), "{link} opens again");
                assert!(self.links.insert(link, Ledger::default()).is_none(), "{link} opens twice");
                self.note(Seen::Opened { link, outgoing: origin.is_outgoing(), remote });
            }
            Input::DialFailed { dial, error } => {
                let to = self.pending.remove(&dial);
                assert_eq!(to.as_ref(), Some(&error.to), "the failure of {dial:?}");
                self.note(Seen::Failed { dial, kind: error.kind });
            }
            Input::Message { link, message } => {
                let number = number(&message);
                let ledger = self.ledger(link, "a message");
                assert_eq!(number, ledger.heard, "out of order on {link}");
                ledger.heard += 1;
                self.note(Seen::Heard { link, number });
                if self.echoes {
                    self.say(link, 0);
                }
            }
            Input::Flushed { link, bytes } => {
                let ledger = self.ledger(link, "room");
                assert!(bytes <= ledger.waits, "more has left on {link} than was said");
                ledger.waits -= bytes;
                self.note(Seen::Flushed { link, bytes });
            }
            Input::Closed { link, reason } => {
                let is_own = reason == CloseReason::Requested;
                assert_eq!(self.links.remove(&link).is_some(), !is_own, "{link} closes: {reason}");
                assert_eq!(self.ended.insert(link), !is_own, "{link} closes twice: {reason}");
                self.note(Seen::Closed { link, reason });
            }
            Input::Datagram { from, data } => self.note(Seen::Datagram { from, data }),
            Input::Malformed { link, .. } | Input::Heard { link } => {
                self.ledger(link, "something");
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        self.pass(now);
        let due = self.alarm.take();
        assert!(due.is_some_and(|due| due <= now), "woken at {now}, not at {due:?}");
        self.note(Seen::Woken);
        self.follow_a_whim();
    }

    fn poll_output(&mut self) -> Option<Output<Seen>> {
        self.output.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.alarm
    }
}

/// A message that says a number.
pub(crate) fn frame(number: u64, padding: usize) -> OutFrame {
    let payload = [0.into(), number.into(), "x".repeat(padding).into()];
    let limits = Limits::default();
    Message::encode(MainFlag::Whisper, IdForm::Bin, "1", 0, &payload, &limits).unwrap().into()
}

/// The number that a message says.
pub(crate) fn number(message: &Message) -> u64 {
    message.payload(&Limits::default()).unwrap()[1].as_u64().unwrap()
}
