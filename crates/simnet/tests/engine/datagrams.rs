//! Datagrams: as many get lost, come twice and come late as was asked for.

use bytes::Bytes;
use rs2p_base::Endpoint;
use rs2p_simnet::{Crash, Datagrams, Effect, Network, NodeIndex, Sim};

use crate::toy::{Seen, Toy};
use crate::{A, B, C, MILLI, SECOND, even, rule, toy, toys};

fn lossy(datagrams: Datagrams) -> Sim<Toy> {
    toys(1, Network { datagrams, ..even() }, 2)
}

/// Lets node A send so many numbered datagrams to another, a millisecond apart.
fn send(sim: &mut Sim<Toy>, to: NodeIndex, count: u32) {
    let Endpoint::Socket(to) = to.address() else { panic!("a name") };
    for number in 0..count {
        let data = Bytes::copy_from_slice(&number.to_be_bytes());
        sim.call(A, |toy, _| toy.datagram(to, data)).unwrap();
        sim.run_for(MILLI);
    }
    sim.run_for(10 * SECOND);
}

/// The numbers that have come to node B.
fn numbers(sim: &Sim<Toy>) -> Vec<u32> {
    let number = |(_, seen): &(_, Seen)| match seen {
        Seen::Datagram { data, .. } => Some(u32::from_be_bytes(data[..].try_into().unwrap())),
        _ => None,
    };
    toy(sim, B).log.iter().filter_map(number).collect()
}

#[test]
fn with_nothing_in_their_way_all_come_once_in_order_from_whom_they_are() {
    let mut sim = lossy(Datagrams::default());
    send(&mut sim, B, 100);
    assert_eq!(numbers(&sim), (0..100).collect::<Vec<_>>());
    let (_, Seen::Datagram { from, .. }) = &toy(&sim, B).log[0] else { panic!("no datagram") };
    assert_eq!(Endpoint::from(*from), A.address());
}

#[test]
fn a_third_is_lost_if_a_third_is_to_be_lost() {
    let mut sim = lossy(Datagrams { loss: 0.3, ..Datagrams::default() });
    send(&mut sim, B, 3_000);
    let came = numbers(&sim).len() as u64;
    assert!((2_000..2_200).contains(&came), "{came}");
    assert_eq!((sim.counts().datagrams, sim.counts().datagrams_lost), (came, 3_000 - came));
}

#[test]
fn a_fifth_comes_twice_if_a_fifth_is_to_come_twice() {
    let mut sim = lossy(Datagrams { duplication: 0.2, ..Datagrams::default() });
    send(&mut sim, B, 3_000);
    let mut numbers = numbers(&sim);
    assert!((3_530..3_670).contains(&numbers.len()), "{}", numbers.len());
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 3_000);
}

#[test]
fn those_that_are_held_up_are_overtaken_and_none_is_held_up_for_longer_than_stated() {
    let held_up = 200 * MILLI;
    let mut sim = lossy(Datagrams { reordering: 0.1, held_up, ..Datagrams::default() });
    send(&mut sim, B, 3_000);
    let numbers = numbers(&sim);
    assert_eq!(numbers.len(), 3_000);
    let overtaken =
        (0..numbers.len()).filter(|at| numbers[..*at].iter().any(|it| *it > numbers[*at])).count();
    assert!((220..340).contains(&overtaken), "{overtaken}");
    for (at, number) in numbers.iter().enumerate() {
        let ahead = numbers[..at].iter().filter(|other| *other > number).count();
        assert!(ahead <= 200, "{number} was overtaken by {ahead}");
    }
}

#[test]
fn rules_stop_some_and_delay_others() {
    let mut sim = toys(1, even(), 3);
    let block = sim.add_rule(rule(A, B, Effect::Block));
    let late = sim.add_rule(rule(A, C, Effect::Delay(SECOND)));
    send(&mut sim, B, 10);
    assert_eq!((numbers(&sim), sim.remove_rule(block)), (vec![], 10));
    let Endpoint::Socket(to) = C.address() else { panic!("a name") };
    sim.call(A, |toy, _| toy.datagram(to, Bytes::new()));
    sim.run_for(SECOND);
    assert_eq!(toy(&sim, C).log, []);
    sim.run_for(10 * MILLI);
    assert_eq!((toy(&sim, C).log.len(), sim.remove_rule(late)), (1, 1));
    let breaks = sim.add_rule(rule(A, B, Effect::Break(0.5)));
    send(&mut sim, B, 1_000);
    let came = numbers(&sim).len();
    assert!((430..570).contains(&came), "{came}");
    assert_eq!(sim.remove_rule(breaks), 1_000 - came as u64);
}

#[test]
fn one_too_large_to_nobody_or_to_a_node_that_is_down_is_lost() {
    let mut sim = toys(1, even(), 2);
    let Endpoint::Socket(to) = B.address() else { panic!("a name") };
    sim.call(A, |toy, _| toy.datagram(to, vec![0; 65_528].into()));
    sim.call(A, |toy, _| toy.datagram(to, vec![0; 65_527].into()));
    send(&mut sim, C, 1);
    assert_eq!((toy(&sim, B).log.len(), sim.counts().datagrams_lost), (1, 2));
    sim.crash(B, Crash::Process);
    send(&mut sim, B, 1);
    assert_eq!(sim.counts().datagrams_lost, 3);
}

#[test]
fn a_paused_node_reads_them_later() {
    let mut sim = toys(1, even(), 2);
    sim.pause(B);
    send(&mut sim, B, 5);
    assert_eq!(numbers(&sim), []);
    assert_eq!((sim.resume(B), numbers(&sim)), (5, vec![0, 1, 2, 3, 4]));
}
