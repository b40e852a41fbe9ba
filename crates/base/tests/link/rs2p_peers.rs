//! Two rs2p nodes, from both ends.

use std::sync::Arc;
use std::time::Duration;

use rs2p_base::{Capability, CloseReason, Handshake, LinkConfig, LocalNode, Origin, Protocol};
use rs2p_wire::{Compression, IdForm};

use crate::harness::{End, Told};
use crate::pair::{Pair, Side};
use crate::{DIALLED, OURS, THEIRS, at, frame, greeting, handshakes, id, node, node_with};

const LATENCY: Duration = Duration::from_millis(20);

#[test]
fn two_nodes_are_established_by_one_handshake_each_and_without_any_deadline() {
    let mut pair = Pair::open(&node(OURS), &node(THEIRS), None, LATENCY);
    pair.run(at(19));
    assert_eq!(pair.acceptor.told, []);
    pair.run(at(20));
    assert_eq!(pair.acceptor.told, [Told::Established]);
    pair.run(at(40));
    assert_eq!(pair.dialler.told, [Told::Established]);

    pair.run(at(30_000));
    let bin = IdForm::Bin;
    assert_eq!(pair.sent, [(0, Side::Dialler, bin, 6), (20, Side::Acceptor, bin, 5)]);
    assert_eq!((pair.dialler.alarms, pair.acceptor.alarms), (0, 0));
    assert_eq!(pair.dialler.link.poll_timeout(), Some(at(30_040)));
    assert_eq!(pair.acceptor.link.poll_timeout(), Some(at(30_020)));
    for (end, peer) in [(&pair.dialler, THEIRS), (&pair.acceptor, OURS)] {
        assert_eq!(end.told, [Told::Established]);
        assert_eq!(end.peer().unwrap().id, id(peer));
        assert_eq!(end.link.compression(), Some(Compression::Snappy));
        assert!(end.link.gathers());
        assert_eq!(end.link.queued(), 0);
    }
}

#[test]
fn the_opening_is_all_that_an_rs2p_peer_ever_gets() {
    let plain = greeting(IdForm::Bin);
    let first = Handshake { capabilities: [Capability::RS2P].into(), ..plain.clone() };
    let stranger = Handshake { protocol: "elsewhere".into(), ..plain.clone() };
    let mut end = End::open(DIALLED, &node(OURS), None);
    assert_eq!(end.take_sent().len(), 1);
    for handshake in [&first, &first, &plain, &stranger] {
        end.receive(at(20), &frame(handshake));
        assert!(end.take_sent().is_empty());
    }
    assert_eq!(end.told[..3], [Told::Established, Told::Repeated, Told::Repeated]);
    assert!(matches!(end.closed(), Some(CloseReason::OtherNetwork { .. })));
}

#[test]
fn a_dialler_that_knows_the_form_opens_with_the_handshake_proper() {
    for form in [IdForm::Bin, IdForm::Str] {
        let mut pair = Pair::open(&node(OURS), &node(THEIRS), Some(form), LATENCY);
        pair.run(at(30_000));
        assert_eq!(pair.sent, [(0, Side::Dialler, form, 5), (20, Side::Acceptor, form, 5)]);
        assert_eq!(pair.dialler.told, [Told::Established]);
        assert_eq!(pair.acceptor.told, [Told::Established]);
        assert_eq!((pair.dialler.alarms, pair.acceptor.alarms), (0, 0));
    }
}

#[test]
fn over_websocket_both_ends_send_text_at_once() {
    for encryption in ["ws", "wss"] {
        let node = |number| node_with(number, encryption, LinkConfig::default());
        let mut pair = Pair::open(&node(OURS), &node(THEIRS), None, LATENCY);
        pair.run(at(20));
        let text = IdForm::Str;
        assert_eq!(pair.sent, [(0, Side::Dialler, text, 5), (0, Side::Acceptor, text, 5)]);
        assert_eq!(pair.dialler.told, [Told::Established]);
        assert_eq!(pair.acceptor.told, [Told::Established]);
    }
}

#[test]
fn over_three_seconds_of_latency_both_greet_unasked_and_the_link_comes_about() {
    let slow = Duration::from_secs(3);
    let mut pair = Pair::open(&node(OURS), &node(THEIRS), None, slow);
    pair.run(at(900_000));
    let bin = IdForm::Bin;
    assert_eq!(
        pair.sent,
        [
            (0, Side::Dialler, bin, 6),
            (1_000, Side::Dialler, bin, 5),
            (1_000, Side::Acceptor, bin, 5)
        ]
    );
    assert_eq!(pair.acceptor.told, [Told::Established, Told::Repeated]);
    assert_eq!(pair.dialler.told, [Told::Established]);
}

#[test]
fn both_ends_learn_that_a_node_has_reached_itself() {
    for form in [None, Some(IdForm::Bin)] {
        let node = node(OURS);
        let mut pair = Pair::open(&node, &node, form, LATENCY);
        pair.run(at(100));
        assert_eq!(pair.dialler.told, [Told::Closed(CloseReason::Itself)]);
        assert_eq!(pair.acceptor.told, [Told::Closed(CloseReason::Itself)]);
    }
}

#[test]
fn capabilities_are_announced_and_read() {
    let protocol = Protocol::new("mesh", "Plaintext");
    let local = LocalNode::new(id(OURS), &protocol, None, LinkConfig::default())
        .with_capability(Capability::new(7))
        .with_capability(Capability::new(63));
    let mut pair = Pair::open(&Arc::new(local), &node(THEIRS), None, LATENCY);
    pair.run(at(100));
    let dialler = pair.acceptor.peer().unwrap();
    let announced = [Capability::RS2P, Capability::new(7), Capability::new(63)];
    assert_eq!(*dialler.capabilities, announced);
    assert_eq!(*pair.dialler.peer().unwrap().capabilities, [Capability::RS2P]);
}

#[test]
fn numbers_that_mean_nothing_to_this_node_are_passed_over() {
    let mut peer = greeting(IdForm::Bin);
    peer.methods = [0x14, 0x3f, 19, 0x80, u64::MAX].into();
    peer.capabilities = [Capability::new(60)].into();
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &frame(&peer));
    assert_eq!(end.told, [Told::Established]);
    assert_eq!(end.peer(), Some(peer));
    assert_eq!(end.link.compression(), Some(Compression::Zlib));
    assert!(!end.link.gathers(), "capability 60 alone does not make an rs2p node");
}

#[test]
fn a_handshake_announces_who_and_where_the_node_is() {
    let mut end = End::open(Origin::Accepted, &node(OURS), Some(IdForm::Str));
    let sent = handshakes(&end.take_sent());
    assert_eq!(sent[0].id, id(OURS));
    assert_eq!(*sent[0].protocol, *"EpAmyZWv9rZUKmjQgU3FTUD4GrJHvVEXizmghVBc8eGD");
    assert_eq!(sent[0].address, Some("127.0.0.1:4034".parse().unwrap()));
    assert_eq!(*sent[0].methods, [32, 19, 17, 16, 18]);
}

#[test]
fn what_the_peers_tell_alike_is_kept_once_for_all_links() {
    let local = node(OURS);
    let peers = [1, 2].map(|number| {
        let mut end = End::open(Origin::Accepted, &local, None);
        let methods = [32, 19, 17, 16, 18].into();
        end.receive(
            at(1),
            &frame(&Handshake { id: id(number), methods, ..crate::rs2p_greeting() }),
        );
        end.link.peer().unwrap().clone()
    });
    assert!(Arc::ptr_eq(&peers[0].protocol, &peers[1].protocol));
    assert!(Arc::ptr_eq(&peers[0].methods, &peers[1].methods));
    assert!(Arc::ptr_eq(&peers[0].capabilities, &peers[1].capabilities));
}
