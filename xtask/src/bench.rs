//! `cargo xtask bench`: the benchmarks, on one core.

use std::error::Error;
use std::fs;

use crate::step::Step;
use crate::workspace::Workspace;

/// Run the benchmarks, pinned to one core where `taskset` is present.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench\n  \
    cargo xtask bench wire\n  \
    cargo xtask bench wire -- decode --quick    # words for criterion: a filter, a flag")]
pub(crate) struct Args {
    /// Only this benchmark of benches/.
    name: Option<String>,
    /// Words handed on to criterion.
    #[arg(last = true, value_name = "WORDS")]
    words: Vec<String>,
}

pub(crate) fn run(args: &Args, workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let root = &workspace.root;
    let targets = workspace.facade().into_iter().flat_map(|package| &package.targets);
    let all: Vec<_> = targets.filter(|t| t.kind == "bench").map(|t| t.name.as_str()).collect();
    let chosen = match args.name.as_deref() {
        None => all,
        Some(name) if all.contains(&name) => vec![name],
        Some(name) => {
            return Err(format!("no benchmark `{name}`; there are: {}", all.join(", ")).into());
        }
    };
    // All cores may build; one measures.
    Step::new("build", "cargo bench -p rs2p --all-features --no-run").run(root)?;
    let pin = pin();
    if pin.is_empty() {
        println!("\nNot pinned to a core (taskset is missing): expect more noise.");
    }
    for name in chosen {
        let line = format!("{pin} cargo bench -p rs2p --all-features --bench {name} --");
        let step = Step::new(format!("bench {name}"), &line);
        args.words.iter().fold(step, |step, word| step.arg(word)).run(root)?;
    }
    Ok(())
}

/// The front of a command line that keeps it on the last core we may use: the first one serves
/// most interrupts.
fn pin() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let last = allowed.and_then(|list| list.rsplit([',', '-']).next()).map_or("0", str::trim);
    let pin = format!("taskset -c {last}");
    let works = Step::new("probe", &format!("{pin} true")).succeeds(".".as_ref());
    if works { pin } else { String::new() }
}
