//! The time that drivers hand to machines.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// Milliseconds since the Unix epoch.
///
/// Only a driver makes one, and it never hands out an earlier one than before. The wire carries
/// [whole seconds](Time::as_secs).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// A point in time, in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A point in time, in seconds since the Unix epoch.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, as messages carry them.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000
    }

    /// The whole second it lies in, to compare with times of messages.
    #[must_use]
    pub const fn whole_secs(self) -> Self {
        Self(self.0 / 1_000 * 1_000)
    }

    /// Time passed since `earlier`; zero when that lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Saturates; a part of a millisecond counts as a whole one, so that a deadline is never
    /// early.
    fn add(self, duration: Duration) -> Self {
        let parts = u64::from(duration.subsec_nanos().div_ceil(1_000_000));
        let millis = duration.as_secs().saturating_mul(1_000).saturating_add(parts);
        Self(self.0.saturating_add(millis))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_early() {
        let now = Time::from_millis(7);
        assert_eq!(now + Duration::from_micros(1), Time::from_millis(8));
        assert_eq!(now + Duration::from_millis(3), Time::from_millis(10));
        assert_eq!(now + Duration::MAX, Time::from_millis(u64::MAX));
    }
}
