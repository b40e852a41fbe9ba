//! Nodes that find each other by way of seeds.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::node::{Node, output};

#[test]
fn nodes_of_every_layer_find_their_own_kind_and_nobody_else() {
    let seed = Node::start_as("seed", &[]);
    for layer in ["mesh", "sync", "chord"] {
        let mut one = Node::start_as(layer, &["--bootstrap", &seed.address]);
        assert_eq!(one.ask("peers")["peers"], json!([]), "{layer}");
        let mut two = Node::start_as(layer, &["--bootstrap", &seed.address]);
        let peers = two.ask("peers");
        assert_eq!(peers["peers"][0]["id"], one.id, "{layer}");
        assert_eq!(one.event("connect")["peer"], two.id, "{layer}");
        two.quit();
        one.quit();
    }
}

#[test]
fn a_node_is_written_down_under_its_network_and_taken_out_when_it_quits() {
    let mut seed = Node::start_as("seed", &[]);
    let other = Node::start_as("seed", &["--connect", &seed.address]);
    let node = Node::start(&["--subnet", "friends", "--bootstrap", &other.address]);
    let id = output(&["inspect", "protocol", "friends", "tcp"]).stdout;
    let id: Value = serde_json::from_slice(&id).unwrap();
    let get = format!("get {}", id["id"].as_str().unwrap());
    let port: u16 = node.address.rsplit(':').next().unwrap().parse().unwrap();
    // The other seed may still be on its way into the ring.
    let written = json!({ &node.id: ["127.0.0.1", port] });
    while seed.ask(&get)["value"] != written {}
    let gone = json!({ &node.id: null });
    node.quit();
    while seed.ask(&get)["value"] != gone {}
}

#[test]
fn bootstrap_is_a_command_as_well_and_tells_how_many_there_are() {
    let seed = Node::start_as("seed", &[]);
    let mut one = Node::start(&[]);
    let mut two = Node::start(&[]);
    let line = format!("bootstrap {}", seed.address);
    let alone = json!({ "reply": "bootstrap", "found": 0, "connected": 0 });
    assert_eq!(one.ask(&line), alone);
    assert_eq!(two.ask(&line), json!({ "reply": "bootstrap", "found": 1, "connected": 1 }));
    assert_eq!(one.event("connect")["peer"], two.id);
    // Once more does no harm.
    assert_eq!(two.ask(&line)["found"], 1);
    assert!(one.ask("bootstrap nowhere")["error"].as_str().unwrap().contains(":PORT"));
}

#[test]
fn who_has_gone_without_a_word_is_passed_over_and_struck_out() {
    let mut seed = Node::start_as("seed", &[]);
    let gone = Node::start(&["--bootstrap", &seed.address]);
    let id = gone.id.clone();
    gone.kill();
    let mut node = Node::start(&["--bootstrap", &seed.address]);
    assert_eq!(node.ask("peers")["peers"], json!([]));
    let items = seed.ask("items");
    let entries = &items["items"][0][1];
    assert_eq!(entries[&id], Value::Null, "{items}");
    assert!(entries[&node.id].is_array(), "{items}");
}

#[test]
fn with_no_seed_reachable_a_node_ends_with_status_3() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let failed = output(&["mesh", "--json", "--bootstrap", &free]);
    assert_eq!(failed.status.code(), Some(3));
    let error = String::from_utf8(failed.stderr).unwrap();
    assert!(error.contains(&free) && error.contains("nobody listens"), "{error}");
    let lines = String::from_utf8(failed.stdout).unwrap();
    assert!(lines.contains(&format!("\"command\":\"--bootstrap {free}\"")), "{lines}");
    let node = Node::start(&[]);
    let failed = output(&["mesh", "--bootstrap", &node.address]);
    assert_eq!(failed.status.code(), Some(8));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("rs2p seed"));
}
