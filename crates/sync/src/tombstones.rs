//! Deletions: how long they are remembered, and what becomes of what was forgotten.

use std::time::Duration;

use rs2p_base::Time;

use crate::machine::{Sync, Timer};

/// Deletions are forgotten this many times within their age limit, by all nodes at the same time of
/// the network, so that those that compare meanwhile hold the same.
const STEPS: u64 = 64;

impl Sync {
    /// A deletion has been added.
    pub(crate) fn on_tombstone(&mut self, now: Time) {
        while self.table.tombstones() > self.config.max_tombstones {
            self.forget_oldest();
        }
        if self.timers.get(&Timer::Tombstones).is_none() {
            self.plan_forgetting(now);
        }
    }

    pub(crate) fn forget_old_deletions(&mut self, now: Time) {
        let oldest = self.oldest_remembered(self.clock(now));
        while self.table.oldest_tombstone().is_some_and(|(time, _)| time < oldest) {
            self.forget_oldest();
        }
        self.plan_forgetting(now);
    }

    /// Deletions before that second are not remembered.
    pub(crate) fn oldest_remembered(&self, clock: u64) -> u64 {
        let step = self.step();
        (clock / step * step).saturating_sub(self.config.tombstone_age.as_secs())
    }

    fn step(&self) -> u64 {
        (self.config.tombstone_age.as_secs() / STEPS).max(1)
    }

    fn forget_oldest(&mut self) {
        let Some((time, key)) = self.table.oldest_tombstone() else { return };
        let key = key.clone();
        self.forgotten = self.forgotten.max(time);
        self.table.remove(&key);
        self.journal.note(&key);
    }

    fn plan_forgetting(&mut self, now: Time) {
        let due = self.table.oldest_tombstone().map(|(time, _)| {
            let step = self.step();
            let from = time.saturating_add(self.config.tombstone_age.as_secs()) + 1;
            let wait = from.div_ceil(step).saturating_mul(step).saturating_sub(self.clock(now));
            now + Duration::from_secs(wait.max(1))
        });
        self.timers.set(Timer::Tombstones, due);
    }
}
