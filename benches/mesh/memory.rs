//! What idle nodes and links take.

use std::time::Duration;

use rs2p::mesh::MeshSocket;
use tokio::runtime::Runtime;

use crate::nodes::node;

const NODES: usize = 50;

/// Prints what an idle node takes, and what a link takes at each of its ends.
pub(crate) fn print(runtime: &Runtime) {
    // What the first node brings along for all is not a node's.
    runtime.block_on(async {
        let (one, other) = (node().await, node().await);
        one.connect(other.address().unwrap()).await.unwrap();
    });
    let mut nodes: Vec<MeshSocket> = Vec::with_capacity(NODES);
    let per_node = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 0..NODES {
                nodes.push(node().await);
            }
        });
    });
    println!("{:>12} per node", per_node.bytes_current / NODES as i64);
    let per_link = allocation_counter::measure(|| {
        runtime.block_on(async {
            for pair in nodes.chunks(2) {
                pair[0].connect(pair[1].address().unwrap()).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        });
    });
    println!("{:>12} per link, at each end", per_link.bytes_current / NODES as i64);
    let _context = runtime.enter();
    drop(nodes);
}
