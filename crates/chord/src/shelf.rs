//! The records that a node keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use rs2p_base::NodeId;

use crate::record::{Record, Spot, Version};
use crate::stretch::Stretch;

/// Records by where they lie.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    records: BTreeMap<Spot, (Record, u64)>,
    bytes: usize,
    tombstones: usize,
    journal: Journal,
}

/// What has changed, for who writes it down.
#[derive(Debug, Default)]
struct Journal {
    is_kept: bool,
    spots: BTreeSet<Spot>,
    count: u64,
}

/// How many records there are, and a digest of all of them that does not depend on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) count: u64,
    pub(crate) digest: u64,
}

impl Shelf {
    pub(crate) fn get(&self, spot: Spot) -> Option<&Record> {
        self.records.get(&spot).map(|(record, _)| record)
    }

    pub(crate) fn version(&self, spot: Spot) -> Option<Version> {
        self.get(spot).map(|record| record.version)
    }

    pub(crate) fn put(&mut self, spot: Spot, record: Record) {
        let digest = record.digest(spot);
        self.bytes += record.size();
        self.tombstones += usize::from(record.is_tombstone());
        let before = self.records.insert(spot, (record, digest));
        self.forget(before);
        self.journal.note(spot);
    }

    pub(crate) fn remove(&mut self, spot: Spot) {
        let before = self.records.remove(&spot);
        if before.is_some() {
            self.journal.note(spot);
        }
        self.forget(before);
    }

    pub(crate) fn keep_only(&mut self, kept: &BTreeSet<Spot>) {
        let gone = |spot: &&Spot| !kept.contains(spot);
        for spot in self.records.keys().filter(gone).copied().collect::<Vec<_>>() {
            self.remove(spot);
        }
    }

    fn forget(&mut self, before: Option<(Record, u64)>) {
        if let Some((record, _)) = before {
            self.bytes -= record.size();
            self.tombstones -= usize::from(record.is_tombstone());
        }
    }

    /// All of a stretch, going round.
    pub(crate) fn iter(&self, stretch: Stretch) -> impl Iterator<Item = (Spot, &Record, u64)> {
        self.iter_behind(stretch, None)
    }

    /// As [`iter`](Self::iter), from behind a spot of it on.
    pub(crate) fn iter_behind(
        &self,
        stretch: Stretch,
        behind: Option<Spot>,
    ) -> impl Iterator<Item = (Spot, &Record, u64)> {
        let start = match behind {
            Some(spot) => Bound::Excluded(spot),
            None => Bound::Included(Spot::first_at(stretch.from)),
        };
        let from = behind.map_or(stretch.from, Spot::point);
        let end = Bound::Excluded(Spot::first_at(stretch.to));
        let wraps = from >= stretch.to;
        let (first, second) = if wraps {
            ((start, Bound::Unbounded), Some((Bound::Unbounded, end)))
        } else {
            ((start, end), None)
        };
        let first = is_range(first).then(|| self.records.range(first));
        let second = second.filter(|range| is_range(*range)).map(|range| self.records.range(range));
        let all = first.into_iter().flatten().chain(second.into_iter().flatten());
        all.map(|(spot, (record, digest))| (*spot, record, *digest))
    }

    pub(crate) fn sum(&self, stretch: Stretch) -> Sum {
        self.iter(stretch).fold(Sum::default(), |sum, (_, _, digest)| Sum {
            count: sum.count + 1,
            digest: sum.digest.wrapping_add(digest),
        })
    }

    /// Cuts a stretch into about so many parts that hold equally much.
    pub(crate) fn split(&self, stretch: Stretch, parts: usize) -> Vec<Stretch> {
        let count = self.iter(stretch).count();
        let each = count.div_ceil(parts).max(1);
        let mut cuts: Vec<NodeId> = Vec::new();
        for (spot, _, _) in self.iter(stretch).skip(each).step_by(each) {
            if spot.point() != stretch.from && cuts.last() != Some(&spot.point()) {
                cuts.push(spot.point());
            }
        }
        if cuts.is_empty() {
            return vec![stretch];
        }
        let mut from = stretch.from;
        let mut all = Vec::with_capacity(cuts.len() + 1);
        for cut in cuts {
            all.push(Stretch { from, to: cut });
            from = cut;
        }
        all.push(Stretch { from, to: stretch.to });
        all
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn tombstones(&self) -> usize {
        self.tombstones
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn keep_changes(&mut self) {
        self.journal.is_kept = true;
    }

    pub(crate) fn change_count(&self) -> u64 {
        self.journal.count
    }

    pub(crate) fn take_changes(&mut self) -> BTreeSet<Spot> {
        std::mem::take(&mut self.journal.spots)
    }
}

impl Journal {
    fn note(&mut self, spot: Spot) {
        if self.is_kept {
            self.spots.insert(spot);
            self.count += 1;
        }
    }
}

/// Whether a tree takes it for a range.
fn is_range((from, to): (Bound<Spot>, Bound<Spot>)) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Excluded(to)) => from <= to,
        (Bound::Excluded(from), Bound::Excluded(to)) => from < to,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
