//! A node's records on the disk.
//!
//! The table lives in memory; what changes is written down by a task, all that has gathered in one
//! transaction. A write of the user's own is acknowledged once the transaction that holds it is on
//! the disk.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use rs2p_base::NodeId;
use rs2p_base::net::{EventStream, Node, Stopped, StreamConfig};
use rs2p_store::{Changes, Store, StoreError};
use tokio::sync::{Notify, watch};

use crate::event::SyncEvent;
use crate::machine::Sync;
use crate::place;

/// Changes of which nobody is told, such as forgotten deletions, wait no longer than this.
const AT_LEAST_EVERY: Duration = Duration::from_secs(10);

/// A file that is open, and what it held.
pub(crate) struct Opened {
    store: Arc<Store>,
    pub(crate) records: Vec<(Bytes, Vec<u8>)>,
    pub(crate) memory: Option<Vec<u8>>,
    /// The id that the node had.
    pub(crate) id: Option<NodeId>,
}

impl Opened {
    /// Opens the file and reads all of it.
    pub(crate) async fn read(path: PathBuf, network: String) -> Result<Self, StoreError> {
        on_a_thread(move || {
            let store = Store::open(path, &kind(&network))?;
            let mut records = Vec::new();
            store.entries(|key, value| {
                records.push((Bytes::copy_from_slice(key), value.to_vec()));
            })?;
            let memory = store.meta("memory")?;
            let id = store.meta("id")?.and_then(|id| NodeId::from_text(&id).ok());
            Ok(Self { store: Arc::new(store), records, memory, id })
        })
        .await
    }

    /// Writes the node's id down, and all that changes from now on.
    pub(crate) async fn follow(
        self,
        node: &Node<Sync>,
        id: NodeId,
    ) -> Result<Arc<Disk>, DiskError> {
        let store = self.store.clone();
        if self.id != Some(id) {
            let mut changes = Changes::new();
            changes.set_meta("id", id.to_string());
            on_a_thread(move || store.write(&changes)).await.map_err(Arc::new)?;
        }
        let wake = Arc::new(Notify::new());
        let waker = wake.clone();
        let changed = move |event: &SyncEvent| {
            if matches!(event, SyncEvent::Update { .. } | SyncEvent::Delete { .. }) {
                waker.notify_one();
            }
            None::<()>
        };
        let changes = node.subscribe(StreamConfig::default(), changed, |()| 0)?;
        let (opener, is_open) = watch::channel(());
        let disk = Arc::new(Disk {
            node: node.clone(),
            wake: wake.clone(),
            saved: watch::Sender::new(Saved::Count(0)),
            is_open,
            _changes: Mutex::new(changes),
        });
        tokio::spawn(run(Arc::downgrade(&disk), wake, opener, self.store));
        Ok(disk)
    }
}

/// What the file is for: the dictionary of one network, in this form. With the name of another one
/// the node would carry its keys there.
fn kind(network: &str) -> String {
    /// Names in full up to here; longer ones by their digest.
    const LONGEST: usize = 200;
    if network.len() <= LONGEST {
        return format!("rs2p-sync 1: {network}");
    }
    format!("rs2p-sync 1: network {:016x}", place::place(network.as_bytes()))
}

/// Writes down what changes, as long as a handle to the node is there.
pub(crate) struct Disk {
    node: Node<Sync>,
    wake: Arc<Notify>,
    saved: watch::Sender<Saved>,
    /// Its other end is gone once the file is closed.
    is_open: watch::Receiver<()>,
    /// Wakes the task when something has changed.
    _changes: Mutex<EventStream<()>>,
}

/// How far the writing has come.
#[derive(Clone)]
enum Saved {
    /// So many changes are on the disk.
    Count(u64),
    /// It has failed, and goes no further.
    Failed(Arc<StoreError>),
}

/// Why changes are not on the disk.
pub(crate) enum DiskError {
    Stopped,
    Store(Arc<StoreError>),
}

impl From<Stopped> for DiskError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<Arc<StoreError>> for DiskError {
    fn from(error: Arc<StoreError>) -> Self {
        Self::Store(error)
    }
}

impl Disk {
    /// Waits until as many changes as `count` are on the disk.
    pub(crate) async fn saved(&self, count: u64) -> Result<(), DiskError> {
        self.wake.notify_one();
        let mut saved = self.saved.subscribe();
        let is_done = |saved: &Saved| match saved {
            Saved::Count(done) => *done >= count,
            Saved::Failed(_) => true,
        };
        match &*saved.wait_for(is_done).await.map_err(|_| DiskError::Stopped)? {
            Saved::Count(_) => Ok(()),
            Saved::Failed(error) => Err(error.clone().into()),
        }
    }

    /// Waits until the file is closed, once the node has stopped.
    pub(crate) async fn closed(&self) {
        self.wake.notify_one();
        let mut is_open = self.is_open.clone();
        while is_open.changed().await.is_ok() {}
    }

    /// Waits until the file cannot be written any more.
    pub(crate) async fn failed(&self) -> Arc<StoreError> {
        let mut saved = self.saved.subscribe();
        let has_failed = |saved: &Saved| matches!(saved, Saved::Failed(_));
        match saved.wait_for(has_failed).await.as_deref() {
            Ok(Saved::Failed(error)) => error.clone(),
            _ => std::future::pending().await,
        }
    }

    /// Writes down what has gathered.
    async fn save(&self, store: &Arc<Store>) -> Result<(), DiskError> {
        let taken = self.node.call(|sync, _| sync.take_changes())?;
        if !taken.records.is_empty() {
            let mut changes = Changes::new();
            changes.set_meta("memory", taken.memory);
            for (key, record) in taken.records {
                match record {
                    Some(record) => changes.put(key, record),
                    None => changes.remove(key),
                };
            }
            let store = store.clone();
            on_a_thread(move || store.write(&changes)).await.map_err(Arc::new)?;
        }
        self.saved.send_replace(Saved::Count(taken.count));
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

/// What it is given goes from the last to the first: who waits for the end finds the file closed.
async fn run(disk: Weak<Disk>, wake: Arc<Notify>, _is_open: watch::Sender<()>, store: Arc<Store>) {
    loop {
        // A handle that waits here would keep the node alive.
        let _ = tokio::time::timeout(AT_LEAST_EVERY, wake.notified()).await;
        let Some(disk) = disk.upgrade() else { return };
        match disk.save(&store).await {
            Ok(()) => {}
            Err(DiskError::Stopped) => return,
            Err(DiskError::Store(error)) => {
                disk.saved.send_replace(Saved::Failed(error));
                return;
            }
        }
    }
}

/// The disk makes its caller wait, so it is called on a thread that may.
async fn on_a_thread<R: Send + 'static>(act: impl FnOnce() -> R + Send + 'static) -> R {
    match tokio::task::spawn_blocking(act).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and nobody hears of it any more.
            Err(_) => std::future::pending().await,
        },
    }
}
