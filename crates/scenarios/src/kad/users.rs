//! What users do with the DHT.

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_simnet::{NodeIndex, Span, Spread, World};
use serde::Deserialize;

use super::node::Node;

/// What users do: they look up keys, publish values, and fetch them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// How long from one deed to the next, of whomever.
    pub(super) every: Spread<Span>,
    /// How often they look up a random key, publish a value, or fetch one: shares of their sum.
    #[serde(default)]
    find: u32,
    #[serde(default)]
    put: u32,
    #[serde(default)]
    get: u32,
    /// Bytes of a value.
    #[serde(default = "short")]
    size: Spread<u64>,
    /// How many of the values are long, 0 to 1, and of how many bytes these are.
    #[serde(default = "none")]
    long: Spread<f64>,
    #[serde(default = "hundred_thousand")]
    long_size: Spread<u64>,
    /// Values that are published at most, in the whole run.
    #[serde(default = "thousand")]
    values: Spread<u64>,
    /// How long a node has to be there for its user to do something.
    #[serde(default = "minute")]
    pub(super) settled: Spread<Span>,
}

fn short() -> Spread<u64> {
    Spread::between(16, 700)
}

fn none() -> Spread<f64> {
    Spread::fixed(0.0)
}

fn hundred_thousand() -> Spread<u64> {
    Spread::fixed(100_000)
}

fn thousand() -> Spread<u64> {
    Spread::fixed(1_000)
}

fn minute() -> Spread<Span> {
    Spread::fixed(Span::from_secs(60))
}

/// What somebody is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Find,
    /// A value of so many bytes.
    Put(usize),
    Get,
}

impl Workload {
    /// What is done next, when there are so many values.
    pub(super) fn deed(&self, seed: u64, values: usize, rng: &mut Xoshiro256PlusPlus) -> Deed {
        let sum = (self.find + self.put + self.get).max(1);
        let at = rng.random_range(0..sum);
        let is_long = rng.random_range(0.0..1.0) < self.long.draw(seed, "long");
        let size = if is_long { self.long_size } else { self.size };
        let size = rng.random_range(size.least()..=size.most().max(size.least()));
        let most = self.values.draw(seed, "values");
        if at < self.find {
            Deed::Find
        } else if at < self.find + self.put && (values as u64) < most {
            Deed::Put(usize::try_from(size).unwrap_or(usize::MAX))
        } else {
            Deed::Get
        }
    }

    /// A node that has been there for a while and for which something holds.
    pub(super) fn somebody(
        &self,
        world: &World<Node>,
        rng: &mut Xoshiro256PlusPlus,
        holds: impl Fn(&Node) -> bool,
    ) -> Option<NodeIndex> {
        let nodes = world.sim.nodes().len() as u32;
        let settled = self.settled.draw(world.sim.seed(), "settled").0;
        let since = world.sim.elapsed_micros().checked_sub(settled)?;
        let mut tries = (0..1_000).map(|_| NodeIndex(rng.random_range(0..nodes.max(1))));
        tries.find(|node| {
            world.is_steady_since(*node, since) && world.machine(*node).is_some_and(&holds)
        })
    }
}
