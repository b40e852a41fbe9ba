//! Members that leave the ring, and those that die.

use serde_json::json;

use crate::chord::dht::pairs;
use crate::chord::pairs::Joining;
use crate::chord::rings::MixedRing;
use crate::node::Dialling;
use crate::peer::Kind;
use crate::run;

const MANY: usize = 20;

#[test]
#[ignore = "cargo xtask interop runs it"]
fn what_py2p_had_is_with_ours_when_it_leaves() {
    run(async {
        let (mut ours, mut peer) = Joining::Before.pair(Kind::Py, Dialling::Us).await;
        let all = pairs("theirs", MANY);
        peer.set_all(&all).await;
        peer.unjoin().await;
        for (key, value) in &all {
            ours.comes_to_read(key, value).await;
        }
        peer.has_all(&all).await;
        ours.finish(&[peer.node_id()]).await;
        peer.finish().await;
    });
}

async fn what_ours_had_is_with_theirs(kind: Kind) {
    let (mut ours, mut peer) = Joining::Before.pair(kind, Dialling::Us).await;
    let all = pairs("ours", MANY);
    for (key, value) in &all {
        ours.set(key, value).await;
    }
    assert_eq!(ours.socket.unjoin().await.expect("it runs"), 0, "records are lost");
    peer.has_all(&all).await;
    ours.has_all(&all).await;
    ours.finish(&[peer.node_id()]).await;
    peer.finish().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn what_ours_had_is_with_py2p_when_it_leaves() {
    run(what_ours_had_is_with_theirs(Kind::Py));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn what_ours_had_is_with_js2p_when_it_leaves() {
    run(what_ours_had_is_with_theirs(Kind::Js));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn what_is_set_outlives_the_death_of_py2p() {
    run(async {
        let mut ring = MixedRing::of(2, Kind::Py, 1).await;
        let all = pairs("key", MANY);
        for (key, value) in &all {
            ring.ours[0].set(key, value).await;
        }
        let peer = ring.theirs.remove(0);
        let id = peer.node_id();
        peer.kill().await;
        ring.ours[0].loses(id).await;
        for (key, value) in &all {
            ring.ours[0].comes_to_read(key, value).await;
            ring.ours[1].comes_to_read(key, value).await;
        }
        assert_eq!(ring.ours[1].get("never").await, json!(null));
        ring.finish().await;
    });
}
