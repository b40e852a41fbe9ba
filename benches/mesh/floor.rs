//! Two sockets, a length-delimited codec, one SHA-256 at each end.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Framed, LengthDelimitedCodec};

/// What a mesh message has around its payload: sender, time, heads.
const OVERHEAD: usize = 77;

type Stream = Framed<TcpStream, LengthDelimitedCodec>;

async fn pair() -> (Stream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (dialled, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let framed = |stream: TcpStream| {
        stream.set_nodelay(true).unwrap();
        let mut framed = Framed::new(stream, LengthDelimitedCodec::new());
        // As much as our own driver reads and gathers.
        framed.read_buffer_mut().reserve(64 << 10);
        framed.set_backpressure_boundary(64 << 10);
        framed
    };
    (framed(dialled.unwrap()), framed(accepted.unwrap().0))
}

fn frame(body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(32 + body.len());
    frame.extend_from_slice(&Sha256::digest(body));
    frame.extend_from_slice(body);
    frame.freeze()
}

fn check(frame: &[u8]) {
    assert_eq!(Sha256::digest(&frame[32..]).as_slice(), &frame[..32]);
}

/// How long `count` messages take one way, flushed after each `batch`.
pub(crate) async fn one_way(size: usize, count: u32, batch: u32) -> Duration {
    let (mut sender, mut receiver) = pair().await;
    let start = Instant::now();
    let receiving = tokio::spawn(async move {
        for _ in 0..count {
            check(&receiver.next().await.unwrap().unwrap());
        }
    });
    let body = vec![7; OVERHEAD + size];
    for number in 1..=count {
        sender.feed(frame(&body)).await.unwrap();
        if number % batch == 0 {
            SinkExt::<Bytes>::flush(&mut sender).await.unwrap();
        }
    }
    SinkExt::<Bytes>::flush(&mut sender).await.unwrap();
    receiving.await.unwrap();
    start.elapsed()
}

/// How long each of `count` messages takes there and back.
pub(crate) async fn round_trips(size: usize, count: u32) -> Vec<Duration> {
    let (mut one, mut other) = pair().await;
    let echo = tokio::spawn(async move {
        for _ in 0..count {
            let received = other.next().await.unwrap().unwrap();
            check(&received);
            other.send(frame(&received[32..])).await.unwrap();
        }
    });
    let body = vec![7; OVERHEAD + size];
    let mut times = Vec::new();
    for _ in 0..count {
        let start = Instant::now();
        one.send(frame(&body)).await.unwrap();
        check(&one.next().await.unwrap().unwrap());
        times.push(start.elapsed());
    }
    echo.await.unwrap();
    times
}
