//! What this node's user wants: reads and writes over five tables.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;
use rs2p_base::{Layer as _, NodeId, RequestId, Time};
use rs2p_wire::{Encoded, Value};

use crate::asks::Ask;
use crate::error::{Answers, KeyTooLong, ReadError, TableAnswer, TooManyOperations, WriteError};
use crate::event::{ChordEvent, Path};
use crate::machine::{Chord, Timer};
use crate::position::Table;
use crate::record::{Spot, Version};
use crate::request::{Answer, Fetched, Kept, Op, Refusal};
use crate::routing::{Arrived, Way};

/// How often it is looked whose answers are overdue.
pub(crate) const LOOK: Duration = Duration::from_millis(100);
/// How long a table may take before it is asked once more, by another way if there is one.
const AGAIN: Duration = Duration::from_secs(2);
/// How long the owner of a table may take to merge, or to be replaced by the next one.
const NEXT_TABLE: Duration = Duration::from_secs(4);
/// How soon a table is asked again to which no way was known.
const NO_WAY: Duration = Duration::from_millis(50);
/// Tables that have to agree.
pub(crate) const MAJORITY: usize = 3;
pub(crate) const TABLES: usize = Table::ALL.len();

/// A read or write under way.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) key: Bytes,
    pub(crate) goal: Goal,
    pub(crate) phase: Phase,
    pub(crate) tables: [Slot; TABLES],
    /// Whether all tables are asked, not only as many as are needed.
    pub(crate) is_wide: bool,
    /// When it was last looked for what is late.
    looked: Time,
    timeout: Duration,
    pub(crate) until: Time,
}

/// What the user wants.
#[derive(Debug)]
pub(crate) enum Goal {
    Get,
    Set,
    Del,
    Pop,
    Delta(Encoded),
    Explain,
    List,
}

/// What is done for it just now.
#[derive(Debug)]
pub(crate) enum Phase {
    Read,
    Merge {
        /// The table in which a change of a map is merged. Those before it were tried in vain.
        at: usize,
        /// Since when.
        since: Time,
        /// What tells the change from others, however often it is asked for.
        number: u64,
        base: Option<(Version, Option<Encoded>)>,
    },
    Write {
        version: Version,
        value: Option<Encoded>,
        /// Whether it was dated after all that three tables knew.
        is_redated: bool,
        /// Whether a table had a value before: asked anew, it has this write's.
        had: bool,
        /// What the user is told at the end.
        result: Option<Value>,
        /// Whether it was a read that found too few copies.
        is_repair: bool,
        is_told: bool,
    },
    Explain,
    List,
}

/// A table's part in an operation.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// The question that is open, and since when.
    asked: Option<(u64, Time)>,
    /// The first question of this phase. Answers to earlier ones are to another.
    first: Option<u64>,
    /// Whether it was asked in vain before.
    is_late: bool,
    no_way: Option<Time>,
    /// Whether an old node had nothing once before.
    is_empty: bool,
    pub(crate) answer: Option<Reply>,
}

#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Fetched(Fetched),
    Kept(Kept),
    Merged,
    Path(Vec<NodeId>, Option<rs2p_base::Endpoint>),
}

impl Reply {
    /// Whether nothing else is to be expected of this table.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            // Old nodes answer with nothing before they know.
            Self::Fetched(Fetched::Old(None)) => false,
            Self::Kept(Kept::Refused(Refusal::Busy)) => false,
            _ => true,
        }
    }
}

impl Operation {
    pub(crate) fn answers(&self) -> Answers {
        let all = Table::ALL.into_iter().zip(&self.tables);
        Answers(all.map(|(table, slot)| (table, slot.describe())).collect())
    }

    /// Begins with all tables once more.
    pub(crate) fn forget_answers(&mut self) {
        self.tables = Default::default();
    }

    fn is_wanted(&self, table: Table, count: usize) -> bool {
        match &self.phase {
            Phase::Merge { at, .. } => *at == table.index(),
            Phase::Read => self.is_wide || count < MAJORITY,
            Phase::Write { .. } | Phase::Explain => true,
            Phase::List => false,
        }
    }
}

impl Slot {
    /// Whether an answer is to be expected soon.
    pub(crate) fn is_waiting(&self) -> bool {
        self.asked.is_some() && !self.is_late
    }

    fn describe(&self) -> TableAnswer {
        let time = |version: &Version| version.time;
        match &self.answer {
            None if self.no_way.is_some() => TableAnswer::NoWay,
            None => TableAnswer::Silent,
            Some(Reply::Fetched(Fetched::Record(version, Some(value)))) => {
                TableAnswer::Value { bytes: value.as_bytes().len(), time: time(version) }
            }
            Some(Reply::Fetched(Fetched::Old(Some(value)))) => {
                TableAnswer::Value { bytes: value.as_bytes().len(), time: 0 }
            }
            Some(Reply::Fetched(Fetched::Record(version, None))) => {
                TableAnswer::Deleted { time: time(version) }
            }
            Some(Reply::Fetched(Fetched::Nothing | Fetched::Old(None))) => TableAnswer::Absent,
            Some(Reply::Kept(Kept::Done { copies, .. })) => TableAnswer::Kept { copies: *copies },
            Some(Reply::Kept(Kept::Newer(_))) => TableAnswer::Newer,
            Some(Reply::Kept(Kept::Refused(Refusal::Full))) => TableAnswer::Full,
            Some(Reply::Kept(Kept::Refused(Refusal::Ahead))) => TableAnswer::Ahead,
            Some(Reply::Kept(Kept::Refused(Refusal::NoMap))) => TableAnswer::NoMap,
            Some(Reply::Kept(Kept::Refused(Refusal::Busy))) => TableAnswer::Busy,
            Some(Reply::Merged | Reply::Path(..)) => TableAnswer::Kept { copies: 1 },
        }
    }
}

impl Chord {
    pub(crate) fn begin(
        &mut self,
        now: Time,
        key: Bytes,
        goal: Goal,
        phase: Phase,
        timeout: Duration,
    ) -> RequestId {
        let request = self.stack.below.request_id();
        let is_wide = !matches!(phase, Phase::Read);
        let operation = Operation {
            key,
            goal,
            phase,
            tables: Default::default(),
            is_wide,
            looked: now,
            timeout,
            until: now + timeout,
        };
        self.operations.insert(request, operation);
        self.watch_for_overdue(now);
        self.ask_tables(now, request);
        self.settle(now);
        request
    }

    /// Whether another operation may begin.
    pub(crate) fn check(&self, key: &[u8]) -> Result<(), Refused> {
        let limit = self.config.max_key;
        if key.len() > limit {
            return Err(Refused::Key(KeyTooLong { length: key.len(), limit }));
        }
        let limit = self.config.max_operations;
        if self.operations.len() >= limit {
            return Err(Refused::Busy(TooManyOperations { limit }));
        }
        Ok(())
    }

    /// Asks the tables that are to be asked now.
    pub(crate) fn ask_tables(&mut self, now: Time, request: RequestId) {
        let Some(operation) = self.operations.get(&request) else { return };
        let mut order = Table::ALL;
        if matches!(operation.phase, Phase::Read) && !operation.is_wide {
            // What is here is asked first, the rest in any order.
            let key = operation.key.clone();
            let own = [self.id()];
            order.rotate_left(self.rng.random_range(0..TABLES));
            order.sort_by_key(|table| {
                self.way(now, Spot::of(*table, &key).point(), &own) != Way::Here
            });
        }
        for table in order {
            let Some(operation) = self.operations.get(&request) else { return };
            let is_open = |slot: &&Slot| slot.asked.is_some() || slot.answer.is_some();
            let count = operation.tables.iter().filter(is_open).count();
            let slot = &operation.tables[table.index()];
            if slot.answer.is_none() && slot.asked.is_none() && operation.is_wanted(table, count) {
                self.ask_table(now, request, table);
            }
        }
    }

    fn ask_table(&mut self, now: Time, request: RequestId, table: Table) {
        let Some(operation) = self.operations.get(&request) else { return };
        let spot = Spot::of(table, &operation.key);
        let Some(op) = operation.op(spot) else { return };
        // An answer may come at once, and has to find the question.
        let number = self.asks.next();
        if let Some(operation) = self.operations.get_mut(&request) {
            let slot = &mut operation.tables[table.index()];
            (slot.asked, slot.no_way) = (Some((number, now)), None);
            slot.first.get_or_insert(number);
        }
        if self.ask(now, spot.point(), op, Ask::Table { request, table }).is_none()
            && let Some(operation) = self.operations.get_mut(&request)
        {
            let slot = &mut operation.tables[table.index()];
            (slot.asked, slot.no_way) = (None, Some(now));
        }
    }

    /// A table has answered.
    pub(crate) fn on_table(
        &mut self,
        now: Time,
        request: RequestId,
        table: Table,
        number: u64,
        arrived: Arrived,
    ) {
        let Some(operation) = self.operations.get_mut(&request) else { return };
        let slot = &mut operation.tables[table.index()];
        if slot.first.is_none_or(|first| number < first) {
            return;
        }
        slot.asked = None;
        let reply = match (&operation.phase, arrived.answer) {
            // It has had the time to ask others of its kind.
            (Phase::Read, Answer::Fetched(Fetched::Old(None))) if slot.is_empty => {
                Reply::Fetched(Fetched::Nothing)
            }
            (Phase::Read, Answer::Fetched(fetched)) => {
                slot.is_empty = fetched == Fetched::Old(None);
                Reply::Fetched(fetched)
            }
            (Phase::Write { .. } | Phase::Merge { .. }, Answer::Kept(kept)) => Reply::Kept(kept),
            (Phase::Merge { .. }, Answer::Merged { version, value }) => {
                slot.answer = Some(Reply::Merged);
                return self.on_merged(now, request, version, value);
            }
            (Phase::Explain, Answer::Found { .. }) => {
                let mut hops = arrived.hops;
                if hops.last() != Some(&arrived.owner) {
                    hops.push(arrived.owner);
                }
                let own = (arrived.owner == self.stack.below.id())
                    .then(|| self.stack.below.local().advertised().cloned())
                    .flatten();
                Reply::Path(hops, arrived.address.or(own))
            }
            // It belongs to a phase that is over.
            _ => return,
        };
        let Some(operation) = self.operations.get_mut(&request) else { return };
        operation.tables[table.index()].answer = Some(reply);
        self.judge(now, request);
    }

    pub(crate) fn judge(&mut self, now: Time, request: RequestId) {
        let Some(operation) = self.operations.get(&request) else { return };
        match &operation.phase {
            Phase::Read => self.judge_read(now, request),
            Phase::Merge { .. } => self.judge_merge(now, request),
            Phase::Write { .. } => self.judge_write(now, request),
            Phase::Explain => {
                if operation.tables.iter().all(|slot| slot.answer.is_some()) {
                    self.finish_explaining(request);
                }
            }
            Phase::List => {}
        }
    }

    fn finish_explaining(&mut self, request: RequestId) {
        let Some(operation) = self.operations.remove(&request) else { return };
        let tables = Table::ALL.into_iter().zip(operation.tables);
        let paths = tables.map(|(table, slot)| {
            let position = table.position(&operation.key);
            let (hops, address) = match slot.answer {
                Some(Reply::Path(hops, address)) => (hops, address),
                _ => (Vec::new(), None),
            };
            Path { table, position, hops, address }
        });
        let paths = paths.collect();
        self.stack.tell(ChordEvent::Explained { request, paths });
    }

    /// Finds the way of a key to its owners. [`ChordEvent::Explained`] tells.
    ///
    /// # Errors
    /// The key is too long, or too much is under way.
    pub fn explain(&mut self, now: Time, key: impl AsRef<[u8]>) -> Result<RequestId, ReadError> {
        let key = key.as_ref();
        self.check(key)?;
        let timeout = self.config.timeout;
        Ok(self.begin(now, Bytes::copy_from_slice(key), Goal::Explain, Phase::Explain, timeout))
    }

    /// A part of the keys, in the order of their positions in the first table: those behind a place
    /// that the part before has told. [`ChordEvent::Listed`] tells. It asks around the ring; keys
    /// that only old nodes wrote are not among them.
    ///
    /// # Errors
    /// Too much is under way.
    pub fn list(&mut self, now: Time, from: Option<NodeId>) -> Result<RequestId, ReadError> {
        self.check(&[])?;
        let from = from.unwrap_or(NodeId::from_bytes([0; NodeId::BYTES]));
        let key = Bytes::copy_from_slice(&from.to_bytes());
        let timeout = self.config.timeout;
        let request = self.begin(now, key, Goal::List, Phase::List, timeout);
        self.ask_for_page(now, request);
        self.settle(now);
        Ok(request)
    }

    fn ask_for_page(&mut self, now: Time, request: RequestId) {
        let Some(operation) = self.operations.get(&request) else { return };
        let Ok(from) = operation.key[..].try_into() else { return };
        let number = self.ask(
            now,
            NodeId::from_bytes(from),
            Op::List(Table::Sha1, None),
            Ask::Page { request },
        );
        let open = number.filter(|number| self.asks.is_open(*number));
        if let Some(operation) = self.operations.get_mut(&request) {
            let slot = &mut operation.tables[0];
            slot.asked = open.map(|number| (number, now));
            slot.no_way = number.is_none().then_some(now);
        }
    }

    pub(crate) fn on_page(&mut self, request: RequestId, answer: Answer) {
        if let Answer::Listed { keys, next } = answer
            && self.operations.remove(&request).is_some()
        {
            self.stack.tell(ChordEvent::Listed { request, result: Ok((keys, next)) });
        }
    }

    /// All that is due at this moment: what nobody has answered is asked again, or ends.
    pub(crate) fn look_for_overdue(&mut self, now: Time) {
        self.timers.set(Timer::Overdue, None);
        self.finish_overdue_copies(now);
        self.end_overdue_consults(now);
        for ask in self.asks.forget_old(now) {
            if let Ask::Move { spot, .. } = ask {
                self.on_not_moved(spot);
            }
        }
        for request in self.operations.keys().copied().collect::<Vec<_>>() {
            self.look_at(now, request);
        }
        let is_idle = self.asks.is_empty()
            && self.operations.is_empty()
            && self.pending.is_empty()
            && self.consults.is_empty();
        if !is_idle {
            self.watch_for_overdue(now);
        }
    }

    fn look_at(&mut self, now: Time, request: RequestId) {
        let Some(operation) = self.operations.get_mut(&request) else { return };
        if operation.until <= now {
            return self.end_overdue(now, request);
        }
        let is_read = matches!(operation.phase, Phase::Read);
        let is_late = now.since(operation.looked) >= AGAIN / 2;
        let mut again = false;
        for slot in &mut operation.tables {
            let is_overdue = slot.asked.is_some_and(|(_, asked)| now.since(asked) >= AGAIN);
            let may_know = slot.no_way.is_some_and(|since| now.since(since) >= NO_WAY);
            let may_come = slot.answer.as_ref().is_some_and(|answer| !answer.is_final());
            if is_overdue {
                self.counts.retried += 1;
                (slot.asked, slot.is_late) = (None, true);
            }
            if may_come && is_late {
                slot.answer = None;
            }
            again |= is_overdue || may_know || may_come && is_late;
        }
        if is_read && is_late && !operation.is_wide {
            operation.is_wide = true;
            again = true;
        }
        if is_late {
            operation.looked = now;
        }
        if let Phase::Merge { at, since, .. } = &mut operation.phase
            && now.since(*since) >= NEXT_TABLE
            && *at + 1 < TABLES
        {
            (*at, *since, again) = (*at + 1, now, true);
        }
        let is_list = matches!(operation.phase, Phase::List);
        if again && is_list {
            self.ask_for_page(now, request);
        } else if again {
            self.ask_tables(now, request);
        }
        self.judge_overdue(now, request);
    }

    /// An operation has had its time.
    fn end_overdue(&mut self, now: Time, request: RequestId) {
        let Some(operation) = self.operations.get(&request) else { return };
        match operation.phase {
            Phase::Explain => self.finish_explaining(request),
            Phase::List => {
                let error = self.timed_out(request);
                self.operations.remove(&request);
                self.stack.tell(ChordEvent::Listed { request, result: Err(error) });
            }
            Phase::Read => self.end_read(now, request),
            Phase::Merge { .. } | Phase::Write { .. } => self.end_write(request),
        }
    }

    /// Why a read got no answers.
    pub(crate) fn timed_out(&self, request: RequestId) -> ReadError {
        let stores = self.ring.is_some() || self.peers.values().any(|peer| peer.stores);
        let Some(operation) = self.operations.get(&request).filter(|_| stores) else {
            return ReadError::NobodyStores;
        };
        ReadError::TimedOut { after: operation.timeout, answers: operation.answers() }
    }
}

/// Why an operation does not begin.
#[derive(Debug)]
pub(crate) enum Refused {
    Key(KeyTooLong),
    Busy(TooManyOperations),
}

impl From<Refused> for ReadError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Key(error) => error.into(),
            Refused::Busy(error) => error.into(),
        }
    }
}

impl From<Refused> for WriteError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Key(error) => error.into(),
            Refused::Busy(error) => error.into(),
        }
    }
}
