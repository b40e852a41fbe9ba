//! Lookups: of the nodes nearest to a key, and of the values under it.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;

use rs2p_base::{RequestId, Time};
use rs2p_kad::{Distance, Key, Lookup};

use crate::calls::Purpose;
use crate::event::Found;
use crate::machine::Dht;
use crate::packet::{Answer, Ask, Contact, Entry};
use crate::value::ValueId;

/// Nodes that one lookup asks at most. An honest network of a million nodes needs some sixty; what
/// needs more is led on by liars.
const MAX_ASKED: usize = 400;

/// Different entries of values that one lookup takes note of.
const MAX_ENTRIES: usize = 1_024;

/// A lookup under way.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) lookup: Lookup<SocketAddrV4>,
    wants: Wants,
    asked: usize,
    answers: usize,
    under_way: usize,
    entries: Vec<(Entry, usize)>,
    offer: Option<Offer>,
}

/// A short value that is offered on the way.
#[derive(Debug)]
struct Offer {
    ask: Ask,
    /// How far from the key a node may be; anywhere while fewer nodes are known than are wanted.
    within: Option<Distance>,
    made: BTreeSet<Key>,
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Nodes near to the key.
    Nodes,
    /// Values under the key, of this index or any.
    Values(Option<Key>),
    /// Nodes near to the key, and which of them have the value of this index.
    Places(Key),
}

/// A node that says it has a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Holder {
    pub(crate) node: Contact,
    /// It knows the extensions.
    pub(crate) extended: bool,
}

impl Search {
    pub(crate) fn new(dht: &Dht, key: Key, wants: Wants) -> Self {
        let start = dht.table.closest(&key).take(dht.config.lookup.k.get()).copied();
        let mut lookup = Lookup::new(key, dht.config.lookup, start);
        lookup.exclude(dht.id);
        let (asked, answers, under_way, entries) = (0, 0, 0, Vec::new());
        Self { lookup, wants, asked, answers, under_way, entries, offer: None }
    }

    /// A lookup for a place for a short value, which nodes that are near enough to be among the
    /// nearest are offered right away.
    pub(crate) fn offering(dht: &Dht, id: ValueId, offer: Ask) -> Self {
        // As far from the key as one's own neighbourhood reaches. Nodes are spread evenly, so that
        // is about as many as a value is stored on.
        let neighbours = dht.table.closest(&dht.id).nth(dht.config.copies - 1);
        let within = neighbours.map(|farthest| dht.id.distance(&farthest.id));
        let mut search = Self::new(dht, id.key, Wants::Places(id.index));
        search.offer = Some(Offer { ask: offer, within, made: BTreeSet::new() });
        search
    }

    /// Whether this node was offered the value.
    pub(crate) fn has_offered(&self, node: &Key) -> bool {
        self.offer.as_ref().is_some_and(|offer| offer.made.contains(node))
    }

    pub(crate) fn key(&self) -> Key {
        *self.lookup.target()
    }

    fn ask(&self) -> Ask {
        let key = self.key();
        match self.wants {
            Wants::Nodes => Ask::FindNode { key },
            Wants::Values(index) => Ask::FindValue { key, index, wants_nodes: false },
            Wants::Places(index) => Ask::FindValue { key, index: Some(index), wants_nodes: true },
        }
    }

    /// Asks those whose turn it is.
    pub(crate) fn step(&mut self, dht: &mut Dht, now: Time, request: RequestId) {
        while self.asked < MAX_ASKED {
            let Some(node) = self.lookup.next() else { return };
            self.asked += 1;
            self.under_way += 1;
            let patience = dht.config.patience;
            let ask = self.ask_of(dht, &node);
            let to = (node.address, Some(node.id));
            dht.call(now, to, &ask, patience, Purpose::Search(request));
        }
    }

    fn ask_of(&mut self, dht: &Dht, node: &Contact) -> Ask {
        let distance = self.key().distance(&node.id);
        match &mut self.offer {
            Some(offer)
                if dht.extended.contains(&node.address)
                    && offer.within.is_none_or(|within| distance <= within) =>
            {
                offer.made.insert(node.id);
                offer.ask.clone()
            }
            _ => self.ask(),
        }
    }

    /// Asks a node that need not be near to the key.
    pub(crate) fn ask_also(
        &mut self,
        dht: &mut Dht,
        now: Time,
        request: RequestId,
        node: &Contact,
    ) {
        self.asked += 1;
        self.under_way += 1;
        let to = (node.address, Some(node.id));
        dht.call(now, to, &self.ask(), dht.config.patience, Purpose::Search(request));
    }

    /// A node answered. What it has to be asked once more, if it told of values instead of nodes and
    /// the values do not do.
    pub(crate) fn on_answer(
        &mut self,
        node: &Contact,
        answer: &Answer,
        values_do: bool,
    ) -> Option<Ask> {
        self.under_way = self.under_way.saturating_sub(1);
        let entries = answer.entries.as_deref().unwrap_or_default();
        let of_key = entries.iter().filter(|entry| entry.id.key == self.key());
        let told: Vec<Entry> = of_key.copied().collect();
        for entry in told {
            match self.entries.iter().position(|(known, _)| *known == entry) {
                Some(at) => self.entries[at].1 += 1,
                None if self.entries.len() < MAX_ENTRIES => self.entries.push((entry, 1)),
                None => {}
            }
        }
        match &answer.nodes {
            Some(nodes) => {
                self.answers += 1;
                let is_near = node.address.ip().is_loopback();
                let usable = nodes.iter().filter(|told| is_usable(told, is_near));
                self.lookup.answered(&node.id, usable.copied());
                None
            }
            None if answer.entries.is_some() && values_do => {
                self.answers += 1;
                self.lookup.answered(&node.id, []);
                None
            }
            None if answer.entries.is_some() => {
                self.under_way += 1;
                Some(Ask::FindNode { key: self.key() })
            }
            None => {
                self.lookup.failed(&node.id);
                None
            }
        }
    }

    pub(crate) fn on_delay(&mut self, node: &Key) {
        self.lookup.delayed(node);
    }

    pub(crate) fn on_silence(&mut self, node: &Key) {
        self.under_way = self.under_way.saturating_sub(1);
        self.lookup.failed(node);
    }

    /// Whether nothing more is to come.
    pub(crate) fn is_done(&self) -> bool {
        self.lookup.is_done() || self.under_way == 0
    }

    /// How many nodes answered.
    pub(crate) fn answers(&self) -> usize {
        self.answers
    }

    /// The index that a value under the key is fetched by: that which equals the key, else the one
    /// told by most.
    pub(crate) fn likely(&self, except: impl Fn(&ValueId) -> bool) -> Option<ValueId> {
        let told = self.entries.iter().filter(|(entry, _)| !except(&entry.id));
        let rank = |(entry, count): &&(Entry, usize)| (entry.id.key == entry.id.index, *count);
        told.max_by_key(rank).map(|(entry, _)| entry.id)
    }

    pub(crate) fn found(&self, k: usize) -> Found {
        Found {
            nodes: self.lookup.closest().take(k).copied().collect(),
            values: self.entries.clone(),
            hops: self.lookup.hops(),
            asked: self.asked,
        }
    }
}

/// Whether a node that another tells of may be asked at all (spec, D18).
fn is_usable(node: &Contact, teller_is_near: bool) -> bool {
    let ip = node.address.ip();
    let is_loopback_from_outside = ip.is_loopback() && !teller_is_near;
    !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() || is_loopback_from_outside)
}
