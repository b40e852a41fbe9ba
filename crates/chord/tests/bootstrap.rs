//! Nodes that find each other by way of seeds, on real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use rs2p_chord::{Bootstrap, ChordSocket};
use rs2p_mesh::MeshSocket;
use rs2p_wire::Value;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(60);

async fn seed() -> ChordSocket {
    ChordSocket::builder().subnet(Bootstrap::SUBNET).start().await.unwrap()
}

async fn node() -> MeshSocket {
    MeshSocket::builder().subnet("library").start().await.unwrap()
}

fn network() -> String {
    rs2p_base::Protocol::new("library", "Plaintext").id().to_string()
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn address(node: &MeshSocket) -> Value {
    let address = node.address().unwrap();
    Value::Array(vec![address.ip().to_string().into(), address.port().into()])
}

/// The entry of a node, once it is as wanted.
async fn entry(seed: &ChordSocket, node: &MeshSocket, is: impl Fn(&Value) -> bool) {
    let id = node.id().to_string();
    let look = async {
        loop {
            if let Some(Value::Map(pairs)) = seed.get(network()).await.unwrap()
                && let Some((_, value)) =
                    pairs.iter().find(|(key, _)| key.as_slice() == Some(id.as_bytes()))
                && is(value)
            {
                return;
            }
        }
    };
    timeout(DEADLINE, look).await.unwrap();
}

#[tokio::test]
async fn ids_in_either_form_are_understood_and_what_makes_no_sense_is_passed_over() {
    let (seed, one, two, new) = (seed().await, node().await, node().await, node().await);
    let entries = [
        (text(&one.id().to_string()), address(&one)),
        (Value::Binary(two.id().to_string().into_bytes()), address(&two)),
        (text("3mJr"), Value::Nil),
        (text("4mJr"), text("not an address")),
        (text("5mJr"), Value::Array(vec![text("127.0.0.1"), 0.into()])),
        (text("6mJr"), Value::Array(vec![text("127.0.0.1"), 70_000.into()])),
        (text("no id: 0OIl"), address(&one)),
        (Value::from(7), address(&one)),
    ];
    seed.set(network(), Value::Map(entries.to_vec())).await.unwrap();
    let enlisted = Bootstrap::new([seed.address().unwrap()]).enlist(&new).await.unwrap();
    assert_eq!((enlisted.found(), enlisted.connected()), (2, 2));
    let Some(Value::Map(after)) = seed.get(network()).await.unwrap() else { panic!("it is a map") };
    assert_eq!(after.len(), entries.len() + 1, "nothing of the others is touched");
}

#[tokio::test]
async fn a_value_that_is_no_map_is_replaced() {
    let (seed, node) = (seed().await, node().await);
    seed.set(network(), 7).await.unwrap();
    let enlisted = Bootstrap::new([seed.address().unwrap()]).enlist(&node).await.unwrap();
    assert_eq!(enlisted.found(), 0);
    entry(&seed, &node, |value| *value == address(&node)).await;
}

#[tokio::test]
async fn of_two_that_come_at_the_same_moment_one_finds_the_other() {
    let seed = seed().await;
    let bootstrap = Bootstrap::new([seed.address().unwrap()]);
    for _ in 0..20 {
        let (one, two) = (node().await, node().await);
        let (first, second) = tokio::join!(bootstrap.enlist(&one), bootstrap.enlist(&two));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert!(first.found() + second.found() > 0);
        assert!(!one.peers().unwrap().is_empty());
        tokio::join!(first.leave(), second.leave());
        one.close().await;
        two.close().await;
    }
}

#[tokio::test]
async fn an_entry_that_was_lost_is_written_anew_until_it_is_taken_out() {
    let (seed, node) = (seed().await, node().await);
    let bootstrap = Bootstrap::new([seed.address().unwrap()]).renewal(Duration::from_millis(50));
    let enlisted = bootstrap.enlist(&node).await.unwrap();
    seed.set(network(), Value::Map(Vec::new())).await.unwrap();
    entry(&seed, &node, |value| *value == address(&node)).await;
    enlisted.leave().await;
    entry(&seed, &node, Value::is_nil).await;
}

#[tokio::test]
async fn many_that_have_left_are_taken_away_and_those_that_are_there_stay() {
    let (seed, node) = (seed().await, node().await);
    let gone = (0..100).map(|number| (text(&format!("2{number}").replace('0', "a")), Value::Nil));
    seed.set(network(), Value::Map(gone.collect())).await.unwrap();
    let bootstrap = Bootstrap::new([seed.address().unwrap()]).renewal(Duration::from_millis(50));
    let _enlisted = bootstrap.enlist(&node).await.unwrap();
    let only_it = async {
        while !matches!(
            seed.get(network()).await.unwrap(),
            Some(Value::Map(pairs)) if pairs.len() == 1 && pairs[0].1 == address(&node)
        ) {}
    };
    timeout(DEADLINE, only_it).await.unwrap();
}

#[tokio::test]
async fn a_node_that_nobody_can_dial_finds_others_and_writes_nothing() {
    let (seed, one) = (seed().await, node().await);
    let bootstrap = Bootstrap::new([seed.address().unwrap()]);
    let _first = bootstrap.enlist(&one).await.unwrap();
    let hidden = MeshSocket::builder().subnet("library").listen(None).start().await.unwrap();
    let enlisted = bootstrap.enlist(&hidden).await.unwrap();
    assert_eq!((enlisted.found(), enlisted.connected()), (1, 1));
    let Some(Value::Map(entries)) = seed.get(network()).await.unwrap() else {
        panic!("it is a map")
    };
    assert_eq!(entries.len(), 1);
}

#[tokio::test]
async fn without_a_seed_the_error_names_one_and_how_many_were_tried() {
    let node = node().await;
    let none = Bootstrap::new(Vec::<rs2p_base::Endpoint>::new()).enlist(&node).await.unwrap_err();
    assert!(none.to_string().contains("no seed is given"), "{none}");
    let closed =
        ["127.0.0.1:1", "127.0.0.1:2"].map(|it| it.parse::<rs2p_base::Endpoint>().unwrap());
    let error = Bootstrap::new(closed).enlist(&node).await.unwrap_err().to_string();
    assert!(error.contains("none of 2 seeds") && error.contains("127.0.0.1:"), "{error}");
}
