//! Values, and the nodes that hold them.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::network;
use crate::node::Node;

/// The SHA-1 of `hello`.
const HELLO: &str = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";

fn hello() -> Value {
    json!({
        "reply": "get", "key": HELLO, "index": HELLO, "size": 5, "value": { "bin": "68656c6c6f" },
    })
}

#[test]
fn what_one_node_puts_another_gets_once_the_first_is_gone() {
    let mut nodes = network(3);
    let mut one = nodes.pop().unwrap();
    let put = one.ask("put hello");
    assert_eq!(put, json!({ "reply": "put", "key": HELLO, "index": HELLO, "stored": 2, "had": 0 }));
    let stored = json!({ "event": "stored", "key": HELLO, "index": HELLO, "size": 5 });
    assert_eq!(nodes[0].event("stored"), stored);
    assert_eq!(one.event("published")["stored"], 2);
    one.kill();
    for key in [HELLO, &HELLO.to_uppercase(), "VL2MMHO4YXUKFWV63YHTWSBM3GXKSQ2N"] {
        assert_eq!(nodes[1].ask(&format!("get {key}")), hello(), "{key}");
    }
    assert_eq!(nodes[1].ask(&format!("get {HELLO} {HELLO}")), hello());
    let values = nodes[0].ask(&format!("values {HELLO}"));
    assert_eq!(values["values"][0]["index"], HELLO, "{values}");
    for node in nodes {
        node.quit();
    }
}

#[test]
fn a_file_is_put_and_one_that_is_too_long_is_to_be_shared() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("a value");
    let mut node = Node::start_as("kad", &[]);
    fs::write(&path, b"\xff\x00").unwrap();
    let put = node.ask(&format!("put '@{}'", path.display()));
    assert_eq!(put["stored"], 0, "alone it keeps the value: {put}");
    let key = put["key"].as_str().unwrap().to_owned();
    assert_eq!(node.ask(&format!("get {key}"))["value"], json!({ "bin": "ff00" }));
    let here = json!([{ "key": key, "index": key }]);
    assert_eq!(node.ask("values")["values"], here);
    assert_eq!(node.ask(&format!("withdraw {key}"))["reply"], "withdraw");
    assert_eq!(node.ask("values")["values"], json!([]));
    let withdrawn = node.ask(&format!("withdraw {key}"));
    assert!(withdrawn["error"].as_str().unwrap().contains("is here"), "{withdrawn}");

    fs::write(&path, vec![0; (1 << 20) + 1]).unwrap();
    let refused = node.ask(&format!("put '@{}'", path.display()));
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("1048577 bytes") && error.contains("`share "), "{error}");
    let long = "x".repeat((1 << 20) + 1);
    let error = node.ask(&format!("put {long}"));
    assert!(error["error"].as_str().unwrap().contains("`share` it"), "too long");
    let literal = node.ask("put @@hello");
    let at_hello = literal["key"].as_str().unwrap();
    assert_eq!(node.ask(&format!("get {at_hello}"))["value"], json!({ "bin": "4068656c6c6f" }));
}

#[test]
fn nodes_are_found_pinged_and_listed() {
    let mut nodes = network(2);
    let (id, address) = (nodes[0].id.clone(), nodes[0].address.clone());
    let ping = nodes[1].ask(&format!("ping {address}"));
    assert_eq!((&ping["reply"], &ping["id"]), (&json!("ping"), &json!(id)));
    assert!(ping["ms"].as_f64().unwrap() > 0.0, "{ping}");
    let node = json!({ "id": id, "addr": address });
    let find = nodes[1].ask(&format!("find {HELLO}"));
    assert_eq!(find, json!({ "reply": "find", "nodes": [node] }));
    let table = nodes[1].ask("table");
    assert_eq!(table["buckets"][0]["nodes"], json!([node]));
    let join = nodes[1].ask(&format!("join {address}"));
    assert_eq!(join, json!({ "reply": "join", "contacts": 1 }));
    let status = nodes[1].ask("status");
    assert_eq!((&status["contacts"], &status["store"]), (&json!(1), &Value::Null));
    assert_eq!(nodes[1].ask("id")["id"], nodes[1].id);
    let help = nodes[1].ask("help");
    assert!(help["commands"].as_array().unwrap().len() > 15, "{help}");
}

#[test]
fn what_cannot_be_done_is_told_with_the_reason() {
    let mut node = Node::start_as("kad", &[]);
    let mut refused = |line: &str, reason: &str| {
        let answer = node.ask(line);
        let error = answer["error"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(error.contains(reason), "{line}: {error}");
        assert_eq!(answer["command"], line);
    };
    refused("get 00", "a key of 1 bytes");
    refused(&format!("get {HELLO}"), "`join HOST:PORT`");
    refused("put two words", "`put` is used so: put TEXT | put @FILE");
    refused("put @no/such/file", "no/such/file: ");
    refused("put @.", "no file");
    refused("share no/such/file", "no/such/file");
    refused("unshare nothing", "is not shared");
    refused("fetch http://x", "must begin with \"magnet:?\"");
    refused("ping [::1]:4000", "IPv4");
    refused("join nowhere", "does not end in `:PORT`");
    refused("leave", "no command `leave`");
}

#[test]
fn a_node_with_a_file_comes_back_with_its_id_and_values() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("values.redb");
    let args = ["--store", file.to_str().unwrap()];
    let mut node = Node::start_as("kad", &args);
    node.ask("put hello");
    let id = node.id.clone();
    node.quit();
    let mut node = Node::start_as("kad", &args);
    assert_eq!(node.id, id);
    assert_eq!(node.ask(&format!("get {HELLO}")), hello());
    node.quit();
}
