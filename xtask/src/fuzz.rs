//! `cargo xtask fuzz`: a short run of each fuzz target.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::step::Step;
use crate::workspace::Workspace;

/// Run each fuzz target for a while; needs cargo-fuzz, and is skipped without it.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask fuzz --seconds 60\n  \
    cargo xtask fuzz --seconds 3600 frame    # one target\n\n\
    Install the tool: cargo install --locked cargo-fuzz")]
pub(crate) struct Args {
    /// How long each target runs, in seconds.
    #[arg(long, value_name = "N", default_value_t = 30)]
    seconds: u32,
    /// Only this target of fuzz/fuzz_targets.
    target: Option<String>,
}

pub(crate) fn run(args: &Args, workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let root = &workspace.root;
    let all = targets(root)?;
    let chosen = match &args.target {
        None => all,
        Some(name) if all.contains(name) => vec![name.clone()],
        Some(name) => {
            return Err(format!("no fuzz target `{name}`; there are: {}", all.join(", ")).into());
        }
    };
    if !Step::new("probe", "cargo fuzz --version").succeeds(root) {
        println!("fuzz: skipped, cargo-fuzz is not installed (cargo install --locked cargo-fuzz)");
        return Ok(());
    }
    for target in chosen {
        // What the fuzzer finds goes into the first directory, which git ignores; the seeds are
        // only read.
        let corpus = format!("fuzz/corpus/{target}");
        fs::create_dir_all(root.join(&corpus))?;
        let seeds = format!("fuzz/seeds/{target}");
        let seeds = if root.join(&seeds).is_dir() { seeds } else { String::new() };
        // An input that keeps a decoder busy for ten seconds is a finding of its own.
        let line = format!(
            "cargo fuzz run {target} {corpus} {seeds} -- -max_total_time={} -timeout=10",
            args.seconds
        );
        let step = Step::new(format!("fuzz {target}"), &line);
        // The sanitizer is an unstable compiler flag, which a stable compiler takes only so.
        let step = if is_nightly() { step } else { step.env("RUSTC_BOOTSTRAP", "1") };
        step.run(root)?;
    }
    Ok(())
}

fn targets(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let directory = root.join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&directory)
        .map_err(|error| format!("no fuzz targets in fuzz/fuzz_targets: {error}"))?;
    let mut names: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort_unstable();
    Ok(names)
}

fn is_nightly() -> bool {
    let version = Command::new("rustc").arg("--version").output();
    version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("nightly"))
}
