//! Bounded streams of events to a node's users.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use tokio::sync::Notify;

/// How much of a stream may wait for its reader, and what happens then.
#[derive(Clone, Copy, Debug)]
pub struct StreamConfig {
    /// Events that may wait. Default 1,024.
    pub events: usize,
    /// What the waiting events may weigh in all, in bytes as the subscriber counts them; a single
    /// event is kept whatever it weighs. Default 64 MiB.
    pub bytes: usize,
    /// When the stream is full: whether the node stops reading from its links until there is room,
    /// so that peers have to wait and nothing is lost. A reader that takes nothing for
    /// [`patience`](super::NetConfig::patience) is no longer waited for. Default no: the oldest
    /// event goes, and the reader is told.
    pub paced: bool,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self { events: 1_024, bytes: 64 << 20, paced: false }
    }
}

/// Events of a node, in order. Dropping it ends the subscription.
#[derive(Debug)]
pub struct EventStream<T> {
    shared: Arc<Shared<T>>,
    /// Told when a full stream has room again.
    room: Arc<Notify>,
}

#[derive(Debug)]
struct Shared<T> {
    queue: Mutex<Queue<T>>,
    changed: Notify,
    config: StreamConfig,
}

#[derive(Debug)]
struct Queue<T> {
    events: VecDeque<(T, usize)>,
    bytes: usize,
    missed: u64,
    /// The node has waited long enough; until the reader takes something, it does not again.
    given_up: bool,
    closed: bool,
}

/// Why there is no next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecvError {
    /// The reader was too slow. The stream goes on with the oldest event that is left.
    #[error("{0} events were dropped because they were not read in time")]
    Lagged(u64),
    /// The node has stopped, and everything has been read.
    #[error("the node has stopped")]
    Closed,
}

impl<T> EventStream<T> {
    /// The next event, as soon as there is one. Cancel safe: no event is lost when the future is
    /// dropped.
    ///
    /// # Errors
    /// Events were dropped, or the node has stopped.
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        loop {
            if let Some(result) = self.try_recv() {
                return result;
            }
            self.shared.changed.notified().await;
        }
    }

    /// Waits for an event, and takes what else is there, up to `limit` in all (one at least).
    /// Cancel safe.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub async fn recv_many(&mut self, limit: usize) -> Result<Vec<T>, RecvError> {
        let mut events = vec![self.recv().await?];
        let mut queue = self.shared.lock();
        // A gap comes before the events that are left, so the next call has to tell it.
        if queue.missed == 0 {
            let more = limit.saturating_sub(1).min(queue.events.len());
            events.reserve_exact(more);
            events.extend((0..more).map_while(|_| self.take(&mut queue)));
        }
        Ok(events)
    }

    /// The next event, if there is one now.
    pub fn try_recv(&mut self) -> Option<Result<T, RecvError>> {
        let mut queue = self.shared.lock();
        if queue.missed > 0 {
            return Some(Err(RecvError::Lagged(std::mem::take(&mut queue.missed))));
        }
        match self.take(&mut queue) {
            Some(event) => Some(Ok(event)),
            None => queue.closed.then_some(Err(RecvError::Closed)),
        }
    }

    fn take(&self, queue: &mut Queue<T>) -> Option<T> {
        let was_ample = self.shared.has_ample_room(queue);
        let (event, weight) = queue.events.pop_front()?;
        queue.bytes -= weight;
        queue.given_up = false;
        if queue.events.is_empty() {
            // An idle stream holds no memory.
            queue.events = VecDeque::new();
        }
        if self.shared.config.paced && !was_ample && self.shared.has_ample_room(queue) {
            self.room.notify_waiters();
        }
        Some(event)
    }

    /// How many events wait to be read.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.lock().events.len()
    }
}

impl<T> Drop for EventStream<T> {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        queue.events = VecDeque::new();
        queue.bytes = 0;
        drop(queue);
        self.room.notify_waiters();
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room enough to go on after having been full: half of all there is.
    fn has_ample_room(&self, queue: &Queue<T>) -> bool {
        queue.events.len() <= self.config.events / 2 && queue.bytes <= self.config.bytes / 2
    }

    fn is_full(&self, queue: &Queue<T>) -> bool {
        queue.events.len() >= self.config.events || queue.bytes >= self.config.bytes
    }
}

/// The node's end of an [`EventStream`].
pub(super) trait Subscriber<E>: Send {
    /// Offers an event.
    fn offer(&self, event: &E) -> Offered;
    /// Whether the node should stop reading from its links.
    fn is_congested(&self) -> bool;
    /// The reader has been waited for long enough.
    fn give_up(&self);
    /// Nothing more will come.
    fn close(&self);
}

/// What became of an event that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// Nobody listens any more.
    Gone,
    /// It was taken, or is of no interest.
    Taken {
        /// Whether the node should stop reading from its links.
        congested: bool,
    },
}

struct Mapped<T, F, W> {
    shared: Arc<Shared<T>>,
    map: F,
    weigh: W,
}

/// A stream and the node's end of it. `map` picks and shapes events, `weigh` counts their bytes.
pub(super) fn stream<E, T, F, W>(
    config: StreamConfig,
    room: Arc<Notify>,
    map: F,
    weigh: W,
) -> (Box<dyn Subscriber<E>>, EventStream<T>)
where
    T: Send + 'static,
    F: Fn(&E) -> Option<T> + Send + 'static,
    W: Fn(&T) -> usize + Send + 'static,
{
    let queue =
        Queue { events: VecDeque::new(), bytes: 0, missed: 0, given_up: false, closed: false };
    let shared = Arc::new(Shared { queue: Mutex::new(queue), changed: Notify::new(), config });
    let subscriber = Mapped { shared: shared.clone(), map, weigh };
    (Box::new(subscriber), EventStream { shared, room })
}

impl<E, T, F, W> Subscriber<E> for Mapped<T, F, W>
where
    T: Send,
    F: Fn(&E) -> Option<T> + Send,
    W: Fn(&T) -> usize + Send,
{
    fn offer(&self, event: &E) -> Offered {
        let event = (self.map)(event).map(|event| ((self.weigh)(&event), event));
        let mut queue = self.shared.lock();
        if queue.closed {
            return Offered::Gone;
        }
        // A paced stream overshoots by what one input brings, since the node stops reading then.
        let waits = self.shared.config.paced && !queue.given_up;
        if let Some((weight, event)) = event {
            while !waits && self.shared.is_full(&queue) {
                let Some((_, weight)) = queue.events.pop_front() else { break };
                queue.bytes -= weight;
                queue.missed += 1;
            }
            // Whoever found the queue empty is told; later events are found on the way.
            if queue.events.is_empty() {
                self.shared.changed.notify_one();
            }
            queue.bytes += weight;
            queue.events.push_back((event, weight));
        }
        Offered::Taken { congested: waits && self.shared.is_full(&queue) }
    }

    fn is_congested(&self) -> bool {
        if !self.shared.config.paced {
            return false;
        }
        let queue = self.shared.lock();
        !queue.given_up && !queue.closed && self.shared.is_full(&queue)
    }

    fn give_up(&self) {
        let mut queue = self.shared.lock();
        if self.shared.is_full(&queue) {
            queue.given_up = true;
        }
    }

    fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(config: StreamConfig) -> (Box<dyn Subscriber<u32>>, EventStream<u32>) {
        stream(config, Arc::default(), |number| Some(*number), |_| 10)
    }

    #[tokio::test]
    async fn a_lagging_reader_is_told_how_much_it_missed() {
        let config = StreamConfig { events: 3, ..StreamConfig::default() };
        let (node, mut stream) = numbers(config);
        for number in 0..5 {
            assert_eq!(node.offer(&number), Offered::Taken { congested: false });
        }
        assert!(!node.is_congested());
        assert_eq!(stream.recv().await, Err(RecvError::Lagged(2)));
        assert_eq!(stream.recv().await, Ok(2));
        node.close();
        assert_eq!(stream.recv().await, Ok(3));
        assert_eq!(stream.recv().await, Ok(4));
        assert_eq!(stream.recv().await, Err(RecvError::Closed));
    }

    #[tokio::test]
    async fn a_paced_stream_loses_nothing_until_its_reader_is_given_up() {
        let config = StreamConfig { events: 100, bytes: 30, paced: true };
        let (node, mut stream) = numbers(config);
        for number in 0..4 {
            node.offer(&number);
        }
        assert!(node.is_congested());
        node.give_up();
        assert!(!node.is_congested());
        node.offer(&4);
        assert_eq!(stream.recv().await, Err(RecvError::Lagged(2)));
        assert_eq!(stream.recv().await, Ok(2));
        node.offer(&5);
        node.offer(&6);
        assert!(node.is_congested());
        for number in 3..7 {
            assert_eq!(stream.recv().await, Ok(number));
        }
    }

    #[test]
    fn a_dropped_stream_ends_the_subscription() {
        let (node, stream) = numbers(StreamConfig::default());
        drop(stream);
        assert_eq!(node.offer(&1), Offered::Gone);
    }
}
