//! Nodes of a replicated dictionary on real sockets, and their files.
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::time::Duration;

use rs2p_store::StoreError;
use rs2p_sync::{SyncBuilder, SyncError, SyncEvent, SyncSocket, SyncStartError, WriteError};
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

async fn start() -> SyncSocket {
    SyncSocket::builder().start().await.unwrap()
}

fn in_file(path: &Path) -> SyncBuilder {
    SyncSocket::builder().store(path)
}

/// Waits until a node holds what is looked for.
async fn until(node: &SyncSocket, holds: impl Fn(&SyncSocket) -> bool) {
    let mut events = node.events().unwrap();
    let wait = async {
        while !holds(node) {
            events.recv().await.unwrap();
        }
    };
    timeout(DEADLINE, wait).await.unwrap();
}

fn text(node: &SyncSocket, key: &str) -> Option<String> {
    Some(node.get(key).unwrap()?.as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_one_writes_the_other_has_and_may_not_change() {
    let mut nodes = [start().await, start().await];
    // The owner whose text is smaller may write over the other in the same second.
    nodes.sort_by_key(|node| node.id().to_string());
    let [one, two] = nodes;
    two.connect(one.address().unwrap()).await.unwrap();
    one.set("colour", "green").await.unwrap();
    until(&two, |two| text(two, "colour").as_deref() == Some("green")).await;
    let entry = two.entry("colour").unwrap().unwrap();
    assert_eq!(entry.meta.owner.node_id(), Some(one.id()));
    let refused = two.set("colour", "red").await.unwrap_err();
    let SyncError::Write(WriteError::Leased { owner, until: end, .. }) = &refused else {
        panic!("{refused}")
    };
    assert_eq!((owner, Some(*end)), (&entry.meta.owner, entry.meta.lease_end));
    assert!(refused.to_string().contains(&one.id().to_string()), "{refused}");
    one.del("colour").await.unwrap();
    until(&two, |two| !two.contains("colour").unwrap()).await;
    two.set("colour", "red").await.unwrap();
    until(&one, |one| text(one, "colour").as_deref() == Some("red")).await;
    assert_eq!(two.pop("colour").await.unwrap().as_str(), Some("red"));
    assert_eq!(text(&two, "colour"), None);
}

#[tokio::test]
async fn an_update_tells_who_wrote_it() {
    let (one, two) = (start().await, start().await);
    let mut events = two.events().unwrap();
    two.connect(one.address().unwrap()).await.unwrap();
    one.apply_delta("map", [("a".into(), 1.into())]).await.unwrap();
    let heard = async {
        loop {
            if let SyncEvent::Update { key, value, meta } = events.recv().await.unwrap() {
                return (key, value, meta);
            }
        }
    };
    let (key, value, meta) = timeout(DEADLINE, heard).await.unwrap();
    assert_eq!((&key[..], value.to_string().as_str()), (&b"map"[..], "{\"a\": 1}"));
    assert_eq!(meta.owner.node_id(), Some(one.id()));
}

#[tokio::test]
async fn a_node_comes_back_with_its_records_and_its_id() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dictionary");
    let node = in_file(&path).start().await.unwrap();
    let id = node.id();
    node.set("kept", "yes").await.unwrap();
    node.set("deleted", "no").await.unwrap();
    node.del("deleted").await.unwrap();
    node.close().await.unwrap();
    drop(node);

    let node = in_file(&path).start().await.unwrap();
    assert_eq!(node.id(), id);
    assert_eq!(text(&node, "kept").as_deref(), Some("yes"));
    assert_eq!(node.status().unwrap().tombstones, 1);
    // Its lease is still its own.
    node.set("kept", "still").await.unwrap();

    let second = in_file(&path).start().await.unwrap_err();
    assert!(matches!(second, SyncStartError::Store(StoreError::InUse { .. })), "{second}");
    node.close().await.unwrap();
    drop(node);
    for other in [in_file(&path).leasing(false), in_file(&path).subnet("another")] {
        let other = other.start().await.unwrap_err();
        assert!(matches!(other, SyncStartError::Store(StoreError::OtherKind { .. })), "{other}");
    }
    let node = in_file(&path).start().await.unwrap();
    node.update([("a", 1), ("b", 2)]).await.unwrap();
    node.close().await.unwrap();
    let node = in_file(&path).start().await.unwrap();
    assert_eq!(node.len().unwrap(), 3);
}

#[tokio::test]
async fn a_closed_node_has_closed_its_file_whoever_still_has_a_handle() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dictionary");
    let mut old = Vec::new();
    for number in 0..30 {
        let node = in_file(&path).start().await.unwrap();
        node.set("number", number).await.unwrap();
        node.close().await.unwrap();
        old.push(node);
    }
}

#[tokio::test]
async fn a_write_that_the_end_of_its_node_overtakes_is_told_so() {
    let directory = tempfile::tempdir().unwrap();
    let node = in_file(&directory.path().join("dictionary")).start().await.unwrap();
    // The node stops between the write and the moment when the file is written.
    let both = async { tokio::join!(node.set("key", "value"), node.mesh().close()) };
    let (set, ()) = timeout(DEADLINE, both).await.unwrap();
    assert!(matches!(set, Err(SyncError::Stopped(_))), "{set:?}");
}

#[tokio::test]
async fn what_others_write_is_kept_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dictionary");
    let (one, two) = (start().await, in_file(&path).start().await.unwrap());
    two.connect(one.address().unwrap()).await.unwrap();
    one.set("theirs", "yes").await.unwrap();
    until(&two, |two| text(two, "theirs").is_some()).await;
    two.save().await.unwrap();
    two.close().await.unwrap();
    drop(two);
    let two = in_file(&path).start().await.unwrap();
    let entry = two.entry("theirs").unwrap().unwrap();
    assert_eq!(entry.meta.owner.node_id(), Some(one.id()));
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dictionary");
    let node = in_file(&path).start().await.unwrap();
    node.set("key", "value").await.unwrap();
    node.close().await.unwrap();
    drop(node);
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes.truncate(half);
    std::fs::write(&path, &bytes).unwrap();

    let error = in_file(&path).start().await.unwrap_err();
    let SyncStartError::Store(StoreError::Damaged { set_aside, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!(std::fs::metadata(set_aside).unwrap().len(), half as u64);
    let node = in_file(&path).start().await.unwrap();
    assert!(node.is_empty().unwrap());
}
