//! The scan of shared directories.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, Read as _};
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use super::info::{CollectionInfo, FileInfo};
use super::part_source::open_file;
use super::parts::{PART_SIZE, PartHasher};
use super::shared_file::{Mark, Modified, SharedFile};
use super::torrent::TorrentDocument;
use super::walk::{Candidate, Walk};

/// Files by path that need not be hashed again while size and time of change are the same;
/// [`Catalog::known`](crate::Catalog::known) gives them.
pub type Known = BTreeMap<PathBuf, Arc<SharedFile>>;

/// How to scan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanConfig {
    /// The size of parts in bytes. All nodes of a network must have the same, or equal files have
    /// no equal parts: [`PART_SIZE`].
    pub part_size: NonZeroU32,
    /// The most files that are shared, and the most entries of one directory that are looked at:
    /// 1,000,000. Some hundred bytes of memory each.
    pub max_files: usize,
    /// How deep directories may lie below a shared one: 64.
    pub max_depth: usize,
    /// Whether links lead to what is shared, even if it lies elsewhere: they do, as with the
    /// original.
    pub follows_links: bool,
}

impl Default for ScanConfig {
    fn default() -> Self {
        Self { part_size: PART_SIZE, max_files: 1_000_000, max_depth: 64, follows_links: true }
    }
}

impl ScanConfig {
    /// The largest file that can be shared, in bytes: the description of a larger one would be no
    /// value that nodes take. About 8.26 GiB in parts of [`PART_SIZE`].
    #[must_use]
    pub fn max_size(&self) -> u64 {
        u64::from(self.part_size.get()) * FileInfo::MAX_PARTS as u64
    }
}

/// What a scan has found. [`Catalog::apply`](crate::Catalog::apply) takes it in.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Scan {
    /// The files that can be shared, in the order in which they were found.
    pub files: Vec<Arc<SharedFile>>,
    /// What is not shared, and why: the first [`MAX_NOTES`](Self::MAX_NOTES).
    pub notes: Vec<ScanNote>,
    /// How many notes there were beyond those.
    pub notes_left_out: u64,
    /// Whether it ran to its end. One that was stopped has found only some files.
    pub is_complete: bool,
}

/// Something in a shared directory that is not shared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{} is not shared: {reason}", path.display())]
#[non_exhaustive]
pub struct ScanNote {
    /// The file or directory.
    pub path: PathBuf,
    /// Why.
    pub reason: SkipReason,
}

/// Why something is not shared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// An empty file has no parts, so it cannot be described.
    #[error("it is empty")]
    Empty,
    /// Its description would be no value that nodes take.
    #[error("it has {size} bytes, where {limit} can be described")]
    TooLarge {
        /// Its bytes.
        size: u64,
        /// Bytes it may have.
        limit: u64,
    },
    /// A pipe, a socket, a device.
    #[error("it is neither a file nor a directory")]
    NotAFile,
    /// It was written to while it was read. The next scan may find it at rest.
    #[error("it changed while it was read")]
    Changed,
    /// A link, or one shared directory in another, leads there a second time.
    #[error("it has been seen before in this scan")]
    SeenBefore,
    /// Too deep below a shared directory.
    #[error("it is more than {limit} directories deep")]
    TooDeep {
        /// How deep it may be.
        limit: usize,
    },
    /// Too many files.
    #[error("more than {limit} files")]
    TooMany {
        /// Files there may be.
        limit: usize,
    },
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(String),
}

/// How far a scan has come. First it looks for files, then it hashes those that are new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScanProgress<'a> {
    /// The directory that is read, or the file that is hashed.
    pub path: &'a Path,
    /// Files found so far.
    pub files: u64,
    /// Of these, the ones whose parts are known.
    pub files_done: u64,
    /// Bytes to hash in all; zero while files are looked for.
    pub bytes: u64,
    /// Bytes that have been hashed.
    pub bytes_done: u64,
}

impl Scan {
    /// The most notes that are kept.
    pub const MAX_NOTES: usize = 1000;

    /// Looks for files in directories and all below them, and hashes those that are not `known`,
    /// or have another size or time of change. A root may be a file as well. Relative roots are
    /// taken from the current directory.
    ///
    /// Files whose names end in `.bytestag-incomplete`, and directories of such names, are left
    /// out; hidden files are not. Links are followed; no directory is read twice. A file that
    /// cannot be shared is a note, and the scan goes on.
    ///
    /// It blocks, and for long if there is much to hash. `on_progress` is called for each directory
    /// and about each [`PART_SIZE`] bytes, and stops the scan by [`ControlFlow::Break`].
    pub fn run(
        roots: &[PathBuf],
        known: &Known,
        config: &ScanConfig,
        mut on_progress: impl FnMut(ScanProgress<'_>) -> ControlFlow<()>,
    ) -> Self {
        let mut notes = Notes::default();
        let on_directory = |path: &Path, files| {
            let files = files as u64;
            on_progress(ScanProgress { path, files, files_done: 0, bytes: 0, bytes_done: 0 })
                .is_continue()
        };
        let Some(candidates) = Walk::new(config, &mut notes).files(roots, on_directory) else {
            return notes.into_scan(Vec::new(), false);
        };
        let same = |candidate: &Candidate| {
            known.get(&candidate.path).filter(|file| {
                (file.size(), file.modified(), file.part_size())
                    == (candidate.size, candidate.modified, config.part_size)
            })
        };
        let to_hash = candidates.iter().filter(|candidate| same(candidate).is_none());
        let bytes = to_hash.map(|candidate| candidate.size).sum();
        let (mut files, mut bytes_done) = (Vec::new(), 0);
        let all = candidates.len() as u64;
        for (files_done, candidate) in (0..).zip(candidates) {
            if let Some(file) = same(&candidate) {
                files.push(Arc::clone(file));
                continue;
            }
            let path = candidate.path.clone();
            let before = bytes_done;
            let hashed = hash(&candidate, config.part_size, |hashed| {
                bytes_done = before + hashed;
                on_progress(ScanProgress { path: &path, files: all, files_done, bytes, bytes_done })
            });
            bytes_done = before + candidate.size;
            match hashed {
                Ok(ControlFlow::Continue(file)) => files.push(Arc::new(file)),
                Ok(ControlFlow::Break(())) => return notes.into_scan(files, false),
                Err(reason) => notes.add(path, reason),
            }
        }
        notes.into_scan(files, true)
    }
}

impl From<io::Error> for SkipReason {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Notes, as many as are kept.
#[derive(Default)]
pub(super) struct Notes {
    notes: Vec<ScanNote>,
    left_out: u64,
}

impl Notes {
    pub(super) fn add(&mut self, path: PathBuf, reason: SkipReason) {
        match self.notes.len() < Scan::MAX_NOTES {
            true => self.notes.push(ScanNote { path, reason }),
            false => self.left_out += 1,
        }
    }

    fn into_scan(self, files: Vec<Arc<SharedFile>>, is_complete: bool) -> Scan {
        Scan { files, notes: self.notes, notes_left_out: self.left_out, is_complete }
    }
}

/// Streams a file through the hasher. What it was before must be what it is afterwards.
fn hash(
    candidate: &Candidate,
    part_size: NonZeroU32,
    mut on_bytes: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<ControlFlow<(), SharedFile>, SkipReason> {
    let mut file = open_file(&candidate.path)?.ok_or(SkipReason::NotAFile)?;
    let is_as_before = |metadata: Metadata| {
        Ok::<_, io::Error>(
            metadata.len() == candidate.size
                && Modified::from(metadata.modified()?) == candidate.modified,
        )
    };
    if !is_as_before(file.metadata()?)? {
        return Err(SkipReason::Changed);
    }
    let mut hasher = PartHasher::new(part_size);
    let mut head = Vec::with_capacity(TorrentDocument::HEAD);
    let mut buffer = vec![0; BUFFER];
    // One byte more than expected shows that the file has grown.
    let mut left = candidate.size.saturating_add(1);
    let (mut hashed, mut told) = (0, 0);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
        let bytes = match file.read(&mut buffer[..most]) {
            Ok(0) => break,
            Ok(length) => &buffer[..length],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let missing = (TorrentDocument::HEAD - head.len()).min(bytes.len());
        head.extend_from_slice(&bytes[..missing]);
        hasher.update(bytes);
        hashed += bytes.len() as u64;
        left -= bytes.len() as u64;
        if hashed >= told + u64::from(PART_SIZE.get()) {
            told = hashed;
            if on_bytes(hashed.min(candidate.size)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    let is_whole = hashed == candidate.size && is_as_before(file.metadata()?)?;
    if is_whole && hashed > told && on_bytes(hashed).is_break() {
        return Ok(ControlFlow::Break(()));
    }
    let Candidate { path, modified, .. } = candidate;
    let mark = mark_of(path, &head);
    let shared = SharedFile::new(path.clone(), *modified, part_size, hasher.finish(), mark);
    shared.filter(|_| is_whole).map(ControlFlow::Continue).ok_or(SkipReason::Changed)
}

fn mark_of(path: &Path, head: &[u8]) -> Option<Mark> {
    let name = path.file_name().unwrap_or_default();
    if CollectionInfo::looks_like(head) {
        Some(Mark::Collection)
    } else {
        TorrentDocument::looks_like(name, head).then_some(Mark::Torrent)
    }
}

/// Bytes that are read at a time.
const BUFFER: usize = 64 << 10;
