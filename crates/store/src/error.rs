//! What can go wrong, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::changes::{Changes, TooLarge};

/// Why a store could not be opened, read or written. No variant of a failed write leaves a part of
/// it behind.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process, or another handle in this one, has the file open. Nothing was changed.
    #[error("{} is in use by another process or handle: end that, or choose another file", path.display())]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// The file is a store, but for something else. Nothing was changed.
    #[error("{} holds \"{found}\", not \"{expected}\": choose another file", path.display())]
    OtherKind {
        /// Which file.
        path: PathBuf,
        /// What it says that it is for.
        found: String,
        /// What it was opened for.
        expected: String,
    },
    /// The file was written by a later version of this crate. Nothing was changed.
    #[error("{} has format {found}, this program knows {known}: use a newer one, or choose another file", path.display())]
    NewerFormat {
        /// Which file.
        path: PathBuf,
        /// The format of the file.
        found: u8,
        /// The format that this version writes.
        known: u8,
    },
    /// The file is damaged, or no store at all. It was renamed; opening again begins a new one.
    #[error("{} is damaged ({why}); it was kept as {}, and opening again begins a new one", path.display(), set_aside.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Where it is now.
        set_aside: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file is damaged, or no store at all, and could not be renamed. Nothing was changed.
    #[error("{} is damaged ({why}), and cannot be renamed ({source}): move it away", path.display())]
    DamagedInPlace {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// Why it could not be renamed.
        source: io::Error,
    },
    /// What lies in the file cannot be read any more; it was fine when it was opened.
    #[error("{} went bad while it was open ({why}): open it again, which checks it", path.display())]
    WentBad {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no room on the disk, or none left for this user.
    #[error("the disk or quota of {} is full: make room, then open it again", path.display())]
    DiskFull {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file or its directory may not be written.
    #[error("{} may not be read and written ({source}): give this user both rights to it and its directory", path.display())]
    NotAllowed {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The directory that the file should be in is not there.
    #[error("there is no directory for {}: make it first", path.display())]
    NoDirectory {
        /// Which file.
        path: PathBuf,
    },
    /// The path leads to a directory, a device or the like.
    #[error("{} is not a file: choose another path", path.display())]
    NotAFile {
        /// Which path.
        path: PathBuf,
    },
    /// The system reports an error of another sort.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// An earlier write failed. Nothing is written from then on, so that nothing is written out of
    /// order.
    #[error("an earlier write to {} failed: open it again", path.display())]
    Stopped {
        /// Which file.
        path: PathBuf,
    },
    /// A key or a value is longer than can be stored. Nothing was changed.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The name for the kind of file is empty or too long. Nothing was changed.
    #[error("a kind of {size} bytes: give it a name of 1 to {limit} bytes")]
    BadKind {
        /// Its size in bytes.
        size: usize,
        /// The largest size in bytes.
        limit: usize,
    },
}

impl StoreError {
    /// An error of the system, by what a user can do about it.
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::DiskFull { path, source },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotAllowed { path, source }
            }
            io::ErrorKind::IsADirectory => Self::NotAFile { path },
            _ => Self::Io { path, source },
        }
    }

    /// An error of the database in a file that is open.
    pub(crate) fn database(path: &Path, error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::Io(source) => Self::io(path, source),
            redb::Error::PreviousIo | redb::Error::LockPoisoned(_) => {
                Self::Stopped { path: path.to_owned() }
            }
            other => Self::WentBad { path: path.to_owned(), why: other.to_string() },
        }
    }
}

/// Why changes that were handed to a [`Writer`](crate::Writer) are not durable, or may not be.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Writing failed, now or earlier. The writer takes nothing more; what was durable stays so.
    #[error(transparent)]
    Failed(Arc<StoreError>),
    /// As many bytes wait as may. Wait for a ticket, such as that of
    /// [`Writer::flush`](crate::Writer::flush), or use
    /// [`Writer::submit_blocking`](crate::Writer::submit_blocking).
    #[error("{waiting} bytes of changes wait for the disk, of {limit} allowed: wait for some")]
    QueueFull {
        /// Bytes that wait.
        waiting: usize,
        /// How many may.
        limit: usize,
    },
    /// A key or a value is longer than can be stored.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The changes alone are more than may ever wait.
    #[error("{size} bytes of changes at once, of {limit} allowed: hand them over in parts")]
    TooMuch {
        /// Their size in bytes.
        size: usize,
        /// How many bytes may wait.
        limit: usize,
    },
    /// The thread that writes has ended without a word, by a panic.
    #[error("the thread that writes {} has ended: open the file again", path.display())]
    Ended {
        /// Which file.
        path: PathBuf,
    },
    /// Not all was durable in the time given. The thread goes on in the background.
    #[error("{} is not written after {waited:?}: the disk is slow, or gone", path.display())]
    StillWriting {
        /// Which file.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
}

/// Changes that a [`Writer`](crate::Writer) did not take, and why.
#[derive(Debug, Error)]
#[error("{why}")]
pub struct Refused {
    /// The changes, unharmed.
    pub changes: Changes,
    /// Why they were not taken.
    #[source]
    pub why: WriteError,
}
