//! How a peer is noticed whose machine has vanished.

use std::time::Duration;

use rs2p_base::{CloseReason, Handshake, LinkConfig, LinkOutput, Origin};
use rs2p_wire::{IdForm, MainFlag, Message, SubFlag};

use crate::harness::{End, Told};
use crate::pair::{Pair, Side};
use crate::{
    OURS, THEIRS, at, bytes, frame, greeting, id, message, node, node_with, rs2p_greeting, whisper,
};

/// A link to this peer, whose handshake came as soon as the link was open.
fn established(peer: &Handshake) -> End {
    established_with(peer, LinkConfig::default())
}

fn established_with(peer: &Handshake, config: LinkConfig) -> End {
    let mut end = End::open(Origin::Accepted, &node_with(OURS, "Plaintext", config), None);
    end.receive(at(0), &frame(peer));
    end.take_sent();
    end
}

fn sign(kind: MainFlag) -> Message {
    message(kind, &[])
}

/// The signs of life that a link sent, which must be nothing but such.
fn signs(end: &mut End) -> Vec<MainFlag> {
    let read = |frame: &rs2p_base::OutFrame| {
        let message = frame.message();
        assert_eq!(frame.bytes(), message.frame().plain());
        assert_eq!(message.sender(), id(OURS).to_string().as_bytes());
        assert_eq!(message.payload_len(), 0);
        message.kind()
    };
    end.take_sent().iter().map(read).collect()
}

#[test]
fn a_silent_rs2p_peer_is_pinged_at_30_seconds_and_when_it_answers_the_link_lives_on() {
    let mut end = established(&rs2p_greeting());
    assert_eq!(end.link.poll_timeout(), Some(at(30_000)));
    end.advance(at(29_999));
    assert_eq!(signs(&mut end), []);
    end.advance(at(30_000));
    assert_eq!(signs(&mut end), [MainFlag::Ping]);
    assert_eq!(end.link.poll_timeout(), Some(at(60_000)));

    end.receive(at(30_100), &bytes(&sign(MainFlag::Pong)));
    assert_eq!(end.link.last_heard(), at(30_100));
    assert_eq!(end.link.poll_timeout(), Some(at(60_100)));
    end.advance(at(60_100));
    assert_eq!(signs(&mut end), [MainFlag::Ping]);
    // The last moment for an answer.
    end.receive(at(90_099), &bytes(&sign(MainFlag::Pong)));
    end.advance(at(120_098));
    assert_eq!(end.told, [Told::Established], "signs of life concern the link alone");
    assert_eq!(end.alarms, 2);
}

#[test]
fn one_that_never_answers_is_given_up_at_60_seconds() {
    let mut end = established(&rs2p_greeting());
    end.advance(at(59_999));
    assert_eq!(end.told, [Told::Established]);
    assert_eq!(signs(&mut end), [MainFlag::Ping]);
    end.advance(at(60_000));
    assert_eq!(end.told[1..], [Told::Closed(CloseReason::Idle { seconds: 60 })]);
    assert_eq!(signs(&mut end), []);
    assert_eq!((end.link.poll_timeout(), end.alarms), (None, 2));
}

#[test]
fn whatever_is_heard_puts_the_ping_off_and_calls_the_end_off() {
    let renegotiation = message(MainFlag::Renegotiate, &[SubFlag::Compression.into()]);
    let heard = [
        bytes(&whisper("x")),
        bytes(&message(MainFlag::Broadcast, &[SubFlag::Broadcast.into(), "x".into()])),
        bytes(&renegotiation),
        bytes(&sign(MainFlag::Ping)),
        bytes(&sign(MainFlag::Pong)),
        frame(&rs2p_greeting()),
    ];
    for bytes in heard {
        let mut end = established(&rs2p_greeting());
        end.receive(at(29_999), &bytes);
        end.take_sent();
        end.advance(at(59_998));
        assert_eq!(signs(&mut end), []);
        end.advance(at(59_999));
        assert_eq!(signs(&mut end), [MainFlag::Ping]);

        end.receive(at(89_998), &bytes);
        end.take_sent();
        assert_eq!(end.link.poll_timeout(), Some(at(119_998)));
        end.advance(at(149_997));
        assert_eq!((signs(&mut end), end.closed()), (vec![MainFlag::Ping], None));
        end.advance(at(149_998));
        assert_eq!(end.closed(), Some(&CloseReason::Idle { seconds: 60 }));
    }
}

#[test]
fn a_frame_without_a_message_is_a_sign_of_life_too() {
    let mut end = established(&rs2p_greeting());
    end.advance(at(30_000));
    end.link.handle_heard(at(59_999));
    assert_eq!(end.link.last_heard(), at(59_999));
    assert_eq!(end.link.poll_timeout(), Some(at(89_999)));
}

#[test]
fn old_peers_are_never_pinged_however_long_they_are_silent() {
    for form in [IdForm::Bin, IdForm::Str] {
        let mut end = established(&greeting(form));
        assert_eq!(end.link.poll_timeout(), None);
        end.advance(at(3_600_000));
        end.receive(at(3_600_000), &bytes(&whisper("still here")));
        end.advance(at(90_000_000));
        assert_eq!((signs(&mut end), end.alarms), (vec![], 0));
        assert_eq!(end.closed(), None);
    }
}

#[test]
fn a_peer_that_turns_out_to_be_an_old_one_is_pinged_no_more() {
    let mut end = established(&rs2p_greeting());
    end.advance(at(30_000));
    assert_eq!(signs(&mut end), [MainFlag::Ping]);
    end.receive(at(30_100), &frame(&greeting(IdForm::Bin)));
    assert_eq!(end.link.poll_timeout(), None);
}

#[test]
fn a_ping_of_an_rs2p_peer_is_answered_once_and_handed_up_to_nobody() {
    let mut end = established(&rs2p_greeting());
    end.receive(at(5_000), &bytes(&sign(MainFlag::Ping)));
    assert_eq!(signs(&mut end), [MainFlag::Pong]);
    end.receive(at(5_001), &bytes(&sign(MainFlag::Pong)));
    assert_eq!(signs(&mut end), [], "two such nodes would keep each other busy");
    assert_eq!(end.told, [Told::Established]);
}

#[test]
fn pings_and_pongs_of_old_peers_are_handed_up_and_not_answered() {
    for form in [IdForm::Bin, IdForm::Str] {
        let [ping, pong] = [MainFlag::Ping, MainFlag::Pong].map(sign);
        let mut end = End::open(Origin::Accepted, &node(OURS), Some(form));
        end.take_sent();
        end.receive(at(0), &bytes(&ping));
        end.receive(at(1), &frame(&greeting(form)));
        end.receive(at(2), &bytes(&pong));
        end.receive(at(3), &bytes(&ping));
        assert_eq!(end.messages(), [ping.clone(), pong, ping]);
        assert_eq!(signs(&mut end), []);
    }
}

#[test]
fn a_deadline_that_hearing_something_has_put_off_does_nothing() {
    let mut end = established(&rs2p_greeting());
    end.receive(at(29_999), &bytes(&whisper("x")));
    end.link.handle_timeout(at(30_000));
    assert!(end.link.poll_output().is_none());
    assert_eq!(end.link.poll_timeout(), Some(at(59_999)));

    end.advance(at(59_999));
    end.receive(at(70_000), &bytes(&whisper("x")));
    end.link.handle_timeout(at(89_999));
    assert!(end.link.poll_output().is_none());
    assert_eq!(end.link.poll_timeout(), Some(at(100_000)));
}

#[test]
fn a_node_that_has_slept_past_both_deadlines_asks_before_it_gives_the_peer_up() {
    let mut end = established(&rs2p_greeting());
    end.link.handle_timeout(at(3_600_000));
    assert_eq!(end.link.poll_timeout(), Some(at(3_630_000)));
    end.advance(at(3_629_999));
    assert_eq!((signs(&mut end), end.closed()), (vec![MainFlag::Ping], None));
    end.advance(at(3_630_000));
    assert_eq!(end.closed(), Some(&CloseReason::Idle { seconds: 3_630 }));
}

#[test]
fn a_configuration_without_keepalive_asks_nobody() {
    let config = LinkConfig { keepalive: None, ..LinkConfig::default() };
    let mut end = established_with(&rs2p_greeting(), config);
    assert_eq!(end.link.poll_timeout(), None);
    end.receive(at(1), &bytes(&sign(MainFlag::Ping)));
    assert_eq!(signs(&mut end), [MainFlag::Pong], "but answers");
}

#[test]
fn an_idle_deadline_holds_for_peers_that_could_still_answer() {
    let seconds = Duration::from_secs;
    for (idle, pings) in [(20, 0), (45, 1)] {
        let config = LinkConfig { idle: Some(seconds(idle)), ..LinkConfig::default() };
        let mut end = established_with(&rs2p_greeting(), config);
        end.advance(at(idle * 1_000 - 1));
        assert_eq!((signs(&mut end).len(), end.closed()), (pings, None));
        end.advance(at(idle * 1_000));
        assert_eq!(end.closed(), Some(&CloseReason::Idle { seconds: idle }));
    }
}

#[test]
fn no_time_at_all_for_an_answer_ends_the_link_at_once_and_does_not_spin() {
    let config = LinkConfig { keepalive: Some(Duration::ZERO), ..LinkConfig::default() };
    let mut end = established_with(&rs2p_greeting(), config);
    end.link.handle_timeout(at(0));
    let outputs: Vec<_> = std::iter::from_fn(|| end.link.poll_output()).collect();
    assert!(matches!(
        outputs[..],
        [LinkOutput::Send(_), LinkOutput::Close(CloseReason::Idle { seconds: 0 })]
    ));
    assert_eq!(end.link.poll_timeout(), None);
}

#[test]
fn two_silent_nodes_keep_their_link_by_a_ping_and_a_pong_every_30_seconds() {
    let latency = Duration::from_millis(20);
    let mut pair = Pair::open(&node(OURS), &node(THEIRS), None, latency);
    pair.run(at(100_000));
    let (ping, pong) = (MainFlag::Ping, MainFlag::Pong);
    let (dialler, acceptor) = (Side::Dialler, Side::Acceptor);
    // The opening came at 20 ms, the answer at 40 ms: the dialler asks just before it is asked.
    assert_eq!(
        pair.signs[..5],
        [
            (30_020, acceptor, ping),
            (30_040, dialler, ping),
            (30_040, dialler, pong),
            (30_060, acceptor, pong),
            (60_060, acceptor, ping),
        ]
    );
    pair.run(at(3_600_000));
    assert_eq!((pair.dialler.closed(), pair.acceptor.closed()), (None, None));
    assert_eq!(pair.sent.len(), 2, "one handshake each");
    assert!((100 * 4..120 * 4).contains(&pair.signs.len()), "{}", pair.signs.len());
}
