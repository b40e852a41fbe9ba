//! Two and three nodes that hold the same.

use serde_json::{Value, json};

use crate::node::Node;

#[test]
fn what_one_node_writes_the_other_tells_and_holds() {
    let (mut one, mut two) = Node::sync_pair();
    one.ask("set colour green");
    let update = two.event("update");
    assert_eq!(update, one.event("update"), "both tell the same of it");
    assert_eq!((&update["key"], &update["owner"]), (&json!("colour"), &json!(one.id)));
    assert_eq!(two.ask("get colour")["value"], "green");

    one.ask("delta map '{\"a\":1}'");
    assert_eq!(two.event("update")["value"], json!({ "a": 1 }));
    one.ask("delta map '{\"b\":{\"bin\":\"00ff\"}}'");
    assert_eq!(two.event("update")["value"], json!({ "a": 1, "b": { "bin": "00ff" } }));

    one.ask("set hex:ff00 json:7");
    let update = two.event("update");
    assert_eq!((&update["key"], &update["value"]), (&json!({ "bin": "ff00" }), &json!(7)));
    assert_eq!(two.ask("get hex:ff00")["value"], 7);

    one.ask("del colour");
    assert_eq!(two.event("delete"), json!({ "event": "delete", "key": "colour" }));
    one.ask("pop hex:ff00");
    assert_eq!(two.event("delete")["key"], json!({ "bin": "ff00" }));
    assert_eq!(two.ask("copy")["copy"], one.ask("copy")["copy"]);
    two.quit();
    one.quit();
}

#[test]
fn who_comes_later_is_told_of_every_key() {
    let mut one = Node::start_sync(&[]);
    for number in 0..50 {
        one.ask(&format!("set key{number:02} json:{number}"));
    }
    one.ask("del key07");
    let mut two = Node::start_sync(&["--connect", &one.address]);
    let mut heard: Vec<Value> = (0..49).map(|_| two.event("update")).collect();
    heard.sort_by_key(|update| update["value"].as_u64());
    let expected: Vec<_> = (0..50).filter(|number| *number != 7).collect();
    assert_eq!(heard.iter().map(|update| &update["value"]).collect::<Vec<_>>(), expected);
    assert!(heard.iter().all(|update| update["owner"] == one.id));
    assert_eq!(two.ask("items")["items"], one.ask("items")["items"]);
    assert_eq!(two.ask("entry key00")["lease_end"], one.ask("entry key00")["lease_end"]);
}

#[test]
fn a_write_reaches_the_far_end_of_a_chain() {
    let mut middle = Node::start_sync(&[]);
    let address = middle.address.clone();
    let [left, right] = [(); 2].map(|()| {
        // An address that nobody can dial keeps the two ends apart.
        Node::start_sync(&["--connect", &address, "--advertise", "127.0.0.1:1"])
    });
    middle.event("connect");
    middle.event("connect");
    let (mut left, mut right) = Node::ordered(left, right);
    left.ask("set colour green");
    assert_eq!(right.event("update")["owner"], left.id);
    right.ask("update shape round size json:3");
    for node in [&mut middle, &mut left, &mut right] {
        node.wait("the last key", |line| line["key"] == "size");
        assert_eq!(
            node.ask("copy")["copy"],
            json!({ "colour": "green", "shape": "round", "size": 3 })
        );
    }
    let refused = right.ask("set colour red");
    assert!(refused["error"].as_str().unwrap().contains(&left.id), "{refused}");
}

#[test]
fn messages_go_between_nodes_of_a_dictionary_too() {
    let (mut one, mut two) = Node::sync_pair();
    assert_eq!(two.ask("send hello")["reply"], "send");
    assert_eq!(one.event("message")["packets"], json!(["hello"]));
    assert_eq!(one.ask("reply 'hello yourself'")["reply"], "reply");
    assert_eq!(two.event("message")["packets"], json!(["hello yourself"]));
    assert_eq!(two.ask("whisper psst")["reply"], "whisper");
    assert_eq!(one.event("message")["packets"], json!(["psst"]));
    assert_eq!(two.ask("peers")["peers"][0]["id"], one.id);
    let id = one.id.clone();
    assert_eq!(two.ask(&format!("disconnect {id}"))["peer"], id);
    assert_eq!(two.event("disconnect")["peer"], id);
    assert_eq!(two.ask(&format!("connect {}", one.address))["peer"], id);
}
