//! A DHT over links that are compressed by each method, or not at all.

use rs2p::base::LinkConfig;
use rs2p::mesh::MeshConfig;
use rs2p::wire::Compression;
use serde_json::json;

use crate::chord::dht::{Dht, pairs};
use crate::chord::peer::start_with;
use crate::node::Dialling;
use crate::peer::Kind;
use crate::{LIMIT, run_within};

const SOME: usize = 10;
/// Long values, and their bytes.
const LONG: usize = 4;
const LENGTH: usize = 20_000;
/// They read a value once this many of its tables have it: each has come from ours, as a write to
/// theirs or as an answer.
const MAJORITY: usize = 3;

/// `is_short` says whether a long value should take few bytes.
async fn values_go_both_ways(kind: Kind, ours: Vec<Compression>, theirs: &str, is_short: bool) {
    let link = LinkConfig { compression: ours, ..LinkConfig::default() };
    let config = MeshConfig { link, ..MeshConfig::default() };
    let mut peer = start_with(kind, &["--compression", theirs]).await;
    peer.join().await;
    let mut node = Dht::start_with(|builder| builder.mesh_config(config)).await;
    node.is_member(0).await;
    node.link(&mut peer, Dialling::Us).await;
    node.is_member(1).await;
    peer.takes_for_storing(&[node.id()], true).await;
    let (of_ours, of_theirs) = (pairs("ours", SOME), pairs("theirs", SOME));
    for (key, value) in &of_ours {
        node.set(key, value).await;
    }
    peer.set_all(&of_theirs).await;
    let text = json!("again and again ".repeat(LENGTH / 16));
    for number in 0..LONG {
        node.set(&format!("long {number}"), &text).await;
        peer.comes_to_read(&format!("long {number}"), &text).await;
    }
    peer.comes_to_have_all(&of_ours).await;
    for (key, value) in &of_theirs {
        node.comes_to_read(key, value).await;
    }
    let (_, traffic) = node.socket.mesh().status().expect("it runs");
    // Even by Snappy, which writes 64 bytes as three, all of it takes less than half of this.
    let uncompressed = LONG * MAJORITY * LENGTH;
    let was_short = traffic.bytes_sent < uncompressed as u64 / 2;
    assert_eq!(was_short, is_short, "{kind:?} with {theirs}: {traffic:?}");
    node.finish(&[peer.node_id()]).await;
    peer.finish().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn values_of_a_dht_are_compressed_by_each_method() {
    // Seven rings, one after the other.
    run_within(4 * LIMIT, async {
        for (method, name) in [
            (Compression::Snappy, "snappy"),
            (Compression::Zlib, "zlib"),
            (Compression::Gzip, "gzip"),
            (Compression::Bz2, "bz2"),
            (Compression::Lzma, "lzma"),
        ] {
            values_go_both_ways(Kind::Py, vec![method], name, true).await;
        }
        values_go_both_ways(Kind::Js, vec![Compression::Zlib], "zlib", true).await;
        values_go_both_ways(Kind::Js, vec![Compression::Gzip], "gzip", true).await;
    });
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn values_of_a_dht_are_not_compressed_when_either_side_cannot() {
    run_within(2 * LIMIT, async {
        for kind in Kind::BOTH {
            values_go_both_ways(kind, Compression::AVAILABLE.to_vec(), "none", false).await;
            values_go_both_ways(kind, Vec::new(), "default", false).await;
        }
    });
}
