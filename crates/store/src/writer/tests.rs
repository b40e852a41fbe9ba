//! The writer on a disk that is full, stands still, or panics.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use super::*;
use crate::body::faulty::Disk;

struct Bench {
    _directory: tempfile::TempDir,
    disk: Arc<Disk>,
    store: Arc<Store>,
}

fn bench() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(directory.path().join("a"), "test 1").unwrap());
    Bench { _directory: directory, disk: Disk::of_this_thread(), store }
}

impl Bench {
    fn writer(&self, config: WriterConfig) -> Writer {
        Writer::start(Arc::clone(&self.store), config).unwrap()
    }

    /// A writer whose thread has one set of changes in hand, on a disk that stands still.
    fn busy_writer(&self, config: WriterConfig) -> (Writer, Ticket) {
        let writer = self.writer(config);
        self.disk.stand_still();
        let first = writer.submit(one("first", "1")).unwrap();
        self.disk.until_someone_waits();
        (writer, first)
    }
}

fn one(key: &str, value: &str) -> Changes {
    let mut changes = Changes::new();
    changes.put(key, value);
    changes
}

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn what_waits_while_the_disk_is_busy_is_written_together() {
    let bench = bench();
    let (writer, first) = bench.busy_writer(WriterConfig::default());
    let tickets: Vec<_> =
        (0..100).map(|n| writer.submit(one(&n.to_string(), "x")).unwrap()).collect();
    assert_eq!(bench.store.len().unwrap(), 0, "nothing shows before it is durable");
    bench.disk.go_on();
    first.wait().unwrap();
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    assert_eq!(bench.store.len().unwrap(), 101);
    assert_eq!(writer.waiting(), 0);
    writer.close().unwrap();
}

#[test]
fn a_full_queue_gives_changes_back_and_has_room_again_later() {
    let bench = bench();
    let config = WriterConfig { queue_bytes: 3 * one("first", "1").bytes(), ..Default::default() };
    let (writer, _first) = bench.busy_writer(config);
    let _second = writer.submit(one("2", "2")).unwrap();
    let _third = writer.submit(one("3", "3")).unwrap();
    let refused = writer.submit(one("four", "4")).unwrap_err();
    assert!(matches!(refused.why, WriteError::QueueFull { .. }), "{refused}");
    assert_eq!(refused.changes, one("four", "4"));
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| writer.submit_blocking(refused.changes).unwrap().wait());
        bench.disk.go_on();
        blocked.join().unwrap().unwrap();
    });
    assert_eq!(bench.store.get(b"four").unwrap().unwrap(), b"4");
}

#[test]
fn changes_that_could_never_wait_are_refused_at_once() {
    let bench = bench();
    let writer = bench.writer(WriterConfig { queue_bytes: 100, ..Default::default() });
    let refused = writer.submit(one("k", &"v".repeat(100))).unwrap_err();
    assert!(matches!(refused.why, WriteError::TooMuch { size: 165, limit: 100 }), "{refused}");
    let refused = writer.submit_blocking(one(&"k".repeat(70_000), "")).unwrap_err();
    assert!(matches!(refused.why, WriteError::TooLarge(_)), "{refused}");
    writer.submit(one("k", "v")).unwrap().wait().unwrap();
}

#[test]
fn a_full_disk_reaches_all_who_wait_and_all_who_come_later() {
    let bench = bench();
    let (writer, _first) = bench.busy_writer(WriterConfig::default());
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    let mut awaited = Box::pin(writer.submit(one("awaited", "1")).unwrap());
    assert!(awaited.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let waited_for = writer.submit(one("waited for", "1")).unwrap();
    bench.disk.fill();
    bench.disk.go_on();

    let full = |error: &WriteError| match error {
        WriteError::Failed(why) => matches!(**why, StoreError::DiskFull { .. }),
        _ => false,
    };
    assert!(full(&waited_for.wait().unwrap_err()));
    let polled = awaited.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(matches!(polled, std::task::Poll::Ready(Err(ref error)) if full(error)));
    assert!(full(&writer.submit(one("later", "1")).unwrap_err().why));
    assert!(full(&writer.submit_blocking(one("later", "1")).unwrap_err().why));
    assert_eq!(bench.store.get(b"waited for").unwrap(), None);
    assert!(matches!(bench.store.write(&one("a", "b")), Err(StoreError::Stopped { .. })));
    assert!(full(&writer.close().unwrap_err()));
    assert_eq!(counter.0.load(Ordering::SeqCst), 1);
}

#[test]
fn a_panic_while_writing_leaves_nobody_waiting() {
    let bench = bench();
    let writer = bench.writer(WriterConfig::default());
    bench.disk.panic();
    let ticket = writer.submit(one("a", "b")).unwrap();
    assert!(matches!(ticket.wait(), Err(WriteError::Ended { .. })));
    assert!(matches!(writer.flush().wait(), Err(WriteError::Ended { .. })));
    assert!(matches!(writer.close(), Err(WriteError::Ended { .. })));
}

#[test]
fn an_awaited_ticket_wakes_its_task_once_it_is_durable() {
    let bench = bench();
    let (writer, first) = bench.busy_writer(WriterConfig::default());
    let counter = Arc::new(Counter::default());
    let waker = Waker::from(Arc::clone(&counter));
    let mut context = Context::from_waker(&waker);
    let mut first = Box::pin(first);
    assert!(first.as_mut().poll(&mut context).is_pending());
    let mut given_up = Box::pin(writer.flush());
    assert!(given_up.as_mut().poll(&mut context).is_pending());
    drop(given_up);
    bench.disk.go_on();
    writer.close().unwrap();
    assert_eq!(counter.0.load(Ordering::SeqCst), 1);
    assert!(matches!(first.as_mut().poll(&mut context), std::task::Poll::Ready(Ok(()))));
}

#[test]
fn closing_does_not_wait_for_ever() {
    let bench = bench();
    let config = WriterConfig { close_within: Duration::from_millis(1), ..Default::default() };
    let (writer, first) = bench.busy_writer(config);
    let late = writer.close().unwrap_err();
    assert!(matches!(late, WriteError::StillWriting { .. }), "{late}");
    bench.disk.go_on();
    first.wait().unwrap();
}

#[test]
fn dropping_a_writer_writes_what_waits() {
    let bench = bench();
    let (writer, _first) = bench.busy_writer(WriterConfig::default());
    let _ticket = writer.submit(one("second", "2")).unwrap();
    bench.disk.go_on();
    drop(writer);
    assert_eq!(bench.store.get(b"second").unwrap().unwrap(), b"2");
    assert_eq!(Arc::strong_count(&bench.store), 1, "the thread has let go of the file");
}

#[test]
fn a_disk_that_fills_up_loses_nothing_that_was_durable() {
    let bench = bench();
    let path = bench.store.path().to_owned();
    bench.store.write(&one("before", "1")).unwrap();
    bench.disk.fill();
    let full = bench.store.write(&one("after", "1")).unwrap_err();
    assert!(matches!(full, StoreError::DiskFull { .. }), "{full}");
    let Bench { _directory, store, .. } = bench;
    drop(store);
    // Another thread has another disk below it.
    std::thread::spawn(move || {
        let store = Store::open(path, "test 1").unwrap();
        assert_eq!(store.get(b"before").unwrap().unwrap(), b"1");
        assert_eq!(store.get(b"after").unwrap(), None);
    })
    .join()
    .unwrap();
}
