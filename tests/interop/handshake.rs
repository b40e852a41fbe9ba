//! Each of the originals dials us, and we dial each.

use rs2p::mesh::PeerKind;
use serde_json::json;

use crate::node::{Dialling, Node};
use crate::peer::Kind;
use crate::run;

async fn a_link_is_listed_once_at_both_ends(kind: Kind, dialling: Dialling) {
    let (mut ours, mut peer) = Node::with_peer(kind, dialling).await;
    // Whatever handshakes and lists are still on their way come before these.
    ours.socket.request_peers().expect("it runs");
    ours.send(&json!(["from us"])).await;
    peer.hears(json!(["from us"])).await;
    peer.send(json!(["from them"])).await;
    ours.hears(json!(["from them"])).await;

    let [listed] = &ours.peers()[..] else { panic!("not one peer: {:?}", ours.peers()) };
    assert_eq!((listed.id, &listed.address), (peer.node_id(), &peer.address()));
    assert_eq!(listed.outgoing, dialling == Dialling::Us);
    assert_ne!(listed.kind, PeerKind::Rs2p);

    let answer = peer.command(json!({"cmd": "peers"})).await;
    let [entry] = &answer["peers"].as_array().expect("a list")[..] else {
        panic!("{kind:?} has not one peer: {answer}");
    };
    assert_eq!(entry["id"], ours.id().to_string());
    assert_eq!(entry["id_type"], kind.id_type());
    assert_eq!(entry["addr"], ours.address_json());
    assert_eq!(entry["outgoing"], dialling == Dialling::Them);
    assert_eq!(answer["awaiting"], 0, "{answer}");
    assert_eq!(peer.times("connect"), 1);
    let (status, _) = ours.socket.status().expect("it runs");
    assert!(status.problems.is_empty(), "{:?}", status.problems);
    peer.finish().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn we_dial_py2p() {
    run(a_link_is_listed_once_at_both_ends(Kind::Py, Dialling::Us));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn py2p_dials_us() {
    run(a_link_is_listed_once_at_both_ends(Kind::Py, Dialling::Them));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn we_dial_js2p() {
    run(a_link_is_listed_once_at_both_ends(Kind::Js, Dialling::Us));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_dials_us() {
    run(a_link_is_listed_once_at_both_ends(Kind::Js, Dialling::Them));
}
