//! Which crate may depend on which. Arrows go one way only; what is absent is absent on purpose
//! (docs/architecture.md).

use super::{Finding, line_of};
use crate::workspace::{Package, Workspace};

/// A crate of this workspace, and those it may depend on. Crates arrive with their layer; the
/// arrows are settled before.
const ARROWS: &[(&str, &[&str])] = &[
    ("rs2p-wire", &[]),
    ("rs2p-base", &["rs2p-wire"]),
    ("rs2p-store", &["rs2p-base"]),
    ("rs2p-mesh", &["rs2p-wire", "rs2p-base"]),
    ("rs2p-sync", &["rs2p-wire", "rs2p-base", "rs2p-mesh", "rs2p-store"]),
    ("rs2p-chord", &["rs2p-wire", "rs2p-base", "rs2p-mesh", "rs2p-store"]),
    ("rs2p-kad", &[]),
    ("rs2p-bytestag", &["rs2p-base", "rs2p-kad", "rs2p-store"]),
    ("rs2p-simnet", &["rs2p-wire", "rs2p-base"]),
    ("rs2p-scenarios", UNDER_TEST),
    ("rs2p", LAYERS),
    ("rs2p-cli", EVERYTHING),
    ("xtask", EVERYTHING),
];

const LAYERS: &[&str] = &[
    "rs2p-wire",
    "rs2p-base",
    "rs2p-mesh",
    "rs2p-sync",
    "rs2p-chord",
    "rs2p-kad",
    "rs2p-bytestag",
    "rs2p-store",
];

/// All layers, the store, and the simulator that tries them.
const UNDER_TEST: &[&str] = &[
    "rs2p-wire",
    "rs2p-base",
    "rs2p-mesh",
    "rs2p-sync",
    "rs2p-chord",
    "rs2p-kad",
    "rs2p-bytestag",
    "rs2p-store",
    "rs2p-simnet",
];

const EVERYTHING: &[&str] = &[
    "rs2p",
    "rs2p-wire",
    "rs2p-base",
    "rs2p-mesh",
    "rs2p-sync",
    "rs2p-chord",
    "rs2p-kad",
    "rs2p-bytestag",
    "rs2p-store",
    "rs2p-simnet",
    "rs2p-scenarios",
];

/// Crates that may use tokio whatever their features. In all others it is optional and comes
/// with one feature only: machines know no runtime.
const RUN_ON_TOKIO: &[&str] = &["rs2p", "rs2p-cli", "xtask"];

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let manifest = workspace.text(&package.manifest).unwrap_or_default();
        for (dependency, what) in broken(package) {
            let line = line_of(&manifest, |line| names(line, dependency));
            findings.push(Finding::new(&package.manifest, line, what));
        }
    }
    findings
}

/// The dependencies that should not be there, and what to do.
fn broken(package: &Package) -> Vec<(&str, String)> {
    let name = package.name.as_str();
    let mut broken = Vec::new();
    let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| *from == name) else {
        return vec![(name, format!("{name} has no row in xtask/src/tidy/arrows.rs: add one"))];
    };
    for dependency in &package.dependencies {
        let to = dependency.name.as_str();
        // A crate's tests may name the crate itself, to switch a feature on, and run in the
        // simulator; those of the facade are the tests of several crates together.
        let tests = dependency.dev && (to == name || to == "rs2p-simnet" || name == "rs2p");
        if dependency.local && !allowed.contains(&to) && !tests {
            let what = format!(
                "{name} must not depend on {to}: move the code to the layer it belongs to \
                 (docs/architecture.md)"
            );
            broken.push((to, what));
        }
        let runtime = to == "tokio" || to.starts_with("tokio-");
        if !runtime || dependency.dev || RUN_ON_TOKIO.contains(&name) {
            continue;
        }
        let gate = match name {
            "rs2p-wire" => "codec",
            "rs2p-store" => "follow",
            _ => "net",
        };
        if !dependency.optional {
            let what = format!("{to} must be `optional = true`, behind the feature `{gate}`");
            broken.push((to, what));
        }
        for feature in package.features.iter().filter_map(|(feature, enabled)| {
            let opens = enabled.iter().any(|item| item == &format!("dep:{to}"))
                || enabled.iter().any(|item| item.starts_with(&format!("{to}/")));
            let behind = feature == gate || enabled.iter().any(|item| item == gate);
            (opens && !behind).then_some(feature)
        }) {
            let what = format!("feature `{feature}` brings in {to}: only `{gate}` may");
            broken.push((to, what));
        }
    }
    broken
}

/// Whether a line of a manifest begins the entry of this dependency.
fn names(line: &str, dependency: &str) -> bool {
    let rest = line.trim_start().strip_prefix(dependency);
    rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::workspace::Dependency;

    fn package(name: &str, dependencies: &[(&str, bool)], features: &[(&str, &str)]) -> Package {
        let dependency = |&(name, optional): &(&str, bool)| Dependency {
            name: name.to_owned(),
            dev: false,
            optional,
            local: name.starts_with("rs2p"),
        };
        let features: BTreeMap<_, _> = features
            .iter()
            .map(|(name, enabled)| {
                ((*name).to_owned(), enabled.split(' ').map(str::to_owned).collect())
            })
            .collect();
        Package {
            name: name.to_owned(),
            manifest: format!("crates/{name}/Cargo.toml"),
            features,
            dependencies: dependencies.iter().map(dependency).collect(),
            targets: Vec::new(),
        }
    }

    #[test]
    fn an_arrow_upwards_or_sideways_is_found() {
        let up = package("rs2p-wire", &[("rs2p-base", false)], &[]);
        assert!(broken(&up)[0].1.contains("rs2p-wire must not depend on rs2p-base"));
        let sideways = package("rs2p-sync", &[("rs2p-chord", true), ("rs2p-mesh", false)], &[]);
        assert_eq!(broken(&sideways).len(), 1);
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert!(broken(&package("rs2p-new", &[], &[]))[0].1.contains("add one"));
    }

    #[test]
    fn tokio_comes_with_its_one_feature_or_not_at_all() {
        let always = package("rs2p-base", &[("tokio", false)], &[]);
        assert!(broken(&always)[0].1.contains("optional"));
        let leaks = package("rs2p-base", &[("tokio", true)], &[("stats", "dep:tokio")]);
        assert!(broken(&leaks)[0].1.contains("feature `stats` brings in tokio"));
        let features = [("net", "dep:tokio"), ("tls", "net tokio/fs")];
        assert!(broken(&package("rs2p-base", &[("tokio", true)], &features)).is_empty());
        let codec = package("rs2p-wire", &[("tokio-util", true)], &[("codec", "dep:tokio-util")]);
        assert!(broken(&codec).is_empty());
        let follow = package("rs2p-store", &[("tokio", true)], &[("follow", "dep:tokio")]);
        assert!(broken(&follow).is_empty());
        let elsewhere = package("rs2p-store", &[("tokio", true)], &[("net", "dep:tokio")]);
        assert!(broken(&elsewhere)[0].1.contains("only `follow` may"));
    }
}
