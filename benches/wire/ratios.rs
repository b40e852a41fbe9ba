//! How near the operations come to their floors.
//!
//! Times of a shared machine wander by more than what is to be seen here. So an operation and its
//! floor are timed in turns, a few milliseconds each, and the median of the quotients is told.

#![expect(clippy::print_stdout, reason = "the table is what this is for")]

use std::time::Duration;

use crate::operations::{Operation, messages};

/// Operation, its floor, and the part of the floor's speed to be reached per size.
const GOALS: [(&str, &str, [f64; 3]); 3] = [
    ("encode and decode", "floor: 2 hashes, copy", [0.85, 0.94, 0.98]),
    ("relay to 8 links", "floor: hash, 8 copies", [0.9, 0.9, 0.9]),
    ("drop a duplicate", "floor: hash", [5.0, 5.0, 5.0]),
];
const ROUNDS: usize = 101;
const TURN: Duration = Duration::from_millis(2);

pub(crate) fn print(sizes: &[usize; 3]) {
    println!("| payload | operation | ns | floor | ns | floor / operation | goal |");
    println!("| ---: | --- | ---: | --- | ---: | ---: | ---: |");
    for (index, size) in sizes.iter().enumerate() {
        let mut operations = messages(*size);
        for (name, floor, goals) in GOALS {
            let [mut above, mut below] = [name, floor].map(|name| take(&mut operations, name));
            let (time, least, ratio) = compare(&mut above, &mut below);
            let goal = goals[index];
            println!(
                "| {size} | {name} | {time:.0} | {floor} | {least:.0} | {ratio:.2} | {goal} |"
            );
            operations.extend([above, below]);
        }
    }
}

fn take(operations: &mut Vec<Operation>, name: &str) -> Operation {
    let at = operations.iter().position(|operation| operation.name == name).unwrap();
    operations.swap_remove(at)
}

/// Median nanoseconds of both, and the median of the quotients.
fn compare(above: &mut Operation, below: &mut Operation) -> (f64, f64, f64) {
    let turns = [&mut *above, &mut *below].map(iterations);
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let nanoseconds = |operation: &mut Operation, iterations: u64| {
            operation.time(iterations).as_secs_f64() * 1e9 / iterations as f64
        };
        let time = nanoseconds(above, turns[0]);
        let least = nanoseconds(below, turns[1]);
        for (times, time) in times.iter_mut().zip([time, least, least / time]) {
            times.push(time);
        }
    }
    let [time, least, ratio] = times.map(median);
    (time, least, ratio)
}

/// How many iterations fill a turn.
fn iterations(operation: &mut Operation) -> u64 {
    let mut iterations = 1;
    while operation.time(iterations) < TURN {
        iterations *= 2;
    }
    iterations
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
