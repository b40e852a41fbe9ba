//! Waiting, and clocks that go wrong.

use std::time::Duration;

use rand::RngExt as _;
use rs2p_simnet::{Sim, stream};

use crate::toy::{Seen, Toy};
use crate::{A, B, SECOND, even, link, say, toy, toys};

#[test]
fn what_is_waited_for_ends_the_waiting_and_nothing_else_does() {
    let mut sim = toys(1, even(), 2);
    let woken = |sim: &Sim<Toy>| !toy(sim, A).log.is_empty();
    let due = sim.clock_of(A) + Duration::from_secs(3);
    sim.call(A, |toy, _| toy.wake_at(due));
    assert!(!sim.wait_for(2 * SECOND, woken));
    assert_eq!(sim.elapsed_micros(), 2 * SECOND);
    assert!(sim.wait_for(60 * SECOND, woken));
    assert_eq!(sim.elapsed_micros(), 3 * SECOND);
    assert!(sim.wait_for(60 * SECOND, woken));
    assert_eq!(sim.elapsed_micros(), 3 * SECOND);
}

#[test]
fn a_node_goes_by_its_own_clock() {
    let mut sim = toys(1, even(), 2);
    let year = 365 * 86_400_000;
    for (skew, ahead) in [(3_600_000, 3_600_000), (year, year)] {
        sim.set_skew(A, skew);
        let (right, own) = (sim.now().as_millis(), sim.clock_of(A).as_millis());
        assert_eq!((own - right) as i64, ahead);
        assert_eq!(sim.clock_of(B), sim.now());
    }
    let mut sim = toys(1, even(), 2);
    sim.run_for(10 * SECOND);
    sim.set_skew(A, 5_000);
    // A deadline comes when the node's own clock says so, wherever it stands.
    let due = sim.clock_of(A) + Duration::from_secs(3);
    sim.call(A, |toy, _| toy.wake_at(due));
    sim.run_for(2_999_000);
    assert_eq!(toy(&sim, A).log, []);
    sim.run_for(1_000);
    assert_eq!(toy(&sim, A).log, [(due, Seen::Woken)]);
}

#[test]
fn a_clock_that_jumps_ahead_makes_what_it_passes_due_at_once() {
    let mut sim = toys(1, even(), 1);
    let due = sim.clock_of(A) + Duration::from_secs(60);
    sim.call(A, |toy, _| toy.wake_at(due));
    sim.run_for(SECOND);
    sim.set_skew(A, 100_000);
    sim.run_for(1);
    assert_eq!(toy(&sim, A).log.len(), 1);
}

#[test]
fn a_clock_that_is_set_back_stops_no_deadline() {
    let mut sim = toys(1, even(), 1);
    sim.set_skew(A, 365 * 86_400_000);
    sim.run_for(SECOND);
    let due = sim.clock_of(A) + Duration::from_secs(60);
    sim.call(A, |toy, _| toy.wake_at(due));
    sim.set_skew(A, 0);
    sim.run_for(59 * SECOND);
    assert_eq!(toy(&sim, A).log, []);
    sim.run_for(SECOND);
    assert_eq!(toy(&sim, A).log, [(due, Seen::Woken)]);
}

#[test]
fn whatever_is_done_to_its_clock_no_node_sees_time_go_back() {
    let mut rng = stream(1, "clocks", 0);
    let mut sim = toys(1, even(), 2);
    let (near, far) = link(&mut sim, A, B);
    for _ in 0..500 {
        let skew = rng.random_range(-100_000..100_000);
        sim.set_skew(A, skew);
        say(&mut sim, B, far, 1);
        sim.run_for(rng.random_range(0..SECOND));
        sim.call(A, |toy, now| toy.wake_at(now + Duration::from_millis(50)));
        say(&mut sim, A, near, 1);
    }
    sim.run_for(10 * SECOND);
    assert_eq!(toy(&sim, A).tally(near), (500, 500));
    assert!(toy(&sim, A).log.iter().is_sorted_by_key(|(at, _)| *at));
}
