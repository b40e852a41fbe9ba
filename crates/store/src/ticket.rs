//! How far the writing is, and those who wait for it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::changes::Changes;
use crate::error::WriteError;

/// A promise that changes will be durable. Await it in any runtime, or [`wait`](Self::wait) for it.
///
/// Dropping it takes nothing back: the changes are written all the same. It may outlive its
/// [`Writer`](crate::Writer).
#[derive(Debug)]
#[must_use = "the changes are durable only when the ticket says so"]
pub struct Ticket {
    progress: Arc<Progress>,
    /// Of the last changes that must be durable.
    sequence: u64,
    /// The ticket's own number, for its waker.
    number: u64,
}

impl Ticket {
    /// Blocks until the changes are durable.
    ///
    /// # Errors
    ///
    /// [`WriteError::Failed`] or [`WriteError::Ended`]: they are not, and nothing after them is.
    pub fn wait(self) -> Result<(), WriteError> {
        let state = self.progress.state();
        let waiting = |state: &mut State| state.judge(self.sequence).is_none();
        let state =
            self.progress.moved.wait_while(state, waiting).unwrap_or_else(PoisonError::into_inner);
        state.judge(self.sequence).unwrap_or(Ok(()))
    }

    /// The number of the changes: later ones have higher numbers, and what is durable is so from
    /// the first to the last of them.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// Cancel safe: a ticket that is no longer awaited leaves nothing behind.
impl Future for Ticket {
    type Output = Result<(), WriteError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A waker is somebody else's code: it is made and dropped outside of the lock.
        let waker = context.waker().clone();
        let mut state = self.progress.state();
        if let Some(done) = state.judge(self.sequence) {
            drop(state);
            return Poll::Ready(done);
        }
        let former = state.wakers.insert((self.sequence, self.number), waker);
        drop(state);
        drop(former);
        Poll::Pending
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let waker = self.progress.state().wakers.remove(&(self.sequence, self.number));
        drop(waker);
    }
}

/// What the thread that writes and those who wait for it share.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) path: PathBuf,
    state: Mutex<State>,
    /// Something waits to be written, or nothing more will come.
    pub(crate) work: Condvar,
    /// Something became durable, or failed, or the thread has ended.
    pub(crate) moved: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) queue: Vec<Changes>,
    /// Of the queue and of what is being written, in bytes.
    pub(crate) waiting: usize,
    /// The number of the last changes taken, and of the last ones durable.
    pub(crate) submitted: u64,
    pub(crate) durable: u64,
    pub(crate) failure: Option<WriteError>,
    pub(crate) closing: bool,
    pub(crate) ended: bool,
    tickets: u64,
    wakers: BTreeMap<(u64, u64), Waker>,
}

impl Progress {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::default(), work: Condvar::new(), moved: Condvar::new() }
    }

    /// The state. No code that holds it can panic, so it is sound even were the lock poisoned.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ticket for all that was taken so far.
    pub(crate) fn ticket(self: &Arc<Self>, state: &mut State) -> Ticket {
        state.tickets += 1;
        let (sequence, number) = (state.submitted, state.tickets);
        Ticket { progress: Arc::clone(self), sequence, number }
    }

    /// Tells all who wait for something that has come to pass.
    pub(crate) fn announce(&self, mut state: MutexGuard<'_, State>) {
        let mut done = std::mem::take(&mut state.wakers);
        if state.failure.is_none() {
            state.wakers = done.split_off(&(state.durable + 1, 0));
        }
        drop(state);
        self.moved.notify_all();
        done.into_values().for_each(Waker::wake);
    }
}

impl State {
    /// What became of the changes up to `sequence`, once it is known.
    fn judge(&self, sequence: u64) -> Option<Result<(), WriteError>> {
        if sequence <= self.durable {
            return Some(Ok(()));
        }
        self.failure.clone().map(Err)
    }
}
