//! All nodes hold the same in the end.

use rs2p_simnet::{Effect, NodeIndex, NodeSet, Rule};
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

#[test]
fn whatever_a_network_of_broken_links_loses_all_agree_soon_after() {
    for (count, leasing) in [(3, true), (5, false), (8, true)] {
        let config = SyncConfig { leasing, ..SyncConfig::default() };
        let mut sim = network(count, &config);
        let (from, to) = (NodeSet::all(), NodeSet::all());
        let breaks = sim.add_rule(Rule { from, to, effect: Effect::Break(0.2) });
        let some: NodeSet = (0..count / 2).map(NodeIndex).collect();
        let (from, to) = (some.clone(), some.others());
        let blocks = sim.add_rule(Rule { from, to, effect: Effect::Block });
        for number in 0..300_u32 {
            let node = NodeIndex((number * 7) % count);
            let key = format!("{}", number % 60);
            sim.call(node, |sync, now| {
                // Others may have the lease, and nobody may be there.
                if number % 5 == 4 {
                    drop(sync.del(now, &key));
                } else {
                    drop(sync.set(now, &key, number));
                }
            });
            sim.run_for(SECOND / 10);
        }
        assert!(!agree(&sim), "nothing was lost");
        assert!(sim.remove_rule(breaks) > 0 && sim.remove_rule(blocks) > 0);
        assert!(sim.wait_for(180 * SECOND, agree), "{count} nodes do not agree");
    }
}
