//! Files that are shared and fetched, and commands that go on meanwhile.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::network;
use crate::node::{Node, rs2p};

/// A directory with files, one of them of several parts.
fn photos(directory: &TempDir) -> std::path::PathBuf {
    let photos = directory.path().join("photos");
    fs::create_dir_all(photos.join("sub")).unwrap();
    let long: Vec<u8> = (0..900_000_u32).flat_map(|n| n.to_le_bytes()).take(900_000).collect();
    fs::write(photos.join("long"), long).unwrap();
    fs::write(photos.join("sub/short"), "hi\n").unwrap();
    fs::write(photos.join("empty"), "").unwrap();
    photos
}

fn same(one: &Path, two: &Path) {
    for name in ["long", "sub/short"] {
        assert!(fs::read(one.join(name)).unwrap() == fs::read(two.join(name)).unwrap(), "{name}");
    }
}

#[test]
fn a_directory_is_fetched_from_others_once_its_publisher_is_gone() {
    let mut nodes = network(2);
    let directory = TempDir::new().unwrap();
    let photos = photos(&directory);
    let path = photos.to_str().unwrap();
    let address = nodes[0].address.clone();
    let mut publisher = Node::start_as("kad", &["--join", &address, "--share", path]);
    let shared = publisher.wait("the reply", |line| line["reply"] == "share");
    let size = 900_003;
    assert_eq!((&shared["files"], &shared["size"]), (&json!(2), &json!(size)), "{shared}");
    assert_eq!((&shared["unpublished"], &shared["skipped"]), (&json!(0), &json!(1)), "{shared}");
    let hashing = publisher.wait("hashing", |line| line["doing"] == "hashing");
    assert_eq!((&hashing["event"], &hashing["command"]), (&json!("progress"), &json!("share")));
    let listed = publisher.ask("shared");
    assert_eq!(listed["files"].as_array().unwrap().len(), 2);
    assert_eq!(listed["paths"], json!([path]));
    publisher.quit();

    let magnet = shared["magnet"].as_str().unwrap();
    let into = directory.path().join("fetched");
    fs::create_dir(&into).unwrap();
    let to = into.join("photos");
    let fetched = nodes[1].ask(&format!("fetch {magnet} {}", into.display()));
    let expected = json!({ "reply": "fetch", "path": to.to_str(), "size": size, "files": 2 });
    assert_eq!(fetched, expected);
    same(&photos, &to);
    let last = |line: &Value| line["doing"] == "fetching" && line["bytes_done"] == size;
    assert_eq!(nodes[1].wait("the last event", last)["bytes"], size);
    // It is there already.
    assert_eq!(nodes[1].ask(&format!("fetch {magnet} {}", into.display())), expected);
}

#[test]
fn what_is_shared_no_longer_is_not_listed() {
    let directory = TempDir::new().unwrap();
    let photos = photos(&directory);
    let mut node = Node::start_as("kad", &[]);
    let shared = node.ask(&format!("share {}", photos.display()));
    assert!(shared["unpublished"].as_u64().unwrap() > 0, "alone: {shared}");
    assert_eq!(node.ask(&format!("unshare {}", photos.display()))["reply"], "unshare");
    assert_eq!(node.ask("shared"), json!({ "reply": "shared", "paths": [], "files": [] }));
}

#[test]
fn other_commands_are_answered_while_a_get_goes_on() {
    let mut nodes = network(2);
    // The only one that is known answers no more: a question to it is under way for seconds.
    nodes.remove(0).kill();
    let node = &mut nodes[0];
    node.say("get 0000000000000000000000000000000000000001");
    node.say("id");
    let first = node.wait("an answer", |line| !line["reply"].is_null() || !line["error"].is_null());
    assert_eq!(first["reply"], "id");
    node.say("cancel");
    let answers = [0, 1].map(|_| {
        node.wait("an answer", |line| !line["reply"].is_null() || !line["error"].is_null())
    });
    assert!(answers.iter().any(|it| it["cancelled"] == 1), "{answers:?}");
    let stopped = "get 0000000000000000000000000000000000000001";
    assert!(answers.iter().any(|it| it["command"] == stopped), "{answers:?}");
}

#[test]
fn a_script_needs_no_waits() {
    let mut nodes = network(1);
    let directory = TempDir::new().unwrap();
    let script = directory.path().join("script");
    fs::write(&script, "put hello\nshare script\nquit\n").unwrap();
    let done = rs2p(&directory, &["kad", "--json", "--join", &nodes[0].address])
        .stdin(fs::File::open(&script).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| lines.iter().find(|line| line["reply"] == name).unwrap();
    assert_eq!((&of("put")["stored"], &of("share")["files"]), (&json!(1), &json!(1)));
    assert_eq!(lines.last().unwrap()["reply"], "quit");
    assert_eq!(nodes[0].ask("get aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d")["size"], 5);
}
