//! Nodes that cannot talk to each other, and hear each other through us.

use serde_json::json;

use crate::node::{Dialling, Node, stay_put};
use crate::peer::{Kind, Peer};
use crate::run;

/// All send, and each hears all others once. Each sends its message when it has heard those
/// before, so a copy that circled would come before the last message.
async fn all_hear_all_once(ours: &mut [Node], theirs: &mut [Peer]) {
    let mut said = Vec::new();
    for round in 0..2 {
        for at in 0..ours.len() + theirs.len() {
            let packets = json!([format!("round {round} of {at}"), {"bin": "00ff"}]);
            match ours.get(at) {
                Some(node) => node.send(&packets).await,
                None => theirs[at - ours.len()].send(packets.clone()).await,
            }
            for (other, node) in ours.iter_mut().enumerate() {
                if other != at {
                    node.hears(packets.clone()).await;
                }
            }
            for (other, peer) in theirs.iter_mut().enumerate() {
                if other + ours.len() != at {
                    peer.hears(packets.clone()).await;
                }
            }
            said.push((at, packets));
        }
    }
    for (author, packets) in &said {
        for (at, node) in ours.iter().enumerate() {
            assert_eq!(node.times_heard(packets), usize::from(at != *author), "{packets}");
        }
        for (at, peer) in theirs.iter().enumerate() {
            let times = peer.times_heard(packets);
            let is_author = at + ours.len() == *author;
            assert_eq!(times, usize::from(!is_author), "{:?}: {packets}", peer.kind);
        }
    }
}

async fn two_kinds_hear_each_other(first: Kind, second: Kind, dialling: Dialling) {
    let (ours, first, second) =
        tokio::join!(Node::start(), Peer::start(first), Peer::start(second));
    let (mut ours, mut theirs) = ([ours], [first, second]);
    for peer in &mut theirs {
        ours[0].link(peer, dialling).await;
    }
    all_hear_all_once(&mut ours, &mut theirs).await;
    // Neither is led to the other, of which it can make nothing.
    for peer in &mut theirs {
        peer.has_peers(&[ours[0].id()]).await;
    }
    let [first, second] = theirs;
    first.finish().await;
    second.finish().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn py2p_and_then_js2p_that_we_dialled_hear_each_other_through_us() {
    run(two_kinds_hear_each_other(Kind::Py, Kind::Js, Dialling::Us));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_and_then_py2p_that_we_dialled_hear_each_other_through_us() {
    run(two_kinds_hear_each_other(Kind::Js, Kind::Py, Dialling::Us));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn py2p_and_then_js2p_that_dialled_us_hear_each_other_through_us() {
    run(two_kinds_hear_each_other(Kind::Py, Kind::Js, Dialling::Them));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_and_then_py2p_that_dialled_us_hear_each_other_through_us() {
    run(two_kinds_hear_each_other(Kind::Js, Kind::Py, Dialling::Them));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn two_of_us_with_py2p_and_js2p_at_either_end() {
    run(async {
        let (one, two, py, js) = tokio::join!(
            Node::start(),
            Node::start(),
            Peer::start(Kind::Py),
            Peer::start(Kind::Js)
        );
        let (mut ours, mut theirs) = ([one, two], [py, js]);
        let second = ours[1].address();
        ours[0].link(&mut theirs[0], Dialling::Us).await;
        ours[1].link(&mut theirs[1], Dialling::Us).await;
        ours[0].socket.connect(second).await.expect("a link");
        all_hear_all_once(&mut ours, &mut theirs).await;
        let [py, js] = theirs;
        py.finish().await;
        js.finish().await;
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn two_of_us_with_py2p_and_js2p_between_us() {
    run(async {
        let (one, two, py, js) = tokio::join!(
            Node::start_with(|builder| builder.mesh_config(stay_put())),
            Node::start_with(|builder| builder.mesh_config(stay_put())),
            Peer::start(Kind::Py),
            Peer::start(Kind::Js)
        );
        let (mut ours, mut theirs) = ([one, two], [py, js]);
        for node in &mut ours {
            for peer in &mut theirs {
                node.link(peer, Dialling::Us).await;
            }
        }
        all_hear_all_once(&mut ours, &mut theirs).await;
        let [py, js] = theirs;
        py.finish().await;
        js.finish().await;
    });
}
