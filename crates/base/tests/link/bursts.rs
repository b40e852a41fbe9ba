//! Bursts to py2p, which drops a link when one of its reads of 1,024 bytes ends just behind a
//! frame's length (spec section 13, py2p 2).

use rs2p_base::{CloseReason, Fanout, Handshake, Origin};
use rs2p_wire::{IdForm, Limits, MainFlag, Message, SubFlag, Value};

use crate::harness::End;
use crate::{OURS, at, bytes, frame, greeting, node, rs2p_greeting, whisper};

/// A link to a peer that writes ids like this, with nothing on its way. It has answered the
/// handshake with its peers list, as the originals do.
fn with_peer(greeting: &Handshake) -> End {
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &frame(greeting));
    end.receive(at(1), &bytes(&peers_list()));
    end.advance(at(10_000));
    end.take_sent();
    end
}

/// Sends a message of about so many bytes, numbered; whether it leaves at once.
fn say(end: &mut End, now: u64, number: u64, bytes: usize) -> bool {
    let text = format!("{number:04}{}", "x".repeat(bytes));
    let sent = end.link.frame(at(now), &mut Fanout::new(whisper(text))).is_some();
    end.advance(at(now));
    sent
}

/// The texts and questions that have left by themselves.
fn left(end: &mut End) -> Vec<String> {
    let told = |message: &Message| {
        let payload = message.payload(&Limits::default()).unwrap();
        match message.sub_flag() {
            Some(SubFlag::Request) => {
                assert_eq!(payload[1], Value::Binary(b"*".to_vec()));
                "?".to_owned()
            }
            _ => payload[1].as_str().unwrap()[..4].to_owned(),
        }
    };
    end.take_sent().iter().map(|frame| told(frame.message())).collect()
}

fn peers_list() -> Message {
    let payload = [SubFlag::Peers.into(), Value::Array(Vec::new())];
    let limits = Limits::default();
    Message::encode(MainFlag::Whisper, IdForm::Bin, "1", 0, &payload, &limits).unwrap()
}

#[test]
fn py2p_gets_a_piece_at_a_time_and_is_asked_when_it_has_read_it() {
    let mut end = with_peer(&greeting(IdForm::Bin));
    let at_once: Vec<bool> = (0..5).map(|number| say(&mut end, 10_000, number, 250)).collect();
    assert_eq!(at_once, [true, true, false, false, false]);
    assert_eq!(left(&mut end), ["?"]);
    end.receive(at(10_050), &bytes(&peers_list()));
    assert_eq!(left(&mut end), ["0002", "0003", "?"]);
    // What is said meanwhile stands behind what waits.
    assert!(!say(&mut end, 10_060, 5, 10));
    end.receive(at(10_100), &bytes(&peers_list()));
    assert_eq!(left(&mut end), ["0004", "0005"]);
    // The list itself goes to the layer above, also the one that came first.
    assert_eq!(end.messages().len(), 3);
}

/// py2p sends it by itself, before it has read what comes behind the handshake.
#[test]
fn the_list_that_answers_the_handshake_is_no_answer_to_the_question() {
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &frame(&greeting(IdForm::Bin)));
    end.take_sent();
    for number in 0..5 {
        say(&mut end, 1, number, 250);
    }
    assert_eq!(left(&mut end), ["?"]);
    end.receive(at(50), &bytes(&peers_list()));
    assert!(left(&mut end).is_empty());
    end.receive(at(60), &bytes(&peers_list()));
    assert_eq!(left(&mut end), ["0002", "0003", "?"]);
}

/// Its answers do not say to which question they belong.
#[test]
fn py2p_is_never_asked_twice_at_a_time() {
    let mut end = with_peer(&greeting(IdForm::Bin));
    assert!(say(&mut end, 10_000, 0, 250));
    end.link.ask_for_peers(at(10_010));
    end.link.ask_for_peers(at(10_010));
    end.advance(at(10_010));
    assert_eq!(left(&mut end), ["?"]);
    // That answer says what has been read, too.
    assert!(!say(&mut end, 10_020, 1, 800));
    end.receive(at(10_050), &bytes(&peers_list()));
    assert_eq!(left(&mut end), ["0001"]);
    assert!(!say(&mut end, 10_060, 2, 800));
    assert_eq!(left(&mut end), ["?"]);
    end.link.ask_for_peers(at(10_070));
    end.advance(at(10_070));
    assert!(left(&mut end).is_empty());
}

#[test]
fn a_frame_larger_than_a_piece_goes_alone() {
    let mut end = with_peer(&greeting(IdForm::Bin));
    assert!(say(&mut end, 10_000, 0, 100_000));
    assert!(!say(&mut end, 10_000, 1, 10));
    assert_eq!(left(&mut end), ["?"]);
    end.receive(at(10_050), &bytes(&peers_list()));
    assert_eq!(left(&mut end), ["0001"]);
}

#[test]
fn an_answer_is_waited_for_five_seconds() {
    let mut end = with_peer(&greeting(IdForm::Bin));
    for number in 0..4 {
        say(&mut end, 10_000, number, 300);
    }
    assert_eq!(left(&mut end), ["?"]);
    end.advance(at(14_999));
    assert_eq!(left(&mut end), [""; 0]);
    end.advance(at(15_000));
    assert_eq!(left(&mut end), ["0002", "0003"]);
}

#[test]
fn who_speaks_seldom_is_never_asked() {
    let mut end = with_peer(&greeting(IdForm::Bin));
    for number in 0..20 {
        assert!(say(&mut end, 10_000 + number * 2_000, number, 600));
    }
    assert_eq!(left(&mut end), [""; 0]);
}

#[test]
fn js2p_and_rs2p_read_as_much_as_comes() {
    for greeting in [greeting(IdForm::Str), rs2p_greeting()] {
        let mut end = with_peer(&greeting);
        for number in 0..100 {
            assert!(say(&mut end, 10_000, number, 250));
        }
        assert_eq!(left(&mut end), [""; 0]);
    }
}

#[test]
fn a_link_that_closes_sends_what_it_has_held_back() {
    let mut end = with_peer(&greeting(IdForm::Bin));
    for number in 0..5 {
        say(&mut end, 10_000, number, 300);
    }
    end.link.close(at(10_001), CloseReason::Requested);
    end.advance(at(10_001));
    assert_eq!(left(&mut end), ["?", "0002", "0003", "0004"]);
    assert!(end.closed().is_some());
}

#[test]
fn what_is_held_back_is_bounded() {
    let mut end = with_peer(&greeting(IdForm::Bin));
    for number in 0..16 {
        assert!(end.closed().is_none(), "{number}");
        say(&mut end, 10_000, number, 1 << 20);
    }
    assert!(matches!(end.closed(), Some(CloseReason::SlowReader { limit: 0x100_0000, .. })));
}
