//! py2p and js2p, which cannot talk to each other, hold the same through us.

use rs2p::mesh::MeshConfig;
use serde_json::{Value as Json, json};

use crate::node::Dialling;
use crate::peer::{Kind, Peer};
use crate::run;
use crate::sync::dictionary::Dictionary;
use crate::sync::peer::start;
use crate::values::alike;

/// py2p - ours - js2p.
struct Bridge {
    py: Peer,
    ours: Dictionary,
    js: Peer,
}

impl Bridge {
    async fn start(dialling: Dialling) -> Self {
        // As users start it.
        let ours = Dictionary::start_with(|builder| builder.mesh_config(MeshConfig::default()));
        let (py, ours, js) = tokio::join!(start(Kind::Py), ours, start(Kind::Js));
        let mut bridge = Self { py, ours, js };
        bridge.ours.link(&mut bridge.py, dialling).await;
        bridge.ours.link(&mut bridge.js, dialling).await;
        bridge
    }

    /// Waits until all have told that this key has this value, by this author.
    async fn all_update(&mut self, key: &Json, value: &Json, owner: &str) {
        let Self { py, ours, js } = self;
        let told = [
            py.updates_by(key, value, Some(owner)).await,
            ours.updates_by(key, value, Some(owner)).await,
            js.updates_by(key, value, Some(owner)).await,
        ];
        let times = told.map(|told| told["timestamp"].as_u64().expect("a time"));
        // The originals look at the clock once for themselves and once more for the others.
        assert!(times.iter().all(|time| time.abs_diff(times[1]) <= 1), "{times:?}");
    }

    fn ids(&self) -> [String; 3] {
        [self.py.id.clone(), self.ours.id().to_string(), self.js.id.clone()]
    }

    async fn finish(mut self) {
        self.ours.finish(&[self.py.node_id(), self.js.node_id()]).await;
        self.py.finish_dictionary().await;
        self.js.finish_dictionary().await;
    }
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn what_one_of_three_sets_all_have() {
    run(async {
        for dialling in Dialling::BOTH {
            let mut bridge = Bridge::start(dialling).await;
            let ids = bridge.ids();
            let values =
                [json!("text"), json!({"bin": "00ff"}), json!(0), json!({"a": [1, {"b": null}]})];
            for (number, value) in values.iter().enumerate() {
                for (author, id) in ids.iter().enumerate() {
                    let key = json!(format!("{number} of {author}"));
                    match author {
                        0 => bridge.py.set(&key, value).await,
                        1 => bridge.ours.set(&key, value).await,
                        _ => bridge.js.set(&key, value).await,
                    }
                    bridge.all_update(&key, value, id).await;
                }
            }
            // And once more: each has its keys to itself.
            for (author, id) in ids.iter().enumerate() {
                let (key, value) = (json!(format!("0 of {author}")), json!("changed"));
                match author {
                    0 => bridge.py.set(&key, &value).await,
                    1 => bridge.ours.set(&key, &value).await,
                    _ => bridge.js.set(&key, &value).await,
                }
                bridge.all_update(&key, &value, id).await;
            }
            bridge.finish().await;
        }
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn what_one_of_three_merges_all_have() {
    run(async {
        let mut bridge = Bridge::start(Dialling::Us).await;
        for (author, id) in bridge.ids().iter().enumerate() {
            let key = json!(format!("map of {author}"));
            for delta in [json!({"a": 1, "b": 2}), json!({"b": null, "c": {"bin": "00"}})] {
                match author {
                    0 => bridge.py.delta(&key, &delta).await,
                    1 => drop(bridge.ours.delta(&key, &delta).await),
                    _ => bridge.js.delta(&key, &delta).await,
                }
            }
            let whole = json!({"a": 1, "b": null, "c": {"bin": "00"}});
            bridge.all_update(&key, &whole, id).await;
            assert!(alike(&bridge.js.get(&key).await, &whole));
        }
        bridge.finish().await;
    });
}

/// What py2p deletes, and keys that are no text, stop at us.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_is_spared_what_py2p_writes_and_it_cannot_bear() {
    run(async {
        let mut bridge = Bridge::start(Dialling::Us).await;
        let [py, _, js] = bridge.ids();
        let (key, binary) = (json!("key"), json!({"bin": "ff"}));
        bridge.py.set(&key, &json!("value")).await;
        bridge.all_update(&key, &json!("value"), &py).await;
        bridge.py.set(&binary, &json!("value")).await;
        bridge.py.set(&json!("constructor"), &json!("value")).await;
        bridge.py.set(&json!("trap"), &json!({"toString": 1})).await;
        bridge.py.del(&key).await;
        bridge.ours.deletes(&key).await;
        bridge.py.del(&binary).await;
        bridge.ours.deletes(&binary).await;
        bridge.py.set(&json!("last"), &json!(1)).await;
        bridge.all_update(&json!("last"), &json!(1), &py).await;
        assert_eq!(bridge.js.get(&key).await, json!("value"));
        assert_eq!(bridge.js.len().await, 2);
        assert_eq!((bridge.ours.len(), bridge.py.len().await), (3, 3));

        // It is free for all others, and what they make of it js2p is told, if its author may.
        bridge.py.set(&key, &json!("new")).await;
        bridge.all_update(&key, &json!("new"), &py).await;
        // Nobody suffers from what js2p writes.
        bridge.js.set(&json!("of js"), &json!([{"bin": "00"}])).await;
        bridge.all_update(&json!("of js"), &json!([{"bin": "00"}]), &js).await;
        bridge.finish().await;
    });
}

/// The one joins when the other is there already, and both have something to tell.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn what_the_second_one_brings_along_the_first_one_is_told() {
    run(async {
        for kinds in [[Kind::Py, Kind::Js], [Kind::Js, Kind::Py]] {
            let (mut first, mut ours, mut second) =
                tokio::join!(start(kinds[0]), Dictionary::start(), start(kinds[1]));
            first.set(&json!("of the first"), &json!({"a": 1})).await;
            second.set(&json!("of the second"), &json!({"a": 1})).await;
            ours.link(&mut first, Dialling::Us).await;
            ours.updates(&json!("of the first"), &json!({"a": 1})).await;
            ours.link(&mut second, Dialling::Us).await;
            let (one, two) = (first.id.clone(), second.id.clone());
            second.updates_by(&json!("of the first"), &json!({"a": 1}), Some(&one)).await;
            first.updates_by(&json!("of the second"), &json!({"a": 1}), Some(&two)).await;
            second.delta(&json!("of the second"), &json!({"b": 2})).await;
            first.updates(&json!("of the second"), &json!({"a": 1, "b": 2})).await;
            ours.finish(&[first.node_id(), second.node_id()]).await;
            first.finish_dictionary().await;
            second.finish_dictionary().await;
        }
    });
}

/// py2p - ours - ours - js2p.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn two_of_us_with_py2p_and_js2p_at_either_end_hold_the_same() {
    run(async {
        let (mut py, mut js) = tokio::join!(start(Kind::Py), start(Kind::Js));
        let (mut one, mut two) = tokio::join!(Dictionary::start(), Dictionary::start());
        one.link(&mut py, Dialling::Us).await;
        two.link(&mut js, Dialling::Us).await;
        py.set(&json!("before, by py"), &json!(1)).await;
        js.set(&json!("before, by js"), &json!(2)).await;
        one.updates(&json!("before, by py"), &json!(1)).await;
        two.updates(&json!("before, by js"), &json!(2)).await;
        one.socket.connect(two.address()).await.expect("a link");
        let (py_id, js_id) = (py.id.clone(), js.id.clone());
        two.updates_by(&json!("before, by py"), &json!(1), Some(&py_id)).await;
        one.updates_by(&json!("before, by js"), &json!(2), Some(&js_id)).await;
        // What we tell each other when we meet, those behind us are told.
        js.updates_by(&json!("before, by py"), &json!(1), Some(&py_id)).await;
        py.updates_by(&json!("before, by js"), &json!(2), Some(&js_id)).await;

        py.set(&json!("by py"), &json!(3)).await;
        js.updates_by(&json!("by py"), &json!(3), Some(&py_id)).await;
        js.set(&json!("by js"), &json!(4)).await;
        py.updates_by(&json!("by js"), &json!(4), Some(&js_id)).await;
        py.del(&json!("by py")).await;
        two.deletes(&json!("by py")).await;
        let kept = [py.node_id(), js.node_id()];
        one.finish(&kept).await;
        two.finish(&kept).await;
        py.finish_dictionary().await;
        js.finish_dictionary().await;
    });
}
