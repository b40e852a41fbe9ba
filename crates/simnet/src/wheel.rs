//! What is to happen, in order.

/// Events ordered by time, and by the order in which they were put in where times are equal.
///
/// A hierarchical timing wheel (Varghese and Lauck, 1987) over the whole range of times: a level
/// for each six bits. An event lies on the level of the highest bits in which its time differs from
/// that of the last event taken out, so it moves down a level a few times at most, and is never
/// compared with another. What happens waits in a table of its own, where it is written and read
/// once.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    levels: Vec<Level>,
    /// The time of the last event taken out: nothing earlier can be put in.
    last: u64,
    events: Vec<Option<T>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Level {
    slots: [Vec<Key>; SLOTS],
    /// Which slots hold something.
    filled: u64,
    /// Of the lowest level's slot that is being emptied, how many are out.
    taken: usize,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    at: u64,
    event: u32,
}

const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = u64::BITS.div_ceil(BITS) as usize;

impl<T> Wheel<T> {
    pub(crate) fn new() -> Self {
        let level = || Level { slots: std::array::from_fn(|_| Vec::new()), filled: 0, taken: 0 };
        Self {
            levels: std::iter::repeat_with(level).take(LEVELS).collect(),
            last: 0,
            events: Vec::new(),
            free: Vec::new(),
            len: 0,
        }
    }

    /// Puts in an event; one whose time has passed comes next.
    pub(crate) fn push(&mut self, at: u64, event: T) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.events[slot as usize] = Some(event);
                slot
            }
            None => {
                self.events.push(Some(event));
                (self.events.len() - 1) as u32
            }
        };
        self.place(Key { at: at.max(self.last), event: slot });
        self.len += 1;
    }

    /// Takes out the next event if it is due by `until`.
    pub(crate) fn pop(&mut self, until: u64) -> Option<(u64, T)> {
        loop {
            let depth = self.levels.iter().position(|level| level.filled != 0)?;
            let level = &mut self.levels[depth];
            let slot = level.filled.trailing_zeros() as usize;
            if depth > 0 {
                let keys = &level.slots[slot];
                let next = keys.iter().map(|key| key.at).min().filter(|at| *at <= until)?;
                self.last = next;
                level.filled &= !(1 << slot);
                let mut keys = std::mem::take(&mut level.slots[slot]);
                for key in keys.drain(..) {
                    self.place(key);
                }
                // The slot keeps its room for the next turn of the wheel.
                self.levels[depth].slots[slot] = keys;
                continue;
            }
            let keys = &mut level.slots[slot];
            let Key { at, event } = keys[level.taken];
            if at > until {
                return None;
            }
            level.taken += 1;
            if level.taken == keys.len() {
                keys.clear();
                level.taken = 0;
                level.filled &= !(1 << slot);
            }
            self.last = at;
            self.len -= 1;
            self.free.push(event);
            return Some((at, self.events[event as usize].take()?));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn place(&mut self, key: Key) {
        let differing = u64::BITS - (key.at ^ self.last).leading_zeros();
        let depth = (differing.saturating_sub(1) / BITS) as usize;
        let slot = (key.at >> (depth as u32 * BITS)) as usize % SLOTS;
        let level = &mut self.levels[depth];
        level.slots[slot].push(key);
        level.filled |= 1 << slot;
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_the_order_they_were_put_in() {
        let mut wheel = Wheel::new();
        for (at, name) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b')] {
            wheel.push(at, name);
        }
        assert_eq!(wheel.pop(9), Some((1, 'a')));
        wheel.push(1, 'x');
        assert_eq!(wheel.pop(0), None);
        let rest: Vec<_> = std::iter::from_fn(|| wheel.pop(9)).map(|(_, name)| name).collect();
        assert_eq!(rest, ['b', 'x', 'c', 'd']);
        assert_eq!((wheel.len(), wheel.pop(9)), (0, None));
    }

    #[test]
    fn what_is_late_comes_next_and_the_last_of_all_times_comes_too() {
        let mut wheel = Wheel::new();
        wheel.push(u64::MAX, 'z');
        wheel.push(100, 'a');
        assert_eq!(wheel.pop(u64::MAX), Some((100, 'a')));
        wheel.push(7, 'b');
        assert_eq!(wheel.pop(u64::MAX), Some((100, 'b')));
        assert_eq!(wheel.pop(u64::MAX), Some((u64::MAX, 'z')));
    }

    proptest! {
        #[test]
        fn it_is_a_stable_priority_queue(
            steps in prop::collection::vec((0u64..5, 0u64..20_000, 0u64..6_000), 1..400),
        ) {
            let mut wheel = Wheel::new();
            let mut heap = BinaryHeap::new();
            let (mut now, mut number) = (0, 0);
            for (pushes, ahead, passes) in steps {
                for push in 0..pushes {
                    let at = now + ahead * push / 3;
                    wheel.push(at, number);
                    heap.push(Reverse((at, number)));
                    number += 1;
                }
                now += passes;
                while heap.peek().is_some_and(|Reverse((at, _))| *at <= now) {
                    let Reverse(expected) = heap.pop().unwrap();
                    prop_assert_eq!(wheel.pop(now), Some(expected));
                    if expected.1 % 7 == 0 {
                        wheel.push(expected.0, number);
                        heap.push(Reverse((expected.0, number)));
                        number += 1;
                    }
                }
                prop_assert_eq!(wheel.pop(now), None);
                prop_assert_eq!(wheel.len(), heap.len());
            }
        }
    }
}
