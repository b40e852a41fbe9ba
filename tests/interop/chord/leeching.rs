//! Nodes that use the ring and store nothing.

use serde_json::json;

use crate::chord::dht::{Dht, pairs};
use crate::chord::peer::{start, start_leeching};
use crate::node::Dialling;
use crate::peer::Kind;
use crate::run;

const MANY: usize = 30;

/// Ours has only theirs to store anything.
async fn ours_uses_theirs(kind: Kind) {
    let (mut ours, mut one) = tokio::join!(Dht::start_leeching(), start(kind));
    ours.link(&mut one, Dialling::Us).await;
    ours.knows_storing(1).await;
    let (of_ours, of_theirs) = (pairs("ours", MANY), pairs("theirs", MANY));
    for (key, value) in &of_ours {
        ours.set(key, value).await;
    }
    one.has_all(&of_ours).await;
    ours.has_all(&of_ours).await;
    one.set_all(&of_theirs).await;
    one.set(&json!("last"), &json!(1)).await;
    ours.hears_of("last").await;
    ours.has_all(&of_theirs).await;
    assert_eq!(ours.delta("map", &json!({"a": 1})).await, json!({"a": 1}));
    assert_eq!(one.merge("map", &json!({"b": 2})).await, json!({"a": 1, "b": 2}));
    assert_eq!(ours.delta("map", &json!({"c": 3})).await, json!({"a": 1, "b": 2, "c": 3}));
    ours.del("ours 0").await;
    one.comes_to_miss("ours 0").await;
    ours.del("theirs 0").await;
    one.comes_to_miss("theirs 0").await;
    assert_eq!(ours.get("theirs 0").await, json!(null));
    assert_eq!(ours.get("never").await, json!(null));
    assert!(ours.try_del("never").await.is_err());
    ours.finish(&[one.node_id()]).await;
    one.finish().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn ours_without_a_ring_uses_py2p() {
    run(ours_uses_theirs(Kind::Py));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn ours_without_a_ring_uses_js2p() {
    run(ours_uses_theirs(Kind::Js));
}

/// Theirs has only ours to store anything.
async fn theirs_uses_ours(kind: Kind) {
    let (mut one, mut two, mut peer) =
        tokio::join!(Dht::start(), Dht::start(), start_leeching(kind));
    two.socket.connect(one.address()).await.expect("a link");
    one.is_member(1).await;
    two.is_member(1).await;
    two.link(&mut peer, Dialling::Them).await;
    peer.takes_for_storing(&[two.id()], true).await;
    let (of_ours, of_theirs) = (pairs("ours", MANY), pairs("theirs", MANY));
    peer.set_all(&of_theirs).await;
    for (key, value) in &of_ours {
        one.set(key, value).await;
    }
    peer.has_all(&of_ours).await;
    peer.has_all(&of_theirs).await;
    one.has_all(&of_theirs).await;
    two.has_all(&of_theirs).await;
    one.delta("map", &json!({"a": 1})).await;
    assert_eq!(peer.merge("map", &json!({"b": 2})).await, json!({"a": 1, "b": 2}));
    one.comes_to_read("map", &json!({"a": 1, "b": 2})).await;
    peer.del(&json!("ours 0")).await;
    one.comes_to_read("ours 0", &json!(null)).await;
    one.del("theirs 0").await;
    peer.comes_to_miss("theirs 0").await;
    one.finish(&[two.id()]).await;
    two.finish(&[one.id(), peer.node_id()]).await;
    peer.finish().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn py2p_that_stores_nothing_uses_ours() {
    run(theirs_uses_ours(Kind::Py));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_that_stores_nothing_uses_ours() {
    run(theirs_uses_ours(Kind::Js));
}
