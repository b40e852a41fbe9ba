//! Networks without leases: the later write wins.

use std::time::Duration;

use rs2p::base::CloseReason;
use rs2p::mesh::{ConnectError, MeshError};
use serde_json::{Value as Json, json};
use tokio::time::sleep;

use rs2p::wire::IdForm;

use crate::node::Dialling;
use crate::peer::{Kind, Peer};
use crate::run;
use crate::sync::chronicler::Chronicler;
use crate::sync::dictionary::Dictionary;
use crate::sync::peer::{start, start_with};
use crate::sync::writes::fence;

async fn without_leases(kind: Kind, dialling: Dialling) -> (Dictionary, Peer) {
    let (mut ours, mut peer) = tokio::join!(
        Dictionary::start_with(|builder| builder.leasing(false)),
        start_with(kind, &["--no-leasing"])
    );
    ours.link(&mut peer, dialling).await;
    (ours, peer)
}

/// Sets a key, as soon as the second is over in which another one of smaller id has.
async fn set_when_free(peer: &mut Peer, key: &Json, value: &Json) {
    while let Err(refusal) = peer.try_set(key, value).await {
        assert!(refusal.contains("permission"), "{refusal}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn the_later_write_wins(kind: Kind) {
    for dialling in Dialling::BOTH {
        let (mut ours, mut peer) = without_leases(kind, dialling).await;
        let key = json!("key");
        for round in 0..3 {
            ours.set(&key, &json!(["ours", round])).await;
            peer.updates(&key, &json!(["ours", round])).await;
            assert!(ours.entry(&key).meta.lease_end.is_none());
            set_when_free(&mut peer, &key, &json!(["theirs", round])).await;
            ours.updates(&key, &json!(["theirs", round])).await;
        }
        // Deltas need no permission.
        let map = json!("map");
        ours.delta(&map, &json!({"a": 1})).await;
        peer.updates(&map, &json!({"a": 1})).await;
        peer.delta(&map, &json!({"b": 2})).await;
        ours.updates(&map, &json!({"a": 1, "b": 2})).await;
        ours.delta(&map, &json!({"a": 3})).await;
        peer.updates(&map, &json!({"a": 3, "b": 2})).await;
        if kind == Kind::Py {
            while peer.try_del(&key).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
            ours.deletes(&key).await;
            ours.del(&map).await;
            peer.deletes(&map).await;
            assert_eq!((ours.len(), peer.len().await), (0, 0));
        }
        ours.finish(&[peer.node_id()]).await;
        peer.finish_dictionary().await;
    }
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn without_leases_the_later_write_of_py2p_and_us_wins() {
    run(the_later_write_wins(Kind::Py));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn without_leases_the_later_write_of_js2p_and_us_wins() {
    run(the_later_write_wins(Kind::Js));
}

/// Without leases every delta is permitted, and to what is no map it makes py2p raise.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_strangers_delta_to_what_is_no_map_costs_no_link() {
    run(async {
        for kind in Kind::BOTH {
            let (mut ours, mut peer) = without_leases(kind, Dialling::Us).await;
            let mut chronicler = Chronicler::start("sync0").await;
            chronicler.knows(&mut ours).await;
            let key = json!("key");
            ours.set(&key, &json!("text")).await;
            let now = chronicler.clock();
            chronicler.delta(ours.id(), &key, &json!({"a": 1}), ("zzzz", IdForm::Bin), now);
            chronicler.store(ours.id(), &json!("last"), &json!(1), ("zzzz", IdForm::Bin), now);
            peer.updates(&json!("last"), &json!(1)).await;
            fence(&mut ours, &mut peer, 1).await;
            assert_eq!((ours.get(&key), peer.get(&key).await), (json!("text"), json!("text")));
            ours.finish(&[peer.node_id()]).await;
            peer.finish_dictionary().await;
        }
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn networks_with_and_without_leases_do_not_meet() {
    run(async {
        for kind in Kind::BOTH {
            let with = start(kind).await;
            let mut ours = Dictionary::start_with(|builder| builder.leasing(false)).await;
            match ours.socket.connect(with.address()).await {
                Err(MeshError::Connect(ConnectError::Closed(CloseReason::OtherNetwork {
                    ..
                }))) => {}
                other => panic!("{kind:?}: {other:?}"),
            }
            ours.finish(&[]).await;
            with.finish_dictionary().await;
        }
    });
}
