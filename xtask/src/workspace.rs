//! What cargo knows about the workspace, and the files in it.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

/// The workspace as `cargo metadata` tells it.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// A member of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    /// Path of its `Cargo.toml`, relative to the root.
    pub(crate) manifest: String,
    pub(crate) features: BTreeMap<String, Vec<String>>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// What a member depends on.
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) dev: bool,
    pub(crate) optional: bool,
    /// A crate of this repository.
    pub(crate) local: bool,
}

/// A library, program, example, test or benchmark.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: String,
    /// Whether `cargo test` runs it.
    pub(crate) test: bool,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    /// A manifest that cargo cannot read.
    pub(crate) fn load() -> Result<Self, Box<dyn Error>> {
        // Set by `cargo run` and `cargo test`; it names this crate, one floor below the root.
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest_dir.parent().unwrap_or(Path::new(".")).to_owned();
        let output = Command::new("cargo")
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(&root)
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let packages = list(&metadata, "packages").map(|p| Package::read(p, &root)).collect();
        Ok(Self { root, packages })
    }

    /// The members that make up the library, lowest directory name first: everything in `crates/`.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.manifest.starts_with("crates/"))
    }

    /// The facade, whose examples, tests and benchmarks are those of the repository.
    pub(crate) fn facade(&self) -> Option<&Package> {
        self.packages.iter().find(|package| package.manifest == "Cargo.toml")
    }

    /// Every file that is, or is about to be, part of the repository, relative to the root.
    pub(crate) fn files(&self) -> Vec<String> {
        let git = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .output();
        let mut files = match git {
            Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
                .split_terminator('\0')
                .map(str::to_owned)
                .filter(|file| self.root.join(file).is_file())
                .collect(),
            // A source archive has no git around it.
            _ => walk(&self.root, ""),
        };
        files.sort_unstable();
        files.dedup();
        files
    }

    /// The text of a file, or `None` where it is not text.
    pub(crate) fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.root.join(file)).ok()
    }
}

impl Package {
    fn read(package: &Value, root: &Path) -> Self {
        let manifest = Path::new(text(package, "manifest_path"));
        let manifest = manifest.strip_prefix(root).unwrap_or(manifest);
        let features = package["features"].as_object().into_iter().flatten();
        Self {
            name: text(package, "name").to_owned(),
            manifest: manifest.to_string_lossy().into_owned(),
            features: features.map(|(name, enabled)| (name.clone(), strings(enabled))).collect(),
            dependencies: list(package, "dependencies")
                .map(|dependency| Dependency {
                    name: text(dependency, "name").to_owned(),
                    dev: dependency["kind"] == "dev",
                    optional: dependency["optional"] == true,
                    local: dependency["path"].is_string(),
                })
                .collect(),
            targets: list(package, "targets")
                .map(|target| Target {
                    name: text(target, "name").to_owned(),
                    kind: strings(&target["kind"]).join(" "),
                    test: target["test"] == true,
                })
                .collect(),
        }
    }
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn walk(root: &Path, inside: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join(inside)).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if GENERATED.contains(&name.as_str()) {
            continue;
        }
        let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.append(&mut walk(root, &path)),
            Ok(kind) if kind.is_file() => files.push(path),
            _ => {}
        }
    }
    files
}

/// Directories that are no part of the repository, where git is not there to say so.
const GENERATED: &[&str] = &[".git", "artifacts", "corpus", "node_modules", "target"];
