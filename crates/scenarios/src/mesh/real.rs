//! Mesh nodes as processes: who says what, and who hears it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use hdrhistogram::Histogram;
use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_simnet::{Distribution, Trial as _};
use serde_json::Value;

use super::said::{distribution, histogram};
use super::{MeshLayer, Options, Workload};
use crate::real::{Fleet, RealLayer, Times, Users};

impl RealLayer for MeshLayer {
    const COMMAND: &'static str = "mesh";
    const TIMES: Times = &[("every", None), ("quiet", Some("10 s"))];
    const MEASURED: &'static [&'static str] =
        &["sent", "unsent", "heard", "heard_by_all", "p50_ms", "p99_ms", "max_ms"];
    type Users = MeshUsers;
}

/// The users of mesh nodes.
pub(crate) struct MeshUsers {
    layer: MeshLayer,
    broadcasts: Vec<Broadcast>,
    by_text: BTreeMap<String, usize>,
    /// The first of this phase.
    first: usize,
    phase_times: Histogram<u64>,
    times: Histogram<u64>,
    unsent: u64,
    /// Duplicates that nodes had counted at the end of the phase before.
    duplicates: u64,
}

struct Broadcast {
    at: u64,
    from: usize,
    /// Who could be reached when it was sent.
    reachable: Vec<bool>,
    /// Who has heard it.
    heard: BTreeSet<usize>,
}

impl Users<Workload> for MeshUsers {
    fn new(seed: u64) -> Self {
        Self {
            layer: MeshLayer::new(&Options::default(), seed, None),
            broadcasts: Vec::new(),
            by_text: BTreeMap::new(),
            first: 0,
            phase_times: histogram(),
            times: histogram(),
            unsent: 0,
            duplicates: 0,
        }
    }

    fn begin(&mut self) {
        self.first = self.broadcasts.len();
        self.phase_times.reset();
        self.unsent = 0;
    }

    fn next_act(
        &mut self,
        workload: &Workload,
        from: u64,
        until: u64,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<u64> {
        self.layer.next_act(workload, from, until, rng)
    }

    fn act(&mut self, fleet: &mut Fleet, workload: &Workload, rng: &mut Xoshiro256PlusPlus) {
        let nodes = u32::try_from(fleet.len()).unwrap_or(u32::MAX);
        // Drawn in the order in which the simulator draws, so that the same nodes speak.
        let mut tries = (0..1_000).map(|_| rng.random_range(0..nodes.max(1)) as usize);
        let Some(from) = tries.find(|node| fleet.is_steady_since(*node, u64::MAX)) else { return };
        let size = rng.random_range(workload.size.least()..=workload.size.most());
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(1 << 20);
        let text = format!("{:x<size$}", format!("{}-", self.broadcasts.len()));
        let roots = fleet.components();
        let reachable = roots.iter().map(|root| root.is_some() && *root == roots[from]).collect();
        let at = fleet.elapsed();
        if fleet.say(from, &format!("send {text}")) {
            self.by_text.insert(text, self.broadcasts.len());
            self.broadcasts.push(Broadcast { at, from, reachable, heard: BTreeSet::new() });
        } else {
            self.unsent += 1;
        }
    }

    fn heard(
        &mut self,
        fleet: &Fleet,
        node: usize,
        at: Instant,
        line: &Value,
    ) -> Result<(), (&'static str, String)> {
        let is_of_send =
            |line: &Value| line["command"].as_str().is_some_and(|it| it.starts_with("send"));
        if line.get("error").is_some() && is_of_send(line) {
            self.unsent += 1;
        }
        if line["event"] != "message" {
            return Ok(());
        }
        let text = line["packets"][0].as_str().unwrap_or_default();
        let Some(number) = self.by_text.get(text) else {
            let seen =
                format!("it heard {:.40}, which nobody has said", line["packets"].to_string());
            return Err(("only what was said is heard", seen));
        };
        let broadcast = &mut self.broadcasts[*number];
        let is_new = node != broadcast.from && broadcast.heard.insert(node);
        if !is_new && fleet.is_steady_since(node, broadcast.at) {
            let seen = format!("it heard broadcast {number} once more");
            return Err(("each broadcast is heard once", seen));
        }
        let took = fleet.micros(at).saturating_sub(broadcast.at);
        for times in [&mut self.phase_times, &mut self.times] {
            times.saturating_record(took);
        }
        Ok(())
    }

    fn measure(&mut self, fleet: &Fleet) -> BTreeMap<&'static str, f64> {
        let (mut should, mut did, mut by_all) = (0_u64, 0_u64, 0_u64);
        let broadcasts = &self.broadcasts[self.first..];
        for broadcast in broadcasts {
            let audience = (0..fleet.len()).filter(|node| {
                *node != broadcast.from
                    && broadcast.reachable.get(*node).is_some_and(|is| *is)
                    && fleet.is_steady_since(*node, broadcast.at)
            });
            let (mut one_should, mut one_did) = (0, 0);
            for node in audience {
                one_should += 1;
                one_did += u64::from(broadcast.heard.contains(&node));
            }
            should += one_should;
            did += one_did;
            by_all += u64::from(one_should == one_did);
        }
        let mut figures = BTreeMap::new();
        let sent = broadcasts.len() as f64;
        figures.insert("sent", sent);
        figures.insert("unsent", self.unsent as f64);
        if should > 0 {
            figures.insert("heard", did as f64 / should as f64);
            figures.insert("heard_by_all", by_all as f64 / sent);
        }
        if !self.phase_times.is_empty() {
            let millis = |micros: u64| micros as f64 / 1e3;
            let times = &self.phase_times;
            figures.insert("p50_ms", millis(times.value_at_quantile(0.5)));
            figures.insert("p99_ms", millis(times.value_at_quantile(0.99)));
            figures.insert("max_ms", millis(times.max()));
        }
        figures
    }

    fn counted(&mut self, fleet: &Fleet) -> BTreeMap<&'static str, f64> {
        // Most are told by their first bytes; the others only once they have been read.
        let duplicates = fleet.count("traffic", "duplicates") + fleet.count("counts", "duplicates");
        let new = duplicates.saturating_sub(self.duplicates) as f64;
        self.duplicates = duplicates;
        let heard = self.phase_times.len() as f64;
        let copies = (heard > 0.0).then_some(("copies", (heard + new) / heard));
        copies.into_iter().collect()
    }

    fn distributions(&self) -> Vec<Distribution> {
        let times = distribution("from sending to hearing", "ms", &self.times, 1e3);
        vec![times].into_iter().filter(|it| it.count > 0).collect()
    }
}
