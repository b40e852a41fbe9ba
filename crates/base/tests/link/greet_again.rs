//! A handshake that is sent once more.

use rs2p_base::{CloseReason, Origin};
use rs2p_wire::IdForm;

use crate::harness::{End, Told};
use crate::{DIALLED, OURS, at, forms, frame, greeting, handshakes, id, node, rs2p_greeting};

#[test]
fn it_goes_out_in_the_peers_form_as_often_as_it_is_wanted() {
    for (form, origin) in [
        (IdForm::Bin, Origin::Accepted),
        (IdForm::Str, Origin::Accepted),
        (IdForm::Bin, DIALLED),
        (IdForm::Str, DIALLED),
    ] {
        let mut end = End::open(origin, &node(OURS), None);
        end.receive(at(1), &frame(&greeting(form)));
        end.take_sent();
        for millis in [5_000, 6_000] {
            end.link.greet_again(at(millis));
            end.advance(at(millis));
            let sent = end.take_sent();
            assert_eq!(forms(&sent), [(form, 5)]);
            assert_eq!(sent[0].message().time(), at(millis).as_secs());
            assert_eq!(handshakes(&sent)[0].id, id(OURS));
        }
        assert_eq!(end.told, [Told::Established]);
    }
}

#[test]
fn an_rs2p_peer_that_had_the_opening_only_gets_a_handshake_of_five_packets() {
    let mut end = End::open(DIALLED, &node(OURS), None);
    end.receive(at(20), &frame(&rs2p_greeting()));
    assert_eq!(forms(&end.take_sent()), [(IdForm::Bin, 6)]);
    end.link.greet_again(at(5_000));
    end.advance(at(5_000));
    assert_eq!(forms(&end.take_sent()), [(IdForm::Bin, 5)]);
}

#[test]
fn before_the_peers_own_handshake_it_would_be_in_a_form_that_is_guessed() {
    for (origin, before) in [(Origin::Accepted, 0), (DIALLED, 1)] {
        let mut end = End::open(origin, &node(OURS), None);
        end.link.greet_again(at(1));
        end.advance(at(1));
        assert_eq!(end.take_sent().len(), before);
        end.receive(at(2), &frame(&greeting(IdForm::Str)));
        assert_eq!(forms(&end.take_sent()), [(IdForm::Str, 5)]);
    }
}

#[test]
fn a_closed_link_greets_nobody() {
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &frame(&greeting(IdForm::Bin)));
    end.take_sent();
    end.link.close(at(2), CloseReason::Surplus);
    end.link.greet_again(at(3));
    end.advance(at(3));
    assert!(end.take_sent().is_empty());
    assert_eq!(end.told, [Told::Established, Told::Closed(CloseReason::Surplus)]);
}
