//! Shared files: share, fetch, and what is shared.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rs2p_bytestag::{FetchError, Key, Magnet, ScanProgress, Shared};
use serde_json::{Value as Json, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::KadNode;
use super::headway::{Headway, Step};
use super::nodes::{bytes, explained};
use crate::dictionary::Answer;
use crate::session::{CommandError, Progress, Style, Told};

impl KadNode {
    pub(super) async fn share(&self, words: &[String], progress: &Progress) -> Answer {
        let path = words[0].clone();
        let stop = Stop::default();
        let mut hashing = Headway::new(progress, "share", "hashing");
        let flag = Arc::clone(&stop.0);
        let shared = self.node.share(&path, move |at: ScanProgress<'_>| {
            // Held while it draws: nothing is drawn once the command has been stopped.
            let is_stopped = flag.lock().unwrap_or_else(PoisonError::into_inner);
            if *is_stopped {
                return ControlFlow::Break(());
            }
            hashing.at(&Step {
                path: at.path,
                magnet: None,
                files: (at.files_done, at.files),
                bytes: (at.bytes_done, at.bytes),
            });
            ControlFlow::Continue(())
        });
        let shared = shared.await?;
        let unpublished = self.publish(&path, &shared, progress).await?;
        let size: u64 = shared.files.iter().map(|(file, _)| file.size()).sum();
        let magnet = shared.magnet.to_string();
        let mut told = Told::reply("share")
            .field("magnet", &*magnet)
            .field("path", &*path)
            .field("files", shared.files.len())
            .field("size", size)
            .field("unpublished", unpublished)
            .field("skipped", shared.notes.len() as u64 + shared.notes_left_out);
        let said = format!("{path}: {}, {}, shared as", files(shared.files.len()), bytes(size));
        told = told.line([(Style::Plain, said)]).line([(Style::Bold, magnet)]);
        for note in shared.notes.iter().take(NOTES) {
            told = told.line([(Style::Faint, note.to_string())]);
        }
        let skipped = shared.notes.len() as u64 + shared.notes_left_out;
        if skipped > NOTES as u64 {
            let text = format!("and {} more are not shared", skipped - NOTES as u64);
            told = told.line([(Style::Faint, text)]);
        }
        let line = match unpublished {
            0 => (Style::Good, "other nodes have all of it: this one may go".to_owned()),
            count => {
                let text =
                    format!("{count} values are at no other node yet: keep this one running");
                (Style::Bad, text)
            }
        };
        Ok(told.line([line]))
    }

    /// Waits until other nodes have what is shared, as long as that makes headway, and gives how much
    /// no other one has.
    async fn publish(
        &self,
        path: &str,
        shared: &Shared,
        progress: &Progress,
    ) -> Result<usize, CommandError> {
        let mut headway = Headway::new(progress, "share", "publishing");
        let first = self.node.status()?.unpublished;
        let (mut least, mut moved) = (first, Instant::now());
        let mut ticks = interval(GLANCE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let status = self.node.status()?;
            let left = status.unpublished;
            if left < least {
                (least, moved) = (left, Instant::now());
            }
            let done = first.saturating_sub(left) as u64;
            headway.values(Path::new(path), &shared.magnet, (done, first as u64));
            if left == 0 || status.contacts == 0 || moved.elapsed() > PATIENCE {
                return Ok(left);
            }
        }
    }

    pub(super) async fn unshare(&self, words: &[String]) -> Answer {
        let path = &words[0];
        if !self.node.unshare(path).await? {
            return Err(format!("{path} is not shared; `shared` lists what is").into());
        }
        let text = "shared no longer; other nodes keep what they have of it for a day at the most";
        Ok(Told::reply("unshare").field("path", &**path).line([(Style::Faint, text.to_owned())]))
    }

    pub(super) fn shared(&self) -> Answer {
        let roots = self.node.shared_roots();
        let all = self.node.shared();
        let list: Json = all
            .iter()
            .map(|(file, magnet)| {
                json!({
                    "path": file.path().to_string_lossy(),
                    "size": file.size(),
                    "magnet": magnet.to_string(),
                })
            })
            .collect();
        let paths: Json = roots.iter().map(|path| path.to_string_lossy()).collect();
        let mut told = Told::reply("shared").field("paths", paths).field("files", list);
        if all.is_empty() {
            let text = "nothing: `share PATH` shares a file or a directory";
            return Ok(told.line([(Style::Faint, text.to_owned())]));
        }
        for (file, magnet) in &all {
            let (path, size) = (file.path().display().to_string(), bytes(file.size()));
            told = told
                .line([(Style::Bold, path), (Style::Faint, format!("  {size}"))])
                .line([(Style::Plain, format!("  {magnet}"))]);
        }
        Ok(told)
    }

    pub(super) async fn fetch(&self, words: &[String], progress: &Progress) -> Answer {
        let magnet = link(&words[0])?;
        let to = words.get(1).map_or(".", String::as_str);
        let mut headway = Headway::new(progress, "fetch", "fetching");
        let fetched = self.node.fetch(&magnet, to, |at| {
            headway.at(&Step {
                path: at.path,
                magnet: Some(&magnet),
                files: (at.files_done as u64, at.files as u64),
                bytes: (at.bytes_done, at.bytes),
            });
        });
        let fetched = fetched.await.map_err(|error| match error {
            FetchError::Node(error) => explained(error),
            error => error.into(),
        })?;
        let path = fetched.path.strip_prefix(".").unwrap_or(&fetched.path);
        let told = Told::reply("fetch")
            .field("path", path.to_string_lossy())
            .field("size", fetched.size)
            .field("files", fetched.files.len());
        let text = format!("  {}, {}", files(fetched.files.len()), bytes(fetched.size));
        Ok(told.line([(Style::Bold, path.display().to_string()), (Style::Plain, text)]))
    }

    pub(super) fn shared_paths(&self) -> Vec<String> {
        self.node.shared_roots().iter().filter_map(|path| word(path)).collect()
    }
}

/// Stops the hashing when the command is no longer waited for.
#[derive(Default)]
struct Stop(Arc<Mutex<bool>>);

impl Drop for Stop {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

/// A link as it was typed; a key is a link to what lies under it.
fn link(word: &str) -> Result<Magnet, CommandError> {
    match word.parse() {
        Ok(magnet) => Ok(magnet),
        Err(error) => {
            let key: Result<Key, _> = word.parse();
            key.map(Magnet::new).map_err(|_| error.into())
        }
    }
}

/// Files and directories that begin so, directories with a stroke at the end.
pub(super) fn paths(begun: &str) -> Vec<String> {
    let start = begun.rfind(std::path::is_separator).map_or(0, |at| at + 1);
    let directory = &begun[..start];
    let within = if directory.is_empty() { "." } else { directory };
    let Ok(entries) = std::fs::read_dir(within) else { return Vec::new() };
    let names = entries.flatten().take(LOOKED_AT).filter_map(|entry| {
        let name = word(Path::new(&entry.file_name()))?;
        let stroke = if entry.path().is_dir() { "/" } else { "" };
        // Hidden ones only where they are meant.
        let is_hidden = name.starts_with('.') && begun.len() == start;
        (!is_hidden).then(|| format!("{directory}{name}{stroke}"))
    });
    let mut names: Vec<_> = names.filter(|name| name.starts_with(begun)).collect();
    names.sort();
    names.truncate(OFFERED);
    names
}

/// A path as it can be typed. The editor takes words apart at white space, whatever the quotes.
fn word(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    (crate::words::quote(text) == text).then(|| text.to_owned())
}

fn files(count: usize) -> String {
    if count == 1 { "1 file".to_owned() } else { format!("{count} files") }
}

/// Reasons that people are shown why files are not shared.
const NOTES: usize = 10;

/// How often publishing is looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// How long publishing may make no headway.
const PATIENCE: Duration = Duration::from_secs(60);

/// Entries of a directory that are looked at for completion.
const LOOKED_AT: usize = 10_000;

/// So many are read at a glance.
const OFFERED: usize = 256;
