//! Publishing a value: the nodes nearest to its key that lack it, then the bytes to each.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rs2p_base::{RequestId, Time};
use rs2p_kad::Key;

use crate::calls::Purpose;
use crate::config::MAX_VALUE;
use crate::error::PutError;
use crate::event::{Copies, DhtEvent};
use crate::machine::{Dht, Operation};
use crate::packet::{Answer, Ask, Contact, MAX_INLINE};
use crate::search::{Search, Wants};
use crate::uploads::Outcome;
use crate::value::{ValueId, sha1_of};
use crate::values::Record;

/// A value being published.
#[derive(Debug)]
pub(crate) struct Put {
    id: ValueId,
    data: Bytes,
    stamp: Time,
    cause: Cause,
    pub(crate) search: Option<Search>,
    /// Who was found to have it already, and whether as it was published now: otherwise it is to
    /// be told that it was published again.
    holders: BTreeMap<Key, bool>,
    /// Whom to store it on next, nearest first; nothing until the search is done.
    targets: Option<VecDeque<Contact>>,
    under_way: BTreeMap<Key, Target>,
    copies: Copies,
    wanted: usize,
}

/// Why a value is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The user wants it.
    User,
    /// It is this node's own, and it is time.
    Publisher,
    /// It is another's, and it is time.
    Replicator,
    /// It was fetched, and a node near to it lacks it.
    Cache,
}

#[derive(Clone, Copy, Debug)]
struct Target {
    node: Contact,
    /// It lost the value on the way once.
    is_second: bool,
}

impl Dht {
    /// Publishes a value of at most [`MAX_VALUE`] bytes under its SHA-1, or under the key of the
    /// file that it describes. It is kept here as well, and published again every day. The result
    /// is a [`DhtEvent::Published`].
    ///
    /// # Errors
    /// It is too long, cannot be kept here, or too much is under way. Nothing has changed.
    pub fn put(
        &mut self,
        now: Time,
        key: Option<Key>,
        value: Bytes,
    ) -> Result<(RequestId, ValueId), PutError> {
        if value.len() > MAX_VALUE {
            return Err(PutError::TooLong(value.len()));
        }
        if let Some(limit) = self.is_busy() {
            return Err(PutError::Busy(limit));
        }
        let index = sha1_of(&value);
        let id = ValueId { key: key.unwrap_or(index), index };
        let size = value.len() as u64;
        let record = Record { size, stamp: now, lives: self.config.expire, original: true };
        let kept = self.values.keep(id, record, &value);
        kept.map_err(|error| PutError::Contents(error.to_string()))?;
        let request = self.next_request();
        // The publisher looks after it once this attempt has ended.
        self.publisher.begun(id);
        self.publish(now, request, id, value, Cause::User);
        Ok((request, id))
    }

    /// Stops publishing a value and keeps it no longer. Nodes that have it keep it until it
    /// expires. Whether it was there.
    pub fn withdraw(&mut self, id: &ValueId) -> bool {
        self.publisher.remove(id);
        self.values.remove(id).is_some()
    }

    /// Sets out to store a value on the nodes nearest to its key.
    pub(crate) fn publish(
        &mut self,
        now: Time,
        request: RequestId,
        id: ValueId,
        data: Bytes,
        cause: Cause,
    ) {
        let stamp = self.values.record(&id).filter(|_| cause == Cause::Replicator);
        let mut put = Put {
            id,
            data,
            stamp: stamp.map_or(now, |record| record.stamp),
            cause,
            search: None,
            holders: BTreeMap::new(),
            targets: None,
            under_way: BTreeMap::new(),
            copies: Copies::default(),
            wanted: self.config.copies,
        };
        put.search = Some(if self.is_short(&put) {
            Search::offering(self, id, put.question(Some(put.data.clone()), true))
        } else {
            Search::new(self, id.key, Wants::Places(id.index))
        });
        self.advance_put(now, request, Box::new(put));
    }

    /// Stores one more copy of a value that was fetched, which lives no longer than the others.
    pub(crate) fn store_copy(
        &mut self,
        now: Time,
        (id, stamp): (ValueId, Time),
        data: Bytes,
        node: Contact,
    ) {
        let request = self.next_request();
        let put = Put {
            id,
            data,
            stamp,
            cause: Cause::Cache,
            search: None,
            holders: BTreeMap::new(),
            targets: Some(VecDeque::from([node])),
            under_way: BTreeMap::new(),
            copies: Copies::default(),
            wanted: 1,
        };
        self.advance_put(now, request, Box::new(put));
    }

    pub(crate) fn advance_put(&mut self, now: Time, request: RequestId, mut put: Box<Put>) {
        if let Some(search) = &mut put.search {
            search.step(self, now, request);
            if !search.is_done() {
                return self.keep(request, Operation::Put(put));
            }
            let lacks = |node: &&Contact| !search.has_offered(&node.id);
            let nearest: VecDeque<_> = search.lookup.closest().filter(lacks).copied().collect();
            put.targets = Some(nearest);
            put.search = None;
        }
        // A short value goes in one datagram, so nobody is kept busy by it.
        let parallel = if self.is_short(&put) { self.config.copies } else { self.config.parallel };
        while put.under_way.len() < parallel && !put.has_enough() {
            let Some(node) = self.next_target(&mut put) else { break };
            self.offer(now, request, &mut put, Target { node, is_second: false });
        }
        if put.under_way.is_empty() {
            let waits = put.targets.as_ref().is_some_and(|targets| !targets.is_empty());
            if put.has_enough() || !waits {
                return self.end_put(now, request, &put);
            }
            self.wait_for_room(request);
        }
        self.keep(request, Operation::Put(put));
    }

    /// The next node that lacks the value and is not busy with us.
    fn next_target(&self, put: &mut Put) -> Option<Contact> {
        let is_short = self.is_short(put);
        let targets = put.targets.as_mut()?;
        while let Some(first) = targets.front()
            && put.holders.get(&first.id) == Some(&true)
        {
            put.copies.had += 1;
            targets.pop_front();
            if put.copies.had + put.copies.stored + put.under_way.len() >= put.wanted {
                return None;
            }
        }
        let free = |node: &Contact| {
            let extended = self.extended.contains(&node.address);
            is_short && extended || self.load.has_room(node.address, extended)
        };
        let at = targets.iter().position(free)?;
        targets.remove(at)
    }

    /// Whether the value goes along with the question whether it may be stored.
    fn is_short(&self, put: &Put) -> bool {
        put.data.len() <= MAX_INLINE && self.config.extended
    }

    /// Asks a node to store the value; short ones come along.
    fn offer(&mut self, now: Time, request: RequestId, put: &mut Put, target: Target) {
        let node = target.node;
        self.load.take(node.address);
        put.under_way.insert(node.id, target);
        let is_short = self.is_short(put);
        let value = is_short.then(|| put.data.clone());
        let ask = put.question(value, false);
        let knows_extensions = self.extended.contains(&node.address);
        let config = &self.config;
        let patience = if knows_extensions { config.patience } else { config.store_patience };
        let to = (node.address, Some(node.id));
        self.call(now, to, &ask, patience, Purpose::Store(request));
    }

    /// A node answered whether it stores the value.
    pub(crate) fn on_store_answer(
        &mut self,
        now: Time,
        request: RequestId,
        mut put: Box<Put>,
        node: Contact,
        answer: Answer,
    ) {
        match answer.transfer {
            None if put.holders.contains_key(&node.id) => {
                // It has it, and may have noted that it was published again: old nodes do not.
                put.settle(&node.id);
                self.load.give_back(node.address);
                put.copies.had += 1;
            }
            _ if answer.kept => {
                put.settle(&node.id);
                self.load.give_back(node.address);
                put.copies.stored += 1;
            }
            Some(transfer) if !self.uploads.knows(node.address, &transfer) => {
                let errand = Some((request, node.id));
                let data = put.data.clone();
                match transfer.parse::<Key>() {
                    Ok(transfer) if answer.extended && self.config.extended => {
                        self.uploads.send_stream(now, node.address, transfer, data, errand, true);
                    }
                    _ => {
                        let at = now + self.config.breath;
                        self.uploads.send_chunks(at, node.address, transfer, data, errand);
                    }
                }
            }
            // It was slow to file what it was sent first, and refuses what it has by now.
            None if put.is_second(&node.id) => self.verify(now, request, &put, node),
            _ => {
                put.settle(&node.id);
                self.load.give_back(node.address);
                put.copies.refused += 1;
            }
        }
        self.advance_put(now, request, put);
    }

    /// Asks an old node, which does not say whether it kept the value (spec, section 15, rule 6).
    fn verify(&mut self, now: Time, request: RequestId, put: &Put, node: Contact) {
        let (key, index) = (put.id.key, Some(put.id.index));
        let ask = Ask::FindValue { key, index, wants_nodes: false };
        let to = (node.address, Some(node.id));
        self.call(now, to, &ask, self.config.patience, Purpose::Verify(request));
    }

    /// The sending of the value to a node has ended.
    pub(crate) fn on_sent(
        &mut self,
        now: Time,
        request: RequestId,
        mut put: Box<Put>,
        node: &Key,
        outcome: Outcome,
    ) {
        let Some(target) = put.under_way.get(node).copied() else {
            return self.keep(request, Operation::Put(put));
        };
        match outcome {
            Outcome::Sent => {
                self.verify(now, request, &put, target.node);
                return self.keep(request, Operation::Put(put));
            }
            Outcome::Kept => put.copies.stored += 1,
            Outcome::Refused => put.copies.refused += 1,
            Outcome::Lost => put.copies.silent += 1,
        }
        put.settle(node);
        self.load.give_back(target.node.address);
        self.advance_put(now, request, put);
    }

    /// An old node told what it has after it was sent the value.
    pub(crate) fn on_verified(
        &mut self,
        now: Time,
        request: RequestId,
        mut put: Box<Put>,
        node: &Key,
        answer: Option<&Answer>,
    ) {
        let Some(target) = put.settle(node) else {
            return self.keep(request, Operation::Put(put));
        };
        self.load.give_back(target.node.address);
        let entries = answer.and_then(|answer| answer.entries.as_deref()).unwrap_or_default();
        if entries.iter().any(|entry| entry.id == put.id) {
            put.copies.stored += 1;
        } else if target.is_second || answer.is_none() {
            put.copies.silent += 1;
        } else {
            let again = Target { is_second: true, ..target };
            self.offer(now, request, &mut put, again);
        }
        self.advance_put(now, request, put);
    }

    /// A node was silent when it was asked to store the value.
    pub(crate) fn on_store_silence(
        &mut self,
        now: Time,
        request: RequestId,
        mut put: Box<Put>,
        node: &Key,
    ) {
        if let Some(target) = put.settle(node) {
            self.load.give_back(target.node.address);
            put.copies.silent += 1;
        }
        self.advance_put(now, request, put);
    }

    fn end_put(&mut self, now: Time, request: RequestId, put: &Put) {
        let copies = put.copies;
        let is_published = copies.stored + copies.had > 0;
        match put.cause {
            Cause::Cache => return,
            Cause::Replicator => {
                self.replicator.release();
                if self.values.record(&put.id).is_some() {
                    self.replicator.done(now, put.id, &mut self.rng);
                }
                return;
            }
            Cause::Publisher => self.publisher.release(),
            Cause::User => {}
        }
        if self.values.is_original(&put.id) {
            if is_published {
                self.values.stamp(&put.id, put.stamp);
                self.publisher.done(now, put.id, &mut self.rng);
            } else if self.table.is_empty() {
                // It waits for the first node that is heard of.
                self.publisher.add(now, put.id);
            } else {
                self.publisher.failed(now, put.id, &mut self.rng);
            }
        }
        let error = PutError::Nowhere { refused: copies.refused, silent: copies.silent };
        let result = if is_published { Ok(copies) } else { Err(error) };
        let request = (put.cause == Cause::User).then_some(request);
        self.tell(DhtEvent::Published { request, id: put.id, result });
    }
}

impl Put {
    /// Whether a node stores the value, which comes along if it is short.
    fn question(&self, value: Option<Bytes>, wants_nodes: bool) -> Ask {
        Ask::Store {
            id: self.id,
            size: self.data.len() as i64,
            stamp: i64::try_from(self.stamp.as_secs()).unwrap_or(i64::MAX),
            value,
            wants_nodes,
        }
    }

    /// Takes in what a node says of the value during the search.
    pub(crate) fn learn(&mut self, node: &Contact, answer: &Answer) {
        if self.search.as_ref().is_some_and(|search| search.has_offered(&node.id)) {
            let outcome =
                if answer.kept { &mut self.copies.stored } else { &mut self.copies.refused };
            *outcome += 1;
            return;
        }
        let entries = answer.entries.as_deref().unwrap_or_default();
        if let Some(entry) = entries.iter().find(|entry| entry.id == self.id) {
            let is_own = matches!(self.cause, Cause::User | Cause::Publisher);
            // Without a time stamp it is the node's own.
            let is_older = entry.stamp.is_some_and(|stamp| stamp < self.stamp.as_secs() as f64);
            self.holders.insert(node.id, !(is_own && is_older));
        }
    }

    fn has_enough(&self) -> bool {
        self.copies.stored + self.copies.had + self.under_way.len() >= self.wanted
    }

    fn is_second(&self, node: &Key) -> bool {
        self.under_way.get(node).is_some_and(|target| target.is_second)
    }

    fn settle(&mut self, node: &Key) -> Option<Target> {
        self.under_way.remove(node)
    }
}
