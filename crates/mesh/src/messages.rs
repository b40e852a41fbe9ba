//! Messages: how this node's own go out, and what becomes of those that come (spec section 7.3).

use rs2p_base::{Fanout, Link, LinkId, NodeId, Time};
use rs2p_wire::{IdForm, Limits, MainFlag, Message, MessageError, MessageWriter, SubFlag, Value};

use crate::error::SendError;
use crate::event::{MeshEvent, Receipt, Received};
use crate::exchange::is_js;
use crate::machine::Mesh;

impl Mesh {
    /// Sends a user's message to every node of the network.
    ///
    /// Two equal broadcasts are two messages, even within a second, where those of the originals
    /// melt into one.
    ///
    /// # Errors
    /// There are no peers, the message is over a limit, or some peer has enough to read: see
    /// [`check_room`](Self::check_room). Nothing was sent then.
    pub fn broadcast(
        &mut self,
        now: Time,
        packets: impl IntoIterator<Item = Value>,
    ) -> Result<Receipt, SendError> {
        let payload = payload(SubFlag::Broadcast, packets);
        self.broadcast_payload(now, MainFlag::Broadcast, &payload)
    }

    /// Sends a user's message to all peers, who do not pass it on.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub fn whisper(
        &mut self,
        now: Time,
        packets: impl IntoIterator<Item = Value>,
    ) -> Result<Receipt, SendError> {
        let payload = payload(SubFlag::Whisper, packets);
        self.check_room()?;
        let mut forms: [Option<Fanout>; 2] = [None, None];
        let mut receipt: Option<Receipt> = None;
        let peers: Vec<LinkId> = self.peers.values().map(|peer| peer.link).collect();
        for link in peers {
            let form = self.links.get(link).map_or(IdForm::Bin, Link::form);
            let slot = &mut forms[usize::from(form == IdForm::Str)];
            let fanout = match slot {
                Some(fanout) => fanout,
                None => {
                    let message = self.encode(now, MainFlag::Whisper, form, &payload)?;
                    slot.insert(Fanout::new(message))
                }
            };
            let id = fanout.message().id();
            self.links.send(now, link, fanout);
            receipt.get_or_insert(Receipt { id, peers: 0 }).peers += 1;
        }
        self.counts.sent += 1;
        self.drain(now);
        receipt.ok_or(SendError::NoPeers)
    }

    /// Sends a message of a main flag and payload of one's own to all peers: for a layer above.
    /// The payload begins with its sub-flag. [`MainFlag::Broadcast`] is passed on by peers.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub fn broadcast_payload(
        &mut self,
        now: Time,
        kind: MainFlag,
        payload: &[Value],
    ) -> Result<Receipt, SendError> {
        self.check_room()?;
        self.broadcast_unasked(now, kind, payload)
    }

    /// As [`broadcast_payload`](Self::broadcast_payload), for who has just asked whether there is
    /// room.
    pub(crate) fn broadcast_unasked(
        &mut self,
        now: Time,
        kind: MainFlag,
        payload: &[Value],
    ) -> Result<Receipt, SendError> {
        self.judge_clock(now);
        let message = self.encode_broadcast(now, kind, payload)?;
        let receipt = Receipt { id: message.id(), peers: self.peers.len() };
        self.flood(now, message, None);
        self.counts.sent += 1;
        self.drain(now);
        Ok(receipt)
    }

    /// Whether a broadcast or whisper would be sent now.
    ///
    /// # Errors
    /// There are no peers, or some peer has enough to read. One that does not catch up loses its
    /// link after [`LinkConfig::slow`](rs2p_base::LinkConfig::slow).
    pub fn check_room(&self) -> Result<(), SendError> {
        if self.peers.is_empty() {
            return Err(SendError::NoPeers);
        }
        for peer in self.peers.values() {
            if let Some(link) = self.links.get(peer.link) {
                link.check_room()?;
            }
        }
        Ok(())
    }

    /// Sends to all peers but the author and the one it came from.
    pub(crate) fn flood(&mut self, now: Time, message: Message, from: Option<NodeId>) {
        let mut fanout = Fanout::new(message);
        for (id, peer) in self.peers.iter() {
            if Some(*id) != from && !peer.is_named(*id, fanout.message().sender()) {
                self.links.send_by(now, peer.link, &mut fanout, &mut self.output);
            }
        }
    }

    /// A broadcast of this node's own, under an id that was not there before.
    pub(crate) fn encode_broadcast(
        &mut self,
        now: Time,
        kind: MainFlag,
        payload: &[Value],
    ) -> Result<Message, SendError> {
        let message = self.encode(now, kind, self.broadcast_form, payload)?;
        if kind == MainFlag::Broadcast { self.distinct(now, message) } else { Ok(message) }
    }

    /// The broadcast, under an id that was not there before.
    pub(crate) fn distinct(
        &mut self,
        now: Time,
        mut message: Message,
    ) -> Result<Message, SendError> {
        while !self.seen.insert(now, message.id()) {
            self.next_nonce += 1;
            message = message.distinct(self.next_nonce, &self.local().config().limits)?;
        }
        Ok(message)
    }

    /// A message of this node's own.
    pub(crate) fn encode(
        &self,
        now: Time,
        kind: MainFlag,
        form: IdForm,
        payload: &[Value],
    ) -> Result<Message, SendError> {
        let local = self.local();
        let (id, limits) = (local.id_text(), &local.config().limits);
        let time = self.network_time(now).as_secs();
        let message = Message::encode(kind, form, id, time, payload, limits)?;
        // What may hold a map or a timestamp may hold one that makes py2p hang up on whoever hands
        // it on.
        let may_be_unreadable =
            |value: &Value| matches!(value, Value::Map(_) | Value::Array(_) | Value::Ext(..));
        if payload.iter().any(may_be_unreadable) {
            message.check(limits).map_err(SendError::Unreadable)?;
        }
        Ok(message)
    }

    /// Writes a message to peers of this node's own, whose payload has so many elements and takes
    /// about so many bytes.
    pub(crate) fn whisper_writer(
        &self,
        now: Time,
        form: IdForm,
        elements: usize,
        bytes: usize,
    ) -> MessageWriter {
        let (id, time) = (self.local().id_text(), self.network_time(now).as_secs());
        MessageWriter::with_room(bytes, MainFlag::Whisper, form, id, time, elements)
    }

    /// A broadcast has one encoding for all. A binary sender is safe with both old kinds of nodes,
    /// only that js2p cannot answer it (spec section 14, rule 3).
    pub(crate) fn choose_form(&mut self) {
        let mut links = self.peers.values().filter_map(|peer| self.links.get(peer.link));
        let only_js = !self.peers.is_empty() && links.all(is_js);
        self.broadcast_form = if only_js { IdForm::Str } else { IdForm::Bin };
    }

    pub(crate) fn on_message_in(&mut self, now: Time, link: LinkId, message: Message) {
        let limits = self.local().config().limits;
        let is_broadcast = message.kind() == MainFlag::Broadcast;
        self.compare_clocks(now, &message);
        if is_broadcast && self.is_expired(now, &message) {
            self.counts.expired += 1;
            return;
        }
        let Some(neighbour) = self.links.get(link).and_then(Link::peer) else { return };
        if is_broadcast && is_for_neighbours(&message) {
            self.counts.malformed += 1;
            return;
        }
        // Old peers drop the neighbour that hands them what they cannot read.
        let message = match check(message, &limits) {
            Ok(message) => message,
            Err(error) => {
                self.counts.malformed += 1;
                self.problems.note(now, format_args!("{}: {error}", neighbour.id));
                return;
            }
        };
        if is_broadcast && !self.seen.insert(now, message.id()) {
            self.counts.duplicates += 1;
            return;
        }
        let neighbour = neighbour.clone();
        if is_broadcast {
            self.relay(now, &message, neighbour.id);
        }
        match message.sub_flag() {
            Some(SubFlag::Peers) => self.on_peers(now, link, &message),
            Some(SubFlag::Request) => self.on_request(now, link, neighbour.id, &message),
            Some(SubFlag::Response) => self.on_response(now, &message),
            sub_flag => {
                let received = Received { message, link, neighbour, limits };
                self.counts.delivered += 1;
                if let Some(received) = self.run_handlers(now, received) {
                    let is_users = matches!(sub_flag, Some(SubFlag::Broadcast | SubFlag::Whisper));
                    self.tell(if is_users {
                        MeshEvent::Message(received)
                    } else {
                        MeshEvent::Unclaimed(received)
                    });
                }
            }
        }
    }

    fn relay(&mut self, now: Time, message: &Message, from: NodeId) {
        let flag = message.sub_flag();
        if flag.is_some_and(|flag| self.relayed_above.contains(&flag)) {
            return;
        }
        self.counts.relayed += 1;
        match flag {
            Some(SubFlag::Response) => self.relay_response(now, message, from),
            // To whom, if the one it came from is the only peer?
            _ if self.peers.len() > 1 => self.flood(now, message.clone(), Some(from)),
            _ => {}
        }
    }
}

/// Whether it makes sense only to the one it was written for: a peers list, or the wish for one.
/// Passed on, it would cost links to old peers (spec section 13, py2p 1 and js2p 2).
fn is_for_neighbours(message: &Message) -> bool {
    match message.sub_flag() {
        Some(SubFlag::Peers) => true,
        Some(SubFlag::Request) => message.payload_len() < 3,
        _ => false,
    }
}

/// Whether everyone can read a message. One that goes no further is read here alone, and need not
/// be checked once more for that.
fn check(message: Message, limits: &Limits) -> Result<Message, MessageError> {
    if message.sender_form() == IdForm::Str && std::str::from_utf8(message.sender()).is_err() {
        return Err(MessageError::InvalidUtf8 { at: 2 });
    }
    match message.kind() {
        MainFlag::Broadcast => message.check(limits).map(|()| message),
        _ => message.checked(limits),
    }
}

pub(crate) fn payload(flag: SubFlag, packets: impl IntoIterator<Item = Value>) -> Vec<Value> {
    std::iter::once(flag.into()).chain(packets).collect()
}
