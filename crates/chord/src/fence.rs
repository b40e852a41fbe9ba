//! How far old nodes have read what they were told.
//!
//! They acknowledge nothing, but handle one message after the other. So who answers a question has
//! read all that was sent before it, and has sent all that it sends because of that. The question is
//! for a position that belongs to the node itself in everybody's eyes: its own point.

use std::time::Duration;

use rs2p_base::{NodeId, Time};
use rs2p_wire::SubFlag;

use crate::machine::Chord;
use crate::owner::COPY_PATIENCE;
use crate::position::{Position, Table};
use crate::record::Spot;

/// What an old peer has to answer before it is known to have read the rest.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    /// Questions so far, which tells them apart.
    count: u128,
    /// Since when one is open, and the writes that were told before it.
    asked: Option<(Time, Vec<u64>)>,
    /// Writes told since.
    told: Vec<u64>,
    /// Until when the peer hands over what it had before this node stored, unless it answers first:
    /// in writes that look like new ones.
    hands_over: Option<Time>,
}

/// A question that is not answered for so long is asked anew, when there is something to ask for.
const PATIENCE: Duration = COPY_PATIENCE;

impl Fence {
    pub(crate) fn hands_over(&self, now: Time) -> bool {
        self.hands_over.is_some_and(|until| now < until)
    }
}

impl Chord {
    /// An old peer has been told of a write, or of all that is handed over to it: this copy is
    /// acknowledged once it has read that.
    pub(crate) fn fence(&mut self, now: Time, old: NodeId, copy: u64) {
        if let Some(peer) = self.peers.get_mut(&old) {
            peer.fence.told.push(copy);
            self.ask_fence(now, old);
        }
    }

    /// An old peer has just been told that this node stores, and hands over what it has.
    pub(crate) fn expect_hand_over(&mut self, now: Time, old: NodeId) {
        let Some(peer) = self.peers.get_mut(&old).filter(|peer| peer.is_old()) else { return };
        peer.fence.hands_over = Some(now + PATIENCE);
        // An answer that is on its way says nothing of that.
        peer.fence.told.extend(peer.fence.asked.take().into_iter().flat_map(|(_, told)| told));
        self.ask_fence(now, old);
    }

    fn ask_fence(&mut self, now: Time, old: NodeId) {
        let Some(peer) = self.peers.get_mut(&old) else { return };
        let fence = &mut peer.fence;
        if fence.asked.as_ref().is_some_and(|(asked, _)| now.since(*asked) < PATIENCE) {
            return;
        }
        fence.count += 1;
        // Behind an answer that is late, the next one says the same.
        let mut told = fence.asked.take().map_or_else(Vec::new, |(_, told)| told);
        told.append(&mut fence.told);
        fence.asked = Some((now, told));
        let spot = spot(old, fence.count);
        self.tell_old(now, old, SubFlag::Retrieve, spot, None);
    }

    /// Whether what an old peer answers was asked to know what it has read.
    pub(crate) fn on_fence(&mut self, now: Time, from: NodeId, answered: Spot) -> bool {
        let is_fence = answered.table() == Table::Sha512 && answered.point() == from;
        let Some(peer) = self.peers.get_mut(&from).filter(|_| is_fence) else { return false };
        let fence = &mut peer.fence;
        // Others are answers that come for the second time, or too late.
        if answered == spot(from, fence.count)
            && let Some((_, told)) = fence.asked.take()
        {
            fence.hands_over = None;
            let more = !fence.told.is_empty();
            for copy in told {
                self.on_copied(now, from, copy);
                self.on_handed_over(now, copy);
            }
            if more {
                self.ask_fence(now, from);
            }
        }
        true
    }
}

/// A position that no other question has, at a node's own point: the ring sees only the lower part
/// of the numbers of this table.
fn spot(old: NodeId, count: u128) -> Spot {
    Spot::new(Table::Sha512, Position::of_parts(count, old))
}
