//! A simulated network of nodes.

use std::collections::BTreeMap;

use bytes::Bytes;
use rs2p_base::RequestId;
use rs2p_bytestag::{
    Copies, Dht, DhtConfig, DhtEvent, Found, GetError, Got, Key, PutError, ValueId,
};
use rs2p_simnet::{Fidelity, Network, NodeIndex, Sim};

pub(crate) const SECOND: u64 = 1_000_000;

/// A network, and what its nodes have told and nobody has asked for yet.
pub(crate) struct Net {
    pub(crate) sim: Sim<Dht>,
    told: BTreeMap<(NodeIndex, RequestId), DhtEvent>,
}

impl Net {
    pub(crate) fn new(seed: u64, network: Network) -> Self {
        Self { sim: Sim::new(seed, network, Fidelity::Messages), told: BTreeMap::new() }
    }

    /// So many nodes, which have come one after the other by way of another.
    pub(crate) fn settled(nodes: usize, seed: u64, config: &DhtConfig) -> Self {
        Self::settled_within(nodes, seed, config, Network::default())
    }

    pub(crate) fn settled_within(
        nodes: usize,
        seed: u64,
        config: &DhtConfig,
        network: Network,
    ) -> Self {
        let mut net = Self::new(seed, network);
        for _ in 0..nodes {
            net.add(config);
            net.run_for(SECOND / 10);
        }
        net.run_for(20 * SECOND);
        net
    }

    pub(crate) fn add(&mut self, config: &DhtConfig) -> NodeIndex {
        let known = self.sim.nodes().last().map(NodeIndex::address_v4);
        let node = self.sim.join(|_, seed, _| {
            let seeds = known.into_iter().collect();
            let config = DhtConfig { seeds, ..config.clone() };
            let id = Key::try_from(&sha1(seed)[..]).unwrap();
            Dht::new(id, config, seed)
        });
        self.sim.call(node, |dht, now| dht.start(now));
        node
    }

    pub(crate) fn run_for(&mut self, micros: u64) {
        let until = self.sim.elapsed_micros() + micros;
        while let Some((node, event)) = self.sim.next_event(until) {
            let request = match &event {
                DhtEvent::Pinged { request, .. }
                | DhtEvent::Found { request, .. }
                | DhtEvent::Got { request, .. } => Some(*request),
                DhtEvent::Joined { request, .. } | DhtEvent::Published { request, .. } => *request,
                _ => None,
            };
            if let Some(request) = request {
                self.told.insert((node, request), event);
            }
        }
    }

    pub(crate) fn wait(&mut self, node: NodeIndex, request: RequestId) -> DhtEvent {
        for _ in 0..30_000 {
            if let Some(event) = self.told.remove(&(node, request)) {
                return event;
            }
            self.run_for(SECOND / 100);
        }
        panic!("an operation that never ends");
    }

    pub(crate) fn put(
        &mut self,
        node: NodeIndex,
        value: impl Into<Bytes>,
    ) -> Result<(ValueId, Copies), PutError> {
        let value = value.into();
        let (request, id) = self.sim.call(node, |dht, now| dht.put(now, None, value)).unwrap()?;
        match self.wait(node, request) {
            DhtEvent::Published { result, .. } => result.map(|copies| (id, copies)),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn get(&mut self, node: NodeIndex, id: ValueId) -> Result<Got, GetError> {
        let get = |dht: &mut Dht, now| dht.get(now, id.key, Some(id.index), []);
        let request = self.sim.call(node, get).unwrap();
        match self.wait(node, request) {
            DhtEvent::Got { result, .. } => result,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn find(&mut self, node: NodeIndex, key: Key) -> Found {
        let request = self.sim.call(node, |dht, now| dht.find(now, key)).unwrap();
        match self.wait(node, request) {
            DhtEvent::Found { found, .. } => found,
            other => panic!("{other:?}"),
        }
    }

    /// The ids of all nodes that are up, nearest to a key first.
    pub(crate) fn nearest(&self, key: &Key) -> Vec<Key> {
        let up = self.sim.nodes().filter(|node| self.sim.is_up(*node));
        let mut ids: Vec<_> = up.map(|node| self.sim.machine(node).unwrap().id()).collect();
        ids.sort_unstable_by_key(|id| key.distance(id));
        ids
    }

    /// How many nodes have a value.
    pub(crate) fn copies(&self, id: &ValueId) -> usize {
        let up = self.sim.nodes().filter(|node| self.sim.is_up(*node));
        up.filter(|node| self.sim.machine(*node).unwrap().has(id)).count()
    }
}

pub(crate) fn sha1(seed: u64) -> [u8; 20] {
    *ValueId::of(&seed.to_be_bytes()).key.as_bytes()
}
