//! A virtual network for rs2p machines: many real nodes in one process, reproducible from a seed.
//!
//! A [`Sim`] holds nodes, each the very [`Machine`](rs2p_base::Machine) that runs on real sockets,
//! and carries what they send in virtual time. Nothing in it depends on the computer: the same seed
//! and the same calls give the same run, told by its [`TraceDigest`].

mod datagrams;
mod fault;
mod hold;
mod invariant;
mod links;
mod nemesis;
mod network;
mod outcome;
mod report;
mod rules;
mod run;
mod scenario;
mod shrink;
mod sim;
mod spread;
mod streams;
mod tamper;
mod trace;
mod trial;
mod wheel;
mod world;

pub use fault::{Fault, FaultSpec, PlannedFault, Target};
pub use invariant::{Broken, Violation, Watch};
pub use network::{Datagrams, Latency, Network, NotSquare};
pub use outcome::{
    BoundOutcome, Distribution, Failure, FaultOutcome, Graph, GraphNode, Outcome, PhaseOutcome,
    Series, Speed,
};
pub use report::html as html_report;
pub use rules::{Effect, NodeSet, Rule, RuleId};
pub use run::{Settings, planned_faults, run};
pub use scenario::{Bound, FIGURES, Plan, PlannedPhase, Scenario, ScenarioError, Vocabulary};
pub use shrink::shrink;
pub use sim::{Crash, Fidelity, NodeIndex, Sim};
pub use spread::{Quantity, Span, Spread};
pub use streams::stream;
pub use tamper::{Fate, Tamper, Tampered};
pub use trace::{Counts, Moment, TraceDigest, What};
pub use trial::{NewNode, Trial};
pub use world::World;
