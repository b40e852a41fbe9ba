//! What users do with the dictionary.

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_simnet::{NodeIndex, Span, Spread, World};
use rs2p_sync::{Sync, WriteError};
use serde::Deserialize;

use super::truth::{Key, Truth, WriteId, numbered, numbered_delta};

/// What users do: they write.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// How long from one write to the next, of whomever.
    pub(super) every: Spread<Span>,
    /// How many keys there are to write.
    pub(super) keys: Spread<u64>,
    /// Bytes of text in each value.
    #[serde(default = "short_text")]
    size: Spread<u64>,
    /// In how many of a hundred writes users let alone what others have leased: they leave it to
    /// the one who has.
    #[serde(default = "most")]
    respect: u32,
    /// How often what is written is a whole value, a change to one, the end of one, or the same
    /// once more: shares of their sum.
    #[serde(default = "six")]
    set: u32,
    #[serde(default = "two")]
    delta: u32,
    #[serde(default = "one")]
    delete: u32,
    #[serde(default = "one")]
    renew: u32,
    /// How long a node has to be there for its user to write. One that has just come has not heard
    /// of all leases yet.
    #[serde(default)]
    settled: Option<Spread<Span>>,
}

fn short_text() -> Spread<u64> {
    Spread::between(8, 64)
}

fn most() -> u32 {
    90
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

/// What somebody is about to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Set,
    Delta,
    Delete,
    Renew,
}

/// Who writes what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) node: NodeIndex,
    pub(super) key: Key,
    pub(super) deed: Deed,
    size: usize,
}

impl Workload {
    /// Who writes what next; nothing when nobody can.
    pub(super) fn plan(
        &self,
        world: &World<Sync>,
        rng: &mut Xoshiro256PlusPlus,
        owner_of: impl Fn(&Sync, &[u8]) -> Option<NodeIndex>,
    ) -> Option<Plan> {
        let nodes = world.sim.nodes().len() as u32;
        let mut tries = (0..1_000).map(|_| NodeIndex(rng.random_range(0..nodes.max(1))));
        let seed = world.sim.seed();
        let settled = self.settled.map_or(0, |settled| settled.draw(seed, "settled").0);
        let since = world.sim.elapsed_micros().checked_sub(settled)?;
        let is_free = |node: &NodeIndex| world.is_steady_since(*node, since);
        let mut node = tries.find(is_free)?;
        let keys = self.keys.draw(seed, "keys").clamp(1, 1_000_000);
        let key = rng.random_range(0..keys) as Key;
        let deed = self.deed(rng);
        let size = rng.random_range(self.size.least()..=self.size.most());
        let respects = rng.random_range(0..100) < self.respect;
        let sync = world.machine(node)?;
        if (respects || deed == Deed::Renew)
            && let Some(owner) = owner_of(sync, &Truth::name(key)).filter(is_free)
        {
            node = owner;
        }
        let is_there = world.machine(node)?.contains(Truth::name(key));
        let deed = if is_there || deed == Deed::Delta { deed } else { Deed::Set };
        Some(Plan { node, key, deed, size: usize::try_from(size).unwrap_or(usize::MAX) })
    }

    fn deed(&self, rng: &mut Xoshiro256PlusPlus) -> Deed {
        let deeds = [
            (self.set, Deed::Set),
            (self.delta, Deed::Delta),
            (self.delete, Deed::Delete),
            (self.renew, Deed::Renew),
        ];
        let sum: u32 = deeds.iter().map(|(share, _)| *share).sum();
        let mut at = rng.random_range(0..sum.max(1));
        for (share, deed) in deeds {
            if at < share {
                return deed;
            }
            at -= share;
        }
        Deed::Set
    }
}

impl Plan {
    /// Does it.
    pub(super) fn carry_out(
        self,
        world: &mut World<Sync>,
        number: WriteId,
        lease: u32,
    ) -> Option<Result<(), WriteError>> {
        let name = Truth::name(self.key);
        world.call(self.node, |sync, now| match self.deed {
            Deed::Set => sync.set(now, &name, numbered(number, self.size)),
            Deed::Delta => sync.apply_delta(now, &name, &numbered_delta(number)).map(|_| ()),
            Deed::Delete => sync.del(now, &name),
            Deed::Renew => sync.renew(now, &name, lease),
        })
    }
}
