//! Sharing files and directories from a running node.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf, absolute};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use rs2p_store::{Changes, Store, StoreError};
use thiserror::Error;

use crate::contents::Library;
use crate::error::{ContentsError, PutError};
use crate::node::{DhtError, DhtNode, blocking};
use crate::share::{
    Catalog, CollectionInfo, FileInfo, InfoError, Magnet, Scan, ScanConfig, ScanNote, ScanProgress,
    SharedFile,
};
use crate::value::ValueId;
use rs2p_base::net::Stopped;

/// What a node shares.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    roots: BTreeSet<PathBuf>,
    catalog: Arc<Catalog>,
}

/// What was shared: see [`DhtNode::share`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Shared {
    /// The link to all of it: to the file, or to a collection of the files in the directory.
    pub magnet: Magnet,
    /// The files, in the order of their paths, each with a link of its own.
    pub files: Vec<(Arc<SharedFile>, Magnet)>,
    /// What is not shared, and why.
    pub notes: Vec<ScanNote>,
    /// How many notes there were beyond those.
    pub notes_left_out: u64,
}

/// Nothing could be shared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShareError {
    /// There is no file that can be shared.
    #[error("nothing to share at {}{}", path.display(), first_of(notes))]
    Nothing {
        /// Where.
        path: PathBuf,
        /// What is there, and why it cannot be shared.
        notes: Vec<ScanNote>,
    },
    /// The path makes no sense to the system.
    #[error("{}: {source}", path.display())]
    Path {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The files are shared, but cannot be described together. Each has a link of its own.
    #[error(
        "the {files} files are shared, but make no collection: {source}. Share smaller directories, or take the link of each file"
    )]
    Collection {
        /// How many files.
        files: usize,
        /// Why.
        source: InfoError,
    },
    /// The scan was stopped.
    #[error("stopped before all files were hashed; those that were are shared")]
    Interrupted,
    /// The node, or its file.
    #[error(transparent)]
    Node(#[from] DhtError),
}

fn first_of(notes: &[ScanNote]) -> String {
    notes.first().map_or_else(String::new, |note| format!(": {note}"))
}

impl From<Stopped> for ShareError {
    fn from(stopped: Stopped) -> Self {
        Self::Node(stopped.into())
    }
}

impl From<PutError> for ShareError {
    fn from(error: PutError) -> Self {
        Self::Node(error.into())
    }
}

impl Library for Catalog {
    fn read(&self, id: &ValueId) -> Result<Option<Bytes>, ContentsError> {
        Catalog::read(self, id).map_err(|error| ContentsError::Library(error.to_string()))
    }
}

/// What becomes of the shared directories before a scan.
enum Roots {
    Same,
    Add(PathBuf),
    Remove(PathBuf),
}

/// Entries of shared files in a node's file begin with this, then the path.
const FILE: u8 = b's';

/// Entries of shared directories begin with this, then the path.
const ROOT: u8 = b'd';

impl Shares {
    /// What was shared in a former life.
    pub(crate) fn load(store: &Store) -> Result<Self, StoreError> {
        let mut files = Vec::new();
        store.entries_of(&[FILE], |_, record| {
            let record = str::from_utf8(record).ok();
            files.extend(record.and_then(|record| SharedFile::from_record(record).ok()));
        })?;
        let mut roots = BTreeSet::new();
        store.entries_of(&[ROOT], |_, path| {
            roots.extend(str::from_utf8(path).map(PathBuf::from));
        })?;
        Ok(Self { roots, catalog: Arc::new(Catalog::of(files)) })
    }
}

impl DhtNode {
    /// Shares a file, or all files of a directory and below it: hashes what is new or has changed,
    /// serves it from where it lies, and publishes it in the background
    /// ([`published`](Self::published) waits for that). Shared before, it is looked through again:
    /// files that are gone are no longer shared.
    ///
    /// `progress` is told how far hashing is, and stops it by [`ControlFlow::Break`]. Dropping the
    /// future lets it go on in the background.
    ///
    /// # Errors
    /// There is nothing that can be shared, the node's file cannot be written, or the files of a
    /// directory are too many to be described together.
    pub async fn share(
        &self,
        path: impl AsRef<Path>,
        progress: impl FnMut(ScanProgress<'_>) -> ControlFlow<()> + Send + 'static,
    ) -> Result<Shared, ShareError> {
        let given = path.as_ref();
        let path = absolute(given)
            .map_err(|source| ShareError::Path { path: given.to_owned(), source })?;
        let (scan_notes, left_out, is_complete) =
            self.scan(Roots::Add(path.clone()), progress).await?;
        let catalog = Arc::clone(&self.lock_shares().catalog);
        let files: Vec<_> = catalog.files_under(&path).cloned().collect();
        let is_below = |note: &ScanNote| note.path.starts_with(&path);
        let notes: Vec<_> = scan_notes.into_iter().filter(is_below).collect();
        if !is_complete {
            return Err(ShareError::Interrupted);
        }
        if files.is_empty() {
            self.unshare(&path).await?;
            return Err(ShareError::Nothing { path, notes });
        }
        let magnet = match &files[..] {
            [file] if file.path() == path => magnet_of(file),
            files => self.share_collection(&path, files)?,
        };
        let files = files.into_iter().map(|file| (Arc::clone(&file), magnet_of(&file))).collect();
        Ok(Shared { magnet, files, notes, notes_left_out: left_out })
    }

    /// Looks through all that is shared again: what has changed is hashed, what is gone is no
    /// longer shared. Gives what is not shared and why.
    ///
    /// # Errors
    /// The node's file cannot be written, or the scan was stopped.
    pub async fn rescan(
        &self,
        progress: impl FnMut(ScanProgress<'_>) -> ControlFlow<()> + Send + 'static,
    ) -> Result<Vec<ScanNote>, ShareError> {
        let (notes, _, is_complete) = self.scan(Roots::Same, progress).await?;
        if is_complete { Ok(notes) } else { Err(ShareError::Interrupted) }
    }

    /// Shares a file or directory no longer. Nodes that have its values keep them until they
    /// expire. Whether it was shared.
    ///
    /// # Errors
    /// The node's file cannot be written.
    pub async fn unshare(&self, path: impl AsRef<Path>) -> Result<bool, ShareError> {
        let path = absolute(path.as_ref())
            .map_err(|source| ShareError::Path { path: path.as_ref().to_owned(), source })?;
        let was_shared = self.lock_shares().roots.contains(&path);
        if was_shared {
            self.scan(Roots::Remove(path), |_| ControlFlow::Continue(())).await?;
        }
        Ok(was_shared)
    }

    /// The files and directories that [`share`](Self::share) was called with, as absolute paths.
    #[must_use]
    pub fn shared_roots(&self) -> Vec<PathBuf> {
        self.lock_shares().roots.iter().cloned().collect()
    }

    /// The shared files, each with its link.
    #[must_use]
    pub fn shared(&self) -> Vec<(Arc<SharedFile>, Magnet)> {
        let catalog = Arc::clone(&self.lock_shares().catalog);
        catalog.files().map(|file| (Arc::clone(file), magnet_of(file))).collect()
    }

    fn lock_shares(&self) -> std::sync::MutexGuard<'_, Shares> {
        // What is kept in it is replaced as a whole, so a panic elsewhere leaves it whole.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn scan(
        &self,
        change: Roots,
        progress: impl FnMut(ScanProgress<'_>) -> ControlFlow<()> + Send + 'static,
    ) -> Result<(Vec<ScanNote>, u64, bool), ShareError> {
        let this = self.clone();
        let scanned = blocking(move || this.scan_blocking(&change, progress));
        let outcome = scanned.await.map_err(DhtError::from)?;
        self.serve_shares()?;
        Ok(outcome)
    }

    fn scan_blocking(
        &self,
        change: &Roots,
        progress: impl FnMut(ScanProgress<'_>) -> ControlFlow<()>,
    ) -> Result<(Vec<ScanNote>, u64, bool), StoreError> {
        let (roots, known) = {
            let mut shares = self.lock_shares();
            match change {
                Roots::Same => {}
                Roots::Add(root) => drop(shares.roots.insert(root.clone())),
                Roots::Remove(root) => drop(shares.roots.remove(root)),
            }
            (shares.roots.iter().cloned().collect::<Vec<_>>(), shares.catalog.known())
        };
        let mut scan = Scan::run(&roots, &known, &ScanConfig::default(), progress);
        let notes = std::mem::take(&mut scan.notes);
        let outcome = (notes, scan.notes_left_out, scan.is_complete);
        let mut changes = Changes::new();
        {
            let mut shares = self.lock_shares();
            let mut catalog = Catalog::clone(&shares.catalog);
            let changed = catalog.apply(scan);
            shares.catalog = Arc::new(catalog);
            for file in &changed.files_added {
                if let Some(record) = file.to_record() {
                    changes.put(entry(FILE, file.path()), record);
                }
            }
            for path in &changed.files_removed {
                changes.remove(entry(FILE, path));
            }
            for root in &shares.roots {
                if let Some(path) = root.to_str() {
                    changes.put(entry(ROOT, root), path);
                }
            }
            if let Roots::Remove(root) = change {
                changes.remove(entry(ROOT, root));
            }
        }
        if let Some(store) = &self.store {
            store.write(&changes)?;
        }
        Ok(outcome)
    }

    /// Tells the machine what is shared now.
    fn serve_shares(&self) -> Result<(), Stopped> {
        let catalog = Arc::clone(&self.lock_shares().catalog);
        let size = |id: ValueId| catalog.locate(&id).map(|source| (id, source.size()));
        let values: BTreeMap<_, _> = catalog.originals().filter_map(size).collect();
        let library: Arc<dyn Library> = catalog.clone();
        self.node.call(|dht, now| dht.share(now, library, values))
    }

    /// Goes on with what was shared in a former life, if anything was.
    pub(crate) fn resume_sharing(&self) -> Result<(), Stopped> {
        let is_sharing = self.lock_shares().catalog.files().next().is_some();
        if is_sharing { self.serve_shares() } else { Ok(()) }
    }

    /// Describes the files of a directory together, and publishes that.
    fn share_collection(
        &self,
        root: &Path,
        files: &[Arc<SharedFile>],
    ) -> Result<Magnet, ShareError> {
        let name = root.file_name().map(|name| name.to_string_lossy().into_owned());
        let describe = || -> Result<CollectionInfo, InfoError> {
            let infos = files.iter().map(|file| {
                let below = file.path().strip_prefix(root).unwrap_or(file.path());
                let names = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                let info = FileInfo::clone(file.info());
                info.with_size(file.size())?.with_filename(names)
            });
            let collection = CollectionInfo::new(infos.collect::<Result<_, _>>()?)?;
            match &name {
                Some(name) => collection.with_name(name.clone()),
                None => Ok(collection),
            }
        };
        let error = |source| ShareError::Collection { files: files.len(), source };
        let bytes = Bytes::from(describe().map_err(error)?.to_bytes());
        let size = files.iter().map(|file| file.size()).sum();
        let (_, id) = self.node.call(|dht, now| dht.put(now, None, bytes))??;
        let magnet = Magnet::new(id.key).with_index(id.index).with_size(size);
        Ok(match name {
            Some(name) => magnet.with_name(&name),
            None => magnet,
        })
    }
}

/// The link to a shared file: it names the description, so that no old node is asked without an
/// index.
fn magnet_of(file: &SharedFile) -> Magnet {
    let id = file.info_id();
    let magnet = Magnet::new(id.key).with_index(id.index).with_size(file.size());
    match file.path().file_name() {
        Some(name) => magnet.with_name(&name.to_string_lossy()),
        None => magnet,
    }
}

fn entry(kind: u8, path: &Path) -> Vec<u8> {
    let mut name = vec![kind];
    name.extend_from_slice(path.as_os_str().as_encoded_bytes());
    name
}
