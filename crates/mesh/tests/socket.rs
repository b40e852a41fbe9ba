//! The async handle, over real sockets.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use rs2p_base::net::{Memory, StreamConfig};
use rs2p_base::{LinkConfig, NodeId};
use rs2p_mesh::{ConnectError, MeshConfig, MeshError, MeshEvent, MeshSocket, SendError};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(20);

async fn pair() -> (MeshSocket, MeshSocket) {
    let one = MeshSocket::builder().start().await.unwrap();
    let other = MeshSocket::builder().start().await.unwrap();
    let peer = timeout(SOON, one.connect(other.address().unwrap())).await.unwrap().unwrap();
    assert_eq!(peer, other.id());
    (one, other)
}

async fn text(socket: &MeshSocket) -> String {
    let message = timeout(SOON, socket.recv()).await.unwrap().unwrap();
    message.packets()[0].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_receipt_tells_the_id_and_the_peers() {
    let (one, other) = pair().await;
    let receipt = one.send(["hello".into()]).await.unwrap();
    assert_eq!(receipt.peers, 1);
    let message = timeout(SOON, other.recv()).await.unwrap().unwrap();
    assert_eq!((message.id(), message.sender_id()), (receipt.id, Some(one.id())));
}

#[tokio::test]
async fn without_peers_nothing_is_sent_and_that_is_told() {
    let alone = MeshSocket::builder().start().await.unwrap();
    let error = alone.send(["hello".into()]).await.unwrap_err();
    assert!(matches!(error, MeshError::Send(SendError::NoPeers)));
    let error = alone.try_send(["hello".into()]).unwrap_err();
    assert!(matches!(error, MeshError::Send(SendError::NoPeers)));
}

#[tokio::test]
async fn a_node_of_another_network_is_no_peer() {
    let one = MeshSocket::builder().subnet("one").start().await.unwrap();
    let other = MeshSocket::builder().subnet("other").start().await.unwrap();
    let refused = timeout(SOON, one.connect(other.address().unwrap())).await.unwrap();
    assert!(refused.unwrap_err().is_other_network());
    assert!(one.peers().unwrap().is_empty());
}

#[tokio::test]
async fn nobody_there_is_told_with_the_address() {
    let one = MeshSocket::builder().start().await.unwrap();
    let gone = MeshSocket::builder().start().await.unwrap();
    let address = gone.address().unwrap();
    gone.close().await;
    let error = timeout(SOON, one.connect(address)).await.unwrap().unwrap_err();
    assert!(matches!(error, MeshError::Connect(ConnectError::Dial(_))));
    assert!(error.to_string().contains(&address.to_string()));
}

#[tokio::test]
async fn messages_to_one_node_wait_for_room() {
    let link = LinkConfig { send_queue: 2_000, ..LinkConfig::default() };
    let config = MeshConfig { link, ..MeshConfig::default() };
    let one = MeshSocket::builder().mesh_config(config).start().await.unwrap();
    let inbox = StreamConfig { events: 4, ..StreamConfig::default() };
    let other = MeshSocket::builder().inbox(inbox).start().await.unwrap();
    one.connect(other.address().unwrap()).await.unwrap();
    let to = other.id();
    let sending: Vec<_> = (0..50)
        .map(|number| {
            let one = one.clone();
            let packet = format!("{number:02}{}", "x".repeat(1_000));
            tokio::spawn(async move { one.send_to(to, [packet.into()]).await })
        })
        .collect();
    let mut heard = Vec::new();
    for _ in 0..50 {
        heard.push(text(&other).await[..2].to_owned());
    }
    heard.sort();
    assert_eq!(heard, (0..50).map(|number| format!("{number:02}")).collect::<Vec<_>>());
    for sent in sending {
        assert!(sent.await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn seeds_are_dialled_until_they_are_there() {
    let network = Memory::new();
    let seed = "127.0.0.1:4444".parse().unwrap();
    let early = MeshSocket::builder()
        .transport(network.clone())
        .listen("127.0.0.1:1".parse::<std::net::SocketAddr>().unwrap())
        .seeds([std::net::SocketAddr::into(seed)])
        .start()
        .await
        .unwrap();
    let mut events = early.events().unwrap();
    let late = MeshSocket::builder().transport(network).listen(seed).start().await.unwrap();
    loop {
        if let MeshEvent::Connected(peer) = timeout(SOON, events.recv()).await.unwrap().unwrap() {
            assert_eq!(peer.id, late.id());
            break;
        }
    }
}

#[tokio::test]
async fn the_status_tells_of_peers_traffic_and_problems() {
    let (one, other) = pair().await;
    one.whisper(["x".repeat(1_000).into()]).await.unwrap();
    text(&other).await;
    let (status, traffic) = other.status().unwrap();
    assert_eq!((status.peers, status.outgoing, status.counts.delivered), (1, 0, 1));
    assert!(traffic.frames_received >= 2);
    let unknown = NodeId::from_bytes([7; 48]);
    assert!(!one.disconnect(unknown).unwrap());
    assert!(one.disconnect(other.id()).unwrap());
    assert!(one.peers().unwrap().is_empty());
}

#[tokio::test]
async fn a_closed_node_says_so() {
    let (one, other) = pair().await;
    let clone = one.clone();
    one.close().await;
    assert!(matches!(clone.peers(), Err(MeshError::Stopped(_))));
    assert!(clone.recv().await.is_err());
    let mut events = other.events().unwrap();
    while !other.peers().unwrap().is_empty() {
        timeout(SOON, events.recv()).await.unwrap().unwrap();
    }
}
