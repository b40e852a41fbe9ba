//! Copies: each position is kept by its owner and by the members before it.
//!
//! A member's successor list says whose stretches it copies: those of the next members. It compares
//! them by digests when its neighbourhood changes and from time to time, so on joining only what
//! differs moves. When an owner dies, the member before it takes its stretch, and has it already.

use std::collections::VecDeque;
use std::time::Duration;

use rs2p_base::{NodeId, Time, VecMap};
use rs2p_mesh::Received;
use rs2p_wire::Elements;

use crate::change::Change;
use crate::contact::read_id;
use crate::event::ChordEvent;
use crate::machine::{Chord, Timer};
use crate::position::distance;
use crate::record::{Record, Spot, Version};
use crate::request::Kept;
use crate::shelf::Sum;
use crate::stretch::Stretch;

/// The sub-flag of what is said about copies.
pub(crate) const COPY: u64 = 0x2f;

/// Records that are told one by one rather than by digests.
const FEW: u64 = 128;
/// Parts into which a stretch is cut that differs.
const PARTS: usize = 16;
/// Parts and versions that are read from one message.
const MAX_READ: usize = 4_096;
/// Records that are asked for in one message, or told because of one list.
const MAX_WANTED: usize = 1_024;
/// Bytes of records in one message, but for the last one.
const MAX_BYTES: usize = 48 << 10;
/// What may wait for room on a peer's link; the next comparison finds what was left out.
const MAX_TASKS: usize = 64;
/// How soon a comparison is made after a change, and again while not all is here.
const SOON: Duration = Duration::from_millis(100);
/// How long nothing must have come of a peer's records before they are all here.
const QUIET: Duration = Duration::from_millis(200);
/// How long a member that has joined waits for what is its own, when nothing comes.
const SETTLE: Duration = Duration::from_secs(15);

/// Who copies this member's stretch, and what peers are to be told.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    /// Since when a member copies, or when it last compared.
    copiers: VecMap<NodeId, Time>,
    outbox: VecMap<NodeId, VecDeque<Task>>,
    /// When peers last told records.
    told_by: VecMap<NodeId, Time>,
    /// The successor that has this member for its predecessor.
    pub(crate) followed_by: Option<NodeId>,
    /// Since when this member waits for what is its own.
    waits: Option<Time>,
}

#[derive(Debug)]
enum Task {
    /// These records.
    Spots(VecDeque<Spot>),
    /// All of a stretch, from behind this spot on.
    All(Stretch, Option<Spot>),
}

#[derive(Clone, Copy, Debug)]
struct Part {
    stretch: Stretch,
    sum: Sum,
}

impl Copies {
    pub(crate) fn copied_by(&mut self, now: Time, peer: NodeId) {
        self.copiers.insert(peer, now);
    }

    pub(crate) fn copiers(&self) -> impl Iterator<Item = &NodeId> {
        self.copiers.keys()
    }

    pub(crate) fn forget(&mut self, peer: NodeId) {
        self.copiers.remove(&peer);
        self.outbox.remove(&peer);
        self.told_by.remove(&peer);
    }

    pub(crate) fn end(&mut self) {
        *self = Self::default();
    }

    fn add(&mut self, peer: NodeId, task: Task) {
        if !self.outbox.contains_key(&peer) {
            self.outbox.insert(peer, VecDeque::new());
        }
        if let Some(tasks) = self.outbox.get_mut(&peer)
            && tasks.len() < MAX_TASKS
        {
            tasks.push_back(task);
        }
    }

    pub(crate) fn has_tasks(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Whether a peer is being told records, or tells some: another comparison would find the same
    /// differences once more.
    fn is_exchanging(&self, now: Time, peer: NodeId) -> bool {
        self.outbox.get(&peer).is_some_and(|tasks| !tasks.is_empty())
            || self.told_by.get(&peer).is_some_and(|at| now.since(*at) < QUIET)
    }
}

impl Chord {
    /// The nearest members before this one that copy what it owns.
    pub(crate) fn copiers(&self, now: Time) -> Vec<NodeId> {
        if self.ring.is_none() {
            return Vec::new();
        }
        let fresh = 4 * self.config.compare();
        let is_there = |(id, since): &(&NodeId, &Time)| {
            now.since(**since) < fresh && self.peers.get(id).is_some_and(|peer| peer.is_way())
        };
        let mut copiers: Vec<(NodeId, NodeId)> = self
            .copies
            .copiers
            .iter()
            .filter(is_there)
            .map(|(id, _)| (distance(*id, self.id()), *id))
            .collect();
        copiers.sort_unstable();
        copiers.truncate(self.config.copies() - 1);
        copiers.into_iter().map(|(_, id)| id).collect()
    }

    /// Tells copiers of a write, and of the change of a map that it comes from. Gives those that
    /// could be told.
    pub(crate) fn push(
        &mut self,
        now: Time,
        spot: Spot,
        copy: u64,
        to: &[NodeId],
        change: Option<Change>,
    ) -> Vec<NodeId> {
        let elements = 3 + Record::ELEMENTS + 2 * usize::from(change.is_some());
        let mut told = Vec::with_capacity(to.len());
        let Some(record) = self.shelf.get(spot).cloned() else { return told };
        for id in to {
            if !self.has_room(*id) {
                continue;
            }
            self.tell_peer(now, *id, elements, record.size() + 220, |writer| {
                writer.unsigned(COPY);
                writer.unsigned(0);
                writer.unsigned(copy);
                record.write(spot, writer);
                if let Some(Change { author, number }) = change {
                    writer.binary(&author.to_bytes());
                    writer.unsigned(number);
                }
            });
            self.owes_answer(now, *id);
            told.push(*id);
        }
        told
    }

    pub(crate) fn compare_soon(&mut self, now: Time) {
        let soon = now + SOON;
        if self.timers.get(&Timer::Compare).is_none_or(|at| at > soon) {
            self.timers.set(Timer::Compare, Some(soon));
        }
    }

    /// Compares what this member copies with the owners, and what it owns with its predecessor as
    /// long as that may have more of it.
    pub(crate) fn compare_copies(&mut self, now: Time) {
        let Some(ring) = self.ring.as_ref() else { return };
        let id = self.id();
        let list: Vec<NodeId> =
            ring.successors().iter().take(self.config.copies()).copied().collect();
        let predecessor = ring.predecessor();
        let mut wait = self.config.compare();
        for pair in list.windows(2) {
            self.compare(now, pair[0], Stretch { from: pair[0], to: pair[1] });
        }
        // In a small ring the last one's stretch ends here.
        if let Some(last) = list.last()
            && list.len() < self.config.copies()
        {
            self.compare(now, *last, Stretch { from: *last, to: id });
        }
        if !self.is_settled {
            let since = *self.copies.waits.get_or_insert(now);
            let next = list.first().copied();
            match (predecessor, next) {
                (Some(predecessor), Some(next)) if now.since(since) < SETTLE => {
                    self.compare(now, predecessor, Stretch { from: id, to: next });
                    wait = SOON * 3;
                }
                _ => self.settle_in(),
            }
        }
        let wait = wait.mul_f64(rand::RngExt::random_range(&mut self.rng, 0.75..1.25));
        self.timers.set(Timer::Compare, Some(now + wait));
    }

    fn settle_in(&mut self) {
        self.is_settled = true;
        self.copies.waits = None;
        self.stack.tell(ChordEvent::Settled);
    }

    fn compare(&mut self, now: Time, with: NodeId, stretch: Stretch) {
        if !self.has_room(with) || self.copies.is_exchanging(now, with) {
            return;
        }
        let sum = self.shelf.sum(stretch);
        self.owes_answer(now, with);
        self.tell_parts(now, with, true, &[Part { stretch, sum }]);
    }

    fn tell_parts(&mut self, now: Time, to: NodeId, is_first: bool, parts: &[Part]) {
        self.tell_peer(now, to, 4, 130 * parts.len() + 16, |writer| {
            writer.unsigned(COPY);
            writer.unsigned(2);
            writer.unsigned(is_first.into());
            writer.array(4 * parts.len(), |writer| {
                for Part { stretch, sum } in parts {
                    writer.binary(&stretch.from.to_bytes());
                    writer.binary(&stretch.to.to_bytes());
                    writer.unsigned(sum.count);
                    writer.unsigned(sum.digest);
                }
            });
        });
    }

    pub(crate) fn on_copy(&mut self, now: Time, received: &Received) -> Option<()> {
        let limits = self.limits();
        let mut payload = received.message().elements(&limits).ok()?;
        payload.next()?;
        let from = received.neighbour();
        match payload.next()?.as_u64()? {
            0 => {
                let copy = payload.next()?.as_u64()?;
                let (spot, record) = Record::read(&mut payload)?;
                let change = match payload.next() {
                    Some(author) => {
                        let number = payload.next()?.as_u64()?;
                        Some(Change { author: read_id(&author)?, number })
                    }
                    None => None,
                };
                self.take_copy(now, spot, &record, change);
                let has_it = self.shelf.version(spot) >= Some(record.version);
                // Without room for it, silence is the truth.
                if has_it || self.is_forgotten(now, &record) {
                    self.tell_peer(now, from, 3, 16, |writer| {
                        writer.unsigned(COPY);
                        writer.unsigned(1);
                        writer.unsigned(copy);
                    });
                }
            }
            1 => self.on_copied(now, from, payload.next()?.as_u64()?),
            2 => {
                let is_first = payload.next()?.as_u64()? != 0;
                let parts = read_parts(payload.next()?.as_array()?)?;
                self.on_parts(now, from, is_first, &parts);
            }
            3 => {
                let stretch = read_stretch(&mut payload)?;
                let theirs = read_versions(payload.next()?.as_array()?)?;
                self.on_list(now, from, stretch, theirs);
            }
            4 => {
                let mut wanted = payload.next()?.as_array()?;
                let mut spots = VecDeque::new();
                while wanted.len() > 0 && spots.len() < MAX_WANTED {
                    spots.push_back(Spot::read(&mut wanted)?);
                }
                self.copies.add(from, Task::Spots(spots));
            }
            5 => {
                self.copies.told_by.insert(from, now);
                if self.copies.waits.is_some() {
                    self.copies.waits = Some(now);
                }
                while payload.len() > 0 {
                    let (spot, record) = Record::read(&mut payload)?;
                    if self.take_copy(now, spot, &record, None) {
                        self.counts.repaired += 1;
                    }
                }
            }
            6 => self.on_same(read_stretch(&mut payload)?, from),
            _ => return None,
        }
        Some(())
    }

    /// Takes a copy, if it is later than what is here. Whether it was.
    fn take_copy(
        &mut self,
        now: Time,
        spot: Spot,
        record: &Record,
        change: Option<Change>,
    ) -> bool {
        if self.ring.is_none() || self.is_forgotten(now, record) {
            return false;
        }
        let before = self.shelf.version(spot);
        let kept = match change {
            Some(_) => self.keep_what_follows(now, spot, record),
            None => self.keep(now, spot, record),
        };
        if let Some(change) = change
            && kept.is_ok()
        {
            self.changes.note(now, spot, change);
        }
        matches!(kept, Ok(_) | Err(Kept::Newer(_))) && self.shelf.version(spot) != before
    }

    /// Whether it is a deletion that nobody has to remember any more.
    pub(crate) fn is_forgotten(&self, now: Time, record: &Record) -> bool {
        let age = self.config.tombstone_age.as_millis() as u64;
        record.is_tombstone() && record.version.time.saturating_add(age) < self.clock(now)
    }

    fn on_parts(&mut self, now: Time, from: NodeId, is_first: bool, parts: &[Part]) {
        let Some(ring) = self.ring.as_ref() else { return };
        let ring_next = ring.successor();
        if is_first && parts.iter().any(|part| part.stretch.from == ring.me()) {
            self.copies.copied_by(now, from);
        }
        if is_first && self.copies.is_exchanging(now, from) {
            return;
        }
        let mut differing = Vec::new();
        let mut same = Vec::new();
        // Honest parts do not overlap.
        let mut work = 2 * self.shelf.len() as u64 + FEW;
        for Part { stretch, sum } in parts {
            let own = self.shelf.sum(*stretch);
            let Some(left) = work.checked_sub(own.count) else {
                self.counts.malformed += 1;
                return;
            };
            work = left;
            if own == *sum {
                // Who has another successor may lack what that one took in the asker's place.
                if stretch.from != from || ring_next == Some(from) {
                    same.push(*stretch);
                }
            } else if sum.count == 0 {
                self.copies.add(from, Task::All(*stretch, None));
            } else if own.count == 0 || own.count.saturating_add(sum.count) <= FEW {
                self.tell_versions(now, from, *stretch);
            } else {
                let parts = self.shelf.split(*stretch, PARTS);
                if parts.len() == 1 {
                    self.tell_versions(now, from, *stretch);
                } else {
                    let sums = parts.into_iter();
                    differing.extend(sums.map(|stretch| {
                        let sum = self.shelf.sum(stretch);
                        Part { stretch, sum }
                    }));
                }
            }
        }
        if !differing.is_empty() {
            self.tell_parts(now, from, false, &differing);
        }
        if is_first {
            for stretch in same {
                self.tell_peer(now, from, 4, 112, |writer| {
                    writer.unsigned(COPY);
                    writer.unsigned(6);
                    writer.binary(&stretch.from.to_bytes());
                    writer.binary(&stretch.to.to_bytes());
                });
            }
        }
    }

    /// Tells which versions are here; what is missing of a long list, the next comparison finds.
    fn tell_versions(&mut self, now: Time, to: NodeId, stretch: Stretch) {
        let all = self.shelf.iter(stretch);
        let versions: Vec<(Spot, Version)> =
            all.map(|(spot, record, _)| (spot, record.version)).take(MAX_READ + 1).collect();
        let (stretch, versions) = if versions.len() > MAX_READ {
            let to = versions[MAX_READ].0.point();
            let kept = versions.into_iter().take_while(|(spot, _)| spot.point() != to).collect();
            (Stretch { from: stretch.from, to }, kept)
        } else {
            (stretch, versions)
        };
        self.tell_peer(now, to, 5, 130 * versions.len() + 112, |writer| {
            writer.unsigned(COPY);
            writer.unsigned(3);
            writer.binary(&stretch.from.to_bytes());
            writer.binary(&stretch.to.to_bytes());
            writer.array(4 * versions.len(), |writer| {
                for (spot, version) in versions {
                    spot.write(writer);
                    version.write(writer);
                }
            });
        });
    }

    fn on_list(
        &mut self,
        now: Time,
        from: NodeId,
        stretch: Stretch,
        mut theirs: Vec<(Spot, Version)>,
    ) {
        theirs.retain(|(spot, _)| stretch.contains(spot.point()));
        theirs.sort_unstable();
        if theirs.is_empty() {
            return self.copies.add(from, Task::All(stretch, None));
        }
        let mut wanted: Vec<Spot> = Vec::new();
        for (spot, version) in &theirs {
            if self.shelf.version(*spot).is_none_or(|held| held < *version) {
                wanted.push(*spot);
            }
        }
        let is_later = |(spot, record, _): (Spot, &Record, u64)| {
            let at = theirs.binary_search_by_key(&spot, |(spot, _)| *spot);
            at.map_or(true, |at| theirs[at].1 < record.version).then_some(spot)
        };
        let later: VecDeque<Spot> =
            self.shelf.iter(stretch).filter_map(is_later).take(MAX_WANTED).collect();
        for wanted in wanted.chunks(MAX_WANTED) {
            self.tell_peer(now, from, 3, 70 * wanted.len() + 16, |writer| {
                writer.unsigned(COPY);
                writer.unsigned(4);
                writer.array(2 * wanted.len(), |writer| {
                    wanted.iter().for_each(|spot| spot.write(writer));
                });
            });
        }
        if !later.is_empty() {
            self.copies.add(from, Task::Spots(later));
        }
    }

    /// A neighbour has the same of a stretch.
    fn on_same(&mut self, stretch: Stretch, with: NodeId) {
        let Some(ring) = self.ring.as_ref() else { return };
        // Its stretch may end earlier than it knows, as long as its successor has another one.
        let is_followed = ring.successor().is_some_and(|it| self.copies.followed_by == Some(it));
        if stretch.from == self.id() && ring.predecessor() == Some(with) && is_followed {
            self.settle_in();
        }
    }

    /// Tells neighbours more records that they lack, as far as there is room.
    pub(crate) fn copy_more(&mut self, now: Time) {
        if !self.copies.has_tasks() {
            return;
        }
        let peers: Vec<NodeId> = self.copies.outbox.keys().copied().collect();
        for peer in peers {
            while self.has_bulk_room(peer) {
                let tasks = self.copies.outbox.get_mut(&peer);
                let Some(task) = tasks.and_then(VecDeque::pop_front) else {
                    self.copies.outbox.remove(&peer);
                    break;
                };
                if let Some(rest) = self.tell_records(now, peer, task)
                    && let Some(tasks) = self.copies.outbox.get_mut(&peer)
                {
                    tasks.push_front(rest);
                }
            }
        }
    }

    /// Tells a message's worth, and gives back what is left.
    fn tell_records(&mut self, now: Time, to: NodeId, task: Task) -> Option<Task> {
        let (mut told, mut bytes) = (Vec::new(), 0);
        let rest = match task {
            Task::Spots(mut spots) => {
                while bytes < MAX_BYTES
                    && let Some(spot) = spots.pop_front()
                {
                    if let Some(record) = self.shelf.get(spot) {
                        bytes += record.size() + 130;
                        told.push((spot, record.clone()));
                    }
                }
                (!spots.is_empty()).then_some(Task::Spots(spots))
            }
            Task::All(stretch, behind) => {
                for (spot, record, _) in self.shelf.iter_behind(stretch, behind) {
                    if bytes >= MAX_BYTES {
                        break;
                    }
                    bytes += record.size() + 130;
                    told.push((spot, record.clone()));
                }
                let last = told.last().map(|(spot, _)| *spot).filter(|_| bytes >= MAX_BYTES);
                last.map(|last| Task::All(stretch, Some(last)))
            }
        };
        if !told.is_empty() {
            self.tell_peer(now, to, 2 + Record::ELEMENTS * told.len(), bytes, |writer| {
                writer.unsigned(COPY);
                writer.unsigned(5);
                told.iter().for_each(|(spot, record)| record.write(*spot, writer));
            });
        }
        rest
    }
}

fn read_stretch(elements: &mut Elements<'_>) -> Option<Stretch> {
    Some(Stretch { from: read_id(&elements.next()?)?, to: read_id(&elements.next()?)? })
}

fn read_parts(mut elements: Elements<'_>) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    while elements.len() > 0 && parts.len() < MAX_READ {
        let stretch = read_stretch(&mut elements)?;
        let (count, digest) = (elements.next()?.as_u64()?, elements.next()?.as_u64()?);
        parts.push(Part { stretch, sum: Sum { count, digest } });
    }
    Some(parts)
}

fn read_versions(mut elements: Elements<'_>) -> Option<Vec<(Spot, Version)>> {
    let mut versions = Vec::new();
    while elements.len() > 0 && versions.len() <= MAX_READ {
        versions.push((Spot::read(&mut elements)?, Version::read(&mut elements)?));
    }
    Some(versions)
}
