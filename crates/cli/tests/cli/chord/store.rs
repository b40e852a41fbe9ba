//! A DHT that is kept in files.

use serde_json::json;
use tempfile::TempDir;

use crate::node::{Node, output};

#[test]
fn a_node_that_was_killed_comes_back_with_what_it_held() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("kept.redb").to_str().unwrap().to_owned();
    let mut node = Node::start_chord(&["--store", &file]);
    let id = node.id.clone();
    for number in 0..20 {
        assert_eq!(node.ask(&format!("set key{number} json:{number}"))["reply"], "set");
    }
    assert_eq!(node.ask("status")["chord"]["store"], file);
    node.kill();

    let mut node = Node::start_chord(&["--store", &file]);
    assert_eq!(node.id, id, "it has the same place on the ring");
    for number in 0..20 {
        assert_eq!(node.ask(&format!("get key{number}"))["value"], number);
    }
    node.quit();
}

#[test]
fn a_network_whose_nodes_all_end_comes_back() {
    let directory = TempDir::new().unwrap();
    let files =
        ["a", "b", "c"].map(|name| directory.path().join(name).to_str().unwrap().to_owned());
    let start = || {
        let mut nodes: Vec<Node> = Vec::new();
        for file in &files {
            let first = nodes.first().map(|node| node.address.clone());
            let mut args = vec!["--store", file];
            args.extend(first.as_deref().iter().flat_map(|address| ["--connect", address]));
            nodes.push(Node::start_chord(&args));
        }
        nodes
    };
    let mut nodes = start();
    for number in 0..20 {
        assert_eq!(
            nodes[number % 3].ask(&format!("set key{number} json:{number}"))["reply"],
            "set"
        );
    }
    assert_eq!(nodes[0].ask("del gone")["error"], "there is no such key");
    nodes[0].ask("set gone 1");
    nodes[0].ask("del gone");
    nodes.into_iter().for_each(Node::quit);
    let mut nodes = start();
    for number in 0..20 {
        assert_eq!(nodes[number % 3].ask(&format!("get key{number}"))["value"], number);
    }
    // Who comes now is told of all keys, too.
    let address = nodes[0].address.clone();
    let mut new = Node::start_chord(&["--no-join", "--connect", &address]);
    for _ in 0..20 {
        new.event("add");
    }
    assert_eq!(new.ask("len")["len"], 20, "and of none that is deleted");
    assert_eq!(nodes[1].ask("del key7"), json!({ "reply": "del", "key": "key7" }));
}

#[test]
fn a_file_of_another_network_is_refused_with_what_to_do() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("kept.redb").to_str().unwrap().to_owned();
    Node::start_chord(&["--store", &file]).quit();
    let failed = output(&["chord", "--store", &file, "--subnet", "library"]);
    assert_eq!(failed.status.code(), Some(1));
    let error = String::from_utf8(failed.stderr).unwrap();
    assert!(error.contains(&file) && error.contains("--subnet"), "{error}");
}
