//! The mesh under test: who hears what.

mod real;
mod said;
mod tampers;

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::{NodeId, Protocol};
use rs2p_mesh::{Mesh, MeshConfig, MeshEvent};
use rs2p_simnet::{
    Broken, Distribution, NewNode, NodeIndex, Span, Spread, Tamper, Trial, Vocabulary, World,
};
use serde::Deserialize;

pub(crate) use said::{distribution, histogram};

use said::Said;

type Boxed = Box<dyn Tamper<Mesh> + Send>;
type Verdict = Result<(), (&'static str, Broken)>;

/// The mesh under test.
#[derive(Debug)]
pub struct MeshLayer {
    options: Options,
    bug: Option<String>,
    protocol: Protocol,
    seed: u64,
    ids: Vec<NodeId>,
    said: Said,
    /// Which nodes are looked at next.
    turn: usize,
    /// What had been passed over and counted before this phase.
    before: Passed,
    /// Broadcasts that could not be sent in this phase.
    unsent: u64,
    /// Messages heard in this phase that a byzantine node has altered.
    forged: u64,
}

/// Options of the nodes; what is left out is as in [`MeshConfig::default`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    max_outgoing: Option<usize>,
    max_peers: Option<usize>,
    max_addresses: Option<usize>,
    max_seen: Option<usize>,
}

/// What users do: they broadcast.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// How long from one broadcast to the next, of whomever.
    every: Spread<Span>,
    /// Bytes of text in each.
    #[serde(default = "short_text")]
    size: Spread<u64>,
    /// How long before the end of the phase the last one comes.
    #[serde(default = "ten_seconds")]
    quiet: Spread<Span>,
}

/// What has passed through the nodes so far: as the engine counts it, and as the nodes do that are
/// up, by the counters that a real node has.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    duplicates: u64,
    relayed: u64,
    expired: u64,
}

impl Passed {
    fn of(world: &World<Mesh>) -> Self {
        let duplicates = world.sim.counts().duplicates;
        let mut passed = Self { duplicates, ..Self::default() };
        for mesh in world.sim.nodes().filter_map(|node| world.machine(node)) {
            let counts = mesh.status(world.sim.now()).counts;
            passed.duplicates += counts.duplicates;
            passed.relayed += counts.relayed;
            passed.expired += counts.expired;
        }
        passed
    }
}

fn short_text() -> Spread<u64> {
    Spread::fixed(32)
}

fn ten_seconds() -> Spread<Span> {
    Spread::fixed(Span::from_secs(10))
}

impl MeshLayer {
    /// Nodes looked at in each check.
    const LOOKED_AT: usize = 256;

    fn config(&self, new: &NewNode<Mesh>) -> MeshConfig {
        let usual = MeshConfig::default();
        let is_endless = self.bug.as_deref() == Some("endless-memory");
        MeshConfig {
            seeds: new.seeds.clone(),
            max_outgoing: self.options.max_outgoing.unwrap_or(usual.max_outgoing),
            max_peers: self.options.max_peers.unwrap_or(usual.max_peers),
            max_addresses: self.options.max_addresses.unwrap_or(usual.max_addresses),
            max_seen: if is_endless { usize::MAX } else { self.max_seen() },
            ..usual
        }
    }

    fn max_seen(&self) -> usize {
        self.options.max_seen.unwrap_or(MeshConfig::default().max_seen)
    }

    /// What a node takes for true of its links must be true.
    fn look_at(&self, world: &World<Mesh>, node: NodeIndex) -> Verdict {
        let Some(mesh) = world.machine(node) else { return Ok(()) };
        let links = world.sim.links_of(node);
        if let Some(peer) = mesh.peers().find(|peer| !links.contains(&peer.link)) {
            let seen = format!("it takes {} for a peer, and there is no link", peer.id);
            return Err(("peers have links", Broken::at(node, seen)));
        }
        let (seen, limit) = (mesh.seen_count(), self.max_seen());
        if seen > limit {
            let seen = format!("it remembers {seen} broadcasts, the limit is {limit}");
            return Err(("memory is bounded", Broken::at(node, seen)));
        }
        Ok(())
    }
}

impl Trial for MeshLayer {
    type Machine = Mesh;
    type Options = Options;
    type Workload = Workload;

    const NAME: &'static str = "mesh";
    const VOCABULARY: Vocabulary = Vocabulary {
        figures: &[
            ("sent", "broadcasts sent"),
            ("unsent", "broadcasts that their sender could not send"),
            (
                "heard",
                "share of those who should have heard a broadcast that did: who counted all the \
                 while and could be reached over open links when it was sent",
            ),
            ("heard_by_all", "share of the broadcasts that all of those heard"),
            ("p50_ms", "median of the time from sending to hearing, in milliseconds"),
            ("p99_ms", "99th percentile of that time"),
            ("max_ms", "longest of these times"),
            ("hops", "mean number of links that a broadcast came over"),
            ("hops_max", "largest number of links that a broadcast came over"),
            ("copies", "mean number of copies of a broadcast that reach a node"),
            ("relayed", "broadcasts passed on, by what nodes that are up count themselves"),
            ("expired", "broadcasts dropped for their age, likewise"),
            ("forged", "messages heard that a byzantine node has altered"),
        ],
        misdeeds: &[
            ("drop", "passes no broadcast on"),
            ("delay", "passes every broadcast on five seconds late"),
            ("corrupt", "alters the text of what it passes on"),
            ("lie", "lists addresses at which nobody is"),
        ],
    };
    const BUGS: &'static [(&'static str, &'static str)] = &[
        ("forgetful-relay", "one copy in three of a broadcast is not passed on"),
        ("endless-memory", "broadcasts seen are remembered without a bound"),
        ("lost-close", "one in three closed links is not noticed"),
        ("lying-list", "one peers list in ten names wrong addresses"),
    ];

    fn new(options: &Options, seed: u64, bug: Option<&str>) -> Self {
        Self {
            options: options.clone(),
            bug: bug.map(Into::into),
            protocol: Protocol::new("mesh", "Plaintext"),
            seed,
            ids: Vec::new(),
            said: Said::default(),
            turn: 0,
            before: Passed::default(),
            unsent: 0,
            forged: 0,
        }
    }

    fn start(&mut self, new: NewNode<Mesh>) -> Mesh {
        let id = new.former.as_ref().map_or_else(
            || {
                let salt = format!("life {} of run {}", new.lives, self.seed);
                NodeId::derive(&new.address.to_string(), &self.protocol.id(), &salt)
            },
            Mesh::id,
        );
        let config = self.config(&new);
        let index = new.node.0 as usize;
        if self.ids.len() <= index {
            self.ids.resize(index + 1, id);
        }
        self.ids[index] = id;
        Mesh::new(id, &self.protocol, Some(new.address), config, new.seed)
    }

    fn bug(&mut self, node: NodeIndex) -> Option<Boxed> {
        tampers::bug(self.bug.as_deref()?, self.seed, node)
    }

    fn misdeed(&mut self, does: &str, node: NodeIndex) -> Option<Boxed> {
        tampers::misdeed(does, self.seed, node)
    }

    fn begin(&mut self, world: &World<Mesh>) {
        self.said.begin();
        self.before = Passed::of(world);
        (self.unsent, self.forged) = (0, 0);
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
        (at + workload.quiet.least().0 <= until).then_some(at)
    }

    fn act(&mut self, world: &mut World<Mesh>, workload: &Workload, rng: &mut Xoshiro256PlusPlus) {
        let nodes = world.sim.nodes().len() as u32;
        let mut tries = (0..1_000).map(|_| NodeIndex(rng.random_range(0..nodes.max(1))));
        let Some(from) =
            tries.find(|node| world.counts(*node) && world.is_steady_since(*node, u64::MAX))
        else {
            return;
        };
        let size = rng.random_range(workload.size.least()..=workload.size.most());
        let text = "x".repeat(usize::try_from(size).unwrap_or(usize::MAX).min(1 << 20));
        let sent = world.call(from, |mesh, now| mesh.broadcast(now, [text.into()]));
        match sent {
            Some(Ok(receipt)) => self.said.note(world, from, receipt.id),
            _ => self.unsent += 1,
        }
    }

    fn heard(&mut self, world: &World<Mesh>, node: NodeIndex, event: MeshEvent) -> Verdict {
        match event {
            MeshEvent::Message(message) => match self.said.heard(world, node, &message) {
                Some(verdict) => verdict.map_err(|broken| ("each broadcast is heard once", broken)),
                None if self.said.may_be_forged(world) => {
                    self.forged += 1;
                    Ok(())
                }
                None => {
                    let seen = format!("it heard {}, which nobody has said", message.id());
                    Err(("only what was said is heard", Broken::at(node, seen)))
                }
            },
            MeshEvent::PeerFound { id, address } if !self.said.may_be_forged(world) => {
                match world.sim.at_address(&address) {
                    Some(_) => Ok(()),
                    None => {
                        let seen =
                            format!("it was told that {id} is at {address}: nobody ever was");
                        Err(("peers lists are true", Broken::at(node, seen)))
                    }
                }
            }
            _ => Ok(()),
        }
    }

    fn check(&mut self, world: &World<Mesh>) -> Verdict {
        let nodes = world.sim.nodes().len();
        let looked_at = nodes.min(Self::LOOKED_AT);
        for step in 0..looked_at {
            let node = NodeIndex(((self.turn + step) % nodes) as u32);
            if !world.is_byzantine(node) {
                self.look_at(world, node)?;
            }
        }
        self.turn = (self.turn + looked_at) % nodes.max(1);
        Ok(())
    }

    fn measure(&mut self, world: &World<Mesh>) -> BTreeMap<&'static str, f64> {
        let mut figures = self.said.measure(world);
        let heard = figures.remove("events").unwrap_or_default();
        let passed = Passed::of(world);
        let since = |now: u64, before: u64| now.saturating_sub(before) as f64;
        if heard > 0.0 {
            let duplicates = since(passed.duplicates, self.before.duplicates);
            figures.insert("copies", (heard + duplicates) / heard);
        }
        figures.insert("relayed", since(passed.relayed, self.before.relayed));
        figures.insert("expired", since(passed.expired, self.before.expired));
        figures.insert("unsent", self.unsent as f64);
        figures.insert("forged", self.forged as f64);
        figures
    }

    fn sample(&mut self, world: &World<Mesh>) -> Vec<(&'static str, &'static str, f64)> {
        self.said.sample(world).map(|share| ("heard", "", share)).into_iter().collect()
    }

    fn distributions(&self) -> Vec<Distribution> {
        self.said.distributions()
    }

    fn position(&self, node: NodeIndex) -> f64 {
        let bytes = self.ids.get(node.0 as usize).map_or([0; NodeId::BYTES], |id| id.to_bytes());
        let first = bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        first as f64 / 2_f64.powi(64)
    }
}
