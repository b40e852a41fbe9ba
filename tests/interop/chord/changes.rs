//! Changes and deletions, and the keys that are announced.

use serde_json::json;

use crate::chord::pairs::Joining;
use crate::node::Dialling;
use crate::peer::Kind;
use crate::{LIMIT, run_within};

async fn changes_and_deletions_go_both_ways() {
    let (mut ours, mut peer) = Joining::Before.pair(Kind::Py, Dialling::Us).await;
    ours.set("a", &json!(1)).await;
    peer.tells_of("a", "add").await;
    peer.set(&json!("b"), &json!(2)).await;
    ours.hears_of("b").await;
    // Each changes what the other one has set.
    peer.set(&json!("a"), &json!(3)).await;
    ours.set("b", &json!(4)).await;
    ours.comes_to_read("a", &json!(3)).await;
    peer.comes_to_read("b", &json!(4)).await;
    ours.delta("map", &json!({"x": 1})).await;
    assert_eq!(peer.merge("map", &json!({"y": 2})).await, json!({"x": 1, "y": 2}));
    ours.comes_to_read("map", &json!({"x": 1, "y": 2})).await;
    assert_eq!(ours.delta("map", &json!({"x": 3})).await, json!({"x": 3, "y": 2}));
    peer.comes_to_read("map", &json!({"x": 3, "y": 2})).await;
    ours.del("b").await;
    peer.comes_to_miss("b").await;
    peer.tells_of("b", "delete").await;
    peer.del(&json!("a")).await;
    ours.comes_to_read("a", &json!(null)).await;
    ours.hears_end_of("a").await;
    // py2p parts from who deletes what it does not have.
    assert!(ours.try_del("a").await.is_err());
    assert!(ours.try_del("never").await.is_err());
    ours.set("a", &json!(5)).await;
    peer.comes_to_read("a", &json!(5)).await;
    ours.finish(&[peer.node_id()]).await;
    peer.finish().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn changes_and_deletions_of_ours_and_py2p_go_both_ways() {
    run_within(LIMIT, changes_and_deletions_go_both_ways());
}
