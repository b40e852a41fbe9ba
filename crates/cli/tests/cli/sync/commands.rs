//! Every command, what it answers with `--json`, and what it says when it cannot.

use serde_json::{Value, json};

use crate::node::{Node, output};

#[test]
fn set_and_get_answer_with_key_and_value() {
    let mut node = Node::start_sync(&[]);
    assert_eq!(node.ask("get colour"), json!({ "reply": "get", "key": "colour", "value": null }));
    assert_eq!(node.ask("set colour 'dark green'"), json!({ "reply": "set", "key": "colour" }));
    let got = node.ask("get colour");
    assert_eq!(got, json!({ "reply": "get", "key": "colour", "value": "dark green" }));
    let update = node.event("update");
    let timestamp = update["timestamp"].as_u64().unwrap();
    assert!(timestamp > 1_700_000_000);
    assert_eq!(
        update,
        json!({
            "event": "update", "key": "colour", "value": "dark green", "owner": node.id,
            "timestamp": timestamp,
        })
    );
    node.quit();
}

#[test]
fn entry_tells_who_wrote_a_key_when_and_until_when_it_is_leased() {
    let mut node = Node::start_sync(&["--lease", "5m"]);
    let absent = node.ask("entry a");
    let nothing = json!({
        "reply": "entry", "key": "a", "value": null, "owner": null, "timestamp": null,
        "lease_end": null,
    });
    assert_eq!(absent, nothing);
    for (set, lease) in
        [("set a 1", 300), ("set a 2 2h", 7_200), ("renew a", 300), ("renew a 7s", 7)]
    {
        assert!(node.ask(set)["error"].is_null(), "{set}");
        let entry = node.ask("entry a");
        assert_eq!((&entry["reply"], &entry["owner"]), (&json!("entry"), &json!(node.id)));
        let timestamp = entry["timestamp"].as_u64().unwrap();
        // Others may write once the last second of it is over.
        assert_eq!(entry["lease_end"], timestamp + lease + 1, "{set}");
    }
    assert_eq!(node.ask("entry a")["value"], "2");
}

#[test]
fn del_pop_and_popitem_delete_and_tell() {
    let mut node = Node::start_sync(&[]);
    node.ask("update a 1 b json:2 c json:[3]");
    assert_eq!(node.ask("del a"), json!({ "reply": "del", "key": "a" }));
    assert_eq!(node.event("delete"), json!({ "event": "delete", "key": "a" }));
    assert_eq!(node.ask("pop b"), json!({ "reply": "pop", "key": "b", "value": 2 }));
    assert_eq!(node.event("delete")["key"], "b");
    assert_eq!(node.ask("popitem"), json!({ "reply": "popitem", "key": "c", "value": [3] }));
    assert_eq!(node.event("delete")["key"], "c");
    assert_eq!(node.ask("len"), json!({ "reply": "len", "len": 0 }));
    // As with the originals, nil deletes.
    node.ask("set d 4");
    assert_eq!(node.ask("set d json:null"), json!({ "reply": "set", "key": "d" }));
    assert_eq!(node.ask("get d")["value"], Value::Null);
}

#[test]
fn all_keys_and_values_are_told_in_the_order_of_the_keys() {
    let mut node = Node::start_sync(&[]);
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

#[test]
fn a_key_is_text_or_bytes_and_both_are_the_same_key() {
    let mut node = Node::start_sync(&[]);
    assert_eq!(node.ask("set hex:c3a4 1")["key"], "ä");
    assert_eq!(node.ask("get ä")["value"], "1");
    assert_eq!(node.ask("set hex:00FF 2")["key"], json!({ "bin": "00ff" }));
    node.event("update");
    assert_eq!(node.event("update")["key"], json!({ "bin": "00ff" }));
    // A text that looks like bytes can be a key as well, and no other key looks the same.
    let looks_like_bytes = hex::encode("hex:00ff");
    assert_eq!(node.ask(&format!("set hex:{looks_like_bytes} 3"))["key"], "hex:00ff");
    let copy = node.ask("copy");
    let expected = json!({ "hex:00ff": "2", format!("hex:{looks_like_bytes}"): "3", "ä": "1" });
    assert_eq!(copy["copy"], expected);
    assert_eq!(node.ask("del hex:00ff")["key"], json!({ "bin": "00ff" }));
    assert_eq!(node.event("delete")["key"], json!({ "bin": "00ff" }));
    assert_eq!(node.ask("set '' empty")["key"], "");
}

#[test]
fn a_delta_is_merged_into_the_value_which_is_told_whole() {
    let mut node = Node::start_sync(&[]);
    let first = node.ask("delta place '{\"x\":1,\"y\":[2]}'");
    let expected = json!({ "reply": "delta", "key": "place", "value": { "x": 1, "y": [2] } });
    assert_eq!(first, expected);
    // With `json:` it is the same, and an object with the key `bin` is an object here.
    let second = node.ask("delta place 'json:{\"x\":null,\"z\":{\"bin\":\"00ff\"}}'");
    let whole = json!({ "x": null, "y": [2], "z": { "bin": "00ff" } });
    assert_eq!(second["value"], whole);
    assert_eq!(node.ask("delta bin '{\"bin\":\"no hex\"}'")["value"], json!({ "bin": "no hex" }));
    node.event("update");
    assert_eq!(node.event("update")["value"], whole);
}

#[test]
fn any_value_comes_back_as_it_was_set() {
    let mut node = Node::start_sync(&[]);
    let value = json!({
        "text": "ä 日本 \u{1b} \n", "list": [null, true, -1, u64::MAX, 1.5, []],
        "binary": { "bin": "00ff" }, "": {},
    });
    node.ask(&format!("set all 'json:{value}'"));
    assert_eq!(node.ask("get all")["value"], value);
    assert_eq!(node.event("update")["value"], value);
}

#[test]
fn a_command_that_fails_says_why_and_the_node_goes_on() {
    let mut node = Node::start_sync(&[]);
    node.ask("update text 1 map json:{}");
    let mut refused = |line: &str, reason: &str| {
        let answer = node.ask(line);
        assert_eq!((answer.as_object().unwrap().len(), &answer["command"]), (2, &json!(line)));
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(reason), "{line}: {error}");
    };
    refused("set a", "set KEY VALUE [LEASE]");
    refused("set a b soon", "quoted");
    refused("set a b 0s", "from 1s to 30days");
    refused("set a json:{b", "single ones");
    refused("get", "get KEY");
    refused("get hex:0g", "byte 0");
    refused("get hex:000", "byte 1");
    refused("del nothing", "no key \"nothing\"");
    refused("pop hex:ff", "no key");
    refused("renew nothing", "no key \"nothing\"");
    refused("update a", "update KEY VALUE ...");
    refused("update a 1 b", "`b` has no value");
    // Nothing of a line that makes no sense is carried out.
    refused("update a 1 b json:x", "holds no JSON");
    refused("delta text '{\"a\":1}'", "no map");
    refused("delta map json:7", "no JSON object");
    refused("delta map {a:1}", "holds no JSON");
    refused(&format!("set {} 1", "k".repeat(2_000)), "2000 bytes");
    refused(&format!("update x 1 {} 1", "k".repeat(2_000)), "pair 2 of 2");
    refused("frobnicate", "no command `frobnicate`");
    refused("send hello", "no peers");
    assert_eq!(node.ask("keys")["keys"], json!(["map", "text", "x"]));
    node.ask("del x");
    node.ask("del map");
    node.ask("del text");
    let nothing = node.ask("popitem");
    assert!(nothing["error"].as_str().unwrap().contains("none at all"), "{nothing}");
    node.quit();
}

#[test]
fn status_tells_of_the_dictionary_besides_the_mesh() {
    let (mut one, mut two) = Node::sync_pair();
    one.ask("set colour green");
    two.event("update");
    two.ask("set shape round");
    two.ask("del shape");
    let status = two.ask("status");
    assert_eq!((&status["id"], &status["peers"]), (&json!(two.id), &json!(1)));
    let sync = &status["sync"];
    assert_eq!((&sync["keys"], &sync["tombstones"]), (&json!(1), &json!(1)));
    assert_eq!((&sync["lease"], &sync["store"]), (&json!(3_600), &Value::Null));
    assert_eq!(sync["counts"]["written"], 2);
    assert_eq!(sync["counts"]["taken"], 1);
}

#[test]
fn help_lists_the_commands_of_the_dictionary_and_those_of_the_mesh() {
    let mut node = Node::start_sync(&[]);
    let help = node.ask("help");
    let names: Vec<_> =
        help["commands"].as_array().unwrap().iter().map(|row| &row["command"]).collect();
    for name in [
        "set", "get", "entry", "del", "pop", "popitem", "keys", "values", "items", "copy", "len",
        "update", "delta", "renew", "connect", "peers", "send", "whisper", "reply", "status", "id",
        "help", "quit",
    ] {
        assert_eq!(names.iter().filter(|it| **it == name).count(), 1, "{name}: {names:?}");
        assert_eq!(node.ask(&format!("help {name}"))["commands"][0]["command"], name);
    }
}

#[test]
fn wrong_usage_is_status_2_with_the_reason() {
    let refused = |args: &[&str], reason: &str| {
        let done = output(&[&["sync"], args].concat());
        let error = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(reason), "{args:?}: {error}");
    };
    refused(&["--lease", "soon"], "10m");
    refused(&["--lease", "31days"], "30days");
    refused(&["--no-leasing", "--lease", "5m"], "cannot be used with");
    refused(&["--store"], "FILE");
    refused(&["--config", "missing.toml"], "missing.toml");
}
