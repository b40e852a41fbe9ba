//! How a network stays in one piece, and well mixed.
//!
//! Lists of peers lead to peers of peers, so links alone would make a network of circles of
//! friends, thinly linked: a few nodes between two circles could cut the one off from the other.
//! Therefore a node goes for a walk: from time to time it swaps a peer for one of that peer's peers,
//! soon after it has come and then ever more seldom. Since the two stay linked, a swap takes no
//! network apart (Mahlmann and Schindelhauer, "Peer-to-peer networks based on random
//! transformations of connected regular undirected graphs", 2005).
//!
//! A network cut in two would stay so once it can be mended, if both halves had links enough. So a
//! node goes on looking for peers that have fallen silent, the less often the longer they are gone.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::{CloseReason, DialId, Endpoint, Handshake, Link, LinkId, NodeId, Time, VecMap};

use crate::machine::{Mesh, Timer};

/// How long a node waits until it swaps a link: first, and at the longest.
const SWAP_FIRST: Duration = Duration::from_secs(2);
const SWAP_LAST: Duration = Duration::from_secs(600);
/// How long links are looked for in the place of those that others had opened.
const EXTRA_FOR: Duration = Duration::from_secs(180);
/// How long the link that gives way is still listened to.
const UNDER_WAY: Duration = Duration::from_secs(2);

/// Peers that have fallen silent.
#[derive(Debug, Default)]
pub(crate) struct Missed(VecMap<Endpoint, Absence>);

#[derive(Debug)]
struct Absence {
    since: Time,
    next: Time,
}

impl Missed {
    /// How many are looked for at the same time; those longest gone make room.
    const LIMIT: usize = 32;
    /// How long they are looked for.
    const FOR: Duration = Duration::from_secs(86_400);
    /// They are looked for again after an eighth of the time that they have been gone, but not
    /// sooner than this.
    const SOONEST: Duration = Duration::from_secs(10);

    /// The link to this peer has fallen silent, or was cut.
    fn note(&mut self, now: Time, address: &Endpoint, rng: &mut Xoshiro256PlusPlus) {
        if self.0.contains_key(address) {
            return;
        }
        if self.0.len() == Self::LIMIT {
            let oldest = self.0.iter().min_by_key(|(_, absence)| absence.since);
            if let Some(oldest) = oldest.map(|(address, _)| address.clone()) {
                self.0.remove(&oldest);
            }
        }
        let next = now + Self::SOONEST.mul_f64(rng.random_range(0.5..1.5));
        self.0.insert(address.clone(), Absence { since: now, next });
    }

    /// It is there again, or not wanted any more.
    fn forget(&mut self, address: &Endpoint) {
        self.0.remove(address);
    }

    /// One that it is time to look for.
    fn due(&mut self, now: Time, rng: &mut Xoshiro256PlusPlus) -> Option<Endpoint> {
        self.0.retain(|_, absence| now.since(absence.since) < Self::FOR);
        let due = self.0.iter().find(|(_, absence)| absence.next <= now);
        let address = due.map(|(address, _)| address.clone())?;
        if let Some(absence) = self.0.get_mut(&address) {
            let wait = (now.since(absence.since) / 8).max(Self::SOONEST);
            absence.next = now + wait.mul_f64(rng.random_range(0.75..1.25));
        }
        Some(address)
    }

    fn next(&self) -> Option<Time> {
        self.0.values().map(|absence| absence.next).min()
    }
}

/// The swap of a link for another.
#[derive(Debug)]
pub(crate) struct Swap {
    /// How long until the next one.
    wait: Duration,
    /// The link that is to give way, and the dial to the peer that takes its place.
    with: Option<(LinkId, Option<DialId>)>,
    /// Links wanted beyond the usual number, in the place of those that others had opened and that
    /// have fallen silent.
    pub(crate) extra: usize,
    /// Until when they are looked for.
    extra_until: Time,
}

impl Default for Swap {
    fn default() -> Self {
        Self { wait: SWAP_FIRST, with: None, extra: 0, extra_until: Time::default() }
    }
}

impl Mesh {
    /// A link has ended. A peer that closed it knows what it does, but one that fell silent may
    /// still be there, beyond what came in between.
    pub(crate) fn note_missed(
        &mut self,
        now: Time,
        link: LinkId,
        peer: Option<&Handshake>,
        reason: &CloseReason,
    ) {
        let fell_silent = matches!(
            reason,
            CloseReason::Io(_) | CloseReason::Idle { .. } | CloseReason::Stalled { .. }
        );
        let Some(peer) = peer.filter(|_| fell_silent && self.bounds.max_outgoing > 0) else {
            return;
        };
        let is_there = self.peers.get(&peer.id).is_some_and(|it| it.link != link);
        let dialled = self.dialled.get(&link).map(|dialled| &dialled.to);
        if let Some(address) = dialled.or(peer.address.as_ref()).filter(|_| !is_there) {
            self.missed.note(now, address, &mut self.rng);
            self.timers.set(Timer::Missed, self.missed.next());
        }
        // A circle of friends with links enough among themselves would not notice that they have
        // lost all others.
        if dialled.is_none() && self.swap.extra < self.bounds.max_outgoing {
            self.swap.extra += 1;
        }
        self.swap.extra_until = now + EXTRA_FOR;
        self.swap.wait = SWAP_FIRST;
        if self.timers.get(&Timer::Swap).is_some_and(|at| at > now + 2 * SWAP_FIRST) {
            self.timers.set(Timer::Swap, None);
            self.plan_swap(now);
        }
    }

    /// A node has been met at this address.
    pub(crate) fn found_again(&mut self, address: &Endpoint) {
        self.missed.forget(address);
        self.timers.set(Timer::Missed, self.missed.next());
    }

    pub(crate) fn look_for_missed(&mut self, now: Time) {
        while let Some(address) = self.missed.due(now, &mut self.rng) {
            if self.taken().binary_search(&&address).is_err() {
                self.dial(address, Vec::new());
            }
        }
        self.timers.set(Timer::Missed, self.missed.next());
    }

    /// There is a peer: sooner or later another one takes its place.
    pub(crate) fn plan_swap(&mut self, now: Time) {
        if self.timers.get(&Timer::Swap).is_none() {
            let wait = self.swap.wait.mul_f64(self.rng.random_range(0.75..1.25));
            self.timers.set(Timer::Swap, Some(now + wait));
        }
    }

    /// Asks a peer whom it is linked to: one of those is to take its place.
    pub(crate) fn begin_swap(&mut self, now: Time) {
        self.swap.with = None;
        if self.peers.is_empty() {
            self.swap = Swap::default();
            return;
        }
        let candidates: Vec<LinkId> = self.giving_way().collect();
        if self.swap.extra_until <= now {
            self.swap.extra = 0;
        }
        if !self.lacks_links() && !candidates.is_empty() {
            let chosen = candidates[self.rng.random_range(0..candidates.len())];
            self.swap.with = Some((chosen, None));
            self.request_peers_of(now, chosen);
        }
        self.swap.wait = (3 * self.swap.wait / 2).min(SWAP_LAST);
        self.plan_swap(now);
    }

    /// A peer has told whom it is linked to. If this is the one asked, it gives way: at once, if it
    /// shares a peer with this node and there are too many links; else to one of its own peers.
    /// Either way this node can still reach it.
    pub(crate) fn go_on_with_swap(
        &mut self,
        now: Time,
        link: LinkId,
        listed: &[(Endpoint, NodeId)],
    ) {
        if self.swap.with != Some((link, None)) {
            return;
        }
        let is_peer = |id: &NodeId| self.peers.contains_key(id);
        if self.has_too_many_links() {
            self.swap.with = None;
            self.swap.extra = self.swap.extra.saturating_sub(1);
            if listed.iter().any(|(_, id)| is_peer(id)) {
                self.give_way(now, link);
            }
            return;
        }
        let taken = self.taken();
        let is_new = |(address, id): &&(Endpoint, NodeId)| {
            !is_peer(id) && *id != self.id() && taken.binary_search(&address).is_err()
        };
        let new: Vec<&(Endpoint, NodeId)> = listed.iter().filter(is_new).collect();
        if new.is_empty() {
            self.swap.with = None;
            return;
        }
        let mut rng = self.rng.clone();
        let to = new[rng.random_range(0..new.len())].0.clone();
        self.rng = rng;
        let dial = self.dial(to, Vec::new());
        self.swap.with = Some((link, Some(dial)));
    }

    /// A dial has led to a peer. If it is the new one of a swap, the old one gives way.
    pub(crate) fn finish_swap(&mut self, now: Time, dial: DialId) {
        if let Some((link, Some(new))) = self.swap.with
            && new == dial
        {
            self.swap.with = None;
            self.give_way(now, link);
        }
    }

    /// The user wants this node's own link to a peer, which is there already.
    pub(crate) fn keep_by_hand(&mut self, link: LinkId) {
        if let Some(dialled) = self.dialled.get_mut(&link) {
            dialled.by_hand = true;
            dialled.gives_way = false;
            self.timers.set(Timer::GiveWay(link), None);
        }
    }

    fn give_way(&mut self, now: Time, link: LinkId) {
        if let Some(dialled) = self.dialled.get_mut(&link) {
            dialled.gives_way = true;
            self.timers.set(Timer::GiveWay(link), Some(now + UNDER_WAY));
        }
    }

    fn has_too_many_links(&self) -> bool {
        let leaving = self.dialled.values().filter(|dialled| dialled.gives_way).count();
        self.outgoing_peers() > self.bounds.max_outgoing + leaving
    }

    /// Links that may give way: those that this node opened by itself to rs2p nodes, for the old
    /// ones take a closed link badly.
    fn giving_way(&self) -> impl Iterator<Item = LinkId> {
        let dialled = self.dialled.iter();
        dialled
            .filter(|(link, dialled)| {
                !dialled.by_hand
                    && !dialled.gives_way
                    && self.links.get(**link).is_some_and(Link::gathers)
                    && self.peers.values().any(|peer| peer.link == **link)
            })
            .map(|(link, _)| *link)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    fn address(port: u16) -> Endpoint {
        Endpoint::new("10.0.0.1", port).unwrap()
    }

    #[test]
    fn who_is_gone_longer_is_looked_for_more_seldom_and_in_the_end_no_more() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut missed = Missed::default();
        let start = Time::from_secs(1_000);
        missed.note(start, &address(1), &mut rng);
        let (mut tries, mut last) = (Vec::new(), start);
        while let Some(next) = missed.next() {
            assert!(next > last);
            last = next;
            if missed.due(next, &mut rng).is_some() {
                tries.push(next.since(start).as_secs());
            }
        }
        assert!(tries.iter().filter(|at| **at <= 120).count() >= 7, "{tries:?}");
        assert!(tries.len() < 100, "{}", tries.len());
        assert!(*tries.last().unwrap() < 86_400);
        for pair in tries.windows(2).filter(|pair| pair[0] > 120) {
            assert!(pair[1] - pair[0] <= pair[0] / 8 * 13 / 10 + 2, "{pair:?}");
        }
    }

    #[test]
    fn those_longest_gone_make_room_and_who_is_back_is_not_looked_for() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut missed = Missed::default();
        for port in 1..=40 {
            missed.note(Time::from_secs(port.into()), &address(port), &mut rng);
        }
        assert_eq!(missed.0.len(), Missed::LIMIT);
        assert!(!missed.0.contains_key(&address(8)) && missed.0.contains_key(&address(9)));
        missed.forget(&address(9));
        assert!(!missed.0.contains_key(&address(9)));
    }
}
