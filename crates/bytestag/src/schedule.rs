//! When values are published again, and when those of others are passed on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::{Rng, RngExt as _};
use rs2p_base::{Deadlines, Time};

use crate::value::ValueId;

/// How long after a first failure it is tried again; twice as long after each further one.
const RETRY: Duration = Duration::from_secs(30);

/// How long after a failure it is tried again at most.
const LONGEST_RETRY: Duration = Duration::from_secs(3_600);

/// Values with a time at which something is due, some of it at a time: one for the publisher of a
/// node's own values, one for the replicator of others' (spec, section 11).
#[derive(Debug)]
pub(crate) struct Schedule {
    due: Deadlines<ValueId>,
    /// Failures in a row.
    failed: BTreeMap<ValueId, u32>,
    /// Those that have not succeeded yet.
    fresh: BTreeSet<ValueId>,
    running: usize,
    at_once: usize,
    every: Duration,
}

impl Schedule {
    pub(crate) fn new(every: Duration, at_once: usize) -> Self {
        let (due, failed, fresh) = (Deadlines::new(), BTreeMap::new(), BTreeSet::new());
        Self { due, failed, fresh, running: 0, at_once, every }
    }

    /// It is due now.
    pub(crate) fn add(&mut self, now: Time, id: ValueId) {
        self.due.set(id, Some(now));
        self.fresh.insert(id);
    }

    /// It is being done already, by somebody else who will tell.
    pub(crate) fn begun(&mut self, id: ValueId) {
        self.due.set(id, None);
        self.fresh.insert(id);
    }

    /// It was done at that time, here or elsewhere: it is due a round later. A little earlier at
    /// random, so that values that came together do not stay together.
    pub(crate) fn done(&mut self, at: Time, id: ValueId, rng: &mut impl Rng) {
        self.failed.remove(&id);
        self.fresh.remove(&id);
        let early = rng.random_range(0.0..0.05);
        self.due.set(id, Some(at + self.every.mul_f64(1.0 - early)));
    }

    /// It failed: it is tried again sooner than a round later.
    pub(crate) fn failed(&mut self, now: Time, id: ValueId, rng: &mut impl Rng) {
        let failed = self.failed.entry(id).or_default();
        *failed = failed.saturating_add(1);
        let wait = RETRY * 2_u32.pow((*failed - 1).min(10));
        let wait = wait.min(LONGEST_RETRY).mul_f64(rng.random_range(0.75..1.25));
        self.due.set(id, Some(now + wait));
    }

    pub(crate) fn remove(&mut self, id: &ValueId) {
        self.due.set(*id, None);
        self.failed.remove(id);
        self.fresh.remove(id);
    }

    /// The next value whose time has come, if there is a place for it. Give the place back with
    /// [`release`](Self::release).
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<ValueId> {
        if self.running >= self.at_once {
            return None;
        }
        let id = self.due.pop_due(now)?;
        self.running += 1;
        Some(id)
    }

    /// What was begun has ended.
    pub(crate) fn release(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// When something is due; nothing while all places are taken.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.due.next().filter(|_| self.running < self.at_once)
    }

    /// How many values have not succeeded yet.
    pub(crate) fn fresh(&self) -> usize {
        self.fresh.len()
    }

    /// How many values wait for their time.
    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }
}
