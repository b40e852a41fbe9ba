//! The least that events and frames can cost.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hint::black_box;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use crate::process::seconds;

/// Events under way for each node.
const UNDER_WAY: u32 = 8;
/// Latencies as they are by default in the simulator, in microseconds.
const SHORTEST: u64 = 10_000;
const LONGEST: u64 = 80_000;
const HASHES: usize = 1_000_000;

/// What is to happen, by time.
pub(crate) trait Queue: Default {
    fn push(&mut self, at: u64, node: u32);
    fn pop(&mut self) -> Option<(u64, u32)>;
}

/// How many events per second happen to so many nodes when there is nothing to do for each but to
/// count it and to send one on to another node.
pub(crate) fn event_loop<Q: Queue>(nodes: u32, events: u32) -> f64 {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(u64::from(nodes));
    let mut queue = Q::default();
    let mut send = |queue: &mut Q, now: u64| {
        // One draw for both: the floor is the queue, not the generator.
        let draw = rng.next_u64();
        let share = |word: u64, of: u64| (word as u32 as u64 * of) >> 32;
        let latency = SHORTEST + share(draw, LONGEST - SHORTEST);
        queue.push(now + latency, share(draw >> 32, u64::from(nodes)) as u32);
    };
    for _ in 0..nodes * UNDER_WAY {
        send(&mut queue, 0);
    }
    let mut counters = vec![0_u64; nodes as usize];
    let start = seconds();
    for _ in 0..events {
        let (now, node) = queue.pop().unwrap();
        counters[node as usize] += 1;
        send(&mut queue, now);
    }
    let took = seconds() - start;
    assert_eq!(black_box(counters).iter().sum::<u64>(), u64::from(events));
    f64::from(events) / took
}

/// How many frames of this size can be hashed per second.
pub(crate) fn hashes(size: usize) -> f64 {
    let mut frame = vec![7; size];
    let start = seconds();
    for number in 0..HASHES {
        // No two alike.
        let head = frame.first_chunk_mut().unwrap();
        *head = number.to_le_bytes();
        black_box(Sha256::digest(&frame));
    }
    HASHES as f64 / (seconds() - start)
}

/// A binary heap. Events of the same time come in the order in which they were put in.
#[derive(Default)]
pub(crate) struct HeapQueue {
    heap: BinaryHeap<Reverse<(u64, u64, u32)>>,
    sequence: u64,
}

impl Queue for HeapQueue {
    fn push(&mut self, at: u64, node: u32) {
        self.sequence += 1;
        self.heap.push(Reverse((at, self.sequence, node)));
    }

    fn pop(&mut self) -> Option<(u64, u32)> {
        self.heap.pop().map(|Reverse((at, _, node))| (at, node))
    }
}

/// A hierarchical timing wheel: an event lies on the level of the highest bits in which its time
/// differs from that of the last one taken out.
pub(crate) struct WheelQueue {
    levels: Vec<Level>,
    last: u64,
    /// Of the lowest level's slot that is being emptied, how many are out.
    taken: usize,
}

struct Level {
    slots: Vec<Vec<(u64, u32)>>,
    /// Which slots hold something.
    filled: u64,
}

const BITS: u32 = 6;
const LEVELS: u32 = u64::BITS.div_ceil(BITS);

impl Default for WheelQueue {
    fn default() -> Self {
        let level = || Level { slots: vec![Vec::new(); 1 << BITS], filled: 0 };
        let levels = std::iter::repeat_with(level).take(LEVELS as usize).collect();
        Self { levels, last: 0, taken: 0 }
    }
}

impl WheelQueue {
    fn place(&mut self, at: u64, node: u32) {
        let differing = u64::BITS - (at ^ self.last).leading_zeros();
        let depth = differing.saturating_sub(1) / BITS;
        let slot = (at >> (depth * BITS)) as usize % (1 << BITS);
        let level = &mut self.levels[depth as usize];
        level.slots[slot].push((at, node));
        level.filled |= 1 << slot;
    }
}

impl Queue for WheelQueue {
    fn push(&mut self, at: u64, node: u32) {
        self.place(at.max(self.last), node);
    }

    fn pop(&mut self) -> Option<(u64, u32)> {
        loop {
            let depth = self.levels.iter().position(|level| level.filled != 0)?;
            let level = &mut self.levels[depth];
            let slot = level.filled.trailing_zeros() as usize;
            let events = &mut level.slots[slot];
            if depth > 0 {
                self.last = events.iter().map(|(at, _)| *at).min()?;
                level.filled &= !(1 << slot);
                let mut events = std::mem::take(events);
                for (at, node) in events.drain(..) {
                    self.place(at, node);
                }
                self.levels[depth].slots[slot] = events;
                continue;
            }
            let event = events[self.taken];
            self.taken += 1;
            if self.taken == events.len() {
                events.clear();
                self.taken = 0;
                level.filled &= !(1 << slot);
            }
            self.last = event.0;
            return Some(event);
        }
    }
}
