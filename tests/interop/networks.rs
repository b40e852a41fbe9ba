//! Nodes of another network.

use rs2p::base::{CloseReason, Protocol};
use rs2p::mesh::{ConnectError, MeshError};
use serde_json::json;

use crate::node::Node;
use crate::peer::{Kind, Peer};
use crate::run;

/// We dial a node of another network, and it dials us.
async fn strangers_part_in_peace(kind: Kind) {
    let mut stranger = Peer::start_with(kind, &["--subnet", "elsewhere"]).await;
    let mut ours = Node::start().await;
    let our_network = Protocol::new("mesh", "Plaintext").id().to_string();
    let their_network = Protocol::new("elsewhere", "Plaintext").id().to_string();

    match ours.socket.connect(stranger.address()).await {
        Err(MeshError::Connect(ConnectError::Closed(CloseReason::OtherNetwork {
            ours,
            theirs,
        }))) => assert_eq!((&*ours, &*theirs), (&*our_network, &*their_network)),
        other => panic!("{kind:?}: {other:?}"),
    }
    stranger.connect(&ours.address()).await;
    ours.until_problem(|text| text.contains(&our_network) && text.contains(&their_network)).await;
    assert!(ours.peers().is_empty());
    stranger.has_peers(&[]).await;
    assert_eq!(stranger.times("connect"), 0);

    // Both go on with nodes of their own.
    let mut own = Peer::start(kind).await;
    let mut like = Node::start_with(|builder| builder.subnet("elsewhere")).await;
    ours.link(&mut own, crate::node::Dialling::Us).await;
    like.link(&mut stranger, crate::node::Dialling::Them).await;
    like.send(&json!(["to them"])).await;
    stranger.hears(json!(["to them"])).await;
    ours.send(&json!(["to ours"])).await;
    own.hears(json!(["to ours"])).await;
    assert_eq!(stranger.heard().count(), 1);
    own.finish().await;
    stranger.finish().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn py2p_of_another_network_is_named_and_runs_on() {
    run(strangers_part_in_peace(Kind::Py));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_of_another_network_is_named_and_runs_on() {
    run(strangers_part_in_peace(Kind::Js));
}
