//! The program as its users run it: built, in a directory of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use rs2p_simnet::Outcome;
use tempfile::TempDir;

#[test]
fn the_list_names_scenarios_with_a_sentence_and_bugs() {
    let listed = ended(&simnet(&here(), "--list"), 0);
    for words in ["mesh/flood", "mesh/churn", "nodes", "--bug", "endless-memory"] {
        assert!(listed.contains(words), "{words}: {listed}");
    }
}

#[test]
fn the_built_in_scenarios_are_good() {
    let checked = ended(&simnet(&here(), "--check"), 0);
    assert!(checked.contains("mesh/flood: good: mesh"), "{checked}");
}

#[test]
fn a_bad_scenario_is_refused_with_its_file_its_line_and_the_reason() {
    let here = here();
    fs::write(here.path().join("bad.toml"), QUICK.replace("heard >=", "herd >=")).unwrap();
    for line in ["--check bad.toml", "bad.toml"] {
        let refused = refused(&simnet(&here, line));
        for words in ["bad.toml", "line 9", "herd"] {
            assert!(refused.contains(words), "{words}: {refused}");
        }
    }
}

#[test]
fn what_is_not_there_is_wrong_usage() {
    let here = here();
    for (line, reason) in [
        ("mesh/no-such", "--list"),
        ("no-such.toml", "no-such.toml: cannot be read"),
        ("mesh/flood --bug no-such", "endless-memory"),
        ("--bug no-such", "--list"),
        ("quick.toml quick.toml", "told apart"),
        ("quick.toml --shards 2", "JOB_COMPLETION_INDEX"),
        ("quick.toml --compare no-such.json", "no-such.json"),
        ("quick.toml --compare quick.toml", "outcome.json"),
        ("quick.toml --out quick.toml", "quick.toml"),
        ("merge .", "shard-I-of-N.json"),
        ("--no-such", "--no-such"),
    ] {
        let refused = refused(&simnet(&here, line));
        assert!(refused.contains(reason), "{line}: {refused}");
    }
}

#[test]
fn a_run_ends_in_a_table_a_report_and_outcomes() {
    let here = here();
    let told = ended(&simnet(&here, "quick.toml --seed 3 --nodes 12"), 0);
    for words in ["scenario", "quick ", "12  passed", "100 %"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let out = here.path().join("target/simnet");
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("<html"));
    let outcomes = outcomes(&out.join("outcome.json"));
    assert_eq!((outcomes.len(), outcomes[0].seed, outcomes[0].nodes), (1, 3, 12));
}

#[test]
fn equal_seeds_give_equal_digests_whatever_core_or_order() {
    let here = here();
    let alone = lines(&ended(&simnet(&here, "quick.toml --runs 6 --jobs 1 --json"), 0));
    let together = lines(&ended(&simnet(&here, "quick.toml --runs 6 --jobs 3 --json"), 0));
    assert_eq!(digests(&alone), digests(&together));
    let mut different: Vec<_> = alone.iter().map(|outcome| &outcome.digest).collect();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 6);
}

#[test]
fn shards_merged_are_what_one_run_is() {
    let here = here();
    ended(&simnet(&here, "quick.toml --runs 5 --seed 10 --out whole"), 0);
    ended(&simnet(&here, "quick.toml --runs 5 --seed 10 --shard 0/2 --out parts"), 0);

    let told = ended(&simnet(&here, "merge parts"), 1);
    assert!(told.contains("MISSING: shard 1 of 2, 2 runs"), "{told}");

    let mut second = command(&here, "quick.toml --runs 5 --seed 10 --shards 2 --out parts");
    ended(&second.env("JOB_COMPLETION_INDEX", "1").output().unwrap(), 0);
    let told = ended(&simnet(&here, "merge parts"), 0);
    assert!(!told.contains("MISSING"), "{told}");
    let [whole, parts] = ["whole", "parts"]
        .map(|directory| outcomes(&here.path().join(directory).join("outcome.json")));
    assert_eq!(without_speed(&whole), without_speed(&parts));

    ended(&simnet(&here, "quick.toml --runs 4 --seed 10 --shard 1/2 --out parts"), 0);
    let refused = refused(&simnet(&here, "merge parts"));
    assert!(refused.contains("another run"), "{refused}");
}

#[test]
fn a_planted_bug_is_found_and_told_with_the_line_that_repeats_it() {
    let here = here();
    let told = ended(&simnet(&here, "quick.toml --bug lying-list"), 1);
    assert!(told.contains("peers lists are true"), "{told}");
    let words = told.split("simnet quick.toml").nth(1).and_then(|rest| rest.lines().next());
    let again = ended(&simnet(&here, &format!("quick.toml{}", words.unwrap())), 1);
    let failure = |told: &str| -> Option<String> {
        told.lines().find(|line| line.contains("peers lists")).map(str::to_owned)
    };
    assert_eq!(failure(&told), failure(&again));
}

#[test]
fn shrinking_names_the_faults_that_are_needed() {
    let here = here();
    let told = ended(&simnet(&here, "faulty.toml --shrink"), 1);
    for words in ["needs 1 fault of 3", "\n    1  ", "--without 0,2\n"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    ended(&simnet(&here, "faulty.toml --without 1"), 0);
    ended(&simnet(&here, "faulty.toml --without 0,2"), 1);
}

#[test]
fn a_comparison_tells_what_got_worse() {
    let here = here();
    let line = "quick.toml --compare target/simnet/outcome.json";
    ended(&simnet(&here, "quick.toml"), 0);
    let told = ended(&simnet(&here, line), 0);
    assert!(told.contains("1 run compared, 1 of them the same"), "{told}");

    let path = here.path().join("target/simnet/outcome.json");
    let mut before = outcomes(&path);
    before[0].digest = "of another day".to_owned();
    *before[0].phases[0].figures.get_mut("p99_ms").unwrap() /= 2.0;
    fs::write(&path, serde_json::to_string(&before).unwrap()).unwrap();
    let told = ended(&simnet(&here, line), 1);
    assert!(told.contains("worse: p99_ms in talk") && told.contains("(+100 %)"), "{told}");
}

/// A directory with scenarios in it.
fn here() -> TempDir {
    let here = TempDir::new().unwrap();
    let faulty = format!("{}{FAULTS}", QUICK.replace("p99_ms <= 5000", "up == 8"));
    fs::write(here.path().join("quick.toml"), QUICK).unwrap();
    fs::write(here.path().join("faulty.toml"), faulty).unwrap();
    here
}

fn simnet(here: &TempDir, line: &str) -> Output {
    command(here, line).output().unwrap()
}

fn command(here: &TempDir, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simnet"));
    command.args(line.split(' ')).current_dir(here.path());
    // Not as cargo would start it, nor a batch engine.
    for name in ["CARGO", "CARGO_MANIFEST_DIR", "JOB_COMPLETION_INDEX"] {
        command.env_remove(name);
    }
    command
}

/// Its standard output, once it has ended with this status.
fn ended(output: &Output, status: i32) -> String {
    let [told, wrong] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert_eq!(output.status.code(), Some(status), "{told}\n{wrong}");
    told.into_owned()
}

/// What it has against it. There is nothing on standard output then.
fn refused(output: &Output) -> String {
    assert_eq!(ended(output, 2), "");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn lines(text: &str) -> Vec<Outcome> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn outcomes(path: &Path) -> Vec<Outcome> {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn digests(outcomes: &[Outcome]) -> Vec<(u64, &str)> {
    outcomes.iter().map(|outcome| (outcome.seed, outcome.digest.as_str())).collect()
}

/// The rest is the same every time.
fn without_speed(outcomes: &[Outcome]) -> Vec<Outcome> {
    let speed = Default::default;
    outcomes.iter().map(|outcome| Outcome { speed: speed(), ..outcome.clone() }).collect()
}

const QUICK: &str = r#"name = "quick"
about = "A few nodes find each other, and hear each other."
layer = "mesh"
nodes = 8

[[phase]]
name = "talk"
lasts = "40 s"
hold = ["heard >= 0.5", "p99_ms <= 5000"]

[phase.workload]
every = "2 s"
"#;

/// With the bound that all are up, only the second one matters.
const FAULTS: &str = r#"
[[phase.fault]]
kind = "skew"
nodes = 1
ahead = "1 h"

[[phase.fault]]
kind = "crash"
nodes = 1
at = "30 s"

[[phase.fault]]
kind = "delay"
nodes = 2
by = "50 ms"
"#;
