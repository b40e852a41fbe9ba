//! What each layer must withstand: scenarios of the layers, for the simulator.
//!
//! [`BUILT_IN`] are the scenarios that come with the project; [`run`] runs one of them, or one of
//! your own. How one is written is told in the book's chapter on simulation.

mod built_in;
mod chord;
mod kad;
mod mesh;
mod real;
mod sync;

use std::collections::BTreeSet;

use rs2p_simnet::{
    FIGURES, Outcome, Scenario, ScenarioError, Settings, Trial, Vocabulary, planned_faults,
};
use serde::Deserialize;

use real::RealLayer;

pub use built_in::{BUILT_IN, BuiltIn, TOUR};
pub use chord::ChordLayer;
pub use kad::KadLayer;
pub use mesh::MeshLayer;
pub use real::{Both, Interrupts, MAX_PROCESSES, RealError, RealRequest, real};
pub use sync::SyncLayer;

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The scenario's text.
    pub source: String,
    /// The seed.
    pub seed: u64,
    /// How many nodes, if not as many as the scenario says.
    pub nodes: Option<u32>,
    /// A bug to plant in every node.
    pub bug: Option<String>,
    /// Faults to leave out, by number: see [`faults`].
    pub without: BTreeSet<usize>,
}

/// What a scenario is, before it is run.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// What it is about, in a sentence.
    pub about: String,
    /// The layer it tries.
    pub layer: String,
    /// Nodes at the start.
    pub nodes: u32,
    /// How long it lasts, in virtual seconds, with seed 1.
    pub virtual_seconds: f64,
    /// Faults, with seed 1.
    pub faults: usize,
    /// Bugs that can be planted in its layer.
    pub bugs: &'static [(&'static str, &'static str)],
}

/// Reads a scenario without running it.
///
/// # Errors
/// It is not what a scenario looks like, or names what is not there; told with the line.
pub fn check(source: &str) -> Result<Summary, ScenarioError> {
    (entry(source)?.check)(source)
}

/// Runs a scenario. `progress` is told the share of virtual time that has passed, 0 to 1.
///
/// # Errors
/// As [`check`], or there is no such bug to plant. That something does not hold which must is no
/// error but an [`Outcome`] with [failures](Outcome::failures).
pub fn run(request: &Request, progress: &mut dyn FnMut(f64)) -> Result<Outcome, ScenarioError> {
    (entry(&request.source)?.run)(request, progress)
}

/// The faults that this request plans, in words, by number.
///
/// # Errors
/// As [`check`].
pub fn faults(request: &Request) -> Result<Vec<String>, ScenarioError> {
    (entry(&request.source)?.faults)(request)
}

type RealRun = fn(&RealRequest, &Interrupts, &mut dyn FnMut(f64)) -> Result<Both, RealError>;

type Run = fn(&Request, &mut dyn FnMut(f64)) -> Result<Outcome, ScenarioError>;

/// A layer that scenarios can try.
#[derive(Clone, Copy, Debug)]
pub struct LayerEntry {
    /// Its name in scenarios.
    pub name: &'static str,
    /// The figures and misdeeds that scenarios can name.
    pub vocabulary: Vocabulary,
    /// Bugs that can be planted in it, each with what is wrong.
    pub bugs: &'static [(&'static str, &'static str)],
    check: fn(&str) -> Result<Summary, ScenarioError>,
    run: Run,
    faults: fn(&Request) -> Result<Vec<String>, ScenarioError>,
    /// The same with processes, where there is a command of `rs2p` for it.
    real: Option<RealRun>,
}

/// The layers that scenarios can try.
pub const LAYERS: &[LayerEntry] = &[
    with_processes::<MeshLayer>(layer_entry::<MeshLayer>()),
    layer_entry::<SyncLayer>(),
    layer_entry::<ChordLayer>(),
    layer_entry::<KadLayer>(),
];

/// Figures that every layer has, each with what it means.
pub const COMMON_FIGURES: &[(&str, &str)] = FIGURES;

const fn layer_entry<L: Trial>() -> LayerEntry {
    LayerEntry {
        name: L::NAME,
        vocabulary: L::VOCABULARY,
        bugs: L::BUGS,
        check: check_layer::<L>,
        run: run_layer::<L>,
        faults: faults_of_layer::<L>,
        real: None,
    }
}

const fn with_processes<L: RealLayer>(entry: LayerEntry) -> LayerEntry {
    LayerEntry { real: Some(real::run_layer::<L>), ..entry }
}

fn entry(source: &str) -> Result<&'static LayerEntry, ScenarioError> {
    #[derive(Deserialize)]
    struct Head {
        layer: String,
    }
    let head: Head = toml::from_str(source)
        .map_err(|error| ScenarioError::Syntax(error.to_string().trim_end().into()))?;
    LAYERS.iter().find(|entry| entry.name == head.layer).ok_or_else(|| {
        let known = LAYERS.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
        ScenarioError::UnknownLayer { layer: head.layer, known }
    })
}

fn read<L: Trial>(source: &str) -> Result<Scenario<L::Options, L::Workload>, ScenarioError> {
    Scenario::read(source, L::VOCABULARY)
}

fn check_layer<L: Trial>(source: &str) -> Result<Summary, ScenarioError> {
    let scenario = read::<L>(source)?;
    let settings = Settings { seed: 1, ..Settings::default() };
    Ok(Summary {
        name: scenario.name.clone(),
        about: scenario.about.clone(),
        layer: scenario.layer.clone(),
        nodes: *scenario.nodes.get_ref(),
        virtual_seconds: scenario.lasts(1).as_secs_f64(),
        faults: planned_faults::<L>(&scenario, &settings).len(),
        bugs: L::BUGS,
    })
}

fn run_layer<L: Trial>(
    request: &Request,
    progress: &mut dyn FnMut(f64),
) -> Result<Outcome, ScenarioError> {
    let scenario = read::<L>(&request.source)?;
    if let Some(bug) = &request.bug
        && !L::BUGS.iter().any(|(name, _)| name == bug)
    {
        let known = L::BUGS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let (layer, bug) = (L::NAME.into(), bug.clone());
        return Err(ScenarioError::UnknownBug { layer, bug, known });
    }
    Ok(rs2p_simnet::run::<L>(&scenario, &request.source, &settings(request), progress))
}

fn faults_of_layer<L: Trial>(request: &Request) -> Result<Vec<String>, ScenarioError> {
    let scenario = read::<L>(&request.source)?;
    Ok(planned_faults::<L>(&scenario, &settings(request)))
}

fn settings(request: &Request) -> Settings {
    Settings {
        seed: request.seed,
        nodes: request.nodes,
        bug: request.bug.clone(),
        without: request.without.clone(),
    }
}
