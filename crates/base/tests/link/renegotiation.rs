//! What old peers send when something has gone wrong between them (spec section 8).

use rs2p_base::{Capability, Fanout, Handshake};
use rs2p_base::{Link, Origin, OutFrame};
use rs2p_wire::{Compression, IdForm, MainFlag, Message, SubFlag, Value};

use crate::harness::{End, Told};
use crate::{OURS, at, bytes, frame, greeting, message, node, whisper};

/// A link to a peer that reads zlib and gzip.
fn established(form: IdForm) -> End {
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &frame(&greeting(form)));
    end.take_sent();
    end
}

fn methods(numbers: &[u64]) -> Message {
    let list = Value::Array(numbers.iter().copied().map(Value::from).collect());
    message(MainFlag::Renegotiate, &[SubFlag::Compression.into(), list])
}

fn resend() -> Message {
    message(MainFlag::Renegotiate, &[SubFlag::Resend.into()])
}

/// What is sent seconds apart makes no burst, which py2p would be spared.
fn send(link: &mut Link, now: u64, message: &Message) -> OutFrame {
    link.frame(at(now), &mut Fanout::new(message.clone())).unwrap()
}

#[test]
fn a_list_is_taken_and_frames_are_plain_from_then_on_and_nothing_is_answered() {
    let large = whisper("x".repeat(5_000));
    for numbers in [&[][..], &[17], &[17, 19], &[16, 17, 18, 19, 32], &[127]] {
        let mut end = established(IdForm::Bin);
        assert!(send(&mut end.link, 1, &large).bytes().len() < 500);

        end.receive(at(2), &bytes(&methods(numbers)));
        assert_eq!(*end.peer().unwrap().methods, *numbers);
        assert_eq!(end.link.compression(), None);
        assert_eq!(send(&mut end.link, 5_000, &large).bytes(), large.frame().plain());
        assert_eq!(end.told, [Told::Established]);
        assert!(end.take_sent().is_empty());
    }
}

#[test]
fn a_handshake_after_that_brings_compression_back() {
    let mut end = established(IdForm::Bin);
    end.receive(at(2), &bytes(&methods(&[])));
    end.receive(at(3), &frame(&greeting(IdForm::Bin)));
    assert_eq!(end.link.compression(), Some(Compression::Zlib));
    assert_eq!(end.told, [Told::Established, Told::Repeated]);
}

#[test]
fn the_last_frame_is_repeated_once_in_full_and_plain() {
    let (first, last) = (whisper("first"), whisper("x".repeat(5_000)));
    let mut end = established(IdForm::Bin);
    for (now, message) in [(1, &first), (3_000, &last)] {
        let frame = send(&mut end.link, now, message);
        end.link.handle_flushed(at(now), frame.weight());
    }
    end.receive(at(3_001), &bytes(&resend()));
    let repeated = end.take_sent();
    assert_eq!(repeated.len(), 1);
    assert_eq!(repeated[0].bytes(), last.frame().plain());
    assert_eq!(end.link.compression(), None);

    end.receive(at(3_002), &bytes(&resend()));
    assert!(end.take_sent().is_empty(), "two such nodes would keep each other busy");
    send(&mut end.link, 6_000, &first);
    end.receive(at(6_001), &bytes(&resend()));
    assert_eq!(end.take_sent()[0].message(), &first);
    assert_eq!(end.told, [Told::Established]);
}

#[test]
fn a_handshake_is_not_repeated() {
    let mut end = established(IdForm::Bin);
    end.receive(at(2), &bytes(&resend()));
    assert!(end.take_sent().is_empty());
}

#[test]
fn when_the_last_frame_was_too_large_to_keep_no_older_one_is_repeated_in_its_place() {
    let mut end = established(IdForm::Bin);
    send(&mut end.link, 1, &whisper("older"));
    send(&mut end.link, 3_000, &whisper("x".repeat(70_000)));
    end.receive(at(3_001), &bytes(&resend()));
    assert!(end.take_sent().is_empty());
}

#[test]
fn nothing_is_kept_for_rs2p_peers() {
    let peer = Handshake { capabilities: [Capability::RS2P].into(), ..greeting(IdForm::Bin) };
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &frame(&peer));
    end.take_sent();
    send(&mut end.link, 1, &whisper("x"));
    end.receive(at(2), &bytes(&resend()));
    assert!(end.take_sent().is_empty());
}

#[test]
fn whatever_else_comes_under_that_type_is_swallowed() {
    let flag = |flag: SubFlag| Value::from(flag);
    let odd = [
        vec![],
        vec!["x".into()],
        vec![flag(SubFlag::Handshake)],
        vec![flag(SubFlag::Whisper), "x".into()],
        vec![flag(SubFlag::Compression)],
        vec![flag(SubFlag::Compression), 19.into()],
        vec![flag(SubFlag::Compression), Value::Map(vec![])],
    ];
    for payload in odd {
        let mut end = established(IdForm::Str);
        end.receive(at(2), &bytes(&message(MainFlag::Renegotiate, &payload)));
        assert_eq!(end.told, [Told::Established], "{payload:?}");
        assert_eq!(end.peer(), Some(greeting(IdForm::Str)), "{payload:?}");
        assert!(end.take_sent().is_empty());
    }
}

#[test]
fn before_the_handshake_it_changes_nothing() {
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    for message in [methods(&[]), resend(), methods(&[19]), resend()] {
        end.receive(at(1), &bytes(&message));
    }
    for text in 0..8 {
        end.receive(at(1), &bytes(&whisper(text)));
    }
    assert!(end.take_sent().is_empty());
    end.receive(at(2), &frame(&greeting(IdForm::Bin)));
    assert_eq!(end.messages().len(), 8, "they do not count as frames that are kept");
    assert_eq!(end.link.compression(), Some(Compression::Zlib));
}
