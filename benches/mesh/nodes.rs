//! The same with mesh nodes.

use std::time::{Duration, Instant};

use rs2p::base::LinkConfig;
use rs2p::mesh::{MeshConfig, MeshSocket};
use rs2p::wire::Value;

/// A node as it is by default, but without compression, which the floor has not either.
pub(crate) async fn node() -> MeshSocket {
    let link = LinkConfig { compression: Vec::new(), ..LinkConfig::default() };
    let config = MeshConfig { link, ..MeshConfig::default() };
    MeshSocket::builder().mesh_config(config).start().await.unwrap()
}

async fn pair() -> (MeshSocket, MeshSocket) {
    let (one, other) = (node().await, node().await);
    one.connect(other.address().unwrap()).await.unwrap();
    (one, other)
}

fn packet(size: usize) -> Value {
    Value::Binary(vec![7; size])
}

/// How long `count` broadcasts take from one node to another.
pub(crate) async fn one_way(size: usize, count: u32) -> Duration {
    let (sender, receiver) = pair().await;
    let start = Instant::now();
    let receiving = tokio::spawn(async move {
        let mut left = count as usize;
        while left > 0 {
            left -= receiver.recv_many(64).await.unwrap().len();
        }
        receiver
    });
    for number in 0..count {
        sender.send([packet(size), number.into()]).await.unwrap();
    }
    let receiver = receiving.await.unwrap();
    let took = start.elapsed();
    assert_eq!(receiver.peers().unwrap().len(), 1);
    took
}

/// How long each of `count` messages takes there and back.
pub(crate) async fn round_trips(size: usize, count: u32) -> Vec<Duration> {
    let (one, other) = pair().await;
    let echo = tokio::spawn(async move {
        for _ in 0..count {
            let received = other.recv().await.unwrap();
            other.whisper(received.packets()).await.unwrap();
        }
        other
    });
    let mut times = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        one.whisper([packet(size)]).await.unwrap();
        one.recv().await.unwrap();
        times.push(start.elapsed());
    }
    echo.await.unwrap();
    times
}

/// How long it takes until `count` broadcasts of one node have been delivered by all others.
pub(crate) async fn flood(nodes: usize, size: usize, count: u32) -> Duration {
    let mut all = vec![node().await];
    while all.len() < nodes {
        let newcomer = node().await;
        newcomer.connect(all[0].address().unwrap()).await.unwrap();
        all.push(newcomer);
    }
    let sender = all.remove(0);
    let start = Instant::now();
    let receiving: Vec<_> = all
        .into_iter()
        .map(|node| {
            tokio::spawn(async move {
                let mut left = count as usize;
                while left > 0 {
                    left -= node.recv_many(64).await.unwrap().len();
                }
                node
            })
        })
        .collect();
    for number in 0..count {
        sender.send([packet(size), number.into()]).await.unwrap();
    }
    for task in receiving {
        task.await.unwrap();
    }
    start.elapsed()
}
