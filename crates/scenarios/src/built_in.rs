//! The scenarios that come with the project.

/// A scenario that comes with the project.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    /// Its name: the layer, and what happens.
    pub name: &'static str,
    /// Its text.
    pub source: &'static str,
}

macro_rules! built_in {
    ($($name:literal),* $(,)?) => {
        &[$(BuiltIn {
            name: $name,
            source: include_str!(concat!("../scenarios/", $name, ".toml")),
        }),*]
    };
}

/// All of them.
pub const BUILT_IN: &[BuiltIn] = built_in![
    "mesh/flood",
    "mesh/churn",
    "mesh/crash",
    "mesh/partition",
    "mesh/loss",
    "mesh/clock",
    "mesh/byzantine",
    "mesh/memory",
    "mesh/chaos",
    "mesh/core",
    "sync/converge",
    "sync/loss",
    "sync/churn",
    "sync/partition",
    "sync/clock",
    "sync/crash",
    "sync/leases",
    "sync/tombstones",
    "sync/chaos",
    "chord/path",
    "chord/paper",
    "chord/flood",
    "chord/growth",
    "chord/join",
    "chord/churn",
    "chord/crash",
    "chord/partition",
    "chord/loss",
    "chord/mixed",
    "kad/lookup",
    "kad/values",
    "kad/loss",
    "kad/churn",
    "kad/crash",
    "kad/liars",
    "kad/days",
];

/// What a tour shows: which of them, with how many nodes.
pub const TOUR: &[(&str, u32)] = &[
    ("mesh/flood", 10_000),
    ("mesh/churn", 300),
    ("mesh/crash", 1_000),
    ("mesh/partition", 300),
    ("mesh/loss", 300),
    ("mesh/clock", 300),
    ("mesh/byzantine", 300),
    ("mesh/memory", 30),
    ("mesh/chaos", 100),
    ("mesh/core", 100),
    ("sync/converge", 40),
    ("sync/loss", 40),
    ("sync/churn", 40),
    ("sync/partition", 40),
    ("sync/clock", 40),
    ("sync/crash", 40),
    ("sync/leases", 40),
    ("sync/tombstones", 40),
    ("sync/chaos", 40),
    ("chord/path", 1_000),
    ("chord/paper", 100),
    ("chord/flood", 100),
    ("chord/growth", 10),
    ("chord/join", 100),
    ("chord/churn", 40),
    ("chord/crash", 100),
    ("chord/partition", 40),
    ("chord/loss", 40),
    ("chord/mixed", 40),
    ("kad/lookup", 300),
    ("kad/values", 60),
    ("kad/loss", 60),
    ("kad/churn", 60),
    ("kad/crash", 60),
    ("kad/liars", 60),
    ("kad/days", 24),
];
