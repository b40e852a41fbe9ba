//! Nodes that go down, and what the others see of it.

use std::io;

use rs2p_base::CloseReason;
use rs2p_simnet::{Crash, Effect};

use crate::toy::{Seen, Toy};
use crate::{A, B, C, MILLI, SECOND, dial, even, link, rule, say, toy, toys};

#[test]
fn a_process_that_ends_resets_its_links_and_refuses_dials() {
    let mut sim = toys(1, even(), 3);
    link(&mut sim, A, B);
    sim.crash(B, Crash::Process);
    assert!(!sim.is_up(B) && sim.links_of(B).is_empty());
    let start = sim.now();
    sim.run_for(SECOND);
    let (at, end) = toy(&sim, A).log.last().unwrap();
    assert!(matches!(end, Seen::Closed { reason: CloseReason::Io(_), .. }), "{end:?}");
    assert_eq!(at.since(start).as_millis(), 10);
    dial(&mut sim, C, B);
    sim.run_for(100 * MILLI);
    assert_eq!(toy(&sim, C).failures(), [io::ErrorKind::ConnectionRefused]);
}

#[test]
fn a_host_that_is_gone_leaves_its_links_open_and_lets_dials_time_out() {
    let mut sim = toys(1, even(), 3);
    let (near, _) = link(&mut sim, A, B);
    sim.crash(B, Crash::Host);
    say(&mut sim, A, near, 3);
    dial(&mut sim, C, B);
    sim.run_for(9 * SECOND);
    assert_eq!((toy(&sim, A).ends(), toy(&sim, C).failures()), (vec![], vec![]));
    sim.run_for(3 * SECOND);
    assert_eq!(toy(&sim, C).failures(), [io::ErrorKind::TimedOut]);
    assert_eq!((toy(&sim, A).links(), sim.counts().lost), (vec![near], 3));
    // Once it is back, it does not know the link.
    sim.restart(B, |address, seed, _| Toy::new(address, seed));
    sim.run_for(SECOND);
    assert_eq!(toy(&sim, A).ends(), []);
    say(&mut sim, A, near, 1);
    sim.run_for(SECOND);
    assert_eq!(toy(&sim, A).ends(), [CloseReason::Io("connection reset".into())]);
}

#[test]
fn an_address_where_there_has_never_been_a_node_refuses() {
    let mut sim = toys(1, even(), 1);
    dial(&mut sim, A, C);
    sim.call(A, |toy, _| toy.dial("seed.example:1".parse().unwrap()));
    sim.run_for(SECOND);
    assert_eq!(toy(&sim, A).failures(), [io::ErrorKind::ConnectionRefused; 2]);
    assert_eq!((sim.counts().dials_nowhere, sim.counts().dials_failed), (2, 2));
}

#[test]
fn a_node_that_comes_back_gets_what_it_was_and_a_new_seed() {
    let mut sim = toys(1, even(), 2);
    let first = toy(&sim, A).seed;
    for (life, how) in [(2, Crash::Process), (3, Crash::Host)] {
        sim.call(A, |toy, _| toy.memory += 7);
        sim.crash(A, how);
        sim.crash(A, how);
        assert!(sim.call(A, |toy, _| toy.memory).is_none());
        let restarted = sim.restart(A, |address, seed, former| {
            assert_ne!(seed, first);
            Toy::new(address, seed).with_memory(former.unwrap().memory)
        });
        assert!(restarted);
        assert!(!sim.restart(A, |_, _, _| panic!("it is up")));
        assert_eq!((toy(&sim, A).memory, sim.lives(A)), (7 * (life - 1), life));
        assert_eq!(toy(&sim, A).address, toys(1, even(), 2).machine(A).unwrap().address);
    }
}

#[test]
fn what_a_former_life_has_dialled_does_not_answer_a_later_one() {
    // The second life numbers its dials as the first one did.
    for (blocked, wait) in [(false, 5 * MILLI), (true, 5 * MILLI), (true, 5 * SECOND)] {
        let mut sim = toys(1, even(), 3);
        if blocked {
            sim.add_rule(rule(A, B, Effect::Block));
        }
        dial(&mut sim, A, B);
        sim.run_for(wait);
        sim.crash(A, Crash::Process);
        sim.restart(A, |address, seed, _| Toy::new(address, seed));
        // Toys look whether it is this address that answers.
        dial(&mut sim, A, C);
        sim.run_for(20 * SECOND);
        assert_eq!((toy(&sim, B).links().len(), toy(&sim, C).links().len()), (0, 1));
    }
}

#[test]
fn a_dial_that_is_given_up_has_no_answer() {
    for target in [B, C] {
        let mut sim = toys(1, even(), 2);
        sim.call(A, |toy, _| {
            let dial = toy.dial(target.address());
            toy.cancel(dial);
        });
        sim.run_for(20 * SECOND);
        assert_eq!((toy(&sim, A).log.len(), toy(&sim, B).log.len()), (0, 0));
    }
}
