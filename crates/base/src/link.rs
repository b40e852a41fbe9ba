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
use crate::window::Window;

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
    /// Whether the peer has announced that it is an rs2p node: asked for with every frame.
    is_rs2p: bool,
    /// The method used towards the peer.
    compression: Option<Compression>,
    early: Vec<Message>,
    /// When the peer was asked for a sign of life, if that was since it was last heard.
    pinged: Option<Time>,
    /// Since when the send queue has been full.
    full_since: Option<Time>,
    /// Bytes that have left since then.
    left_since: usize,
    /// For a py2p peer: what it cannot be sent yet.
    window: Option<Box<Window>>,
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
    /// Frames kept that come before the handshake, and their bytes. Old peers send one at the
    /// most, a short one.
    const MAX_EARLY: usize = 8;
    const MAX_EARLY_BYTES: usize = 64 << 10;
    /// Bytes that may be held back from a py2p peer, where a driver does not see them: as many as
    /// a driver's queue takes by default.
    const MAX_HELD: usize = 16 << 20;
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
            is_rs2p: false,
            compression: None,
            early: Vec::new(),
            pinged: None,
            full_since: None,
            left_since: 0,
            window: None,
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
        self.is_rs2p
    }

    /// Bytes that wait to be sent, counted before compression.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Whether its end has been told: nothing is heard or said on it any more.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether a message of this node's own may be sent now.
    ///
    /// # Errors
    /// The send queue is full.
    pub fn check_room(&self) -> Result<(), QueueFull> {
        if !self.is_full() {
            return Ok(());
        }
        let limit = self.local.config().send_queue;
        Err(QueueFull { link: self.id, queued: self.queued, limit })
    }

    /// The frame in which `fanout`'s message goes onto this link; it counts as queued from now on.
    /// `None` when the peer has enough to read at the moment: the frame then comes as
    /// [`LinkOutput::Send`] in its turn.
    pub fn frame(&mut self, now: Time, fanout: &mut Fanout) -> Option<OutFrame> {
        let is_kept =
            self.repeats() && fanout.message().frame().plain().len() <= Self::MAX_REPEATED;
        // One that is too large takes the place of the one before all the same: repeating an older
        // frame could undo what the last one did.
        self.last_sent = is_kept.then(|| fanout.message().clone());
        // js2p takes a plain frame for a zlib stream when its digest happens to begin like one, and
        // unpacks it without checking: it drops the link then, or hangs.
        let is_js = self.form() == IdForm::Str && !self.gathers();
        let frame = if is_js {
            fanout.compressed_frame(self.compression)
        } else {
            fanout.frame(self.compression)
        };
        self.queue(now, frame.weight());
        let Some(window) = &mut self.window else { return Some(frame) };
        let frame = window.admit(now, frame);
        if frame.is_none() && self.queued > Self::MAX_HELD {
            let (queued, limit) = (self.queued, Self::MAX_HELD);
            self.end(CloseReason::SlowReader { queued, limit });
            return None;
        }
        self.ask_what_is_read(now);
        frame
    }

    /// Sends this node's handshake once more. js2p forgets a peer when one of two links to it
    /// closes, and remembers it by a handshake on the other (spec section 13, js2p 7). Without
    /// effect before the peer's own handshake.
    pub fn greet_again(&mut self, now: Time) {
        if let Some(form) = self.peer.as_ref().map(|peer| peer.form).filter(|_| !self.closing) {
            self.greet(now, form);
        }
    }

    /// Closes the link once what waits for it is sent. Nothing is heard or said on it any more.
    ///
    /// Not without a handshake: py2p never recovers from a listed peer that hangs up before its
    /// handshake (spec section 13, py2p 4).
    pub fn close(&mut self, now: Time, reason: CloseReason) {
        self.refuse_in(now, self.form(), reason);
    }

    /// Bytes have left the send queue.
    ///
    /// A peer that has taken a whole queue since it was full reads, however slowly: a large frame
    /// over a thin line takes its time.
    pub fn handle_flushed(&mut self, now: Time, bytes: usize) {
        self.queued = self.queued.saturating_sub(bytes);
        self.left_since = self.left_since.saturating_add(bytes);
        if !self.is_full() {
            self.full_since = None;
        } else if self.left_since >= self.local.config().send_queue {
            self.full_since = Some(now);
            self.left_since = 0;
        }
    }

    /// Takes in a message. What does not concern the link alone is handed back; before the
    /// handshake, a little of that is kept and comes as [`LinkOutput::Message`] afterwards.
    #[must_use]
    pub fn handle_message(&mut self, now: Time, message: Message) -> Option<Message> {
        self.on_sign_of_life(now);
        if self.closing {
            return None;
        }
        match message.kind() {
            MainFlag::Renegotiate => {
                self.on_renegotiate(now, &message);
                return None;
            }
            MainFlag::Ping if self.gathers() => {
                self.send_sign(now, MainFlag::Pong);
                return None;
            }
            MainFlag::Pong if self.gathers() => return None,
            _ => {}
        }
        if message.sub_flag() == Some(SubFlag::Handshake) && Handshake::is_in(&message) {
            // A relayed handshake would file this link under a stranger's id (spec section 13).
            if message.kind() == MainFlag::Whisper {
                self.on_handshake(now, &message);
            }
            return None;
        }
        if self.peer.is_some() {
            if message.sub_flag() == Some(SubFlag::Peers) {
                self.on_read(now);
            }
            return Some(message);
        }
        self.early.push(message);
        let bytes: usize = self.early.iter().map(|message| message.body().len()).sum();
        if self.early.len() > Self::MAX_EARLY || bytes > Self::MAX_EARLY_BYTES {
            self.close(now, CloseReason::TooEarly);
        }
        None
    }

    /// Something came that is no message for anybody, but a sign of life.
    pub fn handle_heard(&mut self, now: Time) {
        self.on_sign_of_life(now);
    }

    /// Acts on the deadlines that have passed.
    pub fn handle_timeout(&mut self, now: Time) {
        // What one deadline causes may set another for the same moment, where the configuration
        // leaves no time between the two.
        while self.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.on_deadline(now);
        }
    }

    /// The next deadline.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let config = self.local.config();
        if self.closing {
            None
        } else if self.peer.is_some() {
            let window = self.window.as_ref().and_then(|window| window.poll_timeout());
            let deadlines =
                [window, self.full_deadline(), self.idle_deadline(), self.ping_deadline()];
            deadlines.into_iter().flatten().min()
        } else {
            let handshake = self.opened + config.handshake;
            let form_wait = (!self.greeted).then(|| self.opened + config.form_wait);
            Some(form_wait.map_or(handshake, |form_wait| form_wait.min(handshake)))
        }
    }

    /// Whether there is something to do or to tell.
    pub(crate) fn has_output(&self) -> bool {
        !self.output.is_empty()
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

    fn on_sign_of_life(&mut self, now: Time) {
        self.last_heard = now;
        self.pinged = None;
    }

    /// A py2p peer has read what it was sent: sends what has waited for that.
    fn on_read(&mut self, now: Time) {
        let Some(window) = &mut self.window else { return };
        let released = window.on_read(now);
        self.output.extend(released.into_iter().map(LinkOutput::Send));
        self.ask_what_is_read(now);
    }

    fn ask_what_is_read(&mut self, now: Time) {
        let Some(window) = self.window.as_mut().filter(|window| window.wants_to_ask()) else {
            return;
        };
        window.on_asked(now);
        let payload = [SubFlag::Request.into(), self.form().value("*")];
        self.tell(now, MainFlag::Whisper, self.form(), &payload);
    }

    /// Acts on the first deadline, which has passed: greets, pings, or closes.
    fn on_deadline(&mut self, now: Time) {
        let config = self.local.config();
        let is_past = |deadline: Option<Time>| deadline.is_some_and(|deadline| deadline <= now);
        if self.peer.is_none() {
            if is_past(Some(self.opened + config.handshake)) {
                let seconds = config.handshake.as_secs();
                self.close(now, CloseReason::NoHandshake { seconds });
            } else {
                self.greet(now, self.local.usual_form());
            }
        } else if is_past(self.window.as_ref().and_then(|window| window.poll_timeout())) {
            self.on_read(now);
        } else if is_past(self.full_deadline()) {
            let (queued, limit) = (self.queued, config.send_queue);
            self.end(CloseReason::SlowReader { queued, limit });
        } else if is_past(self.idle_deadline()) || self.pinged.is_some() {
            let seconds = now.since(self.last_heard).as_secs();
            self.end(CloseReason::Idle { seconds });
        } else {
            self.pinged = Some(now);
            self.send_sign(now, MainFlag::Ping);
        }
    }

    fn full_deadline(&self) -> Option<Time> {
        self.full_since.map(|since| since + self.local.config().slow)
    }

    fn idle_deadline(&self) -> Option<Time> {
        self.local.config().idle.map(|idle| self.last_heard + idle)
    }

    /// When to ask an rs2p peer for a sign of life, or to give it up after that.
    fn ping_deadline(&self) -> Option<Time> {
        let keepalive = self.local.config().keepalive.filter(|_| self.gathers())?;
        // Counted from the ping itself: a node that has slept past both deadlines still gives the
        // peer time to answer.
        Some(self.pinged.unwrap_or(self.last_heard) + keepalive)
    }

    fn on_handshake(&mut self, now: Time, message: &Message) {
        let handshake = match Handshake::decode(message, &self.local.config().limits) {
            Ok(handshake) => handshake,
            Err(error) => return self.close(now, CloseReason::Handshake(error)),
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
            return self.end(CloseReason::IdentityChanged);
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
        self.is_rs2p = handshake.can(Capability::RS2P);
        let first = self.peer.replace(Arc::new(handshake)).is_none();
        if first {
            let is_py = self.form() == IdForm::Bin && !self.is_rs2p;
            self.window = is_py.then(Box::default);
            self.output.push_back(LinkOutput::Established);
            self.output.extend(self.early.drain(..).map(LinkOutput::Message));
            self.early = Vec::new();
        } else {
            self.output.push_back(LinkOutput::Repeated);
        }
    }

    /// Old peers renegotiate only when something has gone wrong between them, and py2p goes on
    /// with what it cannot read itself (spec section 8). py2p understands plain frames in any
    /// case, so from here on nothing else is sent, and nothing is answered. js2p never renegotiates.
    fn on_renegotiate(&mut self, now: Time, message: &Message) {
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
                    self.send(now, message.into());
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
            Ok(message) => self.send(now, message.into()),
            Err(error) => self.end(CloseReason::Limits(error)),
        }
    }

    /// A sign of life, or the wish for one, between rs2p nodes.
    fn send_sign(&mut self, now: Time, kind: MainFlag) {
        self.tell(now, kind, IdForm::Bin, &[]);
    }

    /// Sends a message about the link itself, whatever waits.
    fn tell(&mut self, now: Time, kind: MainFlag, form: IdForm, payload: &[Value]) {
        let local = &self.local;
        let (id, limits) = (local.id_text(), &local.config().limits);
        match Message::encode(kind, form, id, now.as_secs(), payload, limits) {
            Ok(message) => self.send(now, message.into()),
            Err(error) => self.end(CloseReason::Limits(error)),
        }
    }

    fn refuse_in(&mut self, now: Time, form: IdForm, reason: CloseReason) {
        if !self.greeted && !self.closing {
            self.greet(now, form);
        }
        self.end(reason);
    }

    fn end(&mut self, reason: CloseReason) {
        if !self.closing {
            self.closing = true;
            self.early = Vec::new();
            let held = self.window.take().map(|mut window| window.empty()).unwrap_or_default();
            self.output.extend(held.into_iter().map(LinkOutput::Send));
            self.output.push_back(LinkOutput::Close(reason));
        }
    }

    fn send(&mut self, now: Time, frame: OutFrame) {
        self.queue(now, frame.weight());
        self.output.push_back(LinkOutput::Send(frame));
    }

    fn queue(&mut self, now: Time, weight: usize) {
        self.queued += weight;
        if self.is_full() && self.full_since.is_none() {
            self.full_since = Some(now);
            self.left_since = 0;
        }
    }

    /// A frame is taken whatever its size when nothing else waits.
    fn is_full(&self) -> bool {
        self.queued > 0 && self.queued >= self.local.config().send_queue
    }

    /// Whether the peer may ask to repeat the last frame.
    fn repeats(&self) -> bool {
        !self.gathers()
    }
}
