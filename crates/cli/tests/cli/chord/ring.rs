//! Who stores, where, and for how long.

use serde_json::{Value, json};

use crate::node::Node;

#[test]
fn a_node_tells_when_it_has_joined_and_who_its_neighbours_are() {
    let mut nodes = Node::chord_ring(3);
    let ids: Vec<_> = nodes.iter().map(|node| node.id.clone()).collect();
    let mut shares = 0.0;
    for node in &mut nodes {
        assert_eq!(node.event("joined"), json!({ "event": "joined" }));
        // The last one to join is known to all soon.
        let ring = loop {
            let ring = node.ask("ring");
            if ring["successors"].as_array().unwrap().len() == 2 {
                break ring;
            }
        };
        assert_eq!((&ring["reply"], &ring["membership"]), (&json!("ring"), &json!("joined")));
        let digits = ring["position"].as_str().unwrap();
        assert!(digits.len() < 117 && digits.bytes().all(|digit| digit.is_ascii_digit()));
        for neighbour in ring["successors"].as_array().unwrap().iter().chain([&ring["predecessor"]])
        {
            let neighbour = neighbour.as_str().unwrap().to_owned();
            assert!(ids.contains(&neighbour) && neighbour != node.id, "{ring}");
        }
        shares += ring["share"].as_f64().unwrap();
        let status = node.ask("status");
        assert_eq!((&status["id"], &status["chord"]["store"]), (&json!(node.id), &Value::Null));
        assert_eq!(status["chord"]["successors"], ring["successors"]);
    }
    assert!((0.999..1.001).contains(&shares), "the ring is divided: {shares}");
}

#[test]
fn a_node_without_others_owns_the_whole_ring() {
    let mut node = Node::start_chord(&[]);
    let ring = node.ask("ring");
    assert_eq!((&ring["successors"], &ring["share"]), (&json!([]), &Value::Null));
    assert_eq!(ring["membership"], "joined");
}

#[test]
fn unjoin_hands_over_and_the_node_goes_on_using_the_network() {
    let mut nodes = Node::chord_ring(3);
    for number in 0..20 {
        nodes[2].ask(&format!("set key{number} json:{number}"));
    }
    assert_eq!(nodes[2].ask("unjoin"), json!({ "reply": "unjoin", "lost": 0 }));
    assert_eq!(nodes[2].ask("ring")["membership"], "leeching");
    assert_eq!(nodes[2].ask("status")["chord"]["records"], 0);
    for number in 0..20 {
        assert_eq!(nodes[2].ask(&format!("get key{number}"))["value"], number);
    }
    assert_eq!(nodes[2].ask("unjoin")["lost"], 0, "there is nothing left to hand over");
    assert_eq!(nodes[2].ask("join"), json!({ "reply": "join" }));
    assert_eq!(nodes[2].ask("ring")["membership"], "joined");
}

#[test]
fn unjoin_with_nobody_to_take_it_tells_what_is_lost() {
    let mut node = Node::start_chord(&[]);
    node.ask("set colour green");
    assert_eq!(node.ask("unjoin"), json!({ "reply": "unjoin", "lost": 5 }));
}

#[test]
fn a_leeching_node_reads_and_writes_and_stores_nothing() {
    let mut one = Node::start_chord(&[]);
    let mut two = Node::start_chord(&["--no-join", "--connect", &one.address]);
    assert_eq!(two.ask("set colour green")["reply"], "set");
    assert_eq!(one.ask("get colour")["value"], "green");
    one.ask("set shape round");
    assert_eq!(two.ask("get shape")["value"], "round");
    let ring = two.ask("ring");
    assert_eq!((&ring["membership"], &ring["predecessor"]), (&json!("leeching"), &Value::Null));
}

#[test]
fn explain_tells_the_way_to_each_of_the_five_places() {
    let mut nodes = Node::chord_ring(3);
    let ids: Vec<_> = nodes.iter().map(|node| json!(node.id)).collect();
    let key = json!({ "bin": "ff00" });
    let explained = nodes[1].ask("explain hex:ff00");
    assert_eq!((&explained["reply"], &explained["key"]), (&json!("explain"), &key));
    let paths = explained["paths"].as_array().unwrap();
    let tables: Vec<_> = paths.iter().map(|path| path["table"].as_str().unwrap()).collect();
    assert_eq!(tables, ["sha1", "sha224", "sha256", "sha384", "sha512"]);
    for path in paths {
        assert!(path["position"].is_string(), "{path}");
        let hops = path["hops"].as_array().unwrap();
        assert_eq!(hops[0], ids[1], "it begins here");
        assert!(hops.iter().all(|hop| ids.contains(hop)), "{path}");
    }
}

#[test]
fn what_a_script_sets_is_there_when_it_has_quit() {
    let mut one = Node::start_chord(&[]);
    for number in 0..5 {
        let mut two = Node::start_chord(&["--connect", &one.address]);
        two.say(&format!("set key{number} json:{number}"));
        assert_eq!(two.wait("set", |line| line["reply"] == "set")["key"], format!("key{number}"));
        two.quit();
    }
    for number in 0..5 {
        assert_eq!(one.ask(&format!("get key{number}"))["value"], number);
    }
}

#[test]
fn a_value_survives_the_death_of_a_node_that_held_it() {
    let mut nodes = Node::chord_ring(3);
    for number in 0..20 {
        assert_eq!(nodes[2].ask(&format!("set key{number} json:{number}"))["reply"], "set");
    }
    nodes.pop().unwrap().kill();
    for number in 0..20 {
        assert_eq!(nodes[number % 2].ask(&format!("get key{number}"))["value"], number);
    }
}
