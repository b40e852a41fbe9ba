//! A step: one command line, shown, timed, and repeatable by hand.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// One command line with a name.
pub(crate) struct Step {
    name: String,
    words: Vec<String>,
    env: Vec<(&'static str, String)>,
}

impl Step {
    /// `line` is split at white space; there is no quoting.
    pub(crate) fn new(name: impl Into<String>, line: &str) -> Self {
        let words = line.split_whitespace().map(str::to_owned).collect();
        Self { name: name.into(), words, env: Vec::new() }
    }

    /// Adds one word, white space and all.
    pub(crate) fn arg(mut self, word: impl Into<String>) -> Self {
        self.words.push(word.into());
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    /// Runs it in `root`, says what runs and how long it took.
    ///
    /// # Errors
    /// It cannot be started, or ends with another status than 0.
    pub(crate) fn run(&self, root: &Path) -> Result<(), StepError> {
        println!("\n==> {}: {}", self.name, self.line());
        let start = now();
        let failed =
            |cause: String| StepError { name: self.name.clone(), line: self.line(), cause };
        let status = self.command(root).status().map_err(|error| failed(error.to_string()))?;
        if !status.success() {
            return Err(failed(status.to_string()));
        }
        println!("    {}: passed in {:.1} s", self.name, start.elapsed().as_secs_f64());
        Ok(())
    }

    /// Whether it runs at all and ends with status 0; its output is swallowed.
    pub(crate) fn succeeds(&self, root: &Path) -> bool {
        self.command(root).output().is_ok_and(|output| output.status.success())
    }

    /// As one would type it.
    pub(crate) fn line(&self) -> String {
        let env = self.env.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
        let words = self.words.iter().map(|word| quoted(word));
        env.chain(words).collect::<Vec<_>>().join(" ")
    }

    fn command(&self, root: &Path) -> Command {
        let (program, args) = self.words.split_first().map_or(("true", &[][..]), |(p, a)| (p, a));
        let mut command = Command::new(program);
        command.args(args).current_dir(root);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A step that did not end well.
#[derive(Debug)]
pub(crate) struct StepError {
    name: String,
    line: String,
    cause: String,
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step `{}` failed ({})\nRepeat it with:\n  {}", self.name, self.cause, self.line)
    }
}

impl Error for StepError {}

#[expect(clippy::disallowed_methods, reason = "the time of a step, for a person to read")]
fn now() -> Instant {
    Instant::now()
}

fn quoted(word: &str) -> String {
    if word.contains(char::is_whitespace) { format!("'{word}'") } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_names_itself_and_the_line_to_repeat() {
        let step = Step::new("docs", "false --no-deps").env("RUSTDOCFLAGS", "-D warnings");
        let error = step.run(Path::new(".")).unwrap_err().to_string();
        assert!(error.contains("step `docs` failed"), "{error}");
        assert!(error.ends_with("RUSTDOCFLAGS='-D warnings' false --no-deps"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_and_no_panic() {
        let step = Step::new("gone", "no-such-program-anywhere");
        assert!(!step.succeeds(Path::new(".")));
        assert!(step.run(Path::new(".")).is_err());
    }
}
