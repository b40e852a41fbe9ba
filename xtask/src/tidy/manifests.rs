//! Members take versions, edition and lints from the root, and examples are run by the tests.

use super::{Finding, line_of};
use crate::workspace::Workspace;

/// What a member's `[package]` says with `KEY.workspace = true`.
const INHERITED: &[&str] = &["version", "edition", "rust-version", "license"];

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let manifest = &package.manifest;
        let text = workspace.text(manifest).unwrap_or_default();
        let broken = broken(&text);
        findings.extend(broken.into_iter().map(|(line, what)| Finding::new(manifest, line, what)));
        for example in package.targets.iter().filter(|target| target.kind == "example") {
            if !example.test {
                let name = &example.name;
                let line = line_of(&text, |line| line == format!("name = \"{name}\""));
                let what = format!(
                    "example `{name}` is not run by the tests: give it a #[test], and here an \
                     [[example]] with `name = \"{name}\"` and `test = true`"
                );
                findings.push(Finding::new(manifest, line, what));
            }
        }
    }
    findings
}

/// Line by line: our manifests keep each entry on its own.
fn broken(manifest: &str) -> Vec<(usize, String)> {
    let mut broken = Vec::new();
    let mut section = "";
    let mut inherits_lints = false;
    for (index, line) in manifest.lines().enumerate() {
        let line = line.split(" #").next().unwrap_or_default().trim_end();
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_matches(['[', ']']);
            if is_dependencies(section.rsplit_once('.').map_or("", |(table, _)| table)) {
                let what = "write the dependency on one line: NAME = { workspace = true, .. }";
                broken.push((index + 1, what.to_owned()));
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        if section == "lints" && key == "workspace" && value == "true" {
            inherits_lints = true;
        }
        let nested = line.starts_with(char::is_whitespace);
        if is_dependencies(section) && !nested && !key.starts_with('#') {
            let inherits = key.ends_with(".workspace") || value.contains("workspace = true");
            if !inherits || value.contains("version") {
                let name = key.split('.').next().unwrap_or(key);
                let what = format!(
                    "`{name}` names its own version or source: put that into \
                     [workspace.dependencies] and write `{name}.workspace = true`"
                );
                broken.push((index + 1, what));
            }
        }
    }
    for key in INHERITED {
        let entry = format!("{key}.workspace = true");
        if !manifest.lines().any(|line| line == entry) {
            let line = line_of(manifest, |line| line == "[package]");
            broken.push((line, format!("[package] needs `{entry}`")));
        }
    }
    if !inherits_lints {
        broken.push((1, "the manifest needs [lints] with `workspace = true`".to_owned()));
    }
    broken
}

fn is_dependencies(section: &str) -> bool {
    section.ends_with("dependencies") && !section.starts_with("workspace")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[package]\nname = \"rs2p-x\"\nversion.workspace = true\n\
        edition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n\
        [lints]\nworkspace = true\n";

    #[test]
    fn a_manifest_that_inherits_all_is_good() {
        let dependencies = "[dependencies]\nbytes.workspace = true\n\
            tokio = { workspace = true, features = [\n    \"net\", # = sockets\n] }\n\
            [workspace.dependencies]\nbytes = \"1\"\n";
        assert_eq!(broken(&format!("{GOOD}{dependencies}")), []);
    }

    #[test]
    fn a_version_of_its_own_is_found_with_its_line() {
        for entry in ["bytes = \"1\"", "bytes = { version = \"1\" }", "bytes = { path = \"b\" }"] {
            for table in ["dependencies", "dev-dependencies", "target.'cfg(unix)'.dependencies"] {
                let found = broken(&format!("{GOOD}[{table}]\n{entry}\n"));
                assert_eq!(found.len(), 1, "{table} {entry}: {found:?}");
                assert_eq!(found[0].0, 10);
                assert!(found[0].1.starts_with("`bytes` names its own version"), "{found:?}");
            }
        }
        let table = broken(&format!("{GOOD}[dependencies.bytes]\nversion = \"1\"\n"));
        assert_eq!(table[0].0, 9);
    }

    #[test]
    fn a_key_or_lints_not_inherited_are_found() {
        assert_eq!(
            broken(&GOOD.replace("edition.workspace = true", "edition = \"2024\"")).len(),
            1
        );
        assert_eq!(broken(&GOOD.replace("[lints]\nworkspace = true", "")).len(), 1);
    }
}
