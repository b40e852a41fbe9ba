//! The dictionary as its user sees it.

use std::sync::Arc;

use bytes::Bytes;
use rs2p_base::{Layer as _, Time};
use rs2p_mesh::{OverMesh as _, SendError};
use rs2p_wire::{EncodeError, SubFlag, Value, encoded_len, text_bytes};

use crate::error::WriteError;
use crate::event::{Entry, Meta};
use crate::lease::{self, permits};
use crate::machine::Sync;
use crate::owner::Owner;
use crate::place;
use crate::relay::{Hazards, Told};
use crate::table::Record;
use crate::version::{Stamp, Write};

/// What a user's write does to a key.
enum Change<'a> {
    Set(Value),
    Delete,
    Delta(&'a [(Value, Value)]),
}

impl Sync {
    /// The value of a key: a look-up that costs no copy. Text and bytes are the same key.
    #[must_use]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&Arc<Value>> {
        self.table.value(key.as_ref())
    }

    /// The value of a key, with who wrote it and when.
    #[must_use]
    pub fn entry(&self, key: impl AsRef<[u8]>) -> Option<Entry> {
        let record = self.table.get(key.as_ref())?;
        Some(Entry { value: record.value.clone()?, meta: self.meta(&record.stamp) })
    }

    /// Whether there is such a key.
    #[must_use]
    pub fn contains(&self, key: impl AsRef<[u8]>) -> bool {
        self.get(key).is_some()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All keys, in the order of their bytes.
    #[must_use]
    pub fn keys(&self) -> Vec<Bytes> {
        self.table.keys().into_iter().cloned().collect()
    }

    /// All values, in the order of their keys.
    #[must_use]
    pub fn values(&self) -> Vec<Arc<Value>> {
        self.items().into_iter().map(|(_, value)| value).collect()
    }

    /// All keys and values as they are now, in the order of the keys. Values are shared with the
    /// table, not copied.
    #[must_use]
    pub fn items(&self) -> Vec<(Bytes, Arc<Value>)> {
        let keys = self.table.keys().into_iter();
        keys.filter_map(|key| Some((key.clone(), self.table.value(key)?.clone()))).collect()
    }

    /// Sets a key here and everywhere, for as long a lease as the configuration says. `nil` deletes
    /// the key, as with the originals.
    ///
    /// # Errors
    /// Somebody else has the lease; the write is over a limit; a peer has enough to read.
    pub fn set(
        &mut self,
        now: Time,
        key: impl AsRef<[u8]>,
        value: impl Into<Value>,
    ) -> Result<(), WriteError> {
        let lease = self.lease();
        self.set_for(now, key, value, lease)
    }

    /// As [`set`](Self::set), with a lease of so many seconds, from 1 to 2,592,000 (thirty days);
    /// what lies outside counts as the nearest. Old nodes take it for an hour. Without leases it
    /// means nothing.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_for(
        &mut self,
        now: Time,
        key: impl AsRef<[u8]>,
        value: impl Into<Value>,
        lease: u32,
    ) -> Result<(), WriteError> {
        let change = match value.into() {
            Value::Nil => Change::Delete,
            value => Change::Set(value),
        };
        self.write(now, key.as_ref(), &change, lease)
    }

    /// Writes a key's value once more, so that its lease begins anew, for so many seconds.
    ///
    /// # Errors
    /// There is no such key; or as [`set`](Self::set).
    pub fn renew(
        &mut self,
        now: Time,
        key: impl AsRef<[u8]>,
        lease: u32,
    ) -> Result<(), WriteError> {
        let key = key.as_ref();
        let value = self.get(key).ok_or_else(|| no_such_key(key))?;
        self.write(now, key, &Change::Set(value.as_ref().clone()), lease)
    }

    /// Sets many keys, one after the other.
    ///
    /// # Errors
    /// As [`set`](Self::set), for the first key that is refused; those before it are set.
    pub fn update<K: AsRef<[u8]>, V: Into<Value>>(
        &mut self,
        now: Time,
        items: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), WriteError> {
        items.into_iter().try_for_each(|(key, value)| self.set(now, key, value))
    }

    /// Deletes a key here and everywhere.
    ///
    /// # Errors
    /// There is no such key; or as [`set`](Self::set).
    pub fn del(&mut self, now: Time, key: impl AsRef<[u8]>) -> Result<(), WriteError> {
        let lease = self.lease();
        self.write(now, key.as_ref(), &Change::Delete, lease)
    }

    /// Merges a map into the one that is a key's value, entry by entry; a new key begins with an
    /// empty map. `nil` values are kept as values. Gives the whole map.
    ///
    /// # Errors
    /// The value is no map; or as [`set`](Self::set).
    pub fn apply_delta(
        &mut self,
        now: Time,
        key: impl AsRef<[u8]>,
        delta: &[(Value, Value)],
    ) -> Result<Arc<Value>, WriteError> {
        let (key, lease) = (key.as_ref(), self.lease());
        self.write(now, key, &Change::Delta(delta), lease)?;
        self.get(key).cloned().ok_or_else(|| no_such_key(key))
    }

    /// Deletes a key and gives its value.
    ///
    /// # Errors
    /// As [`del`](Self::del).
    pub fn pop(&mut self, now: Time, key: impl AsRef<[u8]>) -> Result<Arc<Value>, WriteError> {
        let key = key.as_ref();
        let value = self.get(key).cloned().ok_or_else(|| no_such_key(key))?;
        self.del(now, key)?;
        Ok(value)
    }

    /// Deletes some key that this node may delete, and gives it with its value. `None`: there is
    /// none, or others have the leases of all.
    ///
    /// # Errors
    /// As [`del`](Self::del), where it is not about leases.
    pub fn popitem(&mut self, now: Time) -> Result<Option<(Bytes, Arc<Value>)>, WriteError> {
        let me = self.me();
        let clock = self.clock(now);
        let mine = self.table.iter().find(|(key, record)| {
            let is_free = || self.time_of_write(key, Some(record), &me, clock);
            record.value.is_some()
                && is_free()
                    .is_ok_and(|time| self.check_lease(key, record, false, (&me, time)).is_ok())
        });
        let Some((key, _)) = mine else { return Ok(None) };
        let key = key.clone();
        let value = self.pop(now, &key)?;
        Ok(Some((key, value)))
    }

    /// The lease that the configuration gives this node's writes, in seconds.
    fn lease(&self) -> u32 {
        u32::try_from(self.config.lease.as_secs()).unwrap_or(lease::LONGEST)
    }

    pub(crate) fn meta(&self, stamp: &Stamp) -> Meta {
        let lease_end = self.config.leasing.then(|| Time::from_millis(stamp.end()));
        let (owner, timestamp) = (stamp.version.owner.clone(), stamp.version.time);
        Meta { owner, timestamp, lease_end }
    }

    fn write(
        &mut self,
        now: Time,
        key: &[u8],
        change: &Change<'_>,
        lease: u32,
    ) -> Result<(), WriteError> {
        let limit = self.config.max_key;
        if key.len() > limit {
            return Err(WriteError::KeyTooLong { length: key.len(), limit });
        }
        match self.mesh().check_room() {
            Ok(()) | Err(SendError::NoPeers) => {}
            Err(error) => return Err(error.into()),
        }
        let me = self.me();
        let lease = if self.config.leasing { lease.clamp(1, lease::LONGEST) } else { 0 };
        let held = self.table.get(key);
        let clock = self.clock(now);
        let time = self.time_of_write(key, held, &me, clock)?;
        if let Some(held) = held {
            let is_delta = matches!(change, Change::Delta(_));
            self.check_lease(key, held, is_delta, (&me, time))?;
        }
        let value = match change {
            Change::Set(value) => Some(value.clone()),
            Change::Delete if held.is_some_and(|held| held.value.is_some()) => None,
            Change::Delete => return Err(no_such_key(key)),
            Change::Delta(delta) => match held.and_then(|held| held.value.as_deref()) {
                None => Some(merge(&[], delta)),
                Some(Value::Map(map)) => Some(merge(map, delta)),
                Some(_) => {
                    return Err(WriteError::NotAMap { key: Bytes::copy_from_slice(key) });
                }
            },
        };
        let size = self.check_size(key, value.as_ref())?;
        let content = value.as_ref().map(place::content);
        let write = Write { owner: &me, time, lease, content };
        let stamp = write.over(held.map(|held| &*held.stamp));

        let told = match (&value, change) {
            (_, Change::Delta(_)) => Told::Delta,
            (Some(value), _) => Told::Value(value),
            (None, _) => Told::Deletion,
        };
        let hazards = Hazards::of(key, told, held, &me, time);
        let limits = self.limits();
        let version = &stamp.version;
        let mut writer = self.mesh().begin_broadcast(version.time, 3, key.len() + size + 64);
        let (flag, delta) = match change {
            Change::Delta(delta) => (SubFlag::Delta, Some(Value::Map(delta.to_vec()))),
            _ => (SubFlag::Store, None),
        };
        writer.unsigned(flag.into());
        writer.binary(key);
        match delta.as_ref().or(value.as_ref()) {
            Some(value) => writer.any(value, &limits).map_err(SendError::Message)?,
            None => writer.nil(),
        }
        writer.behind(1, |writer| {
            let numbers = [version.after, version.start, version.seq.into(), lease.into()];
            writer.array(5, |writer| {
                numbers.into_iter().for_each(|number| writer.unsigned(number));
                writer.unsigned(content.unwrap_or(0));
            });
        });
        let Self { stack, hand_overs, .. } = self;
        stack
            .below
            .finish_broadcast(now, writer, |id, kind| hazards.may(kind, hand_overs.get(&id)))?;
        self.on_told(key, &hazards);
        self.counts.written += 1;
        self.latest_own = self.latest_own.max(stamp.version.time);
        self.put(now, key, value.map(Arc::new), stamp);
        self.settle(now);
        Ok(())
    }

    /// Whether a write of this node's may replace what is held.
    fn check_lease(
        &self,
        key: &[u8],
        held: &Record,
        is_delta: bool,
        (me, time): (&Owner, u64),
    ) -> Result<(), WriteError> {
        let (leasing, version) = (self.config.leasing, &held.stamp.version);
        let of_held = (!held.stamp.is_tombstone()).then_some((&version.owner, version.time));
        if permits(leasing, is_delta, of_held, (me, time), time, held.stamp.lease) {
            return Ok(());
        }
        let (key, owner) = (Bytes::copy_from_slice(key), version.owner.clone());
        Err(WriteError::Leased { key, owner, until: Time::from_millis(held.stamp.end()) })
    }

    /// When a write of now is dated: not before what it follows, so that it does not count as older
    /// where clocks differ.
    fn time_of_write(
        &self,
        key: &[u8],
        held: Option<&Record>,
        me: &Owner,
        clock: u64,
    ) -> Result<u64, WriteError> {
        let Some(held) = held else { return Ok(clock) };
        let version = &held.stamp.version;
        let mut time = clock.max(version.time);
        if !self.config.leasing && time == version.time && version.owner < *me {
            // In the same second the smaller owner wins.
            time += 1;
        }
        if time > clock.saturating_add(self.config.max_ahead.as_secs()) {
            let (key, seconds) = (Bytes::copy_from_slice(key), time - clock);
            return Err(WriteError::Ahead { key, seconds });
        }
        Ok(time)
    }

    /// Bytes that a value takes, if there is room for it.
    fn check_size(&self, key: &[u8], value: Option<&Value>) -> Result<usize, WriteError> {
        let Some(value) = value else { return Ok(0) };
        let length = match encoded_len(value, &self.limits()) {
            Ok(length) => length,
            Err(EncodeError::TooDeep { limit }) => {
                return Err(SendError::Message(EncodeError::TooDeep { limit }).into());
            }
            Err(error) => return Err(SendError::Message(error).into()),
        };
        let limit = self.largest_value(key);
        if length > limit {
            return Err(WriteError::ValueTooLarge { length, limit });
        }
        self.check_room_for(key, length)?;
        Ok(length)
    }

    /// Bytes that a value of this key may take, so that it fits into every message that tells it.
    pub(crate) fn largest_value(&self, key: &[u8]) -> usize {
        /// Names of the sender and the owner, times, and what stands around them.
        const AROUND: usize = 512;
        let limits = self.limits();
        let message = limits.frame.min(limits.expanded) as usize;
        self.config.max_value.min(message.saturating_sub(key.len() + AROUND))
    }

    /// Whether there is room for a key with a value of so many bytes.
    pub(crate) fn check_room_for(&self, key: &[u8], length: usize) -> Result<(), WriteError> {
        let held = self.table.get(key);
        let is_new = held.is_none_or(|held| held.value.is_none());
        if is_new && self.table.len() >= self.config.max_keys {
            return Err(WriteError::TooManyKeys { limit: self.config.max_keys });
        }
        let before = held.map_or(0, |held| held.size);
        let length = self.table.bytes() - before + key.len() + length;
        let limit = self.config.max_bytes;
        if length > limit {
            return Err(WriteError::Full { length, limit });
        }
        Ok(())
    }
}

/// A map with another one merged into it. Text and bytes are the same key.
pub(crate) fn merge(map: &[(Value, Value)], delta: &[(Value, Value)]) -> Value {
    let is_same = |one: &Value, two: &Value| match (text_bytes(one), text_bytes(two)) {
        (Some(one), Some(two)) => one == two,
        _ => one == two,
    };
    let mut merged = map.to_vec();
    for (key, value) in delta {
        match merged.iter_mut().find(|(known, _)| is_same(known, key)) {
            Some((_, known)) => *known = value.clone(),
            None => merged.push((key.clone(), value.clone())),
        }
    }
    Value::Map(merged)
}

fn no_such_key(key: &[u8]) -> WriteError {
    WriteError::NoSuchKey { key: Bytes::copy_from_slice(key) }
}
