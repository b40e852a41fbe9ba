//! Several nodes of ours and of theirs in one ring.

use crate::LIMIT;
use crate::chord::dht::{Dht, pairs};
use crate::chord::peer::start;
use crate::peer::{Kind, Peer};
use crate::run_within;

/// Members of one ring.
pub(crate) struct MixedRing {
    pub(crate) ours: Vec<Dht>,
    pub(crate) theirs: Vec<Peer>,
}

impl MixedRing {
    /// So many of ours and of theirs, which come by turns, and all know the first one of ours at the
    /// beginning.
    pub(crate) async fn of(ours: usize, kind: Kind, theirs: usize) -> Self {
        let mut ring = Self { ours: vec![Dht::start().await], theirs: Vec::new() };
        ring.ours[0].is_member(0).await;
        for number in 0..ours.max(theirs) {
            if number > 0 && number < ours {
                let node = Dht::start_with(|it| it.seeds([ring.ours[0].address()])).await;
                node.is_member(1).await;
                ring.ours.push(node);
            }
            if number < theirs {
                let mut peer = start(kind).await;
                peer.connect(&ring.ours[0].address()).await;
                ring.ours[0].has_peer(peer.node_id()).await;
                peer.takes_for_storing(&[ring.ours[0].id()], true).await;
                ring.theirs.push(peer);
            }
        }
        ring.ours[0].knows_storing(ours + theirs - 1).await;
        ring
    }

    /// The ids of theirs.
    pub(crate) fn their_ids(&self) -> Vec<rs2p::base::NodeId> {
        self.theirs.iter().map(Peer::node_id).collect()
    }

    /// The end of a test: no link between ours and theirs has been lost.
    pub(crate) async fn finish(mut self) {
        let kept = self.their_ids();
        for node in &mut self.ours {
            node.finish(&kept).await;
        }
        for peer in self.theirs {
            peer.finish().await;
        }
    }
}

async fn all_have_what_any_sets(ours: usize, kind: Kind, theirs: usize) {
    const EACH: usize = 25;
    let mut ring = MixedRing::of(ours, kind, theirs).await;
    let mut all = Vec::new();
    for (number, node) in ring.ours.iter().enumerate() {
        let pairs = pairs(&format!("ours {number}"), EACH);
        for (key, value) in &pairs {
            node.set(key, value).await;
        }
        all.extend(pairs);
    }
    for (number, peer) in ring.theirs.iter_mut().enumerate() {
        let pairs = pairs(&format!("theirs {number}"), EACH);
        peer.set_all(&pairs).await;
        all.extend(pairs);
    }
    for (key, value) in all.iter().rev() {
        ring.ours[0].comes_to_read(key, value).await;
    }
    for node in &ring.ours {
        node.has_all(&all).await;
    }
    for peer in &mut ring.theirs {
        peer.has_all(&all).await;
    }
    ring.finish().await;
}

#[test]
#[ignore = "cargo xtask interop runs it"]
fn two_of_ours_and_two_of_py2p() {
    run_within(2 * LIMIT, all_have_what_any_sets(2, Kind::Py, 2));
}
