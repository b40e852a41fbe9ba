//! Broadcasts: everyone hears each one once (spec section 7.3).

use std::collections::BTreeSet;

use bytes::{BufMut as _, Bytes, BytesMut};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use rs2p_base::Handshake;
use rs2p_mesh::{MeshCounts, MeshEvent, SendError};
use rs2p_wire::{
    EncodeError, Frame, IdForm, Limits, MainFlag, Message, MessageError, SubFlag, Value,
};

use crate::harness::{Net, START, Who, address, at, id};
use crate::{passive, with_old_peers};

fn net_of(count: u8, edges: impl IntoIterator<Item = (u8, u8)>) -> Net {
    let mut net = Net::new();
    (1..=count).for_each(|number| net.add(number, passive()));
    for (from, to) in edges {
        net.call(from, |mesh, now| mesh.connect(now, address(to)));
    }
    net.run(at(1_000));
    net
}

/// Each node says something at once, and everyone else hears it once.
fn everyone_hears_everyone(net: &mut Net, count: u8) {
    for number in 1..=count {
        net.events(number);
        let text = format!("by {number}");
        let receipt = net.call(number, |mesh, now| mesh.broadcast(now, [text.into()]));
        assert_eq!(receipt.unwrap().peers, net.peers(number).len());
    }
    net.run_for(2_000);
    for number in 1..=count {
        let mut heard = net.texts(number);
        heard.sort();
        let others = (1..=count).filter(|other| *other != number);
        let mut said: Vec<_> = others.map(|other| format!("by {other}")).collect();
        said.sort();
        assert_eq!(heard, said, "node {number}");
    }
}

fn counts(net: &Net, number: u8) -> MeshCounts {
    net.mesh(number).status(net.now).counts
}

fn broadcast(time: u64, payload: &[Value]) -> Message {
    let sender = id(99).to_string();
    let limits = Limits::default();
    Message::encode(MainFlag::Broadcast, IdForm::Bin, &sender, time, payload, &limits).unwrap()
}

/// A frame of this body.
fn frame(body: &[u8]) -> Bytes {
    // The digest is taken from a message that differs behind its end only, where anything may be.
    let mut bytes = BytesMut::new();
    bytes.put_u32(32 + body.len() as u32);
    bytes.put_slice(&sha256(body));
    bytes.put_slice(body);
    bytes.freeze()
}

fn sha256(body: &[u8]) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(body).into()
}

/// The body `[0, sender, time, payload]`, the payload's elements as they stand.
fn body(now: u64, sender: &[u8], payload: &[&[u8]]) -> Vec<u8> {
    let mut body = vec![0x93 + payload.len() as u8, 0];
    body.extend_from_slice(sender);
    body.push(0xce);
    body.extend_from_slice(&(now as u32).to_be_bytes());
    payload.iter().for_each(|packet| body.extend_from_slice(packet));
    body
}

#[test]
fn in_a_line_everyone_hears_each_broadcast_once() {
    let mut net = net_of(8, (1..8).map(|number| (number, number + 1)));
    everyone_hears_everyone(&mut net, 8);
    for number in 1..=8 {
        assert_eq!(counts(&net, number).duplicates, 0, "nothing goes back where it came from");
    }
}

#[test]
fn in_a_ring_everyone_hears_each_broadcast_once() {
    let mut net = net_of(7, (1..=7).map(|number| (number, number % 7 + 1)));
    everyone_hears_everyone(&mut net, 7);
    // The two halves of each broadcast meet on the far side, on the link between two nodes.
    let duplicates: u64 = (1..=7).map(|number| counts(&net, number).duplicates).sum();
    assert_eq!(duplicates, 2 * 7);
}

#[test]
fn in_any_graph_everyone_hears_each_broadcast_once() {
    for seed in 0..10 {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let tree = (2..=20).map(|number| (number, rng.random_range(1..number))).collect::<Vec<_>>();
        let more = (0..20).map(|_| (rng.random_range(1..=20), rng.random_range(1..=20)));
        let edges = tree.into_iter().chain(more.collect::<Vec<_>>());
        let mut net = net_of(20, edges.filter(|(from, to)| from != to));
        net.drops_known = seed % 2 == 0;
        everyone_hears_everyone(&mut net, 20);
    }
}

#[test]
fn the_bytes_passed_on_are_the_bytes_received() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin), (4, IdForm::Str)]);
    // Numbers in longer forms than need be, a float, a timestamp, and something behind the end.
    let sender = [&[0xc5, 0, 66][..], id(99).to_string().as_bytes()].concat();
    let odd = [0xcf, 0, 0, 0, 0, 0, 0, 0, 0, 0xca, 0x3f, 0x80, 0, 0, 0xd6, 0xff, 1, 2, 3, 4];
    let mut body = body(START.as_secs(), &sender, &[&odd[..9], &odd[9..14], &odd[14..]]);
    body.extend_from_slice(b"behind");
    net.say_bytes(2, frame(&body));
    net.run_for(100);
    for number in [3, 4] {
        let heard = net.old(number).heard_of(SubFlag::Broadcast);
        assert_eq!(heard.iter().map(Message::body).collect::<Vec<_>>(), [&body[..]]);
    }
}

#[test]
fn a_broadcast_goes_back_neither_to_the_link_it_came_on_nor_to_its_author() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Str), (4, IdForm::Bin)]);
    // Written by 3, who has its id as str, and passed on by 2, who would write it as bin.
    let message = net.old(3).broadcast(net.now, "by 3, through 2");
    net.say(2, &message);
    net.run_for(100);
    let heard = |number| net.old(number).heard_of(SubFlag::Broadcast).len();
    assert_eq!([heard(2), heard(3), heard(4)], [0, 0, 1]);
    assert_eq!(net.texts(1), ["by 3, through 2"]);
}

#[test]
fn of_a_broadcasts_age_only_whole_seconds_count_and_at_60_it_is_still_taken() {
    for (millis, age, is_taken) in [
        (999, 59, true),
        (0, 60, true),
        (999, 60, true),
        (0, 61, false),
        (999, 61, false),
        (0, 3_600, false),
        (0, -1_000, true),
    ] {
        let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin)]);
        net.run(at(10_000 - 20 + millis));
        let time = (START.as_secs() + 10).strict_add_signed(-age);
        net.say(2, &broadcast(time, &[SubFlag::Broadcast.into(), "x".into()]));
        net.run_for(100);
        let taken = usize::from(is_taken);
        assert_eq!(net.texts(1).len(), taken, "{age} s and {millis} ms");
        assert_eq!(net.old(3).heard_of(SubFlag::Broadcast).len(), taken);
        assert_eq!(counts(&net, 1).expired, u64::from(!is_taken));
        assert_eq!(net.peers(1).len(), 2);
    }
}

#[test]
fn a_copy_is_known_for_as_long_as_one_can_still_be_taken() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin)]);
    // Both clocks are right: it is taken up to 60 s of age. Its author's is a minute ahead: 120.
    for (ahead, last) in [(0, 60_999), (60, 119_900)] {
        let begin = net.now;
        let time = begin.as_secs() + ahead;
        let message = broadcast(time, &[SubFlag::Broadcast.into(), "once".into(), ahead.into()]);
        let step = last / 7;
        for copy in 0..8 {
            net.run(begin + std::time::Duration::from_millis(copy * step));
            net.say(2, &message);
            net.say(3, &message);
        }
        net.run_for(100);
        assert_eq!(net.texts(1), ["once"], "{ahead} s ahead");
    }
}

#[test]
fn times_in_the_far_future_neither_mute_their_author_nor_stay_in_memory() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin)]);
    for number in 0..1_000 {
        let payload = [SubFlag::Broadcast.into(), "future".into(), number.into()];
        net.say(2, &broadcast(u64::MAX >> 11, &payload));
        net.run_for(10);
    }
    net.run_for(100);
    assert_eq!(net.texts(1).len(), 1_000);
    assert_eq!(net.mesh(1).status(net.now).seen, 1_000);
    let message = broadcast(net.now.as_secs(), &[SubFlag::Broadcast.into(), "now".into()]);
    net.say(2, &message);
    net.run_for(240_000);
    assert_eq!(net.texts(1), ["now"]);
    assert_eq!(net.mesh(1).status(net.now).seen, 0);
}

#[test]
fn what_is_remembered_of_a_flood_is_bounded() {
    let mut net = Net::new();
    net.add(1, rs2p_mesh::MeshConfig { max_seen: 100, ..passive() });
    net.add_old(2, IdForm::Bin);
    net.call(1, |mesh, now| mesh.connect(now, address(2)));
    net.run(at(100));
    for number in 0..500 {
        let payload = [SubFlag::Broadcast.into(), "flood".into(), number.into()];
        net.say(2, &broadcast(net.now.as_secs(), &payload));
        net.run_for(1);
        assert!(net.mesh(1).status(net.now).seen <= 100);
    }
    net.run_for(100);
    assert_eq!(net.texts(1).len(), 500);
}

#[test]
fn two_equal_broadcasts_within_a_second_are_two_messages_that_old_peers_can_read() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Str)]);
    net.add(4, passive());
    net.connect(4, 1);
    net.run(at(10_000));
    let send = |net: &mut Net| net.call(1, |mesh, now| mesh.broadcast(now, ["same".into()]));
    let receipts = [(); 3].map(|()| send(&mut net).unwrap());
    net.run_for(100);
    let ids: BTreeSet<_> = receipts.iter().map(|receipt| receipt.id).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(net.texts(4), ["same"; 3]);
    for number in [2, 3] {
        let heard = net.old(number).heard_of(SubFlag::Broadcast);
        assert_eq!(heard.iter().map(Message::id).collect::<BTreeSet<_>>(), ids);
        // The array ends where it says; a number stands behind it, which both references ignore.
        let first = heard[0].body();
        assert!(heard[1..].iter().all(|copy| copy.body().starts_with(first)));
        assert_eq!(heard.iter().map(|it| it.body().len() - first.len()).max(), Some(1));
        for message in &heard {
            assert_eq!(message.payload(&Limits::default()).unwrap()[1].as_str(), Some("same"));
        }
    }
}

#[test]
fn a_broadcast_with_an_unknown_sub_flag_is_passed_on_and_left_to_the_layer_above() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin)]);
    net.events(1);
    net.say(2, &broadcast(net.now.as_secs(), &[0x41.into(), "of a layer".into()]));
    net.run_for(100);
    assert_eq!(net.old(3).heard_of(SubFlag::Other(0x41)).len(), 1);
    let events = net.events(1);
    let [MeshEvent::Unclaimed(received)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(received.sub_flag(), Some(SubFlag::Other(0x41)));
    assert_eq!(received.packets(), ["of a layer".into()]);
    assert_eq!((received.neighbour(), received.sender_id()), (id(2), Some(id(99))));
}

#[test]
fn a_payload_that_cannot_be_read_goes_nowhere_and_costs_no_link() {
    let sender = [&[0xc4, 66][..], id(99).to_string().as_bytes()].concat();
    let str_sender = [&[0xd9, 66][..], id(99).to_string().as_bytes()].concat();
    let bad_sender = [&[0xd9, 66][..], &[0xff; 66]].concat();
    let deep = [vec![0x91; 100], vec![0xc0]].concat();
    let broken: [(&str, &[u8], &[u8]); 12] = [
        ("a timestamp of five bytes", &sender, &[0xc7, 5, 0xff, 0, 0, 0, 0, 0]),
        ("a map with a key twice", &sender, &[0x82, 1, 1, 1, 2]),
        ("a map with an array for a key", &sender, &[0x81, 0x90, 1]),
        ("cut short", &sender, &[0xd9, 9, b'x']),
        ("a marker that is none", &sender, &[0xc1]),
        ("invalid UTF-8", &sender, &[0xa2, 0xff, 0xff]),
        ("invalid UTF-8 in a key", &sender, &[0x81, 0xa1, 0xff, 0xc0]),
        ("too deep", &sender, &deep),
        ("an array longer than the message", &sender, &[0xdd, 0xff, 0xff, 0xff, 0xff]),
        ("a sender that is no text", &bad_sender, &[0xc0]),
        ("a sender that is a number", &[7], &[0xc0]),
        ("a time that is text", &[&str_sender[..], &[0xa1, b'x']].concat(), &[0xc0]),
    ];
    for (what, sender, packet) in broken {
        let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin), (4, IdForm::Str)]);
        net.events(1);
        net.say_bytes(2, frame(&body(START.as_secs(), sender, &[&[0], packet])));
        net.run_for(100);
        for number in [3, 4] {
            assert_eq!(net.old(number).heard_of(SubFlag::Broadcast), [], "{what}");
        }
        assert_eq!(net.events(1).len(), 0, "{what}");
        assert_eq!(counts(&net, 1).malformed, 1, "{what}");
        assert_eq!(net.peer_numbers(1), [2, 3, 4], "{what}");
        // The link goes on.
        net.say(2, &net.old(2).broadcast(net.now, "and on"));
        net.run_for(100);
        assert_eq!(net.texts(1), ["and on"], "{what}");
    }
}

#[test]
fn a_handshake_that_comes_as_a_broadcast_is_neither_passed_on_nor_believed() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin)]);
    let mut forger = crate::harness::OldPeer::new(99, IdForm::Bin);
    forger.methods = vec![0x13];
    let payload = forger.handshake(net.now).payload(&Limits::default()).unwrap();
    let forged = broadcast(net.now.as_secs(), &payload);
    assert!(Handshake::is_in(&forged));
    net.events(1);
    net.say(2, &forged);
    net.run_for(100);
    assert_eq!(net.old(3).heard_of(SubFlag::Handshake).len(), 1, "that of node 1 only");
    assert_eq!(net.peer_numbers(1), [2, 3]);
    assert_eq!(net.events(1).len(), 0);
    let link = net.link(Who::Node(1), Who::Old(2));
    assert_eq!(net.mesh(1).link(link).unwrap().compression(), None);
}

#[test]
fn whispers_and_other_types_stay_where_they_are_whatever_their_age() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin)]);
    for (kind, flag) in [
        (MainFlag::Whisper, SubFlag::Whisper),
        (MainFlag::Whisper, SubFlag::Broadcast),
        (MainFlag::Ping, SubFlag::Broadcast),
        (MainFlag::Other(9), SubFlag::Whisper),
    ] {
        let message = net.old(2).message(at(0), kind, &[flag.into(), "here".into()]);
        net.run_for(100_000);
        net.say(2, &message);
    }
    net.run_for(100);
    assert_eq!(net.texts(1), ["here"; 4]);
    assert_eq!(net.old(3).heard_of(SubFlag::Broadcast), []);
    assert_eq!(net.old(3).heard_of(SubFlag::Whisper), []);
}

#[test]
fn without_peers_or_over_a_limit_nothing_is_sent_and_the_reason_is_told() {
    let mut net = Net::new();
    net.add(1, passive());
    let refused = net.call(1, |mesh, now| mesh.broadcast(now, ["x".into()]));
    assert_eq!(refused, Err(SendError::NoPeers));
    let refused = net.call(1, |mesh, now| mesh.whisper(now, ["x".into()]));
    assert_eq!(refused, Err(SendError::NoPeers));

    net.add(2, passive());
    net.connect(1, 2);
    let long = "x".repeat(16 << 20);
    let refused = net.call(1, |mesh, now| mesh.broadcast(now, [long.clone().into()]));
    let too_long = |result| matches!(result, Err(SendError::Message(EncodeError::TooLong { .. })));
    assert!(too_long(refused));
    assert!(too_long(net.call(1, |mesh, now| mesh.whisper(now, [long.into()]))));
    let deep = (0..100).fold(Value::Nil, |inner, _| Value::Array(vec![inner]));
    let refused = net.call(1, |mesh, now| mesh.broadcast(now, [deep]));
    assert!(matches!(refused, Err(SendError::Message(EncodeError::TooDeep { .. }))));
    let twice = Value::Map(vec![(1.into(), 1.into()), (1.into(), 2.into())]);
    let refused = net.call(1, |mesh, now| mesh.broadcast(now, [twice]));
    assert!(matches!(refused, Err(SendError::Unreadable(MessageError::RepeatedKey { .. }))));
    let timestamp = Value::Ext(-1, vec![0; 5]);
    let refused = net.call(1, |mesh, now| mesh.broadcast(now, [timestamp]));
    assert!(matches!(refused, Err(SendError::Unreadable(MessageError::Timestamp { .. }))));
    net.run_for(1_000);
    assert_eq!((net.texts(2).len(), counts(&net, 1).sent), (0, 0));
}

#[test]
fn a_whisper_goes_to_each_peer_in_its_own_form_and_no_further() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Str)]);
    net.add(4, passive());
    net.add(5, passive());
    net.connect(4, 1);
    net.connect(5, 4);
    let receipt = net.call(1, |mesh, now| mesh.whisper(now, ["to you".into()])).unwrap();
    assert_eq!(receipt.peers, 3);
    net.run_for(100);
    for (number, form) in [(2, IdForm::Bin), (3, IdForm::Str)] {
        let heard = net.old(number).heard_of(SubFlag::Whisper);
        assert_eq!(heard.len(), 1);
        assert_eq!((heard[0].kind(), heard[0].sender_form()), (MainFlag::Whisper, form));
        assert_eq!(heard[0].sender(), id(1).to_string().as_bytes());
    }
    assert_eq!((net.texts(4), net.texts(5)), (vec!["to you".to_owned()], vec![]));
}

#[test]
fn a_broadcast_is_written_once_for_all_with_a_binary_sender_unless_all_peers_are_of_js2p() {
    let forms = |old: &[(u8, IdForm)], other: bool| {
        let mut net = with_old_peers(old.iter().copied());
        if other {
            net.add(8, passive());
            net.connect(8, 1);
        }
        net.call(1, |mesh, now| mesh.broadcast(now, ["x".into()])).unwrap();
        net.run_for(100);
        let heard = old.iter().flat_map(|(it, _)| net.old(*it).heard_of(SubFlag::Broadcast));
        heard.map(|message| message.sender_form()).collect::<Vec<_>>()
    };
    let (bin, str) = (IdForm::Bin, IdForm::Str);
    assert_eq!(forms(&[(2, str), (3, str)], false), [str, str]);
    assert_eq!(forms(&[(2, str), (3, bin)], false), [bin, bin]);
    assert_eq!(forms(&[(2, str)], true), [bin]);
}

#[test]
fn frames_are_compressed_for_each_peer_as_it_can_read_them() {
    let mut net = Net::new();
    net.add(1, passive());
    for (number, methods) in [(2, vec![0x13]), (3, vec![0x11]), (4, vec![])] {
        net.add_old(number, IdForm::Bin);
        net.old_mut(number).methods = methods;
        net.dial_by_old(number, 1);
    }
    net.run(at(1_000));
    let text = "much of the same ".repeat(100);
    net.call(1, |mesh, now| mesh.broadcast(now, [text.into()])).unwrap();
    net.run_for(100);
    let method = |number| {
        let heard = net.old(number).heard_of(SubFlag::Broadcast);
        let frame: &Frame = heard[0].frame();
        frame.compression().map(|method| method.code())
    };
    assert_eq!([method(2), method(3), method(4)], [Some(0x13), Some(0x11), None]);
}
