//! What each node holds, as it tells.

use rs2p_simnet::NodeIndex;

use super::truth::{Key, WriteId};

/// What each node holds.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    nodes: Vec<Replica>,
}

#[derive(Clone, Debug, Default)]
struct Replica {
    keys: Vec<Held>,
    /// A digest of the values held, which does not depend on their order.
    sum: u64,
    live: usize,
}

/// What a node holds of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// The last write that it has heard of. It stays when a deletion is forgotten.
    pub(super) last: Option<WriteId>,
    /// Whether that is a value, which it holds.
    pub(super) is_live: bool,
}

impl Replicas {
    pub(super) fn held(&self, node: NodeIndex, key: Key) -> Held {
        let replica = self.nodes.get(node.0 as usize);
        replica.and_then(|it| it.keys.get(key as usize)).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, node: NodeIndex, key: Key, held: Held) {
        let index = node.0 as usize;
        if self.nodes.len() <= index {
            self.nodes.resize(index + 1, Replica::default());
        }
        let replica = &mut self.nodes[index];
        if replica.keys.len() <= key as usize {
            replica.keys.resize(key as usize + 1, Held::default());
        }
        let before = std::mem::replace(&mut replica.keys[key as usize], held);
        if let (true, Some(last)) = (before.is_live, before.last) {
            replica.sum = replica.sum.wrapping_sub(spread(last));
            replica.live -= 1;
        }
        if let (true, Some(last)) = (held.is_live, held.last) {
            replica.sum = replica.sum.wrapping_add(spread(last));
            replica.live += 1;
        }
    }

    /// A node has lost its memory.
    pub(super) fn clear(&mut self, node: NodeIndex) {
        if let Some(replica) = self.nodes.get_mut(node.0 as usize) {
            *replica = Replica::default();
        }
    }

    /// A digest of the values that a node holds, and their number.
    pub(super) fn sum(&self, node: NodeIndex) -> (u64, usize) {
        self.nodes.get(node.0 as usize).map_or((0, 0), |replica| (replica.sum, replica.live))
    }
}

/// The finalizer of SplitMix64: sums of few of these are equal only by chance.
fn spread(id: WriteId) -> u64 {
    let mut bits = u64::from(id).wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
