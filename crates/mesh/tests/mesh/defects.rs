//! The defects of py2p and js2p, and the rules for living with them (spec sections 13 and 14), by
//! their numbers there. What concerns a link alone is tested in `crates/base/tests/link`, what a
//! test elsewhere here shows already is named.

use rs2p_base::CloseReason;
use rs2p_mesh::{MeshConfig, MeshEvent};
use rs2p_wire::{IdForm, Limits, MainFlag, Message, SubFlag, Value};

use crate::harness::{Net, OldPeer, Who, address, at, id};
use crate::{passive, with_old_peers};

const BOTH: [IdForm; 2] = [IdForm::Bin, IdForm::Str];

/// What an old peer has heard so far, by type and sub-flag.
fn heard(net: &Net, number: u8) -> Vec<(MainFlag, SubFlag)> {
    let flags = |message: &Message| (message.kind(), message.sub_flag().unwrap());
    net.old(number).heard.iter().map(|(_, _, message)| flags(message)).collect()
}

fn whisper(net: &Net, by: u8, payload: &[Value]) -> Message {
    net.old(by).message(net.now, MainFlag::Whisper, payload)
}

// py2p 1: asking in either form is answered in `peers::a_request_for_the_list_is_answered_in_
// either_form_but_once_a_second`, asking in `peers::peers_are_asked_for_their_lists_in_their_own_
// form`.

#[test]
fn py2p_1_a_stranger_that_hangs_up_or_a_lost_peer_makes_no_traffic_to_the_others() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin), (4, IdForm::Str)]);
    net.add_old(5, IdForm::Bin);
    net.old_mut(5).greets = false;
    (2..=4).for_each(|number| net.old_mut(number).clear());
    net.dial_by_old(5, 1);
    net.run_for(100);
    net.cut(net.links_of(Who::Old(5))[0]);
    net.cut(net.links_of(Who::Old(2))[0]);
    net.run_for(300_000);
    assert_eq!(net.peer_numbers(1), [3, 4]);
    for number in [3, 4] {
        assert_eq!(heard(&net, number), []);
    }
}

#[test]
fn py2p_1_and_js2p_2_nobody_is_ever_sent_a_renegotiation() {
    for form in BOTH {
        let mut net = with_old_peers([(2, form), (3, form)]);
        for payload in [
            vec![SubFlag::Compression.into(), Value::Array(vec![])],
            vec![SubFlag::Compression.into(), Value::Array(vec![0x13.into(), 0x11.into()])],
            vec![SubFlag::Resend.into()],
            vec![SubFlag::Compression.into()],
            vec![],
        ] {
            let message = net.old(2).message(net.now, MainFlag::Renegotiate, &payload);
            net.say(2, &message);
            net.call(1, |mesh, now| mesh.broadcast(now, ["x".repeat(2_000).into()])).unwrap();
            net.run_for(1_000);
        }
        for number in [2, 3] {
            assert!(heard(&net, number).iter().all(|(kind, _)| *kind != MainFlag::Renegotiate));
        }
        assert_eq!(net.old(3).heard_of(SubFlag::Broadcast).len(), 5);
        assert_eq!(net.peer_numbers(1), [2, 3]);
    }
}

// py2p 2 and 11: the harness asserts that no frames to old peers are gathered, in every test.

// py2p 3: `queue::a_peer_that_never_reads_loses_its_link_after_ten_seconds_and_the_others_go_on`.

#[test]
fn py2p_4_whoever_dials_is_greeted_before_the_link_is_closed() {
    for form in BOTH {
        let mut net = Net::new();
        net.add(1, MeshConfig { max_peers: 0, ..passive() });
        net.add_old(2, form);
        net.dial_by_old(2, 1);
        net.run(at(1_000));
        assert_eq!(heard(&net, 2)[0].1, SubFlag::Handshake);
        assert_eq!(net.old(2).heard[0].2.sender_form(), form);
        assert_eq!(net.old(2).closed.len(), 1);
    }
}

#[test]
fn py2p_4_thousands_of_requests_in_a_second_cost_one_answer() {
    let mut net = with_old_peers([(2, IdForm::Bin)]);
    net.run(at(5_000));
    net.old_mut(2).clear();
    let ask = whisper(&net, 2, &[SubFlag::Request.into(), "*".into()]);
    (0..4_000).for_each(|_| net.say(2, &ask));
    net.run_for(500);
    assert_eq!(heard(&net, 2), [(MainFlag::Whisper, SubFlag::Peers)]);
    assert_eq!(net.peer_numbers(1), [2]);
}

// py2p 5: `surplus::*`.

// py2p 6: `broadcast::a_payload_that_cannot_be_read_goes_nowhere_and_costs_no_link`.

// py2p 7: `broadcast::two_equal_broadcasts_within_a_second_are_two_messages_that_old_peers_can_
// read`; replies to distant senders are completed in `reply::a_distant_author_is_asked_for_dialled_
// and_answered`.

// py2p 8: `peers::a_list_names_the_other_peers_of_the_readers_kind_exactly_and_in_its_form`.

// py2p 10 is chord's.

#[test]
fn py2p_12_no_goodbye_is_relied_on() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin)]);
    net.cut(net.link(Who::Node(1), Who::Old(2)));
    net.run_for(100);
    assert_eq!(net.peer_numbers(1), [3]);
    let receipt = net.call(1, |mesh, now| mesh.broadcast(now, ["x".into()])).unwrap();
    assert_eq!(receipt.peers, 1);
    // It is back at once, under a new id and at the same address.
    net.add_old(4, IdForm::Bin);
    net.old_mut(4).address = Some(address(2));
    net.dial_by_old(4, 1);
    net.run_for(100);
    assert_eq!(net.peer_numbers(1), [3, 4]);
}

#[test]
fn py2p_13_short_payloads_cost_nothing_and_start_nothing() {
    for form in BOTH {
        for kind in [MainFlag::Broadcast, MainFlag::Whisper, MainFlag::Other(7)] {
            let mut net = with_old_peers([(2, form), (3, form)]);
            net.old_mut(2).clear();
            for flag in (0..0x14).map(Value::from).chain([Value::Nil, "x".into()]) {
                let message = net.old(2).message(net.now, kind, &[flag]);
                net.say(2, &message);
            }
            let message = net.old(2).message(net.now, kind, &[]);
            net.say(2, &message);
            net.run_for(100);
            assert_eq!(heard(&net, 2), [], "{kind} {form:?}");
            assert_eq!(net.peer_numbers(1), [2, 3]);
        }
    }
}

#[test]
fn js2p_1_a_handshake_that_comes_twice_counts_once() {
    let mut net = with_old_peers([(2, IdForm::Str), (3, IdForm::Bin)]);
    net.events(1);
    let before = heard(&net, 2).len();
    for _ in 0..3 {
        net.say(2, &net.old(2).handshake(net.now));
    }
    net.run_for(100);
    assert_eq!(heard(&net, 2).len(), before);
    assert!(net.events(1).is_empty());
    assert_eq!(net.peer_numbers(1), [2, 3]);
}

// js2p 2: `peers::a_list_for_js2p_names_one_node_at_the_most`, `reply::requests_of_js2p_are_passed_
// on_but_not_answered`, `reply::responses_are_passed_on_but_not_to_a_js2p_node_that_asked`.

#[test]
fn js2p_3_it_is_greeted_once_and_in_text_however_the_link_came_about() {
    for dials in [true, false] {
        let mut net = Net::nodes([1]);
        net.add_old(2, IdForm::Str);
        if dials {
            net.dial_by_old(2, 1);
        } else {
            net.call(1, |mesh, now| mesh.connect(now, address(2)));
        }
        net.run(at(60_000));
        let greetings = net.old(2).heard_of(SubFlag::Handshake);
        // A dialled one gets an opening of six packets before, which it passes over.
        let greetings: Vec<_> = greetings.iter().filter(|it| it.payload_len() == 5).collect();
        assert_eq!(greetings.len(), 1);
        let payload = greetings[0].payload(&Limits::default()).unwrap();
        assert!(payload[1].is_str() && payload[2].is_str());
        for (_, _, message) in &net.old(2).heard {
            let is_opening = message.payload_len() == 6;
            assert!(is_opening || message.sender_form() == IdForm::Str);
        }
    }
}

// js2p 6: `peers::a_js2p_node_that_dials_is_asked_for_its_list_since_it_may_not_send_one`.

// js2p 7: `surplus::js2p_is_greeted_again_on_the_kept_link_after_the_other_is_gone`.

#[test]
fn js2p_8_what_comes_without_a_handshake_makes_nobody_a_peer() {
    let mut net = Net::new();
    net.add(1, passive());
    net.add_old(2, IdForm::Str);
    net.old_mut(2).greets = false;
    net.dial_by_old(2, 1);
    net.run_for(100);
    for payload in [
        vec![SubFlag::Handshake.into(), "1".into()],
        vec![SubFlag::Peers.into(), Value::Array(vec![net.old(2).entry(9)])],
        vec![SubFlag::Broadcast.into(), "hello".into()],
    ] {
        let message = whisper(&net, 2, &payload);
        net.say(2, &message);
    }
    net.run_for(5_000);
    assert_eq!((net.peers(1).len(), net.events(1).len(), net.dials.len()), (0, 0, 0));
    net.run_for(6_000);
    assert_eq!(net.links_of(Who::Node(1)), []);
}

#[test]
fn py2p_1_and_js2p_2_lists_and_wishes_for_them_are_neither_taken_nor_passed_on_as_broadcasts() {
    for form in BOTH {
        let mut net = with_old_peers([(2, form), (3, IdForm::Bin), (4, IdForm::Str)]);
        (2..=4).for_each(|number| net.old_mut(number).clear());
        net.events(1);
        let by = net.old(2);
        // Two new nodes in a list make js2p drop whoever handed it on, a star as text py2p.
        let list = Value::Array(vec![by.entry(8), by.entry(9)]);
        let ask = [SubFlag::Request.into(), "*".into()];
        for payload in [[SubFlag::Peers.into(), list], ask] {
            let message = net.old(2).message(net.now, MainFlag::Broadcast, &payload);
            net.say(2, &message);
        }
        net.run_for(5_000);
        for number in 2..=4 {
            assert_eq!(heard(&net, number), [], "{form:?}");
        }
        assert!(net.events(1).is_empty());
        assert_eq!(net.peer_numbers(1), [2, 3, 4]);
    }
}

#[test]
fn both_a_forged_sender_harms_nobody() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin), (4, IdForm::Str)]);
    net.events(1);
    let forge = |number, text: &str| OldPeer::new(number, IdForm::Bin).broadcast(at(0), text);
    // As if by this node itself, by another peer, by nobody.
    for (number, text) in [(1, "by 1"), (3, "by 3"), (77, "by 77")] {
        net.say(2, &forge(number, text));
    }
    net.run_for(100);
    assert_eq!(net.texts(1), ["by 1", "by 3", "by 77"]);
    let heard = |number| net.old(number).heard_of(SubFlag::Broadcast).len();
    assert_eq!([heard(2), heard(3), heard(4)], [0, 2, 3]);
    // Its own words are not taken for theirs.
    let receipt = net.call(1, |mesh, now| mesh.broadcast(now, ["by 1".into()])).unwrap();
    net.run_for(100);
    let ids: Vec<_> = net.old(4).heard_of(SubFlag::Broadcast).iter().map(Message::id).collect();
    assert!(ids.contains(&receipt.id) && ids.len() == 4);
}

#[test]
fn rule_1_py2p_and_js2p_are_each_greeted_once_in_their_own_form_and_stay_apart() {
    let net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Str)]);
    for (number, form) in [(2, IdForm::Bin), (3, IdForm::Str)] {
        for (_, _, message) in &net.old(number).heard {
            assert_eq!(message.sender_form(), form);
            assert_eq!(message.sender(), id(1).to_string().as_bytes());
        }
        assert_eq!(net.old(number).heard_of(SubFlag::Handshake).len(), 1);
    }
}

// Rule 2: `peers::a_list_names_the_other_peers_of_the_readers_kind_exactly_and_in_its_form`, `broadcast::a_
// whisper_goes_to_each_peer_in_its_own_form_and_no_further`.

// Rule 3: `broadcast::a_broadcast_is_written_once_for_all_with_a_binary_sender_unless_all_peers_are_
// of_js2p`, `broadcast::the_bytes_passed_on_are_the_bytes_received`.

#[test]
fn rule_4_only_what_breaks_the_framing_costs_a_link() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin)]);
    net.events(1);
    let mut frame = net.old(2).broadcast(net.now, "x").frame().plain().to_vec();
    *frame.last_mut().unwrap() ^= 1;
    net.say_bytes(2, frame.into());
    net.run_for(100);
    assert_eq!(net.peer_numbers(1), [3]);
    let events = net.events(1);
    let [MeshEvent::Disconnected { peer, reason: CloseReason::Frame(_) }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(*peer, id(2));
    assert_eq!(net.old(3).heard_of(SubFlag::Broadcast), []);
}

// Rule 5 is chord's.

#[test]
fn rule_6_lists_make_a_node_dial_four_others_at_the_most_and_connecting_by_hand_knows_no_limit() {
    let mut net = Net::nodes([100]);
    net.add_old(99, IdForm::Bin);
    net.dial_by_old(99, 100);
    for number in 1..=10 {
        net.add_old(number, IdForm::Bin);
    }
    net.run(at(1_000));
    let entries = (1..=10).map(|number| net.old(99).entry(number)).collect();
    net.say(99, &net.old(99).list(net.now, entries));
    net.run(at(60_000));
    assert_eq!(net.mesh(100).status(net.now).outgoing, 4);
    assert_eq!(net.dials.len(), 4);
    for number in 1..=10 {
        net.call(100, |mesh, now| mesh.connect(now, address(number)));
    }
    net.run(at(61_000));
    assert_eq!(net.mesh(100).status(net.now).outgoing, 10);
    // Dialled by larger ids first: `peers::a_listed_node_is_told_of_and_dialled_whatever_the_form_
    // of_its_id`.
}
