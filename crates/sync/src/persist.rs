//! What outlives a node: its records, and how long it was away.

use std::sync::Arc;

use bytes::Bytes;
use rs2p_wire::{IdForm, MessageError, Value, encoded_len, read_values, text_bytes, write_values};
use thiserror::Error;

use crate::machine::Sync;
use crate::place;
use crate::table::Record;
use crate::version::{Stamp, Version};

/// What has changed since it was last asked for. Written down in one piece, it is what
/// [`Sync::restore`] wants to see.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Changes {
    /// Keys and their records; nothing for those of which nothing is known any more.
    pub records: Vec<(Bytes, Option<Vec<u8>>)>,
    /// What the node remembers beside its records.
    pub memory: Vec<u8>,
    /// How many changes there have been in all: see [`Sync::change_count`].
    pub count: u64,
}

/// What was written down cannot be read. Nothing was restored.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the record of the key {key:?} makes no sense: {reason}")]
pub struct RestoreError {
    /// Whose record it is.
    pub key: Bytes,
    /// What is wrong with it.
    pub reason: RecordError,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It cannot be read.
    #[error(transparent)]
    Encoding(#[from] MessageError),
    /// It is of a later version, or none at all.
    #[error("it is not of a form that this version knows")]
    Unknown,
}

/// The form of records.
const FORM: u64 = 1;

impl Sync {
    /// From now on, changes are kept until they are [taken](Self::take_changes).
    pub fn keep_changes(&mut self) {
        self.journal.keep();
    }

    /// How many changes there have been. A write is among those that
    /// [`take_changes`](Self::take_changes) gives when their count has reached what this said just
    /// after the write.
    #[must_use]
    pub fn change_count(&self) -> u64 {
        self.journal.noted()
    }

    /// What has changed since it was last asked for.
    #[must_use]
    pub fn take_changes(&mut self) -> Changes {
        let keys = self.journal.take().into_iter();
        let records = keys.map(|key| {
            let record = self.table.get(&key).map(write_record);
            (key, record)
        });
        let records = records.collect();
        let memory = write_values(&[FORM.into(), self.synced.into(), self.forgotten.into()]);
        Changes { records, memory, count: self.journal.noted() }
    }

    /// All that is known of a key now, in the form in which [`take_changes`](Self::take_changes)
    /// gives it: nodes that know the same give the same bytes. `None` when nothing is known, not
    /// even a deletion.
    #[must_use]
    pub fn record(&self, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        self.table.get(key.as_ref()).map(write_record)
    }

    /// Takes back what [`take_changes`](Self::take_changes) gave in a former life. To be called
    /// before the node starts.
    ///
    /// # Errors
    /// A record makes no sense. Nothing was restored then.
    pub fn restore(
        &mut self,
        memory: Option<&[u8]>,
        records: impl IntoIterator<Item = (Bytes, Vec<u8>)>,
    ) -> Result<(), RestoreError> {
        let mut read = Vec::new();
        for (key, bytes) in records {
            match self.read_record(&key, &bytes) {
                Ok(record) => read.push((key, record)),
                Err(reason) => return Err(RestoreError { key, reason }),
            }
        }
        let id = self.id();
        for (key, record) in read {
            let Version { owner, time, .. } = &record.stamp.version;
            if *time > self.latest_own && owner.node_id() == Some(id) {
                self.latest_own = *time;
            }
            self.table.insert(key, record);
        }
        let memory = memory.and_then(|bytes| read_values(bytes, 3, &self.limits()).ok());
        if let Some([_, synced, forgotten]) = memory.as_deref() {
            self.synced = synced.as_u64().unwrap_or(0);
            self.forgotten = forgotten.as_u64().unwrap_or(0);
        }
        Ok(())
    }

    fn read_record(&mut self, key: &[u8], bytes: &[u8]) -> Result<Record, RecordError> {
        let values = read_values(bytes, 8, &self.limits())?;
        let [form, value, owner, numbers @ ..] = &values[..] else {
            return Err(RecordError::Unknown);
        };
        let numbers: Vec<u64> = numbers.iter().filter_map(Value::as_u64).collect();
        let &[after, start, time, seq, lease] = &numbers[..] else {
            return Err(RecordError::Unknown);
        };
        let written = if owner.is_str() { IdForm::Str } else { IdForm::Bin };
        let owner = text_bytes(owner).and_then(|text| self.owners.intern(text, written));
        let numbers = (u32::try_from(seq), u32::try_from(lease));
        let (Some(owner), (Ok(seq), Ok(lease)), Some(FORM)) = (owner, numbers, form.as_u64())
        else {
            return Err(RecordError::Unknown);
        };
        let value = (!value.is_nil()).then(|| Arc::new(value.clone()));
        let length = value.as_ref().map_or(Ok(0), |value| encoded_len(value, &self.limits()));
        let content = value.as_deref().map(place::content);
        let version = Version { after, start, owner, time, seq };
        let size = key.len() + length.unwrap_or(0);
        Ok(Record::new(value, Stamp { version, lease, content }, size))
    }
}

fn write_record(record: &Record) -> Vec<u8> {
    let Stamp { version, lease, .. } = &*record.stamp;
    let owner = match (version.owner.form(), std::str::from_utf8(version.owner.text())) {
        (IdForm::Str, Ok(text)) => Value::from(text),
        _ => Value::from(version.owner.text()),
    };
    write_values(&[
        FORM.into(),
        record.value.as_deref().cloned().unwrap_or(Value::Nil),
        owner,
        version.after.into(),
        version.start.into(),
        version.time.into(),
        version.seq.into(),
        (*lease).into(),
    ])
}
