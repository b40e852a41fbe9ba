//! A dictionary that is kept in a file.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::{Node, output, rs2p};

struct File {
    _directory: TempDir,
    path: String,
}

impl File {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("kept.redb").to_str().unwrap().to_owned();
        Self { _directory: directory, path }
    }

    fn node(&self) -> Node {
        Node::start_sync(&["--store", &self.path])
    }

    fn refused(&self, more: &[&str]) -> String {
        let Output { status, stderr, stdout } =
            output(&[&["sync", "--store", &self.path], more].concat());
        let error = String::from_utf8(stderr).unwrap();
        assert_eq!((status.code(), stdout.len()), (Some(1), 0), "{error}");
        assert!(error.starts_with("error: ") && error.contains(&self.path), "{error}");
        error
    }
}

#[test]
fn what_was_acknowledged_is_there_after_kill_9() {
    let file = File::new();
    let mut node = file.node();
    let id = node.id.clone();
    node.ask("set gone json:0");
    node.ask("del gone");
    node.ask("set hex:ff00 'json:{\"bin\":\"00\"}'");
    for number in 0..200 {
        node.say(&format!("set key{number} json:{number} 2h"));
    }
    // Not all of them are answered when it ends.
    for _ in 0..50 {
        node.wait("an answer", |line| line["reply"] == "set");
    }
    node.kill();

    let mut node = file.node();
    assert_eq!(node.id, id, "its leases are its own still");
    for number in 0..50 {
        assert_eq!(node.ask(&format!("get key{number}"))["value"], number);
    }
    assert_eq!(node.ask("get gone")["value"], Value::Null);
    assert_eq!(node.ask("get hex:ff00")["value"], json!({ "bin": "00" }));
    let entry = node.ask("entry key7");
    let leased = entry["lease_end"].as_u64().unwrap() - entry["timestamp"].as_u64().unwrap();
    assert_eq!((&entry["owner"], leased), (&json!(id), 7_201));
    assert_eq!(node.ask("set key7 again")["reply"], "set");
    assert_eq!(node.ask("status")["sync"]["store"], file.path);
    node.quit();
    assert_eq!(file.node().ask("get key7")["value"], "again");
}

#[test]
fn what_others_wrote_is_there_after_a_quiet_end() {
    let files = [File::new(), File::new()];
    let one = files[0].node();
    let two = files[1].node();
    let is_first = one.id < two.id;
    let (mut other, mut node) = Node::ordered(one, two);
    node.ask(&format!("connect {}", other.address));
    other.event("connect");
    other.ask("set colour green");
    node.event("update");
    node.quit();
    let other = other.id.clone();
    let mut node = files[usize::from(is_first)].node();
    let entry = node.ask("entry colour");
    assert_eq!((&entry["value"], &entry["owner"]), (&json!("green"), &json!(other)));
    let refused = node.ask("set colour red");
    assert!(refused["error"].as_str().unwrap().contains(&other), "{refused}");
}

#[test]
fn a_node_that_opens_a_file_for_the_first_time_tells_of_every_key_it_hears_of() {
    let mut other = Node::start_sync(&[]);
    other.ask("update a 1 b 2 c 3");
    for _ in 0..5 {
        let file = File::new();
        let mut node = Node::start_sync(&["--store", &file.path, "--connect", &other.address]);
        let mut keys = [(); 3].map(|()| node.event("update")["key"].as_str().unwrap().to_owned());
        keys.sort();
        assert_eq!(keys, ["a", "b", "c"]);
    }
}

#[test]
fn a_damaged_file_is_set_aside_with_status_1_and_the_next_start_begins_anew() {
    let file = File::new();
    let mut node = file.node();
    node.ask("set colour green");
    node.quit();
    let mut bytes = fs::read(&file.path).unwrap();
    bytes.iter_mut().take(4_096).for_each(|byte| *byte = !*byte);
    fs::write(&file.path, &bytes).unwrap();
    let error = file.refused(&[]);
    assert!(
        error.contains("is damaged") && error.contains("opening again begins a new one"),
        "{error}"
    );
    let kept = error.split("it was kept as ").nth(1).unwrap().split(',').next().unwrap();
    assert_eq!(fs::read(kept).unwrap(), bytes, "nothing of it is lost");
    assert_eq!(file.node().ask("len")["len"], 0);
}

#[test]
fn a_file_that_cannot_be_used_is_told_with_what_to_do() {
    let file = File::new();
    let node = file.node();
    let error = file.refused(&[]);
    assert!(error.contains("in use"), "{error}");
    node.quit();
    let error = file.refused(&["--no-leasing"]);
    assert!(error.contains("choose another file") && error.contains("--no-leasing"), "{error}");
    let nowhere = output(&["sync", "--store", "no/such/directory/kept.redb"]);
    assert_eq!(nowhere.status.code(), Some(1));
    let error = String::from_utf8(nowhere.stderr).unwrap();
    assert!(error.contains("no directory for no/such/directory/kept.redb"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_disk_that_is_full_is_told_by_writes_by_status_and_at_the_end() {
    let file = File::new();
    let directory = TempDir::new().unwrap();
    // A shell that lets no file grow beyond 2 MB stands between.
    let node = rs2p(&directory, &["sync", "--json", "--store", &file.path]);
    let limited = "trap '' XFSZ; ulimit -f 4000; exec \"$0\" \"$@\"";
    let mut child = Command::new("sh")
        .args(["-c", limited])
        .arg(node.get_program())
        .args(node.get_args())
        .env_remove("RS2P_STORE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let large = "x".repeat(900_000);
    let script =
        format!("set a 1\nstatus\nset b {large}\nset c {large}\nset d {large}\nstatus\nquit\n");
    let said = std::thread::spawn(move || stdin.write_all(script.as_bytes()));
    let done = child.wait_with_output().unwrap();
    said.join().unwrap().unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8(done.stderr).unwrap().contains("is not on the disk"));
    let lines = String::from_utf8(done.stdout).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let answers: Vec<_> = lines.filter(|line| line["event"].is_null()).collect();
    assert_eq!(answers[0]["reply"], "set");
    assert_eq!(answers[1]["sync"]["store_problem"], Value::Null);
    let error = answers[4]["error"].as_str().unwrap();
    assert!(error.contains("is not on the disk") && error.contains("is full"), "{error}");
    let problem = answers[5]["sync"]["store_problem"].as_str().unwrap();
    assert!(problem.contains("is full"), "{problem}");
    assert_eq!(file.node().ask("get a")["value"], "1", "what was acknowledged is there");
}
