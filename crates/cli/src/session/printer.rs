//! Standard output: one thread that writes, in order, what everybody tells.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::editor::Above;
use super::told::Told;

/// A handle to the thread that writes; clones are cheap.
///
/// The queue to it is bounded: who tells more than is read has to wait, and so, in the end, have
/// the peers.
#[derive(Clone)]
pub(crate) struct Printer {
    queue: Arc<Mutex<Option<mpsc::Sender<String>>>>,
    /// True once the thread has ended.
    ended: watch::Receiver<bool>,
    json: bool,
    coloured: bool,
}

impl Printer {
    /// Writes to the terminal above the editor's line, where there is an editor, or to standard
    /// output.
    pub(super) fn start(json: bool, mut above: Option<Above>) -> Self {
        let (queue, mut lines) = mpsc::channel::<String>(QUEUE);
        let (tell_end, ended) = watch::channel(false);
        std::thread::spawn(move || {
            let mut out = io::BufWriter::new(io::stdout());
            while let Some(line) = lines.blocking_recv() {
                let written = match &mut above {
                    Some(above) => above.print(line),
                    None => write(&mut out, &line, lines.is_empty()),
                };
                if written.is_err() {
                    break;
                }
            }
            let _ = out.flush();
            // Nobody may be left to hear it.
            let _ = tell_end.send(true);
        });
        let coloured = !json && shows_colours(&io::stdout());
        Self { queue: Arc::new(Mutex::new(Some(queue))), ended, json, coloured }
    }

    /// Queues it to be written; `false` when nobody reads standard output any more.
    pub(crate) async fn tell(&self, told: Told) -> bool {
        let text = if self.json { told.to_json() } else { told.to_text(self.coloured) };
        let Some(queue) = self.queue() else { return false };
        text.is_empty() || queue.send(text).await.is_ok()
    }

    /// Queues a line of the log, or drops it when there is too much.
    pub(super) fn log(&self, line: &str) {
        if let Some(queue) = self.queue() {
            let _ = queue.try_send(line.to_owned());
        }
    }

    /// Comes about when nothing can be written any more.
    pub(super) async fn closed(&self) {
        // An error means the same: the thread is gone.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Takes nothing more, and waits a while until all is written.
    pub(super) async fn finish(&self, patience: Duration) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let _ = tokio::time::timeout(patience, self.closed()).await;
    }

    fn queue(&self) -> Option<mpsc::Sender<String>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn write(out: &mut impl Write, line: &str, is_last: bool) -> io::Result<()> {
    out.write_all(line.as_bytes())?;
    if is_last { out.flush() } else { Ok(()) }
}

/// Whether colours are wanted there (<https://no-color.org>).
pub(super) fn shows_colours(stream: &impl io::IsTerminal) -> bool {
    let says_no = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    stream.is_terminal() && !says_no("NO_COLOR") && !is_dumb
}

/// Lines that may wait to be written.
const QUEUE: usize = 1_024;
