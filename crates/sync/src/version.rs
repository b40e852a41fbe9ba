//! Which of two writes stays, whatever the order in which they come.
//!
//! The originals judge each write by what they hold when it comes, so two nodes that hear two
//! writes in different order can part for good. rs2p nodes agree on an order of all writes of a key
//! that fits the originals' rule where a node has heard what went before:
//!
//! - A *tenure* is the time during which an owner keeps a lease: it begins when the owner takes a
//!   free key, and lasts as long as the owner writes before the lease has ended.
//! - `after` is the moment at which the tenure before ended, as far as the writer knew. The larger
//!   one wins: who takes over from somebody has heard of them, and not the other way round.
//! - Of two tenures after the same one, the one that began first wins, and of two that began within
//!   the same second the one of the smaller owner, as with the originals.
//! - Within a tenure the later write wins.
//!
//! Without leases each write is a tenure of its own: the later one wins, and in the same second the
//! smaller owner.

use std::cmp::Ordering;

use crate::owner::Owner;

/// When, by whom and after whom something was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// When the tenure before this one ended, in milliseconds; 0 when there was none. The last
    /// three digits tell tenures apart that end within the same second.
    pub(crate) after: u64,
    /// When the tenure began, in seconds.
    pub(crate) start: u64,
    /// Whose tenure it is.
    pub(crate) owner: Owner,
    /// When it was written, in seconds: the time of the metatuple.
    pub(crate) time: u64,
    /// Tells writes of the tenure apart that fall into the same second.
    pub(crate) seq: u32,
}

/// A write as far as it matters for who wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) version: Version,
    /// How long the key is closed to others, in seconds; 0 in networks without leases.
    pub(crate) lease: u32,
    /// The digest of the value; nothing for a tombstone.
    pub(crate) content: Option<u64>,
}

impl Stamp {
    /// From when on others may write, in milliseconds.
    pub(crate) fn end(&self) -> u64 {
        let Version { after, time, .. } = self.version;
        match (self.content, self.lease) {
            (_, 0) => time.saturating_mul(1_000),
            (None, _) => time.saturating_mul(1_000).max(after).saturating_add(1),
            (Some(_), lease) => {
                time.saturating_add(lease.into()).saturating_add(1).saturating_mul(1_000)
            }
        }
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        self.content.is_none()
    }

    /// Greater means that it wins.
    pub(crate) fn cmp(&self, other: &Self) -> Ordering {
        let (one, two) = (&self.version, &other.version);
        one.after
            .cmp(&two.after)
            .then_with(|| two.start.cmp(&one.start))
            .then_with(|| two.owner.cmp(&one.owner))
            .then_with(|| one.time.cmp(&two.time))
            .then_with(|| one.seq.cmp(&two.seq))
            .then_with(|| self.content.cmp(&other.content))
            .then_with(|| self.lease.cmp(&other.lease))
    }

    /// A tenure that began when the other one had ended follows it, even if its writer had not
    /// heard of the other; and it follows all that the other is known to follow and that had ended
    /// by then. Else a write that has learnt of an end would win over later ones of its own tenure
    /// that have not. Seconds that they share do not count: an old write would come back to life
    /// over the tombstone of the same second.
    fn follow(&mut self, other: &Self) {
        let start = self.version.start.saturating_mul(1_000);
        for end in [other.end(), other.version.after] {
            if self.lease > 0 && start >= end && self.version.after < end {
                self.version.after = end;
            }
        }
    }
}

/// Which of two writes stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Winner {
    /// The one that is held.
    Held,
    /// The one that came.
    New,
    /// They are one and the same.
    Both,
}

/// Settles which of two writes stays; their stamps learn from each other. The result does not
/// depend on which of the two is held, and never ranks below either.
pub(crate) fn settle(held: &mut Stamp, new: &mut Stamp) -> Winner {
    let (before, after) = (held.clone(), new.clone());
    new.follow(&before);
    held.follow(&after);
    match new.cmp(held) {
        Ordering::Greater => Winner::New,
        Ordering::Equal => Winner::Both,
        Ordering::Less => Winner::Held,
    }
}

/// What a write adds to the table, before it is known which version it gets.
#[derive(Clone, Debug)]
pub(crate) struct Write<'a> {
    pub(crate) owner: &'a Owner,
    /// In seconds.
    pub(crate) time: u64,
    pub(crate) lease: u32,
    pub(crate) content: Option<u64>,
}

impl Write<'_> {
    /// The stamp of a write that the originals' rule permits over what is held. It wins over that.
    pub(crate) fn over(&self, held: Option<&Stamp>) -> Stamp {
        let now = self.time.saturating_mul(1_000);
        let Some(held) = held else {
            let after = if self.lease == 0 { now } else { 0 };
            return self.stamp(after, self.time, self.time, 0);
        };
        let Version { after, start, owner, time, seq } = &held.version;
        let is_mine = owner == self.owner;
        let mut new = if self.lease == 0 {
            let seq = if is_mine && *time == self.time { seq.saturating_add(1) } else { 0 };
            self.stamp(now, self.time, self.time, seq)
        } else if is_mine && !held.is_tombstone() && now < held.end() {
            // An old node's delta may come late, and counts all the same.
            let seq = if self.time > *time { 0 } else { seq.saturating_add(1) };
            self.stamp(*after, *start, self.time.max(*time), seq)
        } else if !held.is_tombstone() && *time == self.time {
            self.stamp(*after, self.time, self.time, 0)
        } else {
            // Old nodes know an hour only: they may take over before a longer lease has ended.
            let within = now.saturating_add(999);
            let after = held.end().min(within).max(after.saturating_add(1));
            self.stamp(after, self.time, self.time, 0)
        };
        if new.cmp(held) != Ordering::Greater {
            // More than what is held can ever learn: that lies not behind its start.
            let learnt = if self.lease > 0 { start.saturating_mul(1_000) } else { 0 };
            new.version.after = (*after).max(learnt).saturating_add(1);
        }
        new
    }

    fn stamp(&self, after: u64, start: u64, time: u64, seq: u32) -> Stamp {
        let version = Version { after, start, owner: self.owner.clone(), time, seq };
        Stamp { version, lease: self.lease, content: self.content }
    }
}

#[cfg(test)]
mod tests;
