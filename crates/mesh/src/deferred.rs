//! Messages to nodes without a link (spec section 7.4).

use std::time::Duration;

use rs2p_base::{Endpoint, Fanout, Link, NodeId, RequestId, Time};
use rs2p_wire::{IdForm, MainFlag, MessageId, SubFlag, Value};

use crate::error::{DeliverError, SendError};
use crate::event::{MeshEvent, Received};
use crate::machine::{Mesh, Timer};
use crate::messages::payload;

/// A message that waits for a link to its receiver.
#[derive(Debug)]
pub(crate) struct Deferred {
    to: NodeId,
    payload: Vec<Value>,
    /// Under which the receiver's address is asked for.
    asked_as: String,
    until: Time,
    /// How many more addresses of it are believed.
    dials_left: u8,
}

/// When nobody has answered a request so long, it is repeated in js2p's form.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Addresses dialled for one message. Anyone may answer a request, and with anything.
const MAX_DIALS: u8 = 4;

impl Mesh {
    /// Answers the author of a message. Without a link to it, its address is asked for, and it is
    /// dialled. [`MeshEvent::Delivered`] tells how it went.
    ///
    /// # Errors
    /// The sender of the message is no node id; or as [`send_to`](Self::send_to).
    pub fn reply(
        &mut self,
        now: Time,
        to: &Received,
        packets: impl IntoIterator<Item = Value>,
    ) -> Result<RequestId, SendError> {
        let author = to.sender_id().ok_or(SendError::NoSender)?;
        self.send_to(now, author, packets)
    }

    /// Whispers to one node, connecting first when there is no link to it.
    /// [`MeshEvent::Delivered`] tells how it went: that the message left, not that it arrived.
    ///
    /// # Errors
    /// There are no peers to ask, as many messages as allowed wait for an address, the message is
    /// over a limit, or the peer has enough to read. Nothing was sent then.
    pub fn send_to(
        &mut self,
        now: Time,
        to: NodeId,
        packets: impl IntoIterator<Item = Value>,
    ) -> Result<RequestId, SendError> {
        let payload = payload(SubFlag::Whisper, packets);
        if self.peers.contains_key(&to) {
            let id = self.whisper_to(now, to, &payload)?;
            let request = self.request_id();
            self.tell(MeshEvent::Delivered { request, result: Ok(id) });
            self.drain(now);
            return Ok(request);
        }
        if self.peers.is_empty() {
            return Err(SendError::NoPeers);
        }
        let limit = self.bounds.max_deferred;
        if self.deferred.len() >= limit {
            return Err(SendError::TooManyDeferred { limit });
        }
        // Judged now, while the caller can be told.
        self.encode(now, MainFlag::Whisper, IdForm::Bin, &payload)?;
        let request = self.request_id();
        let own_id = self.local().id_text();
        let asked_as =
            NodeId::derive(own_id, &self.local().protocol(), &format!("{request:?} {now}"));
        let until = now + self.bounds.defer;
        let asked_as = asked_as.to_string();
        let deferred = Deferred { to, payload, asked_as, until, dials_left: MAX_DIALS };
        self.deferred.insert(request, deferred);
        self.timers.set(Timer::Deferred(request), Some(until.min(now + ASK_AGAIN)));
        self.ask_for(now, request, IdForm::Bin)?;
        self.drain(now);
        Ok(request)
    }

    /// Whether a message to that node would not be refused because it has enough to read.
    #[must_use]
    pub fn has_room_for(&self, to: NodeId) -> bool {
        let link = self.peers.get(&to).and_then(|peer| self.links.get(peer.link));
        link.is_none_or(|link| link.check_room().is_ok())
    }

    fn whisper_to(
        &mut self,
        now: Time,
        to: NodeId,
        payload: &[Value],
    ) -> Result<MessageId, SendError> {
        let link = self.peers.get(&to).and_then(|peer| self.links.get(peer.link));
        let (link, form) =
            link.map(|link| (link.id(), Link::form(link))).ok_or(SendError::NoPeers)?;
        let message = self.encode(now, MainFlag::Whisper, form, payload)?;
        let id = message.id();
        self.links.try_send(now, link, &mut Fanout::new(message))?;
        self.counts.sent += 1;
        Ok(id)
    }

    /// Asks the network for the address of a deferred message's receiver. py2p knows ids in binary
    /// only, js2p as text only.
    fn ask_for(&mut self, now: Time, request: RequestId, form: IdForm) -> Result<(), SendError> {
        let Some(deferred) = self.deferred.get(&request) else { return Ok(()) };
        let asked_as = Value::from(deferred.asked_as.as_str());
        let payload = [SubFlag::Request.into(), asked_as, form.value(&deferred.to.to_string())];
        // With a binary sender, by which a node knows that the answer is welcome.
        let message = self.encode(now, MainFlag::Broadcast, IdForm::Bin, &payload)?;
        self.seen.insert(now, message.id());
        self.flood(now, message, None);
        Ok(())
    }

    /// Somebody knows where a receiver is.
    pub(crate) fn on_found(&mut self, now: Time, asked_as: &[u8], id: NodeId, address: Endpoint) {
        let is_own = self.local().advertised() == Some(&address);
        if is_own || self.opening.values().any(|opening| opening.to == address) {
            return;
        }
        let is_wanted = |deferred: &&mut Deferred| {
            deferred.to == id && deferred.asked_as.as_bytes() == asked_as && deferred.dials_left > 0
        };
        let Some(deferred) = self.deferred.values_mut().find(is_wanted) else { return };
        deferred.dials_left -= 1;
        self.book.learn(&address, id, now);
        self.dial(address, Vec::new());
    }

    /// A node has become a peer: sends what waits for it.
    pub(crate) fn send_deferred(&mut self, now: Time, to: NodeId) {
        let waiting: Vec<RequestId> = self
            .deferred
            .iter()
            .filter(|(_, deferred)| deferred.to == to)
            .map(|(request, _)| *request)
            .collect();
        for request in waiting {
            let Some(deferred) = self.deferred.remove(&request) else { continue };
            self.timers.set(Timer::Deferred(request), None);
            let result = self.whisper_to(now, to, &deferred.payload);
            let result = result.map_err(DeliverError::Send);
            self.tell(MeshEvent::Delivered { request, result });
        }
    }

    pub(crate) fn on_deferred_due(&mut self, now: Time, request: RequestId) {
        let Some(deferred) = self.deferred.get(&request) else { return };
        if now < deferred.until {
            self.timers.set(Timer::Deferred(request), Some(deferred.until));
            if let Err(error) = self.ask_for(now, request, IdForm::Str) {
                self.problems.note(now, error);
            }
            return;
        }
        let to = deferred.to;
        self.deferred.remove(&request);
        let seconds = self.bounds.defer.as_secs();
        let result = Err(DeliverError::NotFound { to, seconds });
        self.tell(MeshEvent::Delivered { request, result });
    }
}
