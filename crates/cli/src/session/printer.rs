//! Standard output: one thread that writes, in order, what everybody tells.

use std::collections::BTreeMap;
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
    queue: Arc<Mutex<Option<mpsc::Sender<Line>>>>,
    /// True once the thread has ended.
    ended: watch::Receiver<bool>,
    json: bool,
    coloured: bool,
    /// Of a bar, where there is an editor to draw it above.
    columns: Option<u16>,
}

/// What is written.
enum Line {
    Text(String),
    /// A bar that stays above the line that is edited until it is taken away.
    Bar(u64, Option<String>),
    /// A line was typed: what stood above it does so no longer.
    Typed,
}

/// The bars directly above the line that is edited, each on a row.
#[derive(Default)]
struct Bars {
    bars: BTreeMap<u64, String>,
    /// Rows that are drawn.
    rows: usize,
}

impl Bars {
    /// What has to be written for a line; nothing if it changes nothing.
    fn take(&mut self, line: Line) -> Option<String> {
        let text = match line {
            Line::Text(text) => text,
            Line::Bar(number, Some(bar)) => {
                self.bars.insert(number, bar);
                String::new()
            }
            Line::Bar(number, None) => {
                self.bars.remove(&number)?;
                String::new()
            }
            Line::Typed => {
                self.rows = 0;
                return None;
            }
        };
        let mut drawn = String::new();
        if self.rows > 0 {
            // Up to the first of them, and away with all below.
            drawn = format!("\x1b[{}A\x1b[J", self.rows);
        }
        drawn += &text;
        for bar in self.bars.values() {
            drawn += bar;
            drawn.push('\n');
        }
        self.rows = self.bars.len();
        Some(drawn).filter(|drawn| !drawn.is_empty())
    }
}

impl Printer {
    /// Writes to the terminal above the editor's line, where there is an editor, or to standard
    /// output.
    pub(super) fn start(json: bool, mut above: Option<Above>) -> Self {
        let (queue, mut lines) = mpsc::channel::<Line>(QUEUE);
        let (tell_end, ended) = watch::channel(false);
        let columns = above.as_ref().map(Above::columns);
        std::thread::spawn(move || {
            let mut out = io::BufWriter::new(io::stdout());
            let mut bars = Bars::default();
            while let Some(line) = lines.blocking_recv() {
                let written = match (&mut above, line) {
                    (Some(above), line) => bars.take(line).map_or(Ok(()), |it| above.print(it)),
                    (None, Line::Text(line)) => write(&mut out, &line, lines.is_empty()),
                    (None, _) => Ok(()),
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
        Self { queue: Arc::new(Mutex::new(Some(queue))), ended, json, coloured, columns }
    }

    /// Queues it to be written; `false` when nobody reads standard output any more.
    pub(crate) async fn tell(&self, told: Told) -> bool {
        let text = if self.json { told.to_json() } else { told.to_text(self.coloured) };
        let Some(queue) = self.queue() else { return false };
        text.is_empty() || queue.send(Line::Text(text)).await.is_ok()
    }

    /// Tells programs, or nobody when there is too much.
    pub(super) fn try_tell(&self, told: &Told) {
        if self.json
            && let Some(queue) = self.queue()
        {
            let _ = queue.try_send(Line::Text(told.to_json()));
        }
    }

    /// Columns of a bar, where bars are shown.
    pub(super) const fn columns(&self) -> Option<u16> {
        self.columns
    }

    /// Draws a bar, or leaves it as it is when there is too much.
    pub(super) fn draw(&self, number: u64, bar: String) {
        if let (Some(queue), Some(_)) = (self.queue(), self.columns) {
            let _ = queue.try_send(Line::Bar(number, Some(bar)));
        }
    }

    /// Takes a bar away.
    pub(super) async fn take_away(&self, number: u64) {
        self.to_editor(Line::Bar(number, None)).await;
    }

    /// A line was typed.
    pub(super) async fn typed(&self) {
        self.to_editor(Line::Typed).await;
    }

    async fn to_editor(&self, line: Line) {
        if let (Some(queue), Some(_)) = (self.queue(), self.columns) {
            // That nobody writes any more is told elsewhere.
            let _ = queue.send(line).await;
        }
    }

    /// Queues a line of the log, or drops it when there is too much.
    pub(super) fn log(&self, line: &str) {
        if let Some(queue) = self.queue() {
            let _ = queue.try_send(Line::Text(line.to_owned()));
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

    fn queue(&self) -> Option<mpsc::Sender<Line>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_above_the_line_and_texts_above_them() {
        let mut bars = Bars::default();
        let bar = |number, text: &str| Line::Bar(number, Some(text.to_owned()));
        let text = |text: &str| Line::Text(text.to_owned());
        assert_eq!(bars.take(text("a\n")).unwrap(), "a\n");
        assert_eq!(bars.take(bar(1, "one")).unwrap(), "one\n");
        assert_eq!(bars.take(bar(2, "two")).unwrap(), "\x1b[1A\x1b[Jone\ntwo\n");
        assert_eq!(bars.take(text("b\n")).unwrap(), "\x1b[2A\x1b[Jb\none\ntwo\n");
        assert!(bars.take(Line::Typed).is_none());
        assert_eq!(bars.take(bar(2, "2")).unwrap(), "one\n2\n", "what was typed stays");
        assert_eq!(bars.take(Line::Bar(1, None)).unwrap(), "\x1b[2A\x1b[J2\n");
        assert!(bars.take(Line::Bar(1, None)).is_none());
    }
}
