//! Nothing that is acknowledged is lost, whoever comes and goes.

use std::time::Duration;

use rs2p_base::NodeId;
use rs2p_chord::{Chord, ChordConfig, MemoryStorage, Storage as _, Table};
use rs2p_mesh::Birth;
use rs2p_simnet::{Crash, NodeIndex};

use crate::network::{Net, SECOND};

fn config() -> ChordConfig {
    ChordConfig::default()
}

/// Takes a node down and starts it again, with what it had written down.
fn restart(net: &mut Net, node: NodeIndex, pause: u64, keeps: bool) {
    let first = net.sim.nodes().find(|it| *it != node).map(NodeIndex::address);
    net.sim.crash(node, Crash::Process);
    net.run_for(pause);
    net.sim.restart(node, |address, seed, remains| {
        let mut remains: Chord = remains.unwrap();
        let mut birth = Birth::new("chord", address, seed).seeds(first);
        birth.id = remains.id();
        let mut chord = Chord::new(birth, config());
        if keeps {
            let mut storage = MemoryStorage::default();
            storage.write(remains.take_changes()).unwrap();
            chord.restore(storage.records().unwrap()).unwrap();
        }
        chord.keep_changes();
        chord
    });
}

#[test]
fn who_comes_back_before_anybody_notices_joins_again() {
    for seed in 0..3 {
        let mut net = Net::settled(7, seed, &config());
        net.fill(60);
        for (_, node) in net.members() {
            restart(&mut net, node, 0, true);
            net.wait_for_ring();
        }
        net.expect_all(60);
    }
}

fn in_ring(net: &Net, node: NodeIndex) -> bool {
    net.sim.machine(node).is_some_and(|chord| chord.ring().is_some())
}

#[test]
fn members_leave_one_after_the_other_and_the_last_but_one_loses_nothing() {
    for seed in 0..3 {
        let mut net = Net::settled(7, seed, &config());
        net.fill(60);
        let mut members = net.members();
        while members.len() > 1 {
            let (_, node) = members.remove((seed as usize * 3 + members.len()) % members.len());
            assert_eq!(net.unjoin(node), 0, "{} members, seed {seed}", members.len());
            assert_eq!(net.sim.machine(node).unwrap().records().count(), 0);
            assert!(!in_ring(&net, node));
            net.expect_all(60);
            net.run_for(5 * SECOND);
            assert!(net.is_one_ring(), "{} members, seed {seed}", members.len());
        }
        // The last one has nobody to give it to, and keeps it for when it joins again.
        let (_, last) = members[0];
        assert_eq!(net.unjoin(last), 300);
        net.sim.call(last, Chord::join).unwrap().unwrap();
        net.run_for(10 * SECOND);
        net.expect_all(60);
    }
}

#[test]
fn who_left_and_joins_again_has_its_part_again() {
    let mut net = Net::settled(6, 5, &config());
    net.fill(40);
    let (_, node) = net.members()[2];
    assert_eq!(net.unjoin(node), 0);
    net.fill(60);
    net.sim.call(node, Chord::join).unwrap().unwrap();
    net.run_for(5 * SECOND);
    net.wait_for_ring();
    net.run_for(30 * SECOND);
    net.expect_all(60);
    assert!(net.sim.machine(node).unwrap().records().count() > 0);
}

#[test]
fn a_node_comes_back_with_its_records_and_takes_what_it_has_missed() {
    let mut net = Net::new(6);
    for _ in 0..6 {
        let node = net.join(&config());
        net.sim.call(node, |chord, _| chord.keep_changes()).unwrap();
        net.run_for(SECOND / 10);
    }
    net.wait_for_ring();
    net.run_for(10 * SECOND);
    net.fill(50);
    net.run_for(5 * SECOND);
    let (_, node) = net.members()[3];
    let held = net.sim.machine(node).unwrap().records().count();
    let first = net.sim.nodes().find(|it| *it != node).unwrap();
    net.sim.crash(node, Crash::Process);
    for number in 0..50 {
        net.set(first, &format!("key {number}"), number as u64 + 1_000).unwrap();
    }
    net.sim.restart(node, |address, seed, remains| {
        let mut remains: Chord = remains.unwrap();
        let mut birth = Birth::new("chord", address, seed).seeds([first.address()]);
        birth.id = remains.id();
        let mut storage = MemoryStorage::default();
        storage.write(remains.take_changes()).unwrap();
        let mut chord = Chord::new(birth, config());
        chord.restore(storage.records().unwrap()).unwrap();
        assert_eq!(chord.records().count(), held);
        chord
    });
    for number in 0..50 {
        let read = net.get(node, &format!("key {number}"));
        assert_eq!(read, Ok(Some((number + 1_000).into())), "{number}");
    }
    net.wait_for_ring();
    net.run_for(60 * SECOND);
    for number in 0..50 {
        for table in Table::ALL {
            let holders = net.holders(table, &format!("key {number}"));
            assert_eq!(holders.len(), 3, "{number} {table}");
            assert!(holders.iter().all(|(_, record)| record.version == holders[0].1.version));
        }
    }
}

/// The disk of a node was lost, but not its name.
#[test]
fn an_owner_that_has_lost_everything_is_filled() {
    let mut net = Net::settled(6, 7, &config());
    net.fill(50);
    let nodes: Vec<_> = net.members().into_iter().map(|(_, node)| node).collect();
    for node in nodes {
        restart(&mut net, node, SECOND, false);
        net.wait_for_ring();
        net.run_for(20 * SECOND);
        net.expect_all(50);
    }
    let kept: usize =
        net.sim.nodes().map(|it| net.sim.machine(it).unwrap().records().count()).sum();
    assert_eq!(kept, 50 * 5 * 3);
}

/// Pushes of writes are repeated to nobody; comparisons are to find them.
#[test]
fn a_copy_that_has_missed_a_write_is_repaired_by_comparing() {
    let mut net = Net::settled(5, 8, &config());
    net.fill(20);
    net.run_for(40 * SECOND);
    let (owner, stale) = {
        let holders = net.holders(Table::Sha1, "key 1");
        (holders[0].0, holders[1].0)
    };
    assert_ne!(owner, stale);
    let repaired = net.sim.machine(stale).unwrap().status(net.sim.now()).counts.repaired;
    net.sim.pause(stale);
    for number in 0..20 {
        net.set(owner, &format!("key {number}"), number as u64 + 50).unwrap();
    }
    net.sim.resume(stale);
    net.run_for(90 * SECOND);
    for number in 0..20 {
        for table in Table::ALL {
            let holders = net.holders(table, &format!("key {number}"));
            assert_eq!(holders.len(), 3);
            assert!(holders.iter().all(|(_, record)| *record == holders[0].1), "{number} {table}");
        }
    }
    assert!(net.sim.machine(stale).unwrap().status(net.sim.now()).counts.repaired >= repaired);
}

#[test]
fn what_is_acknowledged_while_owners_fall_silent_survives_them() {
    for seed in 0..4 {
        let mut net = Net::settled(14, 20 + seed, &config());
        let members = net.members();
        let writer = members[0].1;
        let mut acknowledged = Vec::new();
        for number in 0..60u64 {
            if number % 20 == 10 {
                net.sim.crash(members[2 + number as usize / 5].1, Crash::Host);
            }
            if net.set(writer, &format!("key {number}"), number).is_ok() {
                acknowledged.push(number);
            }
        }
        assert!(acknowledged.len() > 50, "{} of 60", acknowledged.len());
        net.wait_for_ring();
        let members = net.members();
        for number in acknowledged {
            let (_, reader) = members[number as usize % members.len()];
            let read = net.get(reader, &format!("key {number}"));
            assert_eq!(read, Ok(Some(number.into())), "key {number}, seed {seed}");
        }
    }
}

#[test]
fn deletions_are_forgotten_when_they_are_old_and_what_is_gone_stays_gone() {
    let age = std::time::Duration::from_secs(100);
    let config = ChordConfig { tombstone_age: age, ..config() };
    let mut net = Net::settled(5, 9, &config);
    net.fill(20);
    let (_, node) = net.members()[0];
    for number in 0..20 {
        net.change(node, |chord, now| chord.del(now, format!("key {number}"))).unwrap();
    }
    let held = |net: &Net| -> usize {
        let status = |node| net.sim.machine(node).unwrap().status(net.sim.now());
        net.sim.nodes().map(|node| status(node).tombstones).sum()
    };
    net.run_for(50 * SECOND);
    assert_eq!(held(&net), 20 * 5 * 3);
    net.run_for(100 * SECOND);
    assert_eq!(held(&net), 0);
    net.run_for(100 * SECOND);
    for number in 0..20 {
        assert_eq!(net.get(node, &format!("key {number}")), Ok(None));
    }
    assert!(net.sim.nodes().all(|it| net.sim.machine(it).unwrap().records().count() == 0));
}

/// Starts a ring of its own at the first of so many nodes that know nobody else.
fn ring_of(net: &mut Net, nodes: usize) -> Vec<NodeIndex> {
    let mut ring: Vec<NodeIndex> = Vec::new();
    for _ in 0..nodes {
        let first = ring.first().copied().map(NodeIndex::address);
        ring.push(net.sim.add(0, |address, seed| {
            Chord::new(Birth::new("chord", address, seed).seeds(first), config())
        }));
        net.run_for(3 * SECOND);
    }
    net.run_for(20 * SECOND);
    ring
}

#[test]
fn rings_that_meet_become_one_and_all_that_both_had_is_readable() {
    for (seed, sizes) in [(1, (5, 5)), (2, (1, 5)), (3, (5, 1)), (4, (1, 1)), (5, (5, 5))] {
        let mut net = Net::new(seed);
        let (one, other) = (ring_of(&mut net, sizes.0), ring_of(&mut net, sizes.1));
        for number in 0..40u64 {
            let ring = if number % 2 == 0 { &one } else { &other };
            let node = ring[number as usize % ring.len()];
            net.set(node, &format!("key {number}"), number).unwrap();
        }
        let to = one[0].address();
        net.sim.call(*other.last().unwrap(), |chord, now| {
            use rs2p_mesh::OverMesh as _;
            chord.with_mesh(now, |mesh| mesh.connect(now, to))
        });
        net.wait_for_ring();
        net.run_for(60 * SECOND);
        assert_eq!(net.members().len(), sizes.0 + sizes.1);
        net.expect_all(40);
        for number in 0..40 {
            for table in Table::ALL {
                let count = net.holders(table, &format!("key {number}")).len();
                assert_eq!(count, 3.min(sizes.0 + sizes.1), "key {number} {table}, seed {seed}");
            }
        }
    }
}

#[test]
fn every_record_lies_with_its_owner_and_those_before_it() {
    let mut net = Net::settled(9, 10, &config());
    net.fill(40);
    net.join(&config());
    net.wait_for_ring();
    net.run_for(90 * SECOND);
    let ids: Vec<NodeId> = net.members().into_iter().map(|(id, _)| id).collect();
    for number in 0..40 {
        let key = format!("key {number}");
        for table in Table::ALL {
            let point = table.position(key.as_bytes()).point();
            let owner = ids.iter().rposition(|id| *id <= point).unwrap_or(ids.len() - 1);
            let mut expected: Vec<NodeId> =
                (0..3).map(|back| ids[(owner + ids.len() - back) % ids.len()]).collect();
            let mut held: Vec<NodeId> = net
                .holders(table, &key)
                .into_iter()
                .map(|(node, _)| net.sim.machine(node).unwrap().id())
                .collect();
            expected.sort_unstable();
            held.sort_unstable();
            assert_eq!(held, expected, "{key} {table}");
        }
    }
}

#[test]
fn what_is_audited_once_is_left_alone_until_the_next_round() {
    let config = ChordConfig { audit: Duration::from_secs(60), ..ChordConfig::default() };
    let mut net = Net::settled(4, 9, &config);
    let (_, node) = net.members()[0];
    for number in 0..5 {
        net.set(node, &format!("key {number}"), number as u64).unwrap();
    }
    net.run_for(120 * SECOND);
    let served = |net: &Net| -> u64 {
        let all = net.members().into_iter();
        all.map(|(_, node)| net.sim.machine(node).unwrap().status(net.sim.now()).counts.served)
            .sum()
    };
    let before = served(&net);
    net.run_for(240 * SECOND);
    // Four questions for each of 25 records in a round, and the ring's own lookups.
    let asked = served(&net) - before;
    assert!((300..900).contains(&asked), "{asked}");
}
