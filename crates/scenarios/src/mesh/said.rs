//! What was said, who should have heard it, and who did.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use rs2p_mesh::{Mesh, Received};
use rs2p_simnet::{Broken, Distribution, NodeIndex, NodeSet, World};
use rs2p_wire::MessageId;

/// All broadcasts of a run.
#[derive(Debug)]
pub(super) struct Said {
    broadcasts: Vec<Broadcast>,
    by_id: BTreeMap<MessageId, usize>,
    /// The first of this phase.
    first: usize,
    /// The first that has not been shown yet.
    shown: usize,
    /// How long it took until a broadcast was heard, in microseconds: in this phase, in all.
    phase_times: Histogram<u64>,
    times: Histogram<u64>,
    phase_hops: Histogram<u64>,
    hops: Histogram<u64>,
    /// Whether somebody misbehaved at any time: what it has altered may still come.
    byzantine: bool,
}

#[derive(Debug)]
struct Broadcast {
    at: u64,
    from: NodeIndex,
    /// Who could be reached when it was sent.
    reachable: NodeSet,
    /// By node: how many links it came over; 0 for those who have not heard it.
    hops: Vec<u8>,
}

impl Default for Said {
    fn default() -> Self {
        Self {
            broadcasts: Vec::new(),
            by_id: BTreeMap::new(),
            first: 0,
            shown: 0,
            phase_times: histogram(),
            times: histogram(),
            phase_hops: histogram(),
            hops: histogram(),
            byzantine: false,
        }
    }
}

/// Of microseconds up to an hour, or of links, told apart to three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(3_600_000_000, 3)
        .unwrap_or_else(|_| unreachable!("three digits are few enough"))
}

impl Said {
    /// Old enough for everyone to have heard it, in microseconds.
    const SETTLED: u64 = 2_000_000;

    pub(super) fn begin(&mut self) {
        self.first = self.broadcasts.len();
        self.phase_times.reset();
        self.phase_hops.reset();
    }

    pub(super) fn note(&mut self, world: &World<Mesh>, from: NodeIndex, id: MessageId) {
        let roots = world.sim.components();
        let root = roots[from.0 as usize];
        let is_reachable = |node: &NodeIndex| roots[node.0 as usize] == root;
        let reachable = world.sim.nodes().filter(is_reachable).collect();
        let at = world.sim.elapsed_micros();
        let hops = vec![0; world.sim.nodes().len()];
        self.by_id.insert(id, self.broadcasts.len());
        self.broadcasts.push(Broadcast { at, from, reachable, hops });
    }

    /// Nothing for what nobody has said.
    pub(super) fn heard(
        &mut self,
        world: &World<Mesh>,
        node: NodeIndex,
        message: &Received,
    ) -> Option<Result<(), Broken>> {
        let broadcast = &mut self.broadcasts[*self.by_id.get(&message.id())?];
        let index = node.0 as usize;
        if broadcast.hops.len() <= index {
            broadcast.hops.resize(index + 1, 0);
        }
        let is_back = broadcast.from == node || broadcast.hops[index] > 0;
        if is_back && world.is_steady_since(node, broadcast.at) {
            let seen = format!("it heard {} once more", message.id());
            return Some(Err(Broken::at(node, seen)));
        }
        let before = world.sim.peer_of(message.link());
        let before = before.map_or(0, |before| broadcast.hops[before.0 as usize]);
        broadcast.hops[index] = before.saturating_add(1);
        let took = world.sim.elapsed_micros() - broadcast.at;
        for times in [&mut self.phase_times, &mut self.times] {
            times.saturating_record(took);
        }
        for hops in [&mut self.phase_hops, &mut self.hops] {
            hops.saturating_record(before.saturating_add(1).into());
        }
        Some(Ok(()))
    }

    /// Whether what was said may come in another wording.
    pub(super) fn may_be_forged(&mut self, world: &World<Mesh>) -> bool {
        self.byzantine |= world.has_byzantine();
        self.byzantine
    }

    pub(super) fn measure(&mut self, world: &World<Mesh>) -> BTreeMap<&'static str, f64> {
        let mut figures = BTreeMap::new();
        let (mut should, mut did, mut by_all) = (0_u64, 0_u64, 0_u64);
        let broadcasts = &mut self.broadcasts[self.first..];
        for broadcast in &*broadcasts {
            let (one_should, one_did) = broadcast.heard(world);
            should += one_should;
            did += one_did;
            by_all += u64::from(one_should == one_did);
        }
        let sent = broadcasts.len();
        figures.insert("sent", sent as f64);
        figures.insert("events", self.phase_times.len() as f64);
        if should > 0 {
            figures.insert("heard", did as f64 / should as f64);
            figures.insert("heard_by_all", by_all as f64 / sent as f64);
        }
        if !self.phase_times.is_empty() {
            let millis = |micros: u64| micros as f64 / 1e3;
            let times = &self.phase_times;
            figures.insert("p50_ms", millis(times.value_at_quantile(0.5)));
            figures.insert("p99_ms", millis(times.value_at_quantile(0.99)));
            figures.insert("max_ms", millis(times.max()));
            figures.insert("hops", self.phase_hops.mean());
            figures.insert("hops_max", self.phase_hops.max() as f64);
        }
        figures
    }

    /// Which share has heard what was said since the last time, except for the newest.
    pub(super) fn sample(&mut self, world: &World<Mesh>) -> Option<f64> {
        let now = world.sim.elapsed_micros();
        let (mut should, mut did) = (0, 0);
        while let Some(broadcast) = self.broadcasts.get(self.shown)
            && broadcast.at + Self::SETTLED <= now
        {
            let (one_should, one_did) = broadcast.heard(world);
            should += one_should;
            did += one_did;
            self.shown += 1;
        }
        (should > 0).then(|| did as f64 / should as f64)
    }

    pub(super) fn distributions(&self) -> Vec<Distribution> {
        let times = distribution("from sending to hearing", "ms", &self.times, 1e3);
        let hops = distribution("links that a broadcast came over", "links", &self.hops, 1.0);
        vec![times, hops].into_iter().filter(|it| it.count > 0).collect()
    }
}

impl Broadcast {
    /// How many should have heard it by now, and how many of them did.
    fn heard(&self, world: &World<Mesh>) -> (u64, u64) {
        let (mut should, mut did) = (0, 0);
        for (node, hops) in (0..).map(NodeIndex).zip(&self.hops) {
            let is_audience = node != self.from
                && self.reachable.contains(node)
                && world.is_steady_since(node, self.at);
            should += u64::from(is_audience);
            did += u64::from(is_audience && *hops > 0);
        }
        (should, did)
    }
}

pub(crate) fn distribution(
    name: &str,
    unit: &str,
    from: &Histogram<u64>,
    per_unit: f64,
) -> Distribution {
    let count = from.len();
    let mut points = Vec::new();
    let mut so_far = 0;
    for step in from.iter_recorded() {
        so_far += step.count_since_last_iteration();
        points.push((step.value_iterated_to() as f64 / per_unit, so_far as f64 / count as f64));
    }
    Distribution { name: name.into(), unit: unit.into(), count, points }
}
