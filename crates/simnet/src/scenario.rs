//! Scenarios: files that say what happens to a network, and what must hold.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use rs2p_wire::Limits;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use toml::Spanned;

use crate::fault::{FaultSpec, PlannedFault};
use crate::network::{Datagrams, Latency, Network};
use crate::outcome::{BoundOutcome, Failure, PhaseOutcome};
use crate::sim::Fidelity;
use crate::spread::{Quantity, Span, Spread};

/// A scenario, as its file states it. `O` are options of the layer's nodes, `W` is what their users
/// do in a phase.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario<O, W> {
    /// Its name.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// The layer it tries.
    pub layer: String,
    /// Nodes that start at the beginning.
    pub nodes: Spanned<u32>,
    /// Over which time they start.
    #[serde(default)]
    starts_within: Option<Spread<Span>>,
    #[serde(default)]
    fidelity: FidelityName,
    /// How often invariants are looked at.
    #[serde(default = "every_second")]
    check: Spread<Span>,
    #[serde(default)]
    network: NetworkSpec,
    /// Options of the nodes.
    #[serde(default = "Option::default")]
    pub options: Option<O>,
    #[serde(rename = "phase")]
    phases: Vec<Phase<W>>,
}

fn every_second() -> Spread<Span> {
    Spread::fixed(Span::from_secs(1))
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FidelityName {
    #[default]
    Messages,
    Frames,
}

/// What the network is like; what is left out is as in [`Network::default`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NetworkSpec {
    latency: Option<Spread<Span>>,
    regions: Option<Spanned<Vec<Vec<Spread<Span>>>>>,
    jitter: Option<Spread<Span>>,
    bandwidth: Option<Spread<u64>>,
    buffer: Option<Spread<u64>>,
    dial_timeout: Option<Spread<Span>>,
    loss: Option<Spread<f64>>,
    duplication: Option<Spread<f64>>,
    reordering: Option<Spread<f64>>,
    held_up: Option<Spread<Span>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Phase<W> {
    name: String,
    lasts: Spread<Span>,
    /// Nodes that join, evenly over the phase.
    #[serde(default)]
    joins: Option<Spread<u64>>,
    /// The same, as so many times the nodes that started at the beginning.
    #[serde(default)]
    grows: Option<Spread<u64>>,
    /// From here on only a share of the nodes counts: between them nothing is wrong any more, and
    /// what is wrong with the others goes on.
    #[serde(default)]
    core: Option<Spanned<Spread<f64>>>,
    #[serde(default = "Option::default")]
    workload: Option<W>,
    #[serde(default, rename = "fault")]
    faults: Vec<Spanned<FaultSpec>>,
    #[serde(default)]
    hold: Vec<Spanned<Bound>>,
}

/// A bound that a figure must keep: `heard >= 0.999`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Bound {
    /// The figure's name.
    pub figure: String,
    relation: Relation,
    value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    AtLeast,
    AtMost,
    Equal,
}

impl TryFrom<String> for Bound {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("{text:?} is no bound: one reads like \"heard >= 0.999\", with >=, <= or ==")
        };
        let mut words = text.split_whitespace();
        let (Some(figure), Some(relation), Some(value), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(wrong());
        };
        let relation = match relation {
            ">=" => Relation::AtLeast,
            "<=" => Relation::AtMost,
            "==" => Relation::Equal,
            _ => return Err(wrong()),
        };
        let value = value.parse().map_err(|_| wrong())?;
        Ok(Self { figure: figure.into(), relation, value })
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relation = match self.relation {
            Relation::AtLeast => ">=",
            Relation::AtMost => "<=",
            Relation::Equal => "==",
        };
        write!(f, "{} {relation} {}", self.figure, self.value)
    }
}

impl Bound {
    /// Whether it is kept. Nothing measured keeps no bound.
    #[must_use]
    pub fn holds(&self, measured: Option<f64>) -> bool {
        measured.is_some_and(|measured| match self.relation {
            Relation::AtLeast => measured >= self.value,
            Relation::AtMost => measured <= self.value,
            Relation::Equal => (measured - self.value).abs() <= f64::EPSILON * self.value.abs(),
        })
    }
}

/// Why a scenario cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// It is not what a scenario looks like.
    #[error("{0}")]
    Syntax(String),
    /// It reads well, but makes no sense.
    #[error("line {line}: {reason}")]
    Nonsense {
        /// Where, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such layer.
    #[error("there is no layer {layer:?}; there are: {known}")]
    UnknownLayer {
        /// What the scenario says.
        layer: String,
        /// Those that there are.
        known: String,
    },
    /// There is no such bug to plant.
    #[error("the {layer} layer has no bug {bug:?} to plant; there are: {known}")]
    UnknownBug {
        /// The layer.
        layer: String,
        /// What was asked for.
        bug: String,
        /// Those that there are.
        known: String,
    },
}

/// What a layer knows, by which a scenario is checked.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary {
    /// Figures for bounds, each with what it means.
    pub figures: &'static [(&'static str, &'static str)],
    /// Misdeeds of byzantine nodes, each with what it means.
    pub misdeeds: &'static [(&'static str, &'static str)],
}

/// Figures that every layer has.
pub const FIGURES: &[(&str, &str)] = &[
    ("up", "nodes that are up"),
    ("components", "parts into which the nodes that count have fallen"),
    ("largest", "share of the nodes that count in the largest part"),
    ("one_again_s", "seconds into the phase after which the nodes that count were in one part"),
    ("links", "mean number of links of a node that counts"),
    ("links_max", "largest number of links of a node that counts"),
    ("deliveries", "messages and datagrams delivered"),
    ("broken", "links broken by faults"),
    ("dials_failed", "dials that came to nothing"),
    ("dials_nowhere", "dials to addresses at which there has never been a node"),
];

/// A scenario with everything drawn that it left to the seed. All times are in microseconds since
/// the start.
#[derive(Clone, Debug)]
pub struct Plan<W> {
    /// What the network is like.
    pub network: Network,
    pub(crate) fidelity: Fidelity,
    /// Nodes that start at the beginning.
    pub nodes: u32,
    /// Over which time they start.
    pub starts_within: u64,
    /// How often invariants are looked at.
    pub check: u64,
    /// The phases, in order.
    pub phases: Vec<PlannedPhase<W>>,
    /// The faults of all phases, by number.
    pub faults: Vec<PlannedFault>,
    /// What was drawn, by the place in the scenario.
    pub drawn: BTreeMap<String, String>,
}

/// A phase with everything drawn that it left to the seed.
#[derive(Clone, Debug)]
pub struct PlannedPhase<W> {
    /// Its name.
    pub name: String,
    /// When it begins.
    pub from: u64,
    /// When it ends.
    pub to: u64,
    /// Nodes that join, evenly over the phase.
    pub joins: u64,
    /// The share of the nodes that counts from here on, if not all do.
    pub core: Option<f64>,
    /// What users do.
    pub workload: Option<W>,
    /// What must hold at its end.
    pub hold: Vec<Bound>,
    /// The numbers of its faults.
    pub faults: std::ops::Range<usize>,
}

impl<W> PlannedPhase<W> {
    /// What it came to, and which of its bounds are broken. Bounds of figures that cannot be
    /// measured where it ran are left out: those for which `is_judged` says no.
    #[must_use]
    pub fn judge(
        &self,
        figures: BTreeMap<&'static str, f64>,
        is_judged: impl Fn(&str) -> bool,
    ) -> (PhaseOutcome, Vec<Failure>) {
        let (mut bounds, mut failures) = (Vec::new(), Vec::new());
        for bound in self.hold.iter().filter(|bound| is_judged(&bound.figure)) {
            let measured = figures.get(bound.figure.as_str()).copied();
            let held = bound.holds(measured);
            if !held {
                let seen = match measured {
                    Some(measured) => format!("{} is {}", bound.figure, short(measured)),
                    None => format!("{} could not be measured", bound.figure),
                };
                failures.push(Failure {
                    rule: format!("phase {:?}: {bound}", self.name),
                    seen,
                    at: self.to as f64 / 1e6,
                    node: None,
                    recent: Vec::new(),
                });
            }
            bounds.push(BoundOutcome { bound: bound.to_string(), measured, held });
        }
        let figures = figures.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let (name, faults) = (self.name.clone(), Vec::new());
        let (from, to) = (self.from as f64 / 1e6, self.to as f64 / 1e6);
        (PhaseOutcome { name, from, to, figures, bounds, faults }, failures)
    }
}

/// A figure, told as exactly as a reader can use.
fn short(figure: f64) -> String {
    let text = format!("{figure:.6}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}

impl<O: DeserializeOwned, W: DeserializeOwned + Clone> Scenario<O, W> {
    /// Nodes at the most.
    const MAX_NODES: u32 = 1_000_000;

    /// Reads a scenario of a layer with this vocabulary.
    ///
    /// # Errors
    /// It is not what a scenario looks like, or names what is not there; told with the line.
    pub fn read(source: &str, vocabulary: Vocabulary) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(source)
            .map_err(|error| ScenarioError::Syntax(error.to_string().trim_end().into()))?;
        scenario.check_sense(source, vocabulary)?;
        Ok(scenario)
    }

    fn check_sense(&self, source: &str, vocabulary: Vocabulary) -> Result<(), ScenarioError> {
        let nonsense = |at: usize, reason: String| {
            let line = source[..at.min(source.len())].matches('\n').count() + 1;
            Err(ScenarioError::Nonsense { line, reason })
        };
        let start = self.nodes.span().start;
        if !(1..=Self::MAX_NODES).contains(self.nodes.get_ref()) {
            return nonsense(start, format!("nodes go from 1 to {}", Self::MAX_NODES));
        }
        if self.phases.is_empty() {
            return nonsense(start, "a scenario needs a [[phase]] at least".into());
        }
        if let Some(regions) = &self.network.regions
            && Latency::regions(
                regions.get_ref().iter().map(|row| vec![(0, 0); row.len()]).collect(),
            )
            .is_err()
        {
            return nonsense(regions.span().start, crate::network::NotSquare.to_string());
        }
        let names = |known: &[(&'static str, &str)]| -> Vec<&'static str> {
            known.iter().map(|(name, _)| *name).collect()
        };
        let figures = [names(FIGURES), names(vocabulary.figures)].concat();
        let misdeeds = names(vocabulary.misdeeds);
        for phase in &self.phases {
            for bound in &phase.hold {
                let figure = bound.get_ref().figure.as_str();
                if !figures.contains(&figure) {
                    let known = figures.join(", ");
                    let reason = format!("there is no figure {figure:?}; there are: {known}");
                    return nonsense(bound.span().start, reason);
                }
            }
            for fault in &phase.faults {
                if let Some(does) = fault.get_ref().misdeed()
                    && !misdeeds.contains(&does)
                {
                    let known = misdeeds.join(", ");
                    let reason = format!("there is no misdeed {does:?}; there are: {known}");
                    return nonsense(fault.span().start, reason);
                }
            }
            if let Some(core) = &phase.core
                && core.get_ref().most() > 1.0
            {
                return nonsense(core.span().start, "a core is a share from 0 to 1".into());
            }
        }
        Ok(())
    }

    /// How long it lasts with this seed.
    #[must_use]
    pub fn lasts(&self, seed: u64) -> Span {
        let phases = self.phases.iter().enumerate();
        Span(phases.map(|(n, it)| it.lasts.draw(seed, &format!("phase.{}.lasts", n + 1)).0).sum())
    }

    /// What this seed makes of it.
    #[must_use]
    pub fn plan(&self, seed: u64, nodes: Option<u32>, vocabulary: Vocabulary) -> Plan<W> {
        let mut drawn = BTreeMap::new();
        let network = self.network.draw(seed, &mut drawn);
        let misdeeds: Vec<&str> = vocabulary.misdeeds.iter().map(|(name, _)| *name).collect();
        let (mut at, mut phases, mut faults) = (0, Vec::new(), Vec::new());
        let mut chaoses = 0;
        for (number, phase) in self.phases.iter().enumerate() {
            let place = format!("phase.{}", number + 1);
            let lasts = draw(seed, &format!("{place}.lasts"), &phase.lasts, &mut drawn).0.max(1);
            let joins = phase.joins.as_ref();
            let joins = joins.map_or(0, |it| draw(seed, &format!("{place}.joins"), it, &mut drawn));
            let grows = phase.grows.as_ref();
            let grows = grows.map_or(0, |it| draw(seed, &format!("{place}.grows"), it, &mut drawn));
            let started = u64::from(nodes.unwrap_or(*self.nodes.get_ref()));
            let joins = joins.saturating_add(grows.saturating_mul(started));
            let core = phase
                .core
                .as_ref()
                .map(|core| draw(seed, &format!("{place}.core"), core.get_ref(), &mut drawn));
            let first = faults.len();
            for (which, fault) in phase.faults.iter().enumerate() {
                let place = format!("{place}.fault.{}", which + 1);
                let mut note = |place: String, what: &dyn fmt::Display| {
                    drawn.insert(place, what.to_string());
                };
                let spec = fault.get_ref();
                let mut planned = spec.plan(seed, &place, (at, at + lasts), &misdeeds, &mut note);
                if spec.is_chaos() {
                    chaoses += 1;
                    planned.iter_mut().for_each(|fault| fault.chaos = Some(chaoses));
                }
                faults.extend(planned);
            }
            phases.push(PlannedPhase {
                name: phase.name.clone(),
                from: at,
                to: at + lasts,
                joins,
                core,
                workload: phase.workload.clone(),
                hold: phase.hold.iter().map(|bound| bound.get_ref().clone()).collect(),
                faults: first..faults.len(),
            });
            at += lasts;
        }
        for (number, fault) in faults.iter_mut().enumerate() {
            fault.number = number;
        }
        let check = draw(seed, "check", &self.check, &mut drawn).0.max(1_000);
        let starts_within = self.starts_within.as_ref();
        let starts_within =
            starts_within.map_or(0, |it| draw(seed, "starts_within", it, &mut drawn).0);
        Plan {
            network,
            fidelity: match self.fidelity {
                FidelityName::Messages => Fidelity::Messages,
                FidelityName::Frames => Fidelity::Frames(Limits::default()),
            },
            nodes: nodes.unwrap_or(*self.nodes.get_ref()).clamp(1, Self::MAX_NODES),
            starts_within,
            check,
            phases,
            faults,
            drawn,
        }
    }
}

impl NetworkSpec {
    fn draw(&self, seed: u64, drawn: &mut BTreeMap<String, String>) -> Network {
        let usual = Network::default();
        let mut span = |name: &str, spread: &Option<Spread<Span>>| {
            spread.as_ref().map(|it| draw(seed, &format!("network.{name}"), it, drawn).0)
        };
        let jitter = span("jitter", &self.jitter).unwrap_or(usual.jitter);
        let dial_timeout = span("dial_timeout", &self.dial_timeout).unwrap_or(usual.dial_timeout);
        let held_up = span("held_up", &self.held_up).unwrap_or(1_000_000);
        let mut count = |name: &str, spread: &Option<Spread<u64>>| {
            spread.as_ref().map(|it| draw(seed, &format!("network.{name}"), it, drawn))
        };
        let bandwidth = count("bandwidth", &self.bandwidth);
        let buffer = count("buffer", &self.buffer).and_then(|bytes| usize::try_from(bytes).ok());
        let mut share = |name: &str, spread: &Option<Spread<f64>>| {
            let spread = spread.as_ref();
            spread.map_or(0.0, |it| draw(seed, &format!("network.{name}"), it, drawn))
        };
        let datagrams = Datagrams {
            loss: share("loss", &self.loss),
            duplication: share("duplication", &self.duplication),
            reordering: share("reordering", &self.reordering),
            held_up,
        };
        // Each link draws its own latency within these.
        let latency = match (&self.regions, &self.latency) {
            (Some(regions), _) => {
                let range = |it: &Spread<Span>| (it.least().0, it.most().0);
                let rows = regions.get_ref().iter();
                let matrix = rows.map(|row| row.iter().map(range).collect()).collect();
                Latency::regions(matrix).unwrap_or(usual.latency)
            }
            (None, Some(it)) => Latency::uniform(it.least().0, it.most().0),
            (None, None) => usual.latency,
        };
        Network { latency, jitter, bandwidth, buffer, dial_timeout, datagrams, ..usual }
    }
}

/// Draws, and notes what was left open.
fn draw<T: Quantity>(
    seed: u64,
    place: &str,
    spread: &Spread<T>,
    drawn: &mut BTreeMap<String, String>,
) -> T {
    let quantity = spread.draw(seed, place);
    if spread.is_open() {
        drawn.insert(place.into(), quantity.to_string());
    }
    quantity
}
