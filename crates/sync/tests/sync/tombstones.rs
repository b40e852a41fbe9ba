//! Deletions: remembered for a while, forgotten, and what follows for who was away.

use std::time::Duration;

use rs2p_mesh::MeshConfig;
use rs2p_simnet::{Crash, NodeIndex};
use rs2p_sync::{Sync, SyncConfig};
use rs2p_wire::Value;

use crate::bench::{Bench, COMPARE, Kind, id};
use crate::lies::records;
use crate::network::{SECOND, agree, birth, network};

fn short() -> SyncConfig {
    SyncConfig { tombstone_age: Duration::from_secs(640), ..SyncConfig::default() }
}

#[test]
fn a_deletion_is_forgotten_after_its_age_and_not_before() {
    let mut bench = Bench::new(short());
    bench.set("k", 1);
    bench.del("k");
    bench.seconds(640);
    assert_eq!(bench.sync.status(bench.now).tombstones, 1);
    // All nodes forget at the same times, so it may take some seconds more.
    bench.seconds(11);
    let status = bench.sync.status(bench.now);
    assert_eq!((status.tombstones, status.bytes), (0, 0));
}

#[test]
fn of_too_many_deletions_the_oldest_are_forgotten() {
    let mut bench = Bench::new(SyncConfig { max_tombstones: 3, ..SyncConfig::default() });
    for number in 0..10 {
        bench.set(&number.to_string(), 1);
        bench.del(&number.to_string());
        bench.seconds(1);
        assert!(bench.sync.status(bench.now).tombstones <= 3);
    }
    let latest = bench.time(-4);
    let peer = bench.join(Kind::Rs2p);
    // What was deleted last is known still, and who asks is told what was forgotten.
    bench.hand_over(peer, (7, rs2p_wire::IdForm::Bin), -10, "9", 1);
    assert_eq!(bench.value("9"), None);
    let question = [COMPARE.into(), 0.into(), 0.into(), Value::Array(parts(1))];
    bench.clear();
    bench.whisper(peer, &question);
    bench.seconds(120);
    let asked = bench.payloads(peer, COMPARE);
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|it| it[0] == latest.into()), "{asked:?} {latest}");
}

/// One part: everything, with a digest that nobody has.
fn parts(count: u64) -> Vec<Value> {
    [0, u64::MAX, 12_345, count].map(Value::from).to_vec()
}

#[test]
fn a_deletion_that_comes_when_all_have_forgotten_it_is_not_held_again() {
    let mut bench = Bench::new(short());
    let peer = bench.join(Kind::Rs2p);
    let deleted = |bench: &Bench, seconds| {
        let time = bench.time(seconds);
        records("k", Value::Nil, [0, time, time, 0, 3_600])
    };
    bench.whisper(peer, &deleted(&bench, -700));
    assert_eq!(bench.sync.status(bench.now).tombstones, 0);
    bench.whisper(peer, &deleted(&bench, -600));
    assert_eq!(bench.sync.status(bench.now).tombstones, 1);
}

#[test]
fn a_node_that_comes_back_forgets_what_was_due_while_it_was_away() {
    let mut before = Bench::new(short());
    before.sync.keep_changes();
    before.set("deleted", 1);
    before.del("deleted");
    before.set("kept", 1);
    let changes = before.sync.take_changes();
    let later = before.now + Duration::from_secs(700);
    let mut bench = Bench::at(later, id(100), short(), MeshConfig::default());
    let records = changes.records.into_iter().map(|(key, record)| (key, record.unwrap()));
    bench.sync.restore(Some(&changes.memory), records).unwrap();
    assert_eq!(bench.sync.status(bench.now).tombstones, 1);
    bench.join(Kind::Rs2p);
    bench.seconds(20);
    // Else it would never again hold the same as others, who do not take it any more.
    assert_eq!(bench.sync.status(bench.now).tombstones, 0);
    assert_eq!(bench.sync.len(), 1);
}

#[test]
fn who_was_away_for_longer_than_deletions_are_remembered_gives_up_what_was_deleted() {
    let config = short();
    let mut sim = network(3, &config);
    let (one, away) = (NodeIndex(0), NodeIndex(2));
    sim.call(away, |sync, _| sync.keep_changes());
    for number in 0..300 {
        sim.call(one, |sync, now| sync.set(now, number.to_string(), number)).unwrap().unwrap();
    }
    sim.run_for(100 * SECOND);
    assert!(agree(&sim));
    assert!(sim.machine(away).unwrap().status(sim.clock_of(away)).same_as_peer.is_some());
    sim.crash(away, Crash::Process);
    for number in 0..100 {
        sim.call(one, |sync, now| sync.del(now, number.to_string())).unwrap().unwrap();
    }
    sim.run_for(800 * SECOND);
    assert_eq!(sim.machine(one).unwrap().status(sim.now()).tombstones, 0);
    sim.restart(away, |address, seed, remains| {
        let changes = remains.unwrap().take_changes();
        let seeds = [one.address()];
        let mut sync = Sync::new(birth(address, seed, true).seeds(seeds), config.clone());
        let records = changes.records.into_iter();
        let records = records.filter_map(|(key, record)| Some((key, record?)));
        sync.restore(Some(&changes.memory), records).unwrap();
        assert_eq!(sync.len(), 300);
        sync
    });
    // What it writes before it has met anyone is its own, and new.
    sim.call(away, |sync, now| sync.set(now, "new", 1)).unwrap().unwrap();
    sim.run_for(30 * SECOND);
    assert!(agree(&sim));
    assert_eq!(sim.machine(one).unwrap().len(), 201);
    assert_eq!(sim.machine(away).unwrap().status(sim.now()).counts.given_up, 100);
}

#[test]
fn an_old_node_that_heard_a_deletion_may_date_its_write_a_second_before_it() {
    for (author, seconds, is_taken) in [(7, -1, true), (7, -2, false), (8, -1, false)] {
        let (mut bench, peer) = Bench::with(Kind::Py2p);
        bench.set_by(peer, 8, -1, "k", "first");
        bench.set_by(peer, 8, 0, "k", Value::Nil);
        assert_eq!(bench.value("k"), None);
        bench.set_by(peer, author, seconds, "k", "second");
        let is_there = bench.value("k").is_some();
        assert_eq!(is_there, is_taken, "{author} {seconds}");
    }
}
