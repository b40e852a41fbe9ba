//! The values a node has: which ones, since when, and for how long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rs2p_base::{Deadlines, Time};
use rs2p_kad::Key;

use crate::config::{DhtConfig, MAX_VALUE};
use crate::contents::{Contents, EmptyLibrary, Library};
use crate::error::ContentsError;
use crate::packet::Entry;
use crate::value::ValueId;

/// What is noted of a value that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its length in bytes.
    pub size: u64,
    /// When it was last published, by its publisher's clock.
    pub stamp: Time,
    /// How long it lives from then on.
    pub lives: Duration,
    /// Whether it was published here: such a value does not expire.
    pub original: bool,
}

impl Record {
    /// From when on it is not kept any more.
    #[must_use]
    pub fn expires(&self) -> Option<Time> {
        (!self.original).then(|| self.stamp + self.lives)
    }
}

/// What is to become of a value that is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    /// It is here, published no earlier.
    Known,
    /// It is here, and was published again since: it lives longer now.
    Renewed,
    /// There is no room, or it is too long.
    NoRoom,
    /// Its time stamp lies ahead, or so far back that it has expired.
    WrongTime,
}

/// The values a node has.
pub(crate) struct Values {
    kept: BTreeMap<ValueId, Record>,
    /// In files that are shared.
    shared: BTreeMap<ValueId, u64>,
    contents: Box<dyn Contents>,
    library: Arc<dyn Library>,
    /// Bytes of values that others published.
    foreign_bytes: u64,
    foreign: usize,
    expiry: Deadlines<ValueId>,
}

/// How far ahead of this clock a publisher's may be.
const AHEAD: Duration = Duration::from_secs(300);

impl Values {
    pub(crate) fn new(contents: Box<dyn Contents>) -> Self {
        Self {
            kept: BTreeMap::new(),
            shared: BTreeMap::new(),
            contents,
            library: EmptyLibrary::shared(),
            foreign_bytes: 0,
            foreign: 0,
            expiry: Deadlines::new(),
        }
    }

    /// Takes up what was kept before. Returns what was published here.
    pub(crate) fn restore(&mut self) -> Result<Vec<ValueId>, ContentsError> {
        let records = self.contents.records()?;
        for (id, record) in &records {
            self.note(*id, *record);
        }
        Ok(records.into_iter().filter(|(_, record)| record.original).map(|(id, _)| id).collect())
    }

    fn note(&mut self, id: ValueId, record: Record) {
        self.expiry.set(id, record.expires());
        if let Some(before) = self.kept.insert(id, record) {
            self.uncount(&before);
        }
        if !record.original {
            self.foreign_bytes += record.size;
            self.foreign += 1;
        }
    }

    fn uncount(&mut self, record: &Record) {
        if !record.original {
            self.foreign_bytes -= record.size;
            self.foreign -= 1;
        }
    }

    /// Whether a value that another publishes is to be taken (spec, section 10 and D11, D16). If
    /// it is here and was published again, it lives longer from now on.
    pub(crate) fn judge(
        &mut self,
        now: Time,
        id: &ValueId,
        (size, stamp): (i64, i64),
        lives: Duration,
        config: &DhtConfig,
    ) -> Verdict {
        let Ok(size) = u64::try_from(size) else { return Verdict::NoRoom };
        let stamp = Time::from_secs(u64::try_from(stamp).unwrap_or(0));
        if stamp > now + AHEAD || stamp + lives <= now {
            return Verdict::WrongTime;
        }
        if self.shared.contains_key(id) {
            return Verdict::Known;
        }
        if let Some(record) = self.kept.get(id).copied() {
            if record.original || record.stamp >= stamp {
                return Verdict::Known;
            }
            let renewed = Record { stamp, lives, ..record };
            // If it cannot be written down, it is renewed until the node stops.
            let _ = self.contents.write(id, &renewed, None);
            self.note(*id, renewed);
            return Verdict::Renewed;
        }
        let of_key = self.ids_of(&id.key).take(config.max_values_per_key).count();
        let fits = size <= MAX_VALUE as u64
            && of_key < config.max_values_per_key
            && self.has_room(size, config);
        if fits { Verdict::Accept } else { Verdict::NoRoom }
    }

    /// Whether another's value of so many bytes can be kept.
    pub(crate) fn has_room(&self, size: u64, config: &DhtConfig) -> bool {
        config.capacity > 0
            && self.foreign < config.max_values
            && self.foreign_bytes.saturating_add(size) <= config.capacity
    }

    /// Keeps a value.
    pub(crate) fn keep(
        &mut self,
        id: ValueId,
        record: Record,
        value: &Bytes,
    ) -> Result<(), ContentsError> {
        self.contents.write(&id, &record, Some(value))?;
        self.note(id, record);
        Ok(())
    }

    /// Notes that an own value was published.
    pub(crate) fn stamp(&mut self, id: &ValueId, stamp: Time) {
        if let Some(record) = self.kept.get(id).copied() {
            let record = Record { stamp, ..record };
            let _ = self.contents.write(id, &record, None);
            self.note(*id, record);
        }
    }

    pub(crate) fn remove(&mut self, id: &ValueId) -> Option<Record> {
        let record = self.kept.remove(id)?;
        self.uncount(&record);
        self.expiry.set(*id, None);
        self.contents.remove(id);
        Some(record)
    }

    /// The next value whose time is over, which is gone now.
    pub(crate) fn pop_expired(&mut self, now: Time) -> Option<ValueId> {
        let id = self.expiry.pop_due(now)?;
        self.remove(&id);
        Some(id)
    }

    /// Replaces what lies in shared files. Returns what was not there before.
    pub(crate) fn share(
        &mut self,
        library: Arc<dyn Library>,
        shared: BTreeMap<ValueId, u64>,
    ) -> Vec<ValueId> {
        let before = std::mem::replace(&mut self.shared, shared);
        self.library = library;
        self.shared.keys().filter(|id| !before.contains_key(id)).copied().collect()
    }

    /// The bytes of a value.
    pub(crate) fn read(&self, id: &ValueId) -> Result<Option<Bytes>, ContentsError> {
        if self.kept.contains_key(id)
            && let Some(value) = self.contents.read(id)?
        {
            return Ok(Some(value));
        }
        if self.shared.contains_key(id) { self.library.read(id) } else { Ok(None) }
    }

    /// Whether it is here: its length and when it was published, if that is known.
    pub(crate) fn get(&self, id: &ValueId) -> Option<Entry> {
        let (size, stamp) = match self.kept.get(id) {
            Some(record) => (record.size, Some(record.stamp)),
            None => (*self.shared.get(id)?, None),
        };
        let stamp = stamp.map(|stamp| stamp.as_secs() as f64);
        Some(Entry { id: *id, size: i64::try_from(size).ok(), stamp })
    }

    pub(crate) fn record(&self, id: &ValueId) -> Option<&Record> {
        self.kept.get(id)
    }

    /// Whether it is this node's own: published here, or in a shared file.
    pub(crate) fn is_original(&self, id: &ValueId) -> bool {
        self.shared.contains_key(id) || self.kept.get(id).is_some_and(|record| record.original)
    }

    /// The values under a key, by index.
    pub(crate) fn ids_of(&self, key: &Key) -> impl Iterator<Item = ValueId> {
        let first = ValueId { key: *key, index: Key::new([0; 20]) };
        let last = ValueId { key: *key, index: Key::new([0xff; 20]) };
        let kept = self.kept.range(first..=last).map(|(id, _)| *id);
        let shared = self.shared.range(first..=last).map(|(id, _)| *id);
        kept.chain(shared).collect::<BTreeSet<_>>().into_iter()
    }

    /// All values of others that are kept.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = (&ValueId, &Record)> {
        self.kept.iter().filter(|(_, record)| !record.original)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = ValueId> {
        let shared = self.shared.keys().filter(|id| !self.kept.contains_key(id));
        self.kept.keys().chain(shared).copied()
    }

    /// Values of others, and their bytes.
    pub(crate) fn foreign_count(&self) -> (usize, u64) {
        (self.foreign, self.foreign_bytes)
    }

    /// Values published here, those in shared files included.
    pub(crate) fn own_count(&self) -> usize {
        self.kept.len() - self.foreign + self.shared.len()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.expiry.next()
    }
}

/// How long a value lives on a node that knows so many nodes nearer to it: the whole time below
/// `k` of them, since it belongs there, and the shorter the more there are (spec, section 10).
///
/// The reference counts the nodes of all farther buckets as well, so that the nearest nodes of a
/// large network would forget a value within seconds.
pub(crate) fn lifetime(whole: Duration, nearer: usize, k: usize) -> Duration {
    if nearer < k {
        return whole;
    }
    whole.mul_f64((-(nearer as f64) / k as f64).exp())
}

#[cfg(test)]
mod tests;
