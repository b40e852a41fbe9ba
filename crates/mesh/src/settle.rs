//! After two links to one old peer, of which one had to go (spec sections 7.5 and 13).
//!
//! Two rs2p nodes judge alike, and keep the same link. js2p forgets a peer when the other link
//! closes, and takes it back with a handshake. py2p loses both links when the handshakes reach it
//! in one of the two orders; the one that this node keeps then stays open, and is never read.

use std::time::Duration;

use rs2p_base::{CloseReason, LinkId, NodeId, Time};

use crate::exchange::is_js;
use crate::machine::{Mesh, Timer};

/// By then the peer has noticed that the other link is closed, if it is not far away.
const NOTICED: Duration = Duration::from_millis(250);
/// How long a py2p node may take to answer: it is deaf for a second while it dials.
const ANSWERED: Duration = Duration::from_secs(3);

impl Mesh {
    /// One of two links to a peer is closing: sees to it that the one that is kept works.
    pub(crate) fn settle(&mut self, now: Time, peer: NodeId, kept: LinkId) {
        let Some(link) = self.links.get(kept).filter(|link| !link.gathers()) else { return };
        if is_js(link) {
            self.links.greet_again(now, kept);
        }
        self.timers.set(Timer::Settle(peer), Some(now + NOTICED));
    }

    pub(crate) fn on_settle_due(&mut self, now: Time, id: NodeId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(link) = self.links.get(peer.link) else { return };
        let (kept, last_heard) = (link.id(), link.last_heard());
        if is_js(link) {
            self.links.greet_again(now, kept);
            return;
        }
        match peer.asked.take() {
            None => {
                peer.asked = Some(now);
                self.request_peers_of(now, kept);
                self.timers.set(Timer::Settle(id), Some(now + ANSWERED));
            }
            // It is dialled anew then.
            Some(asked) if last_heard < asked => {
                let seconds = now.since(last_heard).as_secs();
                self.links.close(now, kept, CloseReason::Idle { seconds });
            }
            Some(_) => {}
        }
    }
}
