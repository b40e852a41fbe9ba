//! Anti-entropy: two rs2p nodes find out what one of them lacks (`docs/protocol/sync.md`).
//!
//! Keys are spread over 2^64 places. A node tells the digest of all that it knows; where that
//! differs from what the other knows, the digests of parts; and at last, for a small part, the
//! digest of each record. What differs is then told by either side, and each keeps what wins.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt as _;
use rs2p_base::{LinkId, NodeId, Time};
use rs2p_mesh::{OverMesh as _, PeerInfo, Received};

use crate::event::SyncEvent;
use crate::machine::{Sync, Timer};
use crate::place;
use crate::records::{Compared, read_list, read_parts, read_places};
use crate::table::{BUCKET_BITS, Sum};
use crate::version::{Stamp, Winner, settle};

/// Sub-flags of the messages, among the numbers that the protocol reserves and nobody uses.
pub(crate) const COMPARE: u64 = 0x28;
pub(crate) const LIST: u64 = 0x29;
pub(crate) const WANT: u64 = 0x2a;
pub(crate) const RECORDS: u64 = 0x2b;

/// A part of all places, and a digest of what is known of the keys there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) range: RangeInclusive<u64>,
    pub(crate) sum: Sum,
}

/// Where an exchange with a peer stands.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    /// What is still to be told.
    tasks: VecDeque<Task>,
    /// When the peer was last asked to compare everything and has not answered since.
    asked: Option<Time>,
    /// How long to wait until comparing again, when differences were found.
    again: Duration,
    /// This node was away for so long that the peer may have forgotten deletions: what the peer
    /// lacks of this node's records from before that second is given up, and what the peer holds in
    /// their place is taken.
    pub(crate) gives_up: Option<u64>,
    /// Up to when the peer knows of all deletions, in seconds.
    known: u64,
}

/// Something to tell a peer when there is room on its link.
#[derive(Debug)]
enum Task {
    /// The digests of all records in a range.
    List(RangeInclusive<u64>),
    /// All records in a range, those up to the key that was told last left out.
    Range(RangeInclusive<u64>, Option<(u64, Bytes)>),
    /// These records.
    Keys(VecDeque<Bytes>),
}

impl Exchange {
    pub(crate) fn is_busy(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Does without what is over the bound.
    fn add(&mut self, mut task: Task) {
        if self.tasks.len() >= MAX_TASKS {
            return;
        }
        if let Task::Keys(keys) = &mut task {
            let waiting = self.tasks.iter().map(|task| match task {
                Task::Keys(keys) => keys.len(),
                Task::List(_) | Task::Range(..) => 0,
            });
            keys.truncate(MAX_KEYS.saturating_sub(waiting.sum()));
        }
        self.tasks.push_back(task);
    }
}

/// Parts into which a part is split whose digests differ; all places are split into buckets.
const FAN_OUT_BITS: u32 = 4;
/// A part of so many records is told record by record.
const SMALL: u64 = 64;
/// Parts in one message.
const MAX_PARTS: usize = 1_024;
/// Digests of records in one message.
const MAX_LISTED: usize = 2_048;
/// Bytes of records in one message, but for a single one that takes more.
const MAX_RECORDS: usize = 64 << 10;
/// What may wait to be told to one peer: ranges and batches of keys, and keys in them. What is
/// beyond waits for the next comparison.
const MAX_TASKS: usize = 8_192;
const MAX_KEYS: usize = 262_144;
/// An unanswered question is forgotten after so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// A node that is told much by one peer does not begin with another until it has been quiet for so
/// long.
const QUIET: Duration = Duration::from_millis(200);
/// Differences are looked for again after so long at first, then ever more seldom.
const AGAIN: Duration = Duration::from_secs(1);

impl Sync {
    pub(crate) fn begin_exchange(&mut self, now: Time, peer: &PeerInfo) {
        self.exchanges.insert(peer.id, Exchange { again: AGAIN, ..Exchange::default() });
        self.met.get_or_insert(now);
        // One of the two begins.
        if peer.outgoing {
            self.compare_with(now, peer.id);
        }
        self.plan_comparing(now);
    }

    pub(crate) fn end_exchange(&mut self, peer: NodeId) {
        self.exchanges.remove(&peer);
        self.timers.set(Timer::Again(peer), None);
        self.receiving.take_if(|(from, _)| *from == peer);
        if self.exchanges.is_empty() {
            self.timers.set(Timer::Compare, None);
            self.timers.set(Timer::Spread, None);
            self.met = None;
        }
    }

    fn plan_comparing(&mut self, now: Time) {
        if self.timers.get(&Timer::Compare).is_none() {
            // Not all nodes of a network at the same time.
            let wait = self.config.compare.mul_f64(self.rng.random_range(0.75..1.25));
            self.timers.set(Timer::Compare, Some(now + wait.max(AGAIN)));
        }
    }

    pub(crate) fn compare_with_some_peer(&mut self, now: Time) {
        let peers: Vec<NodeId> = self.exchanges.keys().copied().collect();
        if peers.is_empty() {
            return;
        }
        let peer = peers[self.rng.random_range(0..peers.len())];
        self.compare_with(now, peer);
        self.plan_comparing(now);
    }

    pub(crate) fn compare_with_all(&mut self, now: Time) {
        let peers: Vec<NodeId> = self.exchanges.keys().copied().collect();
        peers.into_iter().for_each(|peer| self.compare_with(now, peer));
    }

    /// Asks a peer to compare everything, unless another one is just telling much.
    pub(crate) fn compare_with(&mut self, now: Time, peer: NodeId) {
        if self.is_told_by_another(now, peer) {
            self.timers.set(Timer::Again(peer), Some(now + 2 * QUIET));
            return;
        }
        let whole = Part { range: 0..=u64::MAX, sum: self.table.sum(&(0..=u64::MAX)) };
        let Some(link) = self.mesh().peer(peer).map(|peer| peer.link) else { return };
        let Some(exchange) = self.exchanges.get_mut(&peer) else { return };
        if exchange.is_busy() || self.mesh().room_on(link).is_err() {
            self.timers.set(Timer::Again(peer), Some(now + AGAIN));
            return;
        }
        if let Some(exchange) = self.exchanges.get_mut(&peer) {
            exchange.asked = Some(now);
        }
        self.tell_parts(now, link, &[whole], false);
    }

    fn is_told_by_another(&self, now: Time, peer: NodeId) -> bool {
        self.receiving.is_some_and(|(from, at)| from != peer && now.since(at) < QUIET)
    }

    /// Peers that this node has exchanged with lately may lack what it has just got.
    fn spread(&mut self, now: Time) {
        if self.exchanges.len() > 1 {
            self.timers.set(Timer::Spread, Some(now + QUIET));
        }
    }

    pub(crate) fn on_compare(&mut self, now: Time, received: &Received) {
        let Some(Compared { forgotten, known, parts, wants_lists }) = read_parts(received, self)
        else {
            self.counts.malformed += 1;
            return;
        };
        if forgotten > self.clock(now).saturating_add(self.config.max_ahead.as_secs()) {
            // Believed and passed on, it would make every node give up what some peer lacks.
            self.counts.malformed += 1;
            return;
        }
        let (peer, link, own_id) = (received.neighbour(), received.link(), self.id());
        let Some(exchange) = self.exchanges.get_mut(&peer) else { return };
        let is_whole = parts.first().is_some_and(|part| part.range == (0..=u64::MAX));
        exchange.known = known;
        let asked = exchange.asked.take().filter(|asked| now.since(*asked) < PATIENCE);
        if is_whole && asked.is_some() && own_id > peer && !wants_lists {
            // Both ask at once: the larger one is answered.
            exchange.asked = asked;
            return;
        }
        if parts.is_empty() {
            self.on_same(now, peer, forgotten, known);
            return;
        }
        if self.synced > 0 && self.synced < forgotten {
            let synced = self.synced;
            if let Some(exchange) = self.exchanges.get_mut(&peer) {
                exchange.gives_up.get_or_insert(synced);
            }
        }
        if is_whole && self.is_told_by_another(now, peer) {
            self.timers.set(Timer::Again(peer), Some(now + 2 * QUIET));
            return;
        }
        let whole = self.table.sum(&(0..=u64::MAX));
        let is_different = is_whole && parts.iter().any(|part| part.sum != whole);
        if is_different && !self.may_settle(now, known) {
            self.timers.set(Timer::Again(peer), Some(now + AGAIN));
            return;
        }
        let gives_up = self.exchanges.get(&peer).is_some_and(|it| it.gives_up.is_some());
        // A list would not tell the peer that it has to give up anything.
        let peer_gives_up = is_whole && known > 0 && known < self.forgotten;
        let is_small = |count: u64| count <= SMALL && !peer_gives_up;
        let mut differing = Vec::new();
        let mut tasks = Vec::new();
        for part in &parts {
            let range = part.range.clone();
            let sum = self.table.sum(&range);
            if sum == part.sum {
                continue;
            }
            if wants_lists {
                tasks.push(Task::List(range));
            } else if gives_up {
                differing.push(Part { range, sum });
            } else if part.sum.count == 0 {
                tasks.push(Task::Range(range, None));
            } else if sum.count == 0 {
                // All places in one part would look like a question, asked at the same moment.
                let half = u64::MAX / 2;
                let is_all = range == (0..=u64::MAX);
                let ranges = if is_all { vec![0..=half, half + 1..=u64::MAX] } else { vec![range] };
                differing.extend(ranges.into_iter().map(|range| Part { range, sum }));
            } else if is_small(sum.count.saturating_add(part.sum.count))
                || range.start() == range.end()
            {
                tasks.push(Task::List(range));
            } else {
                differing.extend(split(&range).map(|range| {
                    let sum = self.table.sum(&range);
                    Part { range, sum }
                }));
            }
        }
        if differing.is_empty() && tasks.is_empty() {
            if is_whole {
                self.tell_parts(now, link, &[], false);
                self.on_same(now, peer, forgotten, known);
            }
            return;
        }
        if is_whole {
            self.counts.different += 1;
            self.compare_again(now, peer);
        }
        for parts in differing.chunks(MAX_PARTS) {
            self.tell_parts(now, link, parts, gives_up);
        }
        tasks.into_iter().for_each(|task| self.add_task(peer, task));
    }

    /// This node and a peer know the same. `known`: up to when the peer knows of all deletions.
    fn on_same(&mut self, now: Time, peer: NodeId, forgotten: u64, known: u64) {
        self.counts.same += 1;
        let clock = self.clock(now);
        let known = if self.may_settle(now, known) { clock } else { known.min(clock) };
        self.synced = self.synced.max(known);
        self.forgotten = self.forgotten.max(forgotten);
        self.timers.set(Timer::Again(peer), None);
        if let Some(exchange) = self.exchanges.get_mut(&peer) {
            (exchange.gives_up, exchange.again) = (None, AGAIN);
        }
    }

    /// Whether differences with a peer may be settled now, which knows of all deletions up to that
    /// second. Two that were both away for so long that deletions have been forgotten meanwhile
    /// would take each other's word for what has been deleted: they wait for somebody who was there,
    /// and begin by themselves only when nobody was.
    fn may_settle(&self, now: Time, known: u64) -> bool {
        let oldest = self.oldest_remembered(self.clock(now));
        let was_there = |known: u64| known > 0 && known >= oldest;
        let is_new_network = self.synced == 0 && known == 0;
        let waits = self.met.is_some_and(|met| now.since(met) < 2 * self.config.compare);
        let is_one_there = self.exchanges.values().any(|exchange| was_there(exchange.known));
        was_there(self.synced) || was_there(known) || is_new_network || !(waits || is_one_there)
    }

    /// Differences are being settled: sees to it later that none are left.
    fn compare_again(&mut self, now: Time, peer: NodeId) {
        let longest = self.config.compare;
        let Some(exchange) = self.exchanges.get_mut(&peer) else { return };
        let wait = exchange.again;
        exchange.again = (exchange.again * 2).min(longest).max(AGAIN);
        self.timers.set(Timer::Again(peer), Some(now + wait));
    }

    pub(crate) fn on_list(&mut self, now: Time, received: &Received) {
        let Some((range, theirs)) = read_list(received, self) else {
            self.counts.malformed += 1;
            return;
        };
        let peer = received.neighbour();
        let Some(exchange) = self.exchanges.get(&peer) else { return };
        let gives_up = exchange.gives_up;
        let mut theirs = theirs.into_iter().peekable();
        let (mut wanted, mut told, mut given_up) = (Vec::new(), VecDeque::new(), Vec::new());
        for (place, key, digest) in self.table.index(&range) {
            while let Some((theirs, _)) = theirs.next_if(|(theirs, _)| *theirs < place) {
                wanted.push(theirs);
            }
            let mut is_there = false;
            let mut is_same = false;
            // Two keys at one place are as good as impossible, but anyone may claim them.
            while let Some((_, theirs)) = theirs.next_if(|(theirs, _)| *theirs == place) {
                is_there = true;
                is_same |= theirs == digest;
            }
            if is_same {
                continue;
            }
            let record = self.table.get(key);
            let time = record.map_or(0, |record| record.stamp.version.time);
            let is_given_up = gives_up.is_some_and(|until| time < until);
            if is_there {
                wanted.push(place);
            }
            match (is_given_up, is_there) {
                (false, _) => told.push_back(key.clone()),
                (true, false) => given_up.push(key.clone()),
                // It gives way to what the peer is about to tell.
                (true, true) => {}
            }
        }
        wanted.extend(theirs.map(|(place, _)| place));
        for key in given_up {
            self.give_up(&key);
        }
        for places in wanted.chunks(MAX_LISTED) {
            self.tell_wanted(now, received.link(), places);
        }
        if !told.is_empty() {
            self.add_task(peer, Task::Keys(told));
        }
        self.exchange_more(now);
    }

    /// The key was deleted while this node was away, and the deletion is forgotten by now.
    fn give_up(&mut self, key: &Bytes) {
        self.counts.given_up += 1;
        self.journal.note(key);
        if self.table.remove(key).is_some_and(|record| record.value.is_some()) {
            self.stack.tell(SyncEvent::Delete { key: key.clone(), meta: None });
        }
    }

    pub(crate) fn on_want(&mut self, now: Time, received: &Received) {
        let Some(places) = read_places(received, self) else {
            self.counts.malformed += 1;
            return;
        };
        let mut keys = VecDeque::new();
        for place in places {
            keys.extend(self.table.index(&(place..=place)).map(|(_, key, _)| key.clone()));
        }
        self.add_task(received.neighbour(), Task::Keys(keys));
        self.exchange_more(now);
    }

    pub(crate) fn on_records(&mut self, now: Time, received: &Received) {
        let Some(taken) = self.take_records(now, received) else {
            self.counts.malformed += 1;
            return;
        };
        if taken > 0 {
            self.receiving = Some((received.neighbour(), now));
            self.counts.repaired += taken;
            self.spread(now);
        }
    }

    /// A peer has told of a delta to what this node does not hold: asks for the whole value, if it
    /// would be taken.
    pub(crate) fn fetch_if_newer(
        &mut self,
        now: Time,
        received: &Received,
        key: &[u8],
        mut new: Stamp,
    ) {
        let held = self.table.get(key).map(|held| Stamp::clone(&held.stamp));
        let loses = held.is_some_and(|mut held| settle(&mut held, &mut new) != Winner::New);
        if loses {
            self.counts.lost += 1;
            return;
        }
        let peer = received.neighbour();
        if self.exchanges.contains_key(&peer) {
            self.tell_wanted(now, received.link(), &[place::place(key)]);
        } else {
            // It has come by way of old nodes.
            self.timers.set(Timer::Spread, Some(now + QUIET));
        }
    }

    fn add_task(&mut self, peer: NodeId, task: Task) {
        if let Some(exchange) = self.exchanges.get_mut(&peer) {
            exchange.add(task);
        }
    }

    /// Tells peers more of what they lack, as far as there is room on their links.
    pub(crate) fn exchange_more(&mut self, now: Time) {
        let is_busy = |(_, exchange): &(&NodeId, &Exchange)| exchange.is_busy();
        if !self.exchanges.iter().any(|it| is_busy(&it)) {
            return;
        }
        let busy: Vec<NodeId> = self.exchanges.iter().filter(is_busy).map(|(id, _)| *id).collect();
        for peer in busy {
            let Some(link) = self.mesh().peer(peer).map(|peer| peer.link) else { continue };
            while self.has_bulk_room(link) {
                let exchange = self.exchanges.get_mut(&peer);
                let Some(task) = exchange.and_then(|it| it.tasks.pop_front()) else { break };
                if let Some(rest) = self.do_some(now, link, task)
                    && let Some(exchange) = self.exchanges.get_mut(&peer)
                {
                    exchange.tasks.push_front(rest);
                }
            }
        }
    }

    /// Tells a message's worth, and gives back what is left.
    fn do_some(&mut self, now: Time, link: LinkId, task: Task) -> Option<Task> {
        match task {
            Task::List(range) => {
                let mut items: Vec<(u64, u64)> = self
                    .table
                    .index(&range)
                    .map(|(place, _, digest)| (place, digest))
                    .take(MAX_LISTED + 1)
                    .collect();
                let mut last = *range.end();
                if items.len() > MAX_LISTED {
                    // A place is told as a whole.
                    let next = items[MAX_LISTED].0;
                    items.retain(|(place, _)| *place < next);
                    last = next.saturating_sub(1).max(*range.start());
                }
                self.tell_list(now, link, *range.start()..=last, &items);
                (last < *range.end() && !items.is_empty())
                    .then(|| Task::List(last + 1..=*range.end()))
            }
            Task::Range(range, told) => {
                let mut at = told;
                let (mut keys, mut bytes) = (Vec::new(), 0);
                while bytes < MAX_RECORDS {
                    let Some(next) = self.table.next_in(&range, at.as_ref()) else {
                        self.tell_records(now, link, &keys);
                        return None;
                    };
                    bytes += self.table.get(&next.1).map_or(0, |record| record.size);
                    keys.push(next.1.clone());
                    at = Some(next.clone());
                }
                self.tell_records(now, link, &keys);
                Some(Task::Range(range, at))
            }
            Task::Keys(mut left) => {
                let (mut keys, mut bytes) = (Vec::new(), 0);
                while bytes < MAX_RECORDS
                    && let Some(key) = left.pop_front()
                {
                    bytes += self.table.get(&key).map_or(0, |record| record.size);
                    keys.push(key);
                }
                self.tell_records(now, link, &keys);
                (!left.is_empty()).then_some(Task::Keys(left))
            }
        }
    }
}

/// The parts of a part: all places fall into buckets, and less into fewer.
fn split(range: &RangeInclusive<u64>) -> impl Iterator<Item = RangeInclusive<u64>> + use<> {
    let (first, last) = (*range.start(), *range.end());
    let bits = if last - first == u64::MAX { BUCKET_BITS } else { FAN_OUT_BITS };
    let size = ((last - first) >> bits) + 1;
    let mut next = Some(first);
    std::iter::from_fn(move || {
        let from = next?;
        let to = from.saturating_add(size - 1).min(last);
        next = (to < last).then(|| to + 1);
        Some(from..=to)
    })
}

#[cfg(test)]
mod tests;
