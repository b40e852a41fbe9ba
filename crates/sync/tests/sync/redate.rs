//! What a node writes while its clock is wrong.

use rs2p_simnet::NodeIndex;
use rs2p_sync::SyncConfig;

use crate::network::{SECOND, agree, network};

const DAY: u64 = 24 * 3_600;

#[test]
fn a_write_dated_ahead_counts_as_made_when_the_clock_is_put_right() {
    let mut sim = network(8, &SyncConfig::default());
    let wrong = NodeIndex(3);
    let real = sim.clock_of(wrong).as_secs();
    sim.set_skew(wrong, (365 * DAY * 1_000) as i64);
    for key in ["one", "two", "gone"] {
        sim.call(wrong, |sync, now| sync.set(now, key, "written")).unwrap().unwrap();
    }
    sim.call(wrong, |sync, now| sync.del(now, "gone")).unwrap().unwrap();
    let dated = |sim: &rs2p_simnet::Sim<rs2p_sync::Sync>, node| {
        sim.machine(node).unwrap().entry("one").map(|entry| entry.meta.timestamp)
    };
    assert!(dated(&sim, wrong) > Some(real + 300 * DAY), "its clock is not right yet");
    sim.run_for(120 * SECOND);
    assert!(agree(&sim));
    assert!(dated(&sim, NodeIndex(0)).is_some_and(|time| (real..real + 120).contains(&time)));
    assert_eq!(sim.machine(wrong).unwrap().len(), 2);
}
