//! The DHT under test: whether the ring is one, lookups are short, and what was written is read.

mod circle;
mod node;
mod old;
mod options;
mod tampers;
mod truth;
mod users;
mod verdict;

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::{NodeId, RequestId};
use rs2p_chord::{
    Chord, ChordConfig, ChordEvent, MemoryStorage, Path, Storage as _, Table, WriteError,
};
use rs2p_mesh::Birth;
use rs2p_simnet::{
    Broken, Distribution, NewNode, NodeIndex, Tamper, Trial, Vocabulary, World, stream,
};
use rs2p_wire::Value;

use crate::mesh::{distribution, histogram};
use circle::Circle;
use node::{Node, Told};
use old::Old;
use options::Options;
use truth::{Key, Truth, WriteId};
use users::{Deed, Workload};

type Boxed = Box<dyn Tamper<Node> + Send>;
type Verdict = Result<(), (&'static str, Broken)>;

/// The DHT under test.
#[derive(Debug)]
pub struct ChordLayer {
    config: ChordConfig,
    /// How long users wait for what they read.
    patience: Duration,
    /// For how long the ring may be out of order after a cut, in microseconds.
    settle: u64,
    /// The share of nodes that are limited to the old messages.
    old: f64,
    bug: Option<String>,
    seed: u64,
    ids: Vec<NodeId>,
    disks: BTreeMap<NodeIndex, MemoryStorage>,
    truth: Truth,
    circle: Circle,
    /// What users have begun, by node, life and call.
    open: BTreeMap<(NodeIndex, u64, RequestId), Open>,
    /// Phases that have begun.
    phases: u64,
    /// Whether nodes leave out periodic repair.
    is_frozen: bool,
    /// Up to when the ring may be out of order.
    lenient_until: u64,
    phase: Phase,
    /// The mean path of the phase before.
    former_hops: Option<f64>,
    hops: Histogram<u64>,
    reads: Histogram<u64>,
    writes: Histogram<u64>,
    load: Histogram<u64>,
    /// Reads that have ended since the last sample, and those of them that succeeded.
    sampled: (u64, u64),
}

/// What a user has begun.
#[derive(Clone, Copy, Debug)]
struct Open {
    key: Key,
    begun: u64,
    write: Option<WriteId>,
    /// Whether it has to find all that was acknowledged before it began.
    is_strict: bool,
    /// Whom the key's positions belonged to when it began, if that is what is looked up.
    owners: [Option<NodeId>; Table::ALL.len()],
}

/// What has happened in a phase.
#[derive(Debug)]
struct Phase {
    since: u64,
    bytes_before: u64,
    ok: u64,
    failed: u64,
    /// Reads of old nodes: those that gave what they must, and the rest.
    old_ok: u64,
    old_failed: u64,
    acknowledged: u64,
    unacknowledged: u64,
    lookups: u64,
    found: u64,
    /// Since when all members have had the neighbours that they should have.
    ordered_since: Option<u64>,
    hops: Histogram<u64>,
    reads: Histogram<u64>,
    writes: Histogram<u64>,
}

impl Phase {
    fn new(since: u64, bytes_before: u64) -> Self {
        Self {
            since,
            bytes_before,
            ok: 0,
            failed: 0,
            old_ok: 0,
            old_failed: 0,
            acknowledged: 0,
            unacknowledged: 0,
            lookups: 0,
            found: 0,
            ordered_since: None,
            hops: histogram(),
            reads: histogram(),
            writes: histogram(),
        }
    }
}

/// For how long what a node has sent may still change something when it is gone, in microseconds.
const AFTERMATH: u64 = 5_000_000;

/// Members that a node knows which joins a ring that has settled.
const KNOWN: usize = 3;

const RING: &str = "the ring is one, and safe";
const READ: &str = "a read gives the latest that was acknowledged";

impl ChordLayer {
    /// Whether the ring must be in order now.
    fn is_strict(&self, world: &World<Node>) -> bool {
        self.phases > 1 && world.sim.elapsed_micros() >= self.lenient_until
    }

    /// The length of the list that the ring must stand with at every moment, if it must.
    fn length(&self, world: &World<Node>) -> Option<usize> {
        (self.settle == 0 && self.is_strict(world)).then_some(self.config.successors)
    }

    fn on_read(
        &mut self,
        world: &World<Node>,
        node: NodeIndex,
        open: Open,
        value: Option<&Value>,
    ) -> Verdict {
        let begun = if open.is_strict { open.begun } else { 0 };
        if let Err(seen) = self.truth.judge(open.key, begun, value) {
            let key = String::from_utf8_lossy(&open.key.name()).into_owned();
            let begun = open.begun as f64 / 1e6;
            let seen = format!("reading {key:?} from {begun:.3} s on it got {seen}");
            return Err((READ, Broken::at(node, seen)));
        }
        let took = world.sim.elapsed_micros() - open.begun;
        self.phase.ok += 1;
        self.sampled.0 += 1;
        self.sampled.1 += 1;
        self.phase.reads.saturating_record(took);
        self.reads.saturating_record(took);
        Ok(())
    }

    /// An old node may miss something: it is counted, and no more.
    fn on_old_read(
        &mut self,
        world: &World<Node>,
        node: NodeIndex,
        request: RequestId,
        value: Option<&Value>,
    ) {
        let key = (node, world.sim.lives(node), request);
        let Some(open) = self.open.remove(&key) else { return };
        match self.truth.judge(open.key, open.begun, value) {
            Ok(()) => self.phase.old_ok += 1,
            Err(_) => self.phase.old_failed += 1,
        }
    }

    /// Whether a node is limited to the old messages: they are spread evenly, the first is not one.
    fn is_old(&self, node: NodeIndex) -> bool {
        let before = |node: f64| (node * self.old).floor();
        before(f64::from(node.0) + 1.0) > before(f64::from(node.0))
    }

    /// The share of the nodes that should be members whose neighbours are as they should be.
    fn in_order(&self, world: &World<Node>) -> f64 {
        let nodes = world.counting().filter(|node| !self.is_old(*node)).count();
        self.circle.in_order(world, nodes)
    }

    fn on_written(&mut self, now: u64, open: Open, result: &Result<Option<Value>, WriteError>) {
        let Some(write) = open.write else { return };
        if matches!(result, Ok(_) | Err(WriteError::Absent)) {
            self.phase.acknowledged += 1;
            self.phase.writes.saturating_record(now - open.begun);
            self.writes.saturating_record(now - open.begun);
            self.truth.acknowledge(write, now);
        } else {
            self.phase.unacknowledged += 1;
            self.truth.give_up(write, now + AFTERMATH);
        }
    }

    fn on_explained(&mut self, world: &World<Node>, open: Open, paths: &[Path]) {
        for (path, before) in paths.iter().zip(open.owners) {
            self.phase.lookups += 1;
            // Whom it belonged to meanwhile may have answered, and be gone.
            let owner = self.circle.owner(world, path.position.point());
            let found = path.hops.last().copied();
            if found.is_none() || found != owner && found != before {
                continue;
            }
            let hops = path.hops.len() as u64 - 1;
            self.phase.found += 1;
            self.phase.hops.saturating_record(hops);
            self.hops.saturating_record(hops);
        }
    }

    fn on_event(&mut self, world: &World<Node>, node: NodeIndex, event: &ChordEvent) -> Verdict {
        let now = world.sim.elapsed_micros();
        let (request, result) = match event {
            ChordEvent::Read { request, result } => (request, result.as_ref().map_err(|_| ())),
            ChordEvent::Written { request, .. } | ChordEvent::Explained { request, .. } => {
                (request, Ok(&None))
            }
            _ => return Ok(()),
        };
        let key = (node, world.sim.lives(node), *request);
        let Some(open) = self.open.remove(&key) else { return Ok(()) };
        match (event, result) {
            (ChordEvent::Written { result, .. }, _) => self.on_written(now, open, result),
            (ChordEvent::Explained { paths, .. }, _) => self.on_explained(world, open, paths),
            (_, Ok(value)) => return self.on_read(world, node, open, value.as_ref()),
            (_, Err(())) => {
                self.phase.failed += 1;
                self.sampled.0 += 1;
            }
        }
        Ok(())
    }

    fn owners(
        &self,
        world: &World<Node>,
        key: Key,
        deed: Deed,
    ) -> [Option<NodeId>; Table::ALL.len()] {
        Table::ALL.map(|table| {
            let point = table.position(&key.name()).point();
            self.circle.owner(world, point).filter(|_| deed == Deed::Explain)
        })
    }

    fn freeze(&mut self, world: &mut World<Node>, is_frozen: bool) {
        if self.is_frozen == is_frozen {
            return;
        }
        self.is_frozen = is_frozen;
        for node in world.sim.nodes().collect::<Vec<_>>() {
            world.call(node, |node, now| {
                if let Some(chord) = node.chord_mut() {
                    chord.pause_upkeep(now, is_frozen);
                }
            });
        }
    }

    /// Forgets what the users of nodes had begun that are gone.
    fn forget_gone(&mut self, world: &World<Node>) {
        let now = world.sim.elapsed_micros();
        let truth = &mut self.truth;
        self.open.retain(|(node, life, _), open| {
            let is_there = world.sim.is_up(*node) && world.sim.lives(*node) == *life;
            if let Some(write) = open.write.filter(|_| !is_there) {
                truth.give_up(write, now + AFTERMATH);
            }
            is_there
        });
    }
}

impl Trial for ChordLayer {
    type Machine = Node;
    type Options = Options;
    type Workload = Workload;

    const NAME: &'static str = "chord";
    const VOCABULARY: Vocabulary = Vocabulary {
        figures: &[
            ("members", "nodes that are members of the ring"),
            ("in_order", "share of the members that have exactly the neighbours they should have"),
            ("ordered_s", "seconds into the phase from which on all had them"),
            ("ok", "share of the reads that gave what they must, in time"),
            ("reads", "reads that ended"),
            ("old_reads", "reads that ended of nodes limited to the old messages"),
            ("old_ok", "share of them that gave what they must"),
            ("acked", "writes that were acknowledged"),
            ("unacked", "writes that were not, in time"),
            ("lost", "keys of which no node has what a read must give"),
            ("keys", "keys with a value, but for those just written"),
            ("copies", "mean number of nodes that have the latest record of a position"),
            ("copies_min", "the least of these numbers"),
            ("lookups", "ways that were looked up, one to each position of a key"),
            ("found", "share of them that led to the member that the position belongs to"),
            ("hops", "mean number of links on such a way"),
            ("hops_p99", "99th percentile of that number"),
            ("hops_max", "largest of these numbers"),
            ("hops_half_log", "that mean, by half the binary logarithm of the members"),
            ("hops_saved", "by how many links the mean is shorter than in the phase before"),
            ("load_max", "records of the node that has most of them, by the mean"),
            ("bytes", "bytes that came over links, for each node and second"),
            ("p50_ms", "median of the time that a read takes"),
            ("p99_ms", "99th percentile of that time"),
            ("max_ms", "longest of these times"),
            ("write_p50_ms", "median of the time from a write to its acknowledgement"),
            ("write_p99_ms", "99th percentile of that time"),
        ],
        misdeeds: &[],
    };
    const BUGS: &'static [(&'static str, &'static str)] = tampers::BUGS;

    fn new(options: &Options, seed: u64, bug: Option<&str>) -> Self {
        Self {
            config: options.config(seed),
            patience: options.patience(seed),
            settle: options.settle(seed),
            old: options.old.clamp(0.0, 1.0),
            bug: bug.map(Into::into),
            seed,
            ids: Vec::new(),
            disks: BTreeMap::new(),
            truth: Truth::default(),
            circle: Circle::default(),
            open: BTreeMap::new(),
            phases: 0,
            is_frozen: false,
            lenient_until: 0,
            phase: Phase::new(0, 0),
            former_hops: None,
            hops: histogram(),
            reads: histogram(),
            writes: histogram(),
            load: histogram(),
            sampled: (0, 0),
        }
    }

    fn start(&mut self, new: NewNode<Node>) -> Node {
        let NewNode { node, address, mut seeds, seed, lives, mut former } = new;
        if self.phases > 1 {
            // Who joins a ring knows members of it: else it would begin one of its own.
            let mut rng = stream(self.seed, "knows", u64::from(node.0) << 32 | lives);
            let known = self.circle.some(&mut rng, KNOWN).into_iter();
            seeds.extend(known.filter(|known| *known != node).map(NodeIndex::address));
        }
        let mut birth = Birth::new("chord", address.clone(), seed).seeds(seeds);
        let salt = format!("life {lives} of run {}", self.seed);
        birth.id = NodeId::derive(&address.to_string(), &birth.protocol.id(), &salt);
        if let Some(former) = &former {
            birth.id = former.chord().map_or(birth.id, Chord::id);
        }
        let index = node.0 as usize;
        if self.ids.len() <= index {
            self.ids.resize(index + 1, birth.id);
        }
        self.ids[index] = birth.id;
        if self.is_old(node) {
            return Node::old(Old::new(birth));
        }
        let mut chord = Chord::new(birth, self.config.clone());
        let disk = self.disks.entry(node).or_default();
        match former.as_mut().and_then(Node::chord_mut) {
            Some(former) => {
                let Ok(()) = disk.write(former.take_changes());
                let Ok(records) = disk.records();
                if let Err(error) = chord.restore(records) {
                    unreachable!("what a node has written down it can read: {error}");
                }
            }
            None => *disk = MemoryStorage::default(),
        }
        chord.keep_changes();
        Node::new(chord)
    }

    fn bug(&mut self, node: NodeIndex) -> Option<Boxed> {
        tampers::bug(self.bug.as_deref()?, node)
    }

    fn misdeed(&mut self, _: &str, _: NodeIndex) -> Option<Boxed> {
        None
    }

    fn begin(&mut self, world: &World<Node>) {
        self.phases += 1;
        let hops = (!self.phase.hops.is_empty()).then(|| self.phase.hops.mean());
        self.former_hops = hops.or(self.former_hops);
        self.phase = Phase::new(world.sim.elapsed_micros(), world.sim.counts().bytes);
    }

    fn next_act(
        &mut self,
        workload: &Workload,
        from: u64,
        until: u64,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<u64> {
        let (least, most) = (workload.every.least().0.max(100), workload.every.most().0);
        let at = from + rng.random_range(least..=most.max(least));
        (at <= until).then_some(at)
    }

    fn act(&mut self, world: &mut World<Node>, workload: &Workload, rng: &mut Xoshiro256PlusPlus) {
        self.freeze(world, workload.frozen);
        let (ids, circle) = (&self.ids, &self.circle);
        let is_user = |node: NodeIndex| self.is_old(node) || circle.contains(ids[node.0 as usize]);
        let Some(plan) = workload.plan(world, rng, is_user) else { return };
        let plan = if self.is_old(plan.node) { plan.reading() } else { plan };
        let (begun, is_strict) = (world.sim.elapsed_micros(), self.is_strict(world));
        let deed = plan.deed;
        let write =
            (plan.writes()).then(|| self.truth.begin(plan.key, deed == Deed::Delete, begun));
        let number = write.unwrap_or_default();
        let request = world.call(plan.node, |node, now| match node.old_mut() {
            Some(old) => Some(old.get(now, &plan.key.name())),
            None => plan.begin(node.chord_mut()?, now, number, self.patience),
        });
        match request.flatten() {
            Some(request) => {
                let owners = self.owners(world, plan.key, deed);
                let open = Open { key: plan.key, begun, write, is_strict, owners };
                self.open.insert((plan.node, world.sim.lives(plan.node), request), open);
            }
            None => {
                if let Some(write) = write {
                    self.truth.give_up(write, begun);
                }
                self.phase.failed += u64::from(deed == Deed::Get);
                self.phase.unacknowledged += u64::from(write.is_some());
            }
        }
    }

    fn heard(&mut self, world: &World<Node>, node: NodeIndex, told: Told) -> Verdict {
        match told {
            Told::User(event) => self.on_event(world, node, &event),
            Told::Read(request, value) => {
                self.on_old_read(world, node, request, value.as_ref());
                Ok(())
            }
            Told::RingChanged => {
                let length = self.length(world);
                let changed = self.circle.on_changed(world, node, length);
                changed.map_err(|broken| (RING, broken))
            }
        }
    }

    fn check(&mut self, world: &World<Node>) -> Verdict {
        let now = world.sim.elapsed_micros();
        self.forget_gone(world);
        let is_in_order = self.in_order(world) >= 1.0;
        let since = self.phase.ordered_since.filter(|_| is_in_order);
        self.phase.ordered_since = since.or(is_in_order.then_some(now));
        let mut ring = self.circle.look(world, self.config.successors);
        if self.settle > 0 && self.phases > 1 {
            // Parts that do not hear each other cannot be one ring.
            let mut parts = world.sim.components().into_iter().flatten();
            let first = parts.next();
            if parts.any(|part| Some(part) != first) {
                (self.lenient_until, ring) = (now + self.settle, Ok(()));
            }
        }
        match ring {
            Err(broken) if self.is_strict(world) => Err((RING, broken)),
            _ => Ok(()),
        }
    }

    fn measure(&mut self, world: &World<Node>) -> BTreeMap<&'static str, f64> {
        let verdict = verdict::judge(world, &self.truth, &mut self.load);
        let members = self.circle.len() as f64;
        let phase = &self.phase;
        let ended = phase.ok + phase.failed;
        let mut figures = BTreeMap::from([
            ("members", members),
            ("in_order", self.in_order(world)),
            ("reads", ended as f64),
            ("acked", phase.acknowledged as f64),
            ("unacked", phase.unacknowledged as f64),
            ("lost", verdict.lost as f64),
            ("keys", verdict.keys as f64),
            ("lookups", phase.lookups as f64),
        ]);
        let seconds = world.sim.elapsed_micros().saturating_sub(phase.since) as f64 / 1e6;
        let bytes = world.sim.counts().bytes - phase.bytes_before;
        let each = world.counting().count().max(1) as f64 * seconds.max(1e-6);
        figures.insert("bytes", bytes as f64 / each);
        if verdict.keys > 0 {
            figures.insert("copies", verdict.copies);
            figures.insert("copies_min", verdict.copies_min as f64);
            figures.insert("load_max", verdict.load_max);
        }
        if let Some(since) = phase.ordered_since {
            figures.insert("ordered_s", since.saturating_sub(phase.since) as f64 / 1e6);
        }
        if ended > 0 {
            figures.insert("ok", phase.ok as f64 / ended as f64);
        }
        let old = phase.old_ok + phase.old_failed;
        if old > 0 {
            figures.insert("old_reads", old as f64);
            figures.insert("old_ok", phase.old_ok as f64 / old as f64);
        }
        if phase.lookups > 0 {
            figures.insert("found", phase.found as f64 / phase.lookups as f64);
        }
        if !phase.hops.is_empty() {
            let hops = phase.hops.mean();
            figures.insert("hops", hops);
            figures.insert("hops_p99", phase.hops.value_at_quantile(0.99) as f64);
            figures.insert("hops_max", phase.hops.max() as f64);
            figures.insert("hops_half_log", 2.0 * hops / members.max(2.0).log2());
            figures.extend(self.former_hops.map(|former| ("hops_saved", former - hops)));
        }
        let millis = |micros: u64| micros as f64 / 1e3;
        if !phase.reads.is_empty() {
            figures.insert("p50_ms", millis(phase.reads.value_at_quantile(0.5)));
            figures.insert("p99_ms", millis(phase.reads.value_at_quantile(0.99)));
            figures.insert("max_ms", millis(phase.reads.max()));
        }
        if !phase.writes.is_empty() {
            figures.insert("write_p50_ms", millis(phase.writes.value_at_quantile(0.5)));
            figures.insert("write_p99_ms", millis(phase.writes.value_at_quantile(0.99)));
        }
        figures
    }

    fn sample(&mut self, world: &World<Node>) -> Vec<(&'static str, &'static str, f64)> {
        let (ended, ok) = std::mem::take(&mut self.sampled);
        let mut values = vec![("members in order", "", self.in_order(world))];
        if ended > 0 {
            values.push(("reads that succeed", "", ok as f64 / ended as f64));
        }
        values
    }

    fn distributions(&self) -> Vec<Distribution> {
        let all = vec![
            distribution("links on the way of a lookup", "links", &self.hops, 1.0),
            distribution("time of a read", "ms", &self.reads, 1e3),
            distribution("from a write to its acknowledgement", "ms", &self.writes, 1e3),
            distribution("records of a node", "records", &self.load, 1.0),
        ];
        all.into_iter().filter(|it| it.count > 0).collect()
    }

    fn position(&self, node: NodeIndex) -> f64 {
        let bytes = self.ids.get(node.0 as usize).map_or([0; NodeId::BYTES], |id| id.to_bytes());
        let first = bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        first as f64 / 2_f64.powi(64)
    }
}
