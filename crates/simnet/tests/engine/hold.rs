//! Nodes that stand still, and slow ones.

use std::io;
use std::time::Duration;

use rs2p_base::CloseReason;
use rs2p_simnet::{Effect, Network};

use crate::toy::{Seen, frame};
use crate::{A, B, C, MILLI, SECOND, dial, even, link, rule, say, toy, toys};

#[test]
fn a_paused_node_sees_nothing_and_then_all_that_came_in_its_order() {
    let mut sim = toys(1, even(), 3);
    let (near, far) = link(&mut sim, A, B);
    sim.call(B, |toy, now| toy.wake_at(now + Duration::from_millis(1_500)));
    assert!(sim.pause(B));
    let before = toy(&sim, B).log.len();
    say(&mut sim, A, near, 2);
    sim.run_for(2 * SECOND);
    say(&mut sim, A, near, 1);
    sim.call(A, |toy, _| toy.close(near));
    sim.run_for(2 * SECOND);
    assert_eq!((toy(&sim, B).log.len(), sim.held_up(B)), (before, 5));
    assert_eq!(sim.resume(B), 5);
    let heard = |number| Seen::Heard { link: far, number };
    let end = Seen::Closed { link: far, reason: CloseReason::PeerClosed };
    let seen: Vec<Seen> = toy(&sim, B).log[before..].iter().map(|(_, it)| it.clone()).collect();
    assert_eq!(seen, [heard(0), heard(1), Seen::Woken, heard(2), end]);
    assert_eq!((sim.resume(B), sim.held_up(B)), (0, 0));
}

#[test]
fn a_dial_to_a_paused_node_times_out_unless_it_goes_on_before() {
    for (pause, outcome) in [(11, Err(io::ErrorKind::TimedOut)), (5, Ok(()))] {
        let mut sim = toys(1, even(), 2);
        sim.pause(B);
        dial(&mut sim, A, B);
        sim.run_for(pause * SECOND);
        sim.resume(B);
        sim.run_for(20 * SECOND);
        assert_eq!(toy(&sim, A).failures(), outcome.err().as_slice());
        assert_eq!(toy(&sim, A).links().len(), usize::from(outcome.is_ok()));
        assert_eq!(toy(&sim, B).links().len(), usize::from(outcome.is_ok()));
    }
}

#[test]
fn a_paused_node_is_told_of_its_own_dials_when_it_goes_on() {
    let mut sim = toys(1, even(), 2);
    dial(&mut sim, A, B);
    sim.pause(A);
    sim.run_for(SECOND);
    assert_eq!(toy(&sim, A).log, []);
    sim.resume(A);
    sim.run_for(SECOND);
    let [(_, Seen::Opened { outgoing: true, .. })] = toy(&sim, A).log[..] else {
        panic!("{:?}", toy(&sim, A).log)
    };
}

#[test]
fn a_paused_node_is_not_told_of_what_leaves_meanwhile() {
    let weight = frame(0, 0).weight();
    for buffer in [None, Some(weight)] {
        let mut sim = toys(1, Network { buffer, ..even() }, 2);
        let (near, _) = link(&mut sim, A, B);
        let block = buffer.is_none().then(|| sim.add_rule(rule(A, B, Effect::Block)));
        say(&mut sim, A, near, 3);
        let before = toy(&sim, A).log.len();
        sim.pause(A);
        sim.run_for(SECOND);
        if let Some(block) = block {
            sim.remove_rule(block);
        }
        sim.run_for(SECOND);
        assert_eq!(toy(&sim, A).log.len(), before);
        // What it had said before gets away all the same.
        assert_eq!(toy(&sim, B).numbers(), [0, 1, 2]);
        sim.resume(A);
        assert_eq!(toy(&sim, A).waits(near), 0);
    }
}

#[test]
fn a_slow_node_takes_its_time_for_each_thing_and_its_dialler_is_not_kept_waiting_for_ever() {
    let mut sim = toys(1, even(), 3);
    let (near, _) = link(&mut sim, A, B);
    let start = sim.now();
    assert!(sim.slow_down(B, 100 * MILLI));
    say(&mut sim, A, near, 5);
    sim.run_for(2 * SECOND);
    let log = toy(&sim, B).log.iter().rev().take(5).rev();
    let times: Vec<u128> = log.map(|(at, _)| at.since(start).as_millis()).collect();
    assert_eq!(times, [10, 110, 210, 310, 410]);
    assert_eq!(sim.held_up(B), 4);
    // A queue of 15 s before the dial.
    say(&mut sim, A, near, 150);
    sim.run_for(MILLI);
    dial(&mut sim, C, B);
    sim.run_for(12 * SECOND);
    assert_eq!(toy(&sim, C).failures(), [io::ErrorKind::TimedOut]);
    sim.run_for(12 * SECOND);
    assert_eq!((toy(&sim, C).log.len(), toy(&sim, B).links().len()), (1, 1));
    sim.resume(B);
    assert_eq!(toy(&sim, B).numbers().len(), 155);
}

#[test]
fn a_dial_that_waits_at_a_slow_node_is_answered_even_if_that_one_goes_down() {
    let mut sim = toys(1, even(), 3);
    let (near, _) = link(&mut sim, A, B);
    sim.slow_down(B, SECOND);
    say(&mut sim, A, near, 5);
    dial(&mut sim, C, B);
    sim.run_for(SECOND);
    sim.crash(B, rs2p_simnet::Crash::Host);
    sim.run_for(20 * SECOND);
    assert_eq!(toy(&sim, C).failures(), [io::ErrorKind::TimedOut]);
}

#[test]
fn a_dial_from_one_slow_node_to_another_does_not_wander_between_them() {
    let mut sim = toys(1, even(), 2);
    sim.slow_down(A, 20 * MILLI);
    sim.slow_down(B, 20 * MILLI);
    for _ in 0..10 {
        [(A, B), (B, A)].iter().for_each(|(from, to)| dial(&mut sim, *from, *to));
    }
    sim.run_for(60 * SECOND);
    assert_eq!(sim.pending(), 0);
    assert_eq!((toy(&sim, A).links().len(), toy(&sim, B).links().len()), (20, 20));
}

#[test]
fn a_node_that_is_down_can_be_neither_paused_nor_slowed_down() {
    let mut sim = toys(1, even(), 2);
    sim.pause(A);
    sim.crash(A, rs2p_simnet::Crash::Process);
    assert_eq!((sim.pause(A), sim.slow_down(A, 5), sim.resume(A)), (false, false, 0));
    sim.restart(A, |address, seed, _| crate::toy::Toy::new(address, seed));
    link(&mut sim, B, A);
}
