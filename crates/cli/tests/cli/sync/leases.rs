//! Who may write a key, and networks without such a rule.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::node::{DEADLINE, Node, output};

#[test]
fn a_key_of_another_node_is_refused_with_its_owner_and_the_end_of_its_lease() {
    let (mut one, mut two) = Node::sync_pair();
    one.ask("set map json:{}");
    two.event("update");
    let end = two.ask("entry map")["lease_end"].as_u64().unwrap();
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(end);
    let end = humantime::format_rfc3339_seconds(end).to_string();
    for line in
        ["set map 1", "del map", "pop map", "delta map '{\"a\":1}'", "update map 1", "renew map"]
    {
        let refused = two.ask(line);
        let error = refused["error"].as_str().unwrap();
        assert!(error.starts_with("map is leased to"), "{line}: {error}");
        assert!(error.contains(&one.id) && error.contains(&end), "{line}: {error}");
    }
    let nothing = two.ask("popitem");
    assert!(nothing["error"].as_str().unwrap().contains("others have their leases"), "{nothing}");
    assert_eq!(two.ask("get map")["value"], json!({}));
    // Its owner goes on as it likes.
    assert_eq!(one.ask("set map 2")["reply"], "set");
    assert_eq!(two.event("update")["value"], "2");
}

#[test]
fn a_lease_of_chosen_length_runs_out_for_all() {
    let (mut one, mut two) = Node::sync_pair();
    one.ask("set colour green 1s");
    two.event("update");
    let begun = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    while two.ask("set colour red")["error"] != Value::Null {
        assert!(SystemTime::UNIX_EPOCH.elapsed().unwrap() - begun < DEADLINE, "it never ran out");
        std::thread::yield_now();
    }
    one.event("update");
    assert_eq!(one.event("update")["owner"], two.id);
    assert_eq!(one.ask("entry colour")["owner"], two.id);
}

#[test]
fn without_leasing_every_node_writes_every_key() {
    let mut one = Node::start_sync(&["--no-leasing"]);
    let mut two = Node::start_sync(&["--no-leasing", "--connect", &one.address]);
    one.event("connect");
    one.ask("set colour green");
    two.event("update");
    assert_eq!(two.ask("entry colour")["lease_end"], Value::Null);
    assert_eq!(two.ask("set colour red")["reply"], "set");
    one.wait("the other's write", |line| line["value"] == "red");
    assert_eq!(one.ask("del colour")["reply"], "del");
    assert_eq!(two.event("delete")["key"], "colour");
    for line in ["set colour blue 10m", "renew colour"] {
        let refused = two.ask(line);
        assert!(refused["error"].as_str().unwrap().contains("no leases"), "{refused}");
    }
    assert_eq!(two.ask("status")["sync"]["lease"], Value::Null);
}

#[test]
fn networks_with_and_without_leases_do_not_meet() {
    let mut without = Node::start_sync(&["--no-leasing"]);
    let failed = output(&["sync", "--connect", &without.address]);
    assert_eq!(failed.status.code(), Some(8));
    let error = String::from_utf8(failed.stderr).unwrap();
    assert!(error.contains(&without.address) && error.contains("--no-leasing"), "{error}");

    let with = Node::start_sync(&[]);
    let refused = without.ask(&format!("connect {}", with.address));
    assert!(refused["error"].as_str().unwrap().contains("--no-leasing"), "{refused}");
    without.quit();
}

#[test]
fn a_mesh_node_is_no_node_of_a_dictionary() {
    let mesh = Node::start(&[]);
    let failed = output(&["sync", "--connect", &mesh.address]);
    assert_eq!(failed.status.code(), Some(8));
}
