//! Commands that go on in the background, so that others can be given meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::{AbortHandle, Id, JoinSet};

use super::told::Told;

/// What goes on, and the lines that it was given in.
#[derive(Default)]
pub(super) struct Background {
    tasks: JoinSet<Told>,
    running: BTreeMap<Id, Running>,
    last: u64,
}

struct Running {
    number: u64,
    line: String,
    handle: AbortHandle,
    /// Whether somebody wanted it to end.
    cancelled: bool,
}

/// The end of a command.
pub(super) struct Ended {
    /// By which it was known.
    pub(super) number: u64,
    /// What it answers.
    pub(super) told: Told,
}

impl Background {
    /// A number for the next one.
    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn spawn(
        &mut self,
        number: u64,
        line: String,
        task: impl Future<Output = Told> + Send + 'static,
    ) {
        let handle = self.tasks.spawn(task);
        self.running.insert(handle.id(), Running { number, line, handle, cancelled: false });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.tasks.len() < MOST
    }

    /// Stops all of it; [`next`](Self::next) tells of each. How many there were.
    pub(super) fn cancel(&mut self) -> usize {
        for running in self.running.values_mut() {
            running.cancelled = true;
            running.handle.abort();
        }
        self.running.len()
    }

    /// The next one that ends; never, as long as there is none. Cancel safe.
    pub(super) async fn next(&mut self) -> Ended {
        let Some(ended) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let (id, told) = match ended {
            Ok((id, told)) => (id, Some(told)),
            Err(error) => (error.id(), None),
        };
        let Some(Running { number, line, cancelled, .. }) = self.running.remove(&id) else {
            // Each task is written down when it starts.
            return std::future::pending().await;
        };
        let reason = if cancelled { CANCELLED } else { "the command failed without an answer" };
        Ended { number, told: told.unwrap_or_else(|| Told::error(reason, &line)) }
    }
}

const CANCELLED: &str = "stopped before it was done; give the command again to go on";

/// Commands in the background, at most. Beyond that no line is read until one has ended.
const MOST: usize = 64;

/// How long `quit` in a script waits for them.
pub(super) const LAST_WAIT: Duration = Duration::from_secs(10);
