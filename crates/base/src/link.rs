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

mod timing;

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
    local: Arc<LocalNode>,
    last_heard: Time,
    peer: Option<Arc<Handshake>>,
    queued: usize,
    /// Whether the peer has been sent a handshake that it understands, whatever it is.
    greeted: bool,
    closing: bool,
    /// Whether the peer has announced that it is an rs2p node.
    is_rs2p: bool,
    /// How the peer writes ids, as far as is known.
    form: IdForm,
    /// The method used towards the peer.
    compression: Option<Compression>,
    /// Whether the peer was asked for a sign of life, and has not been heard since.
    is_pinged: bool,
    /// By how many seconds the peer's clock is ahead of this node's.
    ahead: Option<i32>,
    /// Whether the send queue is full.
    was_full: bool,
    /// Whether there is a window.
    has_window: bool,
    seldom: Box<Seldom>,
}

/// What most messages on a link do without: the rest lies close together, for nodes with many links
/// and simulations of many nodes.
#[derive(Debug)]
struct Seldom {
    origin: Origin,
    remote: Endpoint,
    opened: Time,
    /// What came before the handshake.
    early: Vec<Message>,
    /// When the peer was last asked for a sign of life.
    pinged: Time,
    /// Since when the send queue has been full, if it is.
    full_since: Time,
    /// Bytes that have left since then.
    left_since: usize,
    /// For a py2p peer: what it cannot be sent yet.
    window: Option<Box<Window>>,
    /// What to repeat when an old peer asks for it.
    last_sent: Option<Box<Message>>,
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
            form: local.usual_form(),
            local,
            last_heard: now,
            peer: None,
            queued: 0,
            greeted: false,
            closing: false,
            is_rs2p: false,
            compression: None,
            is_pinged: false,
            ahead: None,
            was_full: false,
            has_window: false,
            seldom: Box::new(Seldom {
                origin,
                remote,
                opened: now,
                early: Vec::new(),
                pinged: now,
                full_since: now,
                left_since: 0,
                window: None,
                last_sent: None,
                output: VecDeque::new(),
            }),
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
        self.seldom.origin
    }

    /// The address at the other end; for an accepted link usually not one to dial.
    #[must_use]
    pub fn remote(&self) -> &Endpoint {
        &self.seldom.remote
    }

    /// When it was opened.
    #[must_use]
    pub fn opened(&self) -> Time {
        self.seldom.opened
    }

    /// When something last came.
    #[must_use]
    pub fn last_heard(&self) -> Time {
        self.last_heard
    }

    /// By how many seconds the peer's clock is ahead of this node's, by what it wrote last to this
    /// node alone. A peer can write what it likes.
    #[must_use]
    pub fn ahead(&self) -> Option<i64> {
        self.ahead.map(i64::from)
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
        self.form
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
        if self.repeats() {
            self.keep_to_repeat(fanout.message());
        }
        // js2p takes a plain frame for a zlib stream when its digest happens to begin like one, and
        // unpacks it without checking: it drops the link then, or hangs.
        let is_js = self.form() == IdForm::Str && !self.gathers();
        let frame = if is_js {
            fanout.compressed_frame(self.compression)
        } else {
            fanout.frame(self.compression)
        };
        self.queue(now, frame.weight());
        if !self.has_window {
            return Some(frame);
        }
        let Some(window) = &mut self.seldom.window else { return Some(frame) };
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
        if self.peer.is_some() && !self.closing {
            self.greet(now, self.form);
        }
    }

    /// Asks the peer whom it knows. py2p tells by the same answer what it has read, and answers do not
    /// say to which question they belong: it is asked once at a time.
    pub fn ask_for_peers(&mut self, now: Time) {
        let is_open = self.peer.is_some() && !self.closing;
        let is_asked = self.seldom.window.as_ref().is_some_and(|window| window.is_asked());
        if is_open && !is_asked {
            self.ask(now);
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
        if !self.was_full {
            return;
        }
        self.was_full = self.is_full();
        self.seldom.left_since = self.seldom.left_since.saturating_add(bytes);
        if self.seldom.left_since >= self.local.config().send_queue {
            self.seldom.full_since = now;
            self.seldom.left_since = 0;
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
        // A broadcast may be another node's, and old.
        if message.kind() != MainFlag::Broadcast {
            let written = i64::try_from(message.time()).unwrap_or(i64::MAX);
            let ahead = written.saturating_sub_unsigned(now.as_secs());
            self.ahead =
                Some(i32::try_from(ahead).unwrap_or(if ahead < 0 { i32::MIN } else { i32::MAX }));
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
            if message.sub_flag() == Some(SubFlag::Peers)
                && self.seldom.window.as_mut().is_some_and(|window| window.is_answer())
            {
                self.on_read(now);
            }
            return Some(message);
        }
        let early = &mut self.seldom.early;
        early.push(message);
        let bytes: usize = early.iter().map(|message| message.body().len()).sum();
        if early.len() > Self::MAX_EARLY || bytes > Self::MAX_EARLY_BYTES {
            self.close(now, CloseReason::TooEarly);
        }
        None
    }

    /// Something came that is no message for anybody, but a sign of life.
    pub fn handle_heard(&mut self, now: Time) {
        self.on_sign_of_life(now);
    }

    /// Whether there is something to do or to tell besides a message that was handed back.
    pub(crate) fn has_more_to_do(&self) -> bool {
        // It can only be about what waits for a py2p peer.
        (self.has_window || self.closing) && !self.seldom.output.is_empty()
    }

    /// The next thing to do or to tell.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<LinkOutput> {
        let output = self.seldom.output.pop_front();
        if self.seldom.output.is_empty() {
            self.seldom.output = VecDeque::new();
        }
        output
    }

    fn on_sign_of_life(&mut self, now: Time) {
        self.last_heard = now;
        self.is_pinged = false;
    }

    /// A py2p peer has read what it was sent: sends what has waited for that.
    fn on_read(&mut self, now: Time) {
        let Some(window) = &mut self.seldom.window else { return };
        let released = window.on_read(now);
        self.seldom.output.extend(released.into_iter().map(LinkOutput::Send));
        self.ask_what_is_read(now);
    }

    fn ask_what_is_read(&mut self, now: Time) {
        if self.seldom.window.as_ref().is_some_and(|window| window.wants_to_ask()) {
            self.ask(now);
        }
    }

    fn ask(&mut self, now: Time) {
        if let Some(window) = &mut self.seldom.window {
            window.on_asked(now);
        }
        // py2p understands the star as binary only (spec section 13, py2p 1).
        let payload = [SubFlag::Request.into(), self.form().value("*")];
        self.tell(now, MainFlag::Whisper, self.form(), &payload);
    }

    fn on_handshake(&mut self, now: Time, message: &Message) {
        let mut handshake = match Handshake::decode(message, &self.local.config().limits) {
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
        let opened_to_rs2p = self.origin().is_outgoing() && handshake.can(Capability::RS2P);
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
        self.form = handshake.form;
        if !self.repeats() {
            self.seldom.last_sent = None;
        }
        self.local.share_with(&mut handshake);
        let first = self.peer.replace(Arc::new(handshake)).is_none();
        if first {
            self.has_window = self.form == IdForm::Bin && !self.is_rs2p;
            self.seldom.window = self.has_window.then(Box::default);
            self.seldom.output.push_back(LinkOutput::Established);
            let early = std::mem::take(&mut self.seldom.early);
            self.seldom.output.extend(early.into_iter().map(LinkOutput::Message));
        } else {
            self.seldom.output.push_back(LinkOutput::Repeated);
        }
    }

    /// Old peers renegotiate only when something has gone wrong between them, and py2p goes on
    /// with what it cannot read itself (spec section 8). py2p understands plain frames in any
    /// case, so from here on nothing else is sent, and nothing is answered. js2p never renegotiates.
    fn on_renegotiate(&mut self, now: Time, message: &Message) {
        match message.sub_flag() {
            Some(SubFlag::Compression) => {
                let payload = message.elements(&self.local.config().limits);
                let list = payload.ok().and_then(|mut payload| payload.nth(1)?.as_array());
                if let (Some(peer), Some(list)) = (&mut self.peer, list) {
                    Arc::make_mut(peer).methods = Handshake::read_list(list).collect();
                }
                self.compression = None;
            }
            Some(SubFlag::Resend) => {
                self.compression = None;
                // Once for each frame, so that two peers cannot keep each other busy.
                if let Some(message) = self.seldom.last_sent.take() {
                    self.send(now, (*message).into());
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
            self.has_window = false;
            let Seldom { early, window, output, .. } = &mut *self.seldom;
            *early = Vec::new();
            let held = window.take().map(|mut window| window.empty()).unwrap_or_default();
            output.extend(held.into_iter().map(LinkOutput::Send));
            output.push_back(LinkOutput::Close(reason));
        }
    }

    fn send(&mut self, now: Time, frame: OutFrame) {
        self.queue(now, frame.weight());
        self.seldom.output.push_back(LinkOutput::Send(frame));
    }

    fn queue(&mut self, now: Time, weight: usize) {
        self.queued += weight;
        if self.is_full() && !self.was_full {
            self.was_full = true;
            self.seldom.full_since = now;
            self.seldom.left_since = 0;
        }
    }

    /// A frame is taken whatever its size when nothing else waits.
    fn is_full(&self) -> bool {
        self.queued > 0 && self.queued >= self.local.config().send_queue
    }

    fn keep_to_repeat(&mut self, message: &Message) {
        // One that is too large takes the place of the one before all the same: repeating an older
        // frame could undo what the last one did.
        if message.frame().plain().len() > Self::MAX_REPEATED {
            self.seldom.last_sent = None;
            return;
        }
        let message = message.clone();
        match &mut self.seldom.last_sent {
            Some(last_sent) => **last_sent = message,
            None => self.seldom.last_sent = Some(Box::new(message)),
        }
    }

    /// Whether the peer may ask to repeat the last frame.
    fn repeats(&self) -> bool {
        !self.gathers()
    }
}
