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
    /// Also found in `kept`, but asked for after every input.
    next: Option<Time>,
    kept: Kept<K>,
}

/// A handful is looked through faster than two trees are kept, and takes a tenth of the memory.
#[derive(Clone, Debug)]
enum Kept<K> {
    Few(Vec<(Time, K)>),
    Many(Box<Trees<K>>),
}

#[derive(Clone, Debug)]
struct Trees<K> {
    by_key: BTreeMap<K, Time>,
    by_time: BTreeSet<(Time, K)>,
}

impl<K: Copy + Ord> Deadlines<K> {
    /// Up to so many are looked through; at half as many it comes back to that.
    const FEW: usize = 16;

    /// No deadlines.
    #[must_use]
    pub const fn new() -> Self {
        Self { next: None, kept: Kept::Few(Vec::new()) }
    }

    /// Replaces the deadline of `key`; `None` cancels it.
    pub fn set(&mut self, key: K, deadline: Option<Time>) {
        match &mut self.kept {
            Kept::Few(few) => {
                let known = few.iter_mut().enumerate().find(|(_, (_, known))| *known == key);
                match (known, deadline) {
                    (Some((_, (before, _))), Some(deadline)) => *before = deadline,
                    (Some((at, _)), None) => {
                        few.swap_remove(at);
                    }
                    (None, Some(deadline)) => few.push((deadline, key)),
                    (None, None) => return,
                }
            }
            Kept::Many(trees) => trees.set(key, deadline),
        }
        self.resize();
        self.next = self.first().map(|(deadline, _)| deadline);
    }

    /// The deadline of `key`.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<Time> {
        match &self.kept {
            Kept::Few(few) => few.iter().find(|(_, known)| known == key).map(|(time, _)| *time),
            Kept::Many(trees) => trees.by_key.get(key).copied(),
        }
    }

    /// The earliest deadline of all.
    #[must_use]
    pub fn next(&self) -> Option<Time> {
        self.next
    }

    /// Takes out the earliest deadline if it has passed.
    pub fn pop_due(&mut self, now: Time) -> Option<K> {
        if self.next? > now {
            return None;
        }
        let (_, key) = self.first()?;
        self.set(key, None);
        Some(key)
    }

    /// The keys whose deadlines are not later than `time`.
    pub fn until(&self, time: Time) -> impl Iterator<Item = K> {
        let (few, many) = match &self.kept {
            Kept::Few(few) => (Some(few), None),
            Kept::Many(trees) => (None, Some(&trees.by_time)),
        };
        let few = few.into_iter().flatten().filter(move |(deadline, _)| *deadline <= time);
        let many = many.into_iter().flatten().take_while(move |(deadline, _)| *deadline <= time);
        few.chain(many).map(|(_, key)| *key)
    }

    /// How many keys have a deadline.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.kept {
            Kept::Few(few) => few.len(),
            Kept::Many(trees) => trees.by_key.len(),
        }
    }

    /// Whether no key has a deadline.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next.is_none()
    }

    fn first(&self) -> Option<(Time, K)> {
        match &self.kept {
            Kept::Few(few) => few.iter().min().copied(),
            Kept::Many(trees) => trees.by_time.first().copied(),
        }
    }

    fn resize(&mut self) {
        match &self.kept {
            Kept::Few(few) if few.len() > Self::FEW => {
                self.kept = Kept::Many(Box::new(Trees {
                    by_key: few.iter().map(|(deadline, key)| (*key, *deadline)).collect(),
                    by_time: few.iter().copied().collect(),
                }));
            }
            Kept::Many(trees) if trees.by_key.len() <= Self::FEW / 2 => {
                self.kept = Kept::Few(trees.by_time.iter().copied().collect());
            }
            _ => {}
        }
    }
}

impl<K: Copy + Ord> Trees<K> {
    fn set(&mut self, key: K, deadline: Option<Time>) {
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
}

impl<K: Copy + Ord> Default for Deadlines<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn few_and_many_deadlines_come_in_the_order_of_time_and_key(
            steps in prop::collection::vec((0u8..60, prop::option::weighted(0.8, 0u64..50)), 0..300)
        ) {
            let mut deadlines = Deadlines::new();
            let mut expected = BTreeMap::new();
            for (key, deadline) in steps {
                let deadline = deadline.map(Time::from_millis);
                deadlines.set(key, deadline);
                match deadline {
                    Some(deadline) => expected.insert(key, deadline),
                    None => expected.remove(&key),
                };
                prop_assert_eq!(deadlines.get(&key), deadline);
                prop_assert_eq!(deadlines.next(), expected.values().min().copied());
                prop_assert_eq!(deadlines.len(), expected.len());
            }
            let soon = Time::from_millis(20);
            let mut until: Vec<_> = deadlines.until(soon).collect();
            until.sort_unstable();
            prop_assert!(until.iter().eq(expected.iter().filter(|(_, at)| **at <= soon).map(|(key, _)| key)));
            let mut expected: Vec<_> = expected.into_iter().map(|(key, time)| (time, key)).collect();
            expected.sort_unstable();
            for (time, key) in expected {
                prop_assert_eq!(deadlines.next(), Some(time));
                prop_assert_eq!(deadlines.pop_due(Time::from_millis(50)), Some(key));
            }
            prop_assert!(deadlines.is_empty());
        }
    }
}
