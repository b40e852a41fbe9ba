//! Nodes on real sockets.

#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod files;
mod lives;

use std::time::Duration;

use rs2p_bytestag::{DhtConfig, DhtNode};

/// How long anything may take; far more than it does.
const DEADLINE: Duration = Duration::from_secs(180);

/// So many nodes that know each other.
async fn nodes(count: usize) -> Vec<DhtNode> {
    nodes_with(count, &DhtConfig::default()).await
}

async fn nodes_with(count: usize, config: &DhtConfig) -> Vec<DhtNode> {
    let mut nodes: Vec<DhtNode> = Vec::new();
    for _ in 0..count {
        let node = DhtNode::builder().config(config.clone()).start().await.unwrap();
        if let Some(first) = nodes.first() {
            node.join([first.address()]).await.unwrap();
        }
        nodes.push(node);
    }
    nodes
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap()
}
