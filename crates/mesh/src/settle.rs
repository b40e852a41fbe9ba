//! Two links to one peer, of which one has to go (spec sections 7.5 and 13).
//!
//! Two rs2p nodes judge alike, and keep the same link; each may have said something on the other
//! before it knew, so that is listened to a little longer. js2p forgets a peer when the other link
//! closes, and takes it back with a handshake. py2p loses both links when the handshakes reach it
//! in one of the two orders; the one that this node keeps then stays open, and is never read.

use std::time::Duration;

use rs2p_base::{CloseReason, Link, LinkId, NodeId, Time};

use crate::exchange::is_js;
use crate::machine::{Mesh, Timer};

/// How long the surplus link to an rs2p node is still listened to.
const UNDER_WAY: Duration = Duration::from_secs(2);
/// By then the peer has noticed that the other link is closed, if it is not far away.
const NOTICED: Duration = Duration::from_millis(250);
/// How long a py2p node may take to answer: it is deaf for a second while it dials.
const ANSWERED: Duration = Duration::from_secs(3);

impl Mesh {
    /// Of two links to a peer, this one has to go.
    pub(crate) fn let_go(&mut self, now: Time, surplus: LinkId) {
        if self.links.get(surplus).is_some_and(Link::gathers) {
            self.timers.set(Timer::Surplus(surplus), Some(now + UNDER_WAY));
        } else {
            self.links.close(now, surplus, CloseReason::Surplus);
        }
    }

    /// One of two links to a peer is closed: sees to it that the one that is kept works.
    pub(crate) fn settle(&mut self, now: Time, peer: NodeId) {
        let Some(kept) = self.peers.get(&peer).map(|peer| peer.link) else { return };
        let Some(link) = self.links.get(kept).filter(|link| !link.gathers()) else { return };
        if is_js(link) {
            self.links.greet_again(now, kept);
        }
        self.timers.set(Timer::Settle(kept), Some(now + NOTICED));
    }

    pub(crate) fn on_settle_due(&mut self, now: Time, kept: LinkId) {
        let Some(link) = self.links.get(kept) else { return };
        let Some(peer) = link.peer().and_then(|peer| self.peers.get_mut(&peer.id)) else { return };
        let last_heard = link.last_heard();
        if is_js(link) {
            self.links.greet_again(now, kept);
            return;
        }
        match peer.asked.take() {
            None => {
                peer.asked = Some(now);
                self.request_peers_of(now, kept);
                self.timers.set(Timer::Settle(kept), Some(now + ANSWERED));
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
