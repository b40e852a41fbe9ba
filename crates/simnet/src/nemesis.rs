//! Makes the faults of a plan happen, and counts what they did.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;

use crate::fault::{Fault, PlannedFault};
use crate::outcome::FaultOutcome;
use crate::rules::{Effect, NodeSet, Rule, RuleId};
use crate::run::revive;
use crate::sim::{Crash, NodeIndex};
use crate::streams::stream;
use crate::trial::Trial;
use crate::world::World;

/// The faults that have begun.
#[derive(Debug, Default)]
pub(crate) struct Nemesis {
    active: BTreeMap<usize, Active>,
    over: BTreeMap<usize, FaultOutcome>,
}

#[derive(Debug)]
struct Active {
    planned: PlannedFault,
    began: u64,
    nodes: Vec<NodeIndex>,
    rules: Vec<RuleId>,
    hits: u64,
    rng: Xoshiro256PlusPlus,
}

/// What a fault wants done next: at which time, and to which node if to one.
pub(crate) type Tick = (u64, Option<NodeIndex>);

impl Nemesis {
    /// A fault begins. Tells what it wants done later.
    pub(crate) fn begin<L: Trial>(
        &mut self,
        world: &mut World<L::Machine>,
        planned: PlannedFault,
        layer: &mut L,
    ) -> Vec<Tick> {
        let now = world.sim.elapsed_micros();
        let seed = world.sim.seed();
        let number = planned.number;
        let is_candidate = |node: &NodeIndex| {
            world.sim.is_up(*node) && (world.core.is_none() || !world.is_core(*node))
        };
        let candidates = world.sim.nodes().filter(is_candidate).collect();
        let nodes = planned.target.pick(seed, number, candidates);
        let mut rng = stream(seed, "fault's course", number as u64);
        let (mut ticks, mut hits, mut rules) = (Vec::new(), 0, Vec::new());
        let set: NodeSet = nodes.iter().copied().collect();
        match &planned.fault {
            Fault::Crash { how, .. } => {
                for node in &nodes {
                    hits += take_down(world, *node, *how);
                }
            }
            Fault::Partition { one_way } => {
                let (from, to, effect) = (set.clone(), set.others(), Effect::Block);
                rules.push(world.sim.add_rule(Rule { from, to, effect }));
                if !one_way {
                    let (from, to) = (set.others(), set);
                    rules.push(world.sim.add_rule(Rule { from, to, effect }));
                }
            }
            Fault::Pause => {
                for node in &nodes {
                    world.sim.pause(*node);
                    world.held.insert(*node);
                }
            }
            Fault::Slow { each } => {
                for node in &nodes {
                    world.sim.slow_down(*node, *each);
                    world.held.insert(*node);
                }
            }
            Fault::Flap { every } => ticks.push((now + every, None)),
            Fault::Break { chance } => {
                let effect = Effect::Break(*chance);
                rules.push(world.sim.add_rule(Rule { from: set, to: NodeSet::all(), effect }));
            }
            Fault::Delay { by } => {
                let effect = Effect::Delay(*by);
                rules.push(world.sim.add_rule(Rule { from: set, to: NodeSet::all(), effect }));
            }
            Fault::Narrow { bandwidth } => {
                let effect = Effect::Bandwidth(*bandwidth);
                rules.push(world.sim.add_rule(Rule { from: set, to: NodeSet::all(), effect }));
            }
            Fault::Churn { up, .. } => {
                for node in &nodes {
                    ticks.push((now + exponential(&mut rng, *up), Some(*node)));
                }
            }
            Fault::Skew { millis } => {
                for node in &nodes {
                    world.sim.set_skew(*node, *millis);
                    hits += 1;
                }
            }
            Fault::Byzantine { does } => {
                for node in &nodes {
                    if let Some(tamper) = layer.misdeed(does, *node) {
                        world.byzantine.insert(*node);
                        world.sim.call(*node, |machine, _| machine.tamper_with(tamper));
                    }
                }
            }
        }
        self.active.insert(number, Active { planned, began: now, nodes, rules, hits, rng });
        ticks
    }

    /// It is time for what a fault wanted done.
    pub(crate) fn tick<L: Trial>(
        &mut self,
        world: &mut World<L::Machine>,
        number: usize,
        node: Option<NodeIndex>,
        layer: &mut L,
    ) -> Option<Tick> {
        let now = world.sim.elapsed_micros();
        let active = self.active.get_mut(&number)?;
        match (&active.planned.fault, node) {
            (Fault::Flap { every }, _) => {
                for node in &active.nodes {
                    let links = world.sim.links_of(*node);
                    if links.is_empty() {
                        continue;
                    }
                    let link = links[active.rng.random_range(0..links.len())];
                    let spared = world.core.is_some()
                        && world.is_core(*node)
                        && world.sim.peer_of(link).is_some_and(|peer| world.is_core(peer));
                    active.hits += u64::from(!spared && world.sim.reset_link(link));
                }
                Some((now + every, None))
            }
            (Fault::Churn { up, down, how, keep }, Some(node)) => {
                if world.core.is_some() && world.is_core(node) {
                    return None;
                }
                if world.sim.is_up(node) {
                    active.hits += take_down(world, node, *how);
                    Some((now + exponential(&mut active.rng, *down), Some(node)))
                } else {
                    revive(world, layer, node, *keep);
                    Some((now + exponential(&mut active.rng, *up), Some(node)))
                }
            }
            _ => None,
        }
    }

    /// A fault ends: what it broke is mended.
    pub(crate) fn end<L: Trial>(
        &mut self,
        world: &mut World<L::Machine>,
        number: usize,
        layer: &mut L,
    ) {
        let Some(mut active) = self.active.remove(&number) else { return };
        let nodes = std::mem::take(&mut active.nodes);
        for node in nodes {
            active.hits += mend(world, &active.planned.fault, node, layer);
        }
        for rule in std::mem::take(&mut active.rules) {
            active.hits += world.sim.remove_rule(rule);
        }
        self.note(world.sim.elapsed_micros(), number, &active);
    }

    /// From now on nothing is wrong with the nodes of the core any more.
    pub(crate) fn spare_core<L: Trial>(&mut self, world: &mut World<L::Machine>, layer: &mut L) {
        for active in self.active.values_mut() {
            let (core, rest): (Vec<_>, Vec<_>) =
                active.nodes.iter().partition(|node| world.is_core(**node));
            active.nodes = rest;
            for node in core {
                active.hits += mend(world, &active.planned.fault, node, layer);
            }
        }
        let core = world.core.clone();
        world.sim.spare(core);
    }

    /// The run ends: what the faults did, by their numbers.
    pub(crate) fn finish<L: Trial>(
        mut self,
        world: &World<L::Machine>,
    ) -> BTreeMap<usize, FaultOutcome> {
        for (number, mut active) in std::mem::take(&mut self.active) {
            active.hits += active.rules.iter().map(|rule| world.sim.hits(*rule)).sum::<u64>();
            for node in &active.nodes {
                active.hits += match active.planned.fault {
                    Fault::Pause | Fault::Slow { .. } => world.sim.held_up(*node),
                    Fault::Byzantine { .. } => world.misdeeds(*node),
                    _ => 0,
                };
            }
            self.note(world.sim.elapsed_micros(), number, &active);
        }
        self.over
    }

    fn note(&mut self, now: u64, number: usize, active: &Active) {
        let outcome = FaultOutcome {
            fault: active.planned.to_string(),
            from: active.began as f64 / 1e6,
            to: now as f64 / 1e6,
            hits: active.hits,
            counted: active.planned.fault.counted().into(),
        };
        self.over.insert(number, outcome);
    }
}

/// 1 when it had links, so that somebody can have noticed.
fn take_down<M: rs2p_base::Machine>(world: &mut World<M>, node: NodeIndex, how: Crash) -> u64 {
    let is_linked = world.sim.counts().is_without_links() || !world.sim.links_of(node).is_empty();
    let hits = u64::from(world.sim.is_up(node) && is_linked);
    world.crash(node, how);
    hits
}

/// Undoes what a fault did to a node, and tells the hits that are counted there.
fn mend<L: Trial>(
    world: &mut World<L::Machine>,
    fault: &Fault,
    node: NodeIndex,
    layer: &mut L,
) -> u64 {
    match fault {
        Fault::Crash { keep, .. } | Fault::Churn { keep, .. } => {
            revive(world, layer, node, *keep);
            0
        }
        Fault::Pause | Fault::Slow { .. } => {
            let hits = world.sim.resume(node);
            if world.held.remove(&node) {
                world.disturb(node);
            }
            hits
        }
        Fault::Skew { .. } => {
            world.sim.set_skew(node, 0);
            0
        }
        Fault::Byzantine { .. } => {
            let hits = world.misdeeds(node);
            world.byzantine.remove(&node);
            world.disturb(node);
            let bug = layer.bug(node);
            world.sim.call(node, |machine, _| match bug {
                Some(bug) => machine.tamper_with(bug),
                None => machine.behave(),
            });
            hits
        }
        _ => 0,
    }
}

/// A time from the exponential distribution of this mean.
fn exponential(rng: &mut Xoshiro256PlusPlus, mean: u64) -> u64 {
    let share: f64 = rng.random_range(f64::EPSILON..1.0);
    (-share.ln() * mean as f64).max(1.0) as u64
}
