//! A node of the DHT that also tells when its place in the ring changes, for one who sees
//! everything to look at that very moment.

use rs2p_base::{Input, Machine, NodeId, Output, RequestId, Time};
use rs2p_chord::{Chord, ChordEvent, Ring};
use rs2p_wire::MessageId;

/// A node under test.
#[derive(Debug)]
pub struct Node {
    pub(super) chord: Chord,
    /// As it was told last.
    ring: Option<Ring<NodeId>>,
}

/// What a node tells.
#[derive(Debug)]
pub enum Told {
    /// To its user.
    User(ChordEvent),
    /// To nobody: its neighbours in the ring are others than before.
    RingChanged,
}

impl Node {
    pub(super) fn new(chord: Chord) -> Self {
        Self { chord, ring: None }
    }
}

impl Machine for Node {
    type Event = Told;

    fn handle_input(&mut self, now: Time, input: Input) {
        self.chord.handle_input(now, input);
    }

    fn handle_timeout(&mut self, now: Time) {
        self.chord.handle_timeout(now);
    }

    fn poll_output(&mut self) -> Option<Output<Told>> {
        if let Some(output) = self.chord.poll_output() {
            return Some(match output.into_event() {
                Ok(event) => Output::Event(Told::User(event)),
                Err(output) => output,
            });
        }
        if self.chord.ring() == self.ring.as_ref() {
            return None;
        }
        self.ring = self.chord.ring().cloned();
        Some(Output::Event(Told::RingChanged))
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.chord.poll_timeout()
    }

    fn is_duplicate(&self, claimed: &MessageId) -> bool {
        self.chord.is_duplicate(claimed)
    }

    fn completes(event: &Told) -> Option<RequestId> {
        match event {
            Told::User(event) => Chord::completes(event),
            Told::RingChanged => None,
        }
    }
}
