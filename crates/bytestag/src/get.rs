//! Fetching a value: who has it, then the bytes, from one node after the other.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;
use rs2p_base::{RequestId, Time};
use rs2p_kad::Key;

use crate::config::MAX_VALUE;
use crate::downloads::{Ended, Purpose};
use crate::error::GetError;
use crate::event::{DhtEvent, Got};
use crate::machine::{Dht, Operation};
use crate::packet::{Answer, Ask, Contact, TransferId};
use crate::search::{Holder, Search, Wants};
use crate::value::ValueId;

/// Nodes that are tried for one value at most.
const MAX_HOLDERS: usize = 64;

/// Nodes that are asked besides those near to the key, since they had something like it.
const MAX_HINTS: usize = 3;

/// How often one node is asked for a value: a question that was lost looks like a busy node.
const TRIES: u32 = 3;

/// A value being fetched.
#[derive(Debug)]
pub(crate) struct Get {
    /// Which value is fetched, once that is known.
    wanted: Option<ValueId>,
    /// Any value of the key would do.
    is_any: bool,
    /// Values of the key that could not be had.
    given_up: BTreeSet<ValueId>,
    pub(crate) search: Search,
    /// Who says it has the wanted value and is still to be tried.
    holders: VecDeque<Holder>,
    /// All who ever said so.
    known: BTreeSet<Key>,
    /// When it was last published, by the earliest time that anybody told: a liar cannot make it
    /// live longer.
    stamp: Option<Time>,
    /// The nearest node that answered and lacks it.
    lacks: Option<Contact>,
    fetching: Option<Fetching>,
    data: Vec<u8>,
    /// Who sent what is there so far.
    contributors: BTreeSet<Key>,
    wrong: usize,
}

#[derive(Debug)]
struct Fetching {
    holder: Holder,
    transfer: TransferId,
    tries: u32,
    /// It sent something of another SHA-1 once. Old nodes leave holes, so it gets a second chance.
    was_wrong: bool,
}

impl Dht {
    /// Fetches a value: of this index, or any under the key. Those in `from` are asked first: nodes
    /// that had a value near to it, such as another part of the same file. The result is a
    /// [`DhtEvent::Got`].
    pub fn get(
        &mut self,
        now: Time,
        key: Key,
        index: Option<Key>,
        from: impl IntoIterator<Item = Contact>,
    ) -> RequestId {
        let request = self.next_request();
        if let Some(limit) = self.is_busy() {
            self.tell(DhtEvent::Got { request, result: Err(GetError::Busy(limit)) });
            return request;
        }
        let wanted = index.map(|index| ValueId { key, index });
        let here = match wanted {
            Some(id) => Some(id).filter(|id| self.values.get(id).is_some()),
            None => self.values.ids_of(&key).next(),
        };
        if let Some(id) = here
            && let Some(value) = self.read_value(&id)
        {
            let result = Ok(Got { id, value, from: None });
            self.tell(DhtEvent::Got { request, result });
            return request;
        }
        let mut search = Search::new(self, key, Wants::Values(index));
        let own = self.id;
        for node in from.into_iter().filter(|node| node.id != own).take(MAX_HINTS) {
            search.ask_also(self, now, request, &node);
        }
        let get = Get {
            wanted,
            is_any: index.is_none(),
            given_up: BTreeSet::new(),
            search,
            known: BTreeSet::new(),
            holders: VecDeque::new(),
            stamp: None,
            lacks: None,
            fetching: None,
            data: Vec::new(),
            contributors: BTreeSet::new(),
            wrong: 0,
        };
        self.advance_get(now, request, Box::new(get));
        request
    }

    /// Does what can be done now, and ends the operation if nothing is left.
    pub(crate) fn advance_get(&mut self, now: Time, request: RequestId, mut get: Box<Get>) {
        if get.fetching.is_none() {
            if let Some(holder) = self.next_holder(&mut get) {
                self.fetch(now, request, &mut get, holder);
            } else if !get.holders.is_empty() {
                self.wait_for_room(request);
            } else {
                get.search.step(self, now, request);
                if get.search.is_done() {
                    return self.end_get(request, &get);
                }
            }
        }
        self.keep(request, Operation::Get(get));
    }

    /// The next node to fetch from that is not busy with us.
    fn next_holder(&self, get: &mut Get) -> Option<Holder> {
        let free = |holder: &Holder| self.load.has_room(holder.node.address, holder.extended);
        let at = get.holders.iter().position(free)?;
        get.holders.remove(at)
    }

    fn fetch(&mut self, now: Time, request: RequestId, get: &mut Get, holder: Holder) {
        self.load.take(holder.node.address);
        let fetching = Fetching { holder, transfer: String::new(), tries: 0, was_wrong: false };
        self.ask_for_bytes(now, request, get, fetching);
    }

    fn ask_for_bytes(
        &mut self,
        now: Time,
        request: RequestId,
        get: &mut Get,
        mut fetching: Fetching,
    ) {
        let Some(id) = get.wanted else { return };
        let transfer = Key::<20>::random(&mut self.rng).to_base64();
        let node = fetching.holder.node;
        let offset = get.data.len() as u64;
        let ask = Ask::GetValue { id, transfer: transfer.clone(), offset };
        self.send_request(node.address, &ask, None);
        let config = &self.config;
        let first = if fetching.holder.extended { config.patience } else { config.chunk_patience };
        let waits = [first[0], config.idle];
        let name = (transfer.clone(), node.address);
        self.downloads.expect(now, name, Purpose::Get(request), waits);
        fetching.transfer = transfer;
        fetching.tries += 1;
        get.fetching = Some(fetching);
    }

    /// A node answered the question who has the value.
    pub(crate) fn on_get_answer(
        &mut self,
        now: Time,
        request: RequestId,
        mut get: Box<Get>,
        node: Contact,
        answer: &Answer,
    ) {
        let entries = answer.entries.as_deref().unwrap_or_default();
        let has_it = match get.wanted {
            Some(wanted) => entries.iter().any(|entry| entry.id == wanted),
            None => !entries.is_empty(),
        };
        if let Some(again) = get.search.on_answer(&node, answer, has_it) {
            self.ask_again(now, request, &node, &again);
        }
        get.learn(node, answer);
        let sent = answer.value.as_ref().zip(get.wanted).filter(|(value, id)| id.fits(value));
        match sent {
            Some((value, id)) => {
                if let Some(fetching) = get.fetching.take() {
                    let address = fetching.holder.node.address;
                    self.downloads.cancel(now, &(fetching.transfer, address));
                    self.load.give_back(address);
                }
                self.succeed(now, request, &get, id, value.clone(), node);
            }
            None => self.advance_get(now, request, get),
        }
    }

    /// A transfer that a fetch waited for has ended.
    pub(crate) fn on_get_ended(&mut self, now: Time, request: RequestId, ended: &Ended) {
        if ended.is_stream && ended.is_whole {
            self.downloads.close(ended, true);
        }
        let Some(mut get) = self.take_get(request) else { return };
        let is_current = |fetching: &mut Fetching| fetching.transfer == ended.transfer;
        let (Some(mut fetching), Some(id)) = (get.fetching.take_if(is_current), get.wanted) else {
            return self.keep(request, Operation::Get(get));
        };
        let node = fetching.holder.node;
        match get.settle(id, &mut fetching, ended) {
            Settled::Right => {
                self.load.give_back(node.address);
                let value = Bytes::from(std::mem::take(&mut get.data));
                self.succeed(now, request, &get, id, value, node);
            }
            Settled::Again => {
                self.ask_for_bytes(now, request, &mut get, fetching);
                self.keep(request, Operation::Get(get));
            }
            Settled::Leave => {
                self.load.give_back(node.address);
                self.advance_get(now, request, get);
            }
        }
    }

    fn succeed(
        &mut self,
        now: Time,
        request: RequestId,
        get: &Get,
        id: ValueId,
        value: Bytes,
        from: Contact,
    ) {
        let lacks = get.lacks.filter(|node| self.config.caches && node.id != from.id);
        // Without a time stamp it was only at its owner, who publishes it.
        if let (Some(node), Some(stamp)) = (lacks, get.stamp) {
            self.store_copy(now, (id, stamp), value.clone(), node);
        }
        let result = Ok(Got { id, value, from: Some(from) });
        self.tell(DhtEvent::Got { request, result });
    }

    fn end_get(&mut self, request: RequestId, get: &Get) {
        let error = match get.wanted.or_else(|| get.given_up.first().copied()) {
            Some(id) if !get.known.is_empty() => {
                GetError::Unavailable { id, sources: get.known.len(), wrong: get.wrong }
            }
            _ if get.search.answers() == 0 => GetError::Alone,
            _ => GetError::Absent { key: get.search.key(), asked: get.search.answers() },
        };
        self.tell(DhtEvent::Got { request, result: Err(error) });
    }
}

enum Settled {
    Right,
    Again,
    Leave,
}

impl Get {
    /// Takes in what a node's answer says of who has the value.
    fn learn(&mut self, node: Contact, answer: &Answer) {
        if self.wanted.is_none() {
            self.wanted = self.search.likely(|id| self.given_up.contains(id));
        }
        let Some(wanted) = self.wanted else { return };
        let entries = answer.entries.as_deref().unwrap_or_default();
        if let Some(entry) = entries.iter().find(|entry| entry.id == wanted) {
            let told = entry.stamp.map(|stamp| Time::from_secs(stamp as u64));
            self.stamp = self.stamp.into_iter().chain(told).min();
            if self.known.len() < MAX_HOLDERS && self.known.insert(node.id) {
                self.holders.push_back(Holder { node, extended: answer.extended });
            }
        } else {
            let key = self.search.key();
            let is_nearer = |lacks: Contact| key.distance(&node.id) < key.distance(&lacks.id);
            if self.lacks.is_none_or(is_nearer) {
                self.lacks = Some(node);
            }
        }
    }

    /// Takes in what came, and decides what to make of its sender.
    fn settle(&mut self, id: ValueId, fetching: &mut Fetching, ended: &Ended) -> Settled {
        self.data.extend_from_slice(&ended.data);
        if !ended.data.is_empty() || ended.is_whole {
            self.contributors.insert(fetching.holder.node.id);
        }
        // If only the end was lost, all is there (spec, section 15, rule 9).
        if id.fits(&self.data) {
            return Settled::Right;
        }
        if !ended.is_whole && self.data.len() <= MAX_VALUE {
            // It fell silent. What has come is kept, and the next one goes on from there.
            return if fetching.tries < TRIES { Settled::Again } else { self.leave() };
        }
        // Nobody can tell which bytes are wrong, so all are fetched again, from this node alone.
        let is_alone = self.contributors.len() <= 1;
        self.data.clear();
        self.contributors.clear();
        if is_alone && (ended.is_stream || fetching.was_wrong) {
            self.wrong += 1;
            return self.leave();
        }
        fetching.was_wrong |= is_alone;
        Settled::Again
    }

    /// Lets a node be. When that was the last one of a value, and any of the key would do, the next
    /// one is looked for.
    fn leave(&mut self) -> Settled {
        if let (true, true, Some(id)) = (self.is_any, self.holders.is_empty(), self.wanted)
            && self.search.likely(|other| *other == id || self.given_up.contains(other)).is_some()
        {
            self.given_up.insert(id);
            self.wanted = None;
            self.stamp = None;
            self.data.clear();
            self.contributors.clear();
        }
        Settled::Leave
    }
}
