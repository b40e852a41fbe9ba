//! What has happened in a phase, and what comes of it.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use rand::seq::SliceRandom as _;
use rs2p_bytestag::{Dht, Key};
use rs2p_simnet::{NodeIndex, World, stream};

use super::NEAREST;
use super::crowd::Crowd;
use super::node::Node;
use crate::mesh::histogram;

/// The figures of a phase.
pub(super) const FIGURES: &[(&str, &str)] = &[
    ("lookups", "lookups of random keys that ended"),
    ("found", "share of them that found the node that is really nearest"),
    ("exact", "share of them that found all of the 20 that are really nearest"),
    ("recall", "mean share of these 20 that a lookup found"),
    ("asked", "mean number of nodes that a lookup asked"),
    ("hops", "mean number of nodes on the way to the nearest one, which is counted"),
    ("hops_p99", "99th percentile of that number"),
    ("hops_max", "largest of these numbers"),
    ("hops_theory", "what theory says of that mean: ln N / (1 + 1/2 + ... + 1/k)"),
    ("hops_over", "by how much the mean is larger than that"),
    ("lookup_p50_ms", "median of the time that a lookup takes"),
    ("lookup_p99_ms", "99th percentile of that time"),
    ("lookup_max_ms", "longest of these times"),
    ("gets", "gets that ended, of values that must be there"),
    ("ok", "share of them that gave the value"),
    ("p50_ms", "median of the time that a get takes"),
    ("p99_ms", "99th percentile of that time"),
    ("max_ms", "longest of these times"),
    ("puts", "puts that ended"),
    ("put", "share of them that stored the value on some node"),
    ("stored", "mean number of nodes that had the value when such a put ended"),
    ("put_p50_ms", "median of the time that a put takes"),
    ("put_p99_ms", "99th percentile of that time"),
    ("values", "values that must be there"),
    ("expired", "values that must be gone, since nobody published them for so long"),
    ("lost", "values that must be there and that no honest node has"),
    ("copies", "mean number of honest nodes that have a value"),
    ("copies_min", "the least of these numbers"),
    ("placed", "mean share of the nodes nearest to a value that have it"),
    ("repaired_s", "seconds into the phase from which on each value had all its copies"),
    ("contacts", "mean number of nodes in a table"),
    ("dead", "mean share of a table that is gone"),
    ("kept", "share of those in tables at the start of the phase, up ever since, still there"),
    ("datagrams", "datagrams that came, for each node and second"),
];

/// What has happened in a phase.
#[derive(Debug)]
pub(super) struct Phase {
    since: u64,
    datagrams_before: u64,
    pub(super) lookups: u64,
    pub(super) found: u64,
    pub(super) exact: u64,
    /// Nodes that lookups should have found, all in all, and those of them that they did find.
    pub(super) nearest: u64,
    pub(super) told: u64,
    pub(super) asked: u64,
    pub(super) gets: u64,
    pub(super) got: u64,
    pub(super) puts: u64,
    pub(super) put: u64,
    pub(super) stored: u64,
    /// Since when each value has had all its copies.
    repaired_since: Option<u64>,
    pub(super) hops: Histogram<u64>,
    pub(super) lookup_times: Histogram<u64>,
    pub(super) get_times: Histogram<u64>,
    pub(super) put_times: Histogram<u64>,
    /// Some nodes with their lives, and whom they knew at the start.
    watched: Vec<(NodeIndex, u64, Vec<Key>)>,
}

/// Nodes whose tables are watched.
const WATCHED: usize = 30;

impl Phase {
    pub(super) fn new(since: u64, datagrams_before: u64) -> Self {
        Self {
            since,
            datagrams_before,
            lookups: 0,
            found: 0,
            exact: 0,
            nearest: 0,
            told: 0,
            asked: 0,
            gets: 0,
            got: 0,
            puts: 0,
            put: 0,
            stored: 0,
            repaired_since: None,
            hops: histogram(),
            lookup_times: histogram(),
            get_times: histogram(),
            put_times: histogram(),
            watched: Vec::new(),
        }
    }

    /// Draws the nodes whose tables are watched.
    pub(super) fn watch(&mut self, world: &World<Node>, seed: u64) {
        let mut nodes: Vec<_> = world.counting().collect();
        nodes.shuffle(&mut stream(seed, "watched", self.since));
        nodes.truncate(WATCHED);
        let watched = nodes.into_iter().filter_map(|node| {
            let contacts = contacts(world.machine(node)?.dht()?).collect();
            Some((node, world.sim.lives(node), contacts))
        });
        self.watched = watched.collect();
    }

    /// Values have all their copies now, or some do not.
    pub(super) fn on_copies(&mut self, now: u64, are_all_there: bool) {
        let since = self.repaired_since.filter(|_| are_all_there);
        self.repaired_since = since.or(are_all_there.then_some(now));
    }

    /// The mean share of a table that is gone.
    pub(super) fn dead(&self, world: &World<Node>, crowd: &Crowd) -> Option<f64> {
        let (mut all, mut dead) = (0_u64, 0_u64);
        for dht in self.watched.iter().filter_map(|(node, ..)| world.machine(*node)?.dht()) {
            for id in contacts(dht) {
                all += 1;
                dead += u64::from(!crowd.is_up(world, &id));
            }
        }
        (all > 0).then(|| dead as f64 / all as f64)
    }

    /// The share of those whom the watched nodes knew at the start, and who have been up for the
    /// whole phase and a while before, that they still know.
    fn kept(&self, world: &World<Node>, crowd: &Crowd) -> Option<f64> {
        let (mut all, mut kept) = (0_u64, 0_u64);
        for (node, lives, before) in &self.watched {
            let dht = world.machine(*node).and_then(Node::dht);
            let Some(dht) = dht.filter(|_| world.sim.lives(*node) == *lives) else { continue };
            for id in before.iter().filter(|id| crowd.is_up_since(world, id, self.since)) {
                all += 1;
                kept += u64::from(dht.table().get(id).is_some());
            }
        }
        (all > 0).then(|| kept as f64 / all as f64)
    }

    pub(super) fn measure(
        &self,
        world: &World<Node>,
        crowd: &Crowd,
    ) -> BTreeMap<&'static str, f64> {
        let seconds = world.sim.elapsed_micros().saturating_sub(self.since) as f64 / 1e6;
        let datagrams = world.sim.counts().datagrams - self.datagrams_before;
        let nodes = crowd.len().max(1) as f64;
        let tables =
            world.counting().filter_map(|node| Some(world.machine(node)?.dht()?.table().len()));
        let (sum, count) = tables.fold((0, 0), |(sum, count), len| (sum + len, count + 1));
        let mut figures = BTreeMap::from([
            ("lookups", self.lookups as f64),
            ("gets", self.gets as f64),
            ("puts", self.puts as f64),
            ("datagrams", datagrams as f64 / nodes / seconds.max(1e-6)),
            ("contacts", sum as f64 / f64::from(count.max(1))),
        ]);
        figures.extend(self.dead(world, crowd).map(|dead| ("dead", dead)));
        figures.extend(self.kept(world, crowd).map(|kept| ("kept", kept)));
        let mut share = |name, part: u64, of: u64| {
            if of > 0 {
                figures.insert(name, part as f64 / of as f64);
            }
        };
        share("found", self.found, self.lookups);
        share("exact", self.exact, self.lookups);
        share("recall", self.told, self.nearest);
        share("asked", self.asked, self.lookups);
        share("ok", self.got, self.gets);
        share("put", self.put, self.puts);
        share("stored", self.stored, self.put);
        if let Some(since) = self.repaired_since {
            figures.insert("repaired_s", since.saturating_sub(self.since) as f64 / 1e6);
        }
        if !self.hops.is_empty() {
            let (hops, theory) = (self.hops.mean(), theory(nodes));
            figures.insert("hops", hops);
            figures.insert("hops_p99", self.hops.value_at_quantile(0.99) as f64);
            figures.insert("hops_max", self.hops.max() as f64);
            figures.insert("hops_theory", theory);
            figures.insert("hops_over", hops - theory);
        }
        let mut times = |times: &Histogram<u64>, names: [(&'static str, f64); 3]| {
            for (name, quantile) in names.into_iter().filter(|(name, _)| !name.is_empty()) {
                if !times.is_empty() {
                    figures.insert(name, times.value_at_quantile(quantile) as f64 / 1e3);
                }
            }
        };
        let lookups = [("lookup_p50_ms", 0.5), ("lookup_p99_ms", 0.99), ("lookup_max_ms", 1.0)];
        times(&self.lookup_times, lookups);
        times(&self.get_times, [("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0)]);
        times(&self.put_times, [("put_p50_ms", 0.5), ("put_p99_ms", 0.99), ("", 1.0)]);
        figures
    }
}

fn contacts(dht: &Dht) -> impl Iterator<Item = Key> {
    dht.table().buckets().iter().flat_map(|bucket| bucket.nodes().map(|node| node.id))
}

/// Over how many nodes a key is found in a network of so many, each of which tells the nearest of
/// the `k` that it knows in the part of the network where the key lies.
///
/// The nearest of `k` nodes that are spread evenly is nearer than the farthest place by a factor of
/// `e^(1 + 1/2 + ... + 1/k)` in the geometric mean. That the number grows as the logarithm of the
/// nodes was proven by Cai and Devroye ("A Probabilistic Analysis of Kademlia Networks", 2013).
fn theory(nodes: f64) -> f64 {
    let harmonic: f64 = (1..=NEAREST).map(|number| 1.0 / number as f64).sum();
    nodes.max(1.0).ln() / harmonic
}
