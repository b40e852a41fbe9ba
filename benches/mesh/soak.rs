//! Ten million messages of every size, none lost, no link broken.

use std::time::Instant;

use rs2p::wire::Value;

use crate::nodes::node;

const MESSAGES: u64 = 10_000_000;
const LARGEST: u64 = 4_096;

/// Sends them all from one node to another and checks each.
pub(crate) async fn run() {
    let (sender, receiver) = (node().await, node().await);
    sender.connect(receiver.address().unwrap()).await.unwrap();
    let start = Instant::now();
    let receiving = tokio::spawn(async move {
        let mut expected = 0;
        while expected < MESSAGES {
            // A gap would be an error, told by how many are missing.
            for message in receiver.recv_many(64).await.unwrap() {
                let packets = message.packets();
                assert_eq!(packets[0].as_u64(), Some(expected));
                assert_eq!(packets[1].as_slice().map(<[u8]>::len), Some(size(expected)));
                expected += 1;
            }
        }
        receiver
    });
    for number in 0..MESSAGES {
        sender.send([number.into(), Value::Binary(vec![7; size(number)])]).await.unwrap();
    }
    let receiver = receiving.await.unwrap();
    let took = start.elapsed();
    let (status, traffic) = receiver.status().unwrap();
    assert_eq!((status.peers, status.problems.len()), (1, 0));
    println!(
        "{MESSAGES} messages of 0 to {LARGEST} bytes in {:.1} s, {} MB on the wire: none lost",
        took.as_secs_f64(),
        traffic.bytes_received / 1_000_000
    );
}

fn size(number: u64) -> usize {
    (number % (LARGEST + 1)) as usize
}
