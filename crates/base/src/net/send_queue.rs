//! Frames that wait to be written to a link.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::out_frame::OutFrame;

/// A link's send queue, bounded in bytes.
#[derive(Debug)]
pub(super) struct SendQueue {
    limit: usize,
    inner: Mutex<Inner>,
    changed: Notify,
    closing: CancellationToken,
    finished: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    frames: VecDeque<Queued>,
    bytes: usize,
    closed: bool,
}

#[derive(Debug)]
pub(super) struct Queued {
    pub(super) frame: OutFrame,
    pub(super) gather: bool,
}

/// The queue is full, with so many bytes.
#[derive(Debug)]
pub(super) struct Full(pub(super) usize);

impl SendQueue {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            inner: Mutex::default(),
            changed: Notify::new(),
            closing: CancellationToken::new(),
            finished: Notify::new(),
        }
    }

    /// Takes any frame when nothing else waits, else what fits. A closed queue takes and forgets.
    pub(super) fn push(&self, queued: Queued) -> Result<(), Full> {
        let mut inner = self.lock();
        let weight = queued.frame.weight();
        if inner.closed {
            return Ok(());
        }
        if inner.bytes > 0 && inner.bytes + weight > self.limit {
            return Err(Full(inner.bytes + weight));
        }
        inner.bytes += weight;
        // The writer takes all there is, so one that has been told needs no telling again.
        if inner.frames.is_empty() {
            self.changed.notify_one();
        }
        inner.frames.push_back(queued);
        Ok(())
    }

    /// Nothing more will be pushed; what is there is still to be written.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.closing.cancel();
        self.changed.notify_one();
    }

    /// Waits until the queue is closed.
    pub(super) async fn closed(&self) {
        self.closing.cancelled().await;
    }

    /// Nothing more is written.
    pub(super) fn finish(&self) {
        self.finished.notify_one();
    }

    /// Waits until nothing more is written. For one task, once.
    pub(super) async fn finished(&self) {
        self.finished.notified().await;
    }

    /// Frames are written: their bytes no longer count.
    pub(super) fn written(&self, bytes: usize) {
        self.lock().bytes -= bytes;
    }

    /// Moves all that waits into `batch`, as soon as there is something; `false` once the queue is
    /// closed and empty.
    pub(super) async fn take(&self, batch: &mut VecDeque<Queued>) -> bool {
        loop {
            {
                let mut inner = self.lock();
                if !inner.frames.is_empty() {
                    std::mem::swap(&mut inner.frames, batch);
                    return true;
                }
                if inner.closed {
                    return false;
                }
            }
            self.changed.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
