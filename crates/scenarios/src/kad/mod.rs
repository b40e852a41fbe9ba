//! The Kademlia DHT under test: whether lookups find the nodes that are really nearest, and values
//! are there for as long as they should be and no longer.

mod copies;
mod crowd;
mod datagram;
mod liar;
mod node;
mod options;
mod phase;
mod tampers;
mod truth;
mod users;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::RequestId;
use rs2p_bytestag::{DhtConfig, DhtEvent, Found, Key, ValueId};
use rs2p_simnet::{
    Broken, Distribution, NewNode, NodeIndex, Tamper, Trial, Vocabulary, World, stream,
};

use crate::mesh::{distribution, histogram};
use copies::Copies;
use crowd::Crowd;
use node::{Disk, Node};
use options::Options;
use phase::Phase;
use truth::Truth;
use users::{Deed, Workload};

type Boxed = Box<dyn Tamper<Node> + Send>;
type Verdict = Result<(), (&'static str, Broken)>;

/// The Kademlia DHT under test.
#[derive(Debug)]
pub struct KadLayer {
    config: DhtConfig,
    bug: Option<String>,
    seed: u64,
    crowd: Crowd,
    truth: Truth,
    /// What users have begun, by node, life and request.
    open: BTreeMap<(NodeIndex, u64, RequestId), Open>,
    copies: Copies,
    phase: Phase,
    hops: Histogram<u64>,
    lookups: Histogram<u64>,
    gets: Histogram<u64>,
    puts: Histogram<u64>,
    /// Lookups and gets that have ended since the last sample, and those that gave what they must.
    sampled: (u64, u64),
}

/// What a user has begun.
#[derive(Clone, Copy, Debug)]
struct Open {
    begun: u64,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Find(Key),
    Get(ValueId),
    Put,
}

/// Nodes that a node knows which joins.
const KNOWN: usize = 3;

/// How long a node has to be there for lookups to have to find it, in microseconds.
const SETTLED: u64 = 60_000_000;

/// Nodes that a lookup must find.
const NEAREST: usize = 20;

const READ: &str = "a get gives the value that was asked for";
const EXPIRED: &str = "a value that is not published again expires";

impl KadLayer {
    fn on_found(
        &mut self,
        world: &World<Node>,
        (node, begun): (NodeIndex, u64),
        key: Key,
        found: &Found,
    ) {
        let at = begun.saturating_sub(SETTLED);
        let nearest = self.crowd.nearest(world, (&key, Some(node)), at, NEAREST);
        let told: Vec<_> = found.nodes.iter().map(|node| node.id).collect();
        let first = nearest.first().map(|id| key.distance(id));
        let is_found = first.is_none_or(|first| {
            let is_real = |id: &&Key| self.crowd.is_up(world, id);
            told.first().filter(is_real).is_some_and(|id| key.distance(id) <= first)
        });
        let hits = nearest.iter().filter(|id| told.contains(id)).count();
        let took = world.sim.elapsed_micros() - begun;
        self.phase.lookups += 1;
        self.phase.found += u64::from(is_found);
        self.phase.exact += u64::from(hits == nearest.len());
        self.phase.nearest += nearest.len() as u64;
        self.phase.told += hits as u64;
        self.phase.asked += found.asked as u64;
        self.phase.hops.saturating_record(found.hops.into());
        self.phase.lookup_times.saturating_record(took);
        self.hops.saturating_record(found.hops.into());
        self.lookups.saturating_record(took);
        self.sampled.0 += 1;
        self.sampled.1 += u64::from(is_found);
    }

    fn on_event(&mut self, world: &World<Node>, node: NodeIndex, event: &DhtEvent) -> Verdict {
        let now = world.sim.elapsed_micros();
        if let DhtEvent::Published { id, result: Ok(_), .. } = event {
            self.truth.acknowledge(id, node, now);
        }
        let request = match event {
            DhtEvent::Found { request, .. }
            | DhtEvent::Got { request, .. }
            | DhtEvent::Published { request: Some(request), .. } => *request,
            _ => return Ok(()),
        };
        let open = self.open.remove(&(node, world.sim.lives(node), request));
        let Some(Open { begun, what }) = open else { return Ok(()) };
        match (what, event) {
            (What::Find(key), DhtEvent::Found { found, .. }) => {
                self.on_found(world, (node, begun), key, found);
            }
            (What::Get(id), DhtEvent::Got { result, .. }) => {
                self.sampled.0 += 1;
                self.phase.gets += 1;
                if let Ok(got) = result {
                    if got.id != id || !id.fits(&got.value) {
                        let seen = format!("asked for {id}, it got {}", got.id);
                        return Err((READ, Broken::at(node, seen)));
                    }
                    self.sampled.1 += 1;
                    self.phase.got += 1;
                    self.phase.get_times.saturating_record(now - begun);
                    self.gets.saturating_record(now - begun);
                }
            }
            (What::Put, DhtEvent::Published { result, .. }) => {
                self.phase.puts += 1;
                if let Ok(copies) = result {
                    self.phase.put += 1;
                    self.phase.stored += (copies.stored + copies.had) as u64;
                    self.phase.put_times.saturating_record(now - begun);
                    self.puts.saturating_record(now - begun);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn begin_deed(
        &mut self,
        world: &mut World<Node>,
        workload: &Workload,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<()> {
        let begun = world.sim.elapsed_micros();
        let deed = workload.deed(self.seed, self.truth.len(), rng);
        let (node, request, what) = match deed {
            Deed::Find => {
                let key = Key::random(rng);
                let node = workload.somebody(world, rng, |_| true)?;
                let request = world.call(node, |it, now| Some(it.dht_mut()?.find(now, key)));
                (node, request??, What::Find(key))
            }
            Deed::Put(size) => {
                let node = workload.somebody(world, rng, |_| true)?;
                let value = self.truth.fresh(self.seed, size);
                let put = world.call(node, |it, now| it.dht_mut()?.put(now, None, value).ok());
                let (request, id) = put??;
                let own = world.machine(node).map(Node::id)?;
                self.truth.begin(id, (node, own), begun);
                (node, request, What::Put)
            }
            Deed::Get => {
                let standing = self.truth.standing(begun, self.config.expire);
                let ids: Vec<_> = standing.map(|value| value.id).collect();
                let id = *ids.get(rng.random_range(0..ids.len().max(1)))?;
                let lacks = |it: &Node| it.dht().is_some_and(|dht| !dht.has(&id));
                let node = workload.somebody(world, rng, lacks)?;
                let request = world
                    .call(node, |it, now| Some(it.dht_mut()?.get(now, id.key, Some(id.index), [])));
                (node, request??, What::Get(id))
            }
        };
        let life = world.sim.lives(node);
        self.open.insert((node, life, request), Open { begun, what });
        Some(())
    }

    /// Forgets what the users of nodes had begun that are gone.
    fn forget_gone(&mut self, world: &World<Node>) {
        self.open.retain(|(node, life, _), _| {
            world.sim.is_up(*node) && world.sim.lives(*node) == *life && !world.is_byzantine(*node)
        });
    }
}

impl Trial for KadLayer {
    type Machine = Node;
    type Options = Options;
    type Workload = Workload;

    const NAME: &'static str = "kad";
    const VOCABULARY: Vocabulary = Vocabulary { figures: phase::FIGURES, misdeeds: liar::MISDEEDS };
    const BUGS: &'static [(&'static str, &'static str)] = tampers::BUGS;

    fn new(options: &Options, seed: u64, bug: Option<&str>) -> Self {
        Self {
            config: options.config(seed),
            bug: bug.map(Into::into),
            seed,
            crowd: Crowd::default(),
            truth: Truth::default(),
            open: BTreeMap::new(),
            copies: Copies::default(),
            phase: Phase::new(0, 0),
            hops: histogram(),
            lookups: histogram(),
            gets: histogram(),
            puts: histogram(),
            sampled: (0, 0),
        }
    }

    fn start(&mut self, new: NewNode<Node>) -> Node {
        let NewNode { node, seed, lives, former, .. } = new;
        let place = u64::from(node.0) << 32 | lives;
        let (id, disk) = match former {
            Some(former) => (former.id(), former.into_disk()),
            None => (Key::random(&mut stream(self.seed, "id", place)), Disk::default()),
        };
        let known = self.crowd.some(&mut stream(self.seed, "knows", place), node, KNOWN);
        self.crowd.started(node, id, lives + 1);
        let seeds = known.into_iter().map(NodeIndex::address_v4).collect();
        Node::new(id, DhtConfig { seeds, ..self.config.clone() }, seed, disk)
    }

    fn bug(&mut self, _: NodeIndex) -> Option<Boxed> {
        tampers::bug(self.bug.as_deref()?)
    }

    fn misdeed(&mut self, does: &str, node: NodeIndex) -> Option<Boxed> {
        liar::misdeed(does, self.seed, node)
    }

    fn begin(&mut self, world: &World<Node>) {
        self.crowd.look(world);
        self.phase = Phase::new(world.sim.elapsed_micros(), world.sim.counts().datagrams);
        self.phase.watch(world, self.seed);
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
        // Where nobody can do it, nothing is done.
        let _ = self.begin_deed(world, workload, rng);
    }

    fn heard(&mut self, world: &World<Node>, node: NodeIndex, event: DhtEvent) -> Verdict {
        if world.is_byzantine(node) { Ok(()) } else { self.on_event(world, node, &event) }
    }

    fn check(&mut self, world: &World<Node>) -> Verdict {
        self.crowd.look(world);
        self.forget_gone(world);
        if self.truth.len() == 0 {
            return Ok(());
        }
        self.truth.look(world);
        self.copies = copies::count(world, &self.truth, self.config.expire);
        if let Some((node, id)) = self.copies.stale {
            return Err((EXPIRED, Broken::at(node, format!("it still has {id}"))));
        }
        let wanted = self.config.copies.min(self.crowd.len());
        self.phase.on_copies(world.sim.elapsed_micros(), self.copies.least >= wanted);
        Ok(())
    }

    fn measure(&mut self, world: &World<Node>) -> BTreeMap<&'static str, f64> {
        let mut figures = self.phase.measure(world, &self.crowd);
        let copies = &self.copies;
        figures.insert("values", copies.standing as f64);
        figures.insert("expired", copies.expired as f64);
        figures.insert("lost", copies.lost as f64);
        if copies.standing > 0 {
            figures.insert("copies", copies.mean);
            figures.insert("copies_min", copies.least as f64);
            let at = world.sim.elapsed_micros().saturating_sub(SETTLED);
            let (all, wanted) = ((&self.truth, &self.crowd), self.config.copies);
            let placed = copies::placed(world, all, (self.config.expire, at), wanted);
            figures.extend(placed.map(|placed| ("placed", placed)));
        }
        figures
    }

    fn sample(&mut self, world: &World<Node>) -> Vec<(&'static str, &'static str, f64)> {
        let (ended, ok) = std::mem::take(&mut self.sampled);
        let mut values = vec![("nodes that are up", "", self.crowd.len() as f64)];
        if ended > 0 {
            values.push(("lookups and gets that succeed", "", ok as f64 / ended as f64));
        }
        if self.copies.standing > 0 {
            values.push(("copies of a value", "", self.copies.mean));
            values.push(("copies of the value that has fewest", "", self.copies.least as f64));
        }
        values.extend(
            self.phase.dead(world, &self.crowd).map(|it| ("dead nodes in a table", "", it)),
        );
        values
    }

    fn distributions(&self) -> Vec<Distribution> {
        let all = vec![
            distribution("nodes on the way of a lookup", "nodes", &self.hops, 1.0),
            distribution("time of a lookup", "ms", &self.lookups, 1e3),
            distribution("time of a get", "ms", &self.gets, 1e3),
            distribution("time of a put", "ms", &self.puts, 1e3),
        ];
        all.into_iter().filter(|it| it.count > 0).collect()
    }

    fn position(&self, node: NodeIndex) -> f64 {
        let id = self.crowd.id(node).map_or([0; 20], |id| *id.as_bytes());
        let first = id.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        first as f64 / 2_f64.powi(64)
    }
}
