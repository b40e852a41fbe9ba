//! Who may write a key, and when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rs2p::sync::{SyncError, WriteError};
use rs2p::wire::IdForm;
use serde_json::json;
use tokio::time::sleep;

use crate::node::Dialling;
use crate::peer::Kind;
use crate::run;
use crate::sync::chronicler::{Author, Chronicler};
use crate::sync::dictionary::Dictionary;
use crate::sync::peer::{start, start_with};
use crate::sync::writes::fence;

const HOUR: u64 = 3_600;
/// Somebody who is not there any more; larger than every id.
const AUTHOR: Author<'_> = ("zzzz", IdForm::Bin);

#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_leased_key_is_refused_on_both_sides() {
    run(async {
        for kind in Kind::BOTH {
            let (mut ours, mut peer) = Dictionary::with_peer(kind, Dialling::Us).await;
            let (own, theirs) = (json!("of ours"), json!("of theirs"));
            let value = json!({"a": 1});
            ours.set(&own, &value).await;
            peer.updates(&own, &value).await;
            peer.set(&theirs, &value).await;
            ours.updates(&theirs, &value).await;
            a_second_later().await;

            for refusal in [
                peer.try_set(&own, &json!(1)).await,
                peer.try_delta(&own, &json!({"b": 2})).await,
                peer.try_del(&own).await,
            ] {
                let refusal = refusal.expect_err("it is leased");
                assert!(refusal.contains("permission"), "{kind:?}: {refusal}");
            }
            for refusal in [
                ours.try_set(&theirs, &json!(1)).await,
                ours.try_delta(&theirs, &json!({"b": 2})).await.map(|_| ()),
                ours.socket.del("of theirs").await,
            ] {
                let Err(SyncError::Write(WriteError::Leased { key, owner, until })) = refusal
                else {
                    panic!("{refusal:?}")
                };
                assert_eq!((&key[..], owner.node_id()), (&b"of theirs"[..], Some(peer.node_id())));
                let set = ours.entry(&theirs).meta.timestamp;
                assert_eq!(until.as_secs(), set + HOUR + 1);
            }
            fence(&mut ours, &mut peer, 1).await;
            for key in [&own, &theirs] {
                assert_eq!((ours.get(key), peer.get(key).await), (value.clone(), value.clone()));
                assert_eq!(ours.times_told(key), 1);
            }
            ours.finish(&[peer.node_id()]).await;
            peer.finish_dictionary().await;
        }
    });
}

/// Writes that come although their key is leased to another change nothing, on either side.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn writes_against_a_lease_are_ignored_on_both_sides() {
    run(async {
        for kind in Kind::BOTH {
            let (mut ours, mut peer) = Dictionary::with_peer(kind, Dialling::Us).await;
            let mut chronicler = Chronicler::start("sync1").await;
            chronicler.knows(&mut ours).await;
            let (key, value) = (json!("key"), json!({"a": 1}));
            ours.set(&key, &value).await;
            let now = chronicler.clock();
            chronicler.store(ours.id(), &key, &json!("stolen"), AUTHOR, now);
            chronicler.delta(ours.id(), &key, &json!({"b": 2}), AUTHOR, now);
            chronicler.store(ours.id(), &key, &json!(null), AUTHOR, now);
            // All of it is passed on, but for the deletion to js2p.
            chronicler.store(ours.id(), &json!("free"), &json!("taken"), AUTHOR, now);
            peer.updates_by(&json!("free"), &json!("taken"), Some(AUTHOR.0)).await;
            assert_eq!((ours.get(&key), peer.get(&key).await), (value.clone(), value));
            assert_eq!(ours.times_told(&key), 1);
            ours.finish(&[peer.node_id()]).await;
            peer.finish_dictionary().await;
        }
    });
}

/// Keys that were set an hour ago and more are free, and those set a little later are not.
async fn lapsed_leases_are_taken_over(kind: Kind, dialling: Dialling) {
    let (mut ours, mut peer) = tokio::join!(Dictionary::start(), start(kind));
    let mut chronicler = Chronicler::start("sync1").await;
    chronicler.knows(&mut ours).await;
    let old = chronicler.clock() - HOUR - 2;
    let names = ["by theirs", "by ours", "delta by theirs", "delta by ours", "deleted"];
    let value = json!({"a": 1});
    for name in names {
        chronicler.hand_over(ours.id(), &json!(name), &value, AUTHOR, old);
    }
    // There is time enough for the test until this one lapses.
    chronicler.hand_over(ours.id(), &json!("leased"), &value, AUTHOR, old + 120);
    ours.updates(&json!("leased"), &value).await;
    ours.link(&mut peer, dialling).await;
    for name in names {
        let told = peer.updates(&json!(name), &value).await;
        assert_eq!((&told["owner"], &told["timestamp"]), (&json!(AUTHOR.0), &json!(old)));
    }
    peer.updates(&json!("leased"), &value).await;

    let (id, peer_id) = (ours.id().to_string(), peer.id.clone());
    peer.set(&json!("by theirs"), &json!("new")).await;
    ours.updates_by(&json!("by theirs"), &json!("new"), Some(&peer_id)).await;
    ours.set(&json!("by ours"), &json!("new")).await;
    peer.updates_by(&json!("by ours"), &json!("new"), Some(&id)).await;
    peer.delta(&json!("delta by theirs"), &json!({"b": 2})).await;
    let merged = json!({"a": 1, "b": 2});
    ours.updates_by(&json!("delta by theirs"), &merged, Some(&peer_id)).await;
    ours.delta(&json!("delta by ours"), &json!({"b": 2})).await;
    peer.updates_by(&json!("delta by ours"), &merged, Some(&id)).await;
    if kind == Kind::Py {
        peer.del(&json!("deleted")).await;
        ours.deletes(&json!("deleted")).await;
    }
    // What was taken over is leased anew.
    a_second_later().await;
    assert!(peer.try_set(&json!("by ours"), &json!(0)).await.is_err());
    assert!(ours.try_set(&json!("by theirs"), &json!(0)).await.is_err());
    assert!(peer.try_set(&json!("leased"), &json!(0)).await.is_err());
    assert!(ours.try_set(&json!("leased"), &json!(0)).await.is_err());
    ours.finish(&[peer.node_id()]).await;
    peer.finish_dictionary().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn lapsed_leases_are_taken_over_by_py2p_and_by_us() {
    run(async {
        for dialling in Dialling::BOTH {
            lapsed_leases_are_taken_over(Kind::Py, dialling).await;
        }
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn lapsed_leases_are_taken_over_by_js2p_and_by_us() {
    run(async {
        for dialling in Dialling::BOTH {
            lapsed_leases_are_taken_over(Kind::Js, dialling).await;
        }
    });
}

/// What the peer holds of old is handed over with its age, too.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn old_entries_of_a_peer_come_with_their_age() {
    run(async {
        for kind in Kind::BOTH {
            let (mut ours, mut peer) = tokio::join!(Dictionary::start(), start(kind));
            let mut chronicler = Chronicler::start("sync1").await;
            chronicler.knows_peer(&mut peer).await;
            let (key, value) = (json!("key"), json!("value"));
            let old = chronicler.clock() - 2 * HOUR;
            chronicler.hand_over(peer.node_id(), &key, &value, AUTHOR, old);
            peer.updates(&key, &value).await;
            ours.link(&mut peer, Dialling::Us).await;
            let told = ours.updates_by(&key, &value, Some(AUTHOR.0)).await;
            assert_eq!(told["timestamp"], old);
            ours.set(&key, &json!("new")).await;
            peer.updates(&key, &json!("new")).await;
            ours.finish(&[peer.node_id()]).await;
            peer.finish_dictionary().await;
        }
    });
}

/// js2p built without its leasing argument is in the network with leases, and keeps none.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_js2p_node_that_ignores_leases_changes_no_key_of_ours() {
    run(async {
        let (mut ours, mut peer) =
            tokio::join!(Dictionary::start(), start_with(Kind::Js, &["--default-leasing"]));
        ours.link(&mut peer, Dialling::Us).await;
        let (key, map) = (json!("key"), json!("map"));
        ours.set(&key, &json!("ours")).await;
        peer.updates(&key, &json!("ours")).await;
        peer.delta(&map, &json!({"a": 1})).await;
        ours.updates(&map, &json!({"a": 1})).await;
        a_second_later().await;

        // It takes leave to write what is ours, and here that counts for nothing.
        peer.set(&key, &json!("theirs")).await;
        peer.set(&json!("last"), &json!(1)).await;
        ours.updates(&json!("last"), &json!(1)).await;
        assert_eq!((ours.get(&key), ours.times_told(&key)), (json!("ours"), 1));
        assert!(ours.try_set(&map, &json!(0)).await.is_err());
        a_second_later().await;
        ours.set(&key, &json!("ours again")).await;
        peer.updates(&key, &json!("ours again")).await;
        ours.finish(&[peer.node_id()]).await;
        peer.finish_dictionary().await;
    });
}

/// Waits until what is set now is of another second than what was set before.
#[expect(clippy::disallowed_methods, reason = "the originals go by the system's clock")]
pub(crate) async fn a_second_later() {
    let since = || SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    let second = since().as_secs();
    // py2p's clock may lag behind by a tick of the system's.
    while since() < Duration::from_millis(second * 1_000 + 1_020) {
        sleep(Duration::from_millis(10)).await;
    }
}
