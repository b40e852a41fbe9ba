//! The map in a file.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};

use redb::{
    Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _,
    ReadableTableMetadata as _, TableDefinition,
};

use crate::changes::{Change, Changes};
use crate::error::StoreError;
use crate::opening;

/// A durable map of byte strings, with a few named values beside it, in one file.
///
/// One handle has the file at a time. All calls block, and may be made from several threads:
/// readers see the last write that has ended, and wait for no writer.
#[derive(Debug)]
pub struct Store {
    /// There until the store is dropped.
    database: Option<Database>,
    path: PathBuf,
}

impl Store {
    /// Opens the file at `path`, or creates it; its directory must exist. `kind` names what it is
    /// for and in which form, such as `"sync 1"`: 1 to 255 bytes, written into a new file and
    /// compared with that of an old one.
    ///
    /// Every byte that counts is checked, which takes time in proportion to the file. One bit is
    /// beyond any check: in a file that a crash left, the one that marks the latest of two writes.
    /// Were it damaged, and nothing else, the last write would be missing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] for a file that is not whole, or no store at all: it is then under
    /// another name, and the next call begins a new one. All others leave the file as it is:
    /// [`StoreError::InUse`], [`StoreError::OtherKind`], [`StoreError::NewerFormat`],
    /// [`StoreError::NoDirectory`], [`StoreError::NotAllowed`] and others.
    pub fn open(path: impl AsRef<Path>, kind: &str) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let database = opening::open(path, kind)?;
        Ok(Self { database: Some(database), path: path.to_owned() })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value of `key`, if it has one.
    ///
    /// # Errors
    ///
    /// The file cannot be read any more.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|transaction| {
            let value = transaction.open_table(ENTRIES)?.get(key)?;
            Ok(value.map(|value| value.value().to_vec()))
        })
    }

    /// Shows all keys and values, in the order of the keys, as they are at one moment.
    ///
    /// # Errors
    ///
    /// The file cannot be read any more; some entries may have been shown before.
    pub fn entries(&self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        self.read(|transaction| {
            for entry in transaction.open_table(ENTRIES)?.iter()? {
                let (key, value) = entry?;
                visit(key.value(), value.value());
            }
            Ok(())
        })
    }

    /// Shows the keys that begin with these bytes, and their values, in the order of the keys, as
    /// they are at one moment. Nothing else is read.
    ///
    /// # Errors
    ///
    /// The file cannot be read any more; some entries may have been shown before.
    pub fn entries_of(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), StoreError> {
        self.read(|transaction| {
            for entry in transaction.open_table(ENTRIES)?.range(prefix..)? {
                let (key, value) = entry?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                visit(key.value(), value.value());
            }
            Ok(())
        })
    }

    /// How many keys there are.
    ///
    /// # Errors
    ///
    /// The file cannot be read any more.
    pub fn len(&self) -> Result<u64, StoreError> {
        self.read(|transaction| Ok(transaction.open_table(ENTRIES)?.len()?))
    }

    /// Whether there are no keys.
    ///
    /// # Errors
    ///
    /// The file cannot be read any more.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.len()? == 0)
    }

    /// The named value beside the entries ([`Changes::set_meta`]), if it was ever set.
    ///
    /// # Errors
    ///
    /// The file cannot be read any more.
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|transaction| {
            let value = transaction.open_table(META)?.get(name)?;
            Ok(value.map(|value| value.value().to_vec()))
        })
    }

    /// Makes all the changes, in one transaction that is on the disk when this returns. It waits
    /// for the disk twice; a [`Writer`](crate::Writer) shares the wait among many.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLarge`] for a key or value over its limit: nothing is changed. After any
    /// other, none of the changes shows as long as this store is open, and each further write fails
    /// with [`StoreError::Stopped`]; opening again shows whether they reached the disk, all or none.
    pub fn write(&self, changes: &Changes) -> Result<(), StoreError> {
        if let Some(too_large) = changes.too_large() {
            return Err(too_large.into());
        }
        self.write_together(std::slice::from_ref(changes))
    }

    /// Writes several sets of changes, of checked sizes, in one transaction.
    pub(crate) fn write_together(&self, group: &[Changes]) -> Result<(), StoreError> {
        if group.iter().all(Changes::is_empty) {
            return Ok(());
        }
        self.transact(group).map_err(|error| StoreError::database(&self.path, error))
    }

    fn transact(&self, group: &[Changes]) -> Result<(), redb::Error> {
        let mut transaction = self.database()?.begin_write()?;
        // With one phase a commit that is damaged on the disk looks like one that was never
        // finished, and would be undone without a word, though somebody was told that it is there.
        transaction.set_two_phase_commit(true);
        {
            let mut entries = transaction.open_table(ENTRIES)?;
            let mut meta = transaction.open_table(META)?;
            for change in group.iter().flat_map(Changes::iter) {
                match change {
                    Change::Put { key, value } => {
                        entries.insert(key.as_slice(), value.as_slice())?;
                    }
                    Change::Remove { key } => {
                        entries.remove(key.as_slice())?;
                    }
                    Change::SetMeta { name, value } => {
                        meta.insert(name.as_str(), value.as_slice())?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.database()
            .and_then(|database| read(&database.begin_read()?))
            .map_err(|error| StoreError::database(&self.path, error))
    }

    fn database(&self) -> Result<&Database, redb::Error> {
        self.database.as_ref().ok_or(redb::Error::DatabaseClosed)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // After a panic in one of its calls the database panics again when it is dropped, on its
        // poisoned locks. All that was told to be durable is, and the file is closed either way.
        let database = self.database.take();
        if std::panic::catch_unwind(AssertUnwindSafe(|| drop(database))).is_err() {
            tracing::error!(path = %self.path.display(), "a store did not end cleanly");
        }
    }
}

pub(crate) const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
pub(crate) const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
