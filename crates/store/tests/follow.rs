//! A running node, and its file.
#![cfg(feature = "follow")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rs2p_base::net::{Memory, Node, NodeBuilder};
use rs2p_base::{Input, Machine, NodeId, Output, Time};
use rs2p_store::{
    FollowError, Follower, MAX_KEY_BYTES, NodeFile, Persistent, Store, StoreError, Unsaved,
};
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

/// Notes by their keys, and beside them a number.
#[derive(Default)]
struct Notes {
    notes: BTreeMap<Bytes, Vec<u8>>,
    number: u8,
    changed: BTreeSet<Bytes>,
    changes: u64,
    events: VecDeque<Written>,
    /// Told whenever something that has changed is taken.
    taken: Arc<Notify>,
    /// Dropped with the machine.
    life: Option<oneshot::Sender<()>>,
}

#[derive(Clone, Debug)]
struct Written;

impl Notes {
    fn write(&mut self, key: &str, note: &str) -> u64 {
        self.notes.insert(key.to_owned().into(), note.into());
        self.note(key)
    }

    fn forget(&mut self, key: &str) -> u64 {
        self.notes.remove(key.as_bytes());
        self.note(key)
    }

    fn count_up(&mut self) {
        self.number += 1;
        self.changes += 1;
    }

    fn note(&mut self, key: &str) -> u64 {
        self.changed.insert(key.to_owned().into());
        self.changes += 1;
        self.changes
    }
}

impl Machine for Notes {
    type Event = Written;

    fn handle_input(&mut self, _now: Time, _input: Input) {}

    fn handle_timeout(&mut self, _now: Time) {}

    fn poll_output(&mut self) -> Option<Output<Written>> {
        self.events.pop_front().map(Output::Event)
    }

    fn poll_timeout(&self) -> Option<Time> {
        None
    }
}

impl Persistent for Notes {
    fn change_count(&self) -> u64 {
        self.changes
    }

    fn take_unsaved(&mut self) -> Unsaved {
        let keys = std::mem::take(&mut self.changed);
        if !keys.is_empty() {
            self.taken.notify_one();
        }
        let record = |key: Bytes| {
            let note = self.notes.get(&key).cloned();
            (key, note)
        };
        let records = keys.into_iter().map(record).collect();
        Unsaved { records, memory: vec![self.number], count: self.changes }
    }

    fn is_change(_event: &Written) -> bool {
        true
    }
}

/// A node that is followed, in a directory of its own.
struct Bench {
    directory: tempfile::TempDir,
    node: Node<Notes>,
    follower: Follower<Notes>,
}

impl Bench {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = open(&path(directory.path())).await;
        assert!(file.records.is_empty() && file.memory.is_none() && file.id.is_none());
        let node = NodeBuilder::new(Memory::new()).start(Notes::default());
        let follower = file.follow(&node, id("ada")).await.unwrap();
        Self { directory, node, follower }
    }

    fn call<R>(&self, act: impl FnOnce(&mut Notes) -> R) -> R {
        self.node.call(|notes, _| act(notes)).unwrap()
    }

    /// Stops the node, and opens its file again.
    async fn reopen(&self) -> NodeFile {
        self.node.shutdown().await;
        in_time(self.follower.closed()).await;
        open(&path(self.directory.path())).await
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join("notes")
}

fn id(text: &str) -> NodeId {
    text.parse().unwrap()
}

async fn open(path: &Path) -> NodeFile {
    NodeFile::open(path, KIND).await.unwrap()
}

async fn in_time<R>(wait: impl Future<Output = R>) -> R {
    timeout(DEADLINE, wait).await.unwrap()
}

const KIND: &str = "notes 1: test";
const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_next_life_finds_records_memory_and_id() {
    let bench = Bench::new().await;
    bench.call(|notes| {
        notes.count_up();
        notes.write("b", "2");
        notes.write("a", "1");
        notes.write("c", "3")
    });
    in_time(bench.follower.save()).await.unwrap();
    let count = bench.call(|notes| notes.forget("b"));
    in_time(bench.follower.saved(count)).await.unwrap();

    let file = bench.reopen().await;
    let record = |key: &'static str, note: &str| (Bytes::from(key), note.as_bytes().to_vec());
    assert_eq!(file.records, [record("a", "1"), record("c", "3")]);
    assert_eq!((file.memory.as_deref(), file.id), (Some(&[1][..]), Some(id("ada"))));
}

#[tokio::test]
async fn a_node_under_another_id_is_known_by_that_one_from_then_on() {
    let bench = Bench::new().await;
    let file = bench.reopen().await;
    let node = NodeBuilder::new(Memory::new()).start(Notes::default());
    let follower = file.follow(&node, id("bob")).await.unwrap();
    node.shutdown().await;
    in_time(follower.closed()).await;
    assert_eq!(open(&path(bench.directory.path())).await.id, Some(id("bob")));
}

#[tokio::test]
async fn a_memory_that_changed_alone_is_written() {
    let bench = Bench::new().await;
    bench.call(Notes::count_up);
    in_time(bench.follower.save()).await.unwrap();
    assert_eq!(bench.reopen().await.memory.as_deref(), Some(&[1][..]));
}

#[tokio::test(start_paused = true)]
async fn what_an_event_tells_of_is_written_at_once_and_the_rest_in_time() {
    let bench = Bench::new().await;
    let taken = bench.call(|notes| notes.taken.clone());
    let begin = tokio::time::Instant::now();
    // The first may be taken for another reason: the writer looks when it begins.
    for _ in 0..5 {
        bench.call(|notes| {
            notes.events.push_back(Written);
            notes.write("told", "1")
        });
        in_time(taken.notified()).await;
        assert_eq!(begin.elapsed(), Duration::ZERO, "of the clock that stands still");
    }
    bench.call(|notes| notes.write("untold", "2"));
    in_time(taken.notified()).await;
}

#[tokio::test]
async fn who_waits_for_a_write_is_told_that_the_node_has_stopped() {
    let bench = Bench::new().await;
    let count = bench.call(|notes| notes.write("saved", "1"));
    in_time(bench.follower.saved(count)).await.unwrap();
    let waiting = bench.follower.clone();
    let unsaved = tokio::spawn(async move { waiting.saved(count + 1).await });
    bench.node.shutdown().await;
    in_time(bench.follower.closed()).await;
    let stopped = in_time(unsaved).await.unwrap().unwrap_err();
    assert!(matches!(stopped, FollowError::Stopped(_)), "{stopped}");
    let stopped = in_time(bench.follower.save()).await.unwrap_err();
    assert!(matches!(stopped, FollowError::Stopped(_)), "{stopped}");
    // What was on the disk still is.
    in_time(bench.follower.saved(count)).await.unwrap();
}

#[tokio::test]
async fn a_write_that_fails_is_told_to_all_who_wait_and_ends_the_writing() {
    let bench = Bench::new().await;
    let saved = bench.call(|notes| notes.write("small", "1"));
    in_time(bench.follower.saved(saved)).await.unwrap();
    let too_long = "k".repeat(MAX_KEY_BYTES + 1);
    let count = bench.call(|notes| notes.write(&too_long, "2"));
    let error = in_time(bench.follower.saved(count)).await.unwrap_err();
    let FollowError::Store(error) = error else { panic!("{error}") };
    assert!(matches!(*error, StoreError::TooLarge(_)), "{error}");
    assert!(Arc::ptr_eq(&in_time(bench.follower.failed()).await, &error));

    bench.call(|notes| notes.write("later", "3"));
    let later = in_time(bench.follower.save()).await.unwrap_err();
    assert!(matches!(later, FollowError::Store(_)), "{later}");
    in_time(bench.follower.saved(saved)).await.unwrap();
    in_time(bench.follower.closed()).await;
    let store = Store::open(path(bench.directory.path()), KIND).unwrap();
    assert_eq!(store.len().unwrap(), 1);
}

#[tokio::test]
async fn a_closed_file_can_be_opened_again_whoever_still_has_a_handle() {
    let bench = Bench::new().await;
    bench.call(|notes| notes.write("a", "1"));
    in_time(bench.follower.save()).await.unwrap();
    let used = NodeFile::open(path(bench.directory.path()), KIND).await.unwrap_err();
    assert!(matches!(used, StoreError::InUse { .. }), "{used}");
    assert_eq!(bench.reopen().await.records.len(), 1);
}

#[tokio::test]
async fn the_node_stops_with_the_last_handle() {
    let Bench { directory: _directory, node, follower } = Bench::new().await;
    let (life, end) = oneshot::channel();
    node.call(|notes, _| notes.life = Some(life)).unwrap();
    drop(node);
    let last = follower.clone();
    drop(follower);
    in_time(last.save()).await.unwrap();
    drop(last);
    in_time(end).await.unwrap_err();
}
