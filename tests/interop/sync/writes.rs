//! Values that one side sets, the other side has: every kind of value, with who wrote it and when.

use rs2p::wire::IdForm;
use serde_json::{Value as Json, json};

use crate::node::Dialling;
use crate::peer::{Kind, Peer};
use crate::run;
use crate::sync::chronicler::Chronicler;
use crate::sync::dictionary::Dictionary;
use crate::sync::peer::start;
use crate::values::alike;

/// Keys and values of every kind that the peer can write and read.
fn samples(kind: Kind) -> Vec<(Json, Json)> {
    let mut samples = vec![
        (json!("text"), json!("a value")),
        (json!("\u{fc}\u{65e5}\u{1f980}"), json!("\u{1f980}")),
        (json!({"bin": hex::encode("binary, but text")}), json!({"bin": "00ff80"})),
        (json!(""), json!("of the empty key")),
        (json!("12"), json!(12)),
        (json!("numbers"), json!([0, -1, 65_536, i32::MAX, i32::MIN, 0.5, 1.5e300])),
        (json!("nested"), json!({"list": [1, [{"bin": "01"}, null], {"a": {"b": true}}]})),
        (json!("large"), json!("0123456789abcdef".repeat(1_000))),
        // Empty ones: the originals test for them where they mean to test for none.
        (json!("zero"), json!(0)),
        (json!("no text"), json!("")),
        (json!("no bytes"), json!({"bin": ""})),
        (json!("false"), json!(false)),
        (json!("no items"), json!([])),
        (json!("no entries"), json!({})),
    ];
    if kind == Kind::Py {
        let map = json!({"map": [[1, "one"], ["two", 2]]});
        samples.extend([
            (json!({"bin": "00ff"}), json!("of a key that is no text")),
            (json!("more numbers"), json!([i64::MIN, u64::MAX, 1.0])),
            (json!("keys of all kinds"), map),
        ]);
    }
    samples
}

/// js2p has no empty values.
fn as_read(kind: Kind, value: &Json) -> Json {
    let is_empty = [json!(0), json!(""), json!(false)].contains(value);
    if kind == Kind::Js && is_empty { Json::Null } else { value.clone() }
}

/// The same for the author and the time that both sides tell.
fn assert_same_author(one: &Json, other: &Json) {
    assert_eq!(one["owner"], other["owner"]);
    let times = [one, other].map(|told| told["timestamp"].as_u64().expect("a time"));
    // The originals look at the clock once for themselves and once more for the others.
    assert!(times[0].abs_diff(times[1]) <= 1, "{one} {other}");
}

async fn both_have_what_either_sets(kind: Kind, dialling: Dialling) {
    let (mut ours, mut peer) = Dictionary::with_peer(kind, dialling).await;
    for (key, value) in samples(kind) {
        ours.set(&key, &value).await;
        let (told, heard) = (ours.updates(&key, &value).await, peer.updates(&key, &value).await);
        assert_eq!(told["owner"], ours.id().to_string());
        assert_eq!((&told["owner"], &told["timestamp"]), (&heard["owner"], &heard["timestamp"]));
        assert!(alike(&peer.get(&key).await, &as_read(kind, &value)), "{key} {value:.100}");
    }
    // Once more the other way, under keys of their own.
    for (number, (_, value)) in samples(kind).into_iter().enumerate() {
        let key = json!(format!("of theirs {number}"));
        peer.set(&key, &value).await;
        let (told, heard) = (peer.updates(&key, &value).await, ours.updates(&key, &value).await);
        assert_eq!(heard["owner"], peer.id);
        assert_same_author(&told, &heard);
        assert!(alike(&ours.get(&key), &value), "{key} {value:.100}");
        assert_eq!(ours.times_told(&key), 1);
    }
    // Each changes what it has set.
    for round in 0..3 {
        ours.set(&json!("text"), &json!(["round", round])).await;
        peer.updates(&json!("text"), &json!(["round", round])).await;
        peer.set(&json!("of theirs 0"), &json!(["round", round])).await;
        ours.updates(&json!("of theirs 0"), &json!(["round", round])).await;
    }
    ours.finish(&[peer.node_id()]).await;
    peer.finish_dictionary().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn py2p_and_we_have_what_either_sets() {
    run(async {
        for dialling in Dialling::BOTH {
            both_have_what_either_sets(Kind::Py, dialling).await;
        }
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_and_we_have_what_either_sets() {
    run(async {
        for dialling in Dialling::BOTH {
            both_have_what_either_sets(Kind::Js, dialling).await;
        }
    });
}

/// What either held before they met, the other has afterwards: whoever dials.
async fn what_was_there_is_handed_over(kind: Kind, dialling: Dialling) {
    let (mut ours, mut peer) = tokio::join!(Dictionary::start(), start(kind));
    let samples = samples(kind);
    let (theirs, own) = samples.split_at(samples.len() / 2);
    for (key, value) in own {
        ours.set(key, value).await;
    }
    for (key, value) in theirs {
        peer.set(key, value).await;
    }
    ours.link(&mut peer, dialling).await;
    for (key, value) in own {
        let (told, heard) = (ours.updates(key, value).await, peer.updates(key, value).await);
        assert_eq!((&told["owner"], &told["timestamp"]), (&heard["owner"], &heard["timestamp"]));
        assert!(alike(&peer.get(key).await, &as_read(kind, value)), "{key} {value:.100}");
    }
    for (key, value) in theirs {
        let (told, heard) = (peer.updates(key, value).await, ours.updates(key, value).await);
        assert_eq!((&told["owner"], &told["timestamp"]), (&heard["owner"], &heard["timestamp"]));
        assert!(alike(&ours.get(key), value), "{key} {value:.100}");
        assert_eq!(ours.times_told(key), 1);
    }
    assert_eq!(ours.len(), samples.len());
    ours.finish(&[peer.node_id()]).await;
    peer.finish_dictionary().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn what_py2p_or_we_held_before_is_handed_over() {
    run(async {
        for dialling in Dialling::BOTH {
            what_was_there_is_handed_over(Kind::Py, dialling).await;
        }
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn what_js2p_or_we_held_before_is_handed_over() {
    run(async {
        for dialling in Dialling::BOTH {
            what_was_there_is_handed_over(Kind::Js, dialling).await;
        }
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn what_py2p_or_we_delete_is_gone_at_both() {
    run(async {
        for dialling in Dialling::BOTH {
            let (mut ours, mut peer) = Dictionary::with_peer(Kind::Py, dialling).await;
            let keys = [json!("text"), json!({"bin": "ff00"}), json!("empty")];
            let values = [json!({"a": 1}), json!({"bin": "00"}), json!(0)];
            for (key, value) in keys.iter().zip(&values) {
                ours.set(key, value).await;
                peer.updates(key, value).await;
                ours.del(key).await;
                peer.deletes(key).await;
                assert_eq!((ours.get(key), peer.get(key).await), (Json::Null, Json::Null));
                // Whoever comes first has the key now.
                peer.set(key, &json!("theirs")).await;
                ours.updates(key, &json!("theirs")).await;
                peer.del(key).await;
                ours.deletes(key).await;
                assert_eq!(ours.get(key), Json::Null);
                ours.set(key, &json!("ours again")).await;
                peer.updates(key, &json!("ours again")).await;
            }
            assert_eq!((ours.len(), peer.len().await), (3, 3));
            ours.finish(&[peer.node_id()]).await;
            peer.finish_dictionary().await;
        }
    });
}

/// js2p raises when it is told of a deletion, and drops who told it (spec section 13, js2p 2).
#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_is_told_of_no_deletion() {
    run(async {
        let (mut ours, mut peer) = Dictionary::with_peer(Kind::Js, Dialling::Us).await;
        let (key, value) = (json!("key"), json!("value"));
        ours.set(&key, &value).await;
        peer.updates(&key, &value).await;
        ours.del(&key).await;
        assert_eq!(ours.get(&key), Json::Null);
        fence(&mut ours, &mut peer, 1).await;
        assert_eq!(peer.get(&key).await, value);

        // It can delete nothing itself.
        peer.set(&json!("theirs"), &value).await;
        let refusal = peer.try_del(&json!("theirs")).await.expect_err("it cannot");
        assert!(refusal.contains("null"), "{refusal}");
        // What we set later, it is told again.
        ours.set(&key, &json!("new")).await;
        peer.updates(&key, &json!("new")).await;
        ours.finish(&[peer.node_id()]).await;
        peer.finish_dictionary().await;
    });
}

/// When the peer has this, it has had all that was to come before.
pub(crate) async fn fence(ours: &mut Dictionary, peer: &mut Peer, number: u64) {
    let key = json!("what comes last");
    ours.set(&key, &json!(["last", number])).await;
    peer.updates(&key, &json!(["last", number])).await;
}

/// It would take different keys for the same one.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_is_told_of_no_key_that_is_no_text() {
    run(async {
        let (mut ours, mut peer) = tokio::join!(Dictionary::start(), start(Kind::Js));
        let keys = [json!({"bin": "ff"}), json!({"bin": "fe"})];
        ours.set(&keys[0], &json!("before")).await;
        ours.set(&json!("text"), &json!("before")).await;
        ours.link(&mut peer, Dialling::Us).await;
        peer.updates(&json!("text"), &json!("before")).await;
        ours.set(&keys[1], &json!("afterwards")).await;
        ours.delta(&json!({"bin": "fd"}), &json!({"a": 1})).await;
        fence(&mut ours, &mut peer, 1).await;
        assert_eq!(peer.len().await, 2);
        assert_eq!(peer.times("update"), 2);
        ours.finish(&[peer.node_id()]).await;
        peer.finish_dictionary().await;
    });
}

/// js2p looks keys up in an object, which has some from the start, and asks values for their text.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn names_that_mean_something_in_javascript_cost_us_no_link() {
    run(async {
        let (mut ours, mut peer) = tokio::join!(Dictionary::start(), start(Kind::Js));
        let names = ["constructor", "toString", "__proto__", "valueOf", "hasOwnProperty", "length"];
        for name in names {
            ours.set(&json!(name), &json!("before")).await;
            ours.set(&json!([name, "value"].join(" ")), &json!({name: 1})).await;
            ours.set(&json!([name, "none"].join(" ")), &json!({name: null})).await;
        }
        ours.link(&mut peer, Dialling::Us).await;
        fence(&mut ours, &mut peer, 1).await;
        for name in names {
            ours.set(&json!(name), &json!("afterwards")).await;
            ours.set(&json!([name, "value"].join(" ")), &json!({name: 2})).await;
            ours.delta(&json!([name, "delta"].join(" ")), &json!({name: null})).await;
            ours.delta(&json!([name, "delta"].join(" ")), &json!({"more": 1})).await;
        }
        fence(&mut ours, &mut peer, 2).await;
        ours.finish(&[peer.node_id()]).await;
        peer.finish_dictionary().await;
    });
}

/// py2p would hold it under a key that it cannot read, and drop whoever joins after that.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_key_that_a_stranger_writes_as_text_does_py2p_no_harm() {
    run(async {
        let (mut ours, mut peer) = Dictionary::with_peer(Kind::Py, Dialling::Us).await;
        let mut chronicler = Chronicler::start("sync1").await;
        chronicler.knows(&mut ours).await;
        chronicler.store_under_text(ours.id(), "text", &json!(1), ("zzzz", IdForm::Bin));
        ours.updates(&json!("text"), &json!(1)).await;
        fence(&mut ours, &mut peer, 1).await;
        let mut another = Dictionary::start().await;
        another.link(&mut peer, Dialling::Us).await;
        another.updates(&json!("what comes last"), &json!(["last", 1])).await;
        assert_eq!(peer.len().await, 1);
        let kept = [peer.node_id()];
        ours.finish(&kept).await;
        another.finish(&kept).await;
        peer.finish_dictionary().await;
    });
}
