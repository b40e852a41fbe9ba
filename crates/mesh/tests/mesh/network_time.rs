//! What time it is for the network: a node with a wrong clock goes by what most of its peers tell.

use rs2p_base::Time;
use rs2p_mesh::MeshEvent;
use rs2p_wire::{IdForm, MainFlag, Message, SubFlag};

use crate::harness::{Net, OldPeer, Who, address, at, id};
use crate::passive;

const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;

/// Node 1, whose clock is ahead by so many seconds, linked to others whose clocks go right, and that
/// are linked in a row.
fn among(ahead: i64, others: u8) -> Net {
    let mut net = Net::new();
    net.add(1, passive());
    net.set_ahead(1, ahead);
    for number in 2..2 + others {
        net.add(number, passive());
        net.connect(1, number);
        if number > 2 {
            net.connect(number, number - 1);
        }
    }
    net.run_for(1_000);
    net
}

fn say(net: &mut Net, number: u8, text: &str) {
    net.call(number, |mesh, now| mesh.broadcast(now, [text.into()])).unwrap();
    net.run_for(1_000);
}

fn clock_off(net: &Net, number: u8) -> i64 {
    net.mesh(number).status(net.clock(number)).clock_off
}

fn is_told(net: &Net, number: u8) -> bool {
    let problems = net.mesh(number).status(net.clock(number)).problems;
    problems.iter().any(|(_, problem)| problem.contains("clock"))
}

/// The times of the broadcasts that have come to a node.
fn times(net: &mut Net, number: u8) -> Vec<u64> {
    let time = |event| match event {
        MeshEvent::Message(received) => Some(received.time()),
        _ => None,
    };
    net.events(number).into_iter().filter_map(time).collect()
}

#[test]
fn a_node_whose_clock_is_wrong_hears_and_is_heard_and_is_told_to_set_it() {
    for ahead in [-HOUR, -61, 61, HOUR, YEAR] {
        let mut net = among(ahead, 3);
        say(&mut net, 1, "from one with a wrong clock");
        for number in 2..=4 {
            assert_eq!(net.texts(number), ["from one with a wrong clock"], "{ahead}");
        }
        for number in 2..=4 {
            say(&mut net, number, "to it");
        }
        assert_eq!(net.texts(1), ["to it"; 3], "{ahead}");
        assert!((clock_off(&net, 1) + ahead).abs() <= 1, "{ahead}: {}", clock_off(&net, 1));
        assert!(is_told(&net, 1));
        let way = if ahead < 0 { "behind" } else { "ahead of" };
        let problems = net.mesh(1).status(net.clock(1)).problems;
        assert!(problems.iter().any(|(_, it)| it.contains(way)), "{problems:?}");
        for number in 2..=4 {
            assert_eq!((clock_off(&net, number), is_told(&net, number)), (0, false), "{ahead}");
        }
        assert_eq!(net.mesh(1).status(net.clock(1)).counts.expired, 0);
    }
}

#[test]
fn the_time_on_the_wire_is_the_networks() {
    for ahead in [-HOUR, YEAR] {
        let mut net = among(ahead, 3);
        let now = net.now.as_secs();
        say(&mut net, 1, "x");
        let times = times(&mut net, 2);
        assert!(times.len() == 1 && times[0].abs_diff(now) <= 1, "{times:?}, not {now}");
        let network = net.mesh(1).network_time(net.clock(1));
        assert!(network.as_secs().abs_diff(net.now.as_secs()) <= 1);
    }
}

#[test]
fn with_a_single_peer_a_node_keeps_its_own_time() {
    let mut net = among(HOUR, 1);
    say(&mut net, 1, "x");
    say(&mut net, 2, "y");
    assert_eq!((clock_off(&net, 1), clock_off(&net, 2)), (0, 0));
    assert_eq!((is_told(&net, 1), is_told(&net, 2)), (false, false));
    assert_eq!(times(&mut net, 2), [net.clock(1).as_secs() - 2]);
    let own = net.clock(1);
    assert_eq!(net.mesh(1).network_time(own), own);
}

#[test]
fn differences_of_up_to_twenty_seconds_are_left_alone() {
    for (ahead, off) in [(-20, 0), (-19, 0), (19, 0), (20, 0), (-23, 23), (23, -23)] {
        let mut net = among(ahead, 4);
        say(&mut net, 1, "x");
        assert!((clock_off(&net, 1) - off).abs() <= 1, "{ahead}: {}", clock_off(&net, 1));
        assert_eq!((off == 0, is_told(&net, 1)), (clock_off(&net, 1) == 0, off != 0), "{ahead}");
    }
}

/// Node 1, with so many peers that tell the right time, and so many that lie by so much.
fn with_liars(honest: u8, liars: u8, ahead: i64) -> Net {
    let mut net = Net::new();
    net.add(1, passive());
    for number in 10..10 + honest + liars {
        net.add_old(number, IdForm::Bin);
        net.dial_by_old(number, 1);
    }
    net.run(at(1_000));
    for number in 10..10 + honest + liars {
        let ahead = if number < 10 + honest { 0 } else { ahead };
        tell_time(&mut net, number, ahead);
    }
    net.run_for(10_000);
    net
}

/// An old peer whispers something, with the time that it says it is.
fn tell_time(net: &mut Net, number: u8, ahead: i64) {
    let message = written(net.old(number), net.now, ahead);
    net.say(number, &message);
}

fn written(old: &OldPeer, now: Time, ahead: i64) -> Message {
    let time = Time::from_secs(now.as_secs().saturating_add_signed(ahead));
    let payload = [SubFlag::Whisper.into(), "tick".into()];
    old.message(time, MainFlag::Whisper, &payload)
}

#[test]
fn a_minority_that_lies_changes_nothing() {
    for ahead in [-YEAR, -HOUR, HOUR, YEAR] {
        for (honest, liars) in [(0, 1), (1, 2), (2, 3), (3, 3), (3, 1)] {
            let mut net = with_liars(honest, liars, ahead);
            say(&mut net, 1, "x");
            assert_eq!(clock_off(&net, 1), 0, "{liars} of {} lie by {ahead}", honest + liars);
            assert!(!is_told(&net, 1));
        }
    }
}

#[test]
fn liars_that_disagree_do_not_move_the_time_far_either() {
    let mut net = with_liars(3, 0, 0);
    for (number, ahead) in [(20, -YEAR), (21, YEAR), (22, HOUR)] {
        net.add_old(number, IdForm::Bin);
        net.dial_by_old(number, 1);
        net.run_for(1_000);
        tell_time(&mut net, number, ahead);
    }
    net.run_for(10_000);
    say(&mut net, 1, "x");
    assert_eq!(clock_off(&net, 1), 0);
}

#[test]
fn whatever_time_peers_tell_nothing_overflows() {
    for written in [0, 1, u64::MAX, u64::MAX / 1_000, u64::from(u32::MAX)] {
        let mut net = with_liars(0, 4, 0);
        for number in 10..14 {
            let old = net.old(number);
            let payload = [SubFlag::Whisper.into(), "tick".into()];
            let time = Time::from_secs(written);
            let message = old.message(time, MainFlag::Whisper, &payload);
            net.say(number, &message);
        }
        net.run_for(10_000);
        say(&mut net, 1, "x");
        assert!(net.mesh(1).network_time(net.now) > Time::default());
        assert_eq!(net.peer_numbers(1), [10, 11, 12, 13]);
    }
}

#[test]
fn the_time_of_broadcasts_is_no_vote_for_they_may_be_old() {
    let mut net = with_liars(3, 0, 0);
    for number in 10..13 {
        let old = Time::from_secs(net.now.as_secs() - HOUR as u64);
        let message = net.old(number).broadcast(old, "an hour old");
        net.say(number, &message);
    }
    net.run_for(10_000);
    say(&mut net, 1, "x");
    assert_eq!(clock_off(&net, 1), 0);
    let status = net.mesh(1).status(net.now);
    assert_eq!((status.counts.expired, status.counts.delivered), (3, 3));
}

#[test]
fn a_clock_that_is_set_right_is_trusted_again_and_a_node_that_was_behind_catches_up() {
    let mut net = among(-HOUR, 3);
    say(&mut net, 1, "x");
    assert!(clock_off(&net, 1) > 0);
    net.set_ahead(1, 0);
    // Each peer is heard of once a minute at least.
    net.run_for(90_000);
    say(&mut net, 1, "y");
    assert_eq!(clock_off(&net, 1), 0);
    for number in 2..=4 {
        assert_eq!(net.texts(number), ["x", "y"]);
    }
    assert_eq!(net.links_of(Who::Node(1)).len(), 3);
}

#[test]
fn two_nodes_with_the_same_wrong_clock_among_five_are_set_right_by_the_others() {
    let mut net = Net::new();
    for number in 1..=5 {
        net.add(number, passive());
    }
    net.set_ahead(1, HOUR);
    net.set_ahead(2, HOUR);
    for one in 1..=5 {
        for other in one + 1..=5 {
            net.call(one, |mesh, now| mesh.connect(now, address(other)));
            net.run_for(200);
        }
    }
    net.run_for(60_000);
    for number in 1..=5 {
        say(&mut net, number, "x");
        net.run_for(6_000);
    }
    for number in 1..=5 {
        assert_eq!(net.texts(number).len(), 4, "node {number}");
        let network = net.mesh(number).network_time(net.clock(number)).as_secs();
        assert!(network.abs_diff(net.now.as_secs()) <= 2, "{}", id(number));
    }
}
