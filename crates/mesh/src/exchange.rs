//! What peers tell each other about other nodes (spec sections 7.1 and 7.4).

use std::collections::VecDeque;
use std::time::Duration;

use rand::seq::SliceRandom as _;
use rs2p_base::{Endpoint, Fanout, Link, LinkId, NodeId, Time};
use rs2p_wire::{Element, IdForm, MainFlag, Message, MessageWriter, SubFlag, Value, text_bytes};

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
        self.links.ask_for_peers(now, link);
    }

    /// Sends a peer the list of the others.
    pub(crate) fn send_peers(&mut self, now: Time, link: LinkId) {
        let Some(via) = self.links.get(link) else { return };
        let Some(to) = via.peer().map(|peer| peer.id) else { return };
        let (form, is_rs2p) = (via.form(), via.gathers());
        let is_js = is_js(via);
        let mut listed = Vec::with_capacity(self.peers.len());
        listed.extend(self.peers.iter().filter(|(id, _)| **id != to).filter_map(|(id, peer)| {
            let link = self.links.get(peer.link)?;
            // py2p and js2p cannot talk to each other, and a py2p node never gets over having
            // dialled js2p from a list (spec section 13, py2p 4).
            let can_talk = is_rs2p || link.gathers() || link.form() == form;
            let address = link.peer()?.address.as_ref().filter(|_| can_talk)?;
            Some((id, address))
        }));
        listed.shuffle(&mut self.rng);
        // Two nodes that are new to it make js2p drop the lister (spec section 13, js2p 2).
        let most = if is_rs2p { self.bounds.max_listed.min(MAX_LISTED) } else { MAX_LISTED };
        listed.truncate(if is_js { 1 } else { most });
        let mut writer = self.whisper_writer(now, form, 2, 4 + listed.len() * USUAL_ENTRY);
        writer.unsigned(SubFlag::Peers.into());
        writer.array(listed.len(), |writer| {
            for (id, address) in listed {
                writer.array(2, |writer| {
                    address.write(writer);
                    writer.base58(&id.to_text(), form);
                });
            }
        });
        self.tell_written(now, link, writer);
        if let Some(peer) = self.peers.get_mut(&to) {
            peer.peers_sent = Some(now);
        }
    }

    pub(crate) fn on_peers(&mut self, now: Time, link: LinkId, message: &Message) {
        let payload = message.elements(&self.local().config().limits);
        let list = payload.ok().and_then(|mut payload| payload.nth(1)?.as_array());
        let Some(list) = list else { return };
        let mut listed: Vec<(Endpoint, NodeId)> = Vec::with_capacity(list.len().min(MAX_LISTED));
        listed.extend(list.take(MAX_LISTED).filter_map(|entry| read_listed(&entry)));
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
        let limits = &self.local().config().limits;
        if message.payload_len() == 2 {
            let mut payload = message.elements(limits).ok();
            let star = payload.as_mut().and_then(|payload| payload.nth(1)?.text_bytes());
            if star != Some(b"*") {
                self.counts.malformed += 1;
                return;
            }
            let sent = self.peers.get(&neighbour).and_then(|peer| peer.peers_sent);
            if sent.is_some_and(|sent| now.since(sent) < LIST_AT_MOST_EVERY) {
                self.counts.unanswered += 1;
            } else {
                self.send_peers(now, link);
            }
            return;
        }
        match message.payload(limits).unwrap_or_default().as_slice() {
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
        let Ok(mut payload) = message.elements(&self.local().config().limits) else { return };
        let (3, Some(request), Some(found)) = (payload.len(), payload.nth(1), payload.next())
        else {
            return;
        };
        let Some(request) = request.text_bytes() else { return };
        if let Some((address, id)) = read_listed(&found) {
            self.on_found(now, request, id, address);
        }
    }

    /// Everyone but a js2p node gets the answer to its own request.
    pub(crate) fn relay_response(&mut self, now: Time, message: &Message, from: NodeId) {
        let payload = message.elements(&self.local().config().limits).ok();
        let request = payload.and_then(|mut payload| payload.nth(1)?.text_bytes());
        let asker = request.and_then(|id| self.seen_requests.asker(id));
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

    /// Sends one peer a message that has just been written, whatever waits before it.
    fn tell_written(&mut self, now: Time, link: LinkId, writer: MessageWriter) {
        match writer.finish(&self.local().config().limits) {
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
fn read_listed(entry: &Element<'_>) -> Option<(Endpoint, NodeId)> {
    let [address, id] = entry.as_array_of()?;
    Some((Endpoint::from_element(&address)?, NodeId::from_text(id.text_bytes()?).ok()?))
}

/// Bytes of a list's entry that holds an IPv4 address, at the most.
const USUAL_ENTRY: usize = 89;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use rs2p_wire::Limits;

    use super::*;

    /// Elements of lists: good ones, and such as are nearly good.
    fn entry() -> impl Strategy<Value = Value> {
        let host = prop_oneof![
            any::<[u8; 4]>().prop_map(|ip| Value::from(std::net::Ipv4Addr::from(ip).to_string())),
            Just(Value::Binary(b"example.org".to_vec())),
            Just(Value::Nil),
            Just(Value::from("no host")),
            Just(Value::Binary(vec![0xff])),
        ];
        let port = prop_oneof![
            any::<u16>().prop_map(Value::from),
            Just(Value::Nil),
            Just(Value::from(70_000)),
            Just(Value::from(-1)),
            Just(Value::from(80.0)),
        ];
        let id = prop_oneof![
            any::<[u8; 32]>().prop_map(|half| {
                let mut bytes = [0; NodeId::BYTES];
                bytes[16..].copy_from_slice(&half);
                NodeId::from_bytes(bytes).to_string()
            }),
            "[0-9a-z]{0,70}",
        ];
        let id = (id, any::<bool>()).prop_map(|(id, is_text)| {
            if is_text { IdForm::Str.value(&id) } else { IdForm::Bin.value(&id) }
        });
        let good = (host, port, id)
            .prop_map(|(host, port, id)| Value::Array(vec![Value::Array(vec![host, port]), id]));
        let odd = prop_oneof![
            Just(Value::Nil),
            Just(Value::Array(Vec::new())),
            Just(Value::Map(vec![("host".into(), "port".into())])),
        ];
        prop_oneof![
            8 => good.clone(),
            1 => odd.clone(),
            1 => (good, odd).prop_map(|(good, odd)| Value::Array(vec![good, odd])),
        ]
    }

    proptest! {
        #[test]
        fn a_list_is_read_as_the_values_in_it_say(list in vec(entry(), 0..80)) {
            let payload = [SubFlag::Peers.into(), Value::Array(list.clone())];
            let (kind, form, limits) = (MainFlag::Whisper, IdForm::Bin, Limits::default());
            let message = Message::encode(kind, form, "2sei", 1, &payload, &limits).unwrap();
            let read = message.elements(&limits).unwrap().nth(1).unwrap().as_array().unwrap();
            let expected = list.iter().map(|entry| {
                let [address, id] = entry.as_array()?.as_slice() else { return None };
                let id = NodeId::from_text(text_bytes(id)?).ok()?;
                Some((Endpoint::from_value(address)?, id))
            });
            prop_assert!(read.map(|entry| read_listed(&entry)).eq(expected));
        }
    }
}
