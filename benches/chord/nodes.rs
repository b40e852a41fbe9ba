//! Nodes that know each other.

use rs2p::chord::ChordSocket;

/// So many members of one ring, each with what belongs to it.
pub(crate) async fn start(count: usize) -> Vec<ChordSocket> {
    let mut nodes: Vec<ChordSocket> = Vec::with_capacity(count);
    for _ in 0..count {
        let node = ChordSocket::builder().announces(false).start().await.unwrap();
        if let Some(first) = nodes.first() {
            node.connect(first.address().unwrap()).await.unwrap();
        }
        nodes.push(node);
    }
    let mut ids: Vec<_> = nodes.iter().map(ChordSocket::id).collect();
    ids.sort_unstable();
    for node in &nodes {
        let at = ids.binary_search(&node.id()).unwrap();
        let (next, last) = (ids[(at + 1) % count], ids[(at + count - 1) % count]);
        // A fifth of a second passes between two looks of the ring's own.
        let is_there = || {
            let around = (node.successor().unwrap(), node.predecessor().unwrap());
            around == (Some(next), Some(last))
        };
        for _ in 0..300 {
            if is_there() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert!(is_there(), "the ring is not one after half a minute");
        node.joined().await.unwrap();
    }
    nodes
}
