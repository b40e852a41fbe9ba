//! Scenarios with real processes. What starts some is run by `cargo xtask test`, which builds the
//! program before.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rs2p_simnet::Outcome;
use tempfile::TempDir;

#[test]
fn what_processes_cannot_do_is_refused_with_the_reason() {
    let here = here();
    for (line, reason) in [
        ("mesh/partition --real 5", "--netns gives it"),
        ("mesh/byzantine --real 5", "--without 0 leaves it out"),
        ("mesh/memory --real 5", "[options]"),
        ("mesh/core --real 5", "names a core"),
        ("mesh/flood --real 513", "1 to 512"),
        ("mesh/crash --real 5 --hurry 20", "--hurry goes up to 15"),
        ("mesh/flood mesh/crash --real 5", "one SCENARIO"),
        ("quick.toml --real 1", "no-such-program"),
    ] {
        let output = simnet(&here, &format!("{line} --rs2p no-such-program")).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {told}");
        assert!(told.contains(reason), "{line}: {told}");
    }
}

#[test]
#[ignore = "starts processes of the program, which cargo xtask test builds before"]
fn processes_do_what_the_simulator_says() {
    let here = here();
    let mut command = with_rs2p(&here, "quick.toml --real 5 --hurry 10 --json");
    let outcomes = ended(&command.output().unwrap());
    let [simulated, real] = outcomes.as_slice() else { panic!("{} outcomes", outcomes.len()) };
    assert_eq!((real.digest.as_str(), real.nodes), ("-", 5));
    for figure in ["heard", "sent", "components", "up"] {
        assert_eq!(simulated.figure(figure), real.figure(figure), "{figure}");
    }
    assert_eq!(real.phases[1].faults.len(), 3, "{:?}", real.phases[1].faults);
}

#[test]
#[ignore = "starts processes of the program, which cargo xtask test builds before"]
fn namespaces_can_be_cut_apart() {
    let here = here();
    let line = "cut.toml --real 6 --hurry 5 --netns --json";
    let output = with_rs2p(&here, line).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    if told.contains("--netns needs") {
        // Not root, or a system without: what it says is all that can be tested.
        assert_eq!(output.status.code(), Some(2), "{told}");
        return;
    }
    let outcomes = ended(&output);
    let parts = |phase: usize| outcomes[1].phases[phase].figures["components"];
    assert_eq!([0, 1, 2].map(parts), [1.0, 2.0, 1.0]);
}

#[test]
#[ignore = "starts processes of the program, which cargo xtask test builds before"]
fn an_interrupt_leaves_no_process_behind() {
    let here = here();
    let mut command = with_rs2p(&here, "quick.toml --real 5");
    let mut harness = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = harness.id();
    let mut seen = 0;
    // Bounded by the run itself, which lasts a minute.
    while seen < 5 && harness.try_wait().unwrap().is_none() {
        seen = nodes_of(id);
        std::thread::yield_now();
    }
    assert_eq!(seen, 5);
    kill(Pid::from_raw(id.try_into().unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(harness.wait().unwrap().code(), Some(130), "{}", errors(&mut harness));
    assert_eq!(nodes_of(id), 0);
}

/// How many processes there are of the network that only the nodes of this harness are in.
fn nodes_of(harness: u32) -> usize {
    let subnet = format!("simnet-{harness}");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let is_node = |line: &Vec<u8>| line.split(|byte| *byte == 0).any(|it| it == subnet.as_bytes());
    lines.filter(is_node).count()
}

fn errors(harness: &mut Child) -> String {
    let lines = harness.stderr.take().map(|errors| BufReader::new(errors).lines());
    lines.into_iter().flatten().map_while(Result::ok).collect::<Vec<_>>().join("\n")
}

/// The outcomes, once it has ended well.
fn ended(output: &Output) -> Vec<Outcome> {
    let [told, wrong] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert_eq!(output.status.code(), Some(0), "{told}\n{wrong}");
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn with_rs2p(here: &TempDir, line: &str) -> Command {
    let mut command = simnet(here, line);
    command.arg("--rs2p").arg(rs2p());
    command
}

/// The program, as cargo has put it beside ours.
fn rs2p() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_simnet")).with_file_name("rs2p");
    assert!(program.exists(), "cargo build -p rs2p-cli makes {}", program.display());
    program
}

fn simnet(here: &TempDir, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simnet"));
    command.args(line.split(' ')).current_dir(here.path());
    // Not as cargo would start it.
    for name in ["CARGO", "CARGO_MANIFEST_DIR"] {
        command.env_remove(name);
    }
    command
}

/// A directory with scenarios in it.
fn here() -> TempDir {
    let here = TempDir::new().unwrap();
    fs::write(here.path().join("quick.toml"), QUICK).unwrap();
    fs::write(here.path().join("cut.toml"), CUT).unwrap();
    here
}

const QUICK: &str = r#"name = "quick"
about = "Things go wrong with processes, and those that are left hear each other."
layer = "mesh"
nodes = 8

[[phase]]
name = "joining"
lasts = "20 s"
hold = ["components == 1"]

[[phase]]
name = "trouble"
lasts = "40 s"

[[phase.fault]]
kind = "crash"
nodes = 1
at = "1 s"
lasts = "20 s"

[[phase.fault]]
kind = "pause"
nodes = 1
at = "5 s"
lasts = "10 s"

[[phase.fault]]
kind = "crash"
only = [4]
silent = true
at = "25 s"

[[phase]]
name = "after"
lasts = "30 s"
hold = ["heard == 1", "sent >= 10", "up == 4", "components == 1"]

[phase.workload]
every = "1 s"
"#;

const CUT: &str = r#"name = "cut"
about = "A network is cut in two, and finds itself again."
layer = "mesh"
nodes = 6

[[phase]]
name = "joining"
lasts = "15 s"

[[phase]]
name = "cut"
lasts = "15 s"
hold = ["components == 2", "heard == 1"]

[phase.workload]
every = "500 ms"

[[phase.fault]]
kind = "partition"
share = 0.5
lasts = "15 s"

[[phase]]
name = "healed"
lasts = "30 s"
hold = ["components == 1"]
"#;
