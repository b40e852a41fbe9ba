//! What a member does when nothing happens: it gives away what belongs to others, and looks whether
//! what it owns is at the key's other positions, too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt as _;
use rs2p_base::{NodeId, Time};
use rs2p_wire::SubFlag;

use crate::asks::Ask;
use crate::machine::{Chord, Timer};
use crate::position::{Table, distance};
use crate::record::{Record, Spot, Version};
use crate::request::{Kept, Op};
use crate::stretch::Stretch;

/// How often it is looked for what belongs to others, and how soon after a change.
const SWEEP: Duration = Duration::from_secs(20);
const SWEEP_SOON: Duration = Duration::from_secs(3);
/// How soon it is gone on with when there was more than fits into one turn.
const SWEEP_ON: Duration = Duration::from_millis(100);
/// Records given away in one turn, and deletions looked at.
const BATCH: usize = 256;
/// How often some records are audited.
pub(crate) const AUDIT: Duration = Duration::from_secs(1);
const LONGEST_ROUND: Duration = Duration::from_secs(30 * 86_400);
/// How soon after a change of successor all of them are.
const AUDIT_SOON: Duration = Duration::from_secs(30);

/// How far a member has come.
#[derive(Debug, Default)]
pub(crate) struct Maintenance {
    /// Records on their way to whom they belong.
    moving: BTreeSet<Spot>,
    /// Up to where deletions have been looked at.
    swept: Option<Spot>,
    audited: Option<Spot>,
    /// When the present round of auditing began.
    round: Time,
    /// Until when all is to be audited once, in a hurry.
    hurries_until: Option<Time>,
    /// Records that an owner that leaves has yet to give away.
    leaving: Option<BTreeSet<Spot>>,
    /// Those that an old peer has been told, and may not have read yet, by the fence behind them.
    told: BTreeMap<u64, (NodeId, Vec<Spot>)>,
    /// Whether peers have been told that this node stores no more, while it still hands over.
    pub(crate) says_it_leaves: bool,
}

impl Chord {
    pub(crate) fn sweep_soon(&mut self, now: Time) {
        let soon = now + SWEEP_SOON.mul_f64(self.rng.random_range(0.75..1.25));
        if self.timers.get(&Timer::Sweep).is_none_or(|at| at > soon) {
            self.timers.set(Timer::Sweep, Some(soon));
        }
    }

    /// A successor is gone, and with it perhaps all copies of something: all is audited soon.
    pub(crate) fn audit_soon(&mut self, now: Time) {
        if self.maintenance.hurries_until.is_none() {
            self.maintenance.hurries_until = Some(now + AUDIT_SOON);
            self.maintenance.audited = None;
        }
        self.audit_within(now, AUDIT);
    }

    /// Goes on with auditing no later than after this time.
    pub(crate) fn audit_within(&mut self, now: Time, wait: Duration) {
        let at = now + wait.mul_f64(self.rng.random_range(0.75..1.25));
        if self.timers.get(&Timer::Audit).is_none_or(|planned| planned > at) {
            self.timers.set(Timer::Audit, Some(at));
        }
    }

    /// What this member keeps: its own, and copies of the next members' stretches.
    fn kept(&self) -> Option<Stretch> {
        let ring = self.ring.as_ref()?;
        let behind = ring.successors().get(self.config.copies() - 1);
        Some(behind.map_or(Stretch::whole(self.id()), |to| Stretch { from: self.id(), to: *to }))
    }

    /// Gives records away that belong to others, and forgets old deletions.
    pub(crate) fn sweep(&mut self, now: Time) {
        let Some(kept) = self.kept() else { return };
        let wait = SWEEP.mul_f64(self.rng.random_range(0.75..1.25));
        self.timers.set(Timer::Sweep, Some(now + wait));
        self.forget_old_deletions(now);
        if kept.is_whole() || !self.is_settled {
            return;
        }
        let strays = self.shelf.iter(Stretch { from: kept.to, to: kept.from });
        let strays = strays.filter(|(spot, ..)| !self.maintenance.moving.contains(spot));
        let strays: Vec<(Spot, Record)> =
            strays.take(BATCH).map(|(spot, record, _)| (spot, record.clone())).collect();
        if strays.len() == BATCH {
            self.timers.set(Timer::Sweep, Some(now + SWEEP_ON));
        }
        for (spot, record) in strays {
            let version = record.version;
            let op = Op::Keep { spot, record };
            if self.ask(now, spot.point(), op, Ask::Move { spot, version }).is_some() {
                self.maintenance.moving.insert(spot);
            }
        }
    }

    /// A record has come to whom it belongs.
    pub(crate) fn on_moved(&mut self, spot: Spot, version: Version, kept: Kept) {
        self.maintenance.moving.remove(&spot);
        if matches!(kept, Kept::Refused(_)) {
            return;
        }
        if let Some(leaving) = self.maintenance.leaving.as_mut() {
            leaving.remove(&spot);
        }
        let is_kept = self.kept().is_none_or(|kept| kept.contains(spot.point()));
        if !is_kept && self.shelf.version(spot) == Some(version) {
            self.shelf.remove(spot);
            self.counts.moved += 1;
        }
    }

    /// Nobody has said that a record has come.
    pub(crate) fn on_not_moved(&mut self, spot: Spot) {
        self.maintenance.moving.remove(&spot);
    }

    fn forget_old_deletions(&mut self, now: Time) {
        let whole = Stretch::whole(self.id());
        let rest = self.shelf.iter_behind(whole, self.maintenance.swept);
        let looked: Vec<(Spot, bool)> = rest
            .take(16 * BATCH)
            .map(|(spot, record, _)| (spot, self.is_forgotten(now, record)))
            .collect();
        let more = looked.len() == 16 * BATCH;
        self.maintenance.swept = looked.last().map(|(spot, _)| *spot).filter(|_| more);
        for (spot, _) in looked.into_iter().filter(|(_, is_forgotten)| *is_forgotten) {
            self.shelf.remove(spot);
        }
    }

    /// Looks for some of its own records at the other positions of their keys.
    pub(crate) fn audit(&mut self, now: Time) {
        self.timers.set(Timer::Audit, None);
        let Some(ring) = self.ring.as_ref() else { return };
        let own = Stretch { from: self.id(), to: ring.successor().unwrap_or_else(|| self.id()) };
        let round = self.config.audit.clamp(AUDIT, LONGEST_ROUND);
        let hurry = self.maintenance.hurries_until;
        let left = hurry.map_or(round, |until| until.since(now).max(AUDIT));
        let each = (self.shelf.len() as u64 * AUDIT.as_millis() as u64)
            .div_ceil(left.as_millis().max(1) as u64);
        let each = (each as usize).clamp(1, BATCH);
        let behind = self.maintenance.audited.filter(|spot| own.contains(spot.point()));
        if behind.is_none() {
            self.maintenance.round = now;
        }
        let looked: Vec<(Spot, Option<bytes::Bytes>, Version)> = self
            .shelf
            .iter_behind(own, behind)
            .take(each)
            .map(|(spot, record, _)| (spot, record.key.clone(), record.version))
            .collect();
        let is_over = looked.len() < each;
        self.maintenance.audited = looked.last().map(|(spot, ..)| *spot).filter(|_| !is_over);
        for (from, key, version) in looked {
            let Some(key) = key else { continue };
            // A position may be missing in several tables: each owner asks about all.
            for table in Table::ALL.into_iter().filter(|table| *table != from.table()) {
                let to = Spot::of(table, &key);
                self.ask(now, to.point(), Op::Check(to), Ask::Check { from, to, version });
            }
        }
        if is_over {
            self.maintenance.hurries_until = None;
        }
        // A round that is over early is followed by a rest.
        let rest = round.saturating_sub(now.since(self.maintenance.round));
        self.audit_within(now, if is_over { rest.max(AUDIT) } else { AUDIT });
    }

    /// Another position of a key has told what it has.
    pub(crate) fn on_checked(
        &mut self,
        now: Time,
        (from, to): (Spot, Spot),
        version: Version,
        held: Option<Version>,
    ) {
        let Some(record) = self.shelf.get(from).filter(|record| record.version == version) else {
            return;
        };
        if held.is_none_or(|held| held < version) && !self.is_forgotten(now, record) {
            let op = Op::Keep { spot: to, record: record.clone() };
            self.ask(now, to.point(), op, Ask::Told);
            self.counts.repaired += 1;
        }
    }

    /// What it owns is about to be given away.
    pub(crate) fn begin_handing_over(&mut self, now: Time) {
        let Some(ring) = self.ring.as_ref() else { return };
        let own = Stretch { from: self.id(), to: ring.successor().unwrap_or_else(|| self.id()) };
        self.maintenance.leaving = Some(self.shelf.iter(own).map(|(spot, ..)| spot).collect());
        self.hand_over_some(now);
    }

    /// How many records have not been taken by anybody yet.
    pub(crate) fn left_to_hand_over(&self) -> usize {
        self.maintenance.leaving.as_ref().map_or(0, BTreeSet::len)
    }

    /// Gives the next records to the member that takes this one's place, or to old nodes.
    pub(crate) fn hand_over_some(&mut self, now: Time) {
        let predecessor = self.ring.as_ref().and_then(|ring| ring.predecessor());
        let heir = predecessor.filter(|id| self.peers.get(id).is_some_and(|peer| peer.is_way()));
        let leaving = self.maintenance.leaving.iter().flatten();
        let moving = &self.maintenance.moving;
        let next: Vec<Spot> =
            leaving.filter(|spot| !moving.contains(spot)).take(BATCH).copied().collect();
        if heir.is_none() && !self.maintenance.says_it_leaves {
            // An old node sends what it is told to who stores and is nearer: back to this node.
            self.maintenance.says_it_leaves = true;
            self.choose_greeting();
            self.stack.below.greet_all(now);
        }
        let mut told: BTreeMap<NodeId, Vec<Spot>> = BTreeMap::new();
        for spot in next {
            let Some(record) = self.shelf.get(spot).cloned() else {
                self.forget_leaving(spot);
                continue;
            };
            if let Some(heir) = heir {
                self.give_to(now, heir, spot, record);
            } else if let Some(old) =
                self.old_members().into_iter().min_by_key(|old| distance(*old, spot.point()))
            {
                self.tell_old(now, old, SubFlag::Store, spot, Some(record.value.as_ref()));
                self.maintenance.moving.insert(spot);
                told.entry(old).or_default().push(spot);
            }
        }
        for (old, spots) in told {
            let copy = self.asks.number();
            self.maintenance.told.insert(copy, (old, spots));
            self.fence(now, old, copy);
        }
    }

    /// An old peer has read records that were handed over to it.
    pub(crate) fn on_handed_over(&mut self, now: Time, copy: u64) {
        let Some((_, spots)) = self.maintenance.told.remove(&copy) else { return };
        for spot in spots {
            self.maintenance.moving.remove(&spot);
            self.forget_leaving(spot);
        }
        if self.leaving.is_some() {
            self.timers.set(Timer::Leave, Some(now));
        }
    }

    /// A peer is gone: what it had not read yet is for others.
    pub(crate) fn hand_over_to_others(&mut self, gone: NodeId) {
        let of_it = self.maintenance.told.extract_if(.., |_, (old, _)| *old == gone);
        for (_, (_, spots)) in of_it {
            for spot in spots {
                self.maintenance.moving.remove(&spot);
            }
        }
    }

    fn forget_leaving(&mut self, spot: Spot) {
        if let Some(leaving) = self.maintenance.leaving.as_mut() {
            leaving.remove(&spot);
        }
    }

    fn give_to(&mut self, now: Time, heir: NodeId, spot: Spot, record: Record) {
        let version = record.version;
        let ask = Ask::Move { spot, version };
        if self.ask_to_stay(now, heir, spot.point(), Op::Keep { spot, record }, ask) {
            self.maintenance.moving.insert(spot);
        }
    }

    /// Forgets what others have by now; what nobody has taken stays, for when this node joins again.
    pub(crate) fn end_handing_over(&mut self) {
        let left = std::mem::take(&mut self.maintenance).leaving.unwrap_or_default();
        self.shelf.keep_only(&left);
    }
}
