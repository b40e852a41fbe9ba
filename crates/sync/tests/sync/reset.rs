//! Nodes that come back with their records after deletions have been forgotten.

use std::time::Duration;

use rs2p_simnet::{Crash, NodeIndex, Sim};
use rs2p_sync::{Sync, SyncConfig};

use crate::network::{SECOND, agree, birth, held, network};

fn config() -> SyncConfig {
    let (tombstone_age, compare) = (Duration::from_secs(60), Duration::from_secs(5));
    SyncConfig { tombstone_age, compare, ..SyncConfig::default() }
}

/// Nodes that have written down what they hold, and `keys` keys that all of them have.
fn written(keys: u32) -> Sim<Sync> {
    let mut sim = network(8, &config());
    for node in 0..8 {
        sim.call(NodeIndex(node), |sync, _| sync.keep_changes()).unwrap();
    }
    for key in 0..keys {
        set(&mut sim, 0, key, "old");
    }
    sim.run_for(20 * SECOND);
    assert!(agree(&sim));
    sim
}

fn set(sim: &mut Sim<Sync>, node: u32, key: u32, value: &str) {
    let set = sim.call(NodeIndex(node), |sync, now| sync.set(now, format!("{key}"), value));
    set.unwrap().unwrap();
    sim.run_for(SECOND / 100);
}

/// Nodes are away while the first one deletes the keys, for so long that this is forgotten.
fn delete_without(sim: &mut Sim<Sync>, away: &[u32], keys: u32) {
    away.iter().for_each(|node| sim.crash(NodeIndex(*node), Crash::Process));
    for key in 0..keys {
        sim.call(NodeIndex(0), |sync, now| sync.del(now, format!("{key}"))).unwrap().unwrap();
        sim.run_for(SECOND / 100);
    }
    sim.run_for(120 * SECOND);
    let status = sim.machine(NodeIndex(0)).unwrap().status(sim.now());
    assert_eq!((status.keys, status.tombstones), (0, 0));
}

/// A node comes back with what it had written down, and asks these.
fn come_back(sim: &mut Sim<Sync>, node: u32, seeds: &[u32]) {
    let seeds: Vec<_> = seeds.iter().map(|seed| NodeIndex(*seed).address()).collect();
    sim.restart(NodeIndex(node), |address, seed, former| {
        let mut former: Sync = former.unwrap();
        let mut birth = birth(address, seed, true).seeds(seeds);
        birth.id = former.id();
        let mut sync = Sync::new(birth, config());
        let changes = former.take_changes();
        let records = changes.records.into_iter().filter_map(|(key, it)| Some((key, it?)));
        sync.restore(Some(&changes.memory), records).unwrap();
        sync
    });
}

#[test]
fn a_key_deleted_and_written_anew_stays_what_it_is_when_somebody_comes_back() {
    for keys in [10, 200] {
        let mut sim = written(keys);
        delete_without(&mut sim, &[7], keys);
        for key in 0..keys {
            set(&mut sim, 1, key, "new");
        }
        come_back(&mut sim, 7, &[0]);
        sim.run_for(60 * SECOND);
        assert!(agree(&sim));
        let held = held(&sim, NodeIndex(7));
        assert_eq!(held.len(), keys as usize);
        assert!(held.iter().all(|(_, value, _)| value.contains("new")), "{held:?}");
    }
}

#[test]
fn a_small_table_gives_up_what_was_deleted_like_a_large_one() {
    let mut sim = written(10);
    delete_without(&mut sim, &[7], 10);
    set(&mut sim, 1, 100, "new");
    come_back(&mut sim, 7, &[0]);
    sim.run_for(60 * SECOND);
    assert!(agree(&sim));
    assert_eq!(sim.machine(NodeIndex(7)).unwrap().len(), 1);
}

#[test]
fn those_who_come_back_together_do_not_take_each_others_word() {
    let mut sim = written(200);
    delete_without(&mut sim, &[5, 6, 7], 200);
    come_back(&mut sim, 7, &[]);
    come_back(&mut sim, 6, &[7]);
    come_back(&mut sim, 5, &[6, 7]);
    sim.run_for(SECOND);
    // Now one of them meets the others.
    let address = NodeIndex(0).address();
    sim.call(NodeIndex(6), |sync, now| {
        rs2p_mesh::OverMesh::with_mesh(sync, now, |mesh| mesh.connect(now, address))
    });
    sim.run_for(60 * SECOND);
    assert!(agree(&sim));
    assert_eq!(sim.machine(NodeIndex(7)).unwrap().len(), 0);
}

#[test]
fn a_network_that_comes_back_as_a_whole_begins_by_itself() {
    let mut sim = written(100);
    sim.crash(NodeIndex(7), Crash::Process);
    // One key more than the one that went first has ever heard of.
    set(&mut sim, 3, 100, "new");
    sim.run_for(20 * SECOND);
    (0..7).for_each(|node| sim.crash(NodeIndex(node), Crash::Process));
    sim.run_for(300 * SECOND);
    come_back(&mut sim, 0, &[]);
    for node in 1..8 {
        come_back(&mut sim, node, &[0]);
    }
    sim.run_for(60 * SECOND);
    assert!(agree(&sim));
    assert_eq!(held(&sim, NodeIndex(7)).len(), 101);
}
