//! How far a share or a fetch has come: ten events a second at the most for programs, a bar for
//! people.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use rs2p_bytestag::Magnet;
use tokio::time::Instant;

use crate::session::{Progress, Told, harmless};

/// One stage of a command.
pub(super) struct Headway {
    progress: Progress,
    command: &'static str,
    doing: &'static str,
    bar: Option<ProgressBar>,
    told: Option<Instant>,
    /// How much was done then.
    done: u64,
}

/// How far it has come.
pub(super) struct Step<'a> {
    pub(super) path: &'a Path,
    pub(super) magnet: Option<&'a Magnet>,
    /// Done, and in all.
    pub(super) files: (u64, u64),
    pub(super) bytes: (u64, u64),
}

impl Headway {
    pub(super) fn new(progress: &Progress, command: &'static str, doing: &'static str) -> Self {
        let bar = progress.columns().map(|columns| {
            let canvas = Canvas { columns, progress: progress.clone(), drawn: Mutex::default() };
            let target = ProgressDrawTarget::term_like_with_hz(Box::new(canvas), PER_SECOND);
            ProgressBar::with_draw_target(Some(0), target).with_prefix(doing)
        });
        Self { progress: progress.clone(), command, doing, bar, told: None, done: 0 }
    }

    /// Tells how many bytes are done.
    pub(super) fn at(&mut self, step: &Step<'_>) {
        let ((files_done, files), (done, total)) = (step.files, step.bytes);
        self.show(BYTES, step.path, (done, total));
        let is_last = total > 0 && done == total;
        let path = step.path;
        self.tell(done, is_last, |told| {
            let told = told.field("path", path.to_string_lossy());
            let told = match step.magnet {
                Some(magnet) => told.field("magnet", magnet.to_string()),
                None => told,
            };
            told.field("files", files)
                .field("files_done", files_done)
                .field("bytes", total)
                .field("bytes_done", done)
        });
    }

    /// Tells how many values are done.
    pub(super) fn values(&mut self, path: &Path, magnet: &Magnet, (done, total): (u64, u64)) {
        self.show(VALUES, path, (done, total));
        self.tell(done, done == total, |told| {
            told.field("path", path.to_string_lossy())
                .field("magnet", magnet.to_string())
                .field("values", total)
                .field("values_done", done)
        });
    }

    fn show(&self, template: &str, path: &Path, (done, total): (u64, u64)) {
        let Some(bar) = &self.bar else { return };
        if self.told.is_none()
            && let Ok(style) = ProgressStyle::with_template(template)
        {
            bar.set_style(style.progress_chars("=> "));
        }
        if bar.length() != Some(total) {
            bar.set_length(total);
        }
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        if bar.message() != *name {
            bar.set_message(harmless(&name));
        }
        bar.set_position(done);
    }

    fn tell(&mut self, done: u64, is_last: bool, with: impl FnOnce(Told) -> Told) {
        let now = Instant::now();
        if let Some(told) = self.told {
            let is_early = now - told < INTERVAL && !is_last;
            if is_early || done == self.done {
                return;
            }
        }
        (self.told, self.done) = (Some(now), done);
        let told =
            Told::event("progress").field("command", self.command).field("doing", self.doing);
        self.progress.tell(&with(told));
    }
}

/// Where a bar is drawn: a row that the printer puts above the line that is edited.
struct Canvas {
    columns: u16,
    progress: Progress,
    drawn: Mutex<String>,
}

impl Canvas {
    fn drawn(&self) -> MutexGuard<'_, String> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Canvas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canvas").finish_non_exhaustive()
    }
}

impl TermLike for Canvas {
    fn width(&self) -> u16 {
        // A full row would put the cursor into the next one.
        self.columns.saturating_sub(1)
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.drawn().push_str(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.drawn().clear();
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let drawn = std::mem::take(&mut *self.drawn());
        let row = drawn.trim_end();
        if !row.is_empty() {
            self.progress.draw(row.to_owned());
        }
        Ok(())
    }
}

const BYTES: &str =
    "{prefix:10} [{bar:24}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {msg}";

const VALUES: &str = "{prefix:10} [{bar:24}] {pos}/{len} values {msg}";

/// How often a bar is drawn.
const PER_SECOND: u8 = 10;

/// How long programs are told nothing after they were told something.
const INTERVAL: Duration = Duration::from_millis(100);
