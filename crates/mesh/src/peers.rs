//! The routing table: who is a peer, and whom to dial.

use std::time::Duration;

use rand::RngExt as _;
use rs2p_base::{DialId, Endpoint, Link, LinkId, NodeId, RequestId, Time};

use crate::address_book::{Entry, Mark};
use crate::exchange::is_js;
use crate::machine::{Mesh, Opening, Timer};

/// How long a node with too few links and nobody to dial waits before it asks a peer for more:
/// first, and at the longest.
pub(crate) const ASK_FIRST: Duration = Duration::from_secs(2);
const ASK_LAST: Duration = Duration::from_secs(300);

/// A node that has peers dials others one after the other, this far apart at least.
const DIALS_APART: Duration = Duration::from_millis(400);

/// An entry of the routing table.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) link: LinkId,
    pub(crate) outgoing: bool,
    /// How its id begins where it stands in messages: enough to tell it from most others.
    beginning: [u8; 8],
    /// When it was last sent a peers list.
    pub(crate) peers_sent: Option<Time>,
    /// When it was asked for an answer that shows whether its link works.
    pub(crate) asked: Option<Time>,
}

impl Peer {
    pub(crate) fn new(link: LinkId, id: NodeId, outgoing: bool) -> Self {
        let beginning = beginning(id.to_text().as_bytes());
        Self { link, outgoing, beginning, peers_sent: None, asked: None }
    }

    /// Whether a text that should be a node's id is that of this peer, whose id is `id`.
    pub(crate) fn is_named(&self, id: NodeId, text: &[u8]) -> bool {
        self.beginning == beginning(text) && NodeId::from_text(text) == Ok(id)
    }
}

fn beginning(text: &[u8]) -> [u8; 8] {
    text.first_chunk().copied().unwrap_or_else(|| {
        let mut short = [0; 8];
        short[..text.len()].copy_from_slice(text);
        short
    })
}

/// Which of two links to one peer has to go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Surplus {
    /// There is one link only.
    None,
    /// The one that was there before.
    Other(LinkId),
    /// The one that has just been established.
    This,
}

impl Mesh {
    /// Both ends judge alike, so that one link survives: the one that the node with the larger id
    /// dialled (spec section 7.5). Of two dialled by the same node the newer one stays, since the
    /// older one may be a leftover of that node's former life.
    pub(crate) fn surplus(&self, id: NodeId, link: LinkId) -> Surplus {
        let Some(other) = self.peers.get(&id).map(|peer| peer.link) else { return Surplus::None };
        let is_outgoing =
            |link| self.links.get(link).is_some_and(|link| link.origin().is_outgoing());
        let keep_outgoing = self.id() > id;
        if is_outgoing(link) != is_outgoing(other) && is_outgoing(link) != keep_outgoing {
            Surplus::This
        } else {
            Surplus::Other(other)
        }
    }

    pub(crate) fn outgoing_peers(&self) -> usize {
        self.peers.values().filter(|peer| peer.outgoing).count()
    }

    pub(crate) fn dial(&mut self, to: Endpoint, requests: Vec<RequestId>) -> DialId {
        let form = self.book.get(&to).and_then(|entry| entry.form);
        let dial = self.links.dial(to.clone(), form);
        self.opening.insert(dial, Opening { to, requests });
        dial
    }

    /// Dials known addresses until there are links enough, or until there is nobody to dial now.
    pub(crate) fn dial_more(&mut self, now: Time) {
        let mut next = None;
        while self.lacks_links() {
            // What the one dialled last has to tell may be the better choice.
            let soonest = self.last_dial.map(|last| last + DIALS_APART);
            if !self.peers.is_empty() && soonest.is_some_and(|soonest| now < soonest) {
                next = soonest;
                break;
            }
            let (known, taken) = (self.known(), self.taken());
            let is_wanted = |address: &Endpoint, entry: &Entry| {
                entry.id.is_none_or(|id| known.binary_search(&id).is_err())
                    && taken.binary_search(&address).is_err()
            };
            let mut rng = self.rng.clone();
            let picked = self.book.pick(now, &mut rng, self.is_joining, is_wanted);
            self.rng = rng;
            match picked {
                Ok(address) => {
                    self.last_dial = Some(now);
                    self.dial(address, Vec::new());
                }
                Err(ready) => {
                    next = ready;
                    break;
                }
            }
        }
        self.is_joining &= self.outgoing_peers() < self.bounds.max_outgoing;
        self.timers.set(Timer::Dial, next);
        if !self.lacks_links() || self.peers.is_empty() {
            self.timers.set(Timer::Ask, None);
        } else if self.timers.get(&Timer::Ask).is_none() {
            let wait = self.ask_wait.mul_f64(self.rng.random_range(0.75..1.25));
            self.timers.set(Timer::Ask, Some(now + wait));
        }
    }

    /// Asks a peer for nodes to link to. In a small network there are none, so it is asked ever
    /// more seldom.
    pub(crate) fn ask_for_more(&mut self, now: Time) {
        let asks_all = self.bounds.asks_js2p;
        let links = self.peers.values().filter_map(|peer| self.links.get(peer.link));
        let may = links.filter(|link| asks_all || !is_js(link)).map(Link::id);
        let may: Vec<LinkId> = may.collect();
        if !may.is_empty() {
            let chosen = may[self.rng.random_range(0..may.len())];
            self.request_peers_of(now, chosen);
        }
        self.ask_wait = (2 * self.ask_wait).min(ASK_LAST);
        self.dial_more(now);
    }

    pub(crate) fn lacks_links(&self) -> bool {
        self.outgoing_peers() + self.opening.len() < self.bounds.max_outgoing + self.swap.extra
    }

    /// Nodes that need no dialling, in order: the peers, and this node itself.
    fn known(&self) -> Vec<Mark> {
        let ids = self.peers.keys().copied().chain([self.id()]);
        let mut known: Vec<Mark> = ids.map(|id| self.book.mark(id)).collect();
        known.sort_unstable();
        known
    }

    /// Addresses at which somebody is already, or is about to be, in order.
    pub(crate) fn taken(&self) -> Vec<&Endpoint> {
        let opening = self.opening.values().map(|opening| &opening.to);
        let dialled = self.dialled.values().map(|dialled| &dialled.to);
        // A second link to py2p may cost both, so what peers say of themselves is believed here.
        let links = self.peers.values().filter_map(|peer| self.links.get(peer.link));
        let claimed = links.filter_map(|link| link.peer()?.address.as_ref());
        let mut taken = Vec::with_capacity(16);
        taken.extend(opening.chain(dialled).chain(claimed).chain(self.local().advertised()));
        taken.sort_unstable();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_told_from_others_whose_ids_begin_alike_and_from_a_part_of_its_own() {
        let [short, long] =
            ["2sei", "2seiabcdefgh"].map(|text| (text, text.parse::<NodeId>().unwrap()));
        for (text, id) in [short, long] {
            let peer = Peer::new(LinkId(1), id, true);
            assert!(peer.is_named(id, text.as_bytes()));
            for other in ["", "2", "2se", "2sei\0", "2seiabcd", "2seiabcdefgi", "12sei"] {
                assert!(!peer.is_named(id, other.as_bytes()), "{other} {text}");
            }
        }
    }
}
