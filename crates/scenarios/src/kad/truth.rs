//! What was really published, and until when it must be there and when it must be gone.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rs2p_bytestag::{Key, ValueId};
use rs2p_simnet::{NodeIndex, World};

use super::node::Node;

/// All values that users have published. All times are in microseconds since the start.
#[derive(Debug, Default)]
pub(super) struct Truth {
    values: Vec<Value>,
    numbers: BTreeMap<ValueId, usize>,
}

/// A value that a user has published.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub(super) id: ValueId,
    /// Who published it, with the id: a node that comes back as somebody else has forgotten it.
    publisher: (NodeIndex, Key),
    /// When it was begun to publish it, the last time that it was acknowledged.
    published: Option<u64>,
    /// When the publisher was last seen to have it.
    held: u64,
}

/// How long publishing takes at the most, once it has begun; and how much earlier or later than
/// stated something may expire.
const SLACK: u64 = 300_000_000;

impl Truth {
    /// A value that has never been published, of so many bytes.
    pub(super) fn fresh(&self, seed: u64, size: usize) -> Bytes {
        let number = self.values.len() as u64;
        let mut value: Vec<u8> =
            seed.to_be_bytes().into_iter().chain(number.to_be_bytes()).collect();
        value
            .extend((0..size.saturating_sub(value.len())).map(|at| (at as u64 * 7 + number) as u8));
        value.into()
    }

    /// A user begins to publish a value.
    pub(super) fn begin(&mut self, id: ValueId, publisher: (NodeIndex, Key), now: u64) {
        self.numbers.insert(id, self.values.len());
        self.values.push(Value { id, publisher, published: None, held: now });
    }

    /// It has been acknowledged.
    pub(super) fn acknowledge(&mut self, id: &ValueId, publisher: NodeIndex, begun: u64) {
        if let Some(number) = self.numbers.get(id)
            && let value = &mut self.values[*number]
            && value.publisher.0 == publisher
        {
            value.published = Some(begun);
        }
    }

    /// Notes which publishers still have what they published.
    pub(super) fn look(&mut self, world: &World<Node>) {
        let now = world.sim.elapsed_micros();
        for value in &mut self.values {
            let (publisher, own) = value.publisher;
            let node = world.machine(publisher).filter(|node| node.id() == own);
            if node.and_then(Node::dht).is_some_and(|dht| dht.has(&value.id)) {
                value.held = now;
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The values that must be there from now on for a while.
    pub(super) fn standing(&self, now: u64, lives: Duration) -> impl Iterator<Item = &Value> {
        let lives = lives.as_micros() as u64;
        self.values
            .iter()
            .filter(move |value| value.published.is_some_and(|at| at + lives > now + SLACK))
    }

    /// The values that must be gone, since nobody has published them for so long.
    pub(super) fn expired(&self, now: u64, lives: Duration) -> impl Iterator<Item = &Value> {
        let lives = lives.as_micros() as u64;
        self.values.iter().filter(move |value| value.held + lives + SLACK < now)
    }
}
