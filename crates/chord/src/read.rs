//! Reads: three tables have to agree, and what they know of later writes counts.
//!
//! A write is acknowledged by three tables of five, so any three tables know the latest one. If
//! those that were asked agree, that is it. If not, all are asked, and the latest write is brought
//! to those that lack it before it is believed, so that later reads find it, too (Attiya, Bar-Noy
//! and Dolev, "Sharing memory robustly in message-passing systems", 1995).

use std::time::Duration;

use bytes::Bytes;
use rs2p_base::{RequestId, Time};
use rs2p_wire::Encoded;

use crate::asks::Ask;
use crate::error::ReadError;
use crate::event::ChordEvent;
use crate::machine::Chord;
use crate::operation::{Goal, MAJORITY, Phase, Reply, TABLES};
use crate::position::Table;
use crate::record::{Record, Spot, Version};
use crate::request::{Fetched, Op};

impl Chord {
    /// Reads a key. [`ChordEvent::Read`] tells.
    ///
    /// # Errors
    /// The key is too long, or too much is under way.
    pub fn get(&mut self, now: Time, key: impl AsRef<[u8]>) -> Result<RequestId, ReadError> {
        self.get_within(now, key, self.config.timeout)
    }

    /// As [`get`](Self::get), with a time limit of one's own.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_within(
        &mut self,
        now: Time,
        key: impl AsRef<[u8]>,
        timeout: Duration,
    ) -> Result<RequestId, ReadError> {
        let key = key.as_ref();
        self.check(key)?;
        Ok(self.begin(now, Bytes::copy_from_slice(key), Goal::Get, Phase::Read, timeout))
    }

    /// Looks whether a read is decided by what has come so far.
    pub(crate) fn judge_read(&mut self, now: Time, request: RequestId) {
        let Some(operation) = self.operations.get_mut(&request) else { return };
        let found = Found::of(&operation.tables.each_ref().map(|slot| slot.answer.as_ref()));
        if found.answered < MAJORITY {
            return;
        }
        if let Some((count, version, value)) = found.best.clone()
            && count >= MAJORITY
        {
            if found.answered > count || found.has_ageless {
                self.bring_up_to_date(now, request, (version, found.latest), value.as_ref());
            }
            return self.finish_read(now, request, version, value);
        }
        if !operation.is_wide {
            operation.is_wide = true;
            return self.ask_tables(now, request);
        }
        if found.answered == TABLES {
            self.decide(now, request, found);
        }
    }

    /// Some tables do not answer: three that do are enough after a while.
    pub(crate) fn judge_overdue(&mut self, now: Time, request: RequestId) {
        let Some(operation) = self.operations.get(&request) else { return };
        if !matches!(operation.phase, Phase::Read) || !operation.is_wide {
            return;
        }
        let found = Found::of(&operation.tables.each_ref().map(|slot| slot.answer.as_ref()));
        let is_waiting = |slot: &crate::operation::Slot| slot.is_waiting();
        let waits = operation.tables.iter().any(is_waiting);
        if found.answered >= MAJORITY && !waits {
            self.decide(now, request, found);
        }
    }

    /// All have answered who will, and no three agree.
    fn decide(&mut self, now: Time, request: RequestId, found: Found) {
        match found.best {
            // The latest write has too few copies: it is brought to the others before it counts.
            Some((_, Some(version), value)) if !found.is_split => {
                let Some(operation) = self.operations.get_mut(&request) else { return };
                operation.forget_answers();
                operation.is_wide = true;
                operation.phase = Phase::Write {
                    version,
                    value,
                    is_redated: false,
                    had: false,
                    result: None,
                    is_repair: true,
                    is_told: false,
                };
                self.counts.read_repairs += 1;
                self.ask_tables(now, request);
            }
            // Old nodes' values have no age. Some may be on their way.
            Some(_) => {}
            None if found.nothing >= MAJORITY => self.finish_read(now, request, None, None),
            None => {}
        }
    }

    /// Brings a value to the tables that answered with less, once most have it.
    fn bring_up_to_date(
        &mut self,
        now: Time,
        request: RequestId,
        (version, latest): (Option<Version>, Option<Version>),
        value: Option<&Encoded>,
    ) {
        let stores = self.ring.is_some() || self.peers.values().any(|peer| peer.is_way());
        if !stores {
            return;
        }
        // What most old nodes have is later than what fewer members know.
        let version = version.unwrap_or_else(|| self.next_version(now, latest));
        let Some(operation) = self.operations.get(&request) else { return };
        let key = operation.key.clone();
        let lacks = |reply: &Reply| match reply {
            Reply::Fetched(Fetched::Nothing) => true,
            Reply::Fetched(Fetched::Record(held, _)) => *held < version,
            // The old node has something else, or the member does not know how old it is.
            Reply::Fetched(Fetched::Old(Some(_))) => true,
            _ => false,
        };
        let tables = Table::ALL.into_iter().zip(&operation.tables);
        let lacking = tables.filter(|(_, slot)| slot.answer.as_ref().is_some_and(lacks));
        for table in lacking.map(|(table, _)| table).collect::<Vec<_>>() {
            let spot = Spot::of(table, &key);
            let record = Record { version, key: Some(key.clone()), value: value.cloned() };
            self.counts.read_repairs += 1;
            self.ask(now, spot.point(), Op::Keep { spot, record }, Ask::Told);
        }
    }

    /// A read has had its time.
    pub(crate) fn end_read(&mut self, now: Time, request: RequestId) {
        let Some(operation) = self.operations.get(&request) else { return };
        let found = Found::of(&operation.tables.each_ref().map(|slot| slot.answer.as_ref()));
        if found.nothing >= MAJORITY && found.best.is_none() {
            return self.finish_read(now, request, None, None);
        }
        let error = if found.answered >= MAJORITY && found.best.is_some() {
            ReadError::NoMajority(operation.answers())
        } else {
            self.timed_out(request)
        };
        self.fail_read(request, error);
    }

    pub(crate) fn fail_read(&mut self, request: RequestId, error: ReadError) {
        let Some(operation) = self.operations.remove(&request) else { return };
        let event = match operation.goal {
            Goal::Get => ChordEvent::Read { request, result: Err(error) },
            _ => ChordEvent::Written { request, result: Err(error.into()) },
        };
        self.stack.tell(event);
    }

    /// A read is decided.
    pub(crate) fn finish_read(
        &mut self,
        now: Time,
        request: RequestId,
        version: Option<Version>,
        value: Option<Encoded>,
    ) {
        let Some(operation) = self.operations.get(&request) else { return };
        match &operation.goal {
            Goal::Pop => self.go_on_popping(now, request, version, value),
            Goal::Delta(_) => self.go_on_merging(now, request, version, value),
            _ => {
                self.operations.remove(&request);
                let result = Ok(value.as_ref().map(Encoded::to_value));
                self.stack.tell(ChordEvent::Read { request, result });
            }
        }
    }
}

/// What the tables say, all in all.
#[derive(Debug)]
struct Found {
    /// Tables that have answered for good.
    answered: usize,
    /// Tables that know nothing, or of old nodes that have nothing so far.
    nothing: usize,
    /// The latest write with how many tables have it, those counted that have its value and cannot
    /// tell since when; without versions, the value that most agree on.
    best: Option<(usize, Option<Version>, Option<Encoded>)>,
    /// Whether the same write stands for different values.
    is_split: bool,
    /// The latest version of all.
    latest: Option<Version>,
    /// Whether there are values of old nodes' whose age nobody knows.
    has_ageless: bool,
}

impl Found {
    fn of(replies: &[Option<&Reply>; TABLES]) -> Self {
        let mut records: Vec<(Option<Version>, Option<&Encoded>)> = Vec::new();
        let (mut answered, mut nothing) = (0, 0);
        for reply in replies.iter().flatten() {
            let Reply::Fetched(fetched) = reply else { continue };
            match fetched {
                Fetched::Nothing => {
                    answered += 1;
                    nothing += 1;
                }
                Fetched::Old(None) => nothing += 1,
                Fetched::Old(Some(value)) => {
                    answered += 1;
                    records.push((None, Some(value)));
                }
                Fetched::Record(version, value) => {
                    answered += 1;
                    records.push((Some(*version), value.as_ref()));
                }
            }
        }
        // Two writes of the same value are two: the earlier one in three tables does not keep the
        // later one in a single table from being lost.
        let count = |of: &(Option<Version>, Option<&Encoded>)| {
            let is_ageless = |it: &Option<Version>| it.is_none() || of.0.is_none();
            let supports = |it: &&(Option<Version>, Option<&Encoded>)| {
                it.1 == of.1 && (it.0 == of.0 || is_ageless(&it.0))
            };
            records.iter().filter(supports).count()
        };
        let latest = records.iter().filter(|it| it.0.is_some()).max_by_key(|it| it.0);
        let most = records.iter().filter(|it| it.0.is_none()).max_by_key(|it| count(it));
        // What most say counts among those whose age is not known.
        let best = match (latest, most) {
            (Some(latest), _) if count(latest) >= MAJORITY => Some(latest),
            (_, Some(most)) if count(most) >= MAJORITY => Some(most),
            (Some(latest), _) => Some(latest),
            (None, most) => most,
        };
        let is_split = latest.is_some_and(|latest| {
            records.iter().any(|other| other.0 == latest.0 && other.1 != latest.1)
        });
        let best = best.map(|it| (count(it), it.0, it.1.cloned()));
        let (latest, has_ageless) = (latest.and_then(|it| it.0), most.is_some());
        Self { answered, nothing, best, is_split, latest, has_ageless }
    }
}
