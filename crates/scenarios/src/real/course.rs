//! The course of a run: what the scenario wants done, done to processes in real time.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_simnet::{
    Failure, Fault, FaultOutcome, NodeIndex, PhaseOutcome, Plan, PlannedFault, PlannedPhase,
    Series, stream,
};

use super::fleet::{Fleet, News, Shape};
use super::{Interrupts, RealError, RealLayer, Users as _};

/// Everything that a run of processes is.
pub(super) struct Course<'a, L: RealLayer> {
    pub(super) fleet: Fleet,
    pub(super) users: L::Users,
    pub(super) series: BTreeMap<&'static str, Series>,
    /// What is to be known beside the figures.
    pub(super) notes: Vec<String>,
    plan: &'a Plan<L::Workload>,
    seed: u64,
    interrupts: &'a Interrupts,
    agenda: Agenda,
    active: BTreeMap<usize, Active>,
    over: BTreeMap<usize, FaultOutcome>,
    failures: Vec<Failure>,
    /// Of the choices of users.
    choices: Xoshiro256PlusPlus,
    /// By how much the harness has been late, at the most, in microseconds.
    late: u64,
    /// Dials at the start of a node that reached nobody.
    alone: u64,
    /// Of the phases before.
    deliveries: u64,
    lost: u64,
}

/// A fault that has begun.
struct Active {
    planned: PlannedFault,
    began: u64,
    nodes: Vec<usize>,
    hits: u64,
    rng: Xoshiro256PlusPlus,
}

/// What is to be done, in order.
#[derive(Debug, Default)]
struct Agenda {
    steps: BTreeMap<(u64, u64), Step>,
    count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Join,
    Act,
    Begin(usize),
    End(usize),
    /// A fault wants something done to a node.
    Tick(usize, usize),
    /// A node that reached nobody tries again.
    Again(usize),
    Check,
}

/// Why a run ends early.
enum End {
    /// Something is not as it must be.
    Broken(Failure),
    /// It cannot go on.
    Error(RealError),
}

impl From<RealError> for End {
    fn from(error: RealError) -> Self {
        Self::Error(error)
    }
}

impl Agenda {
    /// The joins and faults of a plan, and the checks.
    fn of<'a, W>(plan: &Plan<W>, faults: impl Iterator<Item = &'a PlannedFault>) -> Self {
        let mut agenda = Self::default();
        for node in 0..plan.nodes {
            agenda.put(u64::from(node) * plan.starts_within / u64::from(plan.nodes), Step::Join);
        }
        for phase in &plan.phases {
            for join in 0..phase.joins {
                let at = phase.from + (phase.to - phase.from) * join / phase.joins;
                agenda.put(at, Step::Join);
            }
        }
        for fault in faults {
            agenda.put(fault.at, Step::Begin(fault.number));
            if let Some(until) = fault.until {
                agenda.put(until, Step::End(fault.number));
            }
        }
        agenda.put(check(plan), Step::Check);
        agenda
    }

    fn put(&mut self, at: u64, step: Step) {
        self.steps.insert((at, self.count), step);
        self.count += 1;
    }

    /// The next one before that time.
    fn next(&mut self, before: u64) -> Option<(u64, Step)> {
        let first = self.steps.first_entry()?;
        let at = first.key().0;
        (at < before).then(|| (at, first.remove()))
    }
}

impl<'a, L: RealLayer> Course<'a, L> {
    pub(super) fn new(
        plan: &'a Plan<L::Workload>,
        faults: &'a [PlannedFault],
        seed: u64,
        fleet: Fleet,
        interrupts: &'a Interrupts,
    ) -> Self {
        Self {
            fleet,
            users: L::Users::new(seed),
            series: BTreeMap::new(),
            notes: Vec::new(),
            plan,
            seed,
            interrupts,
            agenda: Agenda::of(plan, faults.iter()),
            active: BTreeMap::new(),
            over: BTreeMap::new(),
            failures: Vec::new(),
            choices: stream(seed, "users", 0),
            late: 0,
            alone: 0,
            deliveries: 0,
            lost: 0,
        }
    }

    /// Runs all phases, or up to the first in which something is not as it must be.
    pub(super) fn run(
        &mut self,
        progress: &mut dyn FnMut(f64),
    ) -> Result<(Vec<PhaseOutcome>, Vec<Failure>), RealError> {
        let plan = self.plan;
        let total = plan.phases.last().map_or(1, |phase| phase.to).max(1);
        self.fleet.begin();
        let mut outcomes = Vec::new();
        for phase in &plan.phases {
            let ended = self.phase(phase, &mut |at| progress(at as f64 / total as f64));
            match ended {
                Ok(outcome) => outcomes.push(outcome),
                Err(End::Broken(failure)) => {
                    self.failures.push(failure);
                    break;
                }
                Err(End::Error(error)) => return Err(error),
            }
        }
        self.finish(&mut outcomes);
        Ok((outcomes, mem::take(&mut self.failures)))
    }

    fn phase(
        &mut self,
        phase: &PlannedPhase<L::Workload>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<PhaseOutcome, End> {
        self.users.begin();
        self.plan_act(phase, phase.from);
        let mut one_since = None;
        while let Some((at, step)) = self.agenda.next(phase.to) {
            self.pass(at, progress)?;
            self.late = self.late.max(self.fleet.elapsed().saturating_sub(at));
            match step {
                Step::Join => self.fleet.join(self.plan.network.latency.region_count())?,
                Step::Act => {
                    if let Some(workload) = &phase.workload {
                        self.users.act(&mut self.fleet, workload, &mut self.choices);
                    }
                    self.plan_act(phase, at + 1);
                }
                Step::Begin(fault) => self.begin(fault)?,
                Step::End(fault) => self.end(fault)?,
                Step::Tick(fault, node) => self.tick(fault, node, at)?,
                Step::Again(node) => self.fleet.revive(node)?,
                Step::Check => {
                    let shape = self.fleet.shape();
                    let is_one = shape.components <= 1;
                    one_since = one_since.filter(|_| is_one).or(is_one.then_some(at));
                    self.sample(at, shape);
                    self.agenda.put(at + check(self.plan), Step::Check);
                }
            }
        }
        self.pass(phase.to, progress)?;
        let figures = self.users.measure(&self.fleet);
        self.take_stock()?;
        Ok(self.close(phase, figures, one_since))
    }

    /// Lets time pass, up to then, and looks at what is told meanwhile.
    fn pass(&mut self, until: u64, progress: &mut dyn FnMut(u64)) -> Result<(), End> {
        loop {
            let elapsed = self.fleet.elapsed();
            progress(elapsed);
            if self.interrupts.came() {
                return Err(RealError::Interrupted.into());
            }
            let news = self.fleet.next(until.min(elapsed + PATIENCE))?;
            match news {
                Some(news) => self.look_at(news)?,
                None if self.fleet.elapsed() >= until => return Ok(()),
                None => {}
            }
        }
    }

    fn look_at(&mut self, news: News) -> Result<(), End> {
        let (node, (rule, seen)) = match news {
            News::Nothing => return Ok(()),
            News::Alone(node) => {
                self.alone += 1;
                self.agenda.put(self.fleet.elapsed() + RETRY, Step::Again(node));
                return Ok(());
            }
            News::Line(node, at, line) => match self.users.heard(&self.fleet, node, at, &line) {
                Ok(()) => return Ok(()),
                Err(broken) => (node, broken),
            },
            News::Ended(node, seen) => (node, ("processes do not end by themselves", seen)),
        };
        Err(End::Broken(Failure {
            rule: rule.into(),
            seen,
            at: self.fleet.elapsed() as f64 / 1e6,
            node: u32::try_from(node).ok(),
            recent: Vec::new(),
        }))
    }

    /// Asks all nodes for their peers and counts, and waits for the answers a while.
    fn take_stock(&mut self) -> Result<(), End> {
        let asked = self.fleet.ask();
        let latest = self.fleet.elapsed() + STOCK;
        while asked.iter().any(|asked| self.fleet.owes(*asked)) && self.fleet.elapsed() < latest {
            if self.interrupts.came() {
                return Err(RealError::Interrupted.into());
            }
            if let Some(news) = self.fleet.next(self.fleet.elapsed() + PATIENCE)? {
                self.look_at(news)?;
            }
        }
        let silent = asked.iter().filter(|asked| self.fleet.owes(**asked)).count();
        if silent > 0 {
            let seconds = STOCK / 1_000_000;
            self.notes.push(format!(
                "{silent} nodes did not tell their peers within {seconds} s: taken from what they \
                 told before"
            ));
        }
        Ok(())
    }

    fn plan_act(&mut self, phase: &PlannedPhase<L::Workload>, from: u64) {
        let Some(workload) = &phase.workload else { return };
        if let Some(at) = self.users.next_act(workload, from, phase.to, &mut self.choices) {
            self.agenda.put(at.max(from), Step::Act);
        }
    }

    fn begin(&mut self, number: usize) -> Result<(), RealError> {
        let planned = self.plan.faults[number].clone();
        let running = (0..self.fleet.len()).filter(|node| self.fleet.is_running(*node));
        let candidates = running.map(|node| NodeIndex(node as u32)).collect();
        let nodes = planned.target.pick(self.seed, number, candidates);
        let nodes: Vec<usize> = nodes.into_iter().map(|node| node.0 as usize).collect();
        let now = self.fleet.elapsed();
        let mut rng = stream(self.seed, "fault's course", number as u64);
        let mut hits = 0;
        match &planned.fault {
            Fault::Crash { how, .. } => {
                for node in &nodes {
                    hits += u64::from(self.fleet.take_down(*node, *how)?);
                }
            }
            Fault::Pause => {
                for node in &nodes {
                    hits += u64::from(self.fleet.pause(*node)?);
                }
            }
            Fault::Churn { up, .. } => {
                for node in &nodes {
                    let at = planned.at + exponential(&mut rng, *up);
                    self.agenda.put(at, Step::Tick(number, *node));
                }
            }
            Fault::Partition { .. } => {
                let is_cut = |other: &usize| !nodes.contains(other);
                let links = nodes.iter().flat_map(|node| self.fleet.neighbours(*node));
                hits = links.filter(is_cut).count() as u64;
                self.fleet.place().disturb(&planned, &nodes)?;
            }
            _ => {
                hits = nodes.len() as u64;
                self.fleet.place().disturb(&planned, &nodes)?;
            }
        }
        self.active.insert(number, Active { planned, began: now, nodes, hits, rng });
        Ok(())
    }

    fn tick(&mut self, number: usize, node: usize, at: u64) -> Result<(), RealError> {
        let Some(active) = self.active.get_mut(&number) else { return Ok(()) };
        let Fault::Churn { up, down, how, .. } = &active.planned.fault else { return Ok(()) };
        let next = if self.fleet.is_running(node) {
            active.hits += u64::from(self.fleet.take_down(node, *how)?);
            exponential(&mut active.rng, *down)
        } else {
            self.fleet.revive(node)?;
            exponential(&mut active.rng, *up)
        };
        self.agenda.put(at + next, Step::Tick(number, node));
        Ok(())
    }

    fn end(&mut self, number: usize) -> Result<(), RealError> {
        let Some(active) = self.active.remove(&number) else { return Ok(()) };
        for node in &active.nodes {
            match &active.planned.fault {
                Fault::Crash { .. } | Fault::Churn { .. } => self.fleet.revive(*node)?,
                Fault::Pause => self.fleet.resume(*node)?,
                _ => {}
            }
        }
        self.fleet.place().mend(number)?;
        self.note(number, &active);
        Ok(())
    }

    fn note(&mut self, number: usize, active: &Active) {
        let counted = match active.planned.fault {
            Fault::Crash { .. } => "nodes within the network that went down",
            Fault::Pause => "nodes that stood still",
            Fault::Churn { .. } => "times a node went down",
            Fault::Partition { .. } => "links cut",
            _ => "nodes concerned",
        };
        let outcome = FaultOutcome {
            fault: active.planned.to_string(),
            from: active.began as f64 / 1e6,
            to: self.fleet.elapsed() as f64 / 1e6,
            hits: active.hits,
            counted: counted.into(),
        };
        self.over.insert(number, outcome);
    }

    fn sample(&mut self, at: u64, shape: Shape) {
        let links = shape.links as f64 / shape.up.max(1) as f64;
        let values = [
            ("nodes that count", shape.up as f64),
            ("components", shape.components as f64),
            ("links of a node", links),
        ];
        for (name, value) in values {
            let series = self.series.entry(name).or_insert_with(|| Series {
                name: name.into(),
                unit: String::new(),
                points: Vec::new(),
            });
            series.points.push((at as f64 / 1e6, value));
        }
    }

    fn close(
        &mut self,
        phase: &PlannedPhase<L::Workload>,
        mut figures: BTreeMap<&'static str, f64>,
        one_since: Option<u64>,
    ) -> PhaseOutcome {
        let shape = self.fleet.shape();
        let share = |part: usize| part as f64 / shape.up.max(1) as f64;
        let received = self.fleet.count("traffic", "frames_received");
        let deliveries = received.saturating_sub(mem::replace(&mut self.deliveries, received));
        let lost = self.fleet.lost();
        let is_all_counted = mem::replace(&mut self.lost, lost) == lost;
        let mut counted = self.users.counted(&self.fleet);
        counted.insert("deliveries", deliveries as f64);
        if is_all_counted {
            figures.extend(&counted);
        }
        figures.extend([
            ("up", shape.up as f64),
            ("components", shape.components as f64),
            ("largest", share(shape.largest)),
            ("links", share(shape.links)),
            ("links_max", shape.links_max as f64),
        ]);
        if let Some(since) = one_since.filter(|_| shape.components <= 1) {
            figures.insert("one_again_s", since.saturating_sub(phase.from) as f64 / 1e6);
        }
        let known: BTreeSet<&str> = figures
            .keys()
            .copied()
            .chain(MEASURED.iter().copied())
            .chain(L::MEASURED.iter().copied())
            .collect();
        let (outcome, failures) = phase.judge(figures, |figure| known.contains(figure));
        self.failures.extend(failures);
        outcome
    }

    /// What the faults did, and what is to be known beside the figures.
    fn finish(&mut self, outcomes: &mut [PhaseOutcome]) {
        for (number, active) in mem::take(&mut self.active) {
            self.note(number, &active);
        }
        for (number, fault) in mem::take(&mut self.over) {
            if fault.hits == 0 && self.failures.is_empty() {
                self.failures.push(Failure {
                    rule: "fault without effect".into(),
                    seen: format!("{}: no {}", fault.fault, fault.counted),
                    at: fault.from,
                    node: None,
                    recent: Vec::new(),
                });
            }
            let phase = self.plan.phases.iter().position(|phase| phase.faults.contains(&number));
            if let Some(phase) = phase.and_then(|phase| outcomes.get_mut(phase)) {
                phase.faults.push(fault);
            }
        }
        if self.alone > 0 {
            self.notes.push(format!(
                "{} times a node that started reached nobody, and was started again",
                self.alone
            ));
        }
        if self.late >= LATE {
            self.notes.push(format!(
                "the harness was up to {} ms late: fewer nodes, or a smaller --hurry, would be \
                 closer to the plan",
                self.late / 1_000
            ));
        }
        let missed = self.fleet.missed();
        if missed > 0 {
            self.notes.push(format!("{missed} events were not told: this machine is too slow"));
        }
    }
}

/// How often it is looked whether the network is in one part.
fn check<W>(plan: &Plan<W>) -> u64 {
    plan.check.max(50_000)
}

/// A time from the exponential distribution of this mean: the same one as in the simulator.
fn exponential(rng: &mut Xoshiro256PlusPlus, mean: u64) -> u64 {
    let share: f64 = rng.random_range(f64::EPSILON..1.0);
    (-share.ln() * mean as f64).max(1.0) as u64
}

/// Figures of every layer that are always to be had of processes, or else it is their fault.
const MEASURED: &[&str] = &["up", "components", "largest", "one_again_s", "links", "links_max"];
/// How long to wait at once, in microseconds: then it is looked whether a signal came.
const PATIENCE: u64 = 200_000;
/// How long nodes may take to tell their peers, in microseconds.
const STOCK: u64 = 5_000_000;
/// After how long a node that reached nobody is started again, in microseconds.
const RETRY: u64 = 1_000_000;
/// From how many microseconds on being late is worth a word.
const LATE: u64 = 100_000;

#[cfg(test)]
mod tests {
    use rs2p_simnet::{Scenario, Trial};

    use super::*;
    use crate::MeshLayer;

    #[test]
    fn joins_and_faults_come_in_their_order_and_what_is_left_out_does_not() {
        let source = r#"
            name = "plan"
            about = "Joins and faults."
            layer = "mesh"
            nodes = 2
            starts_within = "2 s"
            check = "10 s"
            [[phase]]
            name = "one"
            lasts = "20 s"
            joins = 2
            fault = [
                { kind = "crash", at = "5 s", lasts = "3 s" },
                { kind = "pause", at = "4 s" },
                { kind = "pause", at = "6 s" },
            ]
        "#;
        type Read = Scenario<<MeshLayer as Trial>::Options, <MeshLayer as Trial>::Workload>;
        let scenario = Read::read(source, MeshLayer::VOCABULARY).unwrap();
        let plan = scenario.plan(1, None, MeshLayer::VOCABULARY);
        let kept = plan.faults.iter().filter(|fault| fault.number != 2);
        let mut agenda = Agenda::of(&plan, kept);
        let second = 1_000_000;
        let steps: Vec<_> = std::iter::from_fn(|| agenda.next(10 * second)).collect();
        let expected = [
            (0, Step::Join),
            (0, Step::Join),
            (second, Step::Join),
            (4 * second, Step::Begin(1)),
            (5 * second, Step::Begin(0)),
            (8 * second, Step::End(0)),
        ];
        assert_eq!(steps, expected);
        let rest: Vec<_> = std::iter::from_fn(|| agenda.next(u64::MAX)).map(|(_, it)| it).collect();
        assert_eq!(rest, [Step::Join, Step::Check]);
    }
}
