//! `cargo xtask tidy`: the repository's own rules.
//!
//! One file per kind of rule. Each says file, line, and what to do.

mod arrows;
mod links;
mod manifests;
mod sources;
mod texts;

use std::error::Error;
use std::fmt;

use crate::workspace::Workspace;

/// Check the repository's own rules: dependency arrows, manifests, sources, links.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask tidy")]
pub(crate) struct Args {}

pub(crate) fn run(Args {}: &Args, workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let findings = check(workspace);
    for finding in &findings {
        println!("{finding}");
    }
    let broken = findings.iter().filter(|finding| !finding.only_warns).count();
    if broken > 0 {
        return Err(format!(
            "{broken} places break the repository's rules (see CONTRIBUTING.md)\n\
             Repeat it with:\n  cargo xtask tidy"
        )
        .into());
    }
    println!("The repository keeps its rules.");
    Ok(())
}

fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = arrows::check(workspace);
    findings.extend(manifests::check(workspace));
    findings.extend(links::check(workspace));
    for file in workspace.files() {
        let Some(text) = workspace.text(&file) else { continue };
        findings.extend(sources::check(&file, &text));
        findings.extend(texts::check(&file, &text));
    }
    findings
}

/// A place that breaks a rule, and what to do about it.
#[derive(Debug)]
struct Finding {
    file: String,
    line: usize,
    what: String,
    only_warns: bool,
}

impl Finding {
    fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into(), only_warns: false }
    }

    fn warning(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self { only_warns: true, ..Self::new(file, line, what) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.only_warns { "warning: " } else { "" };
        write!(f, "{}:{}: {kind}{}", self.file, self.line, self.what)
    }
}

/// The number of the first line that `is` holds for, or 1.
fn line_of(text: &str, is: impl Fn(&str) -> bool) -> usize {
    text.lines().position(is).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_keeps_its_rules() {
        let workspace = Workspace::load().unwrap();
        assert!(workspace.files().iter().any(|file| file == "xtask/src/tidy.rs"));
        let mut broken = check(&workspace);
        broken.retain(|finding| !finding.only_warns);
        let lines: Vec<_> = broken.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }
}
