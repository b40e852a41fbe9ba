//! The bootstrap network, with nodes of py2p and js2p in it.

use rs2p::base::Protocol;
use rs2p::chord::Bootstrap;
use rs2p::mesh::MeshSocket;
use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use crate::PATIENCE;
use crate::chord::dht::Dht;
use crate::chord::peer::start_with;
use crate::node::Dialling;
use crate::peer::{Kind, Peer};
use crate::run_within;

/// The key of the network `mesh`: the id of its protocol.
fn network() -> String {
    Protocol::new("mesh", "Plaintext").id().to_string()
}

/// What a node of theirs writes down there for itself (spec section 11).
fn entry(node: &Peer) -> serde_json::Value {
    json!({(&*node.id): [node.host, node.port]})
}

/// A node of theirs enters by a seed of ours, a node of ours finds it there, and it finds ours.
async fn they_enter_by_our_seed(kind: Kind) {
    let mut seed = Dht::start_with(|builder| builder.subnet(Bootstrap::SUBNET)).await;
    seed.is_member(0).await;
    let mut entrance = start_with(kind, &["--subnet", Bootstrap::SUBNET]).await;
    let node = Peer::start(kind).await;
    seed.link(&mut entrance, Dialling::Them).await;
    entrance.takes_for_storing(&[seed.id()], true).await;
    entrance.merge(&network(), &entry(&node)).await;
    seed.comes_to_read(&network(), &entry(&node)).await;

    let ours = MeshSocket::builder().start().await.expect("it starts");
    let enlisted = Bootstrap::new([seed.address()]).enlist(&ours).await.expect("it enters");
    assert_eq!((enlisted.found(), enlisted.connected()), (1, 1));
    assert!(ours.peers().expect("it runs").iter().any(|peer| peer.id == node.node_id()));
    finds(&mut entrance, &ours).await;
    seed.finish(&[entrance.node_id()]).await;
    entrance.finish().await;
    node.finish().await;
}

/// The same by a seed of theirs. A node of ours comes first: js2p waits for ten seconds when there
/// is no map yet to write itself into.
async fn we_enter_by_their_seed(kind: Kind) {
    let mut seed = start_with(kind, &["--subnet", Bootstrap::SUBNET]).await;
    seed.join().await;
    let node = Peer::start(kind).await;
    let bootstrap = Bootstrap::new([seed.address()]);
    let first = MeshSocket::builder().start().await.expect("it starts");
    let enlisted = bootstrap.enlist(&first).await.expect("it enters");
    assert_eq!((enlisted.found(), enlisted.connected()), (0, 0));
    finds(&mut seed, &first).await;
    seed.merge(&network(), &entry(&node)).await;
    let second = MeshSocket::builder().start().await.expect("it starts");
    let enlisted = bootstrap.enlist(&second).await.expect("it enters");
    assert_eq!((enlisted.found(), enlisted.connected()), (2, 2));
    assert!(second.peers().expect("it runs").iter().any(|peer| peer.id == node.node_id()));
    finds(&mut seed, &second).await;
    seed.finish().await;
    node.finish().await;
}

/// Waits until a node of theirs reads where a node of ours is.
async fn finds(peer: &mut Peer, ours: &MeshSocket) {
    let id = ours.id().to_string();
    let address = ours.address().expect("it listens");
    let wanted = json!([address.ip().to_string(), address.port()]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listing = peer.read_within(&network(), 1).await;
        let bin = json!({"bin": hex::encode(&id)});
        let pairs = listing["map"].as_array().cloned().unwrap_or_default();
        let in_map =
            pairs.iter().any(|pair| (pair[0] == bin || pair[0] == id) && pair[1] == wanted);
        if in_map || listing[&id] == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{:?} does not find {id}: {listing}", peer.kind);
        sleep(Duration::from_millis(50)).await;
    }
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn py2p_and_ours_find_each_other_by_a_seed_of_ours() {
    run_within(2 * PATIENCE, they_enter_by_our_seed(Kind::Py));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_and_ours_find_each_other_by_a_seed_of_ours() {
    run_within(2 * PATIENCE, they_enter_by_our_seed(Kind::Js));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn py2p_and_ours_find_each_other_by_a_seed_of_theirs() {
    run_within(2 * PATIENCE, we_enter_by_their_seed(Kind::Py));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_and_ours_find_each_other_by_a_seed_of_theirs() {
    run_within(2 * PATIENCE, we_enter_by_their_seed(Kind::Js));
}
