//! One link, from the handshake to its end (spec sections 5, 6 and 8).

use std::collections::VecDeque;
use std::sync::Arc;

use rs2p_wire::{Compression, IdForm, MainFlag, Message, SubFlag, Value};
use thiserror::Error;

use crate::endpoint::Endpoint;
use crate::handshake::{Capability, Handshake};
use crate::local_node::LocalNode;
use crate::machine::{CloseReason, LinkId, Origin};
use crate::out_frame::{Fanout, OutFrame};
use crate::time::Time;

/// A link to one peer, as a machine of its own; a layer above owns one for each of its links.
///
/// It shakes hands, agrees on compression, answers what concerns the link alone, and tells when
/// its deadlines have passed. Everything else it hands to the layer above.
///
/// # Who speaks first
///
/// The two kinds of old peers write ids differently, and each fails on ids in the other form. Both
/// send their handshake at once. So a node that accepts a link waits for the peer's handshake and
/// answers in the peer's form. A node that dials sends an *opening* handshake at once, which old
/// peers pass over and rs2p nodes answer, and then does the same. Between two rs2p nodes the link
/// is ready as early as if both had sent at once; nobody waits for a timer.
#[derive(Debug)]
pub struct Link {
    id: LinkId,
    origin: Origin,
    remote: Endpoint,
    local: Arc<LocalNode>,
    opened: Time,
    last_heard: Time,
    /// Whether the peer has been sent a handshake that it understands, whatever it is.
    greeted: bool,
    closing: bool,
    peer: Option<Arc<Handshake>>,
    /// The method used towards the peer.
    compression: Option<Compression>,
    early: Vec<Message>,
    /// What to repeat when an old peer asks for it.
    last_sent: Option<Message>,
    queued: usize,
    output: VecDeque<LinkOutput>,
}

/// What a [`Link`] tells the layer that owns it.
#[derive(Clone, Debug)]
pub enum LinkOutput {
    /// Send this frame.
    Send(OutFrame),
    /// The handshake is done: [`Link::peer`] says who it is.
    Established,
    /// The peer repeated its handshake. Old peers do so to change their compression methods, and
    /// in chord when they begin to store; py2p expects the answer to the first one again.
    Repeated,
    /// A message that came before the handshake and was kept.
    Message(Message),
    /// Close the link.
    Close(CloseReason),
}

/// A link's send queue is full: wait until the peer has read some of it. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{queued} bytes wait to be sent on {link}, the limit is {limit}: send slower, or wait")]
pub struct QueueFull {
    /// Which link.
    pub link: LinkId,
    /// Bytes that wait.
    pub queued: usize,
    /// The limit, in bytes.
    pub limit: usize,
}

impl Link {
    /// Frames kept that come before the handshake. Old peers send one at the most.
    const MAX_EARLY: usize = 8;
    /// Largest frame, in bytes, that is kept in order to be repeated.
    const MAX_REPEATED: usize = 64 << 10;

    /// A link that has just opened. `form`: how the peer writes ids, when it is known from before;
    /// the handshake then goes out at once.
    #[must_use]
    pub fn open(
        now: Time,
        id: LinkId,
        origin: Origin,
        remote: Endpoint,
        local: Arc<LocalNode>,
        form: Option<IdForm>,
    ) -> Self {
        let known_form = form.or(local.known_form());
        let mut link = Self {
            id,
            origin,
            remote,
            local,
            opened: now,
            last_heard: now,
            greeted: false,
            closing: false,
            peer: None,
            compression: None,
            early: Vec::new(),
            last_sent: None,
            queued: 0,
            output: VecDeque::new(),
        };
        match (known_form, origin) {
            (Some(form), _) => link.greet(now, form),
            (None, Origin::Dialled(_)) => {
                let opening = link.local.handshake(link.local.usual_form(), true);
                link.send_handshake(now, &opening);
            }
            (None, Origin::Accepted) => {}
        }
        link
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// Who opened it.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The address at the other end; for an accepted link usually not one to dial.
    #[must_use]
    pub fn remote(&self) -> &Endpoint {
        &self.remote
    }

    /// When it was opened.
    #[must_use]
    pub fn opened(&self) -> Time {
        self.opened
    }

    /// When something last came.
    #[must_use]
    pub fn last_heard(&self) -> Time {
        self.last_heard
    }

    /// What the peer told of itself last, once the handshake is done.
    #[must_use]
    pub fn peer(&self) -> Option<&Arc<Handshake>> {
        self.peer.as_ref()
    }

    pub(crate) fn into_peer(self) -> Option<Arc<Handshake>> {
        self.peer
    }

    /// The compression method used towards the peer.
    #[must_use]
    pub fn compression(&self) -> Option<Compression> {
        self.compression
    }

    /// The form in which the peer reads ids.
    #[must_use]
    pub fn form(&self) -> IdForm {
        self.peer.as_ref().map_or(self.local.usual_form(), |peer| peer.form)
    }

    /// Whether frames to this peer may share a write.
    #[must_use]
    pub fn gathers(&self) -> bool {
        self.peer.as_ref().is_some_and(|peer| peer.can(Capability::RS2P))
    }

    /// Bytes that wait to be sent, counted before compression.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Whether a message of this node's own may be sent now.
    ///
    /// # Errors
    /// The send queue is full.
    pub fn check_room(&self) -> Result<(), QueueFull> {
        let limit = self.local.config().send_queue;
        if self.queued < limit {
            return Ok(());
        }
        Err(QueueFull { link: self.id, queued: self.queued, limit })
    }

    /// The frame in which `fanout`'s message goes onto this link; it counts as queued from now on.
    pub fn frame(&mut self, fanout: &mut Fanout) -> OutFrame {
        let is_kept =
            self.repeats() && fanout.message().frame().plain().len() <= Self::MAX_REPEATED;
        // One that is too large takes the place of the one before all the same: repeating an older
        // frame could undo what the last one did.
        self.last_sent = is_kept.then(|| fanout.message().clone());
        let frame = fanout.frame(self.compression);
        self.queued += frame.weight();
        frame
    }

    /// Frames have left the send queue.
    pub fn handle_flushed(&mut self, bytes: usize) {
        self.queued = self.queued.saturating_sub(bytes);
    }

    /// Takes in a message. What does not concern the link alone is handed back; before the
    /// handshake, a little of that is kept and comes as [`LinkOutput::Message`] afterwards.
    #[must_use]
    pub fn handle_message(&mut self, now: Time, message: Message) -> Option<Message> {
        self.last_heard = now;
        if self.closing {
            return None;
        }
        if message.kind() == MainFlag::Renegotiate {
            self.on_renegotiate(&message);
            return None;
        }
        if message.sub_flag() == Some(SubFlag::Handshake) && Handshake::is_in(&message) {
            // A relayed handshake would file this link under a stranger's id (spec section 13).
            if message.kind() == MainFlag::Whisper {
                self.on_handshake(now, &message);
            }
            return None;
        }
        if self.peer.is_some() {
            return Some(message);
        }
        if self.early.len() < Self::MAX_EARLY {
            self.early.push(message);
        } else {
            self.refuse(now, CloseReason::TooEarly { limit: Self::MAX_EARLY });
        }
        None
    }

    /// Acts on the deadlines that have passed.
    pub fn handle_timeout(&mut self, now: Time) {
        let Some(deadline) = self.poll_timeout() else { return };
        if deadline > now {
            return;
        }
        if self.peer.is_some() {
            let seconds = now.since(self.last_heard).as_secs();
            self.close(CloseReason::Idle { seconds });
        } else if now >= self.opened + self.local.config().handshake {
            let seconds = self.local.config().handshake.as_secs();
            self.refuse(now, CloseReason::NoHandshake { seconds });
        } else {
            self.greet(now, self.local.usual_form());
        }
    }

    /// The next deadline.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let config = self.local.config();
        if self.closing {
            None
        } else if self.peer.is_some() {
            config.idle.map(|idle| self.last_heard + idle)
        } else {
            let handshake = self.opened + config.handshake;
            let form_wait = (!self.greeted).then(|| self.opened + config.form_wait);
            Some(form_wait.map_or(handshake, |form_wait| form_wait.min(handshake)))
        }
    }

    /// The next thing to do or to tell.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<LinkOutput> {
        let output = self.output.pop_front();
        if self.output.is_empty() {
            self.output = VecDeque::new();
        }
        output
    }

    fn on_handshake(&mut self, now: Time, message: &Message) {
        let handshake = match Handshake::decode(message, &self.local.config().limits) {
            Ok(handshake) => handshake,
            Err(error) => return self.refuse(now, CloseReason::Handshake(error)),
        };
        if *handshake.protocol != **self.local.protocol_text() {
            let ours = self.local.protocol_text().clone();
            let theirs = handshake.protocol.chars().take(64).collect::<String>().into();
            return self.refuse_in(now, handshake.form, CloseReason::OtherNetwork { ours, theirs });
        }
        if handshake.id == self.local.id() {
            // With a handshake, so that the dialling end learns it too and dials no more.
            return self.refuse_in(now, handshake.form, CloseReason::Itself);
        }
        if self.peer.as_ref().is_some_and(|peer| peer.id != handshake.id) {
            return self.close(CloseReason::IdentityChanged);
        }
        let opened_to_rs2p = self.origin.is_outgoing() && handshake.can(Capability::RS2P);
        if !self.greeted {
            if opened_to_rs2p {
                self.greeted = true;
            } else {
                self.greet(now, handshake.form);
                if self.closing {
                    return;
                }
            }
        }
        self.compression = handshake.compression(&self.local.config().compression);
        let first = self.peer.replace(Arc::new(handshake)).is_none();
        if first {
            self.output.push_back(LinkOutput::Established);
            self.output.extend(self.early.drain(..).map(LinkOutput::Message));
            self.early = Vec::new();
        } else {
            self.output.push_back(LinkOutput::Repeated);
        }
    }

    /// Old peers renegotiate only when something has gone wrong between them, and py2p goes on
    /// with what it cannot read itself (spec section 8). Plain frames are understood in any case,
    /// so from here on nothing else is sent, and nothing is answered.
    fn on_renegotiate(&mut self, message: &Message) {
        match message.sub_flag() {
            Some(SubFlag::Compression) => {
                let payload = message.payload(&self.local.config().limits).unwrap_or_default();
                if let (Some(peer), Some(Value::Array(list))) = (&mut self.peer, payload.get(1)) {
                    Arc::make_mut(peer).methods = Handshake::read_list(list).collect();
                }
                self.compression = None;
            }
            Some(SubFlag::Resend) => {
                self.compression = None;
                // Once for each frame, so that two peers cannot keep each other busy.
                if let Some(message) = self.last_sent.take() {
                    self.send(message.into());
                }
            }
            _ => {}
        }
    }

    /// Sends this node's handshake in a form that the peer understands.
    fn greet(&mut self, now: Time, form: IdForm) {
        self.greeted = true;
        let handshake = self.local.handshake(form, false);
        self.send_handshake(now, &handshake);
    }

    fn send_handshake(&mut self, now: Time, handshake: &Handshake) {
        match handshake.encode(now, &self.local.config().limits) {
            Ok(message) => self.send(message.into()),
            // Only limits below a handshake's few hundred bytes come here; no peer can be had so.
            Err(_) => self.close(CloseReason::Requested),
        }
    }

    /// Closes, but not without a handshake: py2p never recovers from a listed peer that hangs up
    /// before its handshake (spec section 13, py2p 4).
    fn refuse(&mut self, now: Time, reason: CloseReason) {
        self.refuse_in(now, self.form(), reason);
    }

    fn refuse_in(&mut self, now: Time, form: IdForm, reason: CloseReason) {
        if !self.greeted {
            self.greet(now, form);
        }
        self.close(reason);
    }

    /// Closes the link once what waits for it is sent. Nothing is heard or said on it any more.
    pub fn close(&mut self, reason: CloseReason) {
        if !self.closing {
            self.closing = true;
            self.output.push_back(LinkOutput::Close(reason));
        }
    }

    fn send(&mut self, frame: OutFrame) {
        self.queued += frame.weight();
        self.output.push_back(LinkOutput::Send(frame));
    }

    /// Whether the peer may ask to repeat the last frame.
    fn repeats(&self) -> bool {
        !self.gathers()
    }
}
