//! Runs a scenario.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom as _;
use rs2p_base::{Endpoint, Machine};

use crate::invariant::Violation;
use crate::nemesis::Nemesis;
use crate::outcome::{Failure, Graph, GraphNode, Outcome, PhaseOutcome, Series, Speed};
use crate::scenario::{Plan, PlannedPhase, Scenario};
use crate::sim::{NodeIndex, Sim};
use crate::streams::stream;
use crate::tamper::Tampered;
use crate::trace::{Counts, Moment};
use crate::trial::{NewNode, Trial};
use crate::world::World;

/// What a run is to be like, beside its scenario.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The seed.
    pub seed: u64,
    /// How many nodes, if not as many as the scenario says.
    pub nodes: Option<u32>,
    /// A bug to plant in every node, by its name.
    pub bug: Option<String>,
    /// Faults to leave out, by number.
    pub without: BTreeSet<usize>,
}

/// The faults that a scenario plans for these settings, in words, by number.
#[must_use]
pub fn planned_faults<L: Trial>(
    scenario: &Scenario<L::Options, L::Workload>,
    settings: &Settings,
) -> Vec<String> {
    let plan = scenario.plan(settings.seed, settings.nodes, L::VOCABULARY);
    plan.faults.iter().map(ToString::to_string).collect()
}

/// Runs a scenario to its end, or to the first time that something does not hold which must.
/// `progress` is told the share of virtual time that has passed. `source` is the scenario's text,
/// for the record.
pub fn run<L: Trial>(
    scenario: &Scenario<L::Options, L::Workload>,
    source: &str,
    settings: &Settings,
    progress: &mut dyn FnMut(f64),
) -> Outcome {
    #[expect(clippy::disallowed_methods, reason = "how long it takes this computer")]
    let started = std::time::Instant::now();
    let company = Company::join();
    let plan = scenario.plan(settings.seed, settings.nodes, L::VOCABULARY);
    let options = scenario.options.clone().unwrap_or_default();
    let layer = L::new(&options, settings.seed, settings.bug.as_deref());
    let mut runner = Runner::new(layer, plan, settings);
    let phases = runner.run(&company, progress);
    let Runner { world, layer, nemesis, failures, series, plan, bytes_per_node, .. } = runner;
    let mut outcome = Outcome {
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        layer: L::NAME.into(),
        seed: settings.seed,
        nodes: plan.nodes,
        bug: settings.bug.clone(),
        source: source.into(),
        drawn: plan.drawn,
        digest: world.sim.digest().to_string(),
        phases,
        failures,
        series: series.into_values().collect(),
        distributions: layer.distributions(),
        graph: graph(&world, &layer),
        speed: Speed {
            wall: started.elapsed().as_secs_f64(),
            virtual_seconds: world.sim.elapsed_micros() as f64 / 1e6,
            deliveries: world.sim.counts().deliveries + world.sim.counts().datagrams,
            bytes_per_node,
        },
    };
    let faults = nemesis.finish::<L>(&world);
    let is_one_of_a_chaos_that_had_an_effect = |number: usize| {
        let chaos = plan.faults[number].chaos;
        chaos.is_some()
            && faults.iter().any(|(other, it)| plan.faults[*other].chaos == chaos && it.hits > 0)
    };
    let idle: BTreeSet<usize> = faults
        .iter()
        .filter(|(number, it)| it.hits == 0 && !is_one_of_a_chaos_that_had_an_effect(**number))
        .map(|(number, _)| *number)
        .collect();
    for (number, fault) in faults {
        if idle.contains(&number) && outcome.failures.is_empty() {
            outcome.failures.push(Failure {
                rule: "fault without effect".into(),
                seen: format!("{}: no {}", fault.fault, fault.counted),
                at: fault.from,
                node: None,
                recent: Vec::new(),
            });
        }
        let phase = plan.phases.iter().position(|phase| phase.faults.contains(&number));
        if let Some(phase) = phase.and_then(|phase| outcome.phases.get_mut(phase)) {
            phase.faults.push(fault);
        }
    }
    outcome
}

struct Runner<'a, L: Trial> {
    world: World<L::Machine>,
    layer: L,
    plan: Plan<L::Workload>,
    settings: &'a Settings,
    nemesis: Nemesis,
    agenda: BTreeMap<(u64, u64), Step>,
    steps: u64,
    failures: Vec<Failure>,
    series: BTreeMap<&'static str, Series>,
    sampled: Counts,
    /// Of the choices of users.
    users: Xoshiro256PlusPlus,
    bytes_per_node: Option<u64>,
}

/// What is to be done from outside.
#[derive(Clone, Copy, Debug)]
enum Step {
    Join,
    Act,
    Begin(usize),
    End(usize),
    Tick(usize, Option<NodeIndex>),
    Check,
    Sample,
}

impl<'a, L: Trial> Runner<'a, L> {
    /// Points of a series, at the most.
    const SAMPLES: u64 = 400;

    fn new(layer: L, plan: Plan<L::Workload>, settings: &'a Settings) -> Self {
        let seed = settings.seed;
        Self {
            world: World::new(Sim::new(seed, plan.network.clone(), plan.fidelity)),
            layer,
            plan,
            settings,
            nemesis: Nemesis::default(),
            agenda: BTreeMap::new(),
            steps: 0,
            failures: Vec::new(),
            series: BTreeMap::new(),
            sampled: Counts::default(),
            users: stream(seed, "users", 0),
            bytes_per_node: None,
        }
    }

    fn run(&mut self, company: &Company, progress: &mut dyn FnMut(f64)) -> Vec<PhaseOutcome> {
        let memory = resident();
        let phases = self.plan.phases.clone();
        let total = phases.last().map_or(1, |phase| phase.to).max(1);
        for number in 0..self.plan.nodes {
            let at = u64::from(number) * self.plan.starts_within / u64::from(self.plan.nodes);
            self.put(at, Step::Join);
        }
        for fault in &self.plan.faults.clone() {
            if !self.settings.without.contains(&fault.number) {
                self.put(fault.at, Step::Begin(fault.number));
                if let Some(until) = fault.until {
                    self.put(until, Step::End(fault.number));
                }
            }
        }
        self.put(self.plan.check, Step::Check);
        let sample = (total / Self::SAMPLES).max(1_000_000);
        self.put(sample, Step::Sample);
        let mut outcomes = Vec::new();
        for (number, phase) in phases.iter().enumerate() {
            let regions = self.plan.network.latency.region_count();
            let outcome = self.phase(phase, number, regions, sample, &mut |at| {
                progress(at as f64 / total as f64);
            });
            match outcome {
                Ok(outcome) => outcomes.push(outcome),
                Err(violation) => {
                    self.failures.push(failure(&violation));
                    break;
                }
            }
            if number == 0 && company.is_alone() {
                let grown = resident().zip(memory);
                let nodes = self.world.sim.nodes().len() as u64;
                self.bytes_per_node =
                    grown.map(|(now, before)| now.saturating_sub(before) / nodes.max(1));
            }
        }
        outcomes
    }

    fn phase(
        &mut self,
        phase: &PlannedPhase<L::Workload>,
        number: usize,
        regions: usize,
        sample: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<PhaseOutcome, Violation> {
        for join in 0..phase.joins {
            self.put(phase.from + (phase.to - phase.from) * join / phase.joins, Step::Join);
        }
        if let Some(share) = phase.core {
            self.name_core(share, number);
        }
        self.layer.begin(&self.world);
        self.plan_act(phase, phase.from);
        let before = self.world.sim.counts();
        let mut one_since = None;
        while let Some(((at, _), step)) = self.agenda.pop_first() {
            if at >= phase.to {
                self.put(at, step);
                break;
            }
            self.pass(at)?;
            match step {
                Step::Join => self.join(regions),
                Step::Act => {
                    if let Some(workload) = &phase.workload {
                        self.layer.act(&mut self.world, workload, &mut self.users);
                    }
                    self.plan_act(phase, at + 1);
                }
                Step::Begin(fault) => {
                    let planned = self.plan.faults[fault].clone();
                    let ticks = self.nemesis.begin(&mut self.world, planned, &mut self.layer);
                    for (at, node) in ticks {
                        self.put(at, Step::Tick(fault, node));
                    }
                }
                Step::End(fault) => {
                    self.nemesis.end(&mut self.world, fault, &mut self.layer);
                }
                Step::Tick(fault, node) => {
                    let tick = self.nemesis.tick(&mut self.world, fault, node, &mut self.layer);
                    if let Some((at, node)) = tick {
                        self.put(at, Step::Tick(fault, node));
                    }
                }
                Step::Check => {
                    self.check()?;
                    let is_one = self.world.shape().components <= 1;
                    one_since = one_since.filter(|_| is_one).or(is_one.then_some(at));
                    self.put(at + self.plan.check, Step::Check);
                    progress(at);
                }
                Step::Sample => {
                    self.sample(at, sample);
                    self.put(at + sample, Step::Sample);
                }
            }
        }
        self.pass(phase.to)?;
        self.check()?;
        progress(phase.to);
        Ok(self.close(phase, before, one_since))
    }

    /// Lets time pass, up to then.
    fn pass(&mut self, until: u64) -> Result<(), Violation> {
        while let Some((node, event)) = self.world.sim.next_event(until) {
            if let Err((rule, broken)) = self.layer.heard(&self.world, node, event) {
                return Err(Violation::new(&self.world.sim, rule, broken));
            }
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), Violation> {
        let checked = self.layer.check(&self.world);
        checked.map_err(|(rule, broken)| Violation::new(&self.world.sim, rule, broken))
    }

    fn close(
        &mut self,
        phase: &PlannedPhase<L::Workload>,
        before: Counts,
        one_since: Option<u64>,
    ) -> PhaseOutcome {
        let shape = self.world.shape();
        let now = self.world.sim.counts();
        let share = |part: usize| part as f64 / shape.nodes.max(1) as f64;
        let count = |now: u64, before: u64| (now - before) as f64;
        let deliveries = now.deliveries + now.datagrams - before.deliveries - before.datagrams;
        let up = self.world.sim.nodes().filter(|node| self.world.sim.is_up(*node)).count();
        let mut figures = self.layer.measure(&self.world);
        figures.extend([("up", up as f64), ("deliveries", deliveries as f64)]);
        if !now.is_without_links() {
            figures.extend([
                ("components", shape.components as f64),
                ("largest", share(shape.largest)),
                ("links", share(shape.links)),
                ("links_max", shape.links_max as f64),
                ("broken", count(now.broken, before.broken)),
                ("dials_failed", count(now.dials_failed, before.dials_failed)),
                ("dials_nowhere", count(now.dials_nowhere, before.dials_nowhere)),
            ]);
            if let Some(since) = one_since.filter(|_| shape.components <= 1) {
                figures.insert("one_again_s", since.saturating_sub(phase.from) as f64 / 1e6);
            }
        }
        let (outcome, failures) = phase.judge(figures, |_| true);
        self.failures.extend(failures);
        outcome
    }

    fn put(&mut self, at: u64, step: Step) {
        self.agenda.insert((at, self.steps), step);
        self.steps += 1;
    }

    fn plan_act(&mut self, phase: &PlannedPhase<L::Workload>, from: u64) {
        let Some(workload) = &phase.workload else { return };
        if let Some(at) = self.layer.next_act(workload, from, phase.to, &mut self.users) {
            self.put(at.max(from), Step::Act);
        }
    }

    fn join(&mut self, regions: usize) {
        let node = NodeIndex(self.world.sim.nodes().len() as u32);
        let mut rng = stream(self.settings.seed, "join", node.0.into());
        let region = rng.random_range(0..regions.max(1));
        let seeds = seeds(&self.world, node, &mut rng);
        let layer = &mut self.layer;
        let bug = layer.bug(node);
        self.world.sim.add(region, |address, seed| {
            let new = NewNode { node, address, seeds, seed, lives: 0, former: None };
            Tampered::new(layer.start(new), bug)
        });
        self.world.disturb(node);
    }

    fn name_core(&mut self, share: f64, phase: usize) {
        let mut nodes: Vec<NodeIndex> =
            self.world.sim.nodes().filter(|node| !self.world.is_byzantine(*node)).collect();
        nodes.shuffle(&mut stream(self.settings.seed, "core", phase as u64));
        nodes.truncate(((nodes.len() as f64 * share).ceil() as usize).max(1));
        self.world.core = Some(nodes.into_iter().collect());
        self.nemesis.spare_core(&mut self.world, &mut self.layer);
    }

    fn sample(&mut self, at: u64, interval: u64) {
        let seconds = at as f64 / 1e6;
        let counts = self.world.sim.counts();
        let shape = self.world.shape();
        let delivered =
            counts.deliveries + counts.datagrams - self.sampled.deliveries - self.sampled.datagrams;
        let broken = counts.broken - self.sampled.broken;
        self.sampled = counts;
        let each = interval as f64 / 1e6;
        let mut values = vec![
            ("deliveries", "/s", delivered as f64 / each),
            ("nodes that count", "", shape.nodes as f64),
        ];
        if !counts.is_without_links() {
            values.extend([
                ("components", "", shape.components as f64),
                ("links of a node", "", shape.links as f64 / shape.nodes.max(1) as f64),
                ("links broken by faults", "/s", broken as f64 / each),
            ]);
        }
        values.extend(self.layer.sample(&self.world));
        for (name, unit, value) in values {
            let series = self.series.entry(name).or_insert_with(|| Series {
                name: name.into(),
                unit: unit.into(),
                points: Vec::new(),
            });
            series.points.push((seconds, value));
        }
    }
}

/// Starts a node again that is down.
pub(crate) fn revive<L: Trial>(
    world: &mut World<L::Machine>,
    layer: &mut L,
    node: NodeIndex,
    keep: bool,
) {
    if world.sim.is_up(node) {
        return;
    }
    let lives = world.sim.lives(node);
    let mut rng = stream(world.sim.seed(), "return", u64::from(node.0) << 32 | lives);
    let seeds = seeds(world, node, &mut rng);
    let bug = layer.bug(node);
    world.sim.restart(node, |address, seed, former| {
        let former = former.filter(|_| keep).map(Tampered::into_machine);
        let new = NewNode { node, address, seeds, seed, lives, former };
        Tampered::new(layer.start(new), bug)
    });
    world.byzantine.remove(&node);
    world.disturb(node);
}

/// Where a node finds others: at one that was there before it. One that comes back asks two, since
/// one may be gone.
fn seeds<M: Machine>(
    world: &World<M>,
    node: NodeIndex,
    rng: &mut Xoshiro256PlusPlus,
) -> Vec<Endpoint> {
    let known = world.sim.nodes().len() as u32;
    let wanted = if node.0 < known { 2 } else { 1 };
    let others = (0..wanted).filter(|_| known > 0);
    let others = others.map(|_| NodeIndex(rng.random_range(0..known)));
    others.filter(|other| *other != node).map(NodeIndex::address).collect()
}

fn failure(violation: &Violation) -> Failure {
    Failure {
        rule: violation.invariant.clone(),
        seen: violation.broken.seen.clone(),
        at: violation.at as f64 / 1e6,
        node: violation.broken.node.map(|node| node.0),
        recent: violation.recent.iter().map(Moment::to_string).collect(),
    }
}

/// The network as it is now. Of a large one a sample.
fn graph<L: Trial>(world: &World<L::Machine>, layer: &L) -> Graph {
    const SHOWN: usize = 400;
    let mut shown: Vec<NodeIndex> = world.sim.nodes().collect();
    let of = shown.len() as u32;
    shown.shuffle(&mut stream(world.sim.seed(), "graph", 0));
    shown.truncate(SHOWN);
    shown.sort_unstable();
    let roots = world.sim.components();
    let is_without_links = world.sim.counts().is_without_links();
    let places: BTreeMap<NodeIndex, u32> = shown.iter().copied().zip(0..).collect();
    let node = |node: &NodeIndex| GraphNode {
        node: node.0,
        position: layer.position(*node),
        is_up: world.sim.is_up(*node),
        links: world.sim.links_of(*node).len() as u32,
        component: if is_without_links { 0 } else { roots[node.0 as usize].unwrap_or(*node).0 },
        is_byzantine: world.is_byzantine(*node),
    };
    let mut links = BTreeSet::new();
    for (one, place) in &places {
        for other in world.sim.neighbours(*one).filter(|other| other > one) {
            links.extend(places.get(&other).map(|other| (*place, *other)));
        }
    }
    Graph { nodes: shown.iter().map(node).collect(), links: links.into_iter().collect(), of }
}

/// Runs that share this process, so that none of them takes the others' memory for its own.
struct Company {
    joined: u64,
}

static RUNNING: AtomicU64 = AtomicU64::new(0);
static JOINED: AtomicU64 = AtomicU64::new(0);

impl Company {
    fn join() -> Self {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Self { joined: JOINED.fetch_add(1, Ordering::SeqCst) + 1 }
    }

    /// Whether no other run has shared the process with this one so far.
    fn is_alone(&self) -> bool {
        RUNNING.load(Ordering::SeqCst) == 1 && JOINED.load(Ordering::SeqCst) == self.joined
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Bytes of memory that the process takes, where the system tells (proc(5), statm).
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4_096)
}
