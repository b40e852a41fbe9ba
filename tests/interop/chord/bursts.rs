//! Many writes at once.

use serde_json::{Value as Json, json};
use tokio::task::JoinSet;

use crate::chord::dht::{Dht, pairs};
use crate::chord::pairs::Joining;
use crate::node::Dialling;
use crate::peer::{Kind, Peer};
use crate::values::from_json;
use crate::{LIMIT, run_within};

const BURST: usize = 100;

/// All keys at once, as one update or each by itself.
async fn set_at_once(ours: &Dht, all: &[(String, Json)], is_update: bool) {
    if is_update {
        let pairs = all.iter().map(|(key, value)| (key.clone(), from_json(value)));
        ours.socket.update(pairs).await.expect("it is written");
        return;
    }
    let mut writes = JoinSet::new();
    for (key, value) in all {
        let (socket, key, value) = (ours.socket.clone(), key.clone(), from_json(value));
        writes.spawn(async move { socket.set(key, value).await });
    }
    for written in writes.join_all().await {
        written.expect("it is written");
    }
}

async fn bursts_both_ways(ours: &Dht, peer: &mut Peer, name: &str) {
    for is_update in [false, true] {
        let all = pairs(&format!("{name}, ours, {is_update}"), BURST);
        set_at_once(ours, &all, is_update).await;
        // Straight after the burst.
        ours.has_all(&all).await;
        peer.comes_to_have_all(&all).await;
    }
    let all = pairs(&format!("{name}, theirs"), BURST);
    peer.set_all(&all).await;
    for (key, value) in all.iter().rev() {
        ours.comes_to_read(key, value).await;
    }
    peer.comes_to_have_all(&all).await;
    let map: serde_json::Map<_, _> =
        all.iter().take(20).map(|(key, _)| (key.clone(), json!(2))).collect();
    peer.update(&Json::Object(map.clone())).await;
    for (key, value) in &map {
        ours.comes_to_read(key, value).await;
    }
}

async fn a_pair_bursts(kind: Kind) {
    let (mut ours, mut peer) = Joining::Before.pair(kind, Dialling::Us).await;
    bursts_both_ways(&ours, &mut peer, "pair").await;
    ours.finish(&[peer.node_id()]).await;
    peer.finish().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn bursts_of_writes_of_ours_and_of_py2p() {
    run_within(3 * LIMIT, a_pair_bursts(Kind::Py));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn bursts_of_writes_of_ours_and_of_js2p() {
    run_within(3 * LIMIT, a_pair_bursts(Kind::Js));
}
