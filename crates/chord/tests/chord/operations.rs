//! What users do, in small networks.

use std::collections::BTreeSet;

use rs2p_chord::{ChordConfig, ChordEvent, Membership, ReadError, Table, WriteError};
use rs2p_simnet::NodeIndex;
use rs2p_wire::Value;

use crate::network::{Net, SECOND};

fn pair(name: impl Into<Value>, value: impl Into<Value>) -> Vec<(Value, Value)> {
    vec![(name.into(), value.into())]
}

#[test]
fn what_has_been_written_is_read_at_once_by_every_node() {
    let mut net = Net::settled(9, 11, &ChordConfig::default());
    let members = net.members();
    for turn in 0..9 {
        let key = format!("key {turn}");
        net.set(members[turn].1, &key, turn as u64).unwrap();
        for (_, node) in &members {
            assert_eq!(net.get(*node, &key), Ok(Some((turn as u64).into())));
        }
    }
}

#[test]
fn of_writers_of_one_key_at_the_same_moment_one_is_the_last_everywhere() {
    for seed in 0..5 {
        let mut net = Net::settled(8, seed, &ChordConfig::default());
        let members = net.members();
        let requests: Vec<_> = members
            .iter()
            .map(|(_, node)| {
                let value = Value::from(node.0);
                (*node, net.sim.call(*node, |chord, now| chord.set(now, "key", &value)))
            })
            .collect();
        for (node, request) in requests {
            assert_eq!(net.written(node, request.unwrap().unwrap()), Ok(None), "{node} {seed}");
        }
        let first = net.get(members[0].1, "key").unwrap();
        assert!(first.is_some());
        for (_, node) in &members {
            assert_eq!(net.get(*node, "key").unwrap(), first, "{node}, seed {seed}");
        }
        net.run_for(60 * SECOND);
        let all: Vec<_> = Table::ALL.iter().flat_map(|table| net.holders(*table, "key")).collect();
        assert_eq!(all.len(), 15);
        assert!(all.iter().all(|(_, record)| *record == all[0].1), "{all:?}");
    }
}

#[test]
fn changes_of_a_map_by_all_nodes_at_the_same_moment_are_all_in_it() {
    for seed in 0..5 {
        let mut net = Net::settled(8, seed, &ChordConfig::default());
        let members = net.members();
        for round in 0..3u32 {
            let requests: Vec<_> = members
                .iter()
                .map(|(_, node)| {
                    let change = pair(10 * round + node.0, round);
                    let request =
                        net.sim.call(*node, |chord, now| chord.apply_delta(now, "map", change));
                    (*node, request.unwrap().unwrap())
                })
                .collect();
            for (node, request) in requests {
                let merged = net.written(node, request).unwrap().unwrap();
                let fields = merged.as_map().unwrap();
                assert!(fields.contains(&((10 * round + node.0).into(), round.into())));
            }
        }
        for (_, node) in &members {
            let map = net.get(*node, "map").unwrap().unwrap();
            assert_eq!(map.as_map().unwrap().len(), 24, "{node}, seed {seed}");
        }
    }
}

#[test]
fn what_is_popped_is_given_once_and_gone() {
    let mut net = Net::settled(6, 12, &ChordConfig::default());
    let (one, other) = (net.members()[0].1, net.members()[3].1);
    net.set(one, "key", "value").unwrap();
    assert_eq!(net.change(other, |chord, now| chord.pop(now, "key")), Ok(Some("value".into())));
    assert_eq!(net.get(one, "key"), Ok(None));
    let again = net.change(one, |chord, now| chord.pop(now, "key"));
    assert_eq!(again, Err(WriteError::Absent));
    // And it can be set anew.
    net.set(other, "key", 5).unwrap();
    assert_eq!(net.get(one, "key"), Ok(Some(5.into())));
}

#[test]
fn what_is_set_while_a_key_is_popped_is_given_or_stays() {
    let mut stayed = 0;
    for seed in 0..20 {
        let mut net = Net::settled(7, 100 + seed, &ChordConfig::default());
        let members = net.members();
        net.set(members[0].1, "key", "first").unwrap();
        net.run_for(seed % 2 * 100 * SECOND);
        let (popper, writer) = (members[2].1, members[5].1);
        let pop = net.sim.call(popper, |chord, now| chord.pop(now, "key")).unwrap().unwrap();
        net.run_for(seed * SECOND / 100);
        let value = Value::from("second");
        let set = net.sim.call(writer, |chord, now| chord.set(now, "key", &value)).unwrap();
        let set = net.written(writer, set.unwrap());
        let popped = net.written(popper, pop).unwrap().unwrap();
        let left = net.get(members[4].1, "key").unwrap();
        assert_eq!(set, Ok(None), "seed {seed}");
        stayed += usize::from(left.is_some());
        let other = if popped == "first".into() { Some("second".into()) } else { None };
        assert_eq!(left, other, "seed {seed}");
    }
    assert!((1..20).contains(&stayed), "{stayed}");
}

#[test]
fn a_change_of_what_is_no_map_is_refused_and_leaves_it() {
    let mut net = Net::settled(5, 13, &ChordConfig::default());
    let (one, other) = (net.members()[0].1, net.members()[3].1);
    net.set(one, "key", "text").unwrap();
    let change = net.change(other, |chord, now| chord.apply_delta(now, "key", pair("a", 1)));
    assert_eq!(change, Err(WriteError::NoMap));
    assert_eq!(net.get(one, "key"), Ok(Some("text".into())));
    // After a deletion there is a new one.
    net.change(one, |chord, now| chord.del(now, "key")).unwrap();
    let change = net.change(other, |chord, now| chord.apply_delta(now, "key", pair("a", 1)));
    assert_eq!(change, Ok(Some(Value::Map(pair("a", 1)))));
}

#[test]
fn a_node_that_only_uses_the_network_does_all_of_it_and_never_stores() {
    let mut net = Net::settled(6, 14, &ChordConfig::default());
    let leech = net.join(&ChordConfig { joins: false, ..ChordConfig::default() });
    net.run_for(2 * SECOND);
    let member = net.members()[2].1;
    for turn in 0..20u64 {
        net.set(leech, "key", turn).unwrap();
        assert_eq!(net.get(member, "key"), Ok(Some(turn.into())));
        net.set(member, "key", turn + 100).unwrap();
        assert_eq!(net.get(leech, "key"), Ok(Some((turn + 100).into())));
    }
    let map = net.change(leech, |chord, now| chord.apply_delta(now, "map", pair("a", 1)));
    assert_eq!(map, Ok(Some(Value::Map(pair("a", 1)))));
    assert_eq!(net.change(leech, |chord, now| chord.pop(now, "key")), Ok(Some(119.into())));
    let machine = net.sim.machine(leech).unwrap();
    assert_eq!(machine.membership(), Membership::Leeching);
    assert_eq!(machine.records().count(), 0);
}

#[test]
fn where_nobody_stores_reads_and_writes_say_so() {
    let mut net = Net::new(15);
    let config = ChordConfig { joins: false, ..ChordConfig::default() };
    let (one, _) = (net.join(&config), net.join(&config));
    net.run_for(2 * SECOND);
    assert_eq!(net.get(one, "key"), Err(ReadError::NobodyStores));
    assert_eq!(net.set(one, "key", 1), Err(ReadError::NobodyStores.into()));
}

/// All keys that are told by parts, each as often as it is told.
fn walk(net: &mut Net, node: NodeIndex) -> Vec<String> {
    let (mut all, mut from) = (Vec::new(), None);
    for _ in 0..100 {
        let request = net.sim.call(node, |chord, now| chord.list(now, from)).unwrap().unwrap();
        let until = net.sim.elapsed_micros() + 12 * SECOND;
        let listed =
            std::iter::from_fn(|| net.sim.next_event(until)).find_map(|(_, event)| match event {
                ChordEvent::Listed { request: it, result } if it == request => Some(result),
                _ => None,
            });
        let (keys, next) = listed.unwrap().unwrap();
        all.extend(keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()));
        let Some(next) = next else { return all };
        assert!(from.is_none_or(|from| next > from), "it goes on");
        from = Some(next);
    }
    panic!("it walks for ever");
}

#[test]
fn a_walk_around_the_ring_tells_each_key_once() {
    let config = ChordConfig { announces: false, ..ChordConfig::default() };
    for members in [1, 2, 7] {
        let mut net = Net::settled(members, 16, &config);
        let leech = net.join(&ChordConfig { joins: false, ..config.clone() });
        net.run_for(2 * SECOND);
        net.fill(700);
        let gone = net.members()[0].1;
        net.change(gone, |chord, now| chord.del(now, "key 5")).unwrap();
        let expected: BTreeSet<String> =
            (0..700).filter(|it| *it != 5).map(|it| format!("key {it}")).collect();
        for node in [net.members()[0].1, leech] {
            let mut told = walk(&mut net, node);
            told.sort();
            assert!(told.iter().eq(expected.iter().collect::<BTreeSet<_>>()), "{members}");
            assert_eq!(net.sim.machine(node).unwrap().known_keys(), None);
        }
    }
}

#[test]
fn each_node_knows_the_keys_that_are_announced() {
    let mut net = Net::settled(6, 17, &ChordConfig::default());
    net.fill(30);
    let member = net.members()[1].1;
    net.change(member, |chord, now| chord.del(now, "key 7")).unwrap();
    let late = net.join(&ChordConfig { joins: false, ..ChordConfig::default() });
    net.run_for(5 * SECOND);
    let nodes: Vec<_> = net.members().into_iter().map(|(_, node)| node).chain([late]).collect();
    for node in nodes {
        let known = net.sim.machine(node).unwrap().known_keys().unwrap();
        assert_eq!(known.len(), 29, "{node}");
        assert!(!known.contains(&"key 7".into()));
    }
}

#[test]
fn who_is_behind_in_time_deletes_what_others_wrote_and_is_told_that_it_was_there() {
    let mut net = Net::settled(6, 4, &ChordConfig::default());
    let members = net.members();
    let (ahead, behind) = (members[0].1, members[3].1);
    for (number, by) in [(0, 10_000), (1, 20_000)] {
        net.sim.set_skew(ahead, by);
        let key = format!("key {number}");
        net.set(ahead, &key, 1u64).unwrap();
        let request = net.sim.call(behind, |chord, now| chord.del(now, &key)).unwrap().unwrap();
        assert_eq!(net.written(behind, request), Ok(None), "{key}");
        assert_eq!(net.get(ahead, &key), Ok(None));
    }
}
