//! Where the bytes of values are kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::ContentsError;
use crate::value::ValueId;
use crate::values::Record;

/// Where the bytes of values are kept: in memory ([`MemoryContents`]), in a file
/// ([`DiskContents`](crate::DiskContents)), or in something of one's own.
///
/// What is kept and for how long is decided elsewhere; this only holds bytes. It is called while
/// the node waits, so it should answer from memory or within a few milliseconds, and hand slow
/// work to a thread.
pub trait Contents: Send {
    /// What was kept before the node started.
    ///
    /// # Errors
    /// It cannot be read.
    fn records(&self) -> Result<Vec<(ValueId, Record)>, ContentsError>;

    /// The bytes of a value; nothing if they are not here.
    ///
    /// # Errors
    /// They cannot be read.
    fn read(&self, id: &ValueId) -> Result<Option<Bytes>, ContentsError>;

    /// Keeps the bytes of a value, or replaces what is noted of it when there are none.
    ///
    /// # Errors
    /// There is no room for it.
    fn write(
        &mut self,
        id: &ValueId,
        record: &Record,
        value: Option<&Bytes>,
    ) -> Result<(), ContentsError>;

    /// Forgets a value.
    fn remove(&mut self, id: &ValueId);
}

/// Values in memory: gone with the node.
#[derive(Clone, Debug, Default)]
pub struct MemoryContents(BTreeMap<ValueId, Bytes>);

impl Contents for MemoryContents {
    fn records(&self) -> Result<Vec<(ValueId, Record)>, ContentsError> {
        Ok(Vec::new())
    }

    fn read(&self, id: &ValueId) -> Result<Option<Bytes>, ContentsError> {
        Ok(self.0.get(id).cloned())
    }

    fn write(
        &mut self,
        id: &ValueId,
        _: &Record,
        value: Option<&Bytes>,
    ) -> Result<(), ContentsError> {
        if let Some(value) = value {
            self.0.insert(*id, value.clone());
        }
        Ok(())
    }

    fn remove(&mut self, id: &ValueId) {
        self.0.remove(id);
    }
}

/// Values that lie somewhere else and are only read: the parts of shared files.
pub trait Library: Send + Sync {
    /// The bytes of a value; nothing if they are not there any more.
    ///
    /// # Errors
    /// They cannot be read.
    fn read(&self, id: &ValueId) -> Result<Option<Bytes>, ContentsError>;
}

/// No values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EmptyLibrary;

impl Library for EmptyLibrary {
    fn read(&self, _: &ValueId) -> Result<Option<Bytes>, ContentsError> {
        Ok(None)
    }
}

impl EmptyLibrary {
    pub(crate) fn shared() -> Arc<dyn Library> {
        Arc::new(Self)
    }
}
