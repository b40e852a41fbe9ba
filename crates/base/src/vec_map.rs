//! An ordered map for a handful of entries.

/// A map that keeps its entries in one piece of memory, ordered by key.
///
/// It is for maps that a machine has one of and that hold few entries: a tree sets memory aside for
/// eleven at once and lies in many places. Finding takes logarithmic time; putting in and taking
/// out move all that lies behind, which is cheap up to some thousands of small entries.
#[derive(Clone, Debug)]
pub struct VecMap<K, V> {
    entries: Vec<(K, V)>,
}

impl<K: Ord, V> VecMap<K, V> {
    /// Entries to make room for at the least, when there is none left.
    const ROOM: usize = 4;

    /// No entries, and no memory taken.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// What belongs to `key`.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.find(key).ok().map(|at| &self.entries[at].1)
    }

    /// What belongs to `key`.
    #[must_use]
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.find(key).ok().map(|at| &mut self.entries[at].1)
    }

    /// Whether there is an entry of `key`.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }

    /// Replaces the entry of `key`, and gives back what was there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.entries[at].1, value)),
            Err(at) => {
                if self.entries.len() == self.entries.capacity() {
                    // Twice as much would leave a quarter of the memory of many small maps unused.
                    self.entries.reserve_exact(Self::ROOM.max(self.entries.len() / 4));
                }
                self.entries.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes out the entry of `key`. The last one takes the memory with it.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.find(key).ok()?;
        let (_, value) = self.entries.remove(at);
        if self.entries.is_empty() {
            self.entries = Vec::new();
        }
        Some(value)
    }

    /// Takes out all entries but those that `keep` names.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.entries.retain_mut(|(key, value)| keep(key, value));
    }

    /// All entries, in the order of their keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// All keys, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator {
        self.entries.iter().map(|(key, _)| key)
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.entries.iter().map(|(_, value)| value)
    }

    /// All values, in the order of their keys.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> + ExactSizeIterator {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where the entry of `key` is, or belongs.
    fn find(&self, key: &K) -> Result<usize, usize> {
        self.entries.binary_search_by(|(known, _)| known.cmp(key))
    }
}

impl<K: Ord, V> Default for VecMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_tree_holds_in_the_same_order(
            steps in prop::collection::vec((0u8..40, any::<Option<u16>>()), 0..200)
        ) {
            let mut map = VecMap::new();
            let mut tree = BTreeMap::new();
            for (key, value) in steps {
                match value {
                    Some(value) => prop_assert_eq!(map.insert(key, value), tree.insert(key, value)),
                    None => prop_assert_eq!(map.remove(&key), tree.remove(&key)),
                }
                prop_assert_eq!(map.get(&key), tree.get(&key));
                prop_assert_eq!(map.len(), tree.len());
            }
            prop_assert!(map.iter().eq(tree.iter()));
            map.retain(|key, value| { *value ^= 1; key % 3 == 0 });
            tree.retain(|key, value| { *value ^= 1; key % 3 == 0 });
            prop_assert!(map.keys().eq(tree.keys()) && map.values().eq(tree.values()));
        }
    }

    #[test]
    fn a_small_map_takes_little_more_than_its_entries_and_an_empty_one_nothing() {
        let mut map = VecMap::new();
        for number in 0..100u64 {
            map.insert(number, number);
            assert!(map.entries.capacity() <= map.len() + 4.max(map.len() / 4));
        }
        for number in 0..100 {
            map.remove(&number);
        }
        assert_eq!(map.entries.capacity(), 0);
    }
}
