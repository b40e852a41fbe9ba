//! A file on disk that is shared.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rs2p_kad::Key;

use super::info::FileInfo;
use super::parts::HashedFile;
use crate::value::ValueId;

/// A file that is shared: where it lies, what it was when it was hashed, and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedFile {
    path: PathBuf,
    modified: Modified,
    part_size: NonZeroU32,
    size: u64,
    info: FileInfo,
    id: ValueId,
    mark: Option<Mark>,
}

impl SharedFile {
    /// Nothing if it cannot be shared: an empty file, one of too many parts, or of another number
    /// of parts than its size asks for.
    pub(crate) fn new(
        path: PathBuf,
        modified: Modified,
        part_size: NonZeroU32,
        hashed: HashedFile,
        mark: Option<Mark>,
    ) -> Option<Self> {
        let HashedFile { hash, parts, size } = hashed;
        if size.div_ceil(u64::from(part_size.get())) != parts.len() as u64 {
            return None;
        }
        let info = FileInfo::new(hash, parts).ok()?;
        let id = info.id();
        Some(Self { path, modified, part_size, size, info, id, mark })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// When it had last been changed, when it was hashed.
    #[must_use]
    pub const fn modified(&self) -> Modified {
        self.modified
    }

    /// Its size in bytes; one at least.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The size of its parts in bytes, but for the last one.
    #[must_use]
    pub const fn part_size(&self) -> NonZeroU32 {
        self.part_size
    }

    /// The SHA-1 of its bytes.
    #[must_use]
    pub const fn key(&self) -> Key {
        self.id.key
    }

    /// Its description, without name and size, so that everyone describes equal files equally.
    #[must_use]
    pub const fn info(&self) -> &FileInfo {
        &self.info
    }

    /// The name under which its description is filed.
    #[must_use]
    pub const fn info_id(&self) -> ValueId {
        self.id
    }

    /// What kind of document it looks like.
    #[must_use]
    pub const fn mark(&self) -> Option<Mark> {
        self.mark
    }

    /// All values that it gives: its description, then its parts in order, repeated ones too.
    pub fn values(&self) -> impl Iterator<Item = ValueId> {
        let parts = self.info.parts().iter().map(|part| ValueId::plain(*part));
        std::iter::once(self.id).chain(parts)
    }

    /// Where a part begins, and how long it is, in bytes.
    pub(crate) fn place_of(&self, part: u32) -> (u64, u32) {
        let part_size = self.part_size.get();
        let offset = u64::from(part) * u64::from(part_size);
        let rest = self.size.saturating_sub(offset);
        (offset, u32::try_from(rest).unwrap_or(u32::MAX).min(part_size))
    }
}

/// A kind of document among shared files that names other files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mark {
    /// It begins like a [`CollectionInfo`](crate::CollectionInfo).
    Collection,
    /// It passes for a [`TorrentDocument`](crate::TorrentDocument).
    Torrent,
}

/// When a file was last changed, as its file system tells: seconds since 1970 and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Modified {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// Nanoseconds after that second, below a billion.
    pub nanos: u32,
}

impl From<SystemTime> for Modified {
    fn from(time: SystemTime) -> Self {
        let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self { seconds: seconds(after.as_secs()), nanos: after.subsec_nanos() },
            Err(error) => {
                let before = error.duration();
                match before.subsec_nanos() {
                    0 => Self { seconds: -seconds(before.as_secs()), nanos: 0 },
                    nanos => Self {
                        seconds: -seconds(before.as_secs()) - 1,
                        nanos: 1_000_000_000 - nanos,
                    },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_before_1970_count_down() {
        let at = |nanos: u64| Modified::from(UNIX_EPOCH - Duration::from_nanos(nanos));
        assert_eq!(at(0), Modified { seconds: 0, nanos: 0 });
        assert_eq!(at(1), Modified { seconds: -1, nanos: 999_999_999 });
        assert_eq!(at(2_000_000_000), Modified { seconds: -2, nanos: 0 });
        let after = Modified::from(UNIX_EPOCH + Duration::from_nanos(1_000_000_005));
        assert_eq!(after, Modified { seconds: 1, nanos: 5 });
    }
}
