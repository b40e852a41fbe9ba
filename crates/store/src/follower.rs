//! A task that writes down what a running node changes.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rs2p_base::net::{EventStream, Node, Stopped, StreamConfig};
use thiserror::Error;
use tokio::sync::{Notify, watch};

use crate::blocking;
use crate::changes::Changes;
use crate::error::StoreError;
use crate::node_file::MEMORY;
use crate::persistent::{Persistent, Unsaved};
use crate::store::Store;

/// Follows a running node, and writes what its machine changes into the node's file: all that has
/// gathered, in one transaction. [`NodeFile::follow`](crate::NodeFile::follow) starts it.
///
/// Clones are handles to the same task, and to the node: it runs as long as one of them is there.
/// When the last one is dropped, or the node has stopped, the file is closed; changes that nobody
/// has waited for may be missing in it. So whoever ends a node waits for [`save`](Self::save),
/// stops the node, and waits until the file is [closed](Self::closed).
pub struct Follower<M: Persistent> {
    shared: Arc<Shared<M>>,
}

struct Shared<M: Persistent> {
    node: Node<M>,
    wake: Arc<Notify>,
    /// Its other end is gone once the file is closed.
    progress: watch::Receiver<Progress>,
    /// Wakes the task when something has changed.
    _changes: Mutex<EventStream<()>>,
}

/// How far the writing has come.
#[derive(Default)]
struct Progress {
    /// So many changes are on the disk.
    count: u64,
    /// It goes no further.
    failure: Option<Arc<StoreError>>,
}

/// Why changes are not on the disk. There will be no third reason, so a layer can turn each into an
/// error of its own.
#[derive(Clone, Debug, Error)]
pub enum FollowError {
    /// The node has stopped before they were written.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The file could not be written. Nothing is written from then on.
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
}

impl<M: Persistent> Follower<M> {
    pub(crate) fn start(node: &Node<M>, store: Arc<Store>) -> Result<Self, Stopped> {
        let wake = Arc::new(Notify::new());
        let waker = wake.clone();
        let changed = move |event: &M::Event| {
            if M::is_change(event) {
                waker.notify_one();
            }
            None::<()>
        };
        let changes = node.subscribe(StreamConfig::default(), changed, |()| 0)?;
        // What was noted before there was anybody to hear of it.
        wake.notify_one();
        let (sender, progress) = watch::channel(Progress::default());
        let (node, changes) = (node.clone(), Mutex::new(changes));
        let shared = Arc::new(Shared { node, wake: wake.clone(), progress, _changes: changes });
        tokio::spawn(run(Arc::downgrade(&shared), wake, sender, store));
        Ok(Self { shared })
    }

    /// Waits until all changes of this moment are on the disk. Cancel safe: they are written
    /// nevertheless.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or the node has stopped before.
    pub async fn save(&self) -> Result<(), FollowError> {
        let count = self.shared.node.call(|machine, _| machine.change_count())?;
        self.saved(count).await
    }

    /// Waits until as many changes as `count` are on the disk: for a change, what
    /// [`Persistent::change_count`] said just after it. Cancel safe: they are written nevertheless.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or the node has stopped before.
    pub async fn saved(&self, count: u64) -> Result<(), FollowError> {
        self.shared.wake.notify_one();
        let mut progress = self.shared.progress.clone();
        let is_done = |progress: &Progress| progress.count >= count || progress.failure.is_some();
        let progress = progress.wait_for(is_done).await.map_err(|_| Stopped)?;
        match &progress.failure {
            Some(error) if progress.count < count => Err(error.clone().into()),
            _ => Ok(()),
        }
    }

    /// Waits until the file is closed: it is soon after the node has stopped, or a write has
    /// failed. Cancel safe.
    pub async fn closed(&self) {
        self.shared.wake.notify_one();
        let mut progress = self.shared.progress.clone();
        while progress.changed().await.is_ok() {}
    }

    /// Waits until the file cannot be written any more. Never ends once the node has stopped
    /// without that. Cancel safe.
    pub async fn failed(&self) -> Arc<StoreError> {
        let mut progress = self.shared.progress.clone();
        let failure = match progress.wait_for(|progress| progress.failure.is_some()).await {
            Ok(progress) => progress.failure.clone(),
            Err(_) => None,
        };
        match failure {
            Some(error) => error,
            None => std::future::pending().await,
        }
    }
}

impl<M: Persistent> Clone for Follower<M> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<M: Persistent> fmt::Debug for Follower<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("node", &self.shared.node).finish_non_exhaustive()
    }
}

impl<M: Persistent> Shared<M> {
    /// Writes down what has gathered.
    async fn save(
        &self,
        store: &Arc<Store>,
        progress: &watch::Sender<Progress>,
    ) -> Result<(), FollowError> {
        let unsaved = self.node.call(|machine, _| machine.take_unsaved())?;
        let Unsaved { records, memory, count } = unsaved;
        if records.is_empty() && count == progress.borrow().count {
            return Ok(());
        }
        let mut changes = Changes::new();
        changes.set_meta(MEMORY, memory);
        for (key, record) in records {
            match record {
                Some(record) => changes.put(key, record),
                None => changes.remove(key),
            };
        }
        blocking::write(store, changes).await?;
        progress.send_modify(|progress| progress.count = count);
        Ok(())
    }
}

impl<M: Persistent> Drop for Shared<M> {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

/// What it is given goes from the last to the first: who waits for the end finds the file closed.
async fn run<M: Persistent>(
    shared: Weak<Shared<M>>,
    wake: Arc<Notify>,
    progress: watch::Sender<Progress>,
    store: Arc<Store>,
) {
    loop {
        // A handle that waits here would keep the node alive.
        let _ = tokio::time::timeout(AT_LEAST_EVERY, wake.notified()).await;
        let Some(shared) = shared.upgrade() else { return };
        match shared.save(&store, &progress).await {
            Ok(()) => {}
            Err(FollowError::Stopped(_)) => return,
            Err(FollowError::Store(error)) => {
                progress.send_modify(|progress| progress.failure = Some(error));
                return;
            }
        }
    }
}

/// Changes of which nobody is told wait no longer than this.
const AT_LEAST_EVERY: Duration = Duration::from_secs(10);
