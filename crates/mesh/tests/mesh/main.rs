//! The mesh in virtual time, in sentences.
//!
//! Nodes are real machines, old peers are driven by hand, and between them is the real codec.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up fails")]

mod anything;
mod broadcast;
mod defects;
mod handlers;
mod harness;
mod losses;
mod mixing;
mod network_time;
mod peers;
mod queue;
mod recorded;
mod reply;
mod surplus;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use rs2p_base::Endpoint;
use rs2p_mesh::MeshConfig;
use rs2p_wire::IdForm;

use crate::harness::{Net, address, at};

/// A node that opens no links by itself.
fn passive() -> MeshConfig {
    MeshConfig { max_outgoing: 0, ..MeshConfig::default() }
}

/// Node 1, to which these old peers have dialled; it opens no links by itself.
fn with_old_peers(old: impl IntoIterator<Item = (u8, IdForm)>) -> Net {
    let mut net = Net::new();
    net.add(1, passive());
    for (number, form) in old {
        net.add_old(number, form);
        net.dial_by_old(number, 1);
    }
    net.run(at(1_000));
    net
}

/// A node that begins with these others.
fn seeded(numbers: &[u8]) -> MeshConfig {
    let seeds = numbers.iter().map(|number| address(*number)).collect();
    MeshConfig { seeds, ..MeshConfig::default() }
}

/// What a node has dialled so far.
fn dialled_by(net: &Net, number: u8) -> Vec<Endpoint> {
    let dials = net.dials.iter().filter(|(_, from, _)| *from == number);
    dials.map(|(.., to)| to.clone()).collect()
}

/// Whether there is a way from each of these nodes to each other.
fn is_one_component(net: &Net, numbers: RangeInclusive<u8>) -> bool {
    let mut reached = BTreeSet::from([*numbers.start()]);
    let mut next = vec![*numbers.start()];
    while let Some(number) = next.pop() {
        next.extend(net.peer_numbers(number).into_iter().filter(|peer| reached.insert(*peer)));
    }
    numbers.into_iter().all(|number| reached.contains(&number))
}
