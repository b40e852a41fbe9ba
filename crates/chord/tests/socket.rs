//! Nodes of a DHT on real sockets, and their files.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rs2p_base::net::StreamConfig;
use rs2p_chord::{
    ChordBuilder, ChordError, ChordEvent, ChordSocket, ChordStartError, ReadError, WriteError,
};
use rs2p_store::StoreError;
use rs2p_wire::Value;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

fn in_file(path: &Path) -> ChordBuilder {
    ChordSocket::builder().store(path)
}

/// So many members of one ring.
async fn ring(nodes: usize, announces: bool) -> Vec<ChordSocket> {
    let mut ring: Vec<ChordSocket> = Vec::new();
    for _ in 0..nodes {
        let node = ChordSocket::builder().announces(announces).start().await.unwrap();
        if let Some(first) = ring.first() {
            node.connect(first.address().unwrap()).await.unwrap();
        }
        timeout(DEADLINE, node.joined()).await.unwrap().unwrap();
        ring.push(node);
    }
    ring
}

#[tokio::test]
async fn what_a_killed_node_had_written_down_is_there_when_it_starts_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("records");
    let node = in_file(&path).start().await.unwrap();
    let id = node.id();
    timeout(DEADLINE, node.joined()).await.unwrap().unwrap();
    for number in 0..50 {
        node.set(format!("{number}"), number).await.unwrap();
    }
    node.del("7").await.unwrap();
    node.save().await.unwrap();
    let second = in_file(&path).start().await.unwrap_err();
    assert!(matches!(second, ChordStartError::Store(StoreError::InUse { .. })), "{second}");
    // No farewell: it is dropped, and its file is closed some time later.
    drop(node);
    let again = async {
        loop {
            match in_file(&path).start().await {
                Ok(node) => return node,
                Err(ChordStartError::Store(StoreError::InUse { .. })) => {
                    tokio::task::yield_now().await;
                }
                Err(error) => unreachable!("{error}"),
            }
        }
    };
    let node = timeout(DEADLINE, again).await.unwrap();
    assert_eq!(node.id(), id);
    timeout(DEADLINE, node.joined()).await.unwrap().unwrap();
    for number in 0..50 {
        let expected = (number != 7).then(|| Value::from(number));
        assert_eq!(node.get(format!("{number}")).await.unwrap(), expected, "{number}");
    }
    node.close().await.unwrap();
    let other = in_file(&path).subnet("another").start().await.unwrap_err();
    assert!(matches!(other, ChordStartError::Store(StoreError::OtherKind { .. })), "{other}");
}

/// All keys that one node tells, each once, while another reads them, too.
async fn walk(nodes: &[ChordSocket]) -> BTreeSet<String> {
    let mut items = nodes[1].items();
    let mut told = BTreeSet::new();
    while let Some(item) = timeout(DEADLINE, items.next()).await.unwrap() {
        let (key, value) = item.unwrap();
        assert_eq!(Some(&key[..]), value.as_str().map(str::as_bytes));
        assert!(told.insert(String::from_utf8(key.to_vec()).unwrap()), "{key:?} comes twice");
        // Others go on while this reader takes its time.
        assert_eq!(nodes[2].get(&key).await.unwrap(), Some(value));
    }
    told
}

#[tokio::test]
async fn keys_values_and_items_are_told_once_each_to_a_slow_reader() {
    for announces in [true, false] {
        let nodes = ring(3, announces).await;
        let expected: BTreeSet<String> = (0..200).map(|number| format!("{number}")).collect();
        nodes[0].update(expected.iter().map(|key| (key.clone(), key.as_str()))).await.unwrap();
        // A write is acknowledged by three tables, and the walk goes by one of them. In a ring that
        // has just been formed, that one may take some seconds to have everything.
        let walks = async {
            while walk(&nodes).await != expected {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, walks).await.unwrap();
        let mut count = 0;
        let mut keys = nodes[2].keys();
        while let Some(key) = timeout(DEADLINE, keys.next()).await.unwrap() {
            key.unwrap();
            count += 1;
        }
        assert_eq!(count, 200);
        assert_eq!(nodes[0].copy().await.unwrap().len(), 200);
        let (key, value) = nodes[0].popitem().await.unwrap().unwrap();
        assert_eq!(Some(&key[..]), value.as_str().map(str::as_bytes));
        assert!(!nodes[1].contains(&key).await.unwrap());
    }
}

#[tokio::test]
async fn events_tell_of_keys_and_a_reader_that_sleeps_stops_nobody() {
    let nodes = ring(2, true).await;
    let mut events = nodes[1].events().unwrap();
    let bounds = StreamConfig { events: 4, ..StreamConfig::default() };
    let mut sleeper = nodes[1].subscribe(bounds).unwrap();
    for number in 0..40 {
        nodes[0].set(format!("{number}"), number).await.unwrap();
    }
    nodes[0].del("3").await.unwrap();
    let mut added = BTreeSet::new();
    let heard = async {
        loop {
            match events.recv().await.unwrap() {
                ChordEvent::Add { key } => assert!(added.insert(key), "once"),
                ChordEvent::Delete { key } => return key,
                _ => {}
            }
        }
    };
    assert_eq!(&timeout(DEADLINE, heard).await.unwrap()[..], b"3");
    assert_eq!(added.len(), 40);
    // It has lost the oldest, and is told how many.
    assert!(timeout(DEADLINE, sleeper.recv()).await.unwrap().is_err());
}

#[tokio::test]
async fn a_node_that_is_closed_ends_what_is_under_way() {
    let nodes = ring(2, true).await;
    let node = nodes[1].clone();
    // Its neighbour is gone without a word as far as it knows, so answers may take their time.
    let under_way: Vec<_> = (0..50)
        .map(|number| {
            let node = node.clone();
            tokio::spawn(async move {
                let key = format!("{number}");
                let written = node.set(&key, number).await;
                let read = node.get(&key).await;
                (written, read)
            })
        })
        .collect();
    let walk = tokio::spawn({
        let node = node.clone();
        async move { node.copy().await }
    });
    tokio::task::yield_now().await;
    timeout(DEADLINE, node.close()).await.unwrap().unwrap();
    for task in under_way {
        let (written, read) = timeout(DEADLINE, task).await.unwrap().unwrap();
        assert!(matches!(written, Ok(()) | Err(ChordError::Stopped(_))), "{written:?}");
        assert!(matches!(read, Ok(_) | Err(ChordError::Stopped(_))), "{read:?}");
    }
    let _ = timeout(DEADLINE, walk).await.unwrap().unwrap();
    assert!(matches!(node.get("key").await, Err(ChordError::Stopped(_))));
    assert!(node.status().is_err() && node.events().is_err());
    // The other one has everything, and goes on.
    nodes[0].set("later", 1).await.unwrap();
    assert_eq!(nodes[0].get("later").await.unwrap(), Some(1.into()));
}

#[tokio::test]
async fn a_write_whose_future_is_dropped_goes_on() {
    let nodes = ring(3, true).await;
    for number in 0..20 {
        let (key, node) = (format!("{number}"), &nodes[number % 3]);
        let mut write = Box::pin(node.set(&key, number as u64));
        // Once polled, it has begun.
        let first = std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::future::Future::poll(write.as_mut(), context))
        });
        let _ = first.await;
        drop(write);
    }
    for number in 0..20 {
        let node = &nodes[(number + 1) % 3];
        let written = async {
            while node.get(format!("{number}")).await.unwrap() != Some((number as u64).into()) {}
        };
        timeout(DEADLINE, written).await.unwrap();
    }
}

#[tokio::test]
async fn who_leaves_hands_over_and_comes_back() {
    let nodes = ring(3, true).await;
    nodes[0].update((0..30).map(|number| (format!("{number}"), number))).await.unwrap();
    assert_eq!(timeout(DEADLINE, nodes[2].unjoin()).await.unwrap().unwrap(), 0);
    assert_eq!(nodes[2].status().unwrap().records, 0);
    for number in 0..30 {
        assert_eq!(nodes[2].get(format!("{number}")).await.unwrap(), Some(number.into()));
    }
    // Both calls end, whichever the node does first.
    let both = async { tokio::join!(nodes[2].unjoin(), nodes[2].unjoin()) };
    let (one, other) = timeout(DEADLINE, both).await.unwrap();
    assert_eq!((one.unwrap(), other.unwrap()), (0, 0));
    timeout(DEADLINE, nodes[2].join()).await.unwrap().unwrap();
    assert!(nodes[2].successor().unwrap().is_some() && nodes[2].predecessor().unwrap().is_some());
}

#[tokio::test]
async fn errors_say_what_is_wrong() {
    let leech = ChordSocket::builder().joins(false).start().await.unwrap();
    let short = Duration::from_millis(200);
    let read = leech.get_within("key", short).await;
    assert!(matches!(read, Err(ChordError::Read(ReadError::NobodyStores))), "{read:?}");
    let node = ring(1, true).await.remove(0);
    let long = node.set("x".repeat(1_025), 1).await.unwrap_err();
    assert!(matches!(long, ChordError::Write(WriteError::Key(_))), "{long}");
    let large = node.set("key", "x".repeat(1 << 20)).await.unwrap_err();
    assert!(matches!(large, ChordError::Write(WriteError::Value { .. })), "{large}");
    let nil = node.set("key", Value::Nil).await.unwrap_err();
    assert!(matches!(nil, ChordError::Write(WriteError::Nil)), "{nil}");
    let absent = node.pop("key").await.unwrap_err();
    assert!(matches!(absent, ChordError::Write(WriteError::Absent)), "{absent}");
    assert_eq!(node.popitem().await.unwrap(), None);
    assert_eq!(node.get_or("key", 5).await.unwrap(), 5.into());
    node.set("key", "text").await.unwrap();
    let change = node.apply_delta("key", [(1.into(), 2.into())]).await.unwrap_err();
    assert!(matches!(change, ChordError::Write(WriteError::NoMap)), "{change}");
    assert_eq!(node.explain("key").await.unwrap().len(), 5);
}
