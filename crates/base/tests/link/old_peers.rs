//! Peers that write ids as py2p (bin) or as js2p (str).

use rs2p_base::{Endpoint, Handshake, Origin};
use rs2p_wire::{IdForm, MainFlag, SubFlag, Value};

use crate::harness::{End, Told};
use crate::{DIALLED, OURS, at, bytes, forms, frame, greeting, id, message, node, whisper};

const BOTH: [IdForm; 2] = [IdForm::Bin, IdForm::Str];

#[test]
fn a_peer_that_dials_is_answered_once_and_in_its_own_form() {
    for form in BOTH {
        let mut end = End::open(Origin::Accepted, &node(OURS), None);
        end.advance(at(500));
        assert!(end.take_sent().is_empty(), "the form is not known yet");

        end.receive(at(500), &frame(&greeting(form)));
        assert_eq!(forms(&end.take_sent()), [(form, 5)]);
        assert_eq!(end.told, [Told::Established]);
        assert_eq!((end.link.form(), end.peer()), (form, Some(greeting(form))));

        // js2p repeats its handshake at once, py2p's chord whenever it joins or leaves.
        end.receive(at(501), &frame(&greeting(form)));
        end.receive(at(60_000), &frame(&greeting(form)));
        assert!(end.take_sent().is_empty());
        assert_eq!(end.told, [Told::Established, Told::Repeated, Told::Repeated]);
        assert_eq!(end.alarms, 0);
    }
}

#[test]
fn a_peer_that_is_dialled_gets_an_opening_to_pass_over_and_one_handshake_in_its_form() {
    for form in BOTH {
        let mut end = End::open(DIALLED, &node(OURS), None);
        let opening = end.take_sent();
        assert_eq!(forms(&opening), [(IdForm::Bin, 6)]);
        assert_eq!(end.told, []);

        end.receive(at(30), &frame(&greeting(form)));
        assert_eq!(forms(&end.take_sent()), [(form, 5)]);
        end.receive(at(31), &frame(&greeting(form)));
        assert!(end.take_sent().is_empty());
        assert_eq!(end.told, [Told::Established, Told::Repeated]);
        assert_eq!(end.alarms, 0);
    }
}

#[test]
fn a_peer_whose_form_is_known_gets_the_handshake_at_once_and_only_then() {
    for form in BOTH {
        for origin in [Origin::Accepted, DIALLED] {
            let mut end = End::open(origin, &node(OURS), Some(form));
            assert_eq!(forms(&end.take_sent()), [(form, 5)]);
            end.receive(at(30), &frame(&greeting(form)));
            end.receive(at(31), &frame(&greeting(form)));
            assert!(end.take_sent().is_empty());
            assert_eq!(end.told, [Told::Established, Told::Repeated]);
        }
    }
}

#[test]
fn a_peer_is_reachable_as_soon_as_its_handshake_came() {
    // The answer stands before `Established` in the output, so whatever the layer above sends on
    // hearing of the peer reaches it after the handshake.
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &frame(&greeting(IdForm::Bin)));
    assert_eq!(end.take_sent().len(), 1);
    assert_eq!(end.told, [Told::Established]);
}

#[test]
fn a_peer_without_an_address_is_taken_as_one_that_cannot_be_dialled() {
    let nowhere = Handshake { address: None, ..greeting(IdForm::Str) };
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &frame(&nowhere));
    assert_eq!(end.peer(), Some(nowhere.clone()));

    for odd in [Value::Nil, "127.0.0.1:9".into(), Value::Array(vec!["h".into(), "9".into()])] {
        let payload = five(&nowhere, odd);
        let mut end = End::open(Origin::Accepted, &node(OURS), None);
        end.receive(at(1), &bytes(&message(MainFlag::Whisper, &payload)));
        assert_eq!(end.told, [Told::Established]);
        assert_eq!(end.peer().unwrap().address, None);
    }
}

#[test]
fn a_host_may_be_a_name_and_written_as_bin() {
    let host = Value::Array(vec![Value::Binary(b"seed.example".to_vec()), 9.into()]);
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    let payload = five(&greeting(IdForm::Bin), host);
    end.receive(at(1), &bytes(&message(MainFlag::Whisper, &payload)));
    let address = end.peer().unwrap().address;
    assert_eq!(address, Some(Endpoint::Name("seed.example".into(), 9)));
}

#[test]
fn frames_before_the_handshake_are_kept_and_follow_it_in_order() {
    let early: Vec<_> = (0..8).map(whisper).collect();
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    for message in &early {
        end.receive(at(1), &bytes(message));
    }
    assert_eq!(end.told, []);

    end.receive(at(2), &frame(&greeting(IdForm::Bin)));
    end.receive(at(3), &bytes(&whisper("late")));
    assert_eq!(end.told[0], Told::Established);
    let late = [whisper("late")];
    assert_eq!(end.messages(), early.into_iter().chain(late).collect::<Vec<_>>());
}

#[test]
fn the_same_sub_flag_with_other_than_five_or_six_packets_is_handed_up() {
    // Two are chord's message that a node stores data; the others mean nothing to old peers.
    let flag = Value::from(SubFlag::Handshake);
    let rest = [Value::from("0"), 1.into(), 2.into(), 3.into(), 4.into(), 5.into()];
    let mut end = End::open(Origin::Accepted, &node(OURS), None);
    end.receive(at(1), &frame(&greeting(IdForm::Bin)));
    let mut handed_up = Vec::new();
    for packets in [1, 2, 3, 4, 7] {
        let payload: Vec<_> =
            [flag.clone()].into_iter().chain(rest.iter().take(packets - 1).cloned()).collect();
        assert_eq!(payload.len(), packets);
        handed_up.push(message(MainFlag::Whisper, &payload));
        end.receive(at(2), &bytes(&handed_up[handed_up.len() - 1]));
    }
    assert_eq!(end.messages(), handed_up);
    assert_eq!(end.told.len(), 1 + handed_up.len());
}

#[test]
fn a_handshake_counts_as_a_whisper_only() {
    // Old peers take it under any type, and relay it under type 0: then it names a stranger.
    let payload = five(&greeting(IdForm::Bin), Value::Nil);
    for kind in [0, 3, 4, 7, 0x30] {
        let mut end = End::open(Origin::Accepted, &node(OURS), None);
        end.receive(at(1), &bytes(&message(kind.into(), &payload)));
        assert_eq!((end.told.as_slice(), end.peer()), (&[][..], None), "type {kind}");

        end.receive(at(2), &frame(&greeting(IdForm::Bin)));
        end.receive(at(3), &bytes(&message(kind.into(), &payload)));
        assert_eq!(end.told, [Told::Established], "type {kind}");
        assert_eq!(end.peer().unwrap().id, id(crate::THEIRS));
    }
}

/// The packets of a handshake, but with another address.
fn five(handshake: &Handshake, address: Value) -> Vec<Value> {
    let methods = handshake.methods.iter().copied().map(Value::from).collect();
    vec![
        SubFlag::Handshake.into(),
        handshake.form.value(&handshake.id.to_string()),
        handshake.form.value(&handshake.protocol),
        address,
        Value::Array(methods),
    ]
}
