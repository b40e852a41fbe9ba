//! The thread that writes what many hand over, together.

use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::changes::Changes;
use crate::error::{Refused, StoreError, WriteError};
use crate::store::Store;
use crate::ticket::{Progress, State, Ticket};

/// How a [`Writer`] behaves.
#[derive(Clone, Debug)]
pub struct WriterConfig {
    /// How many bytes of changes ([`Changes::bytes`]) may wait for the disk: 1 MiB to 1 GiB, 32 MiB
    /// unless said otherwise. What is over it is refused, or waits. Room for the largest value
    /// ([`MAX_VALUE_BYTES`](crate::MAX_VALUE_BYTES)) is needed by those who write such.
    pub queue_bytes: usize,
    /// How long the end of a writer waits for the disk: 5 s unless said otherwise. On a disk that
    /// is slower, the thread goes on in the background, and the file stays locked as long.
    pub close_within: Duration,
}

impl Default for WriterConfig {
    fn default() -> Self {
        Self { queue_bytes: 32 * 1024 * 1024, close_within: Duration::from_secs(5) }
    }
}

/// A thread that writes to a [`Store`], all that waits in one transaction.
///
/// Changes become durable in the order in which they were handed over. When writing fails, all
/// changes that are not durable yet fail with it, and no more are taken: those who wait are told,
/// so is everyone who comes later, and [`close`](Self::close) says it once more.
///
/// Dropping a writer writes what waits, and waits for that as long as
/// [`WriterConfig::close_within`]; use [`close`](Self::close) to learn of errors.
#[derive(Debug)]
pub struct Writer {
    store: Arc<Store>,
    progress: Arc<Progress>,
    config: WriterConfig,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system has no room for a thread.
    pub fn start(store: Arc<Store>, config: WriterConfig) -> Result<Self, StoreError> {
        let progress = Arc::new(Progress::new(store.path().to_owned()));
        let thread = {
            let (store, progress) = (Arc::clone(&store), Arc::clone(&progress));
            std::thread::Builder::new()
                .name("rs2p-store".to_owned())
                .spawn(move || write_all(&store, &progress))
        };
        let thread = thread.map_err(|source| StoreError::io(store.path(), source))?;
        Ok(Self { store, progress, config, thread: Some(thread) })
    }

    /// What it writes to. Reading shows what is durable, not what waits.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Hands over changes, without waiting: they are written together with others, all or none of
    /// them. The ticket tells when.
    ///
    /// # Errors
    ///
    /// [`WriteError::QueueFull`] when too much waits, and whatever has failed. The changes come
    /// back.
    pub fn submit(&self, changes: Changes) -> Result<Ticket, Refused> {
        if let Err(why) = self.check(&changes) {
            return Err(Refused { changes, why });
        }
        let mut state = self.progress.state();
        if let Some(why) = state.failure.clone() {
            return Err(Refused { changes, why });
        }
        if !self.has_room(&state, &changes) {
            let (waiting, limit) = (state.waiting, self.config.queue_bytes);
            return Err(Refused { changes, why: WriteError::QueueFull { waiting, limit } });
        }
        Ok(self.take(&mut state, changes))
    }

    /// Hands over changes, and blocks as long as too much waits. The ticket tells when they are
    /// durable.
    ///
    /// # Errors
    ///
    /// Whatever has failed. The changes come back.
    pub fn submit_blocking(&self, changes: Changes) -> Result<Ticket, Refused> {
        if let Err(why) = self.check(&changes) {
            return Err(Refused { changes, why });
        }
        let full = |state: &mut State| state.failure.is_none() && !self.has_room(state, &changes);
        let state = self.progress.moved.wait_while(self.progress.state(), full);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = state.failure.clone() {
            return Err(Refused { changes, why });
        }
        Ok(self.take(&mut state, changes))
    }

    /// A ticket for all that was handed over so far.
    pub fn flush(&self) -> Ticket {
        self.progress.ticket(&mut self.progress.state())
    }

    /// Bytes of changes that wait for the disk.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.progress.state().waiting
    }

    /// Writes what waits and ends the thread. Blocks for [`WriterConfig::close_within`] at most.
    ///
    /// # Errors
    ///
    /// What has failed, now or earlier, or [`WriteError::StillWriting`].
    pub fn close(mut self) -> Result<(), WriteError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), WriteError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let waited = self.config.close_within;
        let mut state = self.progress.state();
        state.closing = true;
        self.progress.work.notify_all();
        let moved = &self.progress.moved;
        let (state, _) = moved
            .wait_timeout_while(state, waited, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        if !state.ended {
            return Err(WriteError::StillWriting { path: self.progress.path.clone(), waited });
        }
        let failure = state.failure.clone();
        drop(state);
        // The store may be opened again when this returns. A panic has become a failure already.
        let _ = thread.join();
        failure.map_or(Ok(()), Err)
    }

    fn check(&self, changes: &Changes) -> Result<(), WriteError> {
        if let Some(too_large) = changes.too_large() {
            return Err(too_large.into());
        }
        let (size, limit) = (changes.bytes(), self.config.queue_bytes);
        if size > limit { Err(WriteError::TooMuch { size, limit }) } else { Ok(()) }
    }

    fn has_room(&self, state: &State, changes: &Changes) -> bool {
        state.waiting.saturating_add(changes.bytes()) <= self.config.queue_bytes
    }

    fn take(&self, state: &mut State, changes: Changes) -> Ticket {
        state.waiting += changes.bytes();
        state.submitted += 1;
        state.queue.push(changes);
        self.progress.work.notify_all();
        self.progress.ticket(state)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(%error, "a store was left before all was written");
        }
    }
}

/// The thread: takes all that waits, writes it, tells those who wait, and again.
fn write_all(store: &Store, progress: &Arc<Progress>) {
    let _last_word = LastWord(progress);
    loop {
        let idle = |state: &mut State| state.queue.is_empty() && !state.closing;
        let state = progress.work.wait_while(progress.state(), idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let group = std::mem::take(&mut state.queue);
        if group.is_empty() {
            return;
        }
        let last = state.submitted;
        drop(state);
        let written = store.write_together(&group);
        let mut state = progress.state();
        state.waiting -= group.iter().map(Changes::bytes).sum::<usize>();
        match written {
            Ok(()) => {
                state.durable = last;
                progress.announce(state);
            }
            Err(error) => {
                tracing::error!(%error, "writing to a store failed, it takes no more changes");
                state.failure = Some(WriteError::Failed(Arc::new(error)));
                return;
            }
        }
    }
}

/// However the thread ends, nobody waits for it any longer.
struct LastWord<'a>(&'a Arc<Progress>);

impl Drop for LastWord<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if !state.closing || state.durable < state.submitted {
            let path = self.0.path.clone();
            state.failure.get_or_insert(WriteError::Ended { path });
        }
        state.queue.clear();
        state.waiting = 0;
        state.ended = true;
        self.0.announce(state);
    }
}

#[cfg(test)]
mod tests;
