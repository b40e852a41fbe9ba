//! Why the program ends without an answer.

use std::io;
use std::path::{Path, PathBuf};

use rs2p_scenarios::RealError;
use rs2p_simnet::ScenarioError;

/// What was wrong, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line asks for what there is not.
    #[error("{0}")]
    Usage(String),
    /// A scenario is refused; its own words name line and reason.
    #[error("{given}: {cause}")]
    Scenario { given: String, cause: ScenarioError },
    /// A file cannot be read.
    #[error("{}: cannot be read: {cause}", path.display())]
    Read { path: PathBuf, cause: io::Error },
    /// A file cannot be written.
    #[error("{}: cannot be written: {cause}; --out names another directory", path.display())]
    Write { path: PathBuf, cause: io::Error },
    /// A file holds something else than it should.
    #[error("{}: {what}", path.display())]
    Content { path: PathBuf, what: String },
    /// More than one of these, or just one.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\nerror: "))]
    Several(Vec<Failure>),
    /// Nothing comes of processes.
    #[error("{given}: {cause}")]
    Real { given: String, cause: RealError },
    /// Standard output is gone.
    #[error("standard output cannot be written: {0}")]
    Output(io::Error),
}

impl Failure {
    /// The exit status.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::Real { cause: RealError::Interrupted, .. } => 130,
            _ => 2,
        }
    }

    pub(crate) fn scenario(given: &str, cause: ScenarioError) -> Self {
        Self::Scenario { given: given.to_owned(), cause }
    }

    pub(crate) fn read(path: &Path, cause: io::Error) -> Self {
        Self::Read { path: path.to_owned(), cause }
    }

    pub(crate) fn write(path: &Path, cause: io::Error) -> Self {
        Self::Write { path: path.to_owned(), cause }
    }

    pub(crate) fn content(path: &Path, what: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), what: what.into() }
    }
}
