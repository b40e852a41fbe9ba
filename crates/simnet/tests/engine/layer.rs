//! Toys as a layer: for whole scenarios.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::{Input, Output, Time};
use rs2p_simnet::{
    Broken, Distribution, Fate, NewNode, NodeIndex, Tamper, Trial, Vocabulary, World,
};
use serde::Deserialize;

use crate::SECOND;
use crate::toy::{Seen, Toy};

/// Every node dials all those before it, and says something on one of its links now and then.
pub(crate) struct Talk;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoOptions {}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Talking {
    /// How often somebody says something, in seconds.
    every: f64,
}

impl Talk {
    fn dial(world: &mut World<Toy>, node: NodeIndex, to: NodeIndex) {
        let address = to.address();
        let is_linked = world.sim.neighbours(node).any(|peer| peer == to);
        world.call(node, |toy, _| {
            if !is_linked && toy.pending.is_empty() {
                toy.dial(address);
            }
        });
    }
}

impl Trial for Talk {
    type Machine = Toy;
    type Options = NoOptions;
    type Workload = Talking;

    const NAME: &'static str = "talk";
    const VOCABULARY: Vocabulary =
        Vocabulary { figures: &[], misdeeds: &[("hush", "tells its user nothing")] };
    const BUGS: &'static [(&'static str, &'static str)] = &[];

    fn new(_: &NoOptions, _: u64, _: Option<&str>) -> Self {
        Self
    }

    fn start(&mut self, new: NewNode<Toy>) -> Toy {
        let memory = new.former.map_or(0, |former| former.memory) + 1;
        Toy::new(new.address, new.seed).with_memory(memory)
    }

    fn bug(&mut self, _: NodeIndex) -> Option<Box<dyn Tamper<Toy> + Send>> {
        None
    }

    fn misdeed(&mut self, does: &str, _: NodeIndex) -> Option<Box<dyn Tamper<Toy> + Send>> {
        (does == "hush").then(|| Box::new(Hush) as Box<_>)
    }

    fn begin(&mut self, _: &World<Toy>) {}

    fn next_act(
        &mut self,
        workload: &Talking,
        from: u64,
        until: u64,
        _: &mut Xoshiro256PlusPlus,
    ) -> Option<u64> {
        let at = from + (workload.every * SECOND as f64) as u64;
        (at < until).then_some(at)
    }

    fn act(&mut self, world: &mut World<Toy>, _: &Talking, rng: &mut Xoshiro256PlusPlus) {
        for node in world.sim.nodes().collect::<Vec<_>>() {
            let other = rng.random_range(0..world.sim.nodes().len() as u32);
            if NodeIndex(other) != node {
                Self::dial(world, node, NodeIndex(other));
            }
            world.call(node, |toy, _| {
                for link in toy.links() {
                    toy.say(link, 10);
                }
            });
        }
    }

    fn heard(
        &mut self,
        _: &World<Toy>,
        _: NodeIndex,
        _: Seen,
    ) -> Result<(), (&'static str, Broken)> {
        Ok(())
    }

    fn check(&mut self, _: &World<Toy>) -> Result<(), (&'static str, Broken)> {
        Ok(())
    }

    fn measure(&mut self, _: &World<Toy>) -> BTreeMap<&'static str, f64> {
        BTreeMap::new()
    }

    fn sample(&mut self, _: &World<Toy>) -> Vec<(&'static str, &'static str, f64)> {
        Vec::new()
    }

    fn distributions(&self) -> Vec<Distribution> {
        Vec::new()
    }

    fn position(&self, _: NodeIndex) -> f64 {
        0.0
    }
}

struct Hush;

impl Tamper<Toy> for Hush {
    fn input(&mut self, _: &mut Toy, _: Time, input: Input) -> Option<Input> {
        Some(input)
    }

    fn output(&mut self, _: &Toy, _: Time, output: Output<Seen>) -> Fate<Seen> {
        match output {
            Output::Event(_) => Fate::Drop,
            output => Fate::Pass(output),
        }
    }
}
