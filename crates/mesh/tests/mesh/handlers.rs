//! Handlers: the first that takes a message ends the chain.

use std::sync::{Arc, Mutex};

use rs2p_mesh::{MeshEvent, Received};
use rs2p_wire::{IdForm, MainFlag, SubFlag};

use crate::harness::{Net, id};
use crate::{passive, with_old_peers};

type Seen = Arc<Mutex<Vec<(&'static str, String)>>>;

fn text(received: &Received) -> String {
    received.packets().first().and_then(|it| it.as_str()).unwrap_or_default().to_owned()
}

/// Registers a handler that notes the messages whose text begins so.
fn noting(net: &mut Net, seen: &Seen, name: &'static str, beginning: &'static str) {
    let seen = seen.clone();
    net.call(1, |mesh, _| {
        mesh.on_message(
            move |received| text(received).starts_with(beginning),
            move |_, _, received| seen.lock().unwrap().push((name, text(&received))),
        );
    });
}

fn pair() -> Net {
    let mut net = Net::new();
    net.add(1, passive());
    net.add(2, passive());
    net.connect(2, 1);
    net.events(1);
    net
}

fn say(net: &mut Net, text: &str) {
    net.call(2, |mesh, now| mesh.broadcast(now, [text.into()])).unwrap();
    net.run_for(100);
}

#[test]
fn the_first_handler_that_takes_a_message_ends_the_chain() {
    let mut net = pair();
    let seen = Seen::default();
    noting(&mut net, &seen, "first", "ab");
    noting(&mut net, &seen, "second", "a");
    noting(&mut net, &seen, "third", "abc");
    for text in ["abc", "ax", "b", "ab"] {
        say(&mut net, text);
    }
    let expected = [("first", "abc"), ("second", "ax"), ("first", "ab")];
    assert_eq!(*seen.lock().unwrap(), expected.map(|(name, text)| (name, text.to_owned())));
    assert_eq!(net.texts(1), ["b"], "what no handler takes becomes an event");
    assert_eq!(net.mesh(1).status(net.now).counts.delivered, 4);
}

#[test]
fn handlers_see_messages_of_the_applications_own_sub_flags_and_nothing_of_the_meshs() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin)]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    net.call(1, |mesh, _| {
        mesh.on_message(|_| true, move |_, _, it| noted.lock().unwrap().push(it.sub_flag()));
    });
    for (flag, packet) in [
        (SubFlag::Other(0x41), "of ours".into()),
        (SubFlag::Request, "*".into()),
        (SubFlag::Peers, rs2p_wire::Value::Array(vec![])),
        (SubFlag::Response, "x".into()),
        (SubFlag::Handshake, "1".into()),
        (SubFlag::Store, "x".into()),
    ] {
        let message = net.old(2).message(net.now, MainFlag::Whisper, &[flag.into(), packet]);
        net.say(2, &message);
    }
    net.run_for(100);
    let expected = [SubFlag::Other(0x41), SubFlag::Handshake, SubFlag::Store].map(Some);
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_handler_may_answer_send_and_part() {
    let mut net = pair();
    net.add(3, passive());
    net.connect(3, 1);
    net.call(1, |mesh, _| {
        mesh.on_message(
            |received| text(received) == "bye",
            |mesh, now, received| {
                mesh.reply(now, &received, ["and bye".into()]).unwrap();
                mesh.disconnect(now, received.neighbour());
                assert_eq!(mesh.peer_count(), 1);
                assert_eq!(mesh.broadcast(now, ["2 is gone".into()]).unwrap().peers, 1);
            },
        );
    });
    say(&mut net, "bye");
    assert_eq!(net.texts(2), ["and bye"]);
    assert_eq!(net.texts(3), ["bye", "2 is gone"]);
    assert_eq!(net.peer_numbers(1), [3]);
}

#[test]
fn a_handler_may_register_another_behind_those_that_are_there() {
    let mut net = pair();
    let seen = Seen::default();
    let inner = seen.clone();
    net.call(1, |mesh, _| {
        mesh.on_message(
            |received| text(received) == "more",
            move |mesh, _, _| {
                let seen = inner.clone();
                mesh.on_message(
                    |_| true,
                    move |_, _, it| seen.lock().unwrap().push(("new", text(&it))),
                );
            },
        );
    });
    noting(&mut net, &seen, "old", "a");
    for text in ["b", "more", "a", "b"] {
        say(&mut net, text);
    }
    let expected = [("old", "a"), ("new", "b")];
    assert_eq!(*seen.lock().unwrap(), expected.map(|(name, text)| (name, text.to_owned())));
    assert_eq!(net.texts(1), ["b"]);
}

#[test]
fn messages_from_before_the_handshake_reach_the_handlers_too_even_if_these_send() {
    let mut net = Net::new();
    net.add(1, passive());
    net.add_old(2, IdForm::Bin);
    net.call(1, |mesh, _| {
        mesh.on_message(
            |_| true,
            |mesh, now, received| {
                let echo = received.packets();
                mesh.send_to(now, received.neighbour(), echo).unwrap();
            },
        );
    });
    net.old_mut(2).greets = false;
    net.dial_by_old(2, 1);
    net.run_for(100);
    for text in ["one", "two", "three"] {
        net.say(2, &net.old(2).broadcast(net.now, text));
    }
    net.say(2, &net.old(2).handshake(net.now));
    net.run_for(100);
    assert_eq!(net.peer_numbers(1), [2]);
    let echoes = net.old(2).heard_of(SubFlag::Whisper);
    let texts: Vec<_> = echoes
        .iter()
        .map(|it| it.payload(&rs2p_wire::Limits::default()).unwrap()[1].to_string())
        .collect();
    assert_eq!(texts, ["\"one\"", "\"two\"", "\"three\""]);
    let events = net.events(1);
    assert!(!events.iter().any(|event| matches!(event, MeshEvent::Message(_))), "{events:?}");
    assert_eq!(net.mesh(1).peer(id(2)).unwrap().queued, 0);
}
