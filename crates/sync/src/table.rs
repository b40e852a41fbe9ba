//! What a node holds: values and tombstones, found by key in constant time, and compared with those
//! of other nodes by digests of ranges.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use rs2p_wire::Value;

use crate::place;
use crate::version::Stamp;

#[expect(
    clippy::disallowed_types,
    reason = "reads take constant time; its order never leaves, since what leaves is sorted or goes \
              by the index"
)]
type Records = std::collections::HashMap<Bytes, Record, SeedableRandomState>;

/// All that is known of the keys.
#[derive(Debug)]
pub(crate) struct Table {
    records: Records,
    /// Every key by its place, with the digest of what is known of it.
    index: BTreeMap<(u64, Bytes), u64>,
    /// Sums over the index: one for each beginning of a place, once there is anything.
    buckets: Vec<Sum>,
    total: Sum,
    /// Tombstones by the time of the deletion, in seconds.
    tombstones: BTreeSet<(u64, Bytes)>,
    /// Bytes of all keys and values.
    bytes: usize,
}

/// What is known of a key.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Nothing for a tombstone.
    pub(crate) value: Option<Arc<Value>>,
    /// Apart, so that what a reader looks for lies close together.
    pub(crate) stamp: Box<Stamp>,
    /// Bytes of the key and the encoded value.
    pub(crate) size: usize,
}

impl Record {
    pub(crate) fn new(value: Option<Arc<Value>>, stamp: Stamp, size: usize) -> Self {
        Self { value, stamp: Box::new(stamp), size }
    }
}

/// A digest of some records, which does not depend on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) digest: u64,
    pub(crate) count: u64,
}

impl Sum {
    fn add(&mut self, digest: u64) {
        self.digest = self.digest.wrapping_add(digest);
        self.count += 1;
    }

    fn take(&mut self, digest: u64) {
        self.digest = self.digest.wrapping_sub(digest);
        self.count -= 1;
    }
}

/// Leading bits of a place that have a sum of their own.
pub(crate) const BUCKET_BITS: u32 = 8;

impl Table {
    /// `seed` keeps strangers from aiming at the same slot.
    pub(crate) fn new(seed: u64) -> Self {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        Self {
            records: Records::with_hasher(hasher),
            index: BTreeMap::new(),
            buckets: Vec::new(),
            total: Sum::default(),
            tombstones: BTreeSet::new(),
            bytes: 0,
        }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Record> {
        self.records.get(key)
    }

    /// A key's value, unless it is deleted.
    pub(crate) fn value(&self, key: &[u8]) -> Option<&Arc<Value>> {
        self.records.get(key)?.value.as_ref()
    }

    /// How many keys have a value.
    pub(crate) fn len(&self) -> usize {
        self.records.len() - self.tombstones.len()
    }

    pub(crate) fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    /// Bytes of all keys and values.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All keys that have a value, in order.
    pub(crate) fn keys(&self) -> Vec<&Bytes> {
        let live = self.index.keys().map(|(_, key)| key).filter(|key| self.value(key).is_some());
        let mut keys: Vec<&Bytes> = live.collect();
        keys.sort_unstable();
        keys
    }

    /// All that is known of the keys, in the order of places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Record)> {
        self.index.keys().filter_map(|(_, key)| Some((key, self.records.get(key)?)))
    }

    pub(crate) fn insert(&mut self, key: Bytes, record: Record) {
        self.remove(&key);
        let place = place::place(&key);
        let digest = place::known(place, &record.stamp);
        if self.buckets.is_empty() {
            self.buckets = vec![Sum::default(); 1 << BUCKET_BITS];
        }
        self.buckets[bucket(place)].add(digest);
        self.total.add(digest);
        self.bytes += record.size;
        if record.value.is_none() {
            self.tombstones.insert((record.stamp.version.time, key.clone()));
        }
        self.index.insert((place, key.clone()), digest);
        self.records.insert(key, record);
    }

    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Record> {
        let (key, record) = self.records.remove_entry(key)?;
        if record.value.is_none() {
            self.tombstones.remove(&(record.stamp.version.time, key.clone()));
        }
        self.bytes -= record.size;
        let place = place::place(&key);
        if let Some(digest) = self.index.remove(&(place, key)) {
            self.buckets[bucket(place)].take(digest);
            self.total.take(digest);
        }
        Some(record)
    }

    /// The oldest tombstone: when, in seconds, and which key.
    pub(crate) fn oldest_tombstone(&self) -> Option<(u64, &Bytes)> {
        self.tombstones.first().map(|(time, key)| (*time, key))
    }

    /// The digest of all that is known of the keys in a range of places.
    pub(crate) fn sum(&self, range: &RangeInclusive<u64>) -> Sum {
        if *range == (0..=u64::MAX) {
            return self.total;
        }
        let (first, last) = (bucket(*range.start()), bucket(*range.end()));
        if first == last && *range == bucket_range(first) {
            return self.buckets.get(first).copied().unwrap_or_default();
        }
        let mut sum = Sum::default();
        self.index(range).for_each(|(_, _, digest)| sum.add(digest));
        sum
    }

    /// Places, keys, and digests of what is known of them, in the order of places.
    pub(crate) fn index(
        &self,
        range: &RangeInclusive<u64>,
    ) -> impl Iterator<Item = (u64, &Bytes, u64)> {
        let last = *range.end();
        self.index
            .range((*range.start(), Bytes::new())..)
            .take_while(move |((place, _), _)| *place <= last)
            .map(|((place, key), digest)| (*place, key, *digest))
    }

    /// The first key in a range behind a place and key, in the order of places.
    pub(crate) fn next_in(
        &self,
        range: &RangeInclusive<u64>,
        behind: Option<&(u64, Bytes)>,
    ) -> Option<&(u64, Bytes)> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let first = (*range.start(), Bytes::new());
        let from = behind.map_or(Included(&first), Excluded);
        let (at, _) = self.index.range((from, Unbounded)).next()?;
        (at.0 <= *range.end()).then_some(at)
    }

    /// The key as the table holds it, which costs no copy.
    pub(crate) fn own_key(&self, key: &[u8]) -> Option<Bytes> {
        self.records.get_key_value(key).map(|(key, _)| key.clone())
    }
}

fn bucket(place: u64) -> usize {
    (place >> (u64::BITS - BUCKET_BITS)) as usize
}

fn bucket_range(bucket: usize) -> RangeInclusive<u64> {
    let first = (bucket as u64) << (u64::BITS - BUCKET_BITS);
    first..=first | (u64::MAX >> BUCKET_BITS)
}

#[cfg(test)]
mod tests;
