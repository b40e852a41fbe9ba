//! Peers that do not become peers, and links that come to an end.

use std::time::Duration;

use rs2p_base::{CloseReason, Handshake, HandshakeError, LinkConfig, NodeIdError, Origin};
use rs2p_wire::base58::Base58Error;
use rs2p_wire::{
    Compression, EncodeError, IdForm, Limits, MainFlag, Message, SubFlag, Value, base58,
};

use crate::harness::{End, Told};
use crate::{
    DIALLED, OURS, at, bytes, forms, frame, greeting, id, message, node, node_with, whisper,
};

#[test]
fn another_network_is_refused_by_both_names_and_after_a_handshake_in_the_peers_form() {
    let forms_and_origins = [IdForm::Bin, IdForm::Str]
        .into_iter()
        .flat_map(|form| [(form, Origin::Accepted, 0), (form, DIALLED, 1)]);
    for (form, origin, before) in forms_and_origins {
        let stranger = Handshake { protocol: "elsewhere".into(), ..greeting(form) };
        let mut end = End::open(origin, &node(OURS), None);
        assert_eq!(end.take_sent().len(), before);
        end.receive(at(1), &frame(&stranger));
        assert_eq!(forms(&end.take_sent()), [(form, 5)]);
        let ours = "EpAmyZWv9rZUKmjQgU3FTUD4GrJHvVEXizmghVBc8eGD";
        let (network, other) = (ours.into(), "elsewhere".into());
        let reason = CloseReason::OtherNetwork { ours: network, theirs: other };
        let text = reason.to_string();
        assert!(text.contains(ours) && text.contains("elsewhere"), "{text}");
        assert_eq!(end.told, [Told::Closed(reason)]);
        assert_eq!(end.peer(), None);
    }
}

#[test]
fn the_name_of_another_network_is_quoted_to_a_bounded_length() {
    let stranger = Handshake { protocol: "é".repeat(1_000).into(), ..greeting(IdForm::Str) };
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &frame(&stranger));
    assert!(matches!(
        end.closed(),
        Some(CloseReason::OtherNetwork { theirs, .. }) if **theirs == *"é".repeat(64)
    ));
}

#[test]
fn a_peer_may_not_change_its_id() {
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &frame(&greeting(IdForm::Bin)));
    let other = Handshake { id: id(0x44), ..greeting(IdForm::Bin) };
    end.receive(at(2), &frame(&other));
    assert_eq!(end.told, [Told::Established, Told::Closed(CloseReason::IdentityChanged)]);
    assert_eq!(end.peer(), Some(greeting(IdForm::Bin)));
}

#[test]
fn a_peer_may_change_its_network_no_more_than_its_id() {
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &frame(&greeting(IdForm::Bin)));
    end.take_sent();
    let other = Handshake { protocol: "elsewhere".into(), ..greeting(IdForm::Bin) };
    end.receive(at(2), &frame(&other));
    assert!(matches!(end.closed(), Some(CloseReason::OtherNetwork { .. })));
    assert!(end.take_sent().is_empty());
}

#[test]
fn the_ninth_frame_before_a_handshake_is_one_too_many() {
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    for text in 0..9 {
        assert_eq!(end.told, [], "frame {text}");
        end.receive(at(1), &bytes(&whisper(text)));
    }
    assert_eq!(end.told, [Told::Closed(CloseReason::TooEarly)]);
    assert_eq!(forms(&end.take_sent()), [(IdForm::Bin, 5)]);
}

#[test]
fn frames_before_a_handshake_are_kept_up_to_64_kib_in_all() {
    for lengths in [&[65_536][..], &[32_768, 32_768], &[1_000, 64_536]] {
        let kept: Vec<_> = lengths.iter().map(|length| whisper_of(*length)).collect();
        let mut end = End::open(Origin::Accepted, &node(OURS), None);
        for message in &kept {
            end.receive(at(1), &bytes(message));
        }
        assert_eq!(end.told, []);
        end.receive(at(2), &frame(&greeting(IdForm::Str)));
        assert_eq!(end.messages(), kept);
    }
    for lengths in [&[65_537][..], &[32_768, 32_769], &[65_536, 500]] {
        let mut end = End::open(Origin::Accepted, &node(OURS), None);
        for length in lengths {
            assert_eq!(end.told, [], "{lengths:?}");
            // Of what is compressed, the length once expanded counts.
            let frame = whisper_of(*length).frame().compressed(Compression::Zlib);
            assert!(frame.len() < 5_000);
            end.receive(at(1), &frame);
        }
        assert_eq!(end.told, [Told::Closed(CloseReason::TooEarly)], "{lengths:?}");
        assert_eq!(forms(&end.take_sent()), [(IdForm::Bin, 5)], "a handshake goes before the end");
    }
}

#[test]
fn a_silent_peer_is_greeted_after_one_second_and_given_up_after_ten() {
    for (origin, before) in [(Origin::Accepted, 0), (DIALLED, 1)] {
        let mut end = End::open(origin, &node(OURS), None);
        assert_eq!(end.take_sent().len(), before);
        assert_eq!(end.link.poll_timeout(), Some(at(1_000)));
        end.advance(at(999));
        assert!(end.take_sent().is_empty());
        end.advance(at(1_000));
        assert_eq!(forms(&end.take_sent()), [(IdForm::Bin, 5)]);

        assert_eq!(end.link.poll_timeout(), Some(at(10_000)));
        end.advance(at(9_999));
        assert_eq!(end.told, []);
        end.advance(at(10_000));
        assert_eq!(end.told, [Told::Closed(CloseReason::NoHandshake { seconds: 10 })]);
        assert!(end.take_sent().is_empty());
        assert_eq!(end.link.poll_timeout(), None);
    }
}

#[test]
fn frames_other_than_a_handshake_put_nothing_off() {
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    for (millis, text) in [(400, "a"), (900, "b"), (9_900, "c")] {
        end.receive(at(millis), &bytes(&whisper(text)));
    }
    end.advance(at(10_000));
    assert_eq!(end.told, [Told::Closed(CloseReason::NoHandshake { seconds: 10 })]);
}

#[test]
fn a_deadline_for_the_handshake_before_the_one_for_the_form_still_greets() {
    let seconds = Duration::from_secs;
    let config =
        LinkConfig { handshake: seconds(2), form_wait: seconds(5), ..LinkConfig::default() };
    let mut end = End::open(Origin::Accepted, &node_with(OURS, "Plaintext", config), None);
    assert_eq!(end.link.poll_timeout(), Some(at(2_000)));
    end.advance(at(2_000));
    assert_eq!(forms(&end.take_sent()), [(IdForm::Bin, 5)]);
    assert_eq!(end.told, [Told::Closed(CloseReason::NoHandshake { seconds: 2 })]);
}

#[test]
fn an_idle_link_is_closed_only_where_that_is_configured() {
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(5), &frame(&greeting(IdForm::Bin)));
    assert_eq!(end.link.poll_timeout(), None);

    let config = LinkConfig { idle: Some(Duration::from_secs(60)), ..LinkConfig::default() };
    let mut end = End::open(Origin::Accepted, &node_with(OURS, "Plaintext", config), None);
    end.receive(at(5), &frame(&greeting(IdForm::Bin)));
    assert_eq!(end.link.poll_timeout(), Some(at(60_005)));
    end.receive(at(60_000), &bytes(&whisper("still here")));
    assert_eq!(end.link.last_heard(), at(60_000));
    end.advance(at(119_999));
    assert_eq!(end.closed(), None);
    end.advance(at(120_000));
    assert_eq!(end.closed(), Some(&CloseReason::Idle { seconds: 60 }));
}

#[test]
fn a_handshake_that_makes_no_sense_closes_the_link_and_says_why() {
    let id = IdForm::Bin.value(&id(crate::THEIRS).to_string());
    let protocol = IdForm::Bin.value(&greeting(IdForm::Bin).protocol);
    let address = Value::Array(vec!["127.0.0.1".into(), 9.into()]);
    let methods = Value::Array(vec![]);
    let text = |text: String| IdForm::Bin.value(&text);
    let wrong = |packet| HandshakeError::Type { packet };
    let too_large = [&[1][..], &[0; 48]].concat();
    let cases = [
        (1, Value::Nil, wrong("node id")),
        (1, 5.into(), wrong("node id")),
        (1, Value::Array(vec![id.clone()]), wrong("node id")),
        (2, Value::Nil, wrong("protocol id")),
        (2, 5.into(), wrong("protocol id")),
        (4, Value::Nil, wrong("compression methods")),
        (4, "zlib".into(), wrong("compression methods")),
        (4, Value::Map(vec![]), wrong("compression methods")),
        (1, text(String::new()), NodeIdError::Base58(Base58Error::Empty).into()),
        (
            1,
            text("2s0".into()),
            NodeIdError::Base58(Base58Error::Digit { index: 2, byte: b'0' }).into(),
        ),
        (1, text("12sei".into()), NodeIdError::LeadingZeros.into()),
        (
            1,
            text("2".repeat(257)),
            NodeIdError::Base58(Base58Error::TooLong { length: 257 }).into(),
        ),
        (
            1,
            text(base58::encode(&too_large)),
            NodeIdError::Base58(Base58Error::TooLarge { width: 48 }).into(),
        ),
    ];
    for (packet, value, expected) in cases {
        for opening in [false, true] {
            let flag = Value::from(SubFlag::Handshake);
            let mut payload =
                vec![flag, id.clone(), protocol.clone(), address.clone(), methods.clone()];
            payload[packet] = value.clone();
            payload.extend(opening.then(|| 1.into()));
            let mut end = End::open(Origin::Accepted, &node(OURS), None);
            end.receive(at(1), &bytes(&message(MainFlag::Whisper, &payload)));
            let reason = CloseReason::Handshake(expected.clone());
            assert_eq!(end.told, [Told::Closed(reason)], "packet {packet}: {value}");
            assert_eq!(end.take_sent().len(), 1, "a handshake goes before the end");
        }
    }
}

#[test]
fn numbers_beside_the_point_in_a_list_of_methods_are_passed_over() {
    let peer = greeting(IdForm::Str);
    let odd = vec![Value::Nil, "x".into(), (-1).into(), 19.into(), Value::F64(17.0)];
    let payload = [
        SubFlag::Handshake.into(),
        peer.form.value(&peer.id.to_string()),
        peer.form.value(&peer.protocol),
        Value::Nil,
        Value::Array(odd),
    ];
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &bytes(&message(MainFlag::Whisper, &payload)));
    assert_eq!(end.told, [Told::Established]);
    assert_eq!(*end.peer().unwrap().methods, [19]);
}

#[test]
fn a_closed_link_is_silent() {
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    let stranger = Handshake { protocol: "elsewhere".into(), ..greeting(IdForm::Bin) };
    end.receive(at(1), &frame(&stranger));
    end.take_sent();
    let told = end.told.clone();

    end.receive(at(2), &frame(&greeting(IdForm::Bin)));
    end.receive(at(2), &frame(&stranger));
    end.receive(at(2), &bytes(&whisper("x")));
    for sub_flag in [SubFlag::Compression, SubFlag::Resend] {
        end.receive(at(2), &bytes(&message(MainFlag::Renegotiate, &[sub_flag.into()])));
    }
    end.advance(at(3_600_000));
    assert!(end.take_sent().is_empty());
    assert_eq!((end.told, end.alarms), (told, 0));
}

#[test]
fn what_the_layer_above_closes_is_closed_once_and_for_its_reason() {
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &frame(&greeting(IdForm::Bin)));
    end.link.close(at(2), CloseReason::Surplus);
    end.link.close(at(2), CloseReason::Shutdown);
    end.receive(at(2), &bytes(&whisper("x")));
    assert_eq!(end.told, [Told::Established, Told::Closed(CloseReason::Surplus)]);
    assert_eq!(end.link.poll_timeout(), None);
}

#[test]
fn a_link_that_the_layer_above_closes_early_greets_first() {
    let node = node(OURS);
    let cases = [
        (Origin::Accepted, None, 0, vec![(IdForm::Bin, 5)]),
        (DIALLED, None, 1, vec![(IdForm::Bin, 5)]),
        (Origin::Accepted, Some(IdForm::Str), 1, vec![]),
        (DIALLED, Some(IdForm::Str), 1, vec![]),
    ];
    for (origin, form, before, expected) in cases {
        let mut end = End::open(origin, &node, form);
        assert_eq!(end.take_sent().len(), before);
        end.link.close(at(7), CloseReason::Shutdown);
        end.advance(at(7));
        assert_eq!(forms(&end.take_sent()), expected, "{origin:?} {form:?}");
        assert_eq!(end.told, [Told::Closed(CloseReason::Shutdown)]);
        assert!(end.link.is_closing());
    }

    let mut end = End::open(Origin::Accepted, &node, None);
    end.receive(at(1), &frame(&greeting(IdForm::Str)));
    end.take_sent();
    end.link.close(at(7), CloseReason::Shutdown);
    end.advance(at(7));
    assert!(end.take_sent().is_empty(), "it has been greeted already");
}

#[test]
fn a_node_whose_limits_leave_no_room_for_a_handshake_ends_its_links_once_and_says_why() {
    let limits = Limits { frame: 40, ..Limits::default() };
    let config = LinkConfig { limits, ..LinkConfig::default() };
    let node = node_with(OURS, "Plaintext", config);
    for (origin, form) in
        [(Origin::Accepted, None), (DIALLED, None), (Origin::Accepted, Some(IdForm::Bin))]
    {
        let mut end = End::open(origin, &node, form);
        end.receive(at(1), &frame(&greeting(IdForm::Bin)));
        end.link.close(at(2), CloseReason::Shutdown);
        end.advance(at(60_000));
        assert_eq!(end.told.len(), 1);
        let Some(CloseReason::Limits(error)) = end.closed() else { panic!("{:?}", end.told) };
        assert!(matches!(error, EncodeError::TooLong { length: 200..400, limit: 40 }));
        assert_eq!(end.take_sent().len(), 0);
    }
}

#[test]
fn limits_that_hold_no_handshake_are_the_reason_even_when_the_layer_above_closes() {
    let limits = Limits { frame: 40, ..Limits::default() };
    let config = LinkConfig { limits, ..LinkConfig::default() };
    let mut end = End::open(Origin::Accepted, &node_with(OURS, "Plaintext", config), None);
    end.link.close(at(1), CloseReason::Requested);
    end.advance(at(1));
    let reason = end.closed().unwrap().to_string();
    assert!(reason.contains("no room for a handshake") && reason.contains("40"), "{reason}");
}

/// A user's message whose body is of this length.
fn whisper_of(length: usize) -> Message {
    let overhead = whisper("x".repeat(1_000)).body().len() - 1_000;
    let message = whisper("x".repeat(length - overhead));
    assert_eq!(message.body().len(), length);
    message
}
