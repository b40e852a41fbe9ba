//! `cargo xtask interop`: tests against running py2p, js2p and Bytestag nodes.

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

use crate::step::Step;
use crate::workspace::Workspace;

/// Install py2p, js2p and Bytestag below target/interop, and run the tests that talk to them.
///
/// Skipped where python3 or npm is missing; a failure there when CI=true is set.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask interop\n  \
    cargo xtask interop bridge    # only tests with this in their name\n\n\
    What is installed is pinned in tests/interop/peers.")]
pub(crate) struct Args {
    /// Only tests whose name contains this.
    filter: Option<String>,
}

pub(crate) fn run(args: &Args, workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    run_in(&workspace.root, args.filter.as_deref())
}

/// The tests, or the line that says why not.
pub(crate) fn run_in(root: &Path, filter: Option<&str>) -> Result<(), Box<dyn Error>> {
    let missing: Vec<_> = NEEDED.iter().filter(|tool| !tool.is_here(root)).collect();
    if let Some(tool) = missing.first() {
        let names: Vec<_> = missing.iter().map(|tool| tool.name).collect();
        let what = format!("{} missing ({})", names.join(", "), tool.hint);
        if env::var_os("CI").is_some_and(|value| value == "true") {
            return Err(format!("interop cannot be skipped in CI: {what}").into());
        }
        println!("\n==> interop: skipped, {what}");
        return Ok(());
    }
    // py2p's SSL needs a Python older than 3.12.
    install_python(root, "py", "py2p", "requirements.txt")?;
    install(root, "js", "package.json", |home| {
        // Without scripts: js2p's optional snappy would be compiled, or not, as the machine goes.
        let quiet = "--no-audit --no-fund --loglevel=error";
        let line = format!("npm install --ignore-scripts {quiet} --prefix {home}");
        vec![Step::new("interop: js2p", &line)]
    })?;
    install_python(root, "bytestag", "Bytestag", "bytestag.txt")?;
    // A few at a time: a test starts up to five processes, and has deadlines to keep.
    let line = "cargo test -p rs2p --all-features --test interop -- --ignored --test-threads=3";
    let step = Step::new("interop", line).env("RS2P_INTEROP_PEERS", HOME);
    filter.into_iter().fold(step, Step::arg).run(root)?;
    Ok(())
}

/// Installs what `pins` says in a Python environment of its own.
fn install_python(root: &Path, name: &str, what: &str, pins: &str) -> Result<(), Box<dyn Error>> {
    install(root, name, pins, |home| {
        let python = if PYTHON_3_11.is_here(root) { "python3.11" } else { "python3" };
        let pip = format!("{home}/bin/python -m pip install --quiet --disable-pip-version-check");
        vec![
            Step::new("interop: virtualenv", &format!("{python} -m venv {home}")),
            Step::new(format!("interop: {what}"), &format!("{pip} -r {home}/{pins}")),
        ]
    })
}

/// Makes a directory hold what `pins` says, unless it does already.
fn install(
    root: &Path,
    name: &str,
    pins: &str,
    steps: impl Fn(&str) -> Vec<Step>,
) -> Result<(), Box<dyn Error>> {
    let home = root.join(HOME).join(name);
    let source = root.join("tests/interop/peers").join(pins);
    let wanted = fs::read_to_string(&source)?;
    // The stamp is the pins themselves, written last: half an installation has none.
    let stamp = home.join("installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    fs::create_dir_all(&home)?;
    fs::copy(&source, home.join(pins))?;
    for step in steps(&format!("{HOME}/{name}")) {
        step.run(root)?;
    }
    fs::write(stamp, wanted)?;
    Ok(())
}

/// A program that comes from outside.
struct Tool {
    name: &'static str,
    probe: &'static str,
    hint: &'static str,
}

impl Tool {
    fn is_here(&self, root: &Path) -> bool {
        Step::new("probe", self.probe).succeeds(root)
    }
}

/// Where everything is installed, relative to the root.
const HOME: &str = "target/interop";

const PYTHON_3_11: Tool =
    Tool { name: "python3.11", probe: "python3.11 -m ensurepip --version", hint: "" };

const NEEDED: &[Tool] = &[
    Tool {
        name: "python3",
        // Debian has Python without it.
        probe: "python3 -m ensurepip --version",
        hint: "Python 3.11 with venv; Debian: apt-get install python3-venv",
    },
    Tool { name: "npm", probe: "npm --version", hint: "Node 18 or later; https://nodejs.org" },
];
