//! How much may wait on a link.

use std::time::Duration;

use rs2p_base::{CloseReason, Fanout, Handshake, LinkConfig, LinkId, Origin, QueueFull};
use rs2p_wire::IdForm;

use crate::harness::End;
use crate::{DIALLED, OURS, at, bytes, frame, greeting, node, node_with, rs2p_greeting, whisper};

#[test]
fn a_full_queue_refuses_own_messages_and_says_how_full_it_is() {
    let config = LinkConfig { send_queue: 10_000, ..LinkConfig::default() };
    let mut end = End::open(Origin::Accepted, &node_with(OURS, "Plaintext", config), None);
    end.receive(at(1), &frame(&greeting(IdForm::Str)));
    end.take_sent();
    assert_eq!((end.link.queued(), end.link.check_room()), (0, Ok(())));

    let mut fanout = Fanout::new(whisper("x".repeat(30_000)));
    let one = fanout.message().frame().plain().len();
    let sent = end.link.frame(at(2), &mut fanout).unwrap();
    assert!(sent.bytes().len() < 1_000, "it leaves compressed");
    assert_eq!((sent.weight(), end.link.queued()), (one, one), "and counts as it is");

    let full = QueueFull { link: LinkId(1), queued: one, limit: 10_000 };
    assert_eq!(end.link.check_room(), Err(full));
    let text = full.to_string();
    assert!(text.contains("link 1") && text.contains("10000") && text.contains(&one.to_string()));

    // What is relayed is not asked for room; it waits like the rest.
    end.link.frame(at(2), &mut fanout);
    assert_eq!(end.link.queued(), 2 * one);
    end.link.handle_flushed(at(2), one);
    assert_eq!(end.link.check_room(), Err(full));
    end.link.handle_flushed(at(2), one);
    assert_eq!((end.link.queued(), end.link.check_room()), (0, Ok(())));
}

#[test]
fn there_is_room_up_to_the_limit_and_none_at_it() {
    let message = whisper("x");
    let weight = message.frame().plain().len();
    for (limit, room) in [(weight + 1, true), (weight, false)] {
        let config = LinkConfig { send_queue: limit, ..LinkConfig::default() };
        let mut end = End::open(Origin::Accepted, &node_with(OURS, "Plaintext", config), None);
        end.link.frame(at(2), &mut Fanout::new(message.clone()));
        assert_eq!(end.link.check_room().is_ok(), room);
    }
}

#[test]
fn handshakes_count_until_they_have_left() {
    let mut end = End::open(DIALLED, &node(OURS), None);
    let opening = end.link.queued();
    assert!((200..400).contains(&opening));
    end.receive(at(1), &frame(&greeting(IdForm::Str)));
    let both = end.link.queued();
    assert!(both > opening);
    let sent = end.take_sent();
    assert_eq!(sent.iter().map(|frame| frame.bytes().len()).sum::<usize>(), both);
    assert_eq!(end.link.queued(), 0);
}

#[test]
fn a_driver_that_reports_more_than_was_queued_does_no_harm() {
    let mut end = End::open(DIALLED, &node(OURS), None);
    end.link.handle_flushed(at(2), usize::MAX);
    assert_eq!(end.link.queued(), 0);
}

/// A link to this peer with 10,000 bytes in its queue, which are too many, since the first second.
fn full(peer: &Handshake) -> End {
    let config = LinkConfig { send_queue: 10_000, ..LinkConfig::default() };
    let mut end = End::open(Origin::Accepted, &node_with(OURS, "Plaintext", config), None);
    end.receive(at(0), &frame(peer));
    end.take_sent();
    end.link.frame(at(500), &mut sized(9_000));
    assert_eq!(end.link.check_room(), Ok(()));
    end.link.frame(at(1_000), &mut sized(1_000));
    end
}

/// A message whose frame has this length.
fn sized(length: usize) -> Fanout {
    let overhead = whisper("x".repeat(900)).frame().plain().len() - 900;
    let message = whisper("x".repeat(length - overhead));
    assert_eq!(message.frame().plain().len(), length);
    Fanout::new(message)
}

#[test]
fn a_peer_that_leaves_the_queue_full_for_ten_seconds_loses_its_link() {
    for peer in [rs2p_greeting(), greeting(IdForm::Str)] {
        let mut end = full(&peer);
        assert_eq!(end.link.poll_timeout(), Some(at(11_000)));
        // More of it, and whatever the peer says, changes nothing.
        end.link.frame(at(5_000), &mut sized(2_000));
        end.receive(at(10_000), &bytes(&whisper("x")));
        end.advance(at(10_999));
        assert_eq!(end.closed(), None);
        end.advance(at(11_000));
        let reason = CloseReason::SlowReader { queued: 12_000, limit: 10_000 };
        assert_eq!(end.closed(), Some(&reason));
        assert_eq!((end.link.poll_timeout(), end.alarms), (None, 1));
    }
}

#[test]
fn a_queue_that_drains_below_its_limit_in_time_is_forgotten() {
    let mut end = full(&greeting(IdForm::Str));
    end.advance(at(10_999));
    end.link.handle_flushed(at(6_000), 1);
    assert_eq!(end.link.poll_timeout(), None);
    end.link.handle_timeout(at(11_000));
    end.advance(at(3_600_000));
    assert_eq!((end.closed(), end.alarms), (None, 0));

    // The next time counts anew.
    end.link.frame(at(3_600_000), &mut sized(500));
    assert_eq!(end.link.poll_timeout(), Some(at(3_610_000)));
}

#[test]
fn a_queue_that_drains_down_to_its_limit_only_is_still_full() {
    let mut end = full(&greeting(IdForm::Str));
    end.link.frame(at(2_000), &mut sized(500));
    end.link.handle_flushed(at(6_000), 500);
    assert_eq!(end.link.poll_timeout(), Some(at(11_000)));
    end.advance(at(11_000));
    let reason = CloseReason::SlowReader { queued: 10_000, limit: 10_000 };
    assert_eq!(end.closed(), Some(&reason));
}

#[test]
fn a_peer_that_takes_a_whole_queue_in_time_reads_however_slowly() {
    let mut end = full(&greeting(IdForm::Str));
    end.link.frame(at(2_000), &mut Fanout::new(whisper("x".repeat(90_000))));
    for round in 1..9 {
        end.link.handle_flushed(at(round * 9_000), 10_000);
        end.link.handle_timeout(at(round * 9_000));
        assert_eq!(end.link.poll_timeout(), Some(at(round * 9_000 + 10_000)));
    }
    end.advance(at(82_000));
    assert!(end.closed().is_some(), "until it takes no more");
}

#[test]
fn how_long_a_queue_may_stay_full_is_configured() {
    let config =
        LinkConfig { send_queue: 1_000, slow: Duration::from_millis(250), ..LinkConfig::default() };
    let mut end = End::open(Origin::Accepted, &node_with(OURS, "Plaintext", config), None);
    end.receive(at(0), &frame(&greeting(IdForm::Str)));
    end.take_sent();
    end.link.frame(at(100), &mut sized(1_000));
    assert_eq!(end.link.poll_timeout(), Some(at(350)));
}

#[test]
fn an_empty_queue_is_never_full_however_low_the_limit() {
    let config = LinkConfig { send_queue: 0, ..LinkConfig::default() };
    let mut end = End::open(Origin::Accepted, &node_with(OURS, "Plaintext", config), None);
    end.receive(at(0), &frame(&greeting(IdForm::Str)));
    assert!(end.link.check_room().is_err(), "the handshake waits");
    end.take_sent();
    assert_eq!(end.link.check_room(), Ok(()));
    assert_eq!(end.link.poll_timeout(), None);
}
