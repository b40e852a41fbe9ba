//! Answers to what other nodes ask.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddrV4;
use std::time::Duration;

use bytes::Bytes;
use rs2p_base::Time;
use rs2p_kad::Key;
use serde_json::Value;

use crate::downloads::{Ended, Purpose};
use crate::event::DhtEvent;
use crate::machine::Dht;
use crate::packet::{
    Answer, Ask, Contact, MAX_ENTRIES, MAX_INLINE, MAX_NODES, Request, TransferId,
};

use crate::value::ValueId;
use crate::values::{Record, Verdict, lifetime};

/// Answers to stores that are remembered, to be repeated word by word.
const REMEMBERED: usize = 1_024;

/// How long an answer to a store is remembered: a sender asks twice within 10 s.
const MEMORY: Duration = Duration::from_secs(20);

/// The answers to stores of late. Answered anew, a question that came twice would open a second
/// transfer that nobody feeds (spec, D4).
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    answers: BTreeMap<(SocketAddrV4, String), Bytes>,
    order: VecDeque<(Time, (SocketAddrV4, String))>,
}

impl Remembered {
    fn get(&self, from: SocketAddrV4, ticket: &Value) -> Option<&Bytes> {
        self.answers.get(&(from, ticket.to_string()))
    }

    fn insert(&mut self, now: Time, from: SocketAddrV4, ticket: &Value, answer: Bytes) {
        while let Some((at, name)) = self.order.front()
            && (self.order.len() >= REMEMBERED || now.since(*at) >= MEMORY)
        {
            self.answers.remove(name);
            self.order.pop_front();
        }
        let name = (from, ticket.to_string());
        if self.answers.insert(name.clone(), answer).is_none() {
            self.order.push_back((now, name));
        }
    }
}

impl Dht {
    /// Answers a request.
    pub(crate) fn on_request(&mut self, now: Time, from: SocketAddrV4, request: Request) {
        if let Some(id) = request.sender {
            self.learn(now, Contact::new(id, from));
        }
        let extended = request.extended && self.config.extended;
        let plain = Answer { extended, ..Answer::default() };
        let answer = match request.ask {
            Ask::Ping => Answer { extended: false, ..plain },
            Ask::FindNode { key } => {
                let nodes = Some(self.nearest(&key, from, request.sender));
                Answer { nodes, ..plain }
            }
            Ask::FindValue { key, index, wants_nodes } => {
                let mut answer = self.on_find_value(key, index, plain);
                if answer.entries.is_none() || wants_nodes && extended {
                    answer.nodes = Some(self.nearest(&key, from, request.sender));
                }
                answer
            }
            Ask::GetValue { id, transfer, offset } => {
                return self.on_get_value(now, from, &id, transfer, offset, extended);
            }
            Ask::Store { id, size, stamp, value, wants_nodes } => {
                if let Some(answer) = self.remembered.get(from, &request.ticket).cloned() {
                    return self.send(from, answer);
                }
                let value = value.filter(|_| extended);
                let mut answer = self.on_store(now, from, id, (size, stamp), value, plain);
                if wants_nodes && extended {
                    answer.nodes = Some(self.nearest(&id.key, from, request.sender));
                }
                let answer = answer.write(&self.id, request.ticket.clone());
                if request.ticket != Value::Null {
                    self.remembered.insert(now, from, &request.ticket, answer.clone());
                }
                return self.send(from, answer);
            }
            Ask::Unknown => return,
        };
        let answer = answer.write(&self.id, request.ticket);
        self.send(from, answer);
    }

    /// The nodes nearest to a key that are known: never none, since old nodes take an empty list
    /// for silence (spec, section 15, rule 12).
    fn nearest(&self, key: &Key, asker: SocketAddrV4, id: Option<Key>) -> Vec<Contact> {
        let is_near = asker.ip().is_loopback();
        let tellable = |node: &&Contact| is_near || !node.address.ip().is_loopback();
        let mut nodes: Vec<_> =
            self.table.closest(key).filter(tellable).take(MAX_NODES).copied().collect();
        if nodes.is_empty() {
            nodes.extend(id.map(|id| Contact::new(id, asker)));
        }
        nodes
    }

    fn on_find_value(&self, key: Key, index: Option<Key>, plain: Answer) -> Answer {
        let wanted = index.map(|index| ValueId { key, index });
        if let Some(entry) = wanted.and_then(|id| self.values.get(&id)) {
            let is_short = entry.size.is_some_and(|size| size as usize <= MAX_INLINE);
            let value = (is_short && plain.extended).then(|| self.values.read(&entry.id));
            let value = value.and_then(Result::ok).flatten();
            return Answer { entries: Some(vec![entry]), value, ..plain };
        }
        // Old nodes take any value of the key for the one that they asked for, and would not store
        // it here. Whoever names one is told of no others, and of nodes instead.
        if index.is_some() {
            return plain;
        }
        let under_key = self.values.ids_of(&key).take(MAX_ENTRIES);
        let entries: Vec<_> = under_key.filter_map(|id| self.values.get(&id)).collect();
        Answer { entries: Some(entries).filter(|all| !all.is_empty()), ..plain }
    }

    fn on_get_value(
        &mut self,
        now: Time,
        from: SocketAddrV4,
        id: &ValueId,
        transfer: TransferId,
        offset: u64,
        extended: bool,
    ) {
        let has_room = self.uploads.has_room(from, self.config.uploads);
        if !has_room || self.uploads.knows(from, &transfer) {
            return;
        }
        let Some(value) = self.read_value(id) else { return };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(value.len());
        let rest = value.slice(offset..);
        match transfer.parse::<Key>() {
            Ok(transfer) if extended => {
                let is_proven = self.extended.contains(&from);
                self.uploads.send_stream(now, from, transfer, rest, None, is_proven);
            }
            _ => {
                // An old node may not be ready for what it has asked for.
                let at = now + self.config.breath;
                self.uploads.send_chunks(at, from, transfer, rest, None);
            }
        }
    }

    fn on_store(
        &mut self,
        now: Time,
        from: SocketAddrV4,
        id: ValueId,
        (size, stamp): (i64, i64),
        value: Option<Bytes>,
        plain: Answer,
    ) -> Answer {
        let nearer = self.table.count_closer(&id.key);
        let lives = lifetime(self.config.expire, nearer, self.config.copies);
        let verdict = self.values.judge(now, &id, (size, stamp), lives, &self.config);
        match verdict {
            Verdict::Known => return Answer { kept: plain.extended, ..plain },
            Verdict::Renewed => {
                self.replicator.done(now, id, &mut self.rng);
                return Answer { kept: plain.extended, ..plain };
            }
            Verdict::NoRoom | Verdict::WrongTime => return plain,
            Verdict::Accept => {}
        }
        let stamp = Time::from_secs(u64::try_from(stamp).unwrap_or(0));
        let record = Record { size: size.unsigned_abs(), stamp, lives, original: false };
        if let Some(value) = value {
            if value.len() as u64 != record.size {
                return plain;
            }
            let kept = self.store_here(now, id, record, &value);
            return Answer { kept, ..plain };
        }
        if !self.downloads.has_room(from, self.config.incoming) {
            return plain;
        }
        let transfer = Key::<20>::random(&mut self.rng).to_base64();
        let idle = self.config.idle;
        let purpose = Purpose::Store(id, record);
        self.downloads.expect(now, (transfer.clone(), from), purpose, [idle; 2]);
        Answer { transfer: Some(transfer), ..plain }
    }

    /// All of a value that another stores here has come.
    pub(crate) fn on_store_ended(&mut self, now: Time, ended: &Ended, id: ValueId, record: Record) {
        let value = Bytes::copy_from_slice(&ended.data);
        let kept = (ended.is_whole || !ended.is_stream) && self.store_here(now, id, record, &value);
        if ended.is_stream {
            self.downloads.close(ended, kept);
        }
    }

    /// Keeps a value of another if it is what it is said to be.
    fn store_here(&mut self, now: Time, id: ValueId, record: Record, value: &Bytes) -> bool {
        let belongs = self.config.keeps_foreign_keys || id.belongs(value);
        if !id.fits(value) || !belongs {
            return false;
        }
        let record = Record { size: value.len() as u64, ..record };
        // Others may have filled it since this one was let in.
        if !self.values.has_room(record.size, &self.config) {
            return false;
        }
        match self.values.keep(id, record, value) {
            Ok(()) => {
                self.replicator.done(now, id, &mut self.rng);
                self.tell(DhtEvent::Stored { id, size: record.size });
                true
            }
            Err(error) => {
                self.tell(DhtEvent::Failing { id, reason: error.to_string() });
                false
            }
        }
    }

    /// The bytes of a value that is here; nothing if they cannot be read, which is told.
    pub(crate) fn read_value(&mut self, id: &ValueId) -> Option<Bytes> {
        match self.values.read(id) {
            Ok(value) => value,
            Err(error) => {
                self.tell(DhtEvent::Failing { id: *id, reason: error.to_string() });
                None
            }
        }
    }
}
