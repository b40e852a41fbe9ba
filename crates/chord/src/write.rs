//! Writes: acknowledged once three tables of five have them, each with its copies.

use bytes::Bytes;
use rand::RngExt as _;
use rs2p_base::{RequestId, Time};
use rs2p_wire::{Encoded, Value};

use crate::consult::handed_over;
use crate::error::{ReadError, WriteError};
use crate::event::ChordEvent;
use crate::machine::Chord;
use crate::operation::{Goal, MAJORITY, Operation, Phase, Reply, TABLES};
use crate::record::{Record, Spot, Version};
use crate::request::{Kept, Op, Refusal};

impl Operation {
    /// Whether some table had a value before this write.
    fn had_value(&self) -> bool {
        let had = |reply: &Reply| matches!(reply, Reply::Kept(Kept::Done { had: true, .. }));
        matches!(self.phase, Phase::Write { had: true, .. })
            || self.tables.iter().filter_map(|slot| slot.answer.as_ref()).any(had)
    }

    /// What a table is asked in this phase.
    pub(crate) fn op(&self, spot: Spot) -> Option<Op> {
        Some(match &self.phase {
            Phase::Read => Op::Fetch(spot),
            Phase::Explain => Op::Find,
            Phase::Write { version, value, .. } => {
                let key = Some(self.key.clone());
                let record = Record { version: *version, key, value: value.clone() };
                Op::Keep { spot, record }
            }
            Phase::Merge { base, number, .. } => {
                let Goal::Delta(delta) = &self.goal else { return None };
                let key = Some(self.key.clone());
                let base = base.as_ref().map(|(version, value)| Record {
                    version: *version,
                    key: key.clone(),
                    value: value.clone(),
                });
                Op::Merge { spot, base, key, number: *number, delta: delta.clone() }
            }
            Phase::List => return None,
        })
    }
}

impl Chord {
    /// Sets a key. [`ChordEvent::Written`] tells when it is acknowledged.
    ///
    /// # Errors
    /// The key or the value is over a limit, the value is nil, or too much is under way.
    pub fn set(
        &mut self,
        now: Time,
        key: impl AsRef<[u8]>,
        value: &Value,
    ) -> Result<RequestId, WriteError> {
        let key = key.as_ref();
        self.check(key)?;
        let value = self.encode(value)?;
        let key = Bytes::copy_from_slice(key);
        let version = self.next_version(now, None);
        let phase = writing(version, Some(value), None);
        Ok(self.begin(now, key, Goal::Set, phase, self.config.timeout))
    }

    /// Deletes a key. [`ChordEvent::Written`] tells when it is acknowledged;
    /// [`WriteError::Absent`] when there was none.
    ///
    /// # Errors
    /// The key is too long, or too much is under way.
    pub fn del(&mut self, now: Time, key: impl AsRef<[u8]>) -> Result<RequestId, WriteError> {
        let key = key.as_ref();
        self.check(key)?;
        let key = Bytes::copy_from_slice(key);
        let version = self.next_version(now, None);
        let phase = writing(version, None, None);
        Ok(self.begin(now, key, Goal::Del, phase, self.config.timeout))
    }

    /// Deletes a key and gives its value, by [`ChordEvent::Written`]. What others write meanwhile is
    /// not deleted unseen: either it stays, or it is what is given.
    ///
    /// # Errors
    /// As [`del`](Self::del).
    pub fn pop(&mut self, now: Time, key: impl AsRef<[u8]>) -> Result<RequestId, WriteError> {
        let key = key.as_ref();
        self.check(key)?;
        let key = Bytes::copy_from_slice(key);
        Ok(self.begin(now, key, Goal::Pop, Phase::Read, self.config.timeout))
    }

    /// Merges a map into the one that is a key's value, or makes one. [`ChordEvent::Written`] gives
    /// the whole map.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn apply_delta(
        &mut self,
        now: Time,
        key: impl AsRef<[u8]>,
        delta: Vec<(Value, Value)>,
    ) -> Result<RequestId, WriteError> {
        let key = key.as_ref();
        self.check(key)?;
        let delta = self.encode(&Value::Map(delta))?;
        let key = Bytes::copy_from_slice(key);
        Ok(self.begin(now, key, Goal::Delta(delta), Phase::Read, self.config.timeout))
    }

    fn encode(&self, value: &Value) -> Result<Encoded, WriteError> {
        let limit = self.config.max_value;
        if value.is_nil() {
            return Err(WriteError::Nil);
        }
        let encoded = Encoded::new(value, &self.limits());
        let encoded = encoded.map_err(|_| WriteError::Value { size: 0, limit })?;
        let size = encoded.as_bytes().len();
        if size > limit {
            return Err(WriteError::Value { size, limit });
        }
        Ok(encoded)
    }

    /// What was read is to be deleted.
    pub(crate) fn go_on_popping(
        &mut self,
        now: Time,
        request: RequestId,
        version: Option<Version>,
        value: Option<Encoded>,
    ) {
        let Some(value) = value else {
            self.operations.remove(&request);
            let result = Err(WriteError::Absent);
            return self.stack.tell(ChordEvent::Written { request, result });
        };
        let version = match version {
            // What an old node still has is told from a new write by the deletion's time.
            Some(version) if self.old_members().is_empty() => self.deletion_of(now, version),
            version => self.next_version(now, version),
        };
        self.write_on(now, request, version, None, Some(value.to_value()));
    }

    /// The version of a deletion that deletes this version, and nothing that was written since it
    /// was read.
    fn deletion_of(&self, now: Time, read: Version) -> Version {
        // What is written meanwhile has a time of now, but for clocks that differ. An older deletion
        // would be forgotten before everyone has heard of it.
        let most = self.config.max_ahead.saturating_add(self.config.timeout);
        let before = most.min(self.config.tombstone_age / 2).as_millis() as u64;
        let time = self.clock(now).saturating_sub(before);
        if read.time < time { Version { time, author: self.id() } } else { read.next() }
    }

    /// Something was written after what this operation has read: it begins again.
    fn read_anew(&mut self, now: Time, request: RequestId) {
        let Some(operation) = self.operations.get_mut(&request) else { return };
        operation.forget_answers();
        (operation.is_wide, operation.phase) = (false, Phase::Read);
        self.ask_tables(now, request);
    }

    /// What was read is to be merged with. Deltas are merged in one table first, in the order in
    /// which they come there; the others take what comes of it.
    pub(crate) fn go_on_merging(
        &mut self,
        now: Time,
        request: RequestId,
        version: Option<Version>,
        value: Option<Encoded>,
    ) {
        let Some(operation) = self.operations.get_mut(&request) else { return };
        operation.forget_answers();
        operation.is_wide = true;
        // What only old nodes have is of no version.
        let oldest = value.is_some().then(|| handed_over(self.stack.below.id()));
        let base = version.or(oldest).map(|version| (version, value));
        let number = self.rng.random();
        operation.phase = Phase::Merge { at: 0, since: now, number, base };
        self.ask_tables(now, request);
    }

    pub(crate) fn judge_merge(&mut self, now: Time, request: RequestId) {
        let Some(operation) = self.operations.get_mut(&request) else { return };
        let Phase::Merge { at, since, .. } = &mut operation.phase else { return };
        match &operation.tables[*at].answer {
            Some(Reply::Kept(Kept::Refused(Refusal::NoMap))) => {
                self.operations.remove(&request);
                let result = Err(WriteError::NoMap);
                self.stack.tell(ChordEvent::Written { request, result });
            }
            Some(reply @ Reply::Kept(_)) if reply.is_final() && *at + 1 < TABLES => {
                (*at, *since) = (*at + 1, now);
                self.ask_tables(now, request);
            }
            _ => {}
        }
    }

    /// A table has merged the change: the others are told what came of it.
    pub(crate) fn on_merged(
        &mut self,
        now: Time,
        request: RequestId,
        version: Version,
        value: Encoded,
    ) {
        let result = value.to_value();
        self.write_on(now, request, version, Some(value), Some(result));
    }

    fn write_on(
        &mut self,
        now: Time,
        request: RequestId,
        version: Version,
        value: Option<Encoded>,
        result: Option<Value>,
    ) {
        let Some(operation) = self.operations.get_mut(&request) else { return };
        operation.forget_answers();
        operation.is_wide = true;
        operation.phase = writing(version, value, result);
        self.ask_tables(now, request);
    }

    pub(crate) fn judge_write(&mut self, now: Time, request: RequestId) {
        let Some(operation) = self.operations.get_mut(&request) else { return };
        let merges = matches!(operation.goal, Goal::Delta(_));
        let pops = matches!(operation.goal, Goal::Pop);
        let Phase::Write { version, is_redated, is_told, is_repair, .. } = &mut operation.phase
        else {
            return;
        };
        let replies = || operation.tables.iter().filter_map(|slot| slot.answer.as_ref());
        let later = replies().filter_map(|reply| match reply {
            Reply::Kept(Kept::Newer(later)) => Some(*later),
            _ => None,
        });
        let has_kept = |reply: &&Reply| matches!(reply, Reply::Kept(Kept::Done { .. }));
        let is_later = |reply: &&Reply| matches!(reply, Reply::Kept(Kept::Newer(_)));
        let kept = replies().filter(has_kept).count();
        let known = kept + replies().filter(is_later).count();
        // What was made later of the same map, or read later, has it in it. And once a write is
        // dated after all that three tables knew, what is later still came at the same time.
        let is_last = merges || *is_repair || *is_redated;
        if pops && !is_last && known >= MAJORITY && kept < MAJORITY {
            return self.read_anew(now, request);
        }
        if let Some(later) = later.max()
            && !is_last
            && !pops
            && !*is_told
            && known >= MAJORITY
        {
            *is_redated = true;
            self.counts.redated += 1;
            let later = later.max(*version);
            return self.date_anew(now, request, later);
        }
        let done = if is_last { known } else { kept };
        let all = replies().filter(|reply| reply.is_final()).count() == TABLES;
        if done >= MAJORITY && !*is_told {
            *is_told = true;
            self.tell_written(now, request);
        }
        if all {
            self.end_write(request);
        }
    }

    /// Something later is known than this write: it is made anew, so that it is the latest.
    fn date_anew(&mut self, now: Time, request: RequestId, later: Version) {
        let anew = self.next_version(now, Some(later));
        let Some(operation) = self.operations.get_mut(&request) else { return };
        let had_any = operation.had_value();
        operation.forget_answers();
        if let Phase::Write { version, had, .. } = &mut operation.phase {
            (*version, *had) = (anew, had_any);
        }
        self.ask_tables(now, request);
    }

    /// A write is acknowledged by three tables; the others may follow.
    fn tell_written(&mut self, now: Time, request: RequestId) {
        let Some(operation) = self.operations.get_mut(&request) else { return };
        let had = operation.had_value();
        let Phase::Write { version, value, result, is_repair, .. } = &mut operation.phase else {
            return;
        };
        let result = result.take();
        if *is_repair {
            let (version, value) = (*version, value.clone());
            return self.finish_read(now, request, Some(version), value);
        }
        let is_later = |reply: &Reply| matches!(reply, Reply::Kept(Kept::Newer(_)));
        let mut replies = operation.tables.iter().filter_map(|slot| slot.answer.as_ref());
        let is_absent = matches!(operation.goal, Goal::Del) && !had && !replies.any(is_later);
        let key = operation.key.clone();
        let is_gone = matches!(operation.goal, Goal::Del | Goal::Pop);
        if is_gone {
            self.announce_deletion(now, &key);
        } else {
            self.announce(now, &key);
        }
        let result = if is_absent { Err(WriteError::Absent) } else { Ok(result) };
        self.stack.tell(ChordEvent::Written { request, result });
    }

    /// A write has had its time, or all tables have answered.
    pub(crate) fn end_write(&mut self, request: RequestId) {
        let Some(operation) = self.operations.get(&request) else { return };
        let answers = operation.answers();
        let done = |reply: &&Reply| matches!(reply, Reply::Kept(Kept::Done { .. }));
        let replies = operation.tables.iter().filter_map(|slot| slot.answer.as_ref());
        let done = replies.filter(done).count();
        match operation.phase {
            Phase::Write { is_told: true, .. } => {
                self.operations.remove(&request);
            }
            Phase::Write { is_repair: true, .. } => {
                self.fail_read(request, ReadError::NoMajority(answers));
            }
            _ => {
                let error = match self.timed_out(request) {
                    ReadError::NobodyStores => ReadError::NobodyStores.into(),
                    _ => WriteError::NotAcknowledged { done, answers },
                };
                self.operations.remove(&request);
                self.stack.tell(ChordEvent::Written { request, result: Err(error) });
            }
        }
    }
}

fn writing(version: Version, value: Option<Encoded>, result: Option<Value>) -> Phase {
    let (is_redated, had, is_repair, is_told) = (false, false, false, false);
    Phase::Write { version, value, is_redated, had, result, is_repair, is_told }
}
