//! What a run came to, as data: for tables, reports, comparisons and other programs.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What became of one scenario with one seed.
///
/// All of it but [`speed`](Self::speed) is the same every time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// The layer under test.
    pub layer: String,
    /// The seed.
    pub seed: u64,
    /// Nodes at the start.
    pub nodes: u32,
    /// The bug that was planted, if any.
    pub bug: Option<String>,
    /// The scenario as it stood in its file.
    pub source: String,
    /// What the seed drew where the scenario leaves room, by the place in the scenario.
    pub drawn: BTreeMap<String, String>,
    /// The digest of the run: equal digests are equal runs.
    pub digest: String,
    /// The phases, in order; those after a broken invariant are missing.
    pub phases: Vec<PhaseOutcome>,
    /// What is wrong. Nothing when the run has passed.
    pub failures: Vec<Failure>,
    /// Figures over time.
    pub series: Vec<Series>,
    /// Distributions over the whole run.
    pub distributions: Vec<Distribution>,
    /// The network as it was at the end.
    pub graph: Graph,
    /// What it cost this computer.
    pub speed: Speed,
}

impl Outcome {
    /// Whether every bound and invariant held and every fault fired.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// A figure of the last phase that has it.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<f64> {
        let mut last_first = self.phases.iter().rev();
        last_first.find_map(|phase| phase.figures.get(name).copied())
    }
}

/// What became of a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseOutcome {
    /// Its name.
    pub name: String,
    /// When it began and ended, in virtual seconds since the start.
    pub from: f64,
    /// When it ended.
    pub to: f64,
    /// What was measured in it, by the names that bounds use.
    pub figures: BTreeMap<String, f64>,
    /// The bounds it stated, and whether they held.
    pub bounds: Vec<BoundOutcome>,
    /// The faults that began in it.
    pub faults: Vec<FaultOutcome>,
}

/// Whether a bound held.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundOutcome {
    /// As it stands in the scenario: `heard >= 0.999`.
    pub bound: String,
    /// What was measured; nothing when there was nothing to measure.
    pub measured: Option<f64>,
    /// Whether it held.
    pub held: bool,
}

/// What a fault did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultOutcome {
    /// What it was: `partition of 500 nodes`.
    pub fault: String,
    /// When it began, in virtual seconds since the start.
    pub from: f64,
    /// When it ended; the end of the run for one that never did.
    pub to: f64,
    /// How often it had an effect; a run with a fault that had none fails.
    pub hits: u64,
    /// What was counted: `messages, dials and datagrams held up`.
    pub counted: String,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Which rule was broken: an invariant's name, a bound, or `fault without effect`.
    pub rule: String,
    /// What was seen, in words.
    pub seen: String,
    /// When, in virtual seconds since the start.
    pub at: f64,
    /// At which node, if at one.
    pub node: Option<u32>,
    /// The last things that happened there before, a line each.
    pub recent: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, at {:.3} s", self.rule, self.seen, self.at)?;
        match self.node {
            Some(node) => write!(f, ", node {node}"),
            None => Ok(()),
        }
    }
}

/// A figure over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What it shows.
    pub name: String,
    /// Its unit; empty for a count or share.
    pub unit: String,
    /// `(virtual seconds since the start, value)`.
    pub points: Vec<(f64, f64)>,
}

/// A distribution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// What is distributed.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// How many values there were.
    pub count: u64,
    /// `(value, share of all that are no larger)`, rising.
    pub points: Vec<(f64, f64)>,
}

/// The network as it was at a moment. Of a large one a sample, drawn from the seed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// The nodes shown, by number.
    pub nodes: Vec<GraphNode>,
    /// Links between nodes shown, as places in `nodes`.
    pub links: Vec<(u32, u32)>,
    /// How many nodes there are in all.
    pub of: u32,
}

/// A node in a [`Graph`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphNode {
    /// Its number.
    pub node: u32,
    /// Where it stands on the ring of ids, 0 to 1.
    pub position: f64,
    /// Whether it is up.
    pub is_up: bool,
    /// How many links it has, those to nodes not shown included.
    pub links: u32,
    /// The first node of its component; its own number when it is alone or down.
    pub component: u32,
    /// Whether it misbehaves on purpose.
    pub is_byzantine: bool,
}

/// What a run cost the computer. Differs from run to run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Seconds on the computer's clock.
    pub wall: f64,
    /// Virtual seconds that passed.
    pub virtual_seconds: f64,
    /// Messages and datagrams delivered.
    pub deliveries: u64,
    /// Bytes of memory for each node, taken over the whole process once all nodes had joined;
    /// nothing where the system does not tell, or where other runs share the process.
    pub bytes_per_node: Option<u64>,
}

impl Speed {
    /// Deliveries for each second on the computer's clock.
    #[must_use]
    pub fn deliveries_per_second(&self) -> f64 {
        if self.wall > 0.0 { self.deliveries as f64 / self.wall } else { 0.0 }
    }
}
