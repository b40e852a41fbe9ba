//! Where other nodes are said to be.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::{Endpoint, NodeId, Time, VecMap};
use rs2p_wire::IdForm;

/// Addresses to dial, bounded, each with the time from which it may be tried again.
#[derive(Debug)]
pub(crate) struct AddressBook {
    entries: VecMap<Endpoint, Entry>,
    limit: usize,
    seeds: usize,
    /// Nodes that this node's user has parted from, the last few.
    parted: VecDeque<Mark>,
    secret: u64,
    /// Lists of peers that have come.
    lists: u32,
}

/// A node id, cut down to what tells the nodes in a book apart. Ids are what nodes say they are, so
/// a secret goes in: nobody can make one that is taken for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(NonZeroU64);

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Who is there, as far as is known.
    pub(crate) id: Option<Mark>,
    /// How that node writes ids, once it has been spoken to.
    pub(crate) form: Option<IdForm>,
    ready: Time,
    failures: u32,
    /// Which list of peers named it first, counted.
    list: u32,
    is_seed: bool,
}

impl AddressBook {
    /// Longest wait between two tries.
    const MAX_WAIT: Duration = Duration::from_secs(300);
    /// Longest wait for a node that has no peers.
    const MAX_WAIT_ALONE: Duration = Duration::from_secs(15);
    /// A link that has lasted so long shows that its address is a good one.
    const LASTING: Duration = Duration::from_secs(60);
    /// An address that has failed so often in a row is forgotten, unless it is a seed.
    const MAX_FAILURES: u32 = 8;
    /// Nodes that are not dialled because the user has parted from them.
    const MAX_PARTED: usize = 64;

    /// `limit`: addresses at the most, seeds not counted; `secret`: what no other node knows.
    pub(crate) fn new(limit: usize, seeds: Vec<Endpoint>, secret: u64) -> Self {
        let (entries, parted) = (VecMap::new(), VecDeque::new());
        let mut book = Self { entries, limit, seeds: 0, parted, secret, lists: 0 };
        for seed in seeds {
            book.seed(seed);
        }
        book
    }

    /// An address that is never forgotten.
    pub(crate) fn seed(&mut self, address: Endpoint) {
        if let Some(entry) = self.entries.get_mut(&address) {
            self.seeds += usize::from(!entry.is_seed);
            entry.is_seed = true;
            return;
        }
        let (ready, list) = (Time::default(), 0);
        let entry = Entry { id: None, form: None, ready, failures: 0, list, is_seed: true };
        self.entries.insert(address, entry);
        self.seeds += 1;
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, address: &Endpoint) -> Option<&Entry> {
        self.entries.get(address)
    }

    /// What the book knows a node by.
    pub(crate) fn mark(&self, id: NodeId) -> Mark {
        let bytes = id.to_bytes();
        let (words, _) = bytes.as_chunks();
        let mark = words.iter().fold(self.secret, |mark, word| {
            let product = u128::from(mark ^ u64::from_le_bytes(*word)) * 0x9e37_79b9_7f4a_7c15;
            product as u64 ^ (product >> 64) as u64
        });
        Mark(NonZeroU64::new(mark).unwrap_or(NonZeroU64::MIN))
    }

    /// Somebody says that a node is there; it may be dialled from `ready` on. `true` when the
    /// address is new.
    pub(crate) fn learn(&mut self, address: &Endpoint, id: NodeId, ready: Time) -> bool {
        let id = self.mark(id);
        if let Some(entry) = self.entries.get_mut(address) {
            // Who was met there outweighs hearsay.
            if entry.form.is_none() {
                entry.id = Some(id);
            }
            return false;
        }
        if self.limit == 0 || self.parted.contains(&id) {
            return false;
        }
        if self.entries.len() - self.seeds >= self.limit {
            self.forget_one();
        }
        let entry = Entry {
            id: Some(id),
            form: None,
            ready,
            failures: 0,
            list: self.lists,
            is_seed: false,
        };
        self.entries.insert(address.clone(), entry);
        true
    }

    /// A node was met there.
    pub(crate) fn met(&mut self, now: Time, address: &Endpoint, id: NodeId, form: IdForm) {
        self.forgive(id);
        self.learn(address, id, now);
        let id = self.mark(id);
        if let Some(entry) = self.entries.get_mut(address) {
            entry.id = Some(id);
            entry.form = Some(form);
        }
    }

    /// A node says that it is found there. Who was met there himself outweighs that.
    pub(crate) fn claimed(&mut self, now: Time, address: &Endpoint, id: NodeId, form: IdForm) {
        self.forgive(id);
        let mark = self.mark(id);
        let is_other = |entry: &Entry| entry.form.is_some() && entry.id != Some(mark);
        if !self.get(address).is_some_and(is_other) {
            self.met(now, address, id, form);
        }
    }

    /// The link there broke after so long. Only one that has lasted shows that it is worth while to
    /// come back at once: a node that is full hangs up each time.
    pub(crate) fn lost(
        &mut self,
        now: Time,
        address: &Endpoint,
        lasted: Duration,
        alone: bool,
        rng: &mut Xoshiro256PlusPlus,
    ) {
        if let Some(entry) = self.entries.get_mut(address)
            && lasted >= Self::LASTING
        {
            entry.failures = 0;
        }
        self.failed(now, address, alone, rng);
    }

    /// Somebody hung up there before the handshake: it may be another kind of node by now.
    pub(crate) fn refused(
        &mut self,
        now: Time,
        address: &Endpoint,
        alone: bool,
        rng: &mut Xoshiro256PlusPlus,
    ) {
        if let Some(entry) = self.entries.get_mut(address) {
            entry.form = None;
        }
        self.failed(now, address, alone, rng);
    }

    /// Nobody answers there: waits longer each time.
    pub(crate) fn failed(
        &mut self,
        now: Time,
        address: &Endpoint,
        alone: bool,
        rng: &mut Xoshiro256PlusPlus,
    ) {
        let Some(entry) = self.entries.get_mut(address) else { return };
        entry.failures += 1;
        // A node without peers has nothing better to try.
        if entry.failures > Self::MAX_FAILURES && !entry.is_seed && !alone {
            self.entries.remove(address);
            return;
        }
        let longest = if alone { Self::MAX_WAIT_ALONE } else { Self::MAX_WAIT };
        let wait = Duration::from_secs(1 << (entry.failures - 1).min(16)).min(longest);
        entry.ready = now + wait.mul_f64(rng.random_range(0.75..1.25));
    }

    /// There is no point in dialling it: another network, or this node itself.
    pub(crate) fn forget(&mut self, now: Time, address: &Endpoint) {
        if let Some(entry) = self.entries.get_mut(address)
            && entry.is_seed
        {
            entry.failures = Self::MAX_FAILURES;
            entry.ready = now + Self::MAX_WAIT;
            return;
        }
        self.entries.remove(address);
    }

    /// The user does not want the node for a peer: it is dialled only once it has been met again.
    pub(crate) fn part(&mut self, id: NodeId) {
        let id = self.mark(id);
        self.entries.retain(|_, entry| entry.is_seed || entry.id != Some(id));
        if self.parted.len() == Self::MAX_PARTED {
            self.parted.pop_front();
        }
        self.parted.push_back(id);
    }

    /// With no peers left, nobody is waited for longer than a lonely node waits.
    pub(crate) fn hurry(&mut self, now: Time) {
        for entry in self.entries.values_mut() {
            entry.ready = entry.ready.min(now + Self::MAX_WAIT_ALONE);
        }
    }

    /// A list of peers has come, and is about to be learnt.
    pub(crate) fn begin_list(&mut self) {
        self.lists = self.lists.saturating_add(1);
    }

    /// One of the addresses that may be dialled now, drawn at random; else the time when the next
    /// one may be. `newest`: only of those that were heard of last.
    pub(crate) fn pick(
        &self,
        now: Time,
        rng: &mut Xoshiro256PlusPlus,
        newest: bool,
        is_wanted: impl Fn(&Endpoint, &Entry) -> bool,
    ) -> Result<Endpoint, Option<Time>> {
        let is_parted = |entry: &Entry| entry.id.is_some_and(|id| self.parted.contains(&id));
        let mut ready = Vec::new();
        let mut next = None;
        for (address, entry) in self.entries.iter() {
            if is_parted(entry) || !is_wanted(address, entry) {
                continue;
            }
            if entry.ready <= now {
                ready.push((entry.list, address));
            } else {
                next = Some(next.map_or(entry.ready, |next| entry.ready.min(next)));
            }
        }
        if ready.is_empty() {
            return Err(next);
        }
        if newest {
            let last = ready.iter().map(|(list, _)| *list).max();
            ready.retain(|(list, _)| Some(*list) == last);
        }
        Ok(ready[rng.random_range(0..ready.len())].1.clone())
    }

    /// A node is welcome, even if it was parted from.
    fn forgive(&mut self, id: NodeId) {
        if !self.parted.is_empty() {
            let id = self.mark(id);
            self.parted.retain(|parted| *parted != id);
        }
    }

    /// Makes room: of what failed most often, what is to be tried last.
    fn forget_one(&mut self) {
        let worst = self
            .entries
            .iter()
            .filter(|(_, entry)| !entry.is_seed)
            .max_by_key(|(_, entry)| (entry.failures, entry.ready))
            .map(|(address, _)| address.clone());
        if let Some(worst) = worst {
            self.entries.remove(&worst);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn address(port: u16) -> Endpoint {
        Endpoint::new("10.0.0.1", port).unwrap()
    }

    fn id(number: u8) -> NodeId {
        NodeId::from_bytes([number; 48])
    }

    #[test]
    fn a_failing_address_is_tried_ever_more_seldom_and_then_forgotten() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut book = AddressBook::new(10, Vec::new(), 7);
        let mut now = Time::from_secs(100);
        book.learn(&address(1), id(1), now);
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert_eq!(book.pick(now, &mut rng, false, |_, _| true), Ok(address(1)));
            book.failed(now, &address(1), false, &mut rng);
            let ready = book.pick(now, &mut rng, false, |_, _| true).unwrap_err().unwrap();
            waits.push(ready.since(now).as_secs());
            now = ready;
        }
        assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
        book.failed(now, &address(1), false, &mut rng);
        assert_eq!(book.pick(now, &mut rng, false, |_, _| true), Err(None));
    }

    #[test]
    fn a_seed_is_never_forgotten_and_a_lonely_node_does_not_wait_long() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut book = AddressBook::new(1, vec![address(9)], 7);
        let now = Time::from_secs(100);
        for _ in 0..50 {
            book.failed(now, &address(9), true, &mut rng);
        }
        let ready = book.pick(now, &mut rng, false, |_, _| true).unwrap_err().unwrap();
        assert!(ready <= now + Duration::from_secs(20));
        for port in 1..9 {
            book.learn(&address(port), id(1), now);
        }
        assert_eq!(book.len(), 2);
        assert!(book.get(&address(9)).is_some());
    }

    #[test]
    fn a_node_that_the_user_parted_from_is_dialled_only_once_met_again() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let now = Time::from_secs(100);
        let mut book = AddressBook::new(10, vec![address(9)], 7);
        book.met(now, &address(9), id(9), IdForm::Bin);
        book.learn(&address(1), id(1), now);
        book.part(id(9));
        book.part(id(1));
        assert!(!book.learn(&address(1), id(1), now));
        assert_eq!(book.pick(now, &mut rng, false, |_, _| true), Err(None));
        book.met(now, &address(9), id(9), IdForm::Bin);
        assert_eq!(book.pick(now, &mut rng, false, |_, _| true), Ok(address(9)));
    }

    #[test]
    fn who_was_met_outweighs_hearsay() {
        let now = Time::from_secs(100);
        let mut book = AddressBook::new(10, Vec::new(), 7);
        assert!(book.learn(&address(1), id(1), now));
        assert!(!book.learn(&address(1), id(2), now));
        assert_eq!(book.get(&address(1)).unwrap().id, Some(book.mark(id(2))));
        book.met(now, &address(1), id(3), IdForm::Bin);
        book.learn(&address(1), id(4), now);
        assert_eq!(book.get(&address(1)).unwrap().id, Some(book.mark(id(3))));
    }
}
