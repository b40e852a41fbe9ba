//! The tokio driver on real sockets and in memory.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod talk;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use rs2p_base::net::{
    EventStream, Memory, NetConfig, Node, NodeBuilder, RecvError, Stopped, StreamConfig, Tcp,
    Transport,
};
use rs2p_base::{CloseReason, Endpoint, LinkConfig, LinkId};
use talk::{Heard, Talk};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);
const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

struct Running {
    node: Node<Talk>,
    events: EventStream<Heard>,
    address: SocketAddr,
}

impl Running {
    async fn start(transport: impl Transport, talk: Talk, config: NetConfig) -> Self {
        let mut builder = NodeBuilder::new(transport).config(config);
        let address = builder.listen(LOOPBACK).await.unwrap();
        let node = builder.start(talk);
        let events = node.events().unwrap();
        Self { node, events, address }
    }

    async fn tcp(number: u8) -> Self {
        Self::start(Tcp, talk(number), NetConfig::default()).await
    }

    async fn connect(&self, to: SocketAddr) -> Heard {
        let dialled = self.node.request(|talk, _| Ok::<_, Infallible>(talk.dial(to.into())));
        timeout(SOON, dialled.unwrap().unwrap()).await.unwrap().unwrap()
    }

    async fn connected(&self, to: SocketAddr) -> LinkId {
        match self.connect(to).await {
            Heard::Connected { link, peer, .. } => {
                assert!(self.node.call(|talk, _| talk.is_linked_to(peer)).unwrap());
                link
            }
            other => panic!("{other:?}"),
        }
    }

    async fn next(&mut self) -> Heard {
        timeout(SOON, self.events.recv()).await.unwrap().unwrap()
    }

    async fn text(&mut self) -> String {
        loop {
            if let Heard::Text(text) = self.next().await {
                return text;
            }
        }
    }

    async fn gone(&mut self) -> CloseReason {
        loop {
            if let Heard::Gone(reason) = self.next().await {
                return reason;
            }
        }
    }

    fn say(&self, link: LinkId, text: &str) {
        self.node.call(|talk, now| talk.say(now, link, text)).unwrap().unwrap();
    }
}

fn talk(number: u8) -> Talk {
    Talk::new("net", number, LinkConfig::default())
}

async fn talks_both_ways(transport: impl Transport + Clone) {
    let mut a = Running::start(transport.clone(), talk(1), NetConfig::default()).await;
    let mut b = Running::start(transport, talk(2), NetConfig::default()).await;
    let link = a.connected(b.address).await;
    let long = "long ".repeat(300_000);
    a.say(link, "hello");
    a.say(link, &long);
    assert_eq!(b.text().await, "hello");
    assert_eq!(b.text().await, long);
    let back = b.node.call(|talk, _| talk.links()).unwrap()[0];
    b.say(back, "and back");
    assert_eq!(a.text().await, "and back");
    assert!(b.node.traffic().bytes_received >= a.node.traffic().bytes_sent / 2);
    a.node.shutdown().await;
    assert_eq!(b.gone().await, CloseReason::PeerClosed);
}

#[tokio::test]
async fn two_nodes_talk_over_tcp() {
    talks_both_ways(Tcp).await;
}

#[tokio::test]
async fn two_nodes_talk_in_memory() {
    talks_both_ways(Memory::new()).await;
}

#[tokio::test]
async fn what_a_machine_comes_to_have_is_waited_for_until_the_node_stops() {
    let a = Running::tcp(1).await;
    let b = Running::tcp(2).await;
    let waiting = {
        let node = b.node.clone();
        tokio::spawn(async move { node.wait_for(|talk, _| talk.links().first().copied()).await })
    };
    a.connected(b.address).await;
    let link = timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(b.node.call(|talk, _| talk.links()), Ok(vec![link]));
    let waiting = {
        let node = b.node.clone();
        tokio::spawn(async move { node.wait_for(|_, _| None::<()>).await })
    };
    b.node.shutdown().await;
    assert_eq!(timeout(SOON, waiting).await.unwrap().unwrap(), Err(Stopped));
}

#[tokio::test]
async fn nodes_of_other_networks_part_and_both_know_why() {
    let a = Running::tcp(1).await;
    let mut a_events = a.node.events().unwrap();
    let other = Talk::new("other", 2, LinkConfig::default());
    let mut b = Running::start(Tcp, other, NetConfig::default()).await;
    a.node.call(|talk, _| talk.dial(b.address.into())).unwrap();
    let CloseReason::OtherNetwork { ours, theirs } = b.gone().await else { panic!() };
    let a_side = timeout(SOON, a_events.recv()).await.unwrap().unwrap();
    let Heard::Gone(reason) = a_side else { panic!("{a_side:?}") };
    assert_eq!(reason, CloseReason::OtherNetwork { ours: theirs, theirs: ours });
}

#[tokio::test]
async fn a_shutdown_loses_nothing_that_was_accepted() {
    let a = Running::tcp(1).await;
    let mut b = Running::tcp(2).await;
    let link = a.connected(b.address).await;
    let text = "x".repeat(2_000);
    let mut accepted = 0;
    while a.node.call(|talk, now| talk.say(now, link, &text)).unwrap().is_ok() && accepted < 1_000 {
        accepted += 1;
    }
    assert!(accepted > 100);
    a.node.shutdown().await;
    for _ in 0..accepted {
        assert_eq!(b.text().await, text);
    }
    assert_eq!(b.gone().await, CloseReason::PeerClosed);
}

#[tokio::test]
async fn a_dial_that_nobody_answers_fails_with_the_reason() {
    let a = Running::tcp(1).await;
    let closed = TcpListener::bind(LOOPBACK).await.unwrap().local_addr().unwrap();
    let Heard::Unreachable { error, .. } = a.connect(closed).await else { panic!() };
    assert_eq!(error.kind, std::io::ErrorKind::ConnectionRefused);
    assert!(error.to_string().contains(&closed.to_string()));
    let nowhere = Endpoint::new("does-not-exist.invalid", 1).unwrap();
    let dialled = a.node.request(|talk, _| Ok::<_, Infallible>(talk.dial(nowhere)));
    let failed = timeout(SOON, dialled.unwrap().unwrap()).await.unwrap().unwrap();
    assert!(matches!(failed, Heard::Unreachable { .. }));
}

#[tokio::test]
async fn a_cancelled_dial_is_heard_of_no_more() {
    let mut a = Running::tcp(1).await;
    let b = Running::tcp(2).await;
    a.node
        .call(|talk, now| {
            let request = talk.dial(b.address.into());
            talk.cancel(now, request);
        })
        .unwrap();
    a.connected(b.address).await;
    assert!(matches!(a.next().await, Heard::Connected { .. }));
    assert!(a.events.try_recv().is_none());
}

/// A peer driven by hand: accepted by `node`, with a good handshake sent.
async fn stranger(node: &Running) -> TcpStream {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(&greeting()).await.unwrap();
    stream
}

/// A stranger's handshake.
fn greeting() -> bytes::Bytes {
    use rs2p_base::{DialId, Input, Machine as _, Origin, Output, Time};
    let mut peer = talk(9);
    let origin = Origin::Dialled(DialId(0));
    let remote = LOOPBACK.into();
    peer.handle_input(Time::from_secs(1), Input::Opened { link: LinkId(0), origin, remote });
    let Some(Output::Send { frame, .. }) = peer.poll_output() else { panic!() };
    frame.bytes().clone()
}

#[tokio::test]
async fn a_peer_that_does_not_read_loses_its_link_and_not_our_memory() {
    let config = NetConfig { send_queue: 100_000, ..NetConfig::default() };
    let mut a = Running::start(Tcp, talk(1), config).await;
    let _deaf = stranger(&a).await;
    let Heard::Connected { link, .. } = a.next().await else { panic!() };
    let text = "x".repeat(50_000);
    let mut sent = 0;
    while !a.node.call(|talk, _| talk.links().is_empty()).unwrap() {
        a.node.call(|talk, now| talk.insist(now, link, &text)).unwrap();
        sent += 1;
        assert!(sent < 10_000);
        tokio::task::yield_now().await;
    }
    let CloseReason::SlowReader { queued, limit: 100_000 } = a.gone().await else { panic!() };
    assert!(queued > 100_000 && queued < 200_000);
}

#[tokio::test]
async fn who_waits_for_room_on_a_link_learns_when_the_link_is_gone() {
    let slow = Duration::from_millis(100);
    let config = LinkConfig { slow, compression: Vec::new(), ..LinkConfig::default() };
    let talk = Talk::new("net", 1, config);
    // Unlike a socket, its pipe swallows little that nobody reads.
    let memory = Memory::new();
    let mut a = Running::start(memory.clone(), talk, NetConfig::default()).await;
    let mut deaf = memory.dial(&a.address.into()).await.unwrap();
    deaf.writer.write_all(&greeting()).await.unwrap();
    let Heard::Connected { link, .. } = a.next().await else { panic!() };
    let text = "x".repeat(100_000);
    while a.node.call(|talk, now| talk.say(now, link, &text)).unwrap().is_ok() {}
    // Nothing leaves that would tell of room, since this is the only link.
    let is_gone = |talk: &mut Talk, _| talk.links().is_empty().then_some(());
    timeout(SOON, a.node.retry_when_flushed(is_gone)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_peer_that_keeps_its_end_open_holds_up_a_shutdown_for_no_longer_than_the_linger() {
    let config =
        NetConfig { flush: 3 * SOON, linger: Duration::from_millis(1), ..NetConfig::default() };
    let mut a = Running::start(Tcp, talk(1), config).await;
    let _open = stranger(&a).await;
    assert!(matches!(a.next().await, Heard::Connected { .. }));
    timeout(SOON, a.node.shutdown()).await.unwrap();
}

#[tokio::test]
async fn broken_frames_cost_the_link_and_no_other() {
    let mut a = Running::tcp(1).await;
    let b = Running::tcp(2).await;
    let good = b.connected(a.address).await;
    let mut bad = stranger(&a).await;
    let mut frame = vec![0, 0, 0, 40];
    frame.extend([7; 40]);
    bad.write_all(&frame).await.unwrap();
    assert!(matches!(a.gone().await, CloseReason::Frame(_)));
    let mut huge = stranger(&a).await;
    huge.write_all(&[0xff; 4]).await.unwrap();
    assert!(matches!(a.gone().await, CloseReason::Frame(_)));
    b.say(good, "still here");
    assert_eq!(a.text().await, "still here");
}

#[tokio::test]
async fn an_unfinished_frame_is_not_waited_for_for_ever() {
    let config = NetConfig { stall: Duration::from_millis(50), ..NetConfig::default() };
    let mut a = Running::start(Tcp, talk(1), config).await;
    let mut slow = stranger(&a).await;
    slow.write_all(&[0, 0, 1, 0, 1, 2, 3]).await.unwrap();
    assert_eq!(a.gone().await, CloseReason::Stalled { seconds: 0 });
    let mut cut = stranger(&a).await;
    cut.write_all(&[0, 0, 1]).await.unwrap();
    cut.shutdown().await.unwrap();
    assert_eq!(a.gone().await, CloseReason::PeerClosedInFrame { bytes: 3 });
}

#[tokio::test]
async fn frames_arrive_whole_however_the_stream_is_cut() {
    let mut a = Running::tcp(1).await;
    let mut peer = stranger(&a).await;
    let sizes = [0, 1, 100, 1_000, 70_000, 5, 200_000, 3];
    let texts: Vec<String> = sizes.iter().map(|size| "y".repeat(*size)).collect();
    let mut stream = Vec::new();
    for text in &texts {
        let message = talk(9).message(rs2p_base::Time::from_secs(1), text);
        stream.extend_from_slice(message.frame().plain());
    }
    let mut rest = &stream[..];
    let mut step = 1;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(step.min(rest.len()));
        peer.write_all(now).await.unwrap();
        tokio::task::yield_now().await;
        rest = later;
        step = step * 7 % 9_973 + 1;
    }
    for text in texts {
        assert_eq!(a.text().await, text);
    }
}

#[tokio::test]
async fn a_frame_whose_message_is_known_is_dropped_unread() {
    let mut a = Running::tcp(1).await;
    let mut peer = stranger(&a).await;
    let known = talk(9).message(rs2p_base::Time::from_secs(1), "known");
    let new = talk(9).message(rs2p_base::Time::from_secs(1), "new");
    a.node.call(|talk, _| talk.known.insert(known.id())).unwrap();
    // Whatever stands behind a known id is not looked at.
    let mut forged = known.frame().plain().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    peer.write_all(&forged).await.unwrap();
    peer.write_all(new.frame().plain()).await.unwrap();
    assert_eq!(a.text().await, "new");
    assert_eq!(a.node.traffic().duplicates, 1);
}

#[tokio::test]
async fn peers_beyond_the_limit_are_turned_away() {
    let config = NetConfig { links: 1, ..NetConfig::default() };
    let mut a = Running::start(Tcp, talk(1), config).await;
    let _first = stranger(&a).await;
    assert!(matches!(a.next().await, Heard::Connected { .. }));
    let mut second = TcpStream::connect(a.address).await.unwrap();
    let read = timeout(SOON, second.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)));
    assert_eq!(a.node.call(|talk, _| talk.links().len()).unwrap(), 1);
}

#[tokio::test]
async fn peers_that_keep_closed_links_open_are_not_kept_without_bound() {
    let config = NetConfig { links: 2, linger: 3 * SOON, ..NetConfig::default() };
    let memory = Memory::new();
    let a = Running::start(memory.clone(), talk(1), config).await;
    let mut kept = Vec::new();
    for _ in 0..20 {
        let mut bad = memory.dial(&a.address.into()).await.unwrap();
        // Too long for a frame: the link is over at once. Who is turned away cannot even say that.
        let _ = bad.writer.write_all(&[0xff; 4]).await;
        let _ = timeout(SOON, bad.reader.read_to_end(&mut Vec::new())).await.unwrap();
        if bad.writer.write_all(&[0]).await.is_ok() {
            kept.push(bad);
        }
    }
    assert_eq!(kept.len(), 4);
}

#[tokio::test]
async fn a_paced_reader_slows_the_sender_down_and_loses_nothing() {
    let patience = Duration::from_secs(60);
    let config = NetConfig { patience, ..NetConfig::default() };
    let b = Running::start(Tcp, talk(2), config).await;
    let stream = StreamConfig { events: 10, paced: true, ..StreamConfig::default() };
    let only_texts = |event: &Heard| match event {
        Heard::Text(text) => Some(text.clone()),
        _ => None,
    };
    let mut texts = b.node.subscribe(stream, only_texts, String::len).unwrap();
    let a = Running::tcp(1).await;
    let link = a.connected(b.address).await;
    let sender = tokio::spawn(async move {
        for number in 0..3_000 {
            let text = format!("{number} {}", "x".repeat(5_000));
            let say = |talk: &mut Talk, now| talk.say(now, link, &text).ok();
            a.node.retry_when_flushed(say).await.unwrap();
        }
        a
    });
    for number in 0..3_000 {
        let text = timeout(SOON, texts.recv()).await.unwrap().unwrap();
        assert!(text.starts_with(&format!("{number} ")));
        assert!(texts.waiting() <= 10);
    }
    sender.await.unwrap().node.shutdown().await;
}

#[tokio::test]
async fn a_paced_reader_that_sleeps_holds_nobody_up_for_long() {
    let config = NetConfig { patience: Duration::from_millis(20), ..NetConfig::default() };
    let mut b = Running::start(Tcp, talk(2), config).await;
    let stream = StreamConfig { events: 10, paced: true, ..StreamConfig::default() };
    let mut sleeper = b.node.subscribe(stream, |event| Some(event.clone()), |_| 0).unwrap();
    let a = Running::tcp(1).await;
    let link = a.connected(b.address).await;
    for number in 0..100 {
        a.say(link, &number.to_string());
    }
    for number in 0..100 {
        assert_eq!(b.text().await, number.to_string());
    }
    assert!(matches!(sleeper.recv().await, Err(RecvError::Lagged(80..))));
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_node() {
    let a = Running::tcp(1).await;
    let mut b = Running::tcp(2).await;
    a.connected(b.address).await;
    let Running { node, mut events, address } = a;
    let clone = node.clone();
    drop(node);
    assert!(!clone.is_stopped());
    drop(clone);
    assert_eq!(b.gone().await, CloseReason::PeerClosed);
    while !matches!(timeout(SOON, events.recv()).await.unwrap(), Err(RecvError::Closed)) {}
    timeout(SOON, async { while TcpStream::connect(address).await.is_ok() {} }).await.unwrap();
}

#[tokio::test]
async fn a_panic_in_a_call_stops_the_node_and_everyone_is_told() {
    let a = Running::tcp(1).await;
    let Running { node, mut events, .. } = a;
    let clone = node.clone();
    let panicked = tokio::spawn(async move { clone.call(|_, _| panic!("on purpose")).is_ok() });
    assert!(panicked.await.is_err());
    assert!(node.call(|_, _| ()).is_err());
    assert_eq!(timeout(SOON, events.recv()).await.unwrap().unwrap_err(), RecvError::Closed);
    timeout(SOON, node.shutdown()).await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_named_in_the_error() {
    let a = Running::tcp(1).await;
    let error = NodeBuilder::new(Tcp).listen(a.address).await.unwrap_err();
    assert!(error.to_string().contains(&a.address.to_string()), "{error}");
}

#[tokio::test]
async fn a_link_that_the_machine_closes_still_delivers_what_was_sent() {
    let mut a = Running::tcp(1).await;
    let mut b = Running::tcp(2).await;
    let link = a.connected(b.address).await;
    a.node
        .call(|talk, now| {
            talk.insist(now, link, "goodbye");
            talk.close(now, link);
        })
        .unwrap();
    assert_eq!(b.text().await, "goodbye");
    assert_eq!(a.gone().await, CloseReason::Requested);
    assert_eq!(b.gone().await, CloseReason::PeerClosed);
}
