//! Whom a node knows, whom it dials, and whom it tells (spec section 7.1).

use std::collections::BTreeSet;

use rs2p_base::{CloseReason, Endpoint};
use rs2p_mesh::{ConnectError, MeshConfig, MeshEvent};
use rs2p_wire::{IdForm, Limits, MainFlag, Message, SubFlag, Value};

use crate::harness::{Net, START, Who, address, at, id};
use crate::{dialled_by, is_one_component, passive, seeded, with_old_peers};

const BOTH: [IdForm; 2] = [IdForm::Bin, IdForm::Str];

fn pair(one: Value, other: Value) -> Value {
    Value::Array(vec![one, other])
}

/// Node 1, which opens links by itself, and to which old peer 2 has dialled.
fn with_a_lister(form: IdForm) -> Net {
    let mut net = Net::nodes([1]);
    net.add_old(2, form);
    net.dial_by_old(2, 1);
    net.run(at(1_000));
    net.events(1);
    net
}

#[test]
fn twenty_nodes_that_join_through_one_seed_become_one_network_of_four_outgoing_links_each() {
    let mut net = Net::new();
    net.add(1, MeshConfig::default());
    for number in 2..=20 {
        net.add(number, seeded(&[1]));
        net.run_for(500);
    }
    net.run(at(120_000));
    assert!(is_one_component(&net, 1..=20));
    for number in 2..=20 {
        let outgoing = net.mesh(number).status(net.now).outgoing;
        assert!((4..=5).contains(&outgoing), "node {number}: {outgoing}");
    }
    // The seed, which all have dialled first, has given its place to others meanwhile.
    assert!(net.peers(1).len() < 19, "{} peers", net.peers(1).len());
    // Nobody dials whom it has already, or itself; nor more often than it swaps a peer.
    assert!(net.dials.len() <= 20 * 16, "{} dials", net.dials.len());
}

#[test]
fn a_list_names_the_other_peers_of_the_readers_kind_exactly_and_in_its_form() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Str), (4, IdForm::Bin)]);
    net.add_old(5, IdForm::Bin);
    net.dial_by_old(5, 1);
    net.run_for(100);
    let lists = net.old(5).lists();
    assert_eq!(lists.len(), 1);
    let entries: BTreeSet<_> = lists[0].iter().map(ToString::to_string).collect();
    // py2p could not talk to js2p node 3, and would never get over having dialled it.
    let expected = [2, 4].map(|number| net.old(5).entry(number).to_string());
    assert_eq!(entries, BTreeSet::from(expected));
    for entry in &lists[0] {
        assert!(matches!(entry[1], Value::Binary(_)), "{entry}");
    }
}

#[test]
fn a_list_for_js2p_names_one_node_at_the_most() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Str), (4, IdForm::Str)]);
    for number in [3, 4] {
        let lists = net.old(number).lists();
        assert!(!lists.is_empty());
        for list in lists {
            assert!(list.len() <= 1, "{list:?}");
            assert!(list.iter().all(|entry| matches!(entry[1], Value::String(_))));
        }
    }
    net.run(at(10_000));
    let ask = net.old(4).message(net.now, MainFlag::Whisper, &[8.into(), "*".into()]);
    net.say(4, &ask);
    net.run_for(100);
    assert!(net.old(4).lists().iter().all(|list| list.len() <= 1));
}

#[test]
fn a_peer_that_cannot_be_dialled_is_not_listed() {
    let mut net = with_old_peers([(2, IdForm::Bin)]);
    net.add_old(3, IdForm::Bin);
    net.old_mut(3).address = None;
    net.dial_by_old(3, 1);
    net.add_old(4, IdForm::Bin);
    net.run_for(100);
    net.dial_by_old(4, 1);
    net.run_for(100);
    assert_eq!(net.old(4).lists(), [[net.old(4).entry(2)]]);
}

#[test]
fn a_listed_node_is_told_of_and_dialled_whatever_the_form_of_its_id() {
    for form in BOTH {
        let mut net = with_a_lister(form);
        net.add(0, passive());
        net.add(7, passive());
        let list = net.old(2).list(net.now, [0, 7].map(|it| net.old(2).entry(it)).to_vec());
        net.say(2, &list);
        net.run_for(500);
        // Whoever has the larger id dials at once, the other only if nothing comes.
        assert_eq!(dialled_by(&net, 1), [address(0)]);
        let found = |event| match event {
            MeshEvent::PeerFound { id, address } => Some((id, address)),
            _ => None,
        };
        let told: Vec<_> = net.events(1).into_iter().filter_map(found).collect();
        assert_eq!(told, [(id(0), address(0)), (id(7), address(7))]);
        net.run_for(2_000);
        assert_eq!(dialled_by(&net, 1), [address(0), address(7)]);
        assert_eq!(net.peer_numbers(1), [0, 2, 7]);
        // Again: nothing new.
        let list = net.old(2).list(net.now, [0, 7].map(|it| net.old(2).entry(it)).to_vec());
        net.events(1);
        net.say(2, &list);
        net.run_for(5_000);
        assert_eq!(net.events(1).len(), 0);
        assert_eq!(dialled_by(&net, 1).len(), 2);
    }
}

#[test]
fn a_node_dials_neither_itself_nor_its_peers_nor_whom_nobody_can_dial() {
    let mut net = with_a_lister(IdForm::Bin);
    let other = |number| IdForm::Bin.value(&id(number).to_string());
    let list = net.old(2).list(
        net.now,
        vec![
            pair(address(9).to_value(), other(1)),
            pair(address(1).to_value(), other(9)),
            pair(address(8).to_value(), other(2)),
            pair(pair(Value::Nil, Value::Nil), other(9)),
            pair(pair("10.0.0.9".into(), 0.into()), other(9)),
            pair(pair("".into(), 4_000.into()), other(9)),
        ],
    );
    net.say(2, &list);
    net.run_for(30_000);
    assert_eq!(net.dials, []);
    assert_eq!(net.peer_numbers(1), [2]);
}

#[test]
fn a_list_that_makes_no_sense_does_no_harm() {
    let mut net = with_a_lister(IdForm::Bin);
    net.add(0, passive());
    let good = net.old(2).entry(0);
    let entries = vec![
        Value::Nil,
        7.into(),
        Value::Array(vec![]),
        Value::Array(vec![good.clone()]),
        Value::Array(vec![address(9).to_value(), Value::Nil, Value::Nil]),
        pair(address(9).to_value(), 7.into()),
        pair(address(9).to_value(), "0OIl".into()),
        pair(address(9).to_value(), "z".repeat(90).into()),
        pair(pair(9.into(), "x".into()), id(9).to_string().into()),
        pair(pair("10.0.0.9".into(), 70_000.into()), id(9).to_string().into()),
        pair(pair("a b".into(), 7.into()), id(9).to_string().into()),
        good,
    ];
    for payload in [
        vec![SubFlag::Peers.into()],
        vec![SubFlag::Peers.into(), Value::Nil],
        vec![SubFlag::Peers.into(), "x".into(), Value::Array(vec![])],
        vec![SubFlag::Peers.into(), Value::Array(entries)],
    ] {
        let message = net.old(2).message(net.now, MainFlag::Whisper, &payload);
        net.say(2, &message);
    }
    net.run_for(5_000);
    assert_eq!(dialled_by(&net, 1), [address(0)]);
    assert_eq!(net.peer_numbers(1), [0, 2]);
}

#[test]
fn of_a_list_of_a_hundred_thousand_nodes_a_few_are_remembered() {
    let mut net = with_a_lister(IdForm::Bin);
    let entry = |number: u32| {
        let [_, a, b, c] = number.to_be_bytes();
        let address = pair(format!("11.{a}.{b}.{c}").into(), 4_000.into());
        pair(address, IdForm::Bin.value(&id(200).to_string()))
    };
    for round in 0..10 {
        let list =
            net.old(2).list(net.now, (0..10_000).map(|it| entry(round * 10_000 + it)).collect());
        net.say(2, &list);
        net.run_for(100);
        assert!(net.mesh(1).status(net.now).addresses <= 256);
    }
    let list = net.old(2).list(net.now, (0..100_000).map(entry).collect());
    net.say(2, &list);
    net.run_for(100);
    assert!(net.events(1).len() <= 11 * 64);
    // They are tried four at a time, and given up.
    net.run(at(3_600_000));
    assert!(net.mesh(1).status(net.now).addresses <= 1);
    assert_eq!(net.peer_numbers(1), [2]);
}

#[test]
fn a_request_for_the_list_is_answered_in_either_form_but_once_a_second() {
    for star in [Value::from("*"), Value::Binary(b"*".to_vec())] {
        let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin)]);
        net.old_mut(2).clear();
        let before = net.mesh(1).status(net.now).counts.unanswered;
        for millis in 0..3_000 {
            let payload = [SubFlag::Request.into(), star.clone()];
            let ask = net.old(2).message(net.now, MainFlag::Whisper, &payload);
            net.say(2, &ask);
            net.run(at(1_000 + millis));
        }
        net.run_for(100);
        let times: Vec<_> = net.old(2).heard.iter().map(|(time, ..)| *time).collect();
        assert_eq!(net.old(2).lists().len(), 3);
        assert!(times.windows(2).all(|pair| pair[1].since(pair[0]).as_millis() >= 1_000));
        let unanswered = net.mesh(1).status(net.now).counts.unanswered - before;
        assert_eq!(unanswered, 3_000 - 3);
        assert_eq!(net.peer_numbers(1), [2, 3]);
    }
}

#[test]
fn a_request_for_the_list_is_answered_under_any_type() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Bin)]);
    net.old_mut(2).clear();
    net.run(at(10_000));
    let payload = [SubFlag::Request.into(), Value::Binary(b"*".to_vec())];
    let ask = net.old(2).message(net.now, MainFlag::Other(7), &payload);
    net.say(2, &ask);
    net.run_for(100);
    assert_eq!(net.old(2).lists(), [[net.old(2).entry(3)]]);
}

#[test]
fn peers_are_asked_for_their_lists_in_their_own_form() {
    let mut net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Str)]);
    net.old_mut(3).clear();
    net.call(1, |mesh, now| mesh.request_peers(now));
    net.run_for(100);
    for (number, form) in [(2, IdForm::Bin), (3, IdForm::Str)] {
        let asked = net.old(number).heard_of(SubFlag::Request);
        assert_eq!(asked.len(), 1);
        let payload = asked[0].payload(&Limits::default()).unwrap();
        assert_eq!(payload, [SubFlag::Request.into(), form.value("*")]);
        assert_eq!(asked[0].kind(), MainFlag::Whisper);
    }
}

#[test]
fn a_js2p_node_that_dials_is_asked_for_its_list_since_it_may_not_send_one() {
    let net = with_old_peers([(2, IdForm::Bin), (3, IdForm::Str)]);
    assert_eq!(net.old(2).heard_of(SubFlag::Request).len(), 0);
    assert_eq!(net.old(3).heard_of(SubFlag::Request).len(), 1);
}

#[test]
fn one_peer_too_many_is_told_of_the_others_and_let_go() {
    let mut net = Net::new();
    net.add(1, MeshConfig { max_peers: 2, ..passive() });
    for number in 2..=4 {
        net.add_old(number, IdForm::Bin);
        net.dial_by_old(number, 1);
        net.run_for(100);
    }
    assert_eq!(net.peer_numbers(1), [2, 3]);
    let heard: Vec<_> = net.old(4).heard.iter().map(|(_, _, it)| it.sub_flag()).collect();
    assert_eq!(heard, [Some(SubFlag::Handshake), Some(SubFlag::Peers)]);
    assert_eq!(net.old(4).lists()[0].len(), 2);
    assert_eq!(net.old(4).closed.len(), 1);
    assert!(net.events(1).iter().all(|event| !matches!(event, MeshEvent::Disconnected { .. })));
    // A peer that comes back takes its own place.
    net.dial_by_old(2, 1);
    net.run_for(3_000);
    assert_eq!(net.peer_numbers(1), [2, 3]);
    assert_eq!(net.links_of(Who::Node(1)).len(), 2);
}

#[test]
fn a_node_that_is_turned_away_comes_back_ever_more_seldom() {
    let mut net = Net::new();
    net.add(1, MeshConfig { max_peers: 1, ..passive() });
    net.add(2, passive());
    net.connect(2, 1);
    net.add(3, seeded(&[1]));
    net.run(at(600_000));
    let dials = net.dials.iter().filter(|(_, from, to)| (*from, to) == (3, &address(1)));
    let count = dials.count();
    assert!((5..=20).contains(&count), "{count} dials in ten minutes");
}

#[test]
fn connecting_tells_how_it_went() {
    let mut net = Net::nodes([1, 2]);
    let connect = |net: &mut Net, to| net.call(1, |mesh, now| mesh.connect(now, to));
    let both = [connect(&mut net, address(2)), connect(&mut net, address(2))];
    let refused = connect(&mut net, address(9));
    let itself = connect(&mut net, address(1));
    net.run(at(1_000));
    for request in both {
        assert_eq!(net.connected(1, request).unwrap().unwrap(), id(2));
    }
    assert!(matches!(net.connected(1, refused), Some(Err(ConnectError::Dial(_)))));
    let itself = net.connected(1, itself);
    assert!(matches!(itself, Some(Err(ConnectError::Closed(CloseReason::Itself)))));
    assert_eq!(dialled_by(&net, 1), [address(2), address(9), address(1)]);
    // Once connected, it is told at once.
    let again = connect(&mut net, address(2));
    assert_eq!(net.connected(1, again).unwrap().unwrap(), id(2));
    assert_eq!(net.dials.len(), 3);
}

#[test]
fn a_node_that_is_its_own_seed_dials_itself_hardly_ever() {
    let mut net = Net::new();
    let config = MeshConfig { seeds: vec![address(1), address(2)], ..MeshConfig::default() };
    // It does not know by which address others see it.
    net.add_dialler(1, None, config);
    net.alias(address(1), Who::Node(1));
    net.run(at(600_000));
    let itself = net.dials.iter().filter(|(.., to)| *to == address(1)).count();
    assert!((1..=5).contains(&itself), "{itself} dials to itself in ten minutes");
}

#[test]
fn a_seed_that_is_added_later_is_dialled_at_once_and_until_it_is_there() {
    let mut net = Net::new();
    net.add(1, MeshConfig::default());
    net.run(at(5_000));
    assert!(net.dials.is_empty());
    net.call(1, |mesh, now| mesh.add_seed(now, address(2)));
    assert_eq!(dialled_by(&net, 1), [address(2)]);
    net.run(at(3_600_000));
    net.add(2, passive());
    net.run(at(3_630_000));
    assert_eq!(net.peer_numbers(1), [2]);
}

#[test]
fn a_seed_of_another_network_is_dialled_hardly_ever() {
    let mut net = Net::new();
    net.add(1, seeded(&[2]));
    net.add_old(2, IdForm::Bin);
    net.old_mut(2).subnet = "elsewhere".into();
    net.run(at(600_000));
    assert!((1..=5).contains(&net.dials.len()), "{} dials in ten minutes", net.dials.len());
}

#[test]
fn an_address_is_dialled_once_at_a_time() {
    let mut net = Net::new();
    net.silent.insert(address(2));
    net.add(1, seeded(&[2]));
    net.run(at(5_000));
    net.call(1, |mesh, now| mesh.connect(now, address(2)));
    net.call(1, |mesh, now| mesh.connect(now, address(2)));
    net.run(at(9_000));
    assert_eq!(net.dials.len(), 1);
    net.run(at(60_000));
    for pair in net.dials.windows(2) {
        assert!(pair[1].0.since(pair[0].0).as_secs() >= 10, "two at a time");
    }
}

#[test]
fn a_name_that_leads_to_a_peer_is_not_dialled_again() {
    let mut net = Net::new();
    let name = Endpoint::new("seed.example", 4_002).unwrap();
    net.add(2, passive());
    net.alias(name.clone(), Who::Node(2));
    net.add(1, MeshConfig { seeds: vec![name.clone()], ..MeshConfig::default() });
    net.run(at(60_000));
    assert_eq!(dialled_by(&net, 1), std::slice::from_ref(&name));
    let request = net.call(1, |mesh, now| mesh.connect(now, name.clone()));
    assert_eq!(net.connected(1, request).unwrap().unwrap(), id(2));
    // It hangs up again and again: it is waited for longer each time.
    let begin = net.dials.len();
    for _ in 0..600 {
        for link in net.links_of(Who::Node(2)) {
            net.cut(link);
        }
        net.run_for(100);
    }
    let dials = net.dials.len() - begin;
    // It has two addresses, the name and what it says itself.
    assert!((6..=16).contains(&dials), "{dials} dials in a minute");
}

#[test]
fn lists_are_never_longer_than_64_nodes() {
    let mut net = Net::new();
    net.add(1, passive());
    for number in 10..110 {
        net.add_old(number, IdForm::Bin);
        net.dial_by_old(number, 1);
    }
    net.run(at(1_000));
    net.add_old(2, IdForm::Bin);
    net.dial_by_old(2, 1);
    net.run_for(100);
    let list = &net.old(2).lists()[0];
    assert_eq!(list.len(), 64);
    let distinct: BTreeSet<_> = list.iter().map(ToString::to_string).collect();
    assert_eq!(distinct.len(), 64);
}

#[test]
fn a_message_says_by_whom_it_came_and_who_wrote_it() {
    let mut net = with_old_peers([(2, IdForm::Str)]);
    let message: Message = net.old(2).broadcast(START, "x");
    net.events(1);
    net.say(2, &message);
    net.run_for(100);
    let events = net.events(1);
    let [MeshEvent::Message(received)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((received.id(), received.time()), (message.id(), START.as_secs()));
    assert_eq!((received.sender_id(), received.neighbour()), (Some(id(2)), id(2)));
    assert_eq!(received.message().body(), message.body());
}

/// One of a dictionary answers with all that it holds.
#[test]
fn js2p_is_asked_for_its_peers_time_and_again_unless_a_layer_says_no() {
    for asks_js2p in [true, false] {
        let mut net = Net::new();
        net.add(1, MeshConfig { asks_js2p, ..MeshConfig::default() });
        net.add_old(2, IdForm::Str);
        net.add_old(3, IdForm::Bin);
        net.connect(1, 2);
        net.connect(1, 3);
        net.run_for(3_600_000);
        let asked = |old| net.old(old).heard_of(SubFlag::Request).len();
        assert!(asked(3) > 5);
        assert_eq!(asked(2) > 5, asks_js2p);
    }
}
