//! What is said on standard output, and what beside it.

use std::io::{self, Write as _};

use rs2p_simnet::Outcome;

use super::failure::Failure;

/// Where words go: with `--json`, standard output is for outcomes only.
pub(crate) struct Told {
    json: bool,
}

impl Told {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Words that matter to whoever reads the outcomes as JSON, too.
    pub(crate) fn words(&self, text: &str) -> Result<(), Failure> {
        if self.json {
            // Where nobody reads it, nothing is lost.
            _ = io::stderr().write_all(text.as_bytes());
            Ok(())
        } else {
            print(text)
        }
    }

    /// Words that say in other form what is in the JSON.
    pub(crate) fn aside(&self, text: &str) -> Result<(), Failure> {
        if self.json { Ok(()) } else { print(text) }
    }

    /// The outcomes, a line each.
    pub(crate) fn json<'a>(
        &self,
        outcomes: impl Iterator<Item = &'a Outcome>,
    ) -> Result<(), Failure> {
        for outcome in outcomes {
            let mut line = serde_json::to_string(outcome)
                .map_err(|error| Failure::Output(io::Error::other(error)))?;
            line.push('\n');
            print(&line)?;
        }
        Ok(())
    }
}

/// To standard output. A reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}
