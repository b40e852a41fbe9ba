//! What datagrams cost that carry nothing of a protocol.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::timeout;

async fn pair() -> (UdpSocket, UdpSocket) {
    let one = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let two = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    one.connect(two.local_addr().unwrap()).await.unwrap();
    two.connect(one.local_addr().unwrap()).await.unwrap();
    (one, two)
}

/// So many questions of so many bytes, one after the other, each answered by as many; how long each
/// took.
pub(crate) async fn round_trips(bytes: usize, count: usize) -> Vec<Duration> {
    let (one, two) = pair().await;
    let echo = tokio::spawn(async move {
        let mut buffer = vec![0; 2_048];
        for _ in 0..count {
            let length = two.recv(&mut buffer).await.unwrap();
            two.send(&buffer[..length]).await.unwrap();
        }
    });
    let (question, mut answer) = (vec![7; bytes], vec![0; 2_048]);
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let begin = Instant::now();
        one.send(&question).await.unwrap();
        one.recv(&mut answer).await.unwrap();
        times.push(begin.elapsed());
    }
    echo.await.unwrap();
    times
}

/// So many bytes one way, in datagrams of the size of a piece, with 64 of them under way and every
/// second one confirmed.
pub(crate) async fn one_way(bytes: usize) -> Duration {
    const PIECE: usize = 1_230;
    const WINDOW: usize = 64;
    let (one, two) = pair().await;
    let count = bytes.div_ceil(1_200);
    let receiver = tokio::spawn(async move {
        let mut buffer = vec![0; 2_048];
        for number in 1..=count {
            two.recv(&mut buffer).await.unwrap();
            if number % 2 == 0 || number == count {
                two.send(&[0; 42]).await.unwrap();
            }
        }
    });
    let (piece, mut receipt) = (vec![7; PIECE], vec![0; 64]);
    let begin = Instant::now();
    let (mut sent, mut confirmed) = (0, 0);
    while confirmed < count {
        while sent < count && sent - confirmed < WINDOW {
            one.send(&piece).await.unwrap();
            sent += 1;
        }
        let receipt = timeout(Duration::from_secs(5), one.recv(&mut receipt));
        receipt.await.expect("a datagram was lost on the loopback network").unwrap();
        confirmed = (confirmed + 2).min(count);
    }
    receiver.await.unwrap();
    begin.elapsed()
}
