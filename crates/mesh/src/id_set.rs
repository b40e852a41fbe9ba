//! A set of message ids, for a look-up that is made for every message that comes.

/// Ids by their beginnings, in one table without pointers: whether an id is there is mostly seen in
/// a single place of memory.
#[derive(Debug, Default)]
pub(crate) struct IdSet {
    /// As many as a power of two, or none. [`FREE`](Self::FREE) stands where there is no id; one
    /// that finds its place taken goes into the next free one.
    slots: Box<[u64]>,
    len: usize,
}

impl IdSet {
    const FREE: u64 = 0;
    const FEWEST_SLOTS: usize = 4;

    /// An empty set with room for so many ids.
    pub(crate) fn with_room(ids: usize) -> Self {
        let slots = (ids / 3 * 4 + 4).next_power_of_two();
        Self { slots: vec![Self::FREE; slots].into(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// `seed`: always the same for one set; it keeps strangers from aiming at the same place.
    pub(crate) fn contains(&self, id: u64, seed: u64) -> bool {
        let id = named(id);
        self.len > 0 && self.slots[self.place(id, seed)] == id
    }

    /// `false` when it is there already.
    pub(crate) fn insert(&mut self, id: u64, seed: u64) -> bool {
        if self.slots.len() * 3 <= self.len * 4 {
            self.grow(seed);
        }
        let id = named(id);
        let place = self.place(id, seed);
        if self.slots[place] == id {
            return false;
        }
        self.slots[place] = id;
        self.len += 1;
        true
    }

    /// Where an id is, or belongs. There is always a free place.
    fn place(&self, id: u64, seed: u64) -> usize {
        let last = self.slots.len() - 1;
        let product = u128::from(seed ^ id) * 0x9e37_79b9_7f4a_7c15;
        let mut place = (product as u64 ^ (product >> 64) as u64) as usize & last;
        while self.slots[place] != id && self.slots[place] != Self::FREE {
            place = (place + 1) & last;
        }
        place
    }

    fn grow(&mut self, seed: u64) {
        let slots = (2 * self.slots.len()).max(Self::FEWEST_SLOTS);
        let before = std::mem::replace(&mut self.slots, vec![Self::FREE; slots].into());
        for id in before.into_iter().filter(|id| *id != Self::FREE) {
            let place = self.place(id, seed);
            self.slots[place] = id;
        }
    }
}

/// The one id that would read as a free place goes by another name.
fn named(id: u64) -> u64 {
    if id == IdSet::FREE { u64::MAX / 3 } else { id }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_was_put_in_and_nothing_else(
            ids in prop::collection::vec(prop_oneof![0..50u64, any::<u64>()], 0..200),
            seed in any::<u64>(),
            room in prop::option::of(0..100usize),
        ) {
            let mut set = room.map(IdSet::with_room).unwrap_or_default();
            let mut expected = BTreeSet::new();
            for id in ids {
                prop_assert_eq!(set.contains(id, seed), expected.contains(&id));
                prop_assert_eq!(set.insert(id, seed), expected.insert(id));
                prop_assert_eq!(set.len(), expected.len());
            }
            for id in 0..60 {
                prop_assert_eq!(set.contains(id, seed), expected.contains(&id));
            }
        }
    }

    #[test]
    fn a_set_with_room_does_not_grow_until_that_is_used() {
        for room in [0, 1, 2, 3, 4, 100, 1_000, 65_536] {
            let mut set = IdSet::with_room(room);
            let slots = set.slots.len();
            for id in 0..room as u64 {
                set.insert(id, 7);
            }
            assert_eq!(set.slots.len(), slots, "{room}");
        }
    }
}
