//! Members that have just come, and do not have everything yet.

use rs2p_chord::ChordConfig;

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
