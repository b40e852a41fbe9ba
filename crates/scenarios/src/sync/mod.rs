//! The replicated dictionary under test: whether all hold the same, and the right thing.

mod disk;
mod leases;
mod replicas;
mod tampers;
mod truth;
mod users;
mod verdict;

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::NodeId;
use rs2p_mesh::{Birth, OverMesh as _};
use rs2p_simnet::{
    Broken, Distribution, NewNode, NodeIndex, Span, Spread, Tamper, Trial, Vocabulary, World,
};
use rs2p_sync::{Meta, Sync, SyncConfig, SyncEvent, WriteError};
use serde::Deserialize;

use crate::mesh::{distribution, histogram};
use disk::Disk;
use leases::Leases;
use replicas::{Held, Replicas};
use truth::{Key, Record, Truth};
use users::Workload;

type Boxed = Box<dyn Tamper<Sync> + Send>;
type Verdict = Result<(), (&'static str, Broken)>;

/// The replicated dictionary under test.
#[derive(Debug)]
pub struct SyncLayer {
    config: SyncConfig,
    /// For how long two nodes that hear each other may both have a lease, in microseconds.
    settle: u64,
    bug: Option<String>,
    seed: u64,
    ids: Vec<NodeId>,
    by_id: BTreeMap<NodeId, NodeIndex>,
    disks: BTreeMap<NodeIndex, Disk>,
    truth: Truth,
    replicas: Replicas,
    leases: Leases,
    phase: Phase,
    /// How long it took until a node held a write, in microseconds.
    times: Histogram<u64>,
}

/// What has happened in a phase.
#[derive(Debug)]
struct Phase {
    since: u64,
    acknowledged: u64,
    refused: u64,
    failed: u64,
    bytes_before: u64,
    repaired_before: u64,
    /// Since when all nodes have held the same.
    alike_since: Option<u64>,
    times: Histogram<u64>,
}

impl Default for Phase {
    fn default() -> Self {
        Self {
            since: 0,
            acknowledged: 0,
            refused: 0,
            failed: 0,
            bytes_before: 0,
            repaired_before: 0,
            alike_since: None,
            times: histogram(),
        }
    }
}

/// Options of the nodes; what is left out is as in [`SyncConfig::default`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    leasing: Option<bool>,
    lease: Option<Spread<Span>>,
    tombstone_age: Option<Spread<Span>>,
    compare: Option<Spread<Span>>,
    max_ahead: Option<Spread<Span>>,
    /// For how long two nodes that hear each other may both have a lease.
    settle: Option<Spread<Span>>,
}

impl Options {
    fn config(&self, seed: u64) -> SyncConfig {
        let usual = SyncConfig::default();
        let draw = |name: &str, spread: Option<Spread<Span>>, usual: Duration| {
            let place = format!("options.{name}");
            spread.map_or(usual, |it| Duration::from_micros(it.draw(seed, &place).0))
        };
        SyncConfig {
            leasing: self.leasing.unwrap_or(usual.leasing),
            lease: draw("lease", self.lease, usual.lease),
            tombstone_age: draw("tombstone_age", self.tombstone_age, usual.tombstone_age),
            compare: draw("compare", self.compare, usual.compare),
            max_ahead: draw("max_ahead", self.max_ahead, usual.max_ahead),
            ..usual
        }
    }
}

impl SyncLayer {
    /// Unless the scenario says otherwise.
    const SETTLE: Span = Span::from_secs(30);

    fn lease(&self) -> u32 {
        u32::try_from(self.config.lease.as_secs()).unwrap_or(u32::MAX)
    }

    /// What a node holds of a key, as it says now.
    fn look_up(&mut self, world: &World<Sync>, node: NodeIndex, key: Key) -> Verdict {
        let before = self.replicas.held(node, key);
        let record = world.machine(node).and_then(|sync| sync.record(Truth::name(key)));
        let Some(record) = record else {
            // It is deleted, and forgotten at once or given up.
            self.replicas.set(node, key, Held { is_live: false, ..before });
            self.leases.set(node, key, false);
            return Ok(());
        };
        let record = Record::read(&record);
        let known = record.as_ref().and_then(|record| self.truth.identify(key, record));
        let (Some(record), Some(id)) = (record, known) else {
            let seen = format!("it holds what nobody has written under key {key}");
            return Err(("only what was written is held", Broken::at(node, seen)));
        };
        if verdict::goes_back(&self.truth, before, id) {
            let write = |id| {
                let write = self.truth.write(id);
                let what = if write.is_deletion { "deletion" } else { "value" };
                format!("the {what} of {:.3} s by {}", write.at as f64 / 1e6, write.by)
            };
            let last = before.last.map(write).unwrap_or_default();
            let seen = format!("under key {key} it holds {} after {last}", write(id));
            return Err(("nobody goes back to what was replaced", Broken::at(node, seen)));
        }
        let is_live = !record.value.is_nil();
        self.truth.learn(id, node);
        self.replicas.set(node, key, Held { last: Some(id), is_live });
        self.leases.set(node, key, is_live && self.truth.write(id).by == node);
        if before.last != Some(id) {
            let write = self.truth.write(id);
            if write.by != node && world.is_steady_since(node, write.at) {
                let took = world.sim.elapsed_micros() - write.at;
                self.times.saturating_record(took);
                self.phase.times.saturating_record(took);
            }
        }
        Ok(())
    }

    /// A node whose clock is right takes nothing from the future.
    fn check_time(&self, world: &World<Sync>, node: NodeIndex, meta: &Meta) -> Verdict {
        let Some(sync) = world.machine(node) else { return Ok(()) };
        let now = world.sim.now().as_secs();
        let its = sync.mesh().network_time(world.sim.clock_of(node)).as_secs();
        let ahead = meta.timestamp.saturating_sub(now);
        let is_own = meta.owner.node_id() == Some(sync.id());
        if is_own || its.abs_diff(now) > 1 || ahead <= self.config.max_ahead.as_secs() + 2 {
            return Ok(());
        }
        let seen = format!("it takes a write that is dated {ahead} s ahead");
        Err(("no write from the future is taken", Broken::at(node, seen)))
    }

    /// A node that starts with what is on its disk, or with nothing.
    fn remember(&mut self, node: NodeIndex, sync: &mut Sync) {
        let disk = self.disks.entry(node).or_default().clone();
        if let Err(error) = disk.restore(sync) {
            unreachable!("what a node has written down it can read: {error}");
        }
        for (name, record) in disk.records() {
            let record = Truth::key(name).zip(Record::read(record));
            let Some((key, record)) = record else { continue };
            let last = self.truth.identify(key, &record);
            let is_live = !record.value.is_nil();
            self.replicas.set(node, key, Held { last, is_live });
        }
    }
}

impl Trial for SyncLayer {
    type Machine = Sync;
    type Options = Options;
    type Workload = Workload;

    const NAME: &'static str = "sync";
    const VOCABULARY: Vocabulary = Vocabulary {
        figures: &[
            ("acked", "writes that their node has acknowledged"),
            ("refused", "writes refused since somebody else has the lease"),
            ("failed", "writes refused for any other reason"),
            ("agree", "share of the nodes that hold what most of them hold, to the last byte"),
            ("agreed_s", "seconds into the phase from which on all held the same"),
            ("keys", "keys with a value"),
            ("resurrected", "keys with a value that somebody had deleted, who had seen it"),
            ("reverted", "keys with a value that somebody had replaced, who had seen it"),
            ("lost", "keys without a value that nobody was the last to delete"),
            ("conflicts", "writes acknowledged, replaced by nobody, and yet not what stands"),
            ("conflict_s", "longest time between such a write and the one that won"),
            ("untold", "keys of which a node holds something else than it has told"),
            ("repaired", "records that came from comparing, by what nodes that are up count"),
            ("bytes", "bytes that came over links for each write acknowledged, all nodes together"),
            (
                "p50_ms",
                "median of the time from a write to another node that holds it, and was there",
            ),
            ("p99_ms", "99th percentile of that time"),
            ("max_ms", "longest of these times"),
        ],
        misdeeds: &[],
    };
    const BUGS: &'static [(&'static str, &'static str)] = tampers::BUGS;

    fn new(options: &Options, seed: u64, bug: Option<&str>) -> Self {
        let settle = options.settle.unwrap_or(Spread::fixed(Self::SETTLE));
        Self {
            config: options.config(seed),
            settle: settle.draw(seed, "options.settle").0,
            bug: bug.map(Into::into),
            seed,
            ids: Vec::new(),
            by_id: BTreeMap::new(),
            disks: BTreeMap::new(),
            truth: Truth::default(),
            replicas: Replicas::default(),
            leases: Leases::default(),
            phase: Phase::default(),
            times: histogram(),
        }
    }

    fn start(&mut self, new: NewNode<Sync>) -> Sync {
        let NewNode { node, address, seeds, seed, lives, former } = new;
        let subnet = format!("sync{}", u8::from(self.config.leasing));
        let mut birth = Birth::new(&subnet, address.clone(), seed).seeds(seeds);
        let salt = format!("life {lives} of run {}", self.seed);
        birth.id = NodeId::derive(&address.to_string(), &birth.protocol.id(), &salt);
        if let Some(former) = &former {
            birth.id = former.id();
        }
        let id = birth.id;
        let index = node.0 as usize;
        if self.ids.len() <= index {
            self.ids.resize(index + 1, id);
        }
        self.ids[index] = id;
        self.by_id.insert(id, node);
        let mut sync = Sync::new(birth, tampers::config(self.bug.as_deref(), &self.config));
        match former {
            Some(mut former) => {
                self.disks.entry(node).or_default().write(&mut former);
                self.remember(node, &mut sync);
            }
            None if lives > 0 => {
                self.disks.remove(&node);
                self.truth.forget(node);
                self.replicas.clear(node);
                self.leases.clear(node);
            }
            None => {}
        }
        sync.keep_changes();
        sync
    }

    fn bug(&mut self, node: NodeIndex) -> Option<Boxed> {
        tampers::bug(self.bug.as_deref()?, node)
    }

    fn misdeed(&mut self, _: &str, _: NodeIndex) -> Option<Boxed> {
        None
    }

    fn begin(&mut self, world: &World<Sync>) {
        self.phase = Phase {
            since: world.sim.elapsed_micros(),
            bytes_before: world.sim.counts().bytes,
            repaired_before: repaired(world),
            ..Phase::default()
        };
    }

    fn next_act(
        &mut self,
        workload: &Workload,
        from: u64,
        until: u64,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<u64> {
        let (least, most) = (workload.every.least().0.max(1_000), workload.every.most().0);
        let at = from + rng.random_range(least..=most.max(least));
        (at <= until).then_some(at)
    }

    fn act(&mut self, world: &mut World<Sync>, workload: &Workload, rng: &mut Xoshiro256PlusPlus) {
        let Self { by_id, config, .. } = self;
        let now = world.sim.now();
        let owner_of = |sync: &Sync, key: &[u8]| {
            let meta = sync.entry(key)?.meta;
            let is_closed = config.leasing && meta.lease_end.is_some_and(|end| end > now);
            is_closed.then(|| by_id.get(&meta.owner.node_id()?).copied()).flatten()
        };
        let Some(plan) = workload.plan(world, rng, owner_of) else { return };
        let (node, key) = (plan.node, plan.key);
        let record = world.machine(node).and_then(|sync| sync.record(Truth::name(key)));
        let record = record.as_deref().and_then(Record::read);
        // Nobody is told of deletions of what they did not hold.
        let over = record.and_then(|record| self.truth.identify(key, &record));
        let over = over.or(self.replicas.held(node, key).last);
        match plan.carry_out(world, self.truth.next(), self.lease()) {
            Some(Ok(())) => {
                self.phase.acknowledged += 1;
                let record = world.machine(node).and_then(|sync| sync.record(Truth::name(key)));
                if let Some(record) = record.as_deref().and_then(Record::read) {
                    self.truth.note(key, world.sim.elapsed_micros(), node, &record, over);
                }
            }
            Some(Err(WriteError::Leased { .. })) => self.phase.refused += 1,
            _ => self.phase.failed += 1,
        }
    }

    fn heard(&mut self, world: &World<Sync>, node: NodeIndex, event: SyncEvent) -> Verdict {
        if world.is_byzantine(node) {
            return Ok(());
        }
        let name = match &event {
            SyncEvent::Update { key, meta, .. } => {
                self.check_time(world, node, meta)?;
                key
            }
            SyncEvent::Delete { key, .. } => key,
            _ => return Ok(()),
        };
        match Truth::key(name) {
            Some(key) => self.look_up(world, node, key),
            None => {
                let seen = format!("it holds {name:?}, which nobody has written");
                Err(("only what was written is held", Broken::at(node, seen)))
            }
        }
    }

    fn check(&mut self, world: &World<Sync>) -> Verdict {
        let now = world.sim.elapsed_micros();
        let are_alike = verdict::share_alike(world, &self.replicas) >= 1.0;
        self.phase.alike_since =
            self.phase.alike_since.filter(|_| are_alike).or(are_alike.then_some(now));
        if !self.config.leasing {
            return Ok(());
        }
        let checked = self.leases.check(world, self.settle);
        checked.map_err(|broken| ("a lease has one holder", broken))
    }

    fn measure(&mut self, world: &World<Sync>) -> BTreeMap<&'static str, f64> {
        let verdict = verdict::judge(world, &mut self.truth, &self.replicas);
        let phase = &self.phase;
        let mut figures = BTreeMap::from([
            ("acked", phase.acknowledged as f64),
            ("refused", phase.refused as f64),
            ("failed", phase.failed as f64),
            ("agree", verdict.agree),
            ("keys", verdict.keys as f64),
            ("resurrected", verdict.resurrected as f64),
            ("reverted", verdict.reverted as f64),
            ("lost", verdict.lost as f64),
            ("conflicts", verdict.conflicts as f64),
            ("conflict_s", verdict.conflict_s),
            ("untold", verdict.untold as f64),
            ("repaired", repaired(world).saturating_sub(phase.repaired_before) as f64),
        ]);
        if let Some(since) = phase.alike_since.filter(|_| verdict.agree >= 1.0) {
            figures.insert("agreed_s", since.saturating_sub(phase.since) as f64 / 1e6);
        }
        if phase.acknowledged > 0 {
            let bytes = world.sim.counts().bytes - phase.bytes_before;
            figures.insert("bytes", bytes as f64 / phase.acknowledged as f64);
        }
        if !phase.times.is_empty() {
            let millis = |micros: u64| micros as f64 / 1e3;
            figures.insert("p50_ms", millis(phase.times.value_at_quantile(0.5)));
            figures.insert("p99_ms", millis(phase.times.value_at_quantile(0.99)));
            figures.insert("max_ms", millis(phase.times.max()));
        }
        figures
    }

    fn sample(&mut self, world: &World<Sync>) -> Vec<(&'static str, &'static str, f64)> {
        vec![("replicas alike", "", verdict::share_alike(world, &self.replicas))]
    }

    fn distributions(&self) -> Vec<Distribution> {
        let times = distribution("from a write to another node", "ms", &self.times, 1e3);
        vec![times].into_iter().filter(|it| it.count > 0).collect()
    }

    fn position(&self, node: NodeIndex) -> f64 {
        let bytes = self.ids.get(node.0 as usize).map_or([0; NodeId::BYTES], |id| id.to_bytes());
        let first = bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        first as f64 / 2_f64.powi(64)
    }
}

/// Records that came from comparing, at the nodes that are up.
fn repaired(world: &World<Sync>) -> u64 {
    let nodes = world.sim.nodes().filter_map(|node| world.machine(node));
    nodes.map(|sync| sync.status(world.sim.now()).counts.repaired).sum()
}
