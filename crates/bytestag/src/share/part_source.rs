//! Where the bytes of a shared value come from.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::info::FileInfo;
use super::shared_file::SharedFile;
use crate::value::ValueId;

/// A shared value that has been found, to be read where blocking is allowed.
#[derive(Clone, Debug)]
pub struct PartSource {
    id: ValueId,
    origin: Origin,
}

#[derive(Clone, Debug)]
enum Origin {
    /// The description of this file.
    Info(Arc<SharedFile>),
    /// A part, by file and number; one place at least.
    Part(Vec<(Arc<SharedFile>, u32)>),
}

impl PartSource {
    /// How many files are tried for one part. Equal parts may lie in any number of them.
    pub const MAX_PLACES: usize = 8;

    pub(super) fn info(id: ValueId, file: Arc<SharedFile>) -> Self {
        Self { id, origin: Origin::Info(file) }
    }

    /// Nothing if there are no places.
    pub(super) fn part(id: ValueId, places: Vec<(Arc<SharedFile>, u32)>) -> Option<Self> {
        (!places.is_empty()).then_some(Self { id, origin: Origin::Part(places) })
    }

    /// The value's name.
    #[must_use]
    pub const fn id(&self) -> ValueId {
        self.id
    }

    /// The value's size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        match &self.origin {
            Origin::Info(file) => FileInfo::length(file.info().parts().len()) as u64,
            Origin::Part(places) => {
                places.first().map_or(0, |(file, part)| u64::from(file.place_of(*part).1))
            }
        }
    }

    /// The value's bytes. It blocks on the disk. Bytes are given out only if they still have the
    /// SHA-1 that names them; if a file has changed, the next one with that part is tried.
    ///
    /// # Errors
    ///
    /// No file has the part any more. The error is that of the last file tried.
    pub fn read(&self) -> Result<Bytes, ReadError> {
        let places = match &self.origin {
            Origin::Info(file) => return Ok(file.info().to_bytes().into()),
            Origin::Part(places) => places,
        };
        let mut last = None;
        for (file, part) in places {
            let path = file.path();
            match read_part(file, *part) {
                Ok(Some(bytes)) if self.id.fits(&bytes) => return Ok(bytes.into()),
                Ok(_) => last = Some(ReadError::Changed { path: path.to_owned() }),
                Err(source) => last = Some(ReadError::Io { path: path.to_owned(), source }),
            }
        }
        Err(last.unwrap_or(ReadError::Changed { path: PathBuf::new() }))
    }
}

/// Why the bytes of a shared value cannot be had. The next scan of its directory puts it right.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file is not what was hashed, so it is not given out under the old name.
    #[error("{} has changed since it was shared: scan its directory again", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read, or is gone.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The bytes where the part was, unless the file is of another size or kind now.
fn read_part(file: &SharedFile, part: u32) -> io::Result<Option<Vec<u8>>> {
    let Some(mut open) = open_file(file.path())? else { return Ok(None) };
    if open.metadata()?.len() != file.size() {
        return Ok(None);
    }
    let (offset, length) = file.place_of(part);
    open.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::with_capacity(length as usize);
    open.take(u64::from(length)).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Opens a file, if it is one: to open a named pipe would wait for somebody to write.
pub(super) fn open_file(path: &Path) -> io::Result<Option<File>> {
    match fs::metadata(path)?.is_file() {
        true => File::open(path).map(Some),
        false => Ok(None),
    }
}
