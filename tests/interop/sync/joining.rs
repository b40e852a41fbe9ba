//! Nodes that join when much is there, or much is going on.

use std::time::Duration;

use rs2p::mesh::MeshConfig;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::node::Dialling;
use crate::peer::{Kind, Peer};
use crate::sync::dictionary::Dictionary;
use crate::sync::peer::start;
use crate::values::to_json;
use crate::{PATIENCE, run_within};

const MANY: usize = 10_000;
/// js2p takes longer for each message than for the one before: with a core of its own, it takes
/// eight seconds to tell of them all.
const LONG: Duration = Duration::from_secs(120);

/// Ours tells theirs, and theirs tells another one of ours.
async fn many_keys_are_handed_over_both_ways(kind: Kind) {
    let (mut one, mut peer, mut two) =
        tokio::join!(Dictionary::start(), start(kind), Dictionary::start());
    for number in 0..MANY {
        one.set(&json!(format!("key {number}")), &json!(number + 1)).await;
    }
    one.link(&mut peer, Dialling::Us).await;
    peer.has_keys(MANY).await;
    two.socket.connect(peer.address()).await.expect("a link");
    two.has_keys(MANY).await;
    for number in [0, MANY / 2, MANY - 1] {
        let key = json!(format!("key {number}"));
        assert_eq!((two.get(&key), peer.get(&key).await), (json!(number + 1), json!(number + 1)));
        assert_eq!(two.entry(&key).meta.timestamp, one.entry(&key).meta.timestamp);
        assert_eq!(two.entry(&key).meta.owner, one.entry(&key).meta.owner);
    }
    let kept = [peer.node_id()];
    one.finish(&kept).await;
    two.finish(&kept).await;
    peer.finish_dictionary().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn ten_thousand_keys_go_to_py2p_and_on() {
    run_within(LONG, many_keys_are_handed_over_both_ways(Kind::Py));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn ten_thousand_keys_go_to_js2p_and_on() {
    run_within(LONG, many_keys_are_handed_over_both_ways(Kind::Js));
}

/// Both sides write while they tell each other what they hold. py2p raises when its user sets a new
/// key in just the moment in which it hands over, and drops who joins; it is dialled again then.
async fn writes_go_on_while_a_node_joins(kind: Kind, dialling: Dialling) {
    const HELD: usize = 500;
    let (mut ours, mut peer) = tokio::join!(
        Dictionary::start_with(|builder| builder.mesh_config(MeshConfig::default())),
        start(kind)
    );
    for number in 0..HELD {
        ours.set(&json!(format!("key {number}")), &json!("old")).await;
    }
    for number in 0..50 {
        peer.set(&json!(format!("of theirs {number}")), &json!("old")).await;
    }
    ours.link(&mut peer, dialling).await;
    for number in 0..50 {
        // Before and behind the point that the telling has come to.
        let at = |step: usize| json!(format!("key {}", (number * 10 + step) % HELD));
        ours.set(&at(0), &json!("new")).await;
        ours.set(&json!(format!("more {number}")), &json!("new")).await;
        if kind == Kind::Py {
            ours.del(&at(1)).await;
        }
        ours.delta(&json!("map"), &json!({format!("{number}"): number})).await;
        peer.set(&json!(format!("of theirs {number}")), &json!("new")).await;
        peer.set(&json!(format!("more of theirs {number}")), &json!("new")).await;
    }
    peer.set(&json!("last"), &json!(1)).await;
    ours.updates(&json!("last"), &json!(1)).await;
    let deleted = if kind == Kind::Py { 50 } else { 0 };
    let count = HELD - deleted + 50 + 1 + 100 + 1;
    let deadline = Instant::now() + PATIENCE;
    while let Some(difference) = difference(&ours, &mut peer, count).await {
        assert!(Instant::now() < deadline, "{kind:?}: {difference}");
        sleep(Duration::from_millis(20)).await;
    }
    for number in 0..50 {
        assert_eq!(ours.get(&json!(format!("of theirs {number}"))), json!("new"));
    }
    match kind {
        Kind::Py => {
            ours.finish(&[]).await;
            peer.finish_but_for(&["dictionary changed size during iteration"]).await;
        }
        Kind::Js | Kind::Bytestag => {
            ours.finish(&[peer.node_id()]).await;
            peer.finish_dictionary().await;
        }
    }
}

/// Where the two differ, or have another number of keys than they should.
async fn difference(ours: &Dictionary, peer: &mut Peer, count: usize) -> Option<String> {
    let counts = (ours.len(), peer.len().await);
    if counts != (count, count) {
        return Some(format!("{counts:?} keys, not {count}"));
    }
    for (key, value) in ours.socket.items().expect("it runs") {
        let key = json!(String::from_utf8_lossy(&key));
        let (one, other) = (to_json(&value), peer.get(&key).await);
        if one != other {
            return Some(format!("{key}: {one} here, {other} there"));
        }
    }
    None
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn py2p_joins_while_writes_go_on() {
    run_within(LONG, async {
        for dialling in Dialling::BOTH {
            writes_go_on_while_a_node_joins(Kind::Py, dialling).await;
        }
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_joins_while_writes_go_on() {
    run_within(LONG, async {
        for dialling in Dialling::BOTH {
            writes_go_on_while_a_node_joins(Kind::Js, dialling).await;
        }
    });
}
