//! The node: what comes in, and where it goes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::{Input, Machine, Output, RequestId, Time};
use rs2p_kad::{Key, RoutingTable, Update};

use crate::answer::Remembered;
use crate::calls::{Call, Calls, Late, Purpose};
use crate::config::DhtConfig;
use crate::contents::{Contents, Library, MemoryContents};
use crate::datagram;
use crate::downloads::{Downloads, Purpose as Download};
use crate::error::ContentsError;
use crate::event::{DhtEvent, Found};
use crate::get::Get;
use crate::join::{Join, Joiner};
use crate::load::Load;
use crate::packet::{self, Answer, Ask, Contact, Packet, Reply};
use crate::put::Put;
use crate::rates::Rates;
use crate::schedule::Schedule;
use crate::search::{Search, Wants};
use crate::status::{Counts, DhtStatus};
use crate::stream::Frame;
use crate::upkeep::{Refresh, since_epoch};
use crate::uploads::Uploads;
use crate::value::ValueId;
use crate::values::Values;

/// Addresses that are known to speak the extensions.
const MAX_EXTENDED: usize = 4_096;

/// Own values that are published at a time, and others' that are passed on.
const PUBLISHED_AT_ONCE: usize = 4;

/// A node of the Kademlia DHT of Bytestag, over datagrams: a state machine without I/O.
///
/// Operations ([`ping`](Self::ping), [`join`](Self::join), [`find`](Self::find),
/// [`find_value`](Self::find_value), [`get`](Self::get), [`put`](Self::put)) give a number at once
/// and their result later as a [`DhtEvent`] with that number. Each ends by itself: whoever is
/// silent is given up after [`DhtConfig::patience`].
pub struct Dht {
    pub(crate) id: Key,
    pub(crate) config: DhtConfig,
    pub(crate) rng: Xoshiro256PlusPlus,
    pub(crate) table: RoutingTable<SocketAddrV4>,
    pub(crate) values: Values,
    pub(crate) downloads: Downloads,
    pub(crate) uploads: Uploads,
    pub(crate) publisher: Schedule,
    pub(crate) replicator: Schedule,
    pub(crate) joiner: Joiner,
    pub(crate) refresh: Refresh,
    pub(crate) remembered: Remembered,
    pub(crate) load: Load,
    /// Addresses whose nodes speak the extensions.
    pub(crate) extended: BTreeSet<SocketAddrV4>,
    calls: Calls,
    rates: Rates,
    operations: BTreeMap<RequestId, Operation>,
    /// Operations that wait until some node is less busy with us.
    waiting: BTreeSet<RequestId>,
    counts: Counts,
    outputs: VecDeque<Output<DhtEvent>>,
    next_request: u64,
}

/// Something that takes several questions.
#[derive(Debug)]
pub(crate) enum Operation {
    Ping,
    Join(Box<Join>),
    Lookup(Box<Search>),
    Refresh(Box<Search>),
    Get(Box<Get>),
    Put(Box<Put>),
}

impl Dht {
    /// A node with this id, whose random choices are drawn from `seed`. Its values are kept in
    /// memory: see [`with_contents`](Self::with_contents).
    #[must_use]
    pub fn new(id: Key, config: DhtConfig, seed: u64) -> Self {
        let values = Values::new(Box::new(MemoryContents::default()));
        Self {
            id,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            table: RoutingTable::new(id, config.table),
            values,
            downloads: Downloads::default(),
            uploads: Uploads::default(),
            publisher: Schedule::new(config.republish, PUBLISHED_AT_ONCE),
            replicator: Schedule::new(config.replicate, PUBLISHED_AT_ONCE),
            joiner: Joiner::new(config.seeds.clone()),
            refresh: Refresh::default(),
            remembered: Remembered::default(),
            load: Load::default(),
            extended: BTreeSet::new(),
            calls: Calls::default(),
            rates: Rates::new(config.rate),
            operations: BTreeMap::new(),
            waiting: BTreeSet::new(),
            counts: Counts::default(),
            outputs: VecDeque::new(),
            next_request: 0,
            config,
        }
    }

    /// Keeps values there, and takes up what lies there already. Own ones are published again as
    /// soon as somebody is known.
    ///
    /// # Errors
    /// What lies there cannot be read.
    pub fn with_contents(
        mut self,
        now: Time,
        contents: Box<dyn Contents>,
    ) -> Result<Self, ContentsError> {
        self.values = Values::new(contents);
        for id in self.values.restore()? {
            self.publisher.add(now, id);
        }
        let foreign: Vec<_> = self.values.foreign().map(|(id, _)| *id).collect();
        for id in foreign {
            self.replicator.done(now, id, &mut self.rng);
        }
        Ok(self)
    }

    /// Begins: joins by the seeds of the configuration, if there are any.
    pub fn start(&mut self, now: Time) {
        self.join_by_itself(now);
        self.pump(now);
    }

    /// The node's id.
    #[must_use]
    pub const fn id(&self) -> Key {
        self.id
    }

    /// The nodes it knows.
    #[must_use]
    pub const fn table(&self) -> &RoutingTable<SocketAddrV4> {
        &self.table
    }

    /// Looks up the nodes nearest to a key. The result is a [`DhtEvent::Found`], of nobody asked if
    /// nobody is known or [too much](DhtConfig::operations) is under way.
    pub fn find(&mut self, now: Time, key: Key) -> RequestId {
        self.look_up(now, key, Wants::Nodes)
    }

    /// Looks up who has values under a key, of this index or any, and does not stop at the first.
    /// The result is a [`DhtEvent::Found`].
    pub fn find_value(&mut self, now: Time, key: Key, index: Option<Key>) -> RequestId {
        self.look_up(now, key, Wants::Values(index))
    }

    fn look_up(&mut self, now: Time, key: Key, wants: Wants) -> RequestId {
        let request = self.next_request();
        if self.is_busy().is_some() {
            self.tell(DhtEvent::Found { request, found: Found::default() });
            return request;
        }
        let search = Search::new(self, key, wants);
        self.advance_lookup(now, request, Box::new(search));
        request
    }

    fn advance_lookup(&mut self, now: Time, request: RequestId, mut search: Box<Search>) {
        search.step(self, now, request);
        if search.is_done() {
            let found = search.found(self.config.lookup.k.get());
            self.tell(DhtEvent::Found { request, found });
        } else {
            self.keep(request, Operation::Lookup(search));
        }
    }

    /// Shares what lies elsewhere: from now on the node serves and publishes these values, whose
    /// lengths are given, and no others of an earlier call.
    pub fn share(&mut self, now: Time, library: Arc<dyn Library>, values: BTreeMap<ValueId, u64>) {
        for id in self.values.share(library, values) {
            self.publisher.add(now, id);
        }
        self.publish_due(now);
        self.pump(now);
    }

    /// Whether a value is here.
    #[must_use]
    pub fn has(&self, id: &ValueId) -> bool {
        self.values.get(id).is_some()
    }

    /// All values that are here.
    pub fn values(&self) -> impl Iterator<Item = ValueId> {
        self.values.all()
    }

    /// How the node is.
    #[must_use]
    pub fn status(&self) -> DhtStatus {
        let (foreign, foreign_bytes) = self.values.foreign_count();
        DhtStatus {
            contacts: self.table.len(),
            own_values: self.values.own_count(),
            foreign_values: foreign,
            foreign_bytes,
            uploads: self.uploads.len(),
            downloads: self.downloads.len(),
            questions: self.calls.len(),
            operations: self.operations.len(),
            to_publish: self.publisher.len(),
            unpublished: self.publisher.fresh(),
            counts: self.counts,
        }
    }

    // What operations use.

    /// How many operations are allowed, if no more are.
    pub(crate) fn is_busy(&self) -> Option<usize> {
        let limit = self.config.operations;
        (self.operations.len() >= limit).then_some(limit)
    }

    pub(crate) fn next_request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    pub(crate) fn keep(&mut self, request: RequestId, operation: Operation) {
        self.operations.insert(request, operation);
    }

    pub(crate) fn take(&mut self, request: RequestId) -> Option<Operation> {
        self.operations.remove(&request)
    }

    pub(crate) fn take_get(&mut self, request: RequestId) -> Option<Box<Get>> {
        match self.operations.remove(&request)? {
            Operation::Get(get) => Some(get),
            other => {
                self.keep(request, other);
                None
            }
        }
    }

    pub(crate) fn take_put(&mut self, request: RequestId) -> Option<Box<Put>> {
        match self.operations.remove(&request)? {
            Operation::Put(put) => Some(put),
            other => {
                self.keep(request, other);
                None
            }
        }
    }

    /// The operation goes on when some node is less busy with us.
    pub(crate) fn wait_for_room(&mut self, request: RequestId) {
        self.waiting.insert(request);
    }

    pub(crate) fn tell(&mut self, event: DhtEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(crate) fn send(&mut self, to: SocketAddrV4, data: Bytes) {
        self.counts.sent += 1;
        self.outputs.push_back(Output::Datagram { to: SocketAddr::V4(to), data });
    }

    pub(crate) fn send_request(&mut self, to: SocketAddrV4, ask: &Ask, ticket: Option<&Key>) {
        let datagram = packet::request(&self.id, ask, ticket, self.config.extended);
        self.send(to, datagram);
    }

    /// Asks a node, and waits for its answer.
    pub(crate) fn call(
        &mut self,
        now: Time,
        to: (SocketAddrV4, Option<Key>),
        ask: &Ask,
        patience: [Duration; 2],
        purpose: Purpose,
    ) {
        let ticket = Key::random(&mut self.rng);
        let datagram = packet::request(&self.id, ask, Some(&ticket), self.config.extended);
        self.calls.open(now, ticket, datagram.clone(), patience, to, purpose);
        self.send(to.0, datagram);
    }

    /// Asks a node of a lookup something else, in the place of what it was asked.
    pub(crate) fn ask_again(&mut self, now: Time, request: RequestId, node: &Contact, ask: &Ask) {
        let to = (node.address, Some(node.id));
        self.call(now, to, ask, self.config.patience, Purpose::Search(request));
    }

    /// A datagram came from this node.
    pub(crate) fn learn(&mut self, now: Time, node: Contact) {
        let was_empty = self.table.is_empty();
        if let Update::Ping(oldest) = self.table.update(since_epoch(now), node) {
            let to = (oldest.address, Some(oldest.id));
            self.call(now, to, &Ask::Ping, self.config.patience, Purpose::Check);
        }
        if was_empty {
            self.publish_due(now);
        }
    }

    // What comes in.

    fn on_datagram(&mut self, now: Time, from: SocketAddrV4, data: &Bytes) {
        if !self.rates.admits(now, from) {
            self.counts.over_rate += 1;
            return;
        }
        self.counts.received += 1;
        if Frame::is_one(data) {
            return self.on_frame(now, from, data);
        }
        let Ok(object) = datagram::decode(data) else {
            self.counts.unreadable += 1;
            return;
        };
        match Packet::read(object) {
            Some(Packet::Reply(reply)) => self.on_reply(now, from, &reply),
            Some(Packet::Piece { transfer, chunk, ticket }) => {
                self.downloads.on_chunk(now, &(transfer, from), chunk, ticket);
            }
            Some(Packet::Request(request)) => self.on_request(now, from, request),
            None => self.counts.unreadable += 1,
        }
    }

    fn on_frame(&mut self, now: Time, from: SocketAddrV4, data: &Bytes) {
        match Frame::read(data).filter(|_| self.config.extended) {
            Some(Frame::Piece { transfer, number, size, data }) => {
                self.downloads.on_piece(now, (from, transfer), (number, size), &data);
            }
            Some(Frame::Receipt(receipt)) => self.uploads.on_receipt(now, from, &receipt),
            None => self.counts.unreadable += 1,
        }
    }

    fn on_reply(&mut self, now: Time, from: SocketAddrV4, reply: &Reply) {
        let confirmed = (from, &reply.ticket);
        if self.uploads.on_confirmed(now, &mut self.rng, &self.config, confirmed) {
            return;
        }
        let Some(call) = self.calls.close(&reply.ticket, from) else {
            self.counts.unexpected += 1;
            return;
        };
        // Who does not say who it is cannot be learned, nor be told from another.
        let Some(id) = reply.sender.or(call.node) else { return self.on_silent(now, call) };
        let node = Contact::new(id, from);
        if id != self.id {
            self.learn(now, node);
        }
        if call.node.is_some_and(|expected| expected != id) {
            // Another node lives at this address now.
            return self.on_silent(now, call);
        }
        let answer = Answer::read(&reply.body);
        self.note_extended(from, answer.extended, call.purpose);
        match call.purpose {
            Purpose::Check => self.table.keep_old(since_epoch(now), &id),
            Purpose::Ping(request) => self.on_ping_ended(now, request, from, Some(node)),
            Purpose::Search(request) => self.on_search_answer(now, request, node, answer),
            Purpose::Store(request) => {
                if let Some(put) = self.take_put(request) {
                    self.on_store_answer(now, request, put, node, answer);
                }
            }
            Purpose::Verify(request) => {
                if let Some(put) = self.take_put(request) {
                    self.on_verified(now, request, put, &id, Some(&answer));
                }
            }
        }
    }

    /// Remembers who speaks the extensions: whoever says so in an answer to a question that has
    /// room for it.
    fn note_extended(&mut self, from: SocketAddrV4, extended: bool, purpose: Purpose) {
        if extended {
            self.extended.insert(from);
            if self.extended.len() > MAX_EXTENDED {
                self.extended.pop_first();
            }
        } else if !matches!(purpose, Purpose::Ping(_) | Purpose::Check) {
            self.extended.remove(&from);
        }
    }

    fn on_search_answer(&mut self, now: Time, request: RequestId, node: Contact, answer: Answer) {
        let Some(mut operation) = self.take(request) else { return };
        let search = match &mut operation {
            Operation::Get(_) => {
                if let Operation::Get(get) = operation {
                    self.on_get_answer(now, request, get, node, &answer);
                }
                return;
            }
            Operation::Put(put) => {
                put.learn(&node, &answer);
                put.search.as_mut()
            }
            Operation::Join(join) => join.search.as_mut(),
            Operation::Lookup(search) | Operation::Refresh(search) => Some(&mut **search),
            Operation::Ping => None,
        };
        if let Some(again) = search.and_then(|search| search.on_answer(&node, &answer, false)) {
            self.ask_again(now, request, &node, &again);
        }
        self.advance(now, request, operation);
    }

    fn advance(&mut self, now: Time, request: RequestId, operation: Operation) {
        match operation {
            Operation::Ping => self.keep(request, operation),
            Operation::Join(join) => self.advance_join(now, request, join),
            Operation::Lookup(search) => self.advance_lookup(now, request, search),
            Operation::Refresh(search) => self.advance_refresh(now, request, search),
            Operation::Get(get) => self.advance_get(now, request, get),
            Operation::Put(put) => self.advance_put(now, request, put),
        }
    }

    fn search_of(operation: &mut Operation) -> Option<&mut Search> {
        match operation {
            Operation::Get(get) => Some(&mut get.search),
            Operation::Put(put) => put.search.as_mut(),
            Operation::Join(join) => join.search.as_mut(),
            Operation::Lookup(search) | Operation::Refresh(search) => Some(search),
            Operation::Ping => None,
        }
    }

    /// A question is sent once more; whoever waits for it may ask somebody else as well.
    fn on_delay(&mut self, now: Time, call: &Call) {
        let (Purpose::Search(request), Some(node)) = (call.purpose, call.node) else { return };
        let Some(mut operation) = self.take(request) else { return };
        if let Some(search) = Self::search_of(&mut operation) {
            search.on_delay(&node);
        }
        self.advance(now, request, operation);
    }

    /// Nobody answers a question, or not the one that was asked.
    fn on_silent(&mut self, now: Time, call: Call) {
        self.counts.silent += 1;
        if let Some(node) = call.node {
            let is_same = self.table.get(&node).is_some_and(|known| known.address == call.to);
            match call.purpose {
                Purpose::Check => self.table.keep_new(since_epoch(now), &node),
                _ if is_same => {
                    self.table.remove(since_epoch(now), &node);
                }
                _ => {}
            }
            if self.table.is_empty() {
                self.on_alone(now, call.to);
            }
        }
        match (call.purpose, call.node) {
            (Purpose::Ping(request), _) => self.on_ping_ended(now, request, call.to, None),
            (Purpose::Search(request), Some(node)) => {
                let Some(mut operation) = self.take(request) else { return };
                if let Some(search) = Self::search_of(&mut operation) {
                    search.on_silence(&node);
                }
                self.advance(now, request, operation);
            }
            (Purpose::Store(request), Some(node)) => {
                if let Some(put) = self.take_put(request) {
                    self.on_store_silence(now, request, put, &node);
                }
            }
            (Purpose::Verify(request), Some(node)) => {
                if let Some(put) = self.take_put(request) {
                    self.on_verified(now, request, put, &node, None);
                }
            }
            _ => {}
        }
    }

    /// Carries on what transfers have brought about, until nothing is left to do.
    pub(crate) fn pump(&mut self, now: Time) {
        loop {
            while let Some((to, data)) = self.uploads.poll_datagram() {
                self.send(to, data);
            }
            while let Some((to, data)) = self.downloads.poll_datagram() {
                self.send(to, data);
            }
            if let Some(((request, node), outcome)) = self.uploads.poll_ended() {
                if let Some(put) = self.take_put(request) {
                    self.on_sent(now, request, put, &node, outcome);
                }
            } else if let Some(ended) = self.downloads.poll_ended() {
                match ended.purpose {
                    Download::Get(request) => self.on_get_ended(now, request, &ended),
                    Download::Store(id, record) => self.on_store_ended(now, &ended, id, record),
                }
            } else if self.load.take_freed() && !self.waiting.is_empty() {
                for request in std::mem::take(&mut self.waiting) {
                    if let Some(operation) = self.take(request) {
                        self.advance(now, request, operation);
                    }
                }
            } else {
                return;
            }
        }
    }
}

impl Machine for Dht {
    type Event = DhtEvent;

    fn handle_input(&mut self, now: Time, input: Input) {
        if let Input::Datagram { from: SocketAddr::V4(from), data } = input {
            self.on_datagram(now, from, &data);
            self.pump(now);
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        while let Some(late) = self.calls.pop_late(now) {
            match late {
                Late::Again(call, datagram) => {
                    self.send(call.to, datagram);
                    self.on_delay(now, &call);
                }
                Late::Silent(call) => self.on_silent(now, call),
            }
        }
        self.uploads.handle_timeout(now, &mut self.rng, &self.config);
        self.downloads.handle_timeout(now);
        self.look_after(now);
        self.pump(now);
    }

    fn poll_output(&mut self) -> Option<Output<DhtEvent>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        let transfers = [self.uploads.poll_timeout(), self.downloads.poll_timeout()];
        let own = [self.calls.poll_timeout(), self.poll_upkeep()];
        transfers.into_iter().chain(own).flatten().min()
    }

    fn completes(event: &DhtEvent) -> Option<RequestId> {
        match event {
            DhtEvent::Pinged { request, .. }
            | DhtEvent::Found { request, .. }
            | DhtEvent::Got { request, .. } => Some(*request),
            DhtEvent::Joined { request, .. } | DhtEvent::Published { request, .. } => *request,
            _ => None,
        }
    }
}
