//! The files that are written and read: report, outcomes, shards.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use rs2p_simnet::Outcome;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::plan::Plan;
use super::results::Results;
use super::shard::Shard;

/// What a shard leaves behind. `O` is an outcome, or one that is lent to be written.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShardFile<O = Outcome> {
    pub(crate) shard: Shard,
    /// The plan of all shards together: those of another plan are not of the same run.
    pub(crate) plan: Plan,
    /// By scenario and seed.
    pub(crate) outcomes: Vec<O>,
}

/// Makes the directory for the files.
pub(crate) fn make_directory(directory: &Path) -> Result<(), Failure> {
    fs::create_dir_all(directory).map_err(|cause| Failure::write(directory, cause))
}

/// Writes report and outcomes; tells in words where they are.
pub(crate) fn write(directory: &Path, results: &Results) -> Result<String, Failure> {
    let outcomes = directory.join("outcome.json");
    replace(&outcomes, |file| {
        // A line each, so that two files can be compared line by line.
        let mut before = "[\n";
        for outcome in results.outcomes() {
            file.write_all(before.as_bytes())?;
            serde_json::to_writer(&mut *file, outcome)?;
            before = ",\n";
        }
        file.write_all(if before == "[\n" { b"[]\n" } else { b"\n]\n" })
    })?;

    let report = directory.join("report.html");
    let shown = results.for_report();
    replace(&report, |file| file.write_all(rs2p_simnet::html_report(&shown).as_bytes()))?;
    let part = if shown.len() < results.len() {
        format!(
            ", with {} of {} runs: the first that fail and that pass",
            shown.len(),
            results.len()
        )
    } else {
        String::new()
    };
    Ok(format!("\nReport:   {}{part}\nOutcomes: {}\n", report.display(), outcomes.display()))
}

/// Writes what a shard came to; its path.
pub(crate) fn write_shard(
    directory: &Path,
    shard: Shard,
    plan: &Plan,
    results: &Results,
) -> Result<PathBuf, Failure> {
    let path = directory.join(shard.file_name());
    let outcomes = results.outcomes().collect();
    let whole: ShardFile<&Outcome> = ShardFile { shard, plan: plan.clone(), outcomes };
    replace(&path, |file| Ok(serde_json::to_writer(file, &whole)?))?;
    Ok(path)
}

/// Reads an outcome.json of before.
pub(crate) fn read_outcomes(path: &Path) -> Result<Vec<Outcome>, Failure> {
    read(path, "an outcome.json of `simnet`")
}

/// Reads what a shard came to.
pub(crate) fn read_shard(path: &Path) -> Result<ShardFile, Failure> {
    read(path, "a shard file of this version of `simnet`")
}

fn read<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T, Failure> {
    let text = fs::read_to_string(path).map_err(|cause| Failure::read(path, cause))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::content(path, format!("this is not {what}: {error}")))
}

/// A process that is stopped on the way, as batch engines do, leaves no half of a file under the
/// name.
fn replace(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), Failure> {
    let half = path.with_extension("tmp");
    let written = File::create(&half).and_then(|file| {
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.flush()
    });
    written.map_err(|cause| Failure::write(&half, cause))?;
    fs::rename(&half, path).map_err(|cause| Failure::write(path, cause))
}
