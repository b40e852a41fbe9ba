//! Scenarios with real processes, beside the same ones in the simulator.
//!
//! [`real`] has users do to `rs2p` processes what they do in the simulator, at the same times and
//! to the same nodes, drawn from the same streams. A layer takes part by a [`RealLayer`]: which
//! command of `rs2p` runs its nodes, what users say to them, and what can be heard.

mod course;
mod fleet;
mod hurry;
mod interrupts;
mod netns;
mod place;
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use rand::rngs::Xoshiro256PlusPlus;
use rs2p_simnet::{
    Distribution, Graph, GraphNode, Outcome, PlannedFault, Scenario, ScenarioError, Settings, Span,
    Speed, Trial,
};
use serde_json::Value;
use thiserror::Error;
use toml::Table;

pub(crate) use fleet::Fleet;
pub use interrupts::Interrupts;

use crate::entry;
use course::Course;
use netns::Netns;
use place::{Place, check_faults, is_silent, keeps};

/// What to run with processes.
#[derive(Clone, Debug)]
pub struct RealRequest {
    /// The scenario's text.
    pub source: String,
    /// The seed.
    pub seed: u64,
    /// How many processes, up to [`MAX_PROCESSES`].
    pub nodes: u32,
    /// By how much everything comes sooner: from 1 on.
    pub hurry: f64,
    /// Faults to leave out, by number.
    pub without: BTreeSet<usize>,
    /// The program `rs2p`.
    pub program: PathBuf,
    /// Whether each process gets a network namespace of its own.
    pub netns: bool,
}

/// The same scenario in the simulator and with processes.
#[derive(Clone, Debug)]
pub struct Both {
    /// What it came to in the simulator.
    pub simulated: Outcome,
    /// What it came to with processes. Its digest is `-`: no two such runs are equal.
    pub real: Outcome,
    /// What is to be known beside the figures.
    pub notes: Vec<String>,
}

/// Processes at the most.
pub const MAX_PROCESSES: u32 = 512;

/// Why a scenario cannot be run with processes.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RealError {
    /// The scenario is refused.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// There is no command for the layer.
    #[error(
        "scenarios of the layer {layer} cannot be run with processes yet; there is a command of \
         `rs2p` for {known}"
    )]
    Layer {
        /// The layer.
        layer: String,
        /// Those that can.
        known: String,
    },
    /// Too many processes for a machine.
    #[error(
        "{nodes} processes cannot be had: there may be 1 to {MAX_PROCESSES}; more than that is for the simulator"
    )]
    Nodes {
        /// How many were asked for.
        nodes: u32,
    },
    /// Too much of a hurry.
    #[error(
        "phase {phase:?} would last {lasts}, and processes need 2 s: --hurry goes up to {most}"
    )]
    Hurry {
        /// The phase.
        phase: String,
        /// How long it would last.
        lasts: Span,
        /// How much of a hurry there may be.
        most: f64,
    },
    /// The scenario wants of nodes what the program cannot be told.
    #[error(
        "the scenario sets [options], which the program `rs2p` does not have: they are for the simulator"
    )]
    Options,
    /// The scenario names a core.
    #[error(
        "phase {phase:?} names a core, which is for the simulator: nobody can leave part of a real network in peace"
    )]
    Core {
        /// The phase.
        phase: String,
    },
    /// The scenario has faults that cannot be had.
    #[error("with processes this cannot be had:\n  {faults}\n--without {without} leaves it out")]
    Faults {
        /// Which, and why.
        faults: String,
        /// Their numbers.
        without: String,
    },
    /// The network has regions.
    #[error(
        "the scenario's network has regions: --netns can give each node one latency only; without --netns there is none at all"
    )]
    Regions,
    /// A program is missing.
    #[error("--netns needs the program `{tool}`: apt-get install iproute2")]
    NoTool {
        /// Which.
        tool: &'static str,
    },
    /// The system does not let us.
    #[error(
        "`{line}` failed: {cause}\n--netns needs Linux with network namespaces, and root (or CAP_SYS_ADMIN and CAP_NET_ADMIN); it goes without, too, on loopback"
    )]
    Netns {
        /// The command.
        line: String,
        /// What it said.
        cause: String,
    },
    /// A process cannot be started.
    #[error("node {node} cannot be started as {}: {cause}; --rs2p names another program, and where there are too many files open, `ulimit -n` allows more", program.display())]
    Start {
        /// Which node.
        node: usize,
        /// The program.
        program: PathBuf,
        /// Why not.
        cause: String,
    },
    /// A process takes no signal.
    #[error("node {node} cannot be made to stand still or go on: {cause}")]
    Signal {
        /// Which node.
        node: usize,
        /// Why not.
        cause: std::io::Error,
    },
    /// The user does not want to wait any longer.
    #[error("interrupted; all processes have been ended")]
    Interrupted,
}

/// Times in a layer's workload, with what they are when left out.
pub(crate) type Times = &'static [(&'static str, Option<&'static str>)];

/// A layer whose nodes the program `rs2p` can run.
pub(crate) trait RealLayer: Trial {
    /// The command of `rs2p`.
    const COMMAND: &'static str;
    /// Times in the workload.
    const TIMES: Times;
    /// Figures of the layer that are always to be had of processes, or else it is their fault.
    const MEASURED: &'static [&'static str];
    /// The users of the nodes.
    type Users: Users<Self::Workload>;
}

/// What users do to processes, and what they see of them.
pub(crate) trait Users<W> {
    /// For one run.
    fn new(seed: u64) -> Self;

    /// A phase begins.
    fn begin(&mut self);

    /// As [`Trial::next_act`].
    fn next_act(
        &mut self,
        workload: &W,
        from: u64,
        until: u64,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<u64>;

    /// As [`Trial::act`].
    fn act(&mut self, fleet: &mut Fleet, workload: &W, rng: &mut Xoshiro256PlusPlus);

    /// A node has told something.
    ///
    /// # Errors
    /// It must not have told that: the rule that is broken, and what was seen.
    fn heard(
        &mut self,
        fleet: &Fleet,
        node: usize,
        at: Instant,
        line: &Value,
    ) -> Result<(), (&'static str, String)>;

    /// All nodes have told what they count: the figures that come of it. They are left out of a
    /// phase in which processes ended that had counted, too.
    fn counted(&mut self, fleet: &Fleet) -> BTreeMap<&'static str, f64>;

    /// A phase ends: what was measured in it.
    fn measure(&mut self, fleet: &Fleet) -> BTreeMap<&'static str, f64>;

    /// Distributions over the whole run.
    fn distributions(&self) -> Vec<Distribution>;
}

/// Runs a scenario in the simulator, and with processes. `progress` is told the share of the time
/// that has passed, 0 to 1. However it ends, no process and no namespace is left.
///
/// # Errors
/// It cannot be run with processes, or not in this place. That something does not hold which must
/// is no error but an [`Outcome`] with [failures](Outcome::failures).
pub fn real(
    request: &RealRequest,
    interrupts: &Interrupts,
    progress: &mut dyn FnMut(f64),
) -> Result<Both, RealError> {
    let entry = entry(&request.source)?;
    match entry.real {
        Some(run) => run(request, interrupts, progress),
        None => {
            let able = crate::LAYERS.iter().filter(|entry| entry.real.is_some());
            let known = able.map(|entry| entry.name).collect::<Vec<_>>().join(", ");
            Err(RealError::Layer { layer: entry.name.into(), known })
        }
    }
}

/// Runs a scenario of a layer.
pub(crate) fn run_layer<L: RealLayer>(
    request: &RealRequest,
    interrupts: &Interrupts,
    progress: &mut dyn FnMut(f64),
) -> Result<Both, RealError> {
    let (nodes, seed) = (request.nodes, request.seed);
    if !(1..=MAX_PROCESSES).contains(&nodes) {
        return Err(RealError::Nodes { nodes });
    }
    let given: Scenario<L::Options, L::Workload> = Scenario::read(&request.source, L::VOCABULARY)?;
    let mut table = table(&request.source)?;
    let mut source = request.source.clone();
    if request.hurry > 1.0 {
        table = hurry::hurried(table, request.hurry, L::TIMES);
        source = table.to_string();
    }
    let scenario: Scenario<L::Options, L::Workload> = Scenario::read(&source, L::VOCABULARY)?;
    let plan = scenario.plan(seed, Some(nodes), L::VOCABULARY);
    hurry::check_phases(&plan, request.hurry)?;
    if given.options.is_some() {
        return Err(RealError::Options);
    }
    if let Some(phase) = plan.phases.iter().find(|phase| phase.core.is_some()) {
        return Err(RealError::Core { phase: phase.name.clone() });
    }
    let kept = |fault: &&PlannedFault| !request.without.contains(&fault.number);
    let faults: Vec<PlannedFault> = plan.faults.iter().filter(kept).cloned().collect();
    let mut notes = Vec::new();
    let place = if request.netns {
        if plan.network.latency.region_count() > 1 {
            return Err(RealError::Regions);
        }
        Place::Netns(Box::new(Netns::make(&plan.network, seed, interrupts)?))
    } else {
        Place::Loopback
    };
    let powers = place.powers();
    check_faults(faults.iter(), powers)?;
    if powers.is_netns && !powers.delays {
        notes.push(
            "this kernel has no netem queue (module sch_netem): messages are as fast as the \
             machine, in the simulator, too"
                .to_owned(),
        );
    }
    if powers.is_netns && (plan.network.bandwidth.is_some() || faults.iter().any(narrows)) {
        notes.push(
            "what is narrow is a node's card, which all its links share; in the simulator it is \
             each link"
                .to_owned(),
        );
    }
    if !powers.is_netns && faults.iter().any(|fault| is_silent(&fault.fault)) {
        notes.push(
            "a silent crash on loopback is SIGSTOP: the links stay open, and a dial is taken by \
             the system and never answered; --netns pulls the network card out"
                .to_owned(),
        );
    }
    if faults.iter().any(|fault| keeps(&fault.fault)) && faults.iter().any(comes_back) {
        notes.push(
            "processes that start again have a new id, and know only the two that they ask"
                .to_owned(),
        );
    }

    let calm = if powers.delays { table } else { hurry::within_a_machine(table) };
    let simulated = simulate::<L>(&calm, &source, request)?;
    process::allow_many_files();
    let mut fleet = Fleet::new(place, request.program.clone(), L::COMMAND, seed);
    let joins: u64 = plan.phases.iter().map(|phase| phase.joins).sum();
    let in_all = u64::from(nodes) + joins;
    if in_all > u64::from(MAX_PROCESSES) {
        return Err(RealError::Nodes { nodes: u32::try_from(in_all).unwrap_or(u32::MAX) });
    }
    fleet.settle(usize::try_from(in_all).unwrap_or(usize::MAX))?;
    let mut course = Course::<L>::new(&plan, &faults, seed, fleet, interrupts);
    let (phases, failures) = course.run(progress)?;
    notes.append(&mut course.notes);
    let wall = course.fleet.elapsed() as f64 / 1e6;
    let real = Outcome {
        scenario: format!("{} (real)", scenario.name),
        about: scenario.about.clone(),
        layer: L::NAME.into(),
        seed,
        nodes,
        bug: None,
        source,
        drawn: plan.drawn.clone(),
        digest: "-".into(),
        phases,
        failures,
        series: std::mem::take(&mut course.series).into_values().collect(),
        distributions: course.users.distributions(),
        graph: graph(&course.fleet),
        speed: Speed {
            wall,
            virtual_seconds: wall,
            deliveries: course.fleet.count("traffic", "frames_received"),
            bytes_per_node: None,
        },
    };
    Ok(Both { simulated, real, notes })
}

/// The same in the simulator, for comparison. `source` is what it says in the record.
fn simulate<L: RealLayer>(
    scenario: &Table,
    source: &str,
    request: &RealRequest,
) -> Result<Outcome, RealError> {
    let text = scenario.to_string();
    let scenario = Scenario::read(&text, L::VOCABULARY)?;
    let settings = Settings {
        seed: request.seed,
        nodes: Some(request.nodes),
        bug: None,
        without: request.without.clone(),
    };
    let outcome = rs2p_simnet::run::<L>(&scenario, source, &settings, &mut |_| ());
    Ok(Outcome { scenario: format!("{} (simulated)", outcome.scenario), ..outcome })
}

fn narrows(fault: &PlannedFault) -> bool {
    matches!(fault.fault, rs2p_simnet::Fault::Narrow { .. })
}

fn comes_back(fault: &PlannedFault) -> bool {
    fault.until.is_some() || matches!(fault.fault, rs2p_simnet::Fault::Churn { .. })
}

fn table(source: &str) -> Result<Table, ScenarioError> {
    toml::from_str(source)
        .map_err(|error| ScenarioError::Syntax(error.to_string().trim_end().into()))
}

fn graph(fleet: &Fleet) -> Graph {
    let roots = fleet.components();
    let of = u32::try_from(fleet.len()).unwrap_or(u32::MAX);
    let number = |node: usize| u32::try_from(node).unwrap_or(u32::MAX);
    let mut links = BTreeSet::new();
    let mut nodes = Vec::new();
    for (node, root) in roots.iter().enumerate() {
        let neighbours = fleet.neighbours(node);
        nodes.push(GraphNode {
            node: number(node),
            position: node as f64 / fleet.len().max(1) as f64,
            is_up: root.is_some(),
            links: number(neighbours.len()),
            component: number(root.unwrap_or(node)),
            is_byzantine: false,
        });
        links.extend(
            neighbours
                .into_iter()
                .filter(|other| *other > node)
                .map(|it| (number(node), number(it))),
        );
    }
    Graph { nodes, links: links.into_iter().collect(), of }
}

#[expect(clippy::disallowed_methods, reason = "processes run in real time")]
fn now() -> Instant {
    Instant::now()
}
