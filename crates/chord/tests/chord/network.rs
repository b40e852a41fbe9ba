//! A simulated network of DHT nodes, and what one who sees everything makes of it.

use std::collections::BTreeMap;

use rs2p_base::{NodeId, RequestId, Time};
use rs2p_chord::{Chord, ChordConfig, ChordEvent, ReadError, Record, Table, WriteError};
use rs2p_mesh::Birth;
use rs2p_simnet::{Fidelity, Network, NodeIndex, Sim};
use rs2p_wire::Value;

/// A network, and the ends of what its users have begun.
pub(crate) struct Net {
    pub(crate) sim: Sim<Chord>,
    reads: BTreeMap<(NodeIndex, RequestId), Result<Option<Value>, ReadError>>,
    writes: BTreeMap<(NodeIndex, RequestId), Result<Option<Value>, WriteError>>,
    left: BTreeMap<(NodeIndex, RequestId), usize>,
}

pub(crate) const SECOND: u64 = 1_000_000;

impl Net {
    /// So many members, which have come one after the other, and have had time to settle.
    pub(crate) fn settled(nodes: usize, seed: u64, config: &ChordConfig) -> Self {
        let mut net = Self::new(seed);
        for _ in 0..nodes {
            net.join(config);
            net.run_for(SECOND / 20);
        }
        net.wait_for_ring();
        net.run_for(10 * SECOND);
        net
    }

    pub(crate) fn new(seed: u64) -> Self {
        Self::within(seed, Network::default())
    }

    pub(crate) fn within(seed: u64, network: Network) -> Self {
        let sim = Sim::new(seed, network, Fidelity::Messages);
        Self { sim, reads: BTreeMap::new(), writes: BTreeMap::new(), left: BTreeMap::new() }
    }

    pub(crate) fn join(&mut self, config: &ChordConfig) -> NodeIndex {
        self.sim.join(|address, seed, known| {
            Chord::new(Birth::new("chord", address, seed).seeds(known), config.clone())
        })
    }

    pub(crate) fn run_for(&mut self, micros: u64) {
        let until = self.sim.elapsed_micros() + micros;
        while let Some((node, event)) = self.sim.next_event(until) {
            match event {
                ChordEvent::Read { request, result } => {
                    self.reads.insert((node, request), result);
                }
                ChordEvent::Written { request, result } => {
                    self.writes.insert((node, request), result);
                }
                ChordEvent::Left { request: Some(request), lost } => {
                    self.left.insert((node, request), lost);
                }
                _ => {}
            }
        }
    }

    /// The ids of the members, in the order of the ring.
    pub(crate) fn members(&self) -> Vec<(NodeId, NodeIndex)> {
        let nodes = self.sim.nodes().filter(|node| self.sim.is_up(*node));
        let members = nodes.filter_map(|node| {
            let chord = self.sim.machine(node)?;
            chord.ring().map(|ring| (ring.me(), node))
        });
        let mut members: Vec<_> = members.collect();
        members.sort_unstable();
        members
    }

    /// Whether every member's successor and predecessor are the next members.
    pub(crate) fn is_one_ring(&self) -> bool {
        let members = self.members();
        members.iter().enumerate().all(|(at, (_, node))| {
            let next = members[(at + 1) % members.len()].0;
            let last = members[(at + members.len() - 1) % members.len()].0;
            let ring = self.sim.machine(*node).unwrap().ring().unwrap();
            members.len() == 1 || ring.successor() == Some(next) && ring.predecessor() == Some(last)
        })
    }

    pub(crate) fn wait_for_ring(&mut self) {
        for _ in 0..600 {
            let nodes = self.sim.nodes().filter(|node| self.sim.is_up(*node)).count();
            if self.members().len() == nodes && self.is_one_ring() {
                return;
            }
            self.run_for(SECOND / 5);
        }
        panic!("no ring after two minutes, {} members", self.members().len());
    }

    pub(crate) fn set(
        &mut self,
        node: NodeIndex,
        key: &str,
        value: impl Into<Value>,
    ) -> Result<(), WriteError> {
        let value = value.into();
        let request = self.sim.call(node, |chord, now| chord.set(now, key, &value)).unwrap()?;
        self.written(node, request).map(|_| ())
    }

    pub(crate) fn get(&mut self, node: NodeIndex, key: &str) -> Result<Option<Value>, ReadError> {
        let request = self.sim.call(node, |chord, now| chord.get(now, key)).unwrap()?;
        for _ in 0..1_200 {
            if let Some(result) = self.reads.remove(&(node, request)) {
                return result;
            }
            self.run_for(SECOND / 100);
        }
        panic!("a read that never ends");
    }

    /// Sets this many keys, each by another member.
    pub(crate) fn fill(&mut self, keys: usize) {
        let members = self.members();
        for number in 0..keys {
            let (_, node) = members[number % members.len()];
            self.set(node, &format!("key {number}"), number as u64).unwrap();
        }
    }

    /// Reads as many keys, each by another node.
    pub(crate) fn expect_all(&mut self, keys: usize) {
        let nodes: Vec<_> = self.sim.nodes().filter(|node| self.sim.is_up(*node)).collect();
        for number in 0..keys {
            let node = nodes[(7 * number + 3) % nodes.len()];
            let value = self.get(node, &format!("key {number}"));
            assert_eq!(value, Ok(Some(Value::from(number as u64))), "key {number}, {node}");
        }
    }

    /// What the user of a node changes.
    pub(crate) fn change(
        &mut self,
        node: NodeIndex,
        begin: impl FnOnce(&mut Chord, Time) -> Result<RequestId, WriteError>,
    ) -> Result<Option<Value>, WriteError> {
        let request = self.sim.call(node, begin).unwrap()?;
        self.written(node, request)
    }

    /// Leaves, and gives the number of records that nobody has taken.
    pub(crate) fn unjoin(&mut self, node: NodeIndex) -> usize {
        let request = self.sim.call(node, Chord::unjoin).unwrap();
        for _ in 0..4_000 {
            if let Some(lost) = self.left.remove(&(node, request)) {
                return lost;
            }
            self.run_for(SECOND / 100);
        }
        panic!("it never leaves");
    }

    /// The members that have something of a key in a table, and what.
    pub(crate) fn holders(&self, table: Table, key: &str) -> Vec<(NodeIndex, Record)> {
        let members = self.members().into_iter();
        let held = |(_, node)| {
            let record = self.sim.machine(node)?.record(table, key)?;
            Some((node, record.clone()))
        };
        members.filter_map(held).collect()
    }

    pub(crate) fn written(
        &mut self,
        node: NodeIndex,
        request: RequestId,
    ) -> Result<Option<Value>, WriteError> {
        for _ in 0..1_200 {
            if let Some(result) = self.writes.remove(&(node, request)) {
                return result;
            }
            self.run_for(SECOND / 100);
        }
        panic!("a write that never ends");
    }
}
