//! Joining a network, and coming back to it.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::time::Duration;

use rs2p_base::{RequestId, Time};

use crate::calls::Purpose;
use crate::error::ReachError;
use crate::event::DhtEvent;
use crate::machine::{Dht, Operation};
use crate::packet::{Ask, Contact};
use crate::search::{Search, Wants};

/// Addresses that one join tries.
const MAX_ADDRESSES: usize = 32;

/// How long after a join that came to nothing it is tried again; twice as long after each further
/// one.
const RETRY: Duration = Duration::from_secs(4);

/// How long after a join that came to nothing it is tried again at most.
const LONGEST_RETRY: Duration = Duration::from_secs(3_600);

/// Nodes that are remembered to come back by.
const REMEMBERED: usize = 20;

/// A join under way.
#[derive(Debug)]
pub(crate) struct Join {
    /// Nothing when the node joins by itself.
    request: Option<RequestId>,
    addresses: Vec<SocketAddrV4>,
    /// Who is still to answer.
    waiting: BTreeSet<SocketAddrV4>,
    pub(crate) search: Option<Search>,
}

/// What a node does to get into the network without being told, and to come back.
#[derive(Debug)]
pub(crate) struct Joiner {
    seeds: Vec<SocketAddrV4>,
    /// Nodes that were known before nobody was.
    remembered: Vec<SocketAddrV4>,
    next: Option<Time>,
    wait: Duration,
}

impl Joiner {
    pub(crate) fn new(seeds: Vec<SocketAddrV4>) -> Self {
        Self { seeds, remembered: Vec::new(), next: None, wait: RETRY }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.next
    }

    fn addresses(&self) -> Vec<SocketAddrV4> {
        let mut all = self.seeds.clone();
        all.extend(self.remembered.iter().filter(|known| !self.seeds.contains(known)));
        all.truncate(MAX_ADDRESSES);
        all
    }
}

impl Dht {
    /// Asks who is at an address. The result is a [`DhtEvent::Pinged`].
    pub fn ping(&mut self, now: Time, address: SocketAddrV4) -> RequestId {
        let request = self.next_request();
        if let Some(limit) = self.is_busy() {
            self.tell(DhtEvent::Pinged { request, result: Err(ReachError::Busy(limit)) });
            return request;
        }
        let patience = self.config.patience;
        self.call(now, (address, None), &Ask::Ping, patience, Purpose::Ping(request));
        self.keep(request, Operation::Ping);
        request
    }

    /// Joins the network by these nodes, of which at least one has to answer, then looks up the
    /// own neighbourhood and the rest of the table. The result is a [`DhtEvent::Joined`].
    pub fn join(
        &mut self,
        now: Time,
        addresses: impl IntoIterator<Item = SocketAddrV4>,
    ) -> RequestId {
        let request = self.next_request();
        if let Some(limit) = self.is_busy() {
            let result = Err(ReachError::Busy(limit));
            self.tell(DhtEvent::Joined { request: Some(request), result });
            return request;
        }
        let addresses: Vec<_> = addresses.into_iter().take(MAX_ADDRESSES).collect();
        self.begin_join(now, request, Some(request), addresses);
        request
    }

    fn begin_join(
        &mut self,
        now: Time,
        id: RequestId,
        request: Option<RequestId>,
        addresses: Vec<SocketAddrV4>,
    ) {
        if addresses.is_empty() {
            let result = Err(ReachError::NoAddress);
            return self.tell(DhtEvent::Joined { request, result });
        }
        let waiting: BTreeSet<_> = addresses.iter().copied().collect();
        for address in &waiting {
            let patience = self.config.patience;
            self.call(now, (*address, None), &Ask::Ping, patience, Purpose::Ping(id));
        }
        let join = Join { request, addresses, waiting, search: None };
        self.keep(id, Operation::Join(Box::new(join)));
    }

    /// Joins by the nodes it was told of at the start, as soon and as long as nobody is known.
    pub(crate) fn join_by_itself(&mut self, now: Time) {
        self.joiner.next = None;
        let addresses = self.joiner.addresses();
        if !addresses.is_empty() && self.table.is_empty() {
            let id = self.next_request();
            self.begin_join(now, id, None, addresses);
        }
    }

    /// Nobody is known any more: tries to come back.
    pub(crate) fn on_alone(&mut self, now: Time, last: SocketAddrV4) {
        self.joiner.remembered.retain(|known| *known != last);
        self.joiner.remembered.push(last);
        if self.joiner.remembered.len() > REMEMBERED {
            self.joiner.remembered.remove(0);
        }
        self.joiner.next.get_or_insert(now + self.joiner.wait);
    }

    /// Remembers whom to come back by.
    pub(crate) fn remember(&mut self) {
        let nearest = self.table.closest(&self.id).take(REMEMBERED);
        self.joiner.remembered = nearest.map(|node| node.address).collect();
    }

    /// Somebody answered, or nobody, at an address that was pinged.
    pub(crate) fn on_ping_ended(
        &mut self,
        now: Time,
        request: RequestId,
        address: SocketAddrV4,
        node: Option<Contact>,
    ) {
        match self.take(request) {
            Some(Operation::Ping) => {
                let result = node.ok_or_else(|| ReachError::Silent(vec![address]));
                self.tell(DhtEvent::Pinged { request, result });
            }
            Some(Operation::Join(mut join)) => {
                join.waiting.remove(&address);
                // A node that is told to join by its own address, too, has not met anybody by that.
                if join.search.is_none() && node.is_some_and(|node| node.id != self.id) {
                    join.search = Some(Search::new(self, self.id, Wants::Nodes));
                }
                self.advance_join(now, request, join);
            }
            Some(other) => self.keep(request, other),
            None => {}
        }
    }

    pub(crate) fn advance_join(&mut self, now: Time, id: RequestId, mut join: Box<Join>) {
        let is_over = match &mut join.search {
            Some(search) => {
                search.step(self, now, id);
                search.is_done()
            }
            None => join.waiting.is_empty(),
        };
        if !is_over {
            return self.keep(id, Operation::Join(join));
        }
        let has_joined = join.search.as_ref().is_some_and(|search| search.answers() > 0);
        if has_joined {
            self.joiner.wait = RETRY;
            self.joiner.next = None;
            self.remember();
            self.refresh_all(now);
        } else {
            self.joiner.next = Some(now + self.joiner.wait);
            self.joiner.wait = (self.joiner.wait * 2).min(LONGEST_RETRY);
        }
        let known = self.table.len();
        let result = if has_joined { Ok(known) } else { Err(ReachError::Silent(join.addresses)) };
        self.tell(DhtEvent::Joined { request: join.request, result });
    }
}
