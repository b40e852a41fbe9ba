//! The one place where time comes from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::time::Time;

/// Time of day that never goes backwards.
///
/// It runs with the monotonic clock, so setting the system's clock back stops no deadline. When
/// the system's clock is found ahead, after a suspend or because it was set, this one jumps.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// Time of day at `started`, in milliseconds; grows with each jump.
    offset: AtomicU64,
    /// When to look at the system's clock again, in milliseconds since `started`.
    look: AtomicU64,
}

impl Clock {
    const JUMP: Duration = Duration::from_secs(1);
    /// Looking at two clocks takes twice as long as looking at one.
    const LOOK_EVERY: Duration = Duration::from_millis(100);

    #[expect(clippy::disallowed_methods, reason = "drivers make the time")]
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            offset: AtomicU64::new(wall_millis()),
            look: AtomicU64::new(0),
        }
    }

    pub(crate) fn now(&self) -> Time {
        let elapsed = self.started.elapsed().as_millis() as u64;
        let offset = self.offset.load(Ordering::Relaxed);
        if elapsed < self.look.load(Ordering::Relaxed) {
            return Time::from_millis(offset + elapsed);
        }
        self.look.store(elapsed + Self::LOOK_EVERY.as_millis() as u64, Ordering::Relaxed);
        let wall = wall_millis();
        if wall > offset + elapsed + Self::JUMP.as_millis() as u64 {
            let offset = self.offset.fetch_max(wall - elapsed, Ordering::Relaxed);
            return Time::from_millis(elapsed + offset.max(wall - elapsed));
        }
        Time::from_millis(offset + elapsed)
    }
}

#[expect(clippy::disallowed_methods, reason = "drivers make the time")]
fn wall_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_found_behind_jumps_and_one_found_ahead_goes_on() {
        let clock = Clock::new();
        let start = clock.now();
        clock.offset.fetch_sub(60_000, Ordering::Relaxed);
        clock.look.store(0, Ordering::Relaxed);
        assert!(clock.now() >= start);
        clock.offset.fetch_add(60_000, Ordering::Relaxed);
        clock.look.store(0, Ordering::Relaxed);
        let ahead = clock.now();
        assert!(ahead >= start + Duration::from_secs(60) && clock.now() >= ahead);
    }
}
