//! The bytes of values in a file.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use rs2p_base::Time;
use rs2p_kad::Key;
use rs2p_store::{Changes, Store, Ticket, Writer, WriterConfig};

use crate::contents::Contents;
use crate::error::ContentsError;
use crate::value::ValueId;
use crate::values::Record;

/// Values in a file, of which what is noted and the bytes are entries of their own: noting that a
/// value was published again does not write it again.
///
/// Writing is left to a thread, so a value is durable some milliseconds after it was taken in.
/// When the disk cannot keep up, or fails, values are refused.
pub struct DiskContents {
    store: Arc<Store>,
    writer: Writer,
    /// What waits for the disk, to be read meanwhile.
    waiting: BTreeMap<ValueId, (u64, Option<Bytes>)>,
    tickets: VecDeque<(Ticket, ValueId)>,
    failed: Option<String>,
}

impl DiskContents {
    /// What a file of this kind is called: see [`Store::open`].
    pub const KIND: &str = "bytestag 1";

    /// Values in this file.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub fn new(store: Arc<Store>) -> Result<Self, ContentsError> {
        let writer = Writer::start(Arc::clone(&store), WriterConfig::default());
        let writer = writer.map_err(|error| ContentsError::Store(error.to_string()))?;
        let (waiting, tickets) = (BTreeMap::new(), VecDeque::new());
        Ok(Self { store, writer, waiting, tickets, failed: None })
    }

    /// Forgets what has become durable.
    fn settle(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        while let Some((ticket, id)) = self.tickets.front_mut() {
            let sequence = ticket.sequence();
            match Pin::new(ticket).poll(&mut context) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => self.failed = Some(error.to_string()),
            }
            if self.waiting.get(id).is_some_and(|(latest, _)| *latest == sequence) {
                self.waiting.remove(id);
            }
            self.tickets.pop_front();
        }
    }

    fn submit(
        &mut self,
        id: &ValueId,
        changes: Changes,
        value: Option<Option<Bytes>>,
    ) -> Result<(), ContentsError> {
        self.settle();
        if let Some(failed) = &self.failed {
            return Err(ContentsError::Store(failed.clone()));
        }
        let ticket = self.writer.submit(changes);
        let ticket = ticket.map_err(|refused| ContentsError::Store(refused.why.to_string()))?;
        if let Some(value) = value {
            self.waiting.insert(*id, (ticket.sequence(), value));
            self.tickets.push_back((ticket, *id));
        }
        Ok(())
    }
}

impl Contents for DiskContents {
    fn records(&self) -> Result<Vec<(ValueId, Record)>, ContentsError> {
        let mut records = Vec::new();
        let visited = self.store.entries_of(&[RECORD], |name, record| {
            records.extend(id_of(name).zip(read_record(record)));
        });
        visited.map_err(|error| ContentsError::Store(error.to_string()))?;
        Ok(records)
    }

    fn read(&self, id: &ValueId) -> Result<Option<Bytes>, ContentsError> {
        if let Some((_, value)) = self.waiting.get(id) {
            return Ok(value.clone());
        }
        let value = self.store.get(&name_of(VALUE, id));
        let value = value.map_err(|error| ContentsError::Store(error.to_string()))?;
        Ok(value.map(Bytes::from))
    }

    fn write(
        &mut self,
        id: &ValueId,
        record: &Record,
        value: Option<&Bytes>,
    ) -> Result<(), ContentsError> {
        let mut changes = Changes::new();
        changes.put(name_of(RECORD, id), write_record(record));
        if let Some(value) = value {
            changes.put(name_of(VALUE, id), value.to_vec());
        }
        self.submit(id, changes, value.map(|value| Some(value.clone())))
    }

    fn remove(&mut self, id: &ValueId) {
        let mut changes = Changes::new();
        changes.remove(name_of(RECORD, id)).remove(name_of(VALUE, id));
        // What cannot be removed now expires again when the node comes back.
        let _ = self.submit(id, changes, Some(None));
    }
}

/// Entries begin with a letter for what they hold, then the value's name.
const RECORD: u8 = b'r';

const VALUE: u8 = b'v';

fn name_of(kind: u8, id: &ValueId) -> Vec<u8> {
    let mut name = Vec::with_capacity(41);
    name.push(kind);
    name.extend_from_slice(id.key.as_bytes());
    name.extend_from_slice(id.index.as_bytes());
    name
}

fn id_of(name: &[u8]) -> Option<ValueId> {
    let (key, index) = name.get(1..)?.split_at_checked(20)?;
    Some(ValueId { key: Key::try_from(key).ok()?, index: Key::try_from(index).ok()? })
}

/// Size, time stamp and life in milliseconds, each as eight bytes, and a byte that is 1 for a value
/// published here.
fn write_record(record: &Record) -> Vec<u8> {
    let lives = u64::try_from(record.lives.as_millis()).unwrap_or(u64::MAX);
    let numbers = [record.size, record.stamp.as_millis(), lives];
    let mut bytes: Vec<u8> = numbers.into_iter().flat_map(u64::to_be_bytes).collect();
    bytes.push(u8::from(record.original));
    bytes
}

fn read_record(bytes: &[u8]) -> Option<Record> {
    let (numbers, [original]) = bytes.as_chunks::<8>() else { return None };
    let [size, stamp, lives] = numbers else { return None };
    Some(Record {
        size: u64::from_be_bytes(*size),
        stamp: Time::from_millis(u64::from_be_bytes(*stamp)),
        lives: Duration::from_millis(u64::from_be_bytes(*lives)),
        original: *original == 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(directory: &tempfile::TempDir) -> Arc<Store> {
        let path = directory.path().join("values");
        Arc::new(Store::open(path, DiskContents::KIND).unwrap())
    }

    #[test]
    fn values_are_read_at_once_and_after_a_restart_until_they_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let value = Bytes::from_static(b"some bytes");
        let (kept, gone) = (ValueId::of(&value), ValueId::of(b"x"));
        let stamp = Time::from_millis(1_234_567);
        let lives = Duration::from_secs(99);
        let record = Record { size: 10, stamp, lives, original: false };
        let later = Record { stamp: Time::from_millis(9_999_999), ..record };
        {
            let mut contents = DiskContents::new(store(&directory)).unwrap();
            contents.write(&kept, &record, Some(&value)).unwrap();
            contents.write(&gone, &record, Some(&value)).unwrap();
            assert_eq!(contents.read(&kept).unwrap(), Some(value.clone()));
            contents.write(&kept, &later, None).unwrap();
            contents.remove(&gone);
            assert_eq!(contents.read(&gone).unwrap(), None);
        }
        let mut contents = DiskContents::new(store(&directory)).unwrap();
        assert_eq!(contents.records().unwrap(), [(kept, later)]);
        assert_eq!(contents.read(&kept).unwrap(), Some(value));
        assert_eq!(contents.read(&gone).unwrap(), None);
        contents.settle();
        assert!(contents.waiting.is_empty());
    }
}
