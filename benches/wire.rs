//! What a message costs, beside the least that it can cost: its SHA-256 and the copies of it.
//!
//! `cargo bench --bench wire -- ratios` prints the table alone.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]

#[path = "wire/operations.rs"]
mod operations;
#[path = "wire/ratios.rs"]
mod ratios;

use criterion::{Criterion, Throughput};

use crate::operations::{Operation, compression, messages};

/// Bytes of binary payload.
const SIZES: [usize; 3] = [64, 1 << 10, 64 << 10];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for size in SIZES {
        group(&mut criterion, &format!("message/{size}"), size, messages(size));
    }
    for size in &SIZES[1..] {
        group(&mut criterion, &format!("compression/{size}"), *size, compression(*size));
    }
    criterion.final_summary();
    // Absent when criterion is asked for a part only, or `cargo test` tries whether it runs.
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if arguments.iter().any(|word| word == "--bench")
        && arguments.iter().all(|word| word.starts_with("--") || word == "ratios")
    {
        ratios::print(&SIZES);
    }
}

fn group(criterion: &mut Criterion, name: &str, size: usize, operations: Vec<Operation>) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(size as u64));
    for mut operation in operations {
        let name = std::mem::take(&mut operation.name);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| operation.time(iterations));
        });
    }
    group.finish();
}
