//! Nodes that were away for a while.

use serde_json::{Value as Json, json};

use crate::node::Dialling;
use crate::peer::{Kind, Peer};
use crate::run;
use crate::sync::dictionary::Dictionary;
use crate::sync::leases::a_second_later;
use crate::sync::writes::fence;

/// Both hold this key, and then the link is lost.
async fn parted(kind: Kind, key: &Json) -> (Dictionary, Peer) {
    let (mut ours, mut peer) = Dictionary::with_peer(kind, Dialling::Us).await;
    ours.set(key, &json!("old")).await;
    peer.updates(key, &json!("old")).await;
    assert!(ours.socket.mesh().disconnect(peer.node_id()).expect("it runs"));
    ours.loses(peer.node_id()).await;
    peer.has_peers(&[]).await;
    (ours, peer)
}

/// The originals forget deletions. We remember them, and tell who comes with a deleted key.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_deleted_key_does_not_come_back_with_py2p() {
    run(async {
        for dialling in Dialling::BOTH {
            let key = json!("key");
            let (mut ours, mut peer) = parted(Kind::Py, &key).await;
            ours.del(&key).await;
            ours.link(&mut peer, dialling).await;
            peer.deletes(&key).await;
            fence(&mut ours, &mut peer, 1).await;
            assert_eq!((ours.get(&key), peer.get(&key).await), (Json::Null, Json::Null));
            assert_eq!(ours.times_told(&key), 2);
            // It is as free as any other now.
            peer.set(&key, &json!("new")).await;
            ours.updates(&key, &json!("new")).await;
            ours.finish(&[]).await;
            peer.finish_dictionary().await;
        }
    });
}

/// js2p cannot be told, and keeps what it has; it does not come back here.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_deleted_key_does_not_come_back_with_js2p() {
    run(async {
        for dialling in Dialling::BOTH {
            let key = json!("key");
            let (mut ours, mut peer) = parted(Kind::Js, &key).await;
            ours.del(&key).await;
            ours.link(&mut peer, dialling).await;
            fence(&mut ours, &mut peer, 1).await;
            peer.set(&json!("last"), &json!(1)).await;
            ours.updates(&json!("last"), &json!(1)).await;
            assert_eq!((ours.get(&key), peer.get(&key).await), (Json::Null, json!("old")));
            assert_eq!((ours.times_told(&key), ours.times_lost(peer.node_id())), (2, 1));
            ours.finish(&[]).await;
            peer.finish_dictionary().await;
        }
    });
}

/// The originals take nothing for a key that they have a value for, whatever its age.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn what_was_written_meanwhile_is_told_to_who_comes_back() {
    run(async {
        for kind in Kind::BOTH {
            for dialling in Dialling::BOTH {
                let key = json!("key");
                let (mut ours, mut peer) = parted(kind, &key).await;
                ours.set(&key, &json!("new")).await;
                ours.set(&json!("another"), &json!(1)).await;
                peer.set(&json!("of theirs"), &json!(2)).await;
                ours.link(&mut peer, dialling).await;
                peer.updates(&key, &json!("new")).await;
                peer.updates(&json!("another"), &json!(1)).await;
                ours.updates(&json!("of theirs"), &json!(2)).await;
                assert_eq!(ours.get(&key), json!("new"));
                ours.finish(&[]).await;
                peer.finish_dictionary().await;
            }
        }
    });
}

/// The originals take an empty value for none, and whatever is handed over instead.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn an_empty_value_that_was_written_meanwhile_stays() {
    run(async {
        for kind in Kind::BOTH {
            for dialling in Dialling::BOTH {
                let (mut ours, mut peer) = Dictionary::with_peer(kind, dialling).await;
                let keys = [json!("zero"), json!("text")];
                for key in &keys {
                    peer.set(key, &json!("full")).await;
                    ours.updates(key, &json!("full")).await;
                }
                assert!(ours.socket.mesh().disconnect(peer.node_id()).expect("it runs"));
                peer.has_peers(&[]).await;
                a_second_later().await;
                peer.set(&keys[0], &json!(0)).await;
                peer.set(&keys[1], &json!("")).await;
                ours.link(&mut peer, dialling).await;
                ours.updates(&keys[0], &json!(0)).await;
                ours.updates(&keys[1], &json!("")).await;
                fence(&mut ours, &mut peer, 1).await;
                // js2p says null of both.
                let theirs = [peer.get(&keys[0]).await, peer.get(&keys[1]).await];
                let empty = [json!(0), json!("")];
                let read = if kind == Kind::Py { empty } else { [Json::Null, Json::Null] };
                assert_eq!(theirs, read, "{kind:?}");
                ours.finish(&[]).await;
                peer.finish_dictionary().await;
            }
        }
    });
}

/// More than there is room for on a link at once.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn thousands_of_deletions_are_told_to_py2p_when_it_comes_back() {
    run(async {
        const MANY: usize = 1_000;
        let (mut ours, mut peer) = Dictionary::with_peer(Kind::Py, Dialling::Us).await;
        let key = |number: usize| json!(format!("key {number}"));
        for number in 0..MANY {
            ours.set(&key(number), &json!("old")).await;
        }
        peer.has_keys(MANY).await;
        assert!(ours.socket.mesh().disconnect(peer.node_id()).expect("it runs"));
        peer.has_peers(&[]).await;
        for number in 0..MANY {
            ours.del(&key(number)).await;
        }
        ours.link(&mut peer, Dialling::Us).await;
        let mut seen = (0, 0);
        peer.until("all deletions", |log| {
            let news = log[seen.0..].iter().filter(|told| told["event"] == "delete");
            seen = (log.len(), seen.1 + news.count());
            (seen.1 == MANY).then_some(())
        })
        .await;
        assert_eq!((ours.len(), peer.len().await), (0, 0));
        ours.finish(&[]).await;
        peer.finish_dictionary().await;
    });
}
