//! Whatever happens: no panic, no inconsistency, no growth, and the same again the next time.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use rs2p_base::LinkConfig;
use rs2p_mesh::MeshConfig;
use rs2p_wire::{IdForm, Limits, MainFlag, Message, SubFlag, Value};

use crate::harness::{Net, Who, address, id};
use crate::seeded;

const NODES: std::ops::RangeInclusive<u8> = 1..=4;
/// One of them writes ids as bin, the other as str.
const OLD: [u8; 2] = [50, 51];

#[derive(Clone, Debug)]
enum Step {
    Run(u64),
    Connect(u8, u8),
    Disconnect(u8, u8),
    Broadcast(u8, usize),
    Whisper(u8),
    SendTo(u8, u8),
    RequestPeers(u8),
    Cut(usize),
    CutSilently(usize),
    Hold(usize),
    Release(usize),
    Stop(u8),
    Start(u8),
    OldDials(u8, u8),
    Say(u8, u64, IdForm, i64, Vec<Value>),
    SayBytes(u8, Vec<u8>),
}

/// Small limits, so that they are reached.
fn config() -> MeshConfig {
    MeshConfig {
        link: LinkConfig { send_queue: 4 << 10, ..LinkConfig::default() },
        max_outgoing: 2,
        max_peers: 3,
        max_addresses: 4,
        max_seen: 20,
        max_deferred: 3,
        ..seeded(&[1, 50])
    }
}

fn net() -> Net {
    let mut net = Net::new();
    NODES.for_each(|number| net.add(number, config()));
    for (number, form) in OLD.into_iter().zip([IdForm::Bin, IdForm::Str]) {
        net.add_old(number, form);
    }
    net
}

fn apply(net: &mut Net, step: Step) {
    let is_up = |net: &Net, number: u8| net.is_up(number);
    match step {
        Step::Run(millis) => net.run_for(millis),
        Step::Connect(from, to) if is_up(net, from) => {
            net.call(from, |mesh, now| mesh.connect(now, address(to)));
        }
        Step::Disconnect(from, to) if is_up(net, from) => {
            net.call(from, |mesh, now| mesh.disconnect(now, id(to)));
            assert!(!net.peer_numbers(from).contains(&to));
        }
        Step::Broadcast(from, size) if is_up(net, from) => {
            let peers = net.peers(from).len();
            let text = "x".repeat(size);
            if let Ok(receipt) = net.call(from, |mesh, now| mesh.broadcast(now, [text.into()])) {
                assert_eq!(receipt.peers, peers);
            }
        }
        Step::Whisper(from) if is_up(net, from) => {
            let _ = net.call(from, |mesh, now| mesh.whisper(now, ["x".into()]));
        }
        Step::SendTo(from, to) if is_up(net, from) => {
            let _ = net.call(from, |mesh, now| mesh.send_to(now, id(to), ["x".into()]));
        }
        Step::RequestPeers(from) if is_up(net, from) => {
            net.call(from, |mesh, now| mesh.request_peers(now));
        }
        Step::Cut(index) => any_link(net, index).into_iter().for_each(|link| net.cut(link)),
        Step::CutSilently(index) => {
            any_link(net, index).into_iter().for_each(|link| net.cut_silently(link));
        }
        Step::Hold(index) => any_link(net, index).into_iter().for_each(|link| net.hold(link)),
        Step::Release(index) => {
            any_link(net, index).into_iter().for_each(|link| net.release(link));
        }
        Step::Stop(number) if is_up(net, number) => net.stop(number),
        Step::Start(number) if !is_up(net, number) => net.add(number, config()),
        Step::OldDials(old, to) => net.dial_by_old(old, to),
        Step::Say(old, kind, form, age, payload) if !net.links_of(Who::Old(old)).is_empty() => {
            let time = net.now.as_secs().saturating_add_signed(age);
            let sender = id(old).to_string();
            let (kind, limits) = (MainFlag::from(kind), Limits::default());
            net.say(old, &Message::encode(kind, form, &sender, time, &payload, &limits).unwrap());
        }
        Step::SayBytes(old, bytes) if !net.links_of(Who::Old(old)).is_empty() => {
            net.say_bytes(old, bytes.into());
        }
        _ => {}
    }
}

fn any_link(net: &Net, index: usize) -> Option<rs2p_base::LinkId> {
    let links: Vec<_> = NODES.flat_map(|number| net.links_of(Who::Node(number))).collect();
    (!links.is_empty()).then(|| links[index % links.len()])
}

/// What holds at any time.
fn check(net: &Net) {
    for number in NODES.filter(|number| net.is_up(*number)) {
        let links = net.links_of(Who::Node(number));
        let status = net.mesh(number).status(net.now);
        for peer in net.mesh(number).peers() {
            assert!(links.contains(&peer.link), "a peer has a link");
            let link = net.mesh(number).link(peer.link).unwrap();
            assert!(!link.is_closing(), "that of a peer is there to stay");
            assert_eq!(link.peer().unwrap().id, peer.id);
        }
        assert!(status.seen <= 20 && status.deferred <= 3 && status.problems.len() <= 16);
        assert!(status.addresses <= 4 + 2, "{} addresses", status.addresses);
    }
}

/// What holds once nothing has happened for a while.
fn check_at_rest(net: &mut Net) {
    net.run_for(600_000);
    check(net);
    for number in NODES.filter(|number| net.is_up(*number)) {
        let status = net.mesh(number).status(net.now);
        assert_eq!((status.seen, status.deferred), (0, 0));
        assert!(status.opening <= 2);
    }
    // Nodes never cease to swap links. The one end of a link learns later than the other that it has
    // ended, and a link that is closing is there for two seconds more.
    let mut found = disagreement(net);
    for _ in 0..40 {
        if found.is_none() {
            break;
        }
        net.run_for(500);
        check(net);
        found = disagreement(net);
    }
    assert_eq!(found, None);
}

/// Where tables and links do not agree.
fn disagreement(net: &Net) -> Option<String> {
    for number in NODES.filter(|number| net.is_up(*number)) {
        let peers = net.peer_numbers(number);
        let is_unknown = |peer: &&u8| !net.peer_numbers(**peer).contains(&number);
        if let Some(peer) = peers.iter().filter(|peer| NODES.contains(peer)).find(is_unknown) {
            return Some(format!("{number} is linked to {peer}, which does not know of it"));
        }
        let (links, status) =
            (net.links_of(Who::Node(number)).len(), net.mesh(number).status(net.now));
        if links != status.peers + status.opening {
            return Some(format!("{number} has {links} links, some of which are nobody's"));
        }
    }
    None
}

#[test]
fn a_link_that_is_being_swapped_when_the_rest_ends_is_no_disagreement_that_stays() {
    let mut net = net();
    [Step::Run(55_515), Step::OldDials(50, 3), Step::Run(33_914)]
        .into_iter()
        .for_each(|step| apply(&mut net, step));
    check_at_rest(&mut net);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_tables_and_links_agree_and_stay_bounded(steps in vec(step(), 1..120)) {
        let mut net = net();
        for step in steps {
            apply(&mut net, step);
            check(&net);
        }
        check_at_rest(&mut net);
    }

    #[test]
    fn the_same_inputs_give_the_same_outputs_to_the_byte(steps in vec(step(), 1..60)) {
        let run = || {
            let mut net = net();
            net.log = Some(Vec::new());
            steps.iter().for_each(|step| apply(&mut net, step.clone()));
            net.run_for(100_000);
            net.log.unwrap()
        };
        let (one, other) = (run(), run());
        prop_assert!(!one.is_empty());
        prop_assert!(one == other);
    }
}

#[test]
fn another_seed_makes_other_choices() {
    // The same network, with other numbers and therefore other seeds, dials in another order.
    let order = |numbers: [u8; 6]| {
        let mut net = Net::new();
        net.add_old(50, IdForm::Bin);
        net.add(100, MeshConfig { max_outgoing: 1, ..MeshConfig::default() });
        net.dial_by_old(50, 100);
        net.run_for(100);
        let entries = numbers.map(|number| net.old(50).entry(number)).to_vec();
        net.say(50, &net.old(50).list(net.now, entries));
        net.run_for(60_000);
        net.dials.iter().map(|(.., to)| to.clone()).collect::<Vec<_>>()
    };
    let numbers = [1, 2, 3, 4, 5, 6];
    assert_eq!(order(numbers), order(numbers));
    assert!(order(numbers).len() >= 6);
}

fn step() -> impl Strategy<Value = Step> {
    let node = || NODES;
    let old = || prop::sample::select(OLD.to_vec());
    let anyone = || prop_oneof![4 => NODES, 1 => prop::sample::select(vec![9, 50, 51])];
    let link = || 0..100_usize;
    prop_oneof![
        6 => (0..200_u64).prop_map(Step::Run),
        2 => (0..90_000_u64).prop_map(Step::Run),
        3 => (node(), anyone()).prop_map(|(from, to)| Step::Connect(from, to)),
        1 => (node(), anyone()).prop_map(|(from, to)| Step::Disconnect(from, to)),
        3 => (node(), 0..5_000_usize).prop_map(|(from, size)| Step::Broadcast(from, size)),
        1 => node().prop_map(Step::Whisper),
        2 => (node(), anyone()).prop_map(|(from, to)| Step::SendTo(from, to)),
        1 => node().prop_map(Step::RequestPeers),
        1 => link().prop_map(Step::Cut),
        1 => link().prop_map(Step::CutSilently),
        1 => link().prop_map(Step::Hold),
        2 => link().prop_map(Step::Release),
        1 => node().prop_map(Step::Stop),
        1 => node().prop_map(Step::Start),
        3 => (old(), node()).prop_map(|(old, to)| Step::OldDials(old, to)),
        6 => (old(), prop_oneof![0..8_u64, any::<u64>()], form(), -70..2_000_i64, payload())
            .prop_map(|(old, kind, form, age, payload)| Step::Say(old, kind, form, age, payload)),
        1 => (old(), vec(any::<u8>(), 0..60)).prop_map(|(old, bytes)| Step::SayBytes(old, bytes)),
    ]
}

fn form() -> impl Strategy<Value = IdForm> {
    prop_oneof![Just(IdForm::Bin), Just(IdForm::Str)]
}

/// Something that means something to the mesh, now and then.
fn payload() -> impl Strategy<Value = Vec<Value>> {
    let number = || prop_oneof![NODES, 1..=255_u8];
    let entry = || {
        (number(), number(), form()).prop_map(|(at, of, form)| {
            Value::Array(vec![address(at).to_value(), form.value(&id(of).to_string())])
        })
    };
    let list =
        vec(entry(), 0..6).prop_map(|entries| vec![SubFlag::Peers.into(), Value::Array(entries)]);
    let star = form().prop_map(|form| vec![SubFlag::Request.into(), form.value("*")]);
    let request = (0..9_u8, number(), form()).prop_map(|(asked_as, wanted, form)| {
        let wanted = form.value(&id(wanted).to_string());
        vec![SubFlag::Request.into(), asked_as.to_string().into(), wanted]
    });
    let response = (0..9_u8, entry()).prop_map(|(asked_as, found)| {
        vec![SubFlag::Response.into(), asked_as.to_string().into(), found]
    });
    let text = (0..3_u64).prop_map(|flag| vec![flag.into(), "x".into()]);
    let scalar = prop_oneof![
        Just(Value::Nil),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z*]{0,8}".prop_map(Value::from),
        vec(any::<u8>(), 0..8).prop_map(Value::Binary),
    ];
    let value = scalar.prop_recursive(3, 12, 4, |inner| vec(inner, 0..4).prop_map(Value::Array));
    let anything = (0..0x14_u64, vec(value, 0..6))
        .prop_map(|(flag, packets)| std::iter::once(flag.into()).chain(packets).collect());
    prop_oneof![list, star, request, response, text, anything]
}

#[test]
fn a_long_life_in_a_small_network_leaves_everything_small() {
    let mut net = net();
    for round in 0..50_u64 {
        for number in NODES {
            let _ = net.call(number, |mesh, now| mesh.broadcast(now, [round.into()]));
            let _ = net.call(number, |mesh, now| mesh.send_to(now, id(77), [round.into()]));
        }
        net.run_for(Duration::from_secs(60).as_millis() as u64);
        check(&net);
    }
    check_at_rest(&mut net);
}
