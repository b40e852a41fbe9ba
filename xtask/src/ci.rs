//! `cargo xtask ci`: everything that must pass before a change goes in.

use std::error::Error;

use crate::step::Step;
use crate::test;
use crate::workspace::{Package, Workspace};

/// Check format, lints, docs, house rules, tests, each crate alone, licences.
///
/// Stops at the first step that fails and says how to repeat it. Any warning is a failure.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  cargo xtask ci")]
pub(crate) struct Args {}

pub(crate) fn run(Args {}: &Args, workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let root = &workspace.root;
    let checks = [
        Step::new("format", "cargo fmt --all --check"),
        Step::new("lints", "cargo clippy --workspace --all-targets --all-features -- -D warnings"),
        Step::new("docs", "cargo doc --workspace --no-deps --all-features")
            .env("RUSTDOCFLAGS", "-D warnings"),
        Step::new("house rules", "cargo xtask tidy"),
    ];
    checks.iter().try_for_each(|step| step.run(root))?;
    test::run_all(root)?;
    let mut alone = workspace.layers().chain(workspace.facade()).flat_map(alone);
    alone.try_for_each(|step| step.run(root))?;
    licences(workspace)?;
    println!("\nAll of it passed.");
    Ok(())
}

/// A crate as its users build it: by itself, bare, and with each feature by itself. In the whole
/// workspace, features that others switch on would hide what is missing.
fn alone(package: &Package) -> Vec<Step> {
    let step = |how: &str, flags: &str| {
        let line = format!("cargo clippy -p {}{flags} -- -D warnings", package.name);
        Step::new(format!("{} {how}", package.name), &line)
    };
    let mut steps = vec![step("alone", ""), step("bare", " --no-default-features")];
    for feature in package.features.keys().filter(|feature| *feature != "default") {
        let flags = format!(" --no-default-features --features {feature}");
        steps.push(step(&format!("with {feature} alone"), &flags));
    }
    steps
}

fn licences(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    if !Step::new("probe", "cargo deny --version").succeeds(&workspace.root) {
        println!(
            "\n==> licences and advisories: skipped, cargo-deny is not installed \
             (cargo install --locked cargo-deny)"
        );
        return Ok(());
    }
    let line = "cargo deny --all-features check licenses advisories";
    Ok(Step::new("licences and advisories", line).run(&workspace.root)?)
}
