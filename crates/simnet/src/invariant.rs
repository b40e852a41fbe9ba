//! What must hold, whatever happens.

use rs2p_base::Machine;

use crate::sim::{NodeIndex, Sim};
use crate::trace::Moment;

/// What was seen that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// At which node, if at one.
    pub node: Option<NodeIndex>,
    /// What was seen, in words.
    pub seen: String,
}

impl Broken {
    /// Something seen at a node.
    #[must_use]
    pub fn at(node: NodeIndex, seen: impl Into<String>) -> Self {
        Self { node: Some(node), seen: seen.into() }
    }

    /// Something seen of the network as a whole.
    #[must_use]
    pub fn anywhere(seen: impl Into<String>) -> Self {
        Self { node: None, seen: seen.into() }
    }
}

/// The first time that something was seen that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's name.
    pub invariant: String,
    /// What was seen.
    pub broken: Broken,
    /// The seed of the run.
    pub seed: u64,
    /// When, in microseconds since the start.
    pub at: u64,
    /// The last things that happened: at that node, if it is about one.
    pub recent: Vec<Moment>,
}

/// Something that must hold at any time, as one who sees everything judges it.
type Check<'a, M> = Box<dyn FnMut(&Sim<M>) -> Result<(), Broken> + 'a>;

/// Lets a simulation run, and looks at intervals and at the end whether all is as it must be.
///
/// ```
/// use rs2p_base::{Links, LocalNode, LinkConfig, NodeId, Protocol};
/// use rs2p_simnet::{Broken, Fidelity, Network, Sim, Watch};
/// # use std::sync::Arc;
///
/// let mut sim = Sim::new(1, Network::default(), Fidelity::Messages);
/// for _ in 0..3 {
///     sim.add(0, |address, _seed| {
///         let protocol = Protocol::new("mesh", "Plaintext");
///         let id = NodeId::derive(&address.to_string(), &protocol.id(), "");
///         Links::new(Arc::new(LocalNode::new(id, &protocol, Some(address), LinkConfig::default())))
///     });
/// }
/// let mut watch = Watch::every(1_000_000).always("nobody is lonely", |sim: &Sim<Links>| {
///     match sim.nodes().find(|node| sim.neighbours(*node).next().is_none()) {
///         Some(node) => Err(Broken::at(node, "no links")),
///         None => Ok(()),
///     }
/// });
/// let violation = watch.run_until(&mut sim, 60_000_000, |_, _, _| {}).unwrap_err();
/// assert_eq!((violation.at, violation.broken.seen.as_str()), (1_000_000, "no links"));
/// ```
pub struct Watch<'a, M: Machine> {
    interval: u64,
    next: u64,
    invariants: Vec<(String, Check<'a, M>)>,
}

impl<'a, M: Machine> Watch<'a, M> {
    /// A watch that looks every so many microseconds, at least one.
    #[must_use]
    pub fn every(interval: u64) -> Self {
        let interval = interval.max(1);
        Self { interval, next: interval, invariants: Vec::new() }
    }

    /// Something that must always hold.
    #[must_use]
    pub fn always(
        mut self,
        name: impl Into<String>,
        check: impl FnMut(&Sim<M>) -> Result<(), Broken> + 'a,
    ) -> Self {
        self.invariants.push((name.into(), Box::new(check)));
        self
    }

    /// Lets time pass up to `until` microseconds since the start, and tells each event.
    ///
    /// # Errors
    /// Something does not hold. The simulation has stopped there.
    pub fn run_until(
        &mut self,
        sim: &mut Sim<M>,
        until: u64,
        mut tell: impl FnMut(&Sim<M>, NodeIndex, M::Event),
    ) -> Result<(), Violation> {
        while self.next < until {
            sim.run_until(self.next, &mut tell);
            self.next += self.interval;
            self.look(sim)?;
        }
        sim.run_until(until, tell);
        self.look(sim)
    }

    fn look(&mut self, sim: &Sim<M>) -> Result<(), Violation> {
        for (invariant, check) in &mut self.invariants {
            check(sim).map_err(|broken| Violation::new(sim, invariant, broken))?;
        }
        Ok(())
    }
}

impl Violation {
    /// How many of the last moments are told.
    const RECENT: usize = 24;

    /// What was just seen.
    pub fn new<M: Machine>(sim: &Sim<M>, invariant: &str, broken: Broken) -> Self {
        let is_about = |moment: &&Moment| broken.node.is_none_or(|node| moment.node == node);
        let mut recent: Vec<Moment> =
            sim.recent().rev().filter(is_about).take(Self::RECENT).copied().collect();
        recent.reverse();
        let (seed, at) = (sim.seed(), sim.elapsed_micros());
        Self { invariant: invariant.into(), broken, seed, at, recent }
    }
}
