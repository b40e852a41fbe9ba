//! Deadlines, with the next one always at hand.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Time;

/// At most one deadline for each key.
///
/// Finding the next one takes constant time, setting and cancelling logarithmic time; a cancelled
/// deadline leaves nothing behind. Equal deadlines come in the order of their keys, so a run is
/// the same every time.
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    by_key: BTreeMap<K, Time>,
    by_time: BTreeSet<(Time, K)>,
}

impl<K: Copy + Ord> Deadlines<K> {
    /// No deadlines.
    #[must_use]
    pub fn new() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// Replaces the deadline of `key`; `None` cancels it.
    pub fn set(&mut self, key: K, deadline: Option<Time>) {
        let before = match deadline {
            Some(deadline) => self.by_key.insert(key, deadline),
            None => self.by_key.remove(&key),
        };
        if before == deadline {
            return;
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, key));
        }
        if let Some(deadline) = deadline {
            self.by_time.insert((deadline, key));
        }
    }

    /// The deadline of `key`.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<Time> {
        self.by_key.get(key).copied()
    }

    /// The earliest deadline of all.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(deadline, _)| *deadline)
    }

    /// Takes out the earliest deadline if it has passed.
    pub fn pop_due(&mut self, now: Time) -> Option<K> {
        let (deadline, key) = *self.by_time.first()?;
        if deadline > now {
            return None;
        }
        self.by_time.pop_first();
        self.by_key.remove(&key);
        Some(key)
    }

    /// How many keys have a deadline.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether no key has a deadline.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

impl<K: Copy + Ord> Default for Deadlines<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_and_a_cancelled_one_never() {
        let mut deadlines = Deadlines::new();
        let at = Time::from_millis;
        deadlines.set('c', Some(at(3)));
        deadlines.set('a', Some(at(5)));
        deadlines.set('b', Some(at(3)));
        deadlines.set('d', Some(at(1)));
        deadlines.set('d', None);
        deadlines.set('a', Some(at(4)));
        assert_eq!(deadlines.next(), Some(at(3)));
        assert_eq!(deadlines.pop_due(at(2)), None);
        assert_eq!(deadlines.pop_due(at(9)), Some('b'));
        assert_eq!(deadlines.pop_due(at(9)), Some('c'));
        assert_eq!(deadlines.get(&'a'), Some(at(4)));
        assert_eq!(deadlines.pop_due(at(4)), Some('a'));
        assert!(deadlines.is_empty());
        assert_eq!(deadlines.next(), None);
    }
}
