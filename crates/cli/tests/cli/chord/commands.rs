//! Every command, what it answers with `--json`, and what it says when it cannot.

use serde_json::{Value, json};

use crate::node::{Node, output};

#[test]
fn what_one_node_sets_every_other_gets() {
    let mut nodes = Node::chord_ring(3);
    let set = nodes[0].ask("set colour 'dark green'");
    assert_eq!(set, json!({ "reply": "set", "key": "colour" }));
    for node in &mut nodes {
        let got = node.ask("get colour");
        assert_eq!(got, json!({ "reply": "get", "key": "colour", "value": "dark green" }));
        assert_eq!(node.event("add"), json!({ "event": "add", "key": "colour" }));
        let absent = node.ask("get shape");
        assert_eq!(absent, json!({ "reply": "get", "key": "shape", "value": null }));
    }
    for node in nodes {
        node.quit();
    }
}

#[test]
fn del_pop_and_popitem_delete_and_tell() {
    let mut nodes = Node::chord_ring(2);
    let (first, rest) = nodes.split_at_mut(1);
    let (one, two) = (&mut first[0], &mut rest[0]);
    assert_eq!(one.ask("update a 1 b json:2 c json:[3]"), json!({ "reply": "update" }));
    assert_eq!(two.ask("del a"), json!({ "reply": "del", "key": "a" }));
    assert_eq!(one.event("delete"), json!({ "event": "delete", "key": "a" }));
    assert_eq!(two.ask("pop b"), json!({ "reply": "pop", "key": "b", "value": 2 }));
    assert_eq!(one.event("delete")["key"], "b");
    assert_eq!(one.ask("popitem"), json!({ "reply": "popitem", "key": "c", "value": [3] }));
    assert_eq!(two.event("delete")["key"], "a");
    assert_eq!(one.ask("len"), json!({ "reply": "len", "len": 0 }));
    assert_eq!(two.ask("get c")["value"], Value::Null);
}

#[test]
fn all_keys_and_values_are_told_in_the_order_of_the_keys() {
    for announce in [&[][..], &["--no-announce"]] {
        let mut node = Node::start_chord(announce);
        assert_eq!(node.ask("keys"), json!({ "reply": "keys", "keys": [] }));
        assert_eq!(node.ask("copy"), json!({ "reply": "copy", "copy": {} }));
        assert_eq!(node.ask("update b 1 a json:{} hex:ff00 json:2"), json!({ "reply": "update" }));
        assert_eq!(node.ask("keys")["keys"], json!(["a", "b", { "bin": "ff00" }]));
        assert_eq!(node.ask("values"), json!({ "reply": "values", "values": [{}, "1", 2] }));
        let items = json!([["a", {}], ["b", "1"], [{ "bin": "ff00" }, 2]]);
        assert_eq!(node.ask("items"), json!({ "reply": "items", "items": items }));
        let copy = json!({ "a": {}, "b": "1", "hex:ff00": 2 });
        assert_eq!(node.ask("copy"), json!({ "reply": "copy", "copy": copy }));
        assert_eq!(node.ask("len"), json!({ "reply": "len", "len": 3 }));
    }
}

#[test]
fn a_delta_is_merged_into_the_value_which_is_told_whole() {
    let mut nodes = Node::chord_ring(2);
    let first = nodes[0].ask("delta place '{\"x\":1,\"y\":[2]}'");
    let expected = json!({ "reply": "delta", "key": "place", "value": { "x": 1, "y": [2] } });
    assert_eq!(first, expected);
    let second = nodes[1].ask("delta place 'json:{\"x\":null,\"z\":{\"bin\":\"00ff\"}}'");
    assert_eq!(second["value"], json!({ "x": null, "y": [2], "z": { "bin": "00ff" } }));
    assert_eq!(nodes[0].ask("get place")["value"], second["value"]);
}

#[test]
fn a_command_that_fails_says_why_and_the_node_goes_on() {
    let mut node = Node::start_chord(&[]);
    node.ask("set text 1");
    let mut refused = |line: &str, reason: &str| {
        let answer = node.ask(line);
        assert_eq!((answer.as_object().unwrap().len(), &answer["command"]), (2, &json!(line)));
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(reason), "{line}: {error}");
    };
    refused("set a", "set KEY VALUE");
    refused("set a b c", "set KEY VALUE");
    refused("set a json:null", "delete the key instead");
    refused("set a json:{b", "single ones");
    refused("get hex:0g", "byte 0");
    refused("del nothing", "no such key");
    refused("pop hex:ff", "no such key");
    refused("update a 1 b", "`b` has no value");
    refused("update a 1 b json:x", "holds no JSON");
    refused("delta text '{}'", "no map");
    refused("delta text 7", "no JSON object");
    refused(&format!("get {}", "x".repeat(2_000)), "over the limit of 1024");
    refused("join now", "join");
    refused("renew text", "no command `renew`");
    assert_eq!(node.ask("keys")["keys"], json!(["text"]), "nothing of it was carried out");
    assert_eq!(node.ask("pop text")["value"], "1");
    assert!(node.ask("popitem")["error"].as_str().unwrap().contains("no key"));
    node.quit();
}

#[test]
fn a_read_that_fails_says_so_when_its_time_is_over_and_what_was_said_meanwhile_follows() {
    let mut node = Node::start_chord(&["--no-join", "--timeout", "300ms"]);
    node.say("get colour");
    node.say("set colour green");
    node.say("id");
    let mut answer = || node.wait("an answer", |line| line["event"].is_null());
    for command in ["get colour", "set colour green"] {
        let failed = answer();
        assert_eq!(failed["command"], command);
        assert!(failed["error"].as_str().unwrap().contains("nobody stores anything"), "{failed}");
    }
    assert_eq!(answer()["reply"], "id");
}

#[test]
fn messages_go_between_nodes_of_a_dht_too() {
    let mut nodes = Node::chord_ring(2);
    let (first, rest) = nodes.split_at_mut(1);
    let (one, two) = (&mut first[0], &mut rest[0]);
    assert_eq!(two.ask("send hello")["reply"], "send");
    assert_eq!(one.event("message")["packets"], json!(["hello"]));
    assert_eq!(one.ask("reply 'hello yourself'")["reply"], "reply");
    assert_eq!(two.event("message")["packets"], json!(["hello yourself"]));
    assert_eq!(two.ask("peers")["peers"][0]["id"], one.id);
}

#[test]
fn a_node_of_another_network_means_status_8() {
    let one = Node::start_chord(&["--subnet", "library"]);
    let failed = output(&["chord", "--connect", &one.address]);
    assert_eq!(failed.status.code(), Some(8));
    let error = String::from_utf8(failed.stderr).unwrap();
    assert!(error.contains("--subnet and --transport"), "{error}");
}
