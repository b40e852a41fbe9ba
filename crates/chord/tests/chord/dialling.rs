//! Links to the next members of the ring, when those are gone without a word.

use rs2p_chord::ChordConfig;
use rs2p_mesh::OverMesh as _;
use rs2p_simnet::{Crash, NodeIndex};

use crate::network::{Net, SECOND};

const GONE: usize = 10;
const LINKS: usize = 3;
/// Three times as many as a member keeps links to successors.
const AT_ONCE: usize = 9;

fn successors(net: &Net, node: NodeIndex) -> usize {
    net.sim.machine(node).unwrap().ring().unwrap().successors().len()
}

#[test]
fn while_the_next_members_let_dials_wait_those_behind_them_are_dialled() {
    for seed in 0..5 {
        let config = ChordConfig { shortcuts: 0, ..ChordConfig::default() };
        let mut net = Net::settled(60, seed, &config);
        let members = net.members();
        let (_, node) = members[0];
        for (_, gone) in &members[1..=GONE] {
            net.sim.crash(*gone, Crash::Host);
        }
        let next = &members[GONE + 1..=GONE + LINKS];
        let is_linked = |net: &Net| {
            let mesh = net.sim.machine(node).unwrap().mesh();
            next.iter().all(|(id, _)| mesh.link_to(*id).is_some())
        };
        let before = successors(&net, node);
        while successors(&net, node) == before {
            net.run_for(SECOND / 100);
        }
        // A dial of a host that is gone takes ten seconds. Each of the three that were linked is
        // found silent within a second and a half.
        let noticed = net.sim.elapsed_micros();
        while !is_linked(&net) {
            assert!(net.sim.elapsed_micros() < noticed + 9 * SECOND, "seed {seed}");
            net.run_for(SECOND / 100);
            let dialling = net.sim.machine(node).unwrap().mesh().status(net.sim.now()).dialling;
            assert!(dialling <= AT_ONCE + LINKS, "{dialling} dials at a time, seed {seed}");
        }
    }
}
