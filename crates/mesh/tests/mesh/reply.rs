//! Messages to one node, wherever it is (spec section 7.4).

use rs2p_mesh::{DeliverError, MeshConfig, MeshEvent, Received, SendError};
use rs2p_wire::{IdForm, Limits, MainFlag, Message, MessageId, SubFlag, Value, text_bytes};

use crate::harness::{Net, address, at, id};
use crate::{dialled_by, passive, with_old_peers};

/// How messages to one node went, since it was asked last.
fn delivered(net: &mut Net, number: u8) -> Vec<Result<MessageId, DeliverError>> {
    let result = |event| match event {
        MeshEvent::Delivered { result, .. } => Some(result),
        _ => None,
    };
    net.events(number).into_iter().filter_map(result).collect()
}

fn payload(message: &Message) -> Vec<Value> {
    message.payload(&Limits::default()).unwrap()
}

/// What is needed to reply to what a node heard last.
fn last_heard(net: &mut Net, number: u8) -> Received {
    let heard = |event| match event {
        MeshEvent::Message(received) => Some(received),
        _ => None,
    };
    net.events(number).into_iter().filter_map(heard).next_back().unwrap()
}

/// Nodes 1, 2 and 3 in a line, none of which dials by itself.
fn line() -> Net {
    let mut net = Net::new();
    (1..=3).for_each(|number| net.add(number, passive()));
    net.connect(1, 2);
    net.connect(2, 3);
    net
}

/// A request for a node's address, as an old peer writes it.
fn request(net: &Net, by: u8, wanted: Value) -> Message {
    let payload = [SubFlag::Request.into(), "a request".into(), wanted];
    net.old(by).message(net.now, MainFlag::Broadcast, &payload)
}

fn response(net: &Net, by: u8, asked_as: Value, number: u8) -> Message {
    let payload = [SubFlag::Response.into(), asked_as, net.old(by).entry(number)];
    net.old(by).message(net.now, MainFlag::Broadcast, &payload)
}

#[test]
fn a_reply_to_a_peer_is_a_whisper_to_it_alone_in_its_own_form() {
    for form in [IdForm::Bin, IdForm::Str] {
        let mut net = with_old_peers([(2, form), (3, form)]);
        net.say(2, &net.old(2).broadcast(net.now, "a question"));
        net.run_for(100);
        let question = last_heard(&mut net, 1);
        let sent = net.call(1, |mesh, now| mesh.reply(now, &question, ["an answer".into()]));
        assert!(sent.is_ok());
        let ids: Vec<_> = delivered(&mut net, 1).into_iter().map(Result::unwrap).collect();
        net.run_for(100);
        let answers = net.old(2).heard_of(SubFlag::Whisper);
        assert_eq!(answers.iter().map(Message::id).collect::<Vec<_>>(), ids);
        assert_eq!((answers[0].kind(), answers[0].sender_form()), (MainFlag::Whisper, form));
        assert_eq!(payload(&answers[0]), [SubFlag::Whisper.into(), "an answer".into()]);
        assert_eq!(net.old(3).heard_of(SubFlag::Whisper), []);
    }
}

#[test]
fn a_distant_author_is_asked_for_dialled_and_answered() {
    let mut net = line();
    net.call(3, |mesh, now| mesh.broadcast(now, ["from afar".into()])).unwrap();
    net.run_for(100);
    let question = last_heard(&mut net, 1);
    assert_eq!((question.sender_id(), question.neighbour()), (Some(id(3)), id(2)));
    net.call(1, |mesh, now| mesh.reply(now, &question, ["hello".into()])).unwrap();
    net.run_for(500);
    assert_eq!(net.texts(3), ["hello"]);
    assert_eq!(net.texts(2), ["from afar"]);
    assert_eq!(net.peer_numbers(1), [2, 3]);
    assert_eq!(delivered(&mut net, 1).len(), 1);
    assert_eq!(dialled_by(&net, 1), [address(2), address(3)]);
    assert_eq!(net.mesh(1).status(net.now).deferred, 0);
}

#[test]
fn the_wanted_node_answers_for_itself() {
    let mut net = with_old_peers([(3, IdForm::Bin)]);
    let message = request(&net, 3, IdForm::Bin.value(&id(1).to_string()));
    net.say(3, &message);
    net.run_for(100);
    let answers = net.old(3).heard_of(SubFlag::Response);
    assert_eq!(answers.len(), 1);
    assert_eq!(payload(&answers[0])[2], net.old(3).entry(1));
}

#[test]
fn messages_to_one_distant_node_share_a_link_and_arrive_in_order() {
    let mut net = line();
    for text in ["one", "two", "three"] {
        net.call(1, |mesh, now| mesh.send_to(now, id(3), [text.into()])).unwrap();
    }
    net.run_for(1_000);
    assert_eq!(net.texts(3), ["one", "two", "three"]);
    assert_eq!(dialled_by(&net, 1).len(), 2);
    assert_eq!(delivered(&mut net, 1).len(), 3);
}

#[test]
fn py2p_is_asked_at_once_and_js2p_in_its_form_a_second_later() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Str)]);
    net.run(at(10_000));
    net.call(1, |mesh, now| mesh.send_to(now, id(9), ["x".into()])).unwrap();
    net.run(at(30_000));
    let asked: Vec<_> = net
        .old(2)
        .heard
        .iter()
        .filter(|(.., it)| it.sub_flag() == Some(SubFlag::Request))
        .collect();
    let wanted = |form: IdForm| form.value(&id(9).to_string());
    let asked: Vec<_> =
        asked.iter().map(|(time, _, it)| (*time, it.sender_form(), payload(it))).collect();
    let (bin, first, second) = (IdForm::Bin, at(10_020), at(11_020));
    assert_eq!(
        asked.iter().map(|it| (it.0, it.1)).collect::<Vec<_>>(),
        [(first, bin), (second, bin)]
    );
    let ids: Vec<_> = asked.iter().map(|(.., packets)| packets[1].clone()).collect();
    assert_eq!(ids[0], ids[1], "the same request in another form");
    assert!(ids[0].is_str() && text_bytes(&ids[0]).unwrap().len() >= 60);
    assert_eq!([&asked[0].2[2], &asked[1].2[2]], [&wanted(bin), &wanted(IdForm::Str)]);
    let (mut js, py) =
        (net.old(3).heard_of(SubFlag::Request), net.old(2).heard_of(SubFlag::Request));
    js.retain(|it| it.payload_len() == 3);
    assert_eq!(js, py);
}

#[test]
fn a_node_that_nobody_knows_is_given_up_after_ten_seconds() {
    let mut net = line();
    net.events(1);
    net.call(1, |mesh, now| mesh.send_to(now, id(9), ["x".into()])).unwrap();
    net.run_for(9_999);
    assert_eq!(delivered(&mut net, 1).len(), 0);
    net.run_for(1);
    let results = delivered(&mut net, 1);
    let [Err(DeliverError::NotFound { to, seconds: 10 })] = &results[..] else {
        panic!("{results:?}")
    };
    assert_eq!(*to, id(9));
    assert_eq!(net.mesh(1).status(net.now).deferred, 0);
}

#[test]
fn how_many_messages_wait_for_an_address_is_bounded() {
    let mut net = Net::new();
    net.add(1, MeshConfig { max_deferred: 3, ..passive() });
    net.add(2, passive());
    net.connect(1, 2);
    let send = |net: &mut Net| net.call(1, |mesh, now| mesh.send_to(now, id(9), ["x".into()]));
    for _ in 0..3 {
        assert!(send(&mut net).is_ok());
    }
    assert_eq!(send(&mut net), Err(SendError::TooManyDeferred { limit: 3 }));
    assert_eq!(net.mesh(1).status(net.now).deferred, 3);
    net.run_for(10_000);
    assert_eq!(delivered(&mut net, 1).iter().filter(|result| result.is_err()).count(), 3);
    assert!(send(&mut net).is_ok());
}

#[test]
fn nothing_can_be_sent_to_anyone_without_peers_nor_to_what_is_no_node() {
    let mut net = with_old_peers([(2, IdForm::Bin)]);
    let payload = [SubFlag::Whisper.into(), "who am I".into()];
    let (kind, limits) = (MainFlag::Whisper, Limits::default());
    let nobody = Message::encode(kind, IdForm::Bin, "0OIl", 9, &payload, &limits).unwrap();
    net.say(2, &nobody);
    net.run_for(100);
    let heard = last_heard(&mut net, 1);
    let refused = net.call(1, |mesh, now| mesh.reply(now, &heard, ["x".into()]));
    assert_eq!(refused, Err(SendError::NoSender));

    net.cut(net.links_of(crate::harness::Who::Node(1))[0]);
    net.run_for(100);
    let refused = net.call(1, |mesh, now| mesh.send_to(now, id(2), ["x".into()]));
    assert_eq!(refused, Err(SendError::NoPeers));
}

#[test]
fn a_node_to_itself_is_not_found() {
    let mut net = line();
    net.events(1);
    net.call(1, |mesh, now| mesh.send_to(now, id(1), ["x".into()])).unwrap();
    net.run_for(11_000);
    assert!(matches!(delivered(&mut net, 1)[..], [Err(DeliverError::NotFound { .. })]));
    assert_eq!(dialled_by(&net, 1).len(), 1);
}

#[test]
fn requests_of_py2p_are_answered_on_the_link_they_came_by_and_passed_on() {
    for form in [IdForm::Bin, IdForm::Str] {
        let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin), (4, IdForm::Bin)]);
        let wanted = form.value(&id(3).to_string());
        let message = request(&net, 2, wanted.clone());
        net.say(2, &message);
        net.run_for(100);
        let answers = net.old(2).heard_of(SubFlag::Response);
        assert_eq!(answers.len(), 1);
        let found = Value::Array(vec![address(3).to_value(), wanted]);
        assert_eq!(payload(&answers[0]), [SubFlag::Response.into(), "a request".into(), found]);
        assert_eq!(answers[0].kind(), MainFlag::Broadcast);
        for other in [3, 4] {
            assert_eq!(net.old(other).heard_of(SubFlag::Request), std::slice::from_ref(&message));
            assert_eq!(net.old(other).heard_of(SubFlag::Response), []);
        }
    }
}

#[test]
fn requests_of_js2p_are_passed_on_but_not_answered() {
    let mut net = with_old_peers([(2, IdForm::Str), (3, IdForm::Str), (4, IdForm::Bin)]);
    let message = request(&net, 2, IdForm::Str.value(&id(3).to_string()));
    net.say(2, &message);
    net.run_for(100);
    assert_eq!(net.old(2).heard_of(SubFlag::Response), []);
    assert_eq!(net.old(4).heard_of(SubFlag::Request), [message]);
}

#[test]
fn responses_are_passed_on_but_not_to_a_js2p_node_that_asked() {
    let mut net = with_old_peers([(2, IdForm::Str), (3, IdForm::Bin), (4, IdForm::Bin)]);
    net.add_old(5, IdForm::Str);
    net.dial_by_old(5, 1);
    net.run_for(100);
    let message = request(&net, 2, IdForm::Str.value(&id(9).to_string()));
    net.say(2, &message);
    net.run_for(100);
    let answer = response(&net, 3, "a request".into(), 9);
    net.say(3, &answer);
    net.run_for(100);
    let heard = |number| net.old(number).heard_of(SubFlag::Response).len();
    assert_eq!([heard(2), heard(3), heard(4), heard(5)], [0, 0, 1, 1]);
    assert_eq!(net.dials, [], "it was not this node that asked");
}

#[test]
fn a_liar_makes_a_node_dial_four_addresses_at_the_most() {
    let mut net = with_old_peers([(2, IdForm::Bin)]);
    net.call(1, |mesh, now| mesh.send_to(now, id(9), ["x".into()])).unwrap();
    net.run_for(100);
    let asked_as = payload(&net.old(2).heard_of(SubFlag::Request)[0])[1].clone();
    for host in 20..60 {
        let found = Value::Array(vec![address(host).to_value(), id(9).to_string().into()]);
        let payload = [SubFlag::Response.into(), asked_as.clone(), found];
        let answer = net.old(2).message(net.now, MainFlag::Broadcast, &payload);
        net.say(2, &answer);
        net.run_for(100);
    }
    assert_eq!(net.dials.len(), 4);
    net.run_for(10_000);
    assert_eq!(net.dials.len(), 4);
}

#[test]
fn answers_to_what_was_not_asked_and_answers_that_make_no_sense_are_passed_over() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin)]);
    net.call(1, |mesh, now| mesh.send_to(now, id(9), ["x".into()])).unwrap();
    net.run_for(100);
    let asked_as = payload(&net.old(2).heard_of(SubFlag::Request)[0])[1].clone();
    let own = Value::Array(vec![address(1).to_value(), id(9).to_string().into()]);
    let entry = |number| net.old(2).entry(number);
    for packets in [
        vec![],
        vec![asked_as.clone()],
        vec!["something else".into(), entry(9)],
        vec![asked_as.clone(), entry(8)],
        vec![asked_as.clone(), Value::Nil],
        vec![asked_as.clone(), Value::Array(vec![])],
        vec![7.into(), entry(9)],
        vec![asked_as, own],
    ] {
        let payload: Vec<_> = std::iter::once(SubFlag::Response.into()).chain(packets).collect();
        let answer = net.old(2).message(net.now, MainFlag::Broadcast, &payload);
        net.say(2, &answer);
    }
    net.run_for(1_000);
    assert_eq!(net.dials, []);
    assert_eq!(net.peer_numbers(1), [2, 3]);
}

#[test]
fn a_flood_of_requests_is_answered_one_by_one_and_fills_nothing() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin)]);
    let wanted = IdForm::Bin.value(&id(3).to_string());
    for number in 0..300 {
        let asked_as = format!("{number} {}", "x".repeat(number)).into();
        let payload = [SubFlag::Request.into(), asked_as, wanted.clone()];
        let message = net.old(2).message(net.now, MainFlag::Whisper, &payload);
        net.say(2, &message);
    }
    // A piece at a time, as py2p can read it.
    net.run_for(60_000);
    assert_eq!(net.old(2).heard_of(SubFlag::Response).len(), 300);
    assert_eq!(net.old(3).heard_of(SubFlag::Response).len(), 0);
    assert_eq!(net.peer_numbers(1), [2, 3]);
}
