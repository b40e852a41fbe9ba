//! `rs2p kad`: a node of a Kademlia DHT.

mod files;
mod options;
mod text;
mod values;

use crate::node::Node;

/// So many nodes in one network, all of which know the first one.
fn network(count: usize) -> Vec<Node> {
    let mut nodes = vec![Node::start_as("kad", &[])];
    while nodes.len() < count {
        let address = nodes[0].address.clone();
        nodes.push(Node::start_as("kad", &["--join", &address]));
        let node = nodes.last_mut().unwrap();
        node.event("joined");
        // Commands are read once it has joined by all that it was told to.
        node.ask("id");
    }
    nodes
}
