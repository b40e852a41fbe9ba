//! A link's number is a place in a table, and places are used again: a network may run for ever.

use rs2p_base::LinkId;
use rs2p_simnet::{Crash, Effect, Network, Sim};

use crate::toy::{Toy, frame};
use crate::{A, B, SECOND, even, link, rule, say, toys};

/// The largest place that links take which open and end again and again in some way.
fn largest(network: Network, mut end: impl FnMut(&mut Sim<Toy>, LinkId, LinkId)) -> u32 {
    let mut sim = toys(1, network, 2);
    let mut largest = 0;
    for _ in 0..50 {
        let (near, far) = link(&mut sim, A, B);
        largest = largest.max(near.0 as u32).max(far.0 as u32);
        end(&mut sim, near, far);
        sim.run_for(60 * SECOND);
        for node in [A, B] {
            sim.restart(node, |address, seed, _| Toy::new(address, seed));
        }
    }
    assert_eq!(sim.counts().links, 50);
    largest
}

/// Takes no more than so many bytes on its way.
fn narrow() -> Network {
    Network { buffer: Some(frame(0, 0).weight()), ..even() }
}

#[test]
fn links_that_are_closed_or_broken_leave_nothing_behind() {
    let closed = |sim: &mut Sim<Toy>, near: LinkId, _| {
        say(sim, A, near, 2);
        sim.call(A, |toy, _| toy.close(near)).unwrap();
    };
    assert_eq!(largest(even(), closed), 1);
    let at_both_ends = |sim: &mut Sim<Toy>, near: LinkId, far: LinkId| {
        sim.call(A, |toy, _| toy.close(near)).unwrap();
        sim.call(B, |toy, _| toy.close(far)).unwrap();
    };
    assert_eq!(largest(even(), at_both_ends), 1);
    let broken = |sim: &mut Sim<Toy>, near: LinkId, _| assert!(sim.reset_link(near));
    assert_eq!(largest(even(), broken), 1);
}

#[test]
fn nodes_that_go_down_leave_nothing_behind() {
    for how in [Crash::Process, Crash::Host] {
        let crashed = |sim: &mut Sim<Toy>, near: LinkId, _| {
            sim.crash(B, how);
            sim.run_for(SECOND);
            sim.call(A, |toy, _| toy.close(near)).unwrap();
        };
        assert_eq!(largest(even(), crashed), 1, "{how:?}");
    }
}

#[test]
fn what_waited_on_a_link_when_both_its_ends_were_gone_is_let_go() {
    let blocked = |sim: &mut Sim<Toy>, near: LinkId, far: LinkId| {
        let rules = [rule(A, B, Effect::Block), rule(B, A, Effect::Block)];
        let rules = rules.map(|rule| sim.add_rule(rule));
        say(sim, A, near, 2);
        sim.call(A, |toy, _| toy.close(near)).unwrap();
        sim.call(B, |toy, _| toy.close(far)).unwrap();
        sim.run_for(SECOND);
        for rule in rules {
            sim.remove_rule(rule);
        }
    };
    assert_eq!(largest(even(), blocked), 1);
    let unread = |sim: &mut Sim<Toy>, near: LinkId, far: LinkId| {
        sim.pause(B);
        say(sim, A, near, 3);
        sim.call(A, |toy, _| toy.close(near)).unwrap();
        sim.call(B, |toy, _| toy.close(far)).unwrap();
        sim.resume(B);
    };
    assert_eq!(largest(narrow(), unread), 1);
    for how in [Crash::Process, Crash::Host] {
        let crashed = |sim: &mut Sim<Toy>, near: LinkId, _| {
            sim.pause(B);
            say(sim, A, near, 3);
            sim.run_for(SECOND);
            sim.crash(B, how);
            sim.call(A, |toy, _| toy.close(near)).unwrap();
        };
        assert_eq!(largest(narrow(), crashed), 1, "{how:?}");
        let closed_before = |sim: &mut Sim<Toy>, near: LinkId, _| {
            say(sim, A, near, 3);
            sim.call(A, |toy, _| toy.close(near)).unwrap();
            sim.crash(B, how);
        };
        assert_eq!(largest(narrow(), closed_before), 1, "{how:?}");
    }
}
