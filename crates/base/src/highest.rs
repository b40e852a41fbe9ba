//! What is heard from many, of which the highest counts.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The highest value heard for each key, for a bounded number of keys.
///
/// For what only grows, such as totals and versions: what two nodes know is merged by
/// [`raise`](Self::raise), in any order and as often as one likes, and comes to the same.
///
/// ```
/// use rs2p_base::Highest;
///
/// let mut versions = Highest::new(1_000);
/// assert!(versions.raise("one", 7));
/// assert!(!versions.raise("one", 6), "that is older");
/// assert_eq!(versions.get(&"one"), Some(&7));
/// ```
#[derive(Clone, Debug)]
pub struct Highest<K, V> {
    values: BTreeMap<K, V>,
    max: usize,
}

impl<K: Ord, V: Ord> Highest<K, V> {
    /// Nothing heard. New keys are taken from others while there are fewer than `max`.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self { values: BTreeMap::new(), max }
    }

    /// Takes a value in, if it is higher than what is held. Whether that changed anything: a new
    /// key changes nothing either when there are enough.
    pub fn raise(&mut self, key: K, value: V) -> bool {
        if self.values.len() >= self.max && !self.values.contains_key(&key) {
            return false;
        }
        match self.values.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(value);
                true
            }
            Entry::Occupied(mut entry) => {
                let is_higher = value > *entry.get();
                if is_higher {
                    entry.insert(value);
                }
                is_higher
            }
        }
    }

    /// The value of a key, which is made if it is not there, whatever the bound: for keys that
    /// this node chooses itself.
    pub fn own(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.values.entry(key).or_default()
    }

    /// The highest value heard for a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key)
    }

    /// All keys and values, in the order of the keys.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + ExactSizeIterator {
        self.values.iter()
    }

    /// All values, in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator {
        self.values.values()
    }
}

#[cfg(test)]
mod tests {
    use super::Highest;

    #[test]
    fn strangers_find_room_up_to_the_bound_and_this_node_always() {
        let mut heard = Highest::new(2);
        assert!(heard.raise("one", 1) && heard.raise("two", 1));
        assert!(!heard.raise("three", 1), "there are enough");
        assert!(heard.raise("two", 2), "it is known");
        *heard.own("self") = 5;
        assert_eq!(heard.iter().collect::<Vec<_>>(), [(&"one", &1), (&"self", &5), (&"two", &2)]);
    }
}
