//! What peers tell each other about other nodes (spec sections 7.1 and 7.4).

use std::collections::VecDeque;
use std::time::Duration;

use rand::seq::SliceRandom as _;
use rs2p_base::{Endpoint, Fanout, Link, LinkId, NodeId, Time};
use rs2p_wire::{IdForm, MainFlag, Message, SubFlag, Value, text_bytes};

use crate::event::MeshEvent;
use crate::machine::Mesh;

/// Nodes in a peers list of ours, and read from one of a peer's.
const MAX_LISTED: usize = 64;
/// A peer gets a list at most this often, however often it asks: py2p can ask thousands of times a
/// second (spec section 13, py2p 4).
const LIST_AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// How long a node of smaller id waits to be dialled by one of larger id that has just heard of it,
/// too. So they hardly ever dial each other at the same moment, which costs py2p both links.
const LARGER_DIALS_FIRST: Duration = Duration::from_secs(2);

/// Who asked which request, for those that came by lately.
#[derive(Debug, Default)]
pub(crate) struct SeenRequests(VecDeque<(Vec<u8>, Vec<u8>)>);

impl SeenRequests {
    const KEPT: usize = 64;
    /// Longest request id that is worth keeping; those of the originals have 66 characters.
    const LONGEST: usize = 128;

    fn note(&mut self, request: &[u8], asker: &[u8]) {
        if request.len() > Self::LONGEST || asker.len() > Self::LONGEST {
            return;
        }
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back((request.to_vec(), asker.to_vec()));
    }

    fn asker(&self, request: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == request).map(|(_, asker)| &asker[..])
    }
}

impl Mesh {
    /// Asks all peers whom they know.
    pub fn request_peers(&mut self, now: Time) {
        let links: Vec<LinkId> = self.peers.values().map(|peer| peer.link).collect();
        for link in links {
            self.request_peers_of(now, link);
        }
        self.drain(now);
    }

    pub(crate) fn request_peers_of(&mut self, now: Time, link: LinkId) {
        let Some(form) = self.links.get(link).map(Link::form) else { return };
        // py2p understands the star as binary only (spec section 13, py2p 1).
        self.tell_peer(now, link, &[SubFlag::Request.into(), form.value("*")]);
    }

    /// Sends a peer the list of the others.
    pub(crate) fn send_peers(&mut self, now: Time, link: LinkId) {
        let Some(via) = self.links.get(link) else { return };
        let Some(to) = via.peer().map(|peer| peer.id) else { return };
        let (form, is_rs2p) = (via.form(), via.gathers());
        let mut listed: Vec<(NodeId, Endpoint)> = self
            .peers
            .iter()
            .filter(|(id, _)| **id != to)
            .filter_map(|(id, peer)| {
                let link = self.links.get(peer.link)?;
                // py2p and js2p cannot talk to each other, and a py2p node never gets over having
                // dialled js2p from a list (spec section 13, py2p 4).
                let can_talk = is_rs2p || link.gathers() || link.form() == form;
                let address = link.peer()?.address.clone().filter(|_| can_talk)?;
                Some((*id, address))
            })
            .collect();
        listed.shuffle(&mut self.rng);
        // Two nodes that are new to it make js2p drop the lister (spec section 13, js2p 2).
        listed.truncate(if is_js(via) { 1 } else { MAX_LISTED });
        let list = listed
            .iter()
            .map(|(id, address)| {
                Value::Array(vec![address.to_value(), form.value(&id.to_string())])
            })
            .collect();
        self.tell_peer(now, link, &[SubFlag::Peers.into(), Value::Array(list)]);
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.peers_sent = Some(now);
        }
    }

    pub(crate) fn on_peers(&mut self, now: Time, link: LinkId, message: &Message) {
        let payload = message.payload(&self.local().config().limits).unwrap_or_default();
        let Some(Value::Array(list)) = payload.get(1) else { return };
        let listed: Vec<(Endpoint, NodeId)> =
            list.iter().take(MAX_LISTED).filter_map(listed).collect();
        self.book.begin_list();
        for (address, id) in &listed {
            self.learn(now, address, *id);
        }
        self.go_on_with_swap(now, link, &listed);
        self.dial_more(now);
    }

    fn learn(&mut self, now: Time, address: &Endpoint, id: NodeId) {
        if id == self.id() || Some(address) == self.local().advertised() {
            return;
        }
        let wait = if self.id() > id { Duration::ZERO } else { LARGER_DIALS_FIRST };
        if self.book.learn(address, id, now + wait) {
            self.tell(MeshEvent::PeerFound { id, address: address.clone() });
        }
    }

    pub(crate) fn on_request(
        &mut self,
        now: Time,
        link: LinkId,
        neighbour: NodeId,
        message: &Message,
    ) {
        let payload = message.payload(&self.local().config().limits).unwrap_or_default();
        match payload.as_slice() {
            [_, star] if text_bytes(star) == Some(b"*") => {
                let sent = self.peers.get(&neighbour).and_then(|peer| peer.peers_sent);
                if sent.is_some_and(|sent| now.since(sent) < LIST_AT_MOST_EVERY) {
                    self.counts.unanswered += 1;
                } else {
                    self.send_peers(now, link);
                }
            }
            [_, request, wanted] => {
                if let Some(id) = text_bytes(request) {
                    self.seen_requests.note(id, message.sender());
                }
                // js2p falls over the answer to its own request (spec section 13, js2p 2).
                if message.sender_form() == IdForm::Bin {
                    self.answer_request(now, link, request, wanted);
                }
            }
            _ => self.counts.malformed += 1,
        }
    }

    /// Answers with the wanted node's address, if it is a peer or this node itself.
    fn answer_request(&mut self, now: Time, link: LinkId, request: &Value, wanted: &Value) {
        let Some(form) = IdForm::of(wanted) else { return };
        let Some(id) = text_bytes(wanted).and_then(|text| NodeId::from_text(text).ok()) else {
            return;
        };
        let address = if id == self.id() {
            self.local().advertised().cloned()
        } else {
            let link = self.peers.get(&id).and_then(|peer| self.links.get(peer.link));
            link.and_then(|link| link.peer()?.address.clone())
        };
        let Some(address) = address else { return };
        let found = Value::Array(vec![address.to_value(), form.value(&id.to_string())]);
        let payload = [SubFlag::Response.into(), request.clone(), found];
        // A broadcast, but told to the asking side alone.
        if let Ok(message) = self.encode_broadcast(now, MainFlag::Broadcast, &payload) {
            self.links.send(now, link, &mut Fanout::new(message));
        }
    }

    pub(crate) fn on_response(&mut self, now: Time, message: &Message) {
        let payload = message.payload(&self.local().config().limits).unwrap_or_default();
        let [_, request, found] = payload.as_slice() else { return };
        let Some(request) = text_bytes(request) else { return };
        if let Some((address, id)) = listed(found) {
            self.on_found(now, request, id, address);
        }
    }

    /// Everyone but a js2p node gets the answer to its own request.
    pub(crate) fn relay_response(&mut self, now: Time, message: &Message, from: NodeId) {
        let payload = message.payload(&self.local().config().limits).unwrap_or_default();
        let asker = payload.get(1).and_then(text_bytes).and_then(|id| self.seen_requests.asker(id));
        let mut fanout = Fanout::new(message.clone());
        for (id, peer) in self.peers.iter() {
            let Some(link) = self.links.get(peer.link) else { continue };
            let is_author = peer.is_named(*id, message.sender());
            let is_js_asker = is_js(link) && asker.is_some_and(|asker| peer.is_named(*id, asker));
            if *id != from && !is_author && !is_js_asker {
                self.links.send(now, peer.link, &mut fanout);
            }
        }
    }

    /// Whispers to one peer, in its form; whatever waits before it.
    pub(crate) fn tell_peer(&mut self, now: Time, link: LinkId, payload: &[Value]) {
        let Some(form) = self.links.get(link).map(Link::form) else { return };
        match self.encode(now, MainFlag::Whisper, form, payload) {
            Ok(message) => self.links.send(now, link, &mut Fanout::new(message)),
            Err(error) => self.problems.note(now, error),
        }
    }
}

/// Whether it leads to a js2p node.
pub(crate) fn is_js(link: &Link) -> bool {
    link.form() == IdForm::Str && !link.gathers()
}

/// Reads `[[host, port], id]`. Nodes that cannot be dialled are listed without a host.
fn listed(entry: &Value) -> Option<(Endpoint, NodeId)> {
    let [address, id] = entry.as_array()?.as_slice() else { return None };
    Some((Endpoint::from_value(address)?, NodeId::from_text(text_bytes(id)?).ok()?))
}
