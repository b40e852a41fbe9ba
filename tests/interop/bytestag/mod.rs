//! rs2p nodes in one DHT with running Bytestag nodes.

mod files;
mod joining;
mod peer;
mod transfers;
mod wire;

use std::time::Duration;

use rs2p::bytestag::{DhtNode, Key};
use serde_json::Value as Json;
use tokio::time::{Instant, sleep, timeout};

use crate::peer::Peer;

/// How long one step may take. Bytestag repeats a question after 5 s, gives up after 10 s, and cleans
/// up after a transfer 10 to 20 s later.
const STEP: Duration = Duration::from_secs(60);
/// How long a whole test may take.
const LIMIT: Duration = Duration::from_secs(180);

/// The tables that a Bytestag node can have: in memory, in a file, and the one of a whole client.
const TABLES: [&str; 3] = ["memory", "database", "client"];

/// A node of ours that joins by others.
async fn ours(by: impl IntoIterator<Item = std::net::SocketAddrV4>) -> DhtNode {
    let node = DhtNode::builder().start().await.expect("it starts");
    let by: Vec<_> = by.into_iter().collect();
    if !by.is_empty() {
        within(node.join(by)).await.expect("it joins");
    }
    node
}

async fn within<T>(step: impl Future<Output = T>) -> T {
    timeout(STEP, step).await.expect("in time")
}

/// Waits until a node of ours keeps so many values.
async fn keeps(node: &DhtNode, count: u64) {
    let deadline = Instant::now() + STEP;
    loop {
        let status = node.status().expect("it runs");
        if status.foreign_values as u64 >= count {
            return;
        }
        assert!(Instant::now() < deadline, "{} of {count}", status.foreign_values);
        sleep(Duration::from_millis(20)).await;
    }
}

/// Bytes that no two places of a test have in common.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

/// The key in a member of an answer.
fn key(json: &Json) -> Key {
    json.as_str().expect("a key").parse().expect("a key")
}

/// The end of a test with these nodes of theirs: they followed, work, and saw nothing of us that
/// they would suffer from.
async fn finish(peers: impl IntoIterator<Item = Peer>) {
    for mut peer in peers {
        peer.is_well().await;
        peer.finish().await;
    }
}
