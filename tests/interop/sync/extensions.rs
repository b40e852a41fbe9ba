//! What rs2p nodes tell each other beyond the protocol passes through the originals, and they see
//! none of it.

use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::sleep;

use crate::node::Dialling;
use crate::peer::{Kind, Peer};
use crate::run;
use crate::sync::dictionary::{Dictionary, bytes};
use crate::sync::peer::start;
use crate::sync::writes::fence;

/// Ours - theirs - ours.
async fn around(kind: Kind) -> (Dictionary, Peer, Dictionary) {
    let (mut one, mut peer, mut two) =
        tokio::join!(Dictionary::start(), start(kind), Dictionary::start());
    one.link(&mut peer, Dialling::Us).await;
    two.link(&mut peer, Dialling::Us).await;
    (one, peer, two)
}

/// How long a key is closed to others, in seconds, by what a node knows.
fn lease(ours: &Dictionary, key: &Json) -> u64 {
    let meta = ours.entry(key).meta;
    // The second in which it ends belongs to the lease.
    meta.lease_end.expect("leases are on").as_secs() - 1 - meta.timestamp
}

async fn a_chosen_lease_arrives_behind(kind: Kind) {
    let (mut one, mut peer, mut two) = around(kind).await;
    let key = json!("key");
    let set = |value: u64, seconds| {
        let (socket, key) = (one.socket.clone(), bytes(&key));
        async move { socket.set_for(key, value, Duration::from_secs(seconds)).await }
    };
    set(1, 90).await.expect("it is free");
    two.updates(&key, &json!(1)).await;
    assert_eq!((lease(&one, &key), lease(&two, &key)), (90, 90));
    set(2, 3 * 3_600).await.expect("it is ours");
    two.updates(&key, &json!(2)).await;
    assert_eq!((lease(&one, &key), lease(&two, &key)), (3 * 3_600, 3 * 3_600));
    one.socket.renew("key", Duration::from_secs(17)).await.expect("it is ours");
    let deltas = json!("deltas");
    one.delta(&deltas, &json!({"a": 1})).await;
    one.delta(&deltas, &json!({"b": 2})).await;
    two.updates(&deltas, &json!({"a": 1, "b": 2})).await;
    assert_eq!((lease(&one, &key), lease(&two, &key)), (17, 17));

    // The two agree to the last bit: when they meet, there is nothing to tell.
    peer.updates(&deltas, &json!({"a": 1, "b": 2})).await;
    let counts = |node: &Dictionary| node.socket.status().expect("it runs").counts;
    one.socket.connect(two.address()).await.expect("a link");
    while counts(&one).same == 0 {
        assert_eq!((counts(&one).different, counts(&two).different), (0, 0));
        // That all is the same is no event.
        sleep(Duration::from_millis(10)).await;
    }
    let kept = [peer.node_id()];
    one.finish(&kept).await;
    two.finish(&kept).await;
    peer.finish_dictionary().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_chosen_lease_arrives_behind_py2p() {
    run(a_chosen_lease_arrives_behind(Kind::Py));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_chosen_lease_arrives_behind_js2p() {
    run(a_chosen_lease_arrives_behind(Kind::Js));
}

/// A peer between two of ours that compare what they hold, and have much to tell each other.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn py2p_and_js2p_see_nothing_of_what_we_tell_each_other() {
    run(async {
        for kind in Kind::BOTH {
            let (mut one, mut two) = tokio::join!(Dictionary::start(), Dictionary::start());
            let mut peer = start(kind).await;
            for number in 0..50 {
                one.set(&json!(format!("one {number}")), &json!(number)).await;
                two.set(&json!(format!("two {number}")), &json!([number])).await;
            }
            one.link(&mut peer, Dialling::Us).await;
            one.socket.connect(two.address()).await.expect("a link");
            one.has_keys(100).await;
            two.has_keys(100).await;
            two.link(&mut peer, Dialling::Us).await;
            for number in 0..50 {
                peer.updates(&json!(format!("two {number}")), &json!([number])).await;
            }
            // What the peer and the second one of ours tell each other when they meet lies behind
            // them then.
            peer.set(&json!("theirs"), &json!(1)).await;
            two.updates(&json!("theirs"), &json!(1)).await;
            fence(&mut two, &mut peer, 1).await;
            for round in 0..10 {
                one.set(&json!("one 1"), &json!(["round", round])).await;
                two.delta(&json!("map"), &json!({"round": round})).await;
            }
            peer.updates(&json!("one 1"), &json!(["round", 9])).await;
            peer.updates(&json!("map"), &json!({"round": 9})).await;
            if kind == Kind::Py {
                one.del(&json!("one 2")).await;
                two.del(&json!("two 2")).await;
                peer.deletes(&json!("one 2")).await;
                peer.deletes(&json!("two 2")).await;
            }
            let items = one.socket.items().expect("it runs");
            assert_eq!(items.len(), two.len());
            // js2p does not tell of empty values.
            let is_told = |value: &Json| kind == Kind::Py || *value != json!(0);
            for (key, value) in items {
                let key = json!(String::from_utf8_lossy(&key));
                let value = crate::values::to_json(&value);
                if is_told(&value) {
                    assert_eq!(peer.get(&key).await, value, "{key}");
                }
            }
            let kept = [peer.node_id()];
            one.finish(&kept).await;
            two.finish(&kept).await;
            peer.finish_dictionary().await;
        }
    });
}
