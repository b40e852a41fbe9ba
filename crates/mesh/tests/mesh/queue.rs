//! Peers that do not read (spec section 13, py2p 3: read eagerly, or lose the link).

use rs2p_base::{CloseReason, LinkConfig, LinkId};
use rs2p_mesh::{DeliverError, MeshConfig, MeshEvent, SendError};
use rs2p_wire::{IdForm, SubFlag};

use crate::harness::{Net, Who, address, at, id};
use crate::passive;

const LIMIT: usize = 64 << 10;

/// Node 1 with little room in its queues, linked to nodes 2 and 3, of which 2 does not read.
fn net() -> (Net, LinkId) {
    let mut net = Net::new();
    let link = LinkConfig { send_queue: LIMIT, ..LinkConfig::default() };
    net.add(1, MeshConfig { link, ..passive() });
    net.add(2, passive());
    net.add(3, passive());
    net.connect(1, 2);
    net.connect(1, 3);
    let link = net.link(Who::Node(1), Who::Node(2));
    net.hold(link);
    net.events(1);
    (net, link)
}

/// Broadcasts of 1 KiB until one is refused; how many were taken.
fn fill(net: &mut Net) -> usize {
    let text = "x".repeat(1 << 10);
    let mut taken = 0;
    loop {
        match net.call(1, |mesh, now| mesh.broadcast(now, [text.clone().into(), taken.into()])) {
            Ok(receipt) => assert_eq!(receipt.peers, 2),
            Err(SendError::QueueFull(full)) => {
                assert!(full.queued >= LIMIT && full.limit == LIMIT);
                return taken;
            }
            Err(error) => panic!("{error}"),
        }
        taken += 1;
    }
}

#[test]
fn while_one_peer_does_not_read_nothing_is_sent_to_anyone_and_the_caller_is_told() {
    let (mut net, link) = net();
    let taken = fill(&mut net);
    assert!((55..=64).contains(&taken), "{taken}");
    net.run_for(100);
    assert_eq!(net.texts(3).len(), taken);
    let refused = net.call(1, |mesh, now| mesh.whisper(now, ["x".into()]));
    assert!(matches!(refused, Err(SendError::QueueFull(full)) if full.link == link));
    let refused = net.call(1, |mesh, now| mesh.send_to(now, id(2), ["x".into()]));
    assert!(matches!(refused, Err(SendError::QueueFull(_))));
    // To the other it can still be said what is for the other alone.
    assert!(net.call(1, |mesh, now| mesh.send_to(now, id(3), ["to you".into()])).is_ok());
    net.run_for(100);
    assert_eq!(net.texts(3), ["to you"]);
    assert_eq!(net.mesh(1).status(net.now).counts.sent, taken as u64 + 1);
    assert_eq!(net.mesh(1).peer(id(2)).unwrap().queued, net.mesh(1).link(link).unwrap().queued());
}

#[test]
fn when_the_peer_reads_again_sending_goes_on() {
    let (mut net, link) = net();
    let taken = fill(&mut net);
    net.run_for(5_000);
    net.release(link);
    net.run_for(100);
    assert_eq!(net.texts(2).len(), taken);
    assert_eq!(net.call(1, |mesh, _| mesh.check_room()), Ok(()));
    assert!(net.call(1, |mesh, now| mesh.broadcast(now, ["on".into()])).is_ok());
    net.run_for(60_000);
    assert_eq!(net.texts(2), ["on"]);
    assert_eq!(net.peer_numbers(1), [2, 3]);
}

#[test]
fn a_peer_that_never_reads_loses_its_link_after_ten_seconds_and_the_others_go_on() {
    let (mut net, _) = net();
    fill(&mut net);
    net.run_for(9_999);
    assert_eq!(net.peer_numbers(1), [2, 3]);
    net.run_for(1);
    assert_eq!(net.peer_numbers(1), [3]);
    // From that moment on, the peer is none.
    let receipt = net.call(1, |mesh, now| mesh.broadcast(now, ["on".into()])).unwrap();
    assert_eq!(receipt.peers, 1);
    let reason = net.events(1).into_iter().find_map(|event| match event {
        MeshEvent::Disconnected { reason, .. } => Some(reason),
        _ => None,
    });
    assert!(matches!(reason, Some(CloseReason::SlowReader { limit: LIMIT, .. })));
}

#[test]
fn broadcasts_of_others_are_passed_on_whatever_waits() {
    let (mut net, link) = net();
    fill(&mut net);
    net.run_for(100);
    net.texts(3);
    net.call(3, |mesh, now| mesh.broadcast(now, ["by another".into()])).unwrap();
    net.run_for(100);
    net.release(link);
    net.run_for(100);
    assert_eq!(net.texts(2).last().unwrap(), "by another");
}

#[test]
fn a_deferred_message_that_finds_the_queue_full_is_told_as_such() {
    // The one that is written to has a full queue from its handshake and list on.
    let mut net = Net::new();
    let link = LinkConfig { send_queue: 1, ..LinkConfig::default() };
    net.add(1, MeshConfig { link, ..passive() });
    net.add(2, passive());
    net.add_old(3, IdForm::Bin);
    net.connect(1, 2);
    net.call(2, |mesh, now| mesh.connect(now, address(3)));
    net.run_for(1_000);
    net.call(1, |mesh, now| mesh.send_to(now, id(3), ["x".into()])).unwrap();
    net.run_for(1_000);
    let result = net.events(1).into_iter().find_map(|event| match event {
        MeshEvent::Delivered { result, .. } => Some(result),
        _ => None,
    });
    assert!(matches!(result, Some(Err(DeliverError::Send(SendError::QueueFull(_))))), "{result:?}");
    assert_eq!(net.old(3).heard_of(SubFlag::Whisper), []);
    assert!(net.now > at(2_000));
}
