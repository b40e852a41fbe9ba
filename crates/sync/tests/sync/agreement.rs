//! All nodes hold the same in the end.

use rs2p_simnet::NodeIndex;
use rs2p_sync::SyncConfig;

use crate::network::{SECOND, add, agree, held, network};

#[test]
fn what_one_sets_all_have() {
    let mut sim = network(8, &SyncConfig::default());
    for number in 0..20 {
        let set =
            sim.call(NodeIndex(number % 8), |sync, now| sync.set(now, format!("{number}"), number));
        set.unwrap().unwrap();
    }
    sim.run_for(5 * SECOND);
    assert!(agree(&sim));
    assert_eq!(held(&sim, NodeIndex(3)).len(), 20);
}

#[test]
fn who_comes_late_gets_everything() {
    let config = SyncConfig::default();
    let mut sim = network(4, &config);
    for number in 0..1_000 {
        sim.call(NodeIndex(number % 4), |sync, now| sync.set(now, format!("{number}"), number))
            .unwrap()
            .unwrap();
        sim.run_for(SECOND / 100);
    }
    sim.run_for(SECOND);
    let late = add(&mut sim, &config);
    sim.run_for(5 * SECOND);
    assert_eq!(sim.machine(late).unwrap().len(), 1_000);
    sim.run_for(5 * SECOND);
    assert!(agree(&sim));
    let status = sim.machine(late).unwrap().status(sim.now());
    println!("{:?}", status.counts);
}
