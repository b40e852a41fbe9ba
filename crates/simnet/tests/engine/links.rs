//! Links carry everything, once, in order, or they end.

use std::io;

use proptest::prelude::*;
use rs2p_base::CloseReason;
use rs2p_simnet::{Effect, Fidelity, Latency, Network, NodeSet, Rule, RuleId, Sim};
use rs2p_wire::Limits;

use crate::toy::{Seen, Toy, frame};
use crate::{A, B, C, MILLI, SECOND, dial, even, link, rule, say, set, toy, toys};

#[test]
fn a_message_takes_the_latency_and_the_dialler_a_way_there_and_back() {
    let mut sim = toys(1, even(), 2);
    dial(&mut sim, A, B);
    sim.run_for(20 * MILLI - 1);
    assert_eq!(toy(&sim, B).log, []);
    sim.run_for(1);
    assert_eq!((toy(&sim, A).links().len(), toy(&sim, B).links().len()), (1, 1));
    let near = toy(&sim, A).links()[0];
    say(&mut sim, A, near, 1);
    sim.run_for(10 * MILLI - 1);
    assert_eq!(toy(&sim, B).numbers(), []);
    sim.run_for(1);
    assert_eq!(toy(&sim, B).numbers(), [0]);
}

#[test]
fn whole_frames_arrive_as_bare_messages_do() {
    for fidelity in [Fidelity::Messages, Fidelity::Frames(Limits::default())] {
        let mut sim = Sim::new(1, even(), fidelity);
        for _ in 0..2 {
            sim.add(0, Toy::new);
        }
        let (near, _) = link(&mut sim, A, B);
        say(&mut sim, A, near, 50);
        sim.run_for(SECOND);
        assert_eq!(toy(&sim, B).numbers(), (0..50).collect::<Vec<_>>());
    }
}

#[test]
fn a_blocked_link_delivers_what_waited_in_order_once_it_is_free_again() {
    let mut sim = toys(1, Network { jitter: 50 * MILLI, ..even() }, 2);
    let (near, far) = link(&mut sim, A, B);
    let block =
        sim.add_rule(Rule { from: NodeSet::all(), to: NodeSet::all(), effect: Effect::Block });
    for _ in 0..30 {
        say(&mut sim, A, near, 1);
        say(&mut sim, B, far, 1);
        sim.run_for(100 * MILLI);
    }
    assert_eq!((toy(&sim, A).numbers(), toy(&sim, B).numbers()), (vec![], vec![]));
    assert!(toy(&sim, A).waits(near) > 0, "nothing has left");
    assert_eq!(sim.components(), [Some(A), Some(B)]);
    assert_eq!(sim.remove_rule(block), 60);
    say(&mut sim, A, near, 1);
    sim.run_for(SECOND);
    assert_eq!(toy(&sim, A).numbers(), (0..30).collect::<Vec<_>>());
    assert_eq!(toy(&sim, B).numbers(), (0..31).collect::<Vec<_>>());
    assert_eq!((toy(&sim, A).waits(near), sim.counts().lost), (0, 0));
    assert_eq!(sim.components(), [Some(A), Some(A)]);
}

#[test]
fn the_end_of_a_blocked_link_comes_behind_what_waited() {
    let mut sim = toys(1, even(), 2);
    let (near, far) = link(&mut sim, A, B);
    let block = sim.add_rule(rule(A, B, Effect::Block));
    say(&mut sim, A, near, 3);
    sim.call(A, |toy, _| toy.close(near));
    sim.run_for(60 * SECOND);
    assert_eq!(toy(&sim, A).ends(), [CloseReason::Requested]);
    assert_eq!((toy(&sim, B).numbers(), toy(&sim, B).ends()), (vec![], vec![]));
    sim.remove_rule(block);
    sim.run_for(SECOND);
    let seen: Vec<&Seen> = toy(&sim, B).log.iter().map(|(_, seen)| seen).collect();
    let [Seen::Opened { .. }, heard @ .., Seen::Closed { link, reason }] = &seen[..] else {
        panic!("{seen:?}")
    };
    assert_eq!((heard.len(), *link, reason), (3, far, &CloseReason::PeerClosed));
}

#[test]
fn a_one_way_partition_stops_one_way_and_dials_in_both() {
    let mut sim = toys(1, even(), 3);
    let (near, far) = link(&mut sim, A, B);
    let block =
        sim.add_rule(Rule { from: set(&[A]), to: set(&[A]).others(), effect: Effect::Block });
    say(&mut sim, A, near, 2);
    say(&mut sim, B, far, 2);
    dial(&mut sim, A, C);
    dial(&mut sim, C, A);
    dial(&mut sim, C, B);
    sim.run_for(11 * SECOND);
    assert_eq!((toy(&sim, A).numbers(), toy(&sim, B).numbers()), (vec![0, 1], vec![]));
    for node in [A, C] {
        assert_eq!(toy(&sim, node).failures(), [io::ErrorKind::TimedOut]);
    }
    assert_eq!(toy(&sim, C).links().len(), 1);
    assert_eq!(sim.remove_rule(block), 4, "two messages and two dials");
    sim.run_for(SECOND);
    assert_eq!(toy(&sim, B).numbers(), [0, 1]);
}

#[test]
fn nodes_that_are_spared_do_not_notice_a_rule() {
    let mut sim = toys(1, even(), 3);
    let (near, _) = link(&mut sim, A, B);
    let (there, _) = link(&mut sim, A, C);
    let block =
        sim.add_rule(Rule { from: NodeSet::all(), to: NodeSet::all(), effect: Effect::Block });
    say(&mut sim, A, near, 1);
    say(&mut sim, A, there, 1);
    sim.run_for(SECOND);
    assert_eq!((toy(&sim, B).numbers(), toy(&sim, C).numbers()), (vec![], vec![]));
    sim.spare(Some(set(&[A, B])));
    say(&mut sim, A, near, 1);
    sim.run_for(SECOND);
    assert_eq!((toy(&sim, B).numbers(), toy(&sim, C).numbers()), (vec![0, 1], vec![]));
    sim.spare(None);
    sim.remove_rule(block);
    sim.run_for(SECOND);
    assert_eq!(toy(&sim, C).numbers(), [0]);
}

#[test]
fn a_sender_has_room_again_only_when_its_reader_has_read() {
    let weight = frame(0, 1_000).weight();
    let mut sim = toys(1, Network { buffer: Some(2 * weight), ..even() }, 2);
    let (near, _) = link(&mut sim, A, B);
    sim.pause(B);
    for _ in 0..5 {
        sim.call(A, |toy, _| toy.say(near, 1_000));
    }
    sim.run_for(60 * SECOND);
    assert_eq!(toy(&sim, A).waits(near), 3 * weight);
    sim.resume(B);
    sim.run_for(SECOND);
    assert_eq!((toy(&sim, A).waits(near), toy(&sim, B).numbers().len()), (0, 5));
    // A frame passes however large it is, when nothing else is under way.
    sim.call(A, |toy, _| toy.say(near, 5_000));
    sim.run_for(SECOND);
    assert_eq!(toy(&sim, B).numbers().len(), 6);
}

#[test]
fn a_link_whose_send_queue_overflows_is_closed_and_its_reader_is_told_the_end() {
    for blocked in [true, false] {
        let weight = frame(0, 1_000).weight();
        let buffer = (!blocked).then_some(weight);
        let mut sim = toys(1, Network { buffer, send_queue: 3 * weight, ..even() }, 2);
        let (near, _) = link(&mut sim, A, B);
        let block = blocked.then(|| sim.add_rule(rule(A, B, Effect::Block)));
        sim.pause(B);
        let fits = if blocked { 3 } else { 4 };
        for _ in 0..fits {
            sim.call(A, |toy, _| toy.say(near, 1_000));
        }
        sim.run_for(SECOND);
        assert_eq!(toy(&sim, A).ends(), []);
        sim.call(A, |toy, _| toy.say(near, 1_000));
        sim.run_for(SECOND);
        let (queued, limit) = (4 * weight, 3 * weight);
        assert_eq!(toy(&sim, A).ends(), [CloseReason::SlowReader { queued, limit }]);
        if let Some(block) = block {
            sim.remove_rule(block);
        }
        sim.resume(B);
        sim.run_for(SECOND);
        assert_eq!(toy(&sim, B).ends(), [CloseReason::PeerClosed]);
    }
}

#[test]
fn a_narrow_link_takes_its_time_and_tells_its_sender_when_each_frame_has_left() {
    let weight = frame(0, 1_000).weight();
    for by_rule in [false, true] {
        let bandwidth = (!by_rule).then_some(weight as u64);
        let mut sim = toys(1, Network { bandwidth, ..even() }, 2);
        let (near, _) = link(&mut sim, A, B);
        let narrow = by_rule.then(|| sim.add_rule(rule(A, B, Effect::Bandwidth(weight as u64))));
        for _ in 0..3 {
            sim.call(A, |toy, _| toy.say(near, 1_000));
        }
        for sent in 0..3 {
            assert_eq!(toy(&sim, A).waits(near), (3 - sent) * weight);
            assert_eq!(toy(&sim, B).numbers().len(), sent);
            sim.run_for(SECOND);
            sim.run_for(if sent == 0 { 10 * MILLI } else { 0 });
        }
        assert_eq!((toy(&sim, A).waits(near), toy(&sim, B).numbers().len()), (0, 3));
        assert_eq!(narrow.map(|rule| sim.remove_rule(rule)).unwrap_or(3), 3);
    }
}

#[test]
fn a_delay_makes_everything_late_and_one_that_ends_lets_nothing_overtake() {
    let mut sim = toys(1, even(), 2);
    let (near, _) = link(&mut sim, A, B);
    let late = sim.add_rule(rule(A, B, Effect::Delay(5 * SECOND)));
    say(&mut sim, A, near, 1);
    sim.run_for(SECOND);
    assert_eq!(sim.remove_rule(late), 1);
    say(&mut sim, A, near, 1);
    sim.run_for(4 * SECOND);
    assert_eq!(toy(&sim, B).numbers(), []);
    sim.run_for(10 * MILLI);
    assert_eq!(toy(&sim, B).numbers(), [0, 1]);
}

#[test]
fn a_link_that_is_closed_ends_behind_all_that_was_said_on_it() {
    for (jitter, delay) in [(0, 3 * SECOND), (SECOND, 0)] {
        let mut sim = toys(1, Network { jitter, ..even() }, 2);
        let (near, _) = link(&mut sim, A, B);
        let late = sim.add_rule(rule(A, B, Effect::Delay(delay)));
        say(&mut sim, A, near, 20);
        sim.remove_rule(late);
        sim.call(A, |toy, _| toy.close(near));
        sim.run_for(10 * SECOND);
        assert_eq!(toy(&sim, B).numbers(), (0..20).collect::<Vec<_>>());
        assert_eq!((toy(&sim, B).ends(), sim.counts().lost), (vec![CloseReason::PeerClosed], 0));
    }
}

#[test]
fn a_link_that_breaks_ends_at_both_ends_and_loses_what_was_under_way() {
    let mut sim = toys(1, even(), 2);
    let (near, far) = link(&mut sim, A, B);
    say(&mut sim, A, near, 2);
    sim.run_for(5 * MILLI);
    say(&mut sim, B, far, 2);
    assert!(sim.reset_link(far));
    sim.run_for(SECOND);
    let reset = CloseReason::Io("connection reset".into());
    assert_eq!((toy(&sim, A).ends(), toy(&sim, B).ends()), (vec![reset.clone()], vec![reset]));
    assert_eq!((toy(&sim, A).numbers(), toy(&sim, B).numbers()), (vec![], vec![]));
    assert_eq!((sim.counts().broken, sim.counts().lost), (1, 4));
    assert!(!sim.reset_link(far) && !sim.reset_link(near));
}

#[test]
fn of_messages_that_break_their_link_each_is_counted_once_and_so_is_each_link() {
    let mut sim = toys(1, even(), 2);
    for _ in 0..20 {
        let (near, _) = link(&mut sim, A, B);
        let breaks = sim.add_rule(rule(A, B, Effect::Break(1.0)));
        say(&mut sim, A, near, 5);
        sim.run_for(SECOND);
        assert_eq!(sim.remove_rule(breaks), 1);
    }
    assert_eq!((sim.counts().broken, toy(&sim, B).numbers()), (20, vec![]));
}

#[test]
fn what_waited_on_a_link_can_break_it_as_well() {
    let mut sim = toys(1, even(), 2);
    let (near, _) = link(&mut sim, A, B);
    let block = sim.add_rule(rule(A, B, Effect::Block));
    say(&mut sim, A, near, 1);
    let breaks = sim.add_rule(rule(A, B, Effect::Break(1.0)));
    sim.remove_rule(block);
    sim.run_for(SECOND);
    assert_eq!((sim.remove_rule(breaks), sim.counts().broken), (1, 1));
    assert_eq!((toy(&sim, A).ends().len(), toy(&sim, B).numbers()), (1, vec![]));
}

#[derive(Clone, Debug)]
enum Act {
    Say(bool, usize),
    Rule(usize),
    Hold(usize),
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (any::<bool>(), 1..6_usize).prop_map(|(side, times)| Act::Say(side, times)),
        1 => (0..6_usize).prop_map(Act::Rule),
        1 => (0..6_usize).prop_map(Act::Hold),
        3 => (0..300 * MILLI).prop_map(Act::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn everything_arrives_once_and_in_order_whatever_holds_it_up(
        seed in any::<u64>(),
        jitter in 0..100 * MILLI,
        latency in 0..50 * MILLI,
        bandwidth in proptest::option::of(1_000..100_000_u64),
        buffer in proptest::option::of(0..2_000_usize),
        acts in proptest::collection::vec(act(), 1..60),
    ) {
        let latency = Latency::uniform(latency / 2, latency);
        let network = Network { latency, jitter, bandwidth, buffer, ..Network::default() };
        let mut sim = toys(seed, network, 2);
        let (near, far) = link(&mut sim, A, B);
        let mut rules: [Option<RuleId>; 6] = [None; 6];
        for act in acts {
            match act {
                Act::Say(true, times) => say(&mut sim, A, near, times),
                Act::Say(false, times) => say(&mut sim, B, far, times),
                // The toys look at the order of all they hear.
                Act::Rule(which) => match rules[which].take() {
                    Some(standing) => {
                        sim.remove_rule(standing);
                    }
                    None => {
                        let effects =
                            [Effect::Block, Effect::Delay(200 * MILLI), Effect::Bandwidth(2_000)];
                        let (from, to) = if which < 3 { (A, B) } else { (B, A) };
                        rules[which] = Some(sim.add_rule(rule(from, to, effects[which % 3])));
                    }
                },
                Act::Hold(which) => {
                    let node = if which < 3 { A } else { B };
                    match which % 3 {
                        0 => sim.pause(node),
                        1 => sim.slow_down(node, 30 * MILLI),
                        _ => sim.resume(node) > 0,
                    };
                }
                Act::Pass(micros) => sim.run_for(micros),
            }
        }
        for rule in rules.into_iter().flatten() {
            sim.remove_rule(rule);
        }
        for node in [A, B] {
            sim.resume(node);
        }
        sim.run_for(600 * SECOND);
        let (one, other) = (toy(&sim, A).tally(near), toy(&sim, B).tally(far));
        prop_assert_eq!((one.0, one.1), (other.1, other.0));
        prop_assert_eq!((toy(&sim, A).waits(near), toy(&sim, B).waits(far)), (0, 0));
        prop_assert_eq!(sim.pending(), 0);
    }
}
