//! Members that have just come, and do not have everything yet.

use rs2p_chord::{Chord, ChordConfig, Membership, NotReachable};
use rs2p_mesh::Birth;

use crate::network::{Net, SECOND};

#[test]
fn writes_that_come_while_a_node_joins_are_all_read_from_everywhere() {
    for seed in 0..5 {
        let config = ChordConfig::default();
        let mut net = Net::settled(6, seed, &config);
        let members = net.members();
        let mut written = 0;
        for _ in 0..4 {
            net.join(&config);
            for _ in 0..15 {
                let (_, writer) = members[written % members.len()];
                net.set(writer, &format!("key {written}"), written as u64).unwrap();
                written += 1;
            }
        }
        let members = net.members();
        for number in 0..written {
            let (_, reader) = members[(number * 3 + 1) % members.len()];
            let read = net.get(reader, &format!("key {number}"));
            assert_eq!(read, Ok(Some((number as u64).into())), "key {number}, seed {seed}");
        }
        net.run_for(SECOND);
    }
}

#[test]
fn a_node_that_nobody_can_dial_uses_the_network_and_does_not_store() {
    let mut net = Net::settled(4, 1, &ChordConfig::default());
    let node = net.sim.join(|address, seed, known| {
        let mut birth = Birth::new("chord", address, seed).seeds(known);
        birth.advertised = None;
        Chord::new(birth, ChordConfig::default())
    });
    net.run_for(10 * SECOND);
    let refused = net.sim.call(node, |chord, now| chord.join(now)).unwrap();
    assert_eq!(refused, Err(NotReachable));
    assert_eq!(net.sim.machine(node).unwrap().membership(), Membership::Leeching);
    net.set(node, "key", 7u64).unwrap();
    let (_, member) = net.members()[0];
    assert_eq!(net.get(member, "key"), Ok(Some(7u64.into())));
    assert_eq!(net.get(node, "key"), Ok(Some(7u64.into())));
}
