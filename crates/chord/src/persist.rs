//! What outlives a node: its records.

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytes::Bytes;
use rs2p_base::NodeId;
use rs2p_wire::{Encoded, MessageError, Value, read_values, write_values};
use thiserror::Error;

use crate::machine::Chord;
use crate::position::{Position, Table};
use crate::record::{Record, Spot, Version};

/// Where a node's records are kept while it is not there: in memory ([`MemoryStorage`]) for
/// simulations, in a file (`rs2p_store::Store`) for programs, or in something of one's own.
///
/// A running node has all records in memory; a storage is read once, when it starts, and told of
/// changes.
pub trait Storage {
    /// What can go wrong.
    type Error: std::error::Error;

    /// All records.
    ///
    /// # Errors
    /// They cannot be read.
    fn records(&self) -> Result<Vec<(Bytes, Vec<u8>)>, Self::Error>;

    /// Takes changes, all of them or none: records, and nothing for those that are gone.
    ///
    /// # Errors
    /// They cannot be written.
    fn write(&mut self, changes: Vec<(Bytes, Option<Vec<u8>>)>) -> Result<(), Self::Error>;
}

/// Records in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStorage(BTreeMap<Bytes, Vec<u8>>);

impl Storage for MemoryStorage {
    type Error = Infallible;

    fn records(&self) -> Result<Vec<(Bytes, Vec<u8>)>, Infallible> {
        Ok(self.0.iter().map(|(spot, record)| (spot.clone(), record.clone())).collect())
    }

    fn write(&mut self, changes: Vec<(Bytes, Option<Vec<u8>>)>) -> Result<(), Infallible> {
        for (spot, record) in changes {
            match record {
                Some(record) => self.0.insert(spot, record),
                None => self.0.remove(&spot),
            };
        }
        Ok(())
    }
}

/// What was written down cannot be read. Nothing was restored.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the record {} makes no sense: {reason}", .spot.iter().map(|b| format!("{b:02x}")).collect::<String>())]
pub struct RestoreError {
    /// Which record.
    pub spot: Bytes,
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

impl Chord {
    /// From now on, changes are kept until they are [taken](Self::take_changes).
    pub fn keep_changes(&mut self) {
        self.shelf.keep_changes();
    }

    /// How many changes there have been since they are kept.
    #[must_use]
    pub fn change_count(&self) -> u64 {
        self.shelf.change_count()
    }

    /// What has changed since it was last asked for, for a [`Storage`].
    #[must_use]
    pub fn take_changes(&mut self) -> Vec<(Bytes, Option<Vec<u8>>)> {
        let spots = self.shelf.take_changes().into_iter();
        let record = |spot| self.shelf.get(spot).map(write_record);
        spots.map(|spot| (write_spot(spot), record(spot))).collect()
    }

    /// Takes back what [`take_changes`](Self::take_changes) gave in a former life. To be called
    /// before the node starts. When it has joined, it compares with its neighbours.
    ///
    /// # Errors
    /// A record makes no sense. Nothing was restored then.
    pub fn restore(
        &mut self,
        records: impl IntoIterator<Item = (Bytes, Vec<u8>)>,
    ) -> Result<(), RestoreError> {
        let mut read = Vec::new();
        for (spot, bytes) in records {
            match self.read_record(&spot, &bytes) {
                Ok(record) => read.push(record),
                Err(reason) => return Err(RestoreError { spot, reason }),
            }
        }
        let id = self.id();
        let mut keys = BTreeMap::new();
        for (spot, record) in read {
            if let Some(key) = &record.key {
                let latest = keys.entry(key.clone()).or_insert((record.version, false));
                *latest = (*latest).max((record.version, !record.is_tombstone()));
            }
            if record.version.author == id {
                self.latest_own = self.latest_own.max(record.version.time);
            }
            self.shelf.put(spot, record);
        }
        for (key, (_, is_there)) in keys {
            if is_there {
                self.know_key(key);
            }
        }
        // They are written down already.
        let _ = self.shelf.take_changes();
        Ok(())
    }

    /// What the node has of a key in a table, if it has anything: nothing for a deleted key is a
    /// record, too. Nobody else is asked.
    #[must_use]
    pub fn record(&self, table: Table, key: impl AsRef<[u8]>) -> Option<&Record> {
        self.shelf.get(Spot::of(table, key.as_ref()))
    }

    /// All records that the node has, for itself and its neighbours.
    pub fn records(&self) -> impl Iterator<Item = (Spot, &Record)> {
        let whole = crate::stretch::Stretch::whole(NodeId::from_bytes([0; NodeId::BYTES]));
        self.shelf.iter(whole).map(|(spot, record, _)| (spot, record))
    }

    fn read_record(&self, spot: &[u8], bytes: &[u8]) -> Result<(Spot, Record), RecordError> {
        let limits = self.limits();
        let spot = read_spot(spot).ok_or(RecordError::Unknown)?;
        let values = read_values(bytes, 5, &limits)?;
        let [form, time, author, key, value] = &values[..] else {
            return Err(RecordError::Unknown);
        };
        let author = author.as_slice().and_then(|author| author.try_into().ok());
        let (Some(FORM), Some(time), Some(author)) = (form.as_u64(), time.as_u64(), author) else {
            return Err(RecordError::Unknown);
        };
        let key = key.as_slice().map(Bytes::copy_from_slice);
        let value = match value.as_slice() {
            Some(bytes) => Some(Encoded::from_bytes(Bytes::copy_from_slice(bytes), &limits)?),
            None => None,
        };
        let version = Version { time, author: NodeId::from_bytes(author) };
        Ok((spot, Record { version, key, value }))
    }
}

fn write_spot(spot: Spot) -> Bytes {
    let index = spot.table().index() as u8;
    [&[index][..], &spot.position().to_bytes()].concat().into()
}

fn read_spot(bytes: &[u8]) -> Option<Spot> {
    let (table, position) = bytes.split_first()?;
    let table = *Table::ALL.get(usize::from(*table))?;
    Some(Spot::new(table, Position::from_bytes(position.try_into().ok()?)))
}

fn write_record(record: &Record) -> Vec<u8> {
    let binary = |bytes: &[u8]| Value::Binary(bytes.to_vec());
    let author = record.version.author.to_bytes();
    write_values(&[
        FORM.into(),
        record.version.time.into(),
        binary(&author),
        record.key.as_deref().map_or(Value::Nil, binary),
        record.value.as_ref().map_or(Value::Nil, |value| binary(value.as_bytes())),
    ])
}
