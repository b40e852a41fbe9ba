//! Changes and deletions, and the keys that are announced.

use serde_json::json;

use crate::chord::dht::pairs;
use crate::chord::pairs::Joining;
use crate::node::Dialling;
use crate::peer::Kind;
use crate::{LIMIT, run_within};

const SOME: usize = 6;

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

/// js2p tells nobody what it deletes at its own positions, and its user cannot tell a key that is
/// gone from one that is late.
async fn deletions_go_both_ways(dialling: Dialling) {
    let (mut ours, mut peer) = Joining::Before.pair(Kind::Js, dialling).await;
    let (of_ours, of_theirs) = (pairs("ours", SOME), pairs("theirs", SOME));
    for (key, value) in &of_ours {
        ours.set(key, value).await;
    }
    peer.set_all(&of_theirs).await;
    for (key, value) in of_theirs.iter().rev() {
        ours.comes_to_read(key, value).await;
    }
    peer.comes_to_have_all(&of_ours).await;
    let all = of_ours.iter().chain(&of_theirs).map(|(key, _)| key.clone());
    let (of_them, of_us): (Vec<_>, Vec<_>) =
        all.enumerate().partition(|(number, _)| number % 2 == 0);
    for (_, key) in &of_them {
        peer.del(&json!(key)).await;
    }
    for (_, key) in &of_us {
        ours.del(key).await;
    }
    for (_, key) in of_them.iter().chain(&of_us) {
        ours.comes_to_read(key, &json!(null)).await;
        // It does not come back.
        assert_eq!(ours.get(key).await, json!(null), "{key}");
    }
    for (_, key) in of_them.iter().chain(&of_us).take(4) {
        peer.comes_to_miss(key).await;
    }
    for (key, value) in &of_ours {
        ours.set(key, value).await;
    }
    peer.comes_to_have_all(&of_ours).await;
    ours.finish(&[peer.node_id()]).await;
    peer.finish().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn deletions_of_ours_and_js2p_go_both_ways() {
    run_within(3 * LIMIT, async {
        deletions_go_both_ways(Dialling::Us).await;
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn changes_and_deletions_of_ours_and_py2p_go_both_ways() {
    run_within(LIMIT, changes_and_deletions_go_both_ways());
}
