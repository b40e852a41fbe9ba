//! All links of a node, as one machine.
//!
//! What a single link does is the matter of the `link` tests; here it is about what the links make
//! of inputs, and in which order they tell of it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and names what it got instead"
)]

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use rs2p_base::{
    Capability, CloseReason, DialError, DialId, Endpoint, Fanout, Handshake, Input, LinkConfig,
    LinkEvent, LinkId, Links, LocalNode, Machine as _, NodeId, Origin, Output, Protocol, QueueFull,
    Time,
};
use rs2p_wire::{IdForm, Limits, MainFlag, Message, MessageError, RawFrame, SubFlag, Value};

const START: Time = Time::from_secs(1_795_301_952);
const OURS: u8 = 0x22;
const THEIRS: u8 = 0x33;
const FIRST: LinkId = LinkId(7);
const SECOND: LinkId = LinkId(8);

fn at(millis: u64) -> Time {
    START + Duration::from_millis(millis)
}

fn id(number: u8) -> NodeId {
    NodeId::from_bytes([number; 48])
}

fn links() -> Links {
    links_with(LinkConfig::default())
}

fn links_with(config: LinkConfig) -> Links {
    let protocol = Protocol::new("mesh", "Plaintext");
    Links::new(Arc::new(LocalNode::new(id(OURS), &protocol, None, config)))
}

fn remote(port: u16) -> Endpoint {
    Endpoint::Socket(([127, 0, 0, 1], port).into())
}

/// The handshake of an old peer.
fn greeting(number: u8, form: IdForm) -> Handshake {
    Handshake {
        id: id(number),
        protocol: Protocol::new("mesh", "Plaintext").id().to_string().into(),
        address: None,
        methods: [].into(),
        capabilities: [].into(),
        form,
        opening: false,
    }
}

fn rs2p_greeting(number: u8) -> Handshake {
    Handshake { capabilities: [Capability::RS2P].into(), ..greeting(number, IdForm::Bin) }
}

fn handshake(handshake: &Handshake) -> Message {
    handshake.encode(START, &Limits::default()).unwrap()
}

fn message(kind: MainFlag, payload: &[Value]) -> Message {
    let sender = id(THEIRS).to_string();
    Message::encode(kind, IdForm::Bin, &sender, START.as_secs(), payload, &Limits::default())
        .unwrap()
}

fn whisper(text: impl Into<Value>) -> Message {
    message(MainFlag::Whisper, &[SubFlag::Whisper.into(), text.into()])
}

/// A message whose frame has this length.
fn sized(length: usize) -> Fanout {
    let overhead = whisper("x".repeat(900)).frame().plain().len() - 900;
    let message = whisper("x".repeat(length - overhead));
    assert_eq!(message.frame().plain().len(), length);
    Fanout::new(message)
}

/// What is wrong with a good frame that holds no message.
fn malformed() -> MessageError {
    let body = [0xc0];
    let mut frame = BytesMut::from(&[0, 0, 0, 33][..]);
    frame.extend_from_slice(&<sha2::Sha256 as sha2::Digest>::digest(body));
    frame.extend_from_slice(&body);
    let limits = Limits::default();
    let raw = RawFrame::split_from(&mut frame, &limits).unwrap().unwrap();
    Message::parse(raw.verify(&[], &limits).unwrap()).unwrap_err()
}

fn open(links: &mut Links, now: Time, link: LinkId, origin: Origin) {
    let remote = remote(50_000 + link.0 as u16);
    links.handle_input(now, Input::Opened { link, origin, remote });
}

fn receive(links: &mut Links, now: Time, link: LinkId, message: &Message) {
    links.handle_input(now, Input::Message { link, message: message.clone() });
}

/// An accepted link to this peer, its handshake just done.
fn establish(links: &mut Links, now: Time, link: LinkId, peer: &Handshake) {
    open(links, now, link, Origin::Accepted);
    receive(links, now, link, &handshake(peer));
    let told = take(links);
    assert!(told.iter().any(|told| *told == Told::Established(link)), "{told:?}");
    flush(links, link);
}

fn flush(links: &mut Links, link: LinkId) {
    let bytes = links.get(link).map_or(0, |link| link.queued());
    links.handle_input(START, Input::Flushed { link, bytes });
}

/// Serves the deadlines up to `now`, each at its time.
fn advance(links: &mut Links, now: Time) {
    while let Some(deadline) = links.poll_timeout().filter(|deadline| *deadline <= now) {
        links.handle_timeout(deadline);
        assert!(links.poll_timeout().is_none_or(|next| next > deadline));
    }
}

/// An output, in a form that can be compared.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Dial(DialId, Endpoint),
    CancelDial(DialId),
    /// What was sent; a handshake by its form and the number of its packets.
    Greeting(LinkId, IdForm, u32),
    Send(LinkId, Message),
    Close(LinkId, CloseReason),
    Established(LinkId),
    Repeated(LinkId),
    Message(LinkId, Message),
    Malformed(LinkId),
    Closed(LinkId, Origin, Endpoint, Option<NodeId>, CloseReason),
    DialFailed(DialId, io::ErrorKind),
}

impl Told {
    /// The link that it is about, unless that is gone.
    fn link(&self) -> Option<LinkId> {
        match self {
            Self::Greeting(link, ..)
            | Self::Send(link, _)
            | Self::Close(link, _)
            | Self::Established(link)
            | Self::Repeated(link)
            | Self::Message(link, _)
            | Self::Malformed(link) => Some(*link),
            _ => None,
        }
    }
}

fn take(links: &mut Links) -> Vec<Told> {
    std::iter::from_fn(|| links.poll_output()).map(told).collect()
}

fn told(output: Output<LinkEvent>) -> Told {
    match output {
        Output::Dial { dial, to } => Told::Dial(dial, to),
        Output::CancelDial { dial } => Told::CancelDial(dial),
        Output::Send { link, frame, .. } if Handshake::is_in(frame.message()) => {
            Told::Greeting(link, frame.message().sender_form(), frame.message().payload_len())
        }
        Output::Send { link, frame, .. } => Told::Send(link, frame.message().clone()),
        Output::Close { link, reason } => Told::Close(link, reason),
        Output::Event(event) => match event {
            LinkEvent::Established { link } => Told::Established(link),
            LinkEvent::Repeated { link } => Told::Repeated(link),
            LinkEvent::Message { link, message } => Told::Message(link, message),
            LinkEvent::Malformed { link, .. } => Told::Malformed(link),
            LinkEvent::Closed { link, origin, remote, peer, reason } => {
                Told::Closed(link, origin, remote, peer.map(|peer| peer.id), reason)
            }
            LinkEvent::DialFailed { dial, error } => Told::DialFailed(dial, error.kind),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dial_leads_to_a_link_and_its_handshake_to_an_event() {
    for form in [IdForm::Bin, IdForm::Str] {
        let mut links = links();
        let dial = links.dial(remote(9), None);
        assert_eq!((links.dialling(), links.len(), links.poll_timeout()), (1, 0, None));
        assert_eq!(take(&mut links), [Told::Dial(dial, remote(9))]);

        open(&mut links, at(5), FIRST, Origin::Dialled(dial));
        assert_eq!((links.dialling(), links.len(), links.is_empty()), (0, 1, false));
        assert_eq!(take(&mut links), [Told::Greeting(FIRST, IdForm::Bin, 6)]);
        let link = links.get(FIRST).unwrap();
        assert_eq!((link.id(), link.origin()), (FIRST, Origin::Dialled(dial)));
        assert_eq!((link.remote(), link.opened()), (&remote(50_007), at(5)));

        receive(&mut links, at(30), FIRST, &handshake(&greeting(THEIRS, form)));
        assert_eq!(take(&mut links), [Told::Greeting(FIRST, form, 5), Told::Established(FIRST)]);
        assert_eq!(links.get(FIRST).unwrap().peer().unwrap().id, id(THEIRS));
    }
}

#[test]
fn a_form_that_is_known_from_before_holds_for_its_dial_alone() {
    let mut links = links();
    let known = links.dial(remote(9), Some(IdForm::Str));
    let unknown = links.dial(remote(9), None);
    assert_ne!(known, unknown);
    take(&mut links);
    open(&mut links, at(1), FIRST, Origin::Dialled(unknown));
    open(&mut links, at(1), SECOND, Origin::Dialled(known));
    assert_eq!(
        take(&mut links),
        [Told::Greeting(FIRST, IdForm::Bin, 6), Told::Greeting(SECOND, IdForm::Str, 5)]
    );
}

#[test]
fn a_failed_dial_is_told_once() {
    let mut links = links();
    let dial = links.dial(remote(9), None);
    take(&mut links);
    let error = DialError::new(remote(9), &io::ErrorKind::ConnectionRefused.into());
    let failed = Input::DialFailed { dial, error };
    links.handle_input(at(1), failed.clone());
    assert_eq!(take(&mut links), [Told::DialFailed(dial, io::ErrorKind::ConnectionRefused)]);
    assert_eq!(links.dialling(), 0);
    links.handle_input(at(2), failed);
    assert_eq!(take(&mut links), []);
}

#[test]
fn a_dial_that_is_cancelled_on_its_way_is_heard_of_no_more() {
    let mut links = links();
    let dial = links.dial(remote(9), None);
    links.cancel_dial(at(1), dial);
    assert_eq!(take(&mut links), [Told::Dial(dial, remote(9)), Told::CancelDial(dial)]);
    assert_eq!(links.dialling(), 0);

    links.cancel_dial(at(2), dial);
    let error = DialError::new(remote(9), &io::ErrorKind::TimedOut.into());
    links.handle_input(at(3), Input::DialFailed { dial, error });
    assert_eq!(take(&mut links), []);
}

#[test]
fn a_dial_that_is_cancelled_once_it_is_through_costs_its_link_and_no_other() {
    let mut links = links();
    let other = links.dial(remote(9), None);
    let dial = links.dial(remote(9), None);
    open(&mut links, at(1), FIRST, Origin::Dialled(other));
    open(&mut links, at(1), SECOND, Origin::Dialled(dial));
    take(&mut links);
    links.cancel_dial(at(2), dial);
    links.cancel_dial(at(3), dial);
    let expected =
        [Told::Greeting(SECOND, IdForm::Bin, 5), Told::Close(SECOND, CloseReason::Requested)];
    assert_eq!(take(&mut links), expected);
    assert!(!links.get(FIRST).unwrap().is_closing());
    links.cancel_dial(at(3), DialId(99));
    assert_eq!(take(&mut links), []);
}

#[test]
fn the_end_of_a_link_is_told_once_with_all_that_was_known_of_it() {
    let dial = DialId(0);
    let cases = [
        (Origin::Accepted, true, CloseReason::PeerClosed),
        (Origin::Accepted, false, CloseReason::PeerClosedInFrame { bytes: 3 }),
        (Origin::Dialled(dial), true, CloseReason::Io("reset".into())),
        (Origin::Dialled(dial), false, CloseReason::Stalled { seconds: 5 }),
    ];
    for (origin, is_established, reason) in cases {
        let mut links = links();
        assert_eq!(links.dial(remote(9), None), dial);
        open(&mut links, at(1), FIRST, origin);
        if is_established {
            receive(&mut links, at(2), FIRST, &handshake(&rs2p_greeting(THEIRS)));
        }
        take(&mut links);
        let closed = Input::Closed { link: FIRST, reason: reason.clone() };
        links.handle_input(at(3), closed.clone());
        let peer = is_established.then(|| id(THEIRS));
        assert_eq!(take(&mut links), [Told::Closed(FIRST, origin, remote(50_007), peer, reason)]);
        assert!(links.is_empty() && links.get(FIRST).is_none());
        assert_eq!(links.poll_timeout(), None);

        links.handle_input(at(4), closed);
        assert_eq!(take(&mut links), []);
    }
}

#[test]
fn a_link_that_is_closed_from_here_stays_until_the_driver_says_so_and_is_silent() {
    let mut links = links();
    establish(&mut links, at(0), FIRST, &rs2p_greeting(THEIRS));
    links.close(at(1), FIRST, CloseReason::Surplus);
    links.close(at(1), FIRST, CloseReason::Shutdown);
    assert_eq!(take(&mut links), [Told::Close(FIRST, CloseReason::Surplus)]);
    assert_eq!((links.len(), links.poll_timeout()), (1, None));

    links.send(at(2), FIRST, &mut sized(500));
    assert_eq!(links.try_send(at(2), FIRST, &mut sized(500)), Ok(()));
    links.greet_again(at(2), FIRST);
    for message in [whisper("x"), message(MainFlag::Ping, &[]), handshake(&rs2p_greeting(THEIRS))] {
        assert_eq!(links.handle_message(at(2), FIRST, message), None);
    }
    links.handle_input(at(2), Input::Malformed { link: FIRST, error: malformed() });
    links.handle_timeout(at(3_600_000));
    assert_eq!(take(&mut links), []);

    links.handle_input(at(3), Input::Closed { link: FIRST, reason: CloseReason::Surplus });
    assert!(matches!(take(&mut links)[..], [Told::Closed(FIRST, ..)]));
}

#[test]
fn events_come_in_the_order_of_what_happened_however_late_they_are_taken() {
    let mut links = links();
    let peer = handshake(&greeting(THEIRS, IdForm::Str));
    open(&mut links, at(0), FIRST, Origin::Accepted);
    open(&mut links, at(0), SECOND, Origin::Accepted);
    receive(&mut links, at(1), FIRST, &whisper("early"));
    receive(&mut links, at(2), SECOND, &handshake(&greeting(0x44, IdForm::Bin)));
    receive(&mut links, at(3), FIRST, &peer);
    receive(&mut links, at(4), FIRST, &whisper("late"));
    links.handle_input(at(5), Input::Malformed { link: SECOND, error: malformed() });
    receive(&mut links, at(6), FIRST, &peer);
    links.send(at(7), FIRST, &mut Fanout::new(whisper("ours")));
    links.close(at(8), FIRST, CloseReason::Requested);
    links.handle_input(at(9), Input::Closed { link: FIRST, reason: CloseReason::Requested });
    let their_id = Some(id(THEIRS));
    assert_eq!(
        take(&mut links),
        [
            Told::Greeting(SECOND, IdForm::Bin, 5),
            Told::Established(SECOND),
            Told::Greeting(FIRST, IdForm::Str, 5),
            Told::Established(FIRST),
            Told::Message(FIRST, whisper("early")),
            Told::Message(FIRST, whisper("late")),
            Told::Malformed(SECOND),
            Told::Repeated(FIRST),
            Told::Send(FIRST, whisper("ours")),
            Told::Close(FIRST, CloseReason::Requested),
            Told::Closed(FIRST, Origin::Accepted, remote(50_007), their_id, CloseReason::Requested),
        ]
    );
}

#[test]
fn frames_share_writes_towards_rs2p_peers_only() {
    let mut links = links();
    establish(&mut links, at(0), FIRST, &rs2p_greeting(THEIRS));
    establish(&mut links, at(0), SECOND, &greeting(0x44, IdForm::Bin));
    for (link, expected) in [(FIRST, true), (SECOND, false)] {
        links.send(at(1), link, &mut sized(500));
        let Some(Output::Send { gather, .. }) = links.poll_output() else { panic!() };
        assert_eq!(gather, expected);
    }
}

#[test]
fn a_full_queue_refuses_own_messages_and_takes_those_that_must_go() {
    let mut links = links_with(LinkConfig { send_queue: 1_000, ..LinkConfig::default() });
    establish(&mut links, at(0), FIRST, &greeting(THEIRS, IdForm::Str));
    establish(&mut links, at(0), SECOND, &greeting(0x44, IdForm::Str));
    assert_eq!(links.try_send(at(1), FIRST, &mut sized(999)), Ok(()));
    assert_eq!(links.try_send(at(1), FIRST, &mut sized(500)), Ok(()));
    let full = QueueFull { link: FIRST, queued: 1_499, limit: 1_000 };
    assert_eq!(links.try_send(at(1), FIRST, &mut sized(500)), Err(full));
    assert_eq!(links.try_send(at(1), SECOND, &mut sized(500)), Ok(()), "another link has room");
    assert_eq!(take(&mut links).len(), 3);

    links.send(at(1), FIRST, &mut sized(500));
    assert_eq!(take(&mut links).len(), 1);
    links.handle_input(at(2), Input::Flushed { link: FIRST, bytes: 1_000 });
    assert_eq!(links.try_send(at(2), FIRST, &mut sized(500)), Ok(()));
}

#[test]
fn a_queue_that_fills_sets_a_deadline_and_one_that_drains_makes_it_pass_unnoticed() {
    let mut links = links_with(LinkConfig { send_queue: 1_000, ..LinkConfig::default() });
    establish(&mut links, at(0), FIRST, &greeting(THEIRS, IdForm::Str));
    establish(&mut links, at(0), SECOND, &greeting(0x44, IdForm::Str));
    // An old peer is not pinged: the deadlines left over from before the handshakes do nothing.
    advance(&mut links, at(20_000));
    assert_eq!((take(&mut links), links.poll_timeout()), (vec![], None));

    links.send(at(20_000), FIRST, &mut sized(999));
    assert_eq!(links.poll_timeout(), None);
    links.send(at(21_000), FIRST, &mut sized(500));
    assert_eq!(links.poll_timeout(), Some(at(31_000)));
    links.try_send(at(22_000), SECOND, &mut sized(1_000)).unwrap();
    links.send(at(23_000), FIRST, &mut sized(500));
    assert_eq!(links.poll_timeout(), Some(at(31_000)));
    take(&mut links);

    flush(&mut links, FIRST);
    links.handle_timeout(at(31_000));
    assert_eq!((take(&mut links), links.poll_timeout()), (vec![], Some(at(32_000))));
    links.handle_timeout(at(32_000));
    let reason = CloseReason::SlowReader { queued: 1_000, limit: 1_000 };
    assert_eq!(take(&mut links), [Told::Close(SECOND, reason)]);
    assert_eq!(links.poll_timeout(), None);
}

#[test]
fn a_queue_that_filled_before_the_handshake_counts_from_when_it_filled() {
    let mut links = links_with(LinkConfig { send_queue: 1_000, ..LinkConfig::default() });
    open(&mut links, at(0), FIRST, Origin::Accepted);
    links.send(at(400), FIRST, &mut sized(1_000));
    receive(&mut links, at(900), FIRST, &handshake(&greeting(THEIRS, IdForm::Bin)));
    assert_eq!(links.poll_timeout(), Some(at(10_400)));
}

#[test]
fn the_short_way_in_and_the_long_one_give_the_same() {
    let messages = [
        whisper("early"),
        handshake(&rs2p_greeting(THEIRS)),
        whisper("x"),
        message(MainFlag::Ping, &[]),
        message(MainFlag::Pong, &[]),
        message(MainFlag::Renegotiate, &[SubFlag::Resend.into()]),
        message(MainFlag::Broadcast, &[SubFlag::Broadcast.into(), "x".into()]),
        handshake(&rs2p_greeting(THEIRS)),
        message(MainFlag::Ping, &[]),
        handshake(&greeting(THEIRS, IdForm::Bin)),
        message(MainFlag::Ping, &[]),
        handshake(&rs2p_greeting(0x44)),
        whisper("after the end"),
    ];
    let [mut short, mut long] = [links(), links()];
    for links in [&mut short, &mut long] {
        open(links, at(0), FIRST, Origin::Accepted);
    }
    let mut handed_up = 0;
    for (millis, message) in (1..).map(|second| second * 1_000).zip(messages) {
        advance(&mut short, at(millis));
        advance(&mut long, at(millis));
        let given_back = short.handle_message(at(millis), FIRST, message.clone());
        handed_up += usize::from(given_back.is_some());
        let mut by_the_short_way = take(&mut short);
        by_the_short_way.extend(given_back.map(|message| Told::Message(FIRST, message)));
        receive(&mut long, at(millis), FIRST, &message);
        assert_eq!(by_the_short_way, take(&mut long), "{message:?}");
        assert_eq!(short.poll_timeout(), long.poll_timeout());
    }
    assert_eq!(handed_up, 3, "the early one came as an event");
    assert!(short.get(FIRST).unwrap().is_closing());
}

#[test]
fn what_is_said_of_a_link_that_nobody_knows_is_ignored() {
    let mut links = links();
    let link = LinkId(99);
    assert_eq!(links.handle_message(at(1), link, whisper("x")), None);
    receive(&mut links, at(1), link, &handshake(&greeting(THEIRS, IdForm::Bin)));
    links.handle_input(at(1), Input::Malformed { link, error: malformed() });
    links.handle_input(at(1), Input::Flushed { link, bytes: 5 });
    links.handle_input(at(1), Input::Closed { link, reason: CloseReason::PeerClosed });
    links.handle_input(
        at(1),
        Input::Datagram { from: ([127, 0, 0, 1], 9).into(), data: b"x"[..].into() },
    );
    links.send(at(1), link, &mut sized(500));
    assert_eq!(links.try_send(at(1), link, &mut sized(500)), Ok(()));
    links.close(at(1), link, CloseReason::Requested);
    links.greet_again(at(1), link);
    links.handle_timeout(at(1));
    assert_eq!((take(&mut links), links.poll_timeout()), (vec![], None));
    assert!(links.is_empty());
}

#[test]
fn a_handshake_is_repeated_on_the_link_that_is_named() {
    let mut links = links();
    establish(&mut links, at(0), FIRST, &greeting(THEIRS, IdForm::Str));
    establish(&mut links, at(0), SECOND, &greeting(0x44, IdForm::Bin));
    links.greet_again(at(1), FIRST);
    assert_eq!(take(&mut links), [Told::Greeting(FIRST, IdForm::Str, 5)]);
}

#[test]
fn the_next_deadline_is_the_first_of_all_links() {
    let mut links = links();
    open(&mut links, at(0), FIRST, Origin::Accepted);
    open(&mut links, at(400), SECOND, Origin::Accepted);
    open(&mut links, at(500), LinkId(9), Origin::Accepted);
    assert_eq!(links.poll_timeout(), Some(at(1_000)));
    receive(&mut links, at(600), FIRST, &handshake(&rs2p_greeting(THEIRS)));
    assert_eq!(links.poll_timeout(), Some(at(1_400)));
    links.handle_input(at(700), Input::Closed { link: SECOND, reason: CloseReason::PeerClosed });
    assert_eq!(links.poll_timeout(), Some(at(1_500)));
    links.handle_timeout(at(1_500));
    assert_eq!(links.poll_timeout(), Some(at(10_500)));
    links.close(at(2_000), LinkId(9), CloseReason::Requested);
    assert_eq!(links.poll_timeout(), Some(at(30_600)));

    // Only putting deadlines off is looked at no earlier than they are due.
    take(&mut links);
    receive(&mut links, at(20_000), FIRST, &whisper("x"));
    assert_eq!(take(&mut links), [Told::Message(FIRST, whisper("x"))]);
    links.handle_timeout(at(30_600));
    assert_eq!((take(&mut links), links.poll_timeout()), (vec![], Some(at(50_000))));
    links.handle_timeout(at(50_000));
    assert_eq!(take(&mut links), [Told::Send(FIRST, ping(at(50_000)))]);
}

#[test]
fn a_frame_without_a_message_is_told_and_puts_deadlines_off() {
    let mut links = links();
    establish(&mut links, at(0), FIRST, &rs2p_greeting(THEIRS));
    links.handle_input(at(29_000), Input::Malformed { link: FIRST, error: malformed() });
    links.handle_timeout(at(30_000));
    assert_eq!(take(&mut links), [Told::Malformed(FIRST)]);
    assert_eq!(links.poll_timeout(), Some(at(59_000)));
}

#[test]
fn peers_that_were_heard_at_about_the_same_time_are_thought_of_at_the_same_time() {
    let mut links = links();
    for number in 1..30 {
        establish(
            &mut links,
            at(10 * u64::from(number)),
            LinkId(number.into()),
            &rs2p_greeting(number),
        );
    }
    for number in 1..30 {
        links.handle_input(at(20_000), Input::Heard { link: LinkId(number) });
    }
    let first = links.poll_timeout().unwrap();
    assert_eq!(first, at(30_010));
    links.handle_timeout(first);
    assert_eq!(links.poll_timeout(), Some(at(50_000)));
}

#[test]
fn what_is_sent_past_the_queue_comes_behind_what_waits_there() {
    let mut links = links();
    establish(&mut links, at(0), FIRST, &rs2p_greeting(THEIRS));
    let mut output: VecDeque<Output<()>> = VecDeque::new();
    links.send_by(at(1), FIRST, &mut Fanout::new(whisper("straight")), &mut output);
    assert_eq!((output.len(), take(&mut links).len()), (1, 0));
    links.send(at(1), FIRST, &mut Fanout::new(whisper("first")));
    links.send_by(at(1), FIRST, &mut Fanout::new(whisper("second")), &mut output);
    assert_eq!((output.len(), take(&mut links).len()), (1, 2));
}

#[test]
fn deadlines_that_pass_together_are_all_served_in_the_order_of_their_links() {
    let mut links = links();
    for link in [SECOND, FIRST, LinkId(9)] {
        open(&mut links, at(0), link, Origin::Accepted);
    }
    links.handle_timeout(at(60_000));
    let closed = |link| {
        let reason = CloseReason::NoHandshake { seconds: 10 };
        [Told::Greeting(link, IdForm::Bin, 5), Told::Close(link, reason)]
    };
    assert_eq!(take(&mut links), [closed(FIRST), closed(SECOND), closed(LinkId(9))].concat());
    assert_eq!(links.poll_timeout(), None);
}

/// The node's own ping.
fn ping(now: Time) -> Message {
    let (sender, limits) = (id(OURS).to_string(), Limits::default());
    Message::encode(MainFlag::Ping, IdForm::Bin, &sender, now.as_secs(), &[], &limits).unwrap()
}

/// Something that happens to the links. Small numbers pick one of the dials or links there are.
#[derive(Clone, Debug)]
enum Step {
    Dial(Option<IdForm>),
    CancelDial(usize),
    Open(usize),
    Accept,
    FailDial(usize),
    Message(usize, Message),
    Malformed(usize),
    Send(usize, usize),
    TrySend(usize, usize),
    Flushed(usize, usize),
    Lost(usize),
    Close(usize),
    GreetAgain(usize),
    /// Time passes, in milliseconds; deadlines are served late, at its end.
    Wait(u64),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn a_thousand_random_operations_break_no_promise(
        config in config(),
        steps in vec(step(), 1_000),
    ) {
        let mut watched = Watched {
            links: links_with(config),
            now: START,
            dials: Vec::new(),
            used: BTreeSet::new(),
            open: Vec::new(),
            closing: BTreeSet::new(),
            established: BTreeSet::new(),
            next: 0,
        };
        for step in steps {
            watched.take(step)?;
        }
    }
}

/// The links, and what a driver and a layer above know of them.
struct Watched {
    links: Links,
    now: Time,
    /// Dials on their way.
    dials: Vec<DialId>,
    /// Dials that came to something, or to nothing.
    used: BTreeSet<DialId>,
    open: Vec<LinkId>,
    /// Links of which the driver was told to close them.
    closing: BTreeSet<LinkId>,
    established: BTreeSet<LinkId>,
    next: u64,
}

impl Watched {
    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        let now = self.now;
        match step {
            Step::Dial(form) => {
                let dial = self.links.dial(remote(9), form);
                prop_assert!(!self.used.contains(&dial) && !self.dials.contains(&dial));
                self.dials.push(dial);
            }
            Step::CancelDial(which) => {
                // Any, those included that are through.
                let known: Vec<_> = self.used.iter().chain(&self.dials).copied().collect();
                if let Some(dial) = pick(&known, which) {
                    self.links.cancel_dial(now, dial);
                    self.dials.retain(|other| *other != dial);
                    self.used.insert(dial);
                }
            }
            Step::Open(which) => {
                if let Some(dial) = self.end_dial(which) {
                    self.open(Origin::Dialled(dial));
                }
            }
            Step::Accept => self.open(Origin::Accepted),
            Step::FailDial(which) => {
                if let Some(dial) = self.end_dial(which) {
                    let error = DialError::new(remote(9), &io::ErrorKind::TimedOut.into());
                    self.links.handle_input(now, Input::DialFailed { dial, error });
                }
            }
            Step::Message(which, message) => {
                let link = self.link(which);
                receive(&mut self.links, now, link, &message);
            }
            Step::Malformed(which) => {
                let link = self.link(which);
                self.links.handle_input(now, Input::Malformed { link, error: malformed() });
            }
            Step::Send(which, length) => {
                let link = self.link(which);
                self.links.send(now, link, &mut sized(length));
            }
            Step::TrySend(which, length) => {
                let link = self.link(which);
                let sent = self.links.try_send(now, link, &mut sized(length));
                prop_assert!(sent.is_ok() || self.links.get(link).is_some());
            }
            Step::Flushed(which, bytes) => {
                let link = self.link(which);
                self.links.handle_input(now, Input::Flushed { link, bytes });
            }
            Step::Lost(which) => self.lose(self.link(which))?,
            Step::Close(which) => {
                let link = self.link(which);
                self.links.close(now, link, CloseReason::Surplus);
            }
            Step::GreetAgain(which) => {
                let link = self.link(which);
                self.links.greet_again(now, link);
            }
            Step::Wait(millis) => {
                self.now = now + Duration::from_millis(millis);
                self.links.handle_timeout(self.now);
                prop_assert!(self.links.poll_timeout().is_none_or(|next| next > self.now));
            }
        }
        self.drain()?;
        self.look()
    }

    fn end_dial(&mut self, which: usize) -> Option<DialId> {
        let dial = pick(&self.dials, which)?;
        self.dials.retain(|other| *other != dial);
        self.used.insert(dial);
        Some(dial)
    }

    /// Mostly one that is open, sometimes one that is gone or has never been.
    fn link(&self, which: usize) -> LinkId {
        if which == 0 {
            return LinkId(self.next / 2);
        }
        pick(&self.open, which).unwrap_or(LinkId(u64::MAX))
    }

    fn open(&mut self, origin: Origin) {
        let link = LinkId(self.next);
        self.next += 1;
        self.open.push(link);
        let remote = remote(1);
        self.links.handle_input(self.now, Input::Opened { link, origin, remote });
    }

    /// A driver's end of a link.
    fn lose(&mut self, link: LinkId) -> Result<(), TestCaseError> {
        self.drain()?;
        let was_open = self.open.contains(&link);
        let reason = CloseReason::PeerClosed;
        self.links.handle_input(self.now, Input::Closed { link, reason });
        let told = take(&mut self.links);
        prop_assert_eq!(matches!(told[..], [Told::Closed(..)]), was_open);
        prop_assert_eq!(told.len(), usize::from(was_open));
        for told in told {
            let Told::Closed(closed, _, _, peer, _) = told else { unreachable!() };
            prop_assert_eq!(closed, link);
            prop_assert_eq!(peer.is_some(), self.established.contains(&link));
        }
        self.open.retain(|other| *other != link);
        self.closing.remove(&link);
        Ok(())
    }

    fn drain(&mut self) -> Result<(), TestCaseError> {
        for told in take(&mut self.links) {
            if let Some(link) = told.link() {
                prop_assert!(self.open.contains(&link), "{told:?} of a link that is gone");
                prop_assert!(!self.closing.contains(&link), "{told:?} after the end");
            }
            match told {
                Told::Close(link, _) => {
                    self.closing.insert(link);
                }
                Told::Established(link) => prop_assert!(self.established.insert(link)),
                Told::Repeated(link) | Told::Message(link, _) => {
                    prop_assert!(self.established.contains(&link));
                }
                Told::Closed(..) => prop_assert!(false, "an end that no driver told of"),
                _ => {}
            }
        }
        Ok(())
    }

    fn look(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.links.dialling(), self.dials.len());
        let ids: Vec<_> = self.links.iter().map(|link| link.id()).collect();
        prop_assert_eq!(&ids, &self.open);
        for link in self.links.iter() {
            prop_assert_eq!(link.is_closing(), self.closing.contains(&link.id()));
            prop_assert_eq!(link.peer().is_some(), self.established.contains(&link.id()));
        }
        // It may be early, when something has put a deadline off, and never late.
        let first = self.links.iter().filter_map(|link| link.poll_timeout()).min();
        let next = self.links.poll_timeout();
        prop_assert!(first.is_none_or(|first| next.is_some_and(|next| next <= first)));
        Ok(())
    }
}

fn pick<T: Copy>(all: &[T], which: usize) -> Option<T> {
    all.get(which.checked_rem(all.len())?).copied()
}

fn step() -> impl Strategy<Value = Step> {
    let which = || 0..20usize;
    let length = || 400..5_000usize;
    prop_oneof![
        2 => proptest::option::of(form()).prop_map(Step::Dial),
        1 => which().prop_map(Step::CancelDial),
        2 => which().prop_map(Step::Open),
        2 => Just(Step::Accept),
        1 => which().prop_map(Step::FailDial),
        12 => (which(), any_message()).prop_map(|(which, message)| Step::Message(which, message)),
        1 => which().prop_map(Step::Malformed),
        3 => (which(), length()).prop_map(|(which, length)| Step::Send(which, length)),
        3 => (which(), length()).prop_map(|(which, length)| Step::TrySend(which, length)),
        3 => (which(), 0..9_000usize).prop_map(|(which, bytes)| Step::Flushed(which, bytes)),
        2 => which().prop_map(Step::Lost),
        1 => which().prop_map(Step::Close),
        1 => which().prop_map(Step::GreetAgain),
        4 => prop_oneof![20 => 0..500u64, 1 => Just(20_000)].prop_map(Step::Wait),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    let number = prop_oneof![20 => Just(THEIRS), 1 => Just(0x44), 1 => Just(OURS)];
    let kind = (0..6u64).prop_map(MainFlag::from);
    prop_oneof![
        2 => (number.clone(), form())
            .prop_map(|(number, form)| handshake(&greeting(number, form))),
        3 => number.prop_map(|number| handshake(&rs2p_greeting(number))),
        3 => kind.prop_map(|kind| message(kind, &[])),
        1 => Just(message(MainFlag::Renegotiate, &[SubFlag::Resend.into()])),
        3 => (0..100u8).prop_map(whisper),
    ]
}

fn form() -> impl Strategy<Value = IdForm> {
    prop_oneof![Just(IdForm::Bin), Just(IdForm::Str)]
}

fn config() -> impl Strategy<Value = LinkConfig> {
    let millis = |most: u64| (0..most).prop_map(Duration::from_millis);
    let maybe = |most: u64| proptest::option::of(millis(most));
    let waits = (millis(20_000), millis(3_000), maybe(9_000), maybe(20_000), millis(9_000));
    let limit = prop_oneof![8 => Just(Limits::default().frame), 1 => 30..400u32];
    (waits, 0..10_000usize, limit).prop_map(
        |((handshake, form_wait, keepalive, idle, slow), send_queue, frame)| LinkConfig {
            limits: Limits { frame, ..Limits::default() },
            handshake,
            form_wait,
            keepalive,
            idle,
            slow,
            send_queue,
            ..LinkConfig::default()
        },
    )
}
