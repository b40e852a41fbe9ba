//! A virtual network for rs2p machines: many real nodes in one process, reproducible from a seed.
//!
//! A [`Sim`] holds nodes, each the very [`Machine`](rs2p_base::Machine) that runs on real sockets,
//! and carries what they send in virtual time. Nothing in it depends on the computer: the same seed
//! and the same calls give the same run, told by its [`TraceDigest`].

mod datagrams;
mod hold;
mod links;
mod network;
mod outcome;
mod rules;
mod sim;
mod streams;
mod trace;
mod wheel;

pub use network::{Datagrams, Latency, Network, NotSquare};
pub use outcome::{
    BoundOutcome, Distribution, Failure, FaultOutcome, Graph, GraphNode, Outcome, PhaseOutcome,
    Series, Speed,
};
pub use rules::{Effect, NodeSet, Rule, RuleId};
pub use sim::{Crash, Fidelity, NodeIndex, Sim};
pub use streams::stream;
pub use trace::{Counts, Moment, TraceDigest, What};
