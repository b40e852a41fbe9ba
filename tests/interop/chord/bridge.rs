//! py2p and js2p nodes, which cannot talk to each other, in one DHT by way of ours.

use serde_json::json;

use crate::chord::dht::{Dht, pairs};
use crate::chord::peer::start_leeching;
use crate::node::Dialling;
use crate::peer::Kind;
use crate::{LIMIT, run_within};

const SOME: usize = 20;

async fn both_have_what_each_sets() {
    let mut ours = Dht::start().await;
    ours.is_member(0).await;
    let mut theirs = Vec::new();
    for kind in Kind::BOTH {
        let mut peer = start_leeching(kind).await;
        ours.link(&mut peer, Dialling::Them).await;
        peer.takes_for_storing(&[ours.id()], true).await;
        theirs.push(peer);
    }
    let of_ours = pairs("ours", SOME);
    for (key, value) in &of_ours {
        ours.set(key, value).await;
    }
    let mut all = of_ours;
    for peer in &mut theirs {
        let of_theirs = pairs(&format!("{:?}", peer.kind), SOME);
        peer.set_all(&of_theirs).await;
        for (key, value) in of_theirs.iter().rev() {
            ours.comes_to_read(key, value).await;
        }
        all.extend(of_theirs);
    }
    for peer in &mut theirs {
        peer.comes_to_have_all(&all).await;
    }
    // Each changes what the other has set.
    let (py, js) = theirs.split_at_mut(1);
    py[0].set(&json!("Js 0"), &json!(1)).await;
    ours.comes_to_read("Js 0", &json!(1)).await;
    js[0].comes_to_read("Js 0", &json!(1)).await;
    js[0].set(&json!("Py 0"), &json!(2)).await;
    ours.comes_to_read("Py 0", &json!(2)).await;
    py[0].comes_to_read("Py 0", &json!(2)).await;
    ours.has_all(&all[1..SOME]).await;
    let kept: Vec<_> = theirs.iter().map(crate::peer::Peer::node_id).collect();
    ours.finish(&kept).await;
    for peer in theirs {
        peer.finish().await;
    }
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn py2p_and_js2p_that_store_nothing_share_a_dht_by_ours() {
    run_within(2 * LIMIT, both_have_what_each_sets());
}
