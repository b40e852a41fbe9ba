//! A node of the DHT that also tells when its place in the ring changes, for one who sees
//! everything to look at that very moment.

use rs2p_base::{Input, Machine, NodeId, Output, RequestId, Time};
use rs2p_chord::{Chord, ChordEvent, Ring};
use rs2p_wire::MessageId;

use super::old::{Old, OldRead};

/// A node under test.
#[derive(Debug)]
pub struct Node {
    kind: Kind,
    /// As it was told last.
    ring: Option<Ring<NodeId>>,
}

#[derive(Debug)]
enum Kind {
    Full(Box<Chord>),
    Old(Box<Old>),
}

/// What a node tells.
#[derive(Debug)]
pub enum Told {
    /// To its user.
    User(ChordEvent),
    /// To the user of an old node: a read has ended.
    Read(RequestId, Option<rs2p_wire::Value>),
    /// To nobody: its neighbours in the ring are others than before.
    RingChanged,
}

impl Node {
    pub(super) fn new(chord: Chord) -> Self {
        Self { kind: Kind::Full(Box::new(chord)), ring: None }
    }

    pub(super) fn old(old: Old) -> Self {
        Self { kind: Kind::Old(Box::new(old)), ring: None }
    }

    /// The node, unless it is limited to the old messages.
    pub(super) fn chord(&self) -> Option<&Chord> {
        match &self.kind {
            Kind::Full(chord) => Some(chord),
            Kind::Old(_) => None,
        }
    }

    pub(super) fn chord_mut(&mut self) -> Option<&mut Chord> {
        match &mut self.kind {
            Kind::Full(chord) => Some(chord),
            Kind::Old(_) => None,
        }
    }

    /// The node, if it is limited to the old messages.
    pub(super) fn old_mut(&mut self) -> Option<&mut Old> {
        match &mut self.kind {
            Kind::Full(_) => None,
            Kind::Old(old) => Some(old),
        }
    }
}

impl Machine for Node {
    type Event = Told;

    fn handle_input(&mut self, now: Time, input: Input) {
        match &mut self.kind {
            Kind::Full(chord) => chord.handle_input(now, input),
            Kind::Old(old) => old.handle_input(now, input),
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        match &mut self.kind {
            Kind::Full(chord) => chord.handle_timeout(now),
            Kind::Old(old) => old.handle_timeout(now),
        }
    }

    fn poll_output(&mut self) -> Option<Output<Told>> {
        let chord = match &mut self.kind {
            Kind::Full(chord) => chord,
            Kind::Old(old) => {
                return Some(match old.poll_output()?.into_event() {
                    Ok(OldRead { request, value }) => Output::Event(Told::Read(request, value)),
                    Err(output) => output,
                });
            }
        };
        if let Some(output) = chord.poll_output() {
            return Some(match output.into_event() {
                Ok(event) => Output::Event(Told::User(event)),
                Err(output) => output,
            });
        }
        if chord.ring() == self.ring.as_ref() {
            return None;
        }
        self.ring = chord.ring().cloned();
        Some(Output::Event(Told::RingChanged))
    }

    fn poll_timeout(&self) -> Option<Time> {
        match &self.kind {
            Kind::Full(chord) => chord.poll_timeout(),
            Kind::Old(old) => old.poll_timeout(),
        }
    }

    fn is_duplicate(&self, claimed: &MessageId) -> bool {
        match &self.kind {
            Kind::Full(chord) => chord.is_duplicate(claimed),
            Kind::Old(old) => old.is_duplicate(claimed),
        }
    }

    fn completes(event: &Told) -> Option<RequestId> {
        match event {
            Told::User(event) => Chord::completes(event),
            Told::Read(request, _) => Some(*request),
            Told::RingChanged => None,
        }
    }
}
