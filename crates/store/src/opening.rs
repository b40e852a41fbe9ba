//! From a path to a database that can be trusted: lock, judge, create, check, set aside.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, ReadableDatabase as _};

use crate::body::Body;
use crate::error::StoreError;
use crate::header::{self, FORMAT, HEADER_BYTES, Judgement, MAX_KIND_BYTES, READY, STATE_OFFSET};
use crate::store::{ENTRIES, META};

/// Opens the file, or creates it, and checks every byte that counts.
pub(crate) fn open(path: &Path, kind: &str) -> Result<Database, StoreError> {
    if kind.is_empty() || kind.len() > MAX_KIND_BYTES {
        return Err(StoreError::BadKind { size: kind.len(), limit: MAX_KIND_BYTES });
    }
    let file = lock(path)?;
    let io = |source| StoreError::io(path, source);
    let length = file.metadata().map_err(io)?.len();
    let mut first = Vec::new();
    (&file).take(HEADER_BYTES as u64).read_to_end(&mut first).map_err(io)?;
    match header::judge(&first, length) {
        Judgement::Empty => create(path, &file, kind),
        Judgement::Ready { kind: found } if found == kind => check(path, &file),
        Judgement::Ready { kind: found } => {
            Err(StoreError::OtherKind { path: path.to_owned(), found, expected: kind.to_owned() })
        }
        Judgement::Newer { format } => {
            Err(StoreError::NewerFormat { path: path.to_owned(), found: format, known: FORMAT })
        }
        Judgement::Damaged { why } => Err(set_aside(path, why.to_owned())),
    }
}

/// The file that the path leads to, made if missing, and nobody else's.
fn lock(path: &Path) -> Result<File, StoreError> {
    // Whoever had the lock may have renamed the file between our opening and our locking it.
    for _ in 0..LOCK_ATTEMPTS {
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = opened.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                StoreError::NoDirectory { path: path.to_owned() }
            }
            _ => StoreError::io(path, source),
        })?;
        if !file.metadata().map_err(|source| StoreError::io(path, source))?.is_file() {
            return Err(StoreError::NotAFile { path: path.to_owned() });
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => break,
            Err(TryLockError::Error(source)) => return Err(StoreError::io(path, source)),
        }
        if leads_to(path, &file).map_err(|source| StoreError::io(path, source))? {
            return Ok(file);
        }
    }
    Err(StoreError::InUse { path: path.to_owned() })
}

/// Writes a new store into the file. Until the last step a crash leaves one that
/// [`header::judge`] calls empty.
fn create(path: &Path, file: &File, kind: &str) -> Result<Database, StoreError> {
    let io = |source| StoreError::io(path, source);
    file.set_len(0).map_err(io)?;
    write_at(file, 0, &header::encode(kind)).map_err(io)?;
    file.sync_all().map_err(io)?;
    let database = create_database(file).map_err(|error| StoreError::database(path, error))?;
    write_at(file, STATE_OFFSET, &[READY]).map_err(io)?;
    file.sync_all().map_err(io)?;
    sync_directory(path).map_err(io)?;
    Ok(database)
}

fn create_database(file: &File) -> Result<Database, redb::Error> {
    let database = builder().create_with_backend(Body::new(file.try_clone()?)?)?;
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    transaction.open_table(ENTRIES)?;
    transaction.open_table(META)?;
    transaction.commit()?;
    Ok(database)
}

/// A database that is whole. One that is not is set aside.
fn check(path: &Path, file: &File) -> Result<Database, StoreError> {
    check_database(file).map_err(|error| match error {
        // These say that bytes are missing or wrong, not that they cannot be reached.
        redb::Error::Io(source)
            if !matches!(
                source.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            StoreError::io(path, source)
        }
        error => set_aside(path, error.to_string()),
    })
}

fn check_database(file: &File) -> Result<Database, redb::Error> {
    let body = Body::new(file.try_clone()?)?;
    let database = builder().set_check_integrity_on_open(true).create_with_backend(body)?;
    let transaction = database.begin_read()?;
    transaction.open_table(ENTRIES)?;
    transaction.open_table(META)?;
    transaction.close()?;
    Ok(database)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Renames the file to a name that nothing has, while its lock is held, and says so.
fn set_aside(path: &Path, why: String) -> StoreError {
    match rename_to_a_free_name(path) {
        Ok(set_aside) => StoreError::Damaged { path: path.to_owned(), set_aside, why },
        Err(source) => StoreError::DamagedInPlace { path: path.to_owned(), why, source },
    }
}

fn rename_to_a_free_name(path: &Path) -> io::Result<PathBuf> {
    // Where the path is a link, the file is what must go out of the way.
    let path = fs::canonicalize(path)?;
    let name = path.file_name().unwrap_or_default();
    for number in 1..=u32::MAX {
        let mut free = name.to_owned();
        free.push(format!(".damaged-{number}"));
        let free = path.with_file_name(free);
        // Renaming overwrites, so the name is taken first, by an empty file that may be.
        match OpenOptions::new().write(true).create_new(true).open(&free) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        }
        if let Err(error) = fs::rename(&path, &free) {
            fs::remove_file(&free)?;
            return Err(error);
        }
        sync_directory(&free)?;
        return Ok(free);
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn write_at(mut file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}

/// Whether the path still leads to this file.
#[cfg(unix)]
fn leads_to(path: &Path, file: &File) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    let opened = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (opened.dev(), opened.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the path still leads to this file: elsewhere there is no way to know.
#[cfg(not(unix))]
fn leads_to(_path: &Path, _file: &File) -> io::Result<bool> {
    Ok(true)
}

/// Makes a name in a directory as durable as the file that it names.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// Makes a name in a directory durable: elsewhere the system does.
#[cfg(not(unix))]
fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// What the database may keep in memory. Users keep what they need themselves.
const CACHE_BYTES: usize = 32 * 1024 * 1024;
const LOCK_ATTEMPTS: usize = 8;

#[cfg(test)]
mod tests;
