//! Why the program ends without having done its work, and the exit status that says so.

use std::fmt;

/// An end that is not a good one. Each kind has an exit status of its own.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something went wrong: 1.
    Failed(String),
    /// The command line, the environment or the configuration file is wrong: 2, as for what clap
    /// refuses.
    Usage(String),
    /// None of the nodes to begin with was reached: 3.
    Unreachable(String),
    /// Nodes were reached, but of another network: 8.
    OtherNetwork(String),
    /// SIGINT, or Ctrl-C at the terminal: 130, as shells have it.
    Interrupted,
}

impl Failure {
    pub(crate) fn failed(what: impl fmt::Display) -> Self {
        Self::Failed(what.to_string())
    }

    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::OtherNetwork(_) => 8,
            Self::Interrupted => 130,
        }
    }

    /// What to say about it; nothing when the user knows.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Failed(text)
            | Self::Usage(text)
            | Self::Unreachable(text)
            | Self::OtherNetwork(text) => Some(text),
            Self::Interrupted => None,
        }
    }
}
