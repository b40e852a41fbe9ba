//! What the simulator has to know of a layer in order to try it.

use std::collections::BTreeMap;
use std::fmt;

use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::{Endpoint, Machine};
use serde::de::DeserializeOwned;

use crate::invariant::Broken;
use crate::outcome::Distribution;
use crate::scenario::Vocabulary;
use crate::sim::NodeIndex;
use crate::tamper::Tamper;
use crate::world::World;

/// A layer under test: how its nodes begin, what their users do, and what one who sees everything
/// makes of it. It stands outside the nodes and judges by the truth, never by what a node believes.
pub trait Trial: Sized {
    /// A node.
    type Machine: Machine;
    /// Options of the nodes in a scenario.
    type Options: DeserializeOwned + Clone + Default + fmt::Debug;
    /// What the nodes' users do in a phase.
    type Workload: DeserializeOwned + Clone + fmt::Debug;

    /// Its name in scenarios.
    const NAME: &'static str;
    /// What scenarios can name.
    const VOCABULARY: Vocabulary;
    /// Bugs that can be planted, each with what is wrong: to prove that they are found.
    const BUGS: &'static [(&'static str, &'static str)];

    /// The layer for one run, with a bug planted in every node, if one is named.
    fn new(options: &Self::Options, seed: u64, bug: Option<&str>) -> Self;

    /// A node that starts.
    fn start(&mut self, new: NewNode<Self::Machine>) -> Self::Machine;

    /// The bug planted in this node, where it is one that stands between the node and the world.
    fn bug(&mut self, node: NodeIndex) -> Option<Box<dyn Tamper<Self::Machine> + Send>>;

    /// One of the misdeeds of its vocabulary, for a byzantine node.
    fn misdeed(
        &mut self,
        does: &str,
        node: NodeIndex,
    ) -> Option<Box<dyn Tamper<Self::Machine> + Send>>;

    /// A phase begins.
    fn begin(&mut self, world: &World<Self::Machine>);

    /// When users act next, in microseconds since the start, from `from` on; `None`: no more in
    /// this phase, which ends at `until`.
    fn next_act(
        &mut self,
        workload: &Self::Workload,
        from: u64,
        until: u64,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<u64>;

    /// Users act.
    fn act(
        &mut self,
        world: &mut World<Self::Machine>,
        workload: &Self::Workload,
        rng: &mut Xoshiro256PlusPlus,
    );

    /// A node has told something.
    ///
    /// # Errors
    /// It must not have told that: the run ends here, under this name.
    fn heard(
        &mut self,
        world: &World<Self::Machine>,
        node: NodeIndex,
        event: <Self::Machine as Machine>::Event,
    ) -> Result<(), (&'static str, Broken)>;

    /// Looks whether all is as it must be at any time.
    ///
    /// # Errors
    /// Something is not: the run ends here, under this name.
    fn check(&mut self, world: &World<Self::Machine>) -> Result<(), (&'static str, Broken)>;

    /// A phase ends: what was measured in it, by the names of its vocabulary.
    fn measure(&mut self, world: &World<Self::Machine>) -> BTreeMap<&'static str, f64>;

    /// What it has to show over time, at this moment: a name, a unit and a value each.
    fn sample(&mut self, world: &World<Self::Machine>) -> Vec<(&'static str, &'static str, f64)>;

    /// Distributions over the whole run.
    fn distributions(&self) -> Vec<Distribution>;

    /// Where a node stands on the ring of ids, 0 to 1.
    fn position(&self, node: NodeIndex) -> f64;
}

/// A node that is about to start.
#[derive(Debug)]
pub struct NewNode<M> {
    /// Which.
    pub node: NodeIndex,
    /// At which address it is dialled.
    pub address: Endpoint,
    /// Where it finds others.
    pub seeds: Vec<Endpoint>,
    /// The seed of its own choices.
    pub seed: u64,
    /// How often it has been started before.
    pub lives: u64,
    /// What it was before it went down, to take from it what would have been on its disk. Nothing
    /// for a node that starts for the first time, or comes back without its state.
    pub former: Option<M>,
}
