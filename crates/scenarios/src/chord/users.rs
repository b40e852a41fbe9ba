//! What users do with the DHT.

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::{RequestId, Time};
use rs2p_chord::Chord;
use rs2p_simnet::{NodeIndex, Span, Spread, World};
use serde::Deserialize;

use super::node::Node;
use super::truth::{Key, WriteId, numbered, numbered_delta};

/// What users do: they read, write, and look up where keys lie.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// How long from one deed to the next, of whomever.
    pub(super) every: Spread<Span>,
    /// How many keys there are.
    #[serde(default = "some_keys")]
    keys: Spread<u64>,
    /// Bytes of text in each value.
    #[serde(default = "short_text")]
    size: Spread<u64>,
    /// How often they read, set, delete, merge changes into maps, or look up where a key lies:
    /// shares of their sum.
    #[serde(default = "six")]
    get: u32,
    #[serde(default = "two")]
    set: u32,
    #[serde(default = "one")]
    delete: u32,
    #[serde(default = "one")]
    delta: u32,
    #[serde(default)]
    explain: u32,
    /// Whether nodes leave out what they do now and then to keep the ring in order, from the first
    /// deed on, until users of a later phase do something.
    #[serde(default)]
    pub(super) frozen: bool,
    /// How long a node has to be there for its user to do something.
    #[serde(default = "ten_seconds")]
    settled: Spread<Span>,
}

fn some_keys() -> Spread<u64> {
    Spread::fixed(1_000)
}

fn short_text() -> Spread<u64> {
    Spread::between(8, 64)
}

fn six() -> u32 {
    6
}

fn two() -> u32 {
    2
}

fn one() -> u32 {
    1
}

fn ten_seconds() -> Spread<Span> {
    Spread::fixed(Span::from_secs(10))
}

/// What somebody is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Get,
    Set,
    Delete,
    Delta,
    Explain,
}

/// Who does what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) node: NodeIndex,
    pub(super) key: Key,
    pub(super) deed: Deed,
    size: usize,
}

impl Workload {
    /// Who does what next; nothing when nobody can.
    pub(super) fn plan(
        &self,
        world: &World<Node>,
        rng: &mut Xoshiro256PlusPlus,
        is_member: impl Fn(NodeIndex) -> bool,
    ) -> Option<Plan> {
        let nodes = world.sim.nodes().len() as u32;
        let seed = world.sim.seed();
        let since = world.sim.elapsed_micros().checked_sub(self.settled.draw(seed, "settled").0)?;
        let mut tries = (0..1_000).map(|_| NodeIndex(rng.random_range(0..nodes.max(1))));
        let node = tries.find(|node| world.is_steady_since(*node, since) && is_member(*node))?;
        let deed = self.deed(rng);
        let keys = self.keys.draw(seed, "keys").clamp(1, 1_000_000);
        let number = rng.random_range(0..keys) as u32;
        let is_map = match deed {
            Deed::Delta => true,
            Deed::Get => self.delta > 0 && rng.random_range(0..4) == 0,
            _ => false,
        };
        let key = if is_map { Key::Map(number) } else { Key::Plain(number) };
        let size = rng.random_range(self.size.least()..=self.size.most());
        Some(Plan { node, key, deed, size: usize::try_from(size).unwrap_or(usize::MAX) })
    }

    fn deed(&self, rng: &mut Xoshiro256PlusPlus) -> Deed {
        let deeds = [
            (self.get, Deed::Get),
            (self.set, Deed::Set),
            (self.delete, Deed::Delete),
            (self.delta, Deed::Delta),
            (self.explain, Deed::Explain),
        ];
        let sum: u32 = deeds.iter().map(|(share, _)| *share).sum();
        let mut at = rng.random_range(0..sum.max(1));
        for (share, deed) in deeds {
            if at < share {
                return deed;
            }
            at -= share;
        }
        Deed::Get
    }
}

impl Plan {
    /// The same of one who only reads.
    pub(super) fn reading(self) -> Self {
        Self { deed: Deed::Get, ..self }
    }

    /// Begins it.
    pub(super) fn begin(
        self,
        chord: &mut Chord,
        now: Time,
        number: WriteId,
        patience: std::time::Duration,
    ) -> Option<RequestId> {
        let key = self.key.name();
        match self.deed {
            Deed::Get => chord.get_within(now, key, patience).ok(),
            Deed::Set => chord.set(now, key, &numbered(number, self.size)).ok(),
            Deed::Delete => chord.del(now, key).ok(),
            Deed::Delta => chord.apply_delta(now, key, numbered_delta(number)).ok(),
            Deed::Explain => chord.explain(now, key).ok(),
        }
    }

    /// Whether something may be written.
    pub(super) fn writes(self) -> bool {
        matches!(self.deed, Deed::Set | Deed::Delete | Deed::Delta)
    }
}
