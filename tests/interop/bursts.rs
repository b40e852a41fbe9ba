//! Many small messages at once.

use serde_json::json;

use crate::node::{Dialling, Node};
use crate::peer::Kind;
use crate::run;

const BURST: usize = 2_000;
/// Each message takes js2p longer than the one before: 2,000 take five seconds of a whole core.
const JS_BURST: usize = 1_000;

#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_burst_of_ours_reaches_js2p_whole() {
    run(async {
        let (mut ours, mut peer) = Node::with_peer(Kind::Js, Dialling::Us).await;
        for number in 0..JS_BURST {
            ours.send(&json!(["burst", number])).await;
        }
        peer.hears_in_all(JS_BURST).await;
        ours.send(&json!(["the end"])).await;
        peer.hears(json!(["the end"])).await;
        for (number, event) in peer.heard().take(JS_BURST).enumerate() {
            assert_eq!(event["packets"], json!(["burst", number]));
        }
        assert_eq!(peer.heard().count(), JS_BURST + 1);
        assert_eq!(ours.times_lost(peer.node_id()), 0);
        peer.finish().await;
    });
}

/// With compression agreed on, js2p takes one plain frame in some 2,700 for a zlib stream.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_reads_every_frame_for_what_it_is() {
    run(async {
        let (ours, mut peer) = Node::with_peer(Kind::Js, Dialling::Us).await;
        for number in 0..2 * BURST {
            ours.whisper(&json!([number])).await;
        }
        peer.hears_in_all(2 * BURST).await;
        peer.finish().await;
    });
}

/// The other way, nothing is in the way.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn bursts_of_py2p_and_js2p_reach_us_whole() {
    run(async {
        for kind in Kind::BOTH {
            let (mut ours, mut peer) = Node::with_peer(kind, Dialling::Us).await;
            for number in 0..200 {
                peer.send(json!(["burst", number])).await;
            }
            ours.hears_in_all(200).await;
            for (number, heard) in ours.heard().iter().enumerate() {
                assert_eq!(heard.packets, json!(["burst", number]));
            }
            peer.finish().await;
        }
    });
}

/// py2p drops the link when a read of 1,024 bytes ends just behind the length of a frame (spec
/// section 13, py2p 2), which happens within a few hundred small frames that come at once.
#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_burst_of_ours_reaches_py2p_whole() {
    run(async {
        let (mut ours, mut peer) = Node::with_peer(Kind::Py, Dialling::Us).await;
        for number in 0..BURST {
            ours.send(&json!(["burst", number])).await;
        }
        peer.hears_in_all(BURST).await;
        for (number, event) in peer.heard().enumerate() {
            assert_eq!(event["packets"], json!(["burst", number]));
        }
        assert_eq!(ours.times_lost(peer.node_id()), 0);
        peer.finish().await;
    });
}
