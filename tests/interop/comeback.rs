//! A peer that vanishes and returns.

use serde_json::json;

use crate::node::{Dialling, Node};
use crate::peer::{Kind, Peer};
use crate::run;

async fn a_peer_that_returns_is_found_again(kind: Kind, dialling: Dialling) {
    let (mut ours, peer) = Node::with_peer(kind, dialling).await;
    let (former, port) = (peer.node_id(), peer.port.to_string());
    peer.kill().await;
    ours.loses(former).await;

    let mut peer = Peer::start_with(kind, &["--port", &port]).await;
    assert_ne!(peer.node_id(), former);
    ours.has_peer(peer.node_id()).await;
    peer.has_peers(&[ours.id()]).await;
    ours.send(&json!(["welcome back"])).await;
    peer.hears(json!(["welcome back"])).await;
    peer.send(json!(["thanks"])).await;
    ours.hears(json!(["thanks"])).await;
    assert_eq!(ours.peers().len(), 1);
    peer.finish().await;
}

/// It dialled us: it cannot listen again where it has accepted links within the last minute.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn py2p_that_was_killed_and_returns_is_found_again() {
    run(a_peer_that_returns_is_found_again(Kind::Py, Dialling::Them));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_that_was_killed_and_returns_is_found_again() {
    run(async {
        a_peer_that_returns_is_found_again(Kind::Js, Dialling::Us).await;
        a_peer_that_returns_is_found_again(Kind::Js, Dialling::Them).await;
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn we_find_a_peer_that_hung_up_on_us() {
    run(async {
        for kind in Kind::BOTH {
            for dialling in Dialling::BOTH {
                let (mut ours, mut peer) = Node::with_peer(kind, dialling).await;
                peer.command(json!({"cmd": "disconnect", "id": ours.id().to_string()})).await;
                ours.loses(peer.node_id()).await;
                ours.has_peer(peer.node_id()).await;
                peer.has_peers(&[ours.id()]).await;
                peer.finish().await;
            }
        }
    });
}
