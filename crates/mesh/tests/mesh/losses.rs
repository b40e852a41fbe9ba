//! Losing peers, and coming back to them (spec section 7.6).

use std::time::Duration;

use rs2p_base::{CloseReason, Time};
use rs2p_mesh::{MeshConfig, MeshEvent, SendError};
use rs2p_wire::IdForm;

use crate::harness::{Net, Who, address, at, id};
use crate::{dialled_by, is_one_component, passive, seeded};

/// When node 1 dialled node 2, in seconds since `since`.
fn dials_since(net: &Net, since: Time) -> Vec<f64> {
    let dials = net
        .dials
        .iter()
        .filter(|(time, from, to)| *time >= since && (*from, to) == (1, &address(2)));
    dials.map(|(time, ..)| time.since(since).as_secs_f64()).collect()
}

#[test]
fn a_lost_peer_is_dialled_again_after_a_second_or_so() {
    let mut net = Net::new();
    net.add(2, passive());
    net.add(1, seeded(&[2]));
    net.run(at(100_000));
    net.events(1);
    net.cut(net.link(Who::Node(1), Who::Node(2)));
    net.run_for(10);
    assert_eq!(net.peers(1), []);
    net.run_for(2_000);
    assert_eq!(net.peer_numbers(1), [2]);
    let events = net.events(1);
    let [MeshEvent::Disconnected { peer, reason }, MeshEvent::Connected(info)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((*peer, info.id, info.outgoing), (id(2), id(2), true));
    assert_eq!(*reason, CloseReason::Io("cut".into()));
}

#[test]
fn one_that_is_away_is_tried_ever_more_seldom_but_a_lonely_node_never_gives_up() {
    let mut net = Net::new();
    net.add(2, passive());
    net.add(1, MeshConfig::default());
    net.connect(1, 2);
    net.run(at(100_000));
    let gone = net.now;
    net.stop(2);
    net.run_for(3_600_000);
    let dials = dials_since(&net, gone);
    let waits: Vec<_> = dials.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(dials[0] < 2.0);
    assert!(waits[..4].windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait < 20.0), "{waits:?}");
    // An hour later it comes back.
    net.add(2, passive());
    net.run_for(20_000);
    assert_eq!(net.peer_numbers(1), [2]);
}

#[test]
fn with_other_peers_an_address_where_nobody_is_any_more_is_forgotten() {
    let mut net = Net::nodes([1]);
    net.add(2, passive());
    net.add(3, passive());
    net.connect(1, 2);
    net.connect(1, 3);
    net.run(at(100_000));
    let gone = net.now;
    net.stop(2);
    net.run_for(7_200_000);
    let dials = dials_since(&net, gone);
    assert!((8..=10).contains(&dials.len()), "{dials:?}");
    assert_eq!(net.mesh(1).status(net.now).addresses, 1);
}

#[test]
fn a_node_that_has_lost_everyone_rejoins_within_twenty_seconds_of_the_network_being_back() {
    let mut net = Net::new();
    net.add(1, MeshConfig::default());
    for number in 2..=8 {
        net.add(number, seeded(&[1]));
        net.run_for(500);
    }
    net.run(at(60_000));
    // The whole network around node 8 is gone for ten minutes.
    for number in 1..=7 {
        net.stop(number);
    }
    net.run(at(660_000));
    assert_eq!(net.peers(8), []);
    assert_eq!(net.call(8, |mesh, now| mesh.broadcast(now, ["x".into()])), Err(SendError::NoPeers));
    net.add(5, passive());
    net.run(at(680_000));
    assert_eq!(net.peer_numbers(8), [5]);
}

#[test]
fn a_network_cut_in_two_grows_together_again() {
    let mut net = Net::new();
    net.add(1, MeshConfig::default());
    for number in 2..=12 {
        net.add(number, seeded(&[1]));
        net.run_for(500);
    }
    net.run(at(60_000));
    // All links between the halves break, and nothing can be dialled across for five minutes.
    let is_far = |one: u8, other: u8| (one <= 6) != (other <= 6);
    for step in 0..3_000 {
        for one in 1..=12 {
            for other in net.peer_numbers(one).into_iter().filter(|other| is_far(one, *other)) {
                net.cut(net.link(Who::Node(one), Who::Node(other)));
            }
        }
        net.run(at(60_000 + 100 * step));
    }
    net.run_for(400_000);
    assert!(is_one_component(&net, 1..=12));
}

#[test]
fn a_peer_parted_from_is_not_dialled_again() {
    for is_seed in [true, false] {
        let mut net = Net::new();
        net.add(2, passive());
        net.add(3, passive());
        net.add(1, seeded(if is_seed { &[2, 3] } else { &[3] }));
        net.connect(1, 2);
        net.run(at(10_000));
        net.events(1);
        let before = dialled_by(&net, 1).len();
        assert!(net.call(1, |mesh, now| mesh.disconnect(now, id(2))));
        assert!(!net.call(1, |mesh, now| mesh.disconnect(now, id(2))), "once is enough");
        assert_eq!(net.peer_numbers(1), [3], "it is no peer from that moment on");
        let receipt = net.call(1, |mesh, now| mesh.broadcast(now, ["x".into()])).unwrap();
        assert_eq!(receipt.peers, 1);
        net.run_for(3_600_000);
        assert_eq!(dialled_by(&net, 1).len(), before);
        let gone = net.events(1).into_iter().filter(|event| {
            matches!(event, MeshEvent::Disconnected { peer, reason: CloseReason::Requested } if *peer == id(2))
        });
        assert_eq!(gone.count(), 1);
        assert!(!net.call(1, |mesh, now| mesh.disconnect(now, id(2))));
        // By hand, it is one again.
        net.connect(1, 2);
        assert_eq!(net.peer_numbers(1), [2, 3]);
    }
}

#[test]
fn connecting_right_after_parting_makes_a_new_link() {
    let mut net = Net::nodes([1, 2]);
    net.connect(1, 2);
    let link = net.link(Who::Node(1), Who::Node(2));
    net.call(1, |mesh, now| mesh.disconnect(now, id(2)));
    let request = net.call(1, |mesh, now| mesh.connect(now, address(2)));
    assert!(net.connected(1, request).is_none(), "not by the link that is closing");
    net.run_for(1_000);
    assert_eq!(net.connected(1, request).unwrap().unwrap(), id(2));
    assert_ne!(net.link(Who::Node(1), Who::Node(2)), link);
    assert_eq!(net.peer_numbers(1), [2]);
}

#[test]
fn a_peer_that_vanishes_without_a_word_is_missed_within_a_minute_and_replaced() {
    let mut net = Net::new();
    net.add(2, passive());
    net.add(1, seeded(&[2]));
    net.run(at(10_000));
    net.events(1);
    net.cut_silently(net.link(Who::Node(1), Who::Node(2)));
    net.run_for(61_000);
    let lost = net.events(1).into_iter().find_map(|event| match event {
        MeshEvent::Disconnected { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(lost, Some(CloseReason::Idle { seconds: 60 }));
    net.run_for(3_000);
    assert_eq!(net.peer_numbers(1), [2]);
    assert_eq!(net.peer_numbers(2), [1]);
}

#[test]
fn an_old_peer_that_is_lost_is_greeted_in_its_form_when_it_is_dialled_again() {
    for form in [IdForm::Bin, IdForm::Str] {
        let mut net = Net::nodes([1]);
        net.add_old(2, form);
        net.connect(1, 2);
        net.run(at(100_000));
        net.old_mut(2).clear();
        net.cut(net.link(Who::Node(1), Who::Old(2)));
        net.run_for(3_000);
        let greetings = net.old(2).heard_of(rs2p_wire::SubFlag::Handshake);
        assert_eq!(greetings.len(), 1, "no opening before it");
        assert_eq!((greetings[0].sender_form(), greetings[0].payload_len()), (form, 5));
        assert_eq!(net.peer_numbers(1), [2]);
    }
}

#[test]
fn a_claimed_address_does_not_change_what_is_known_of_who_was_met_there() {
    let mut net = Net::nodes([1]);
    net.add_old(2, IdForm::Bin);
    net.connect(1, 2);
    net.run(at(100_000));
    // A stranger of another kind says that it is found where old peer 2 is.
    net.add_old(3, IdForm::Str);
    net.old_mut(3).address = Some(address(2));
    net.dial_by_old(3, 1);
    net.run_for(1_000);
    net.cut(net.link(Who::Node(1), Who::Old(2)));
    net.old_mut(2).clear();
    // As long as the stranger is there, its word is taken.
    net.run_for(3_000);
    assert_eq!(net.peer_numbers(1), [3]);
    net.cut(net.link(Who::Node(1), Who::Old(3)));
    net.run_for(3_000);
    assert_eq!(net.peer_numbers(1), [2]);
    let greetings = net.old(2).heard_of(rs2p_wire::SubFlag::Handshake);
    assert_eq!(greetings.iter().map(|it| it.sender_form()).collect::<Vec<_>>(), [IdForm::Bin]);
}

#[test]
fn hundreds_of_losses_leave_nothing_behind() {
    let mut net = Net::new();
    net.add(2, passive());
    net.add(1, seeded(&[2]));
    net.run(at(10_000));
    for _ in 0..300 {
        if let [link, ..] = net.links_of(Who::Node(1))[..] {
            net.cut(link);
        }
        net.run_for(20_000);
    }
    let status = net.mesh(1).status(net.now);
    assert_eq!((status.peers, status.opening, status.dialling), (1, 0, 0));
    assert_eq!((status.addresses, net.links_of(Who::Node(2)).len()), (1, 1));
    assert!(status.uptime >= Duration::from_secs(6_000));
    assert_eq!(status.problems.len(), 16);
}
