//! How much may wait on a link.

use rs2p_base::{Fanout, LinkConfig, LinkId, Origin, QueueFull};
use rs2p_wire::IdForm;

use crate::harness::End;
use crate::{DIALLED, OURS, at, frame, greeting, node, node_with, whisper};

#[test]
fn a_full_queue_refuses_own_messages_and_says_how_full_it_is() {
    let config = LinkConfig { send_queue: 10_000, ..LinkConfig::default() };
    let mut end = End::open(Origin::Accepted, &node_with(OURS, "Plaintext", config), None);
    end.receive(at(1), &frame(&greeting(IdForm::Bin)));
    end.take_sent();
    assert_eq!((end.link.queued(), end.link.check_room()), (0, Ok(())));

    let mut fanout = Fanout::new(whisper("x".repeat(30_000)));
    let one = fanout.message().frame().plain().len();
    let sent = end.link.frame(&mut fanout);
    assert!(sent.bytes().len() < 1_000, "it leaves compressed");
    assert_eq!((sent.weight(), end.link.queued()), (one, one), "and counts as it is");

    let full = QueueFull { link: LinkId(1), queued: one, limit: 10_000 };
    assert_eq!(end.link.check_room(), Err(full));
    let text = full.to_string();
    assert!(text.contains("link 1") && text.contains("10000") && text.contains(&one.to_string()));

    // What is relayed is not asked for room; it waits like the rest.
    end.link.frame(&mut fanout);
    assert_eq!(end.link.queued(), 2 * one);
    end.link.handle_flushed(one);
    assert_eq!(end.link.check_room(), Err(full));
    end.link.handle_flushed(one);
    assert_eq!((end.link.queued(), end.link.check_room()), (0, Ok(())));
}

#[test]
fn there_is_room_up_to_the_limit_and_none_at_it() {
    let message = whisper("x");
    let weight = message.frame().plain().len();
    for (limit, room) in [(weight + 1, true), (weight, false)] {
        let config = LinkConfig { send_queue: limit, ..LinkConfig::default() };
        let mut end = End::open(Origin::Accepted, &node_with(OURS, "Plaintext", config), None);
        end.link.frame(&mut Fanout::new(message.clone()));
        assert_eq!(end.link.check_room().is_ok(), room);
    }
}

#[test]
fn handshakes_count_until_they_have_left() {
    let mut end = End::open(DIALLED, &node(OURS), None);
    let opening = end.link.queued();
    assert!((200..400).contains(&opening));
    end.receive(at(1), &frame(&greeting(IdForm::Bin)));
    let both = end.link.queued();
    assert!(both > opening);
    let sent = end.take_sent();
    assert_eq!(sent.iter().map(|frame| frame.bytes().len()).sum::<usize>(), both);
    assert_eq!(end.link.queued(), 0);
}

#[test]
fn a_driver_that_reports_more_than_was_queued_does_no_harm() {
    let mut end = End::open(DIALLED, &node(OURS), None);
    end.link.handle_flushed(usize::MAX);
    assert_eq!(end.link.queued(), 0);
}
