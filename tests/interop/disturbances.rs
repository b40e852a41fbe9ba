//! What costs py2p nodes each other's links must not cost ours (spec section 13, py2p 1).

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::json;

use crate::node::{Dialling, Node};
use crate::peer::{Kind, Peer};
use crate::run;

/// A py2p node answers our message, over the link that we had from the start.
async fn our_link_still_works(ours: &mut Node, peer: &mut Peer, name: &str) {
    ours.send(&json!([name])).await;
    peer.hears(json!([name])).await;
    peer.reply(json!([name, "answer"])).await;
    ours.hears(json!([name, "answer"])).await;
    assert_eq!(ours.times_lost(peer.node_id()), 0);
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_third_py2p_node_that_leaves_costs_us_no_link() {
    run(async {
        let (mut ours, mut peer) = Node::with_peer(Kind::Py, Dialling::Us).await;
        let mut third = Peer::start(Kind::Py).await;
        third.connect(&peer.address()).await;
        third.knows(peer.node_id()).await;
        peer.knows(third.node_id()).await;
        let id = third.node_id();
        third.kill().await;
        // It asks us for our peers then, in a form that py2p itself does not understand.
        peer.forgets(id).await;
        our_link_still_works(&mut ours, &mut peer, "after the third").await;
        peer.finish().await;
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_port_probe_of_a_py2p_node_costs_us_no_link() {
    run(async {
        let (mut ours, mut peer) = Node::with_peer(Kind::Py, Dialling::Us).await;
        for round in 0..5 {
            let probe = TcpStream::connect((&*peer.host, peer.port)).expect("it listens");
            drop(probe);
            let mut halfway = TcpStream::connect((&*peer.host, peer.port)).expect("it listens");
            halfway.write_all(&[0, 0]).expect("it reads");
            drop(halfway);
            our_link_still_works(&mut ours, &mut peer, &format!("after probe {round}")).await;
        }
        peer.has_peers(&[ours.id()]).await;
        peer.finish().await;
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_port_probe_of_ours_costs_nobody_anything() {
    run(async {
        for kind in Kind::BOTH {
            let (mut ours, mut peer) = Node::with_peer(kind, Dialling::Them).await;
            let address = ours.socket.address().expect("it listens");
            for bytes in [&b""[..], b"\0\0", b"GET / HTTP/1.1\r\n\r\n", &[0; 64]] {
                let mut probe = TcpStream::connect(address).expect("it listens");
                probe.write_all(bytes).expect("it reads");
            }
            our_link_still_works(&mut ours, &mut peer, "after the probes").await;
            peer.finish().await;
        }
    });
}
