//! The way through shared directories: which files there are, before one is opened.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf, absolute};

use super::file_name::INCOMPLETE;
use super::scan::{Notes, ScanConfig, SkipReason};
use super::shared_file::Modified;

/// A file that can be shared.
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) modified: Modified,
}

pub(super) struct Walk<'a> {
    config: &'a ScanConfig,
    notes: &'a mut Notes,
    candidates: Vec<Candidate>,
    paths: BTreeSet<PathBuf>,
    /// Directories by their real paths: links lead to each at most once, and not in a circle.
    seen: BTreeSet<PathBuf>,
    /// Directories still to be read, the next one last.
    waiting: Vec<(PathBuf, usize)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(config: &'a ScanConfig, notes: &'a mut Notes) -> Self {
        Self {
            config,
            notes,
            candidates: Vec::new(),
            paths: BTreeSet::new(),
            seen: BTreeSet::new(),
            waiting: Vec::new(),
        }
    }

    /// The files in the order of the original: those of a directory, sorted, then those of its
    /// directories, sorted. `on_directory` is told of each directory, and may end the walk.
    pub(super) fn files(
        mut self,
        roots: &[PathBuf],
        mut on_directory: impl FnMut(&Path, usize) -> bool,
    ) -> Option<Vec<Candidate>> {
        for root in roots {
            let root = absolute(root).unwrap_or_else(|_| root.clone());
            match fs::metadata(&root) {
                Ok(metadata) if metadata.is_dir() => self.waiting.push((root, 0)),
                Ok(metadata) => self.file(root, &metadata),
                Err(error) => self.notes.add(root, error.into()),
            }
            while let Some((directory, depth)) = self.waiting.pop() {
                if !on_directory(&directory, self.candidates.len()) {
                    return None;
                }
                if let Err(error) = self.directory(&directory, depth) {
                    self.notes.add(directory, error.into());
                }
            }
        }
        Some(self.candidates)
    }

    fn directory(&mut self, directory: &Path, depth: usize) -> io::Result<()> {
        if !self.seen.insert(fs::canonicalize(directory)?) {
            self.notes.add(directory.to_owned(), SkipReason::SeenBefore);
            return Ok(());
        }
        let mut directories = Vec::new();
        for name in self.names(directory)? {
            let path = directory.join(&name);
            let metadata = match fs::symlink_metadata(&path) {
                Ok(own) if own.is_symlink() && !self.config.follows_links => continue,
                Ok(own) if own.is_symlink() => fs::metadata(&path),
                own => own,
            };
            match metadata {
                Ok(metadata) if metadata.is_dir() => directories.push(path),
                Ok(metadata) => self.file(path, &metadata),
                Err(error) => self.notes.add(path, error.into()),
            }
        }
        let limit = self.config.max_depth;
        for path in directories.into_iter().rev() {
            match depth < limit {
                true => self.waiting.push((path, depth + 1)),
                false => self.notes.add(path, SkipReason::TooDeep { limit }),
            }
        }
        Ok(())
    }

    /// What is in a directory, sorted.
    fn names(&mut self, directory: &Path) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        let limit = self.config.max_files;
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            if name.as_encoded_bytes().ends_with(INCOMPLETE.as_bytes()) {
                continue;
            }
            if names.len() == limit {
                self.notes.add(directory.to_owned(), SkipReason::TooMany { limit });
                break;
            }
            names.push(name);
        }
        names.sort_unstable_by(|a, b| a.as_encoded_bytes().cmp(b.as_encoded_bytes()));
        Ok(names)
    }

    fn file(&mut self, path: PathBuf, metadata: &Metadata) {
        let (size, limit) = (metadata.len(), self.config.max_size());
        let modified = metadata.modified().map(Modified::from);
        let reason = match modified {
            _ if !metadata.is_file() => SkipReason::NotAFile,
            _ if size == 0 => SkipReason::Empty,
            _ if size > limit => SkipReason::TooLarge { size, limit },
            _ if self.paths.contains(&path) => SkipReason::SeenBefore,
            _ if self.candidates.len() >= self.config.max_files => {
                SkipReason::TooMany { limit: self.config.max_files }
            }
            Err(error) => error.into(),
            Ok(modified) => {
                self.paths.insert(path.clone());
                self.candidates.push(Candidate { path, size, modified });
                return;
            }
        };
        self.notes.add(path, reason);
    }
}
