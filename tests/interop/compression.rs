//! Every compression method that both sides have, and none.

use rs2p::base::LinkConfig;
use rs2p::mesh::MeshConfig;
use rs2p::wire::Compression;
use serde_json::json;

use crate::node::{Dialling, Node};
use crate::peer::{Kind, Peer};
use crate::run;

/// Far above what the exchange costs when it is compressed, handshakes and all.
const LENGTH: usize = 20_000;

async fn long_texts_are_compressed(kind: Kind, method: Compression, name: &str) {
    exchange(kind, vec![method], name, true).await;
}

/// Both send a long text to each other; `is_short` says whether it should take few bytes.
async fn exchange(kind: Kind, ours: Vec<Compression>, theirs: &str, is_short: bool) {
    let link = LinkConfig { compression: ours, ..LinkConfig::default() };
    let config = MeshConfig { link, ..MeshConfig::default() };
    let mut peer = Peer::start_with(kind, &["--compression", theirs]).await;
    let mut node = Node::start_with(|builder| builder.mesh_config(config)).await;
    node.link(&mut peer, Dialling::Us).await;
    let text = json!(["again and again ".repeat(LENGTH / 16)]);
    node.send(&text).await;
    peer.hears(text.clone()).await;
    peer.send(text.clone()).await;
    node.hears(text.clone()).await;
    let (_, traffic) = node.socket.status().expect("it runs");
    for bytes in [traffic.bytes_sent, traffic.bytes_received] {
        let was_short = bytes < LENGTH as u64 / 4;
        assert_eq!(was_short, is_short, "{kind:?} with {theirs}: {traffic:?}");
    }
    peer.finish().await;
}

async fn exchange_with_each(kind: Kind, methods: &[(Compression, &str)]) {
    for (method, name) in methods {
        long_texts_are_compressed(kind, *method, name).await;
    }
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn py2p_and_we_compress_by_each_of_five_methods() {
    run(exchange_with_each(
        Kind::Py,
        &[
            (Compression::Snappy, "snappy"),
            (Compression::Zlib, "zlib"),
            (Compression::Gzip, "gzip"),
            (Compression::Bz2, "bz2"),
            (Compression::Lzma, "lzma"),
        ],
    ));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn js2p_and_we_compress_by_zlib_and_by_gzip() {
    run(exchange_with_each(Kind::Js, &[(Compression::Zlib, "zlib"), (Compression::Gzip, "gzip")]));
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn nothing_is_compressed_when_either_side_cannot() {
    run(async {
        let all = Compression::AVAILABLE;
        for kind in Kind::BOTH {
            exchange(kind, all.to_vec(), "none", false).await;
            exchange(kind, Vec::new(), "default", false).await;
            exchange(kind, vec![Compression::Gzip], "zlib", false).await;
        }
    });
}
