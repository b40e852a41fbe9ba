//! A simulated network, and what is wrong in it on purpose.

use std::collections::{BTreeMap, BTreeSet};

use rs2p_base::Machine;

use crate::rules::NodeSet;
use crate::sim::{Crash, NodeIndex, Sim};
use crate::tamper::Tampered;

/// The network of a scenario, as one who sees everything sees it.
pub struct World<M: Machine> {
    /// The network itself.
    pub sim: Sim<Tampered<M>>,
    pub(crate) byzantine: BTreeSet<NodeIndex>,
    /// Misdeeds of byzantine nodes that have gone down since.
    misdone: BTreeMap<NodeIndex, u64>,
    pub(crate) core: Option<NodeSet>,
    /// When each node was last started, stopped, or let go on, in microseconds since the start.
    pub(crate) disturbed: Vec<u64>,
    /// Nodes that stand still or are slow.
    pub(crate) held: BTreeSet<NodeIndex>,
}

impl<M: Machine> World<M> {
    pub(crate) fn new(sim: Sim<Tampered<M>>) -> Self {
        let (byzantine, held) = (BTreeSet::new(), BTreeSet::new());
        let misdone = BTreeMap::new();
        Self { sim, byzantine, misdone, core: None, disturbed: Vec::new(), held }
    }

    /// Whether a node counts: it is up, honest, and of the core, if one has been named.
    #[must_use]
    pub fn counts(&self, node: NodeIndex) -> bool {
        self.sim.is_up(node) && !self.is_byzantine(node) && self.is_core(node)
    }

    /// The nodes that count.
    pub fn counting(&self) -> impl Iterator<Item = NodeIndex> {
        self.sim.nodes().filter(|node| self.counts(*node))
    }

    /// Whether a node counts and nothing has befallen it since then: it was neither started nor
    /// stopped, and is not held up now.
    #[must_use]
    pub fn is_steady_since(&self, node: NodeIndex, at: u64) -> bool {
        self.counts(node)
            && !self.held.contains(&node)
            && self.disturbed.get(node.0 as usize).is_some_and(|disturbed| *disturbed <= at)
    }

    /// Whether a node misbehaves on purpose.
    #[must_use]
    pub fn is_byzantine(&self, node: NodeIndex) -> bool {
        self.byzantine.contains(&node)
    }

    /// Whether any node misbehaves on purpose.
    #[must_use]
    pub fn has_byzantine(&self) -> bool {
        !self.byzantine.is_empty()
    }

    /// Whether a node is of the core, or none has been named.
    #[must_use]
    pub fn is_core(&self, node: NodeIndex) -> bool {
        self.core.as_ref().is_none_or(|core| core.contains(node))
    }

    /// A node's machine, if it is up.
    #[must_use]
    pub fn machine(&self, node: NodeIndex) -> Option<&M> {
        self.sim.machine(node).map(Tampered::machine)
    }

    /// Calls a node's machine, as its user would. `None` when it is down.
    pub fn call<R>(
        &mut self,
        node: NodeIndex,
        act: impl FnOnce(&mut M, rs2p_base::Time) -> R,
    ) -> Option<R> {
        self.sim.call(node, |tampered, now| act(tampered.machine_mut(now), now))
    }

    /// How many misdeeds a byzantine node has done.
    pub(crate) fn misdeeds(&self, node: NodeIndex) -> u64 {
        let machine = self.sim.machine(node).filter(|_| self.is_byzantine(node));
        self.misdone.get(&node).unwrap_or(&0) + machine.map_or(0, Tampered::hits)
    }

    /// Takes a node down. Its misdeeds outlive it.
    pub(crate) fn crash(&mut self, node: NodeIndex, how: Crash) {
        if self.is_byzantine(node) {
            self.misdone.insert(node, self.misdeeds(node));
        }
        self.sim.crash(node, how);
        self.held.remove(&node);
        self.disturb(node);
    }

    pub(crate) fn disturb(&mut self, node: NodeIndex) {
        let index = node.0 as usize;
        if self.disturbed.len() <= index {
            self.disturbed.resize(index + 1, 0);
        }
        self.disturbed[index] = self.sim.elapsed_micros();
    }

    /// How the nodes that count hang together.
    pub(crate) fn shape(&self) -> Shape {
        let roots = self.sim.components();
        let mut sizes = BTreeMap::new();
        let mut shape = Shape::default();
        for node in self.counting() {
            let links = self.sim.links_of(node).len();
            shape.nodes += 1;
            shape.links += links;
            shape.links_max = shape.links_max.max(links);
            if let Some(root) = roots[node.0 as usize] {
                *sizes.entry(root).or_insert(0_usize) += 1;
            }
        }
        shape.components = sizes.len();
        shape.largest = sizes.values().copied().max().unwrap_or(0);
        shape
    }
}

/// How the nodes that count hang together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    pub(crate) nodes: usize,
    pub(crate) links: usize,
    pub(crate) links_max: usize,
    pub(crate) components: usize,
    /// Nodes in the largest part.
    pub(crate) largest: usize,
}
