//! Nodes that learn of each other through a third: peers lists, and replies to distant authors.

use std::net::SocketAddr;

use serde_json::json;

use crate::node::{Dialling, Node, stay_put};
use crate::peer::{Kind, Peer};
use crate::run;

/// Ours - peer - ours: a reply finds the other one of ours through the peer between.
async fn a_reply_finds_a_distant_author(kind: Kind) {
    let mut middle = Peer::start(kind).await;
    let mut author = Node::start_with(|builder| builder.mesh_config(stay_put())).await;
    let mut reader = Node::start_with(|builder| builder.mesh_config(stay_put())).await;
    author.link(&mut middle, Dialling::Us).await;
    reader.link(&mut middle, Dialling::Us).await;
    author.send(&json!(["who is there?"])).await;
    let question = reader.hears(json!(["who is there?"])).await;
    assert!(!reader.peers().iter().any(|peer| peer.id == author.id()));

    reader.reply(&question, &json!(["me"])).await;
    let answer = author.hears(json!(["me"])).await;
    assert_eq!((answer.neighbour(), answer.sender_id()), (reader.id(), Some(reader.id())));
    middle.finish().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_reply_finds_its_way_past_py2p() {
    run(a_reply_finds_a_distant_author(Kind::Py));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_reply_finds_its_way_past_js2p() {
    run(a_reply_finds_a_distant_author(Kind::Js));
}

/// Peer - peer - ours: a reply reaches one of the originals past another.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_reply_finds_a_distant_py2p_author() {
    run(async {
        let (middle, author) = tokio::join!(Peer::start(Kind::Py), Peer::start(Kind::Py));
        let (mut middle, mut author) = (middle, author);
        let mut reader =
            Node::start_with(|builder| builder.listen(None).mesh_config(stay_put())).await;
        // It cannot be dialled, so that the author does not do so before it is asked.
        reader.link(&mut middle, Dialling::Us).await;
        middle.connect(&author.address()).await;
        author.knows(middle.node_id()).await;
        author.send(json!(["who is there?"])).await;
        let question = reader.hears(json!(["who is there?"])).await;
        reader.reply(&question, &json!(["me"])).await;
        author.hears(json!(["me"])).await;
        middle.finish().await;
        author.finish().await;
    });
}

/// A node of ours that comes to know the rest by the list of the one it dialled.
async fn we_dial_whom_we_learn_of(kind: Kind) {
    // Apart in host and port, without which js2p links to one only.
    let known = Peer::start_with(kind, &["--host", "127.0.0.2"]).await;
    let other = Peer::start_with(kind, &["--host", "127.0.0.3"]).await;
    let (mut known, mut other) = (known, other);
    known.connect(&other.address()).await;
    known.has_peers(&[other.node_id()]).await;
    other.has_peers(&[known.node_id()]).await;

    let mut ours = Node::start().await;
    ours.link(&mut known, Dialling::Us).await;
    ours.has_peer(other.node_id()).await;
    known.has_peers(&[other.node_id(), ours.id()]).await;
    other.has_peers(&[known.node_id(), ours.id()]).await;
    assert_eq!(ours.peers().len(), 2);
    known.finish().await;
    other.finish().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn we_dial_a_py2p_node_that_py2p_lists() {
    run(we_dial_whom_we_learn_of(Kind::Py));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn we_dial_a_js2p_node_that_js2p_lists() {
    run(we_dial_whom_we_learn_of(Kind::Js));
}

/// A peer that comes to know one of ours by the list of another.
async fn it_dials_whom_we_list(kind: Kind) {
    // Apart in host and port, without which js2p dials one only.
    let at = |host: [u8; 4]| {
        let address = SocketAddr::from((host, 0));
        Node::start_with(move |builder| builder.listen(address).mesh_config(stay_put()))
    };
    let (mut known, mut other) = tokio::join!(at([127, 0, 0, 2]), at([127, 0, 0, 3]));
    known.socket.connect(other.address()).await.expect("a link");
    let mut peer = Peer::start(kind).await;
    known.link(&mut peer, Dialling::Them).await;
    other.has_peer(peer.node_id()).await;
    peer.has_peers(&[known.id(), other.id()]).await;
    for node in [&known, &other] {
        assert_eq!(node.peers().len(), 2);
        assert!(!node.peers().iter().any(|info| info.id == peer.node_id() && info.outgoing));
    }
    other.send(&json!(["hello"])).await;
    peer.hears(json!(["hello"])).await;
    known.hears(json!(["hello"])).await;
    assert_eq!(peer.times_heard(&json!(["hello"])), 1);
    peer.finish().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn py2p_dials_a_node_that_we_list() {
    run(it_dials_whom_we_list(Kind::Py));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_dials_a_node_that_we_list() {
    run(it_dials_whom_we_list(Kind::Js));
}
