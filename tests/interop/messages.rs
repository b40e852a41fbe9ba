//! Every kind of packet, every way it can go, exactly once.

use serde_json::{Value as Json, json};

use crate::node::{Dialling, Node};
use crate::peer::Kind;
use crate::run;
use crate::values::{alike, mebibyte, samples};

const BROADCAST: u64 = 0;
const WHISPER: u64 = 2;

async fn every_sample_goes_every_way_once(kind: Kind, dialling: Dialling) {
    let (mut ours, mut peer) = Node::with_peer(kind, dialling).await;
    let mut to_peer = Vec::new();
    let mut to_us = Vec::new();
    for sample in samples(kind) {
        ours.send(&sample).await;
        to_peer.push((BROADCAST, sample.clone()));
        peer.hears_in_all(to_peer.len()).await;
        ours.whisper(&sample).await;
        to_peer.push((WHISPER, sample.clone()));
        peer.hears_in_all(to_peer.len()).await;

        peer.send(sample.clone()).await;
        to_us.push((BROADCAST, sample.clone()));
        peer.whisper(ours.id(), sample.clone()).await;
        to_us.push((WHISPER, sample.clone()));
        peer.reply(sample.clone()).await;
        to_us.push((WHISPER, sample.clone()));
        ours.hears_in_all(to_us.len()).await;

        for at in [to_us.len() - 3, to_us.len() - 1] {
            let message = ours.heard()[at].message.clone();
            ours.reply(&message, &sample).await;
            to_peer.push((WHISPER, sample.clone()));
            peer.hears_in_all(to_peer.len()).await;
        }
    }
    // What came twice would have come before these.
    ours.send(&json!(["the end"])).await;
    peer.hears(json!(["the end"])).await;
    peer.send(json!(["the end"])).await;
    ours.hears(json!(["the end"])).await;

    let heard = peer.heard().map(|event| {
        assert_eq!(event["sender"], ours.id().to_string());
        assert_eq!(event["sender_type"], kind.id_type());
        (event["subflag"].as_u64().expect("a number"), &event["packets"])
    });
    assert_same(kind, heard, &to_peer);
    let heard = ours.heard().iter().map(|it| {
        assert_eq!(it.message.sender_id(), Some(peer.node_id()));
        (it.message.sub_flag().expect("a sub-flag").into(), &it.packets)
    });
    assert_same(kind, heard, &to_us);
    peer.finish().await;
}

fn assert_same<'a>(kind: Kind, heard: impl Iterator<Item = (u64, &'a Json)>, sent: &[(u64, Json)]) {
    let heard: Vec<_> = heard.collect();
    assert_eq!(heard.len(), sent.len() + 1, "the end comes on top");
    for ((sub_flag, packets), (sent_flag, sent)) in heard.iter().zip(sent) {
        assert_eq!(sub_flag, sent_flag, "{sent:.200}");
        // py2p keeps apart what js2p cannot.
        let is_same = if kind == Kind::Py { *packets == sent } else { alike(packets, sent) };
        assert!(is_same, "sent {sent:.200}, heard {packets:.200}");
    }
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn every_kind_of_packet_goes_to_py2p_and_back() {
    run(every_sample_goes_every_way_once(Kind::Py, Dialling::Us));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn every_kind_of_packet_goes_to_a_py2p_node_that_dialled_and_back() {
    run(every_sample_goes_every_way_once(Kind::Py, Dialling::Them));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn every_kind_of_packet_goes_to_js2p_and_back() {
    run(every_sample_goes_every_way_once(Kind::Js, Dialling::Us));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn every_kind_of_packet_goes_to_a_js2p_node_that_dialled_and_back() {
    run(every_sample_goes_every_way_once(Kind::Js, Dialling::Them));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn a_mebibyte_goes_to_js2p_and_back() {
    run(async {
        let (mut ours, mut peer) = Node::with_peer(Kind::Js, Dialling::Us).await;
        ours.send(&mebibyte()).await;
        peer.hears(mebibyte()).await;
        peer.reply(mebibyte()).await;
        ours.hears(mebibyte()).await;
        assert_eq!((ours.heard().len(), peer.heard().count()), (1, 1));
        peer.finish().await;
    });
}
