//! What a routing table of Kademlia costs in which every bucket is full, beside the least that an
//! answer of twenty nodes can cost: copying them, and sorting them by distance.
//!
//! `cargo xtask bench kad_table`

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::hint::black_box;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, measurement::WallTime};
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use rs2p::kad::{Key, Node, RoutingTable, Update};

type Contact = Node<SocketAddrV4>;
type Table = RoutingTable<SocketAddrV4>;

/// Nodes of a bucket, and of an answer.
const K: usize = 20;
const NOW: Duration = Duration::ZERO;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("kad_table");
    let mut rng = SmallRng::seed_from_u64(1);
    let full = Full::new(&mut rng);
    updates(&mut group, &full, &mut rng);
    answers(&mut group, &full, &mut rng);
    floors(&mut group, &full, &mut rng);
    group.finish();
    criterion.final_summary();
}

/// A table, the nodes in it in any order, and as many that found no room.
struct Full {
    table: Table,
    nodes: Vec<Contact>,
    others: Vec<Contact>,
}

impl Full {
    fn new(rng: &mut SmallRng) -> Self {
        let mut table = Table::new(Key::random(rng), Default::default());
        let (mut nodes, mut others) = (Vec::new(), Vec::new());
        for bucket in 0..Key::<20>::BITS {
            // The last buckets are smaller than twenty keys.
            for _ in 0..100 * K {
                let Some(id) = table.own().random_in_bucket(bucket, rng) else { continue };
                let address = SocketAddrV4::new(rng.random::<u32>().into(), rng.random());
                let node = Node::new(id, address);
                match table.update(NOW, node) {
                    Update::Added => nodes.push(node),
                    Update::Spare if others.len() < nodes.len() => others.push(node),
                    _ => {}
                }
            }
        }
        nodes.shuffle(rng);
        others.shuffle(rng);
        Self { table, nodes, others }
    }

    /// A table that has never been full: nobody is pinged, and there are no spare nodes.
    fn fresh(&self) -> Table {
        let mut table = Table::new(*self.table.own(), Default::default());
        self.add_to(&mut table);
        table
    }

    fn add_to(&self, table: &mut Table) {
        for node in &self.nodes {
            black_box(table.update(NOW, black_box(*node)));
        }
    }
}

fn updates(group: &mut BenchmarkGroup<'_, WallTime>, full: &Full, rng: &mut SmallRng) {
    let mut table = full.fresh();
    let heard = (0..1 << 16).filter_map(|_| full.nodes.choose(rng).copied()).collect::<Vec<_>>();
    let mut nodes = heard.iter().cycle().copied();
    group.bench_function("update/refresh", |bencher| {
        bencher.iter(|| nodes.next().map(|node| table.update(NOW, node)));
    });
    group.bench_function("update/add", |bencher| {
        // Time is taken of whole tables, from the first node to the last; dropping is not timed.
        bencher.iter_custom(|wanted| {
            let (mut done, mut elapsed) = (0, Duration::ZERO);
            while done < wanted {
                let mut table = Table::new(*full.table.own(), Default::default());
                let start = Instant::now();
                full.add_to(&mut table);
                elapsed += start.elapsed();
                done += full.nodes.len() as u64;
            }
            elapsed.mul_f64(wanted as f64 / done as f64)
        });
    });
    let mut table = full.fresh();
    let mut others = full.others.iter().cycle().copied();
    group.bench_function("update/full, and the oldest answers", |bencher| {
        bencher.iter(|| {
            if let Some(Update::Ping(oldest)) = others.next().map(|node| table.update(NOW, node)) {
                table.keep_old(NOW, &oldest.id);
            }
        });
    });
    let mut table = full.table.clone();
    group.bench_function("update/full, a ping is under way", |bencher| {
        bencher.iter(|| others.next().map(|node| table.update(NOW, node)));
    });
}

fn answers(group: &mut BenchmarkGroup<'_, WallTime>, full: &Full, rng: &mut SmallRng) {
    let any = (0..4096).map(|_| Key::random(rng)).collect::<Vec<_>>();
    let own = full.table.own();
    let near = (0..4096).filter_map(|bucket| own.random_in_bucket(bucket % 160, rng));
    for (name, targets) in [("any key", any), ("keys of all buckets", near.collect())] {
        let mut targets = targets.iter().cycle();
        group.bench_function(format!("closest/{name}"), |bencher| {
            bencher.iter(|| {
                let target = targets.next()?;
                let mut answer = Vec::with_capacity(K);
                answer.extend(full.table.closest(target).take(K).copied());
                Some(answer)
            });
        });
    }
    group.bench_function("closest/the own key", |bencher| {
        bencher.iter(|| {
            let mut answer = Vec::with_capacity(K);
            answer.extend(full.table.closest(black_box(own)).take(K).copied());
            answer
        });
    });
    let mut targets = full.others.iter().map(|node| &node.id).cycle();
    group.bench_function("count_closer", |bencher| {
        bencher.iter(|| targets.next().map(|target| full.table.count_closer(target)));
    });
}

fn floors(group: &mut BenchmarkGroup<'_, WallTime>, full: &Full, rng: &mut SmallRng) {
    let targets = (0..4096).map(|_| Key::random(rng)).collect::<Vec<_>>();
    let mut targets = targets.iter().cycle();
    let mut answers = full.nodes.chunks_exact(K).cycle();
    group.bench_function("floor/copy 20 nodes", |bencher| {
        bencher.iter(|| answers.next().map(<[Contact]>::to_vec));
    });
    group.bench_function("floor/sort 20 distances", |bencher| {
        bencher.iter(|| {
            let (target, nodes) = targets.next().zip(answers.next())?;
            let distances = nodes.iter().map(|node| target.distance(&node.id));
            let mut distances = distances.collect::<Vec<_>>();
            distances.sort_unstable();
            Some(distances)
        });
    });
}
