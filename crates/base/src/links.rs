//! All links of a node.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rs2p_wire::{IdForm, Message, MessageError};

use crate::deadlines::Deadlines;
use crate::endpoint::Endpoint;
use crate::handshake::Handshake;
use crate::link::{Link, LinkOutput, QueueFull};
use crate::local_node::LocalNode;
use crate::machine::{CloseReason, DialError, DialId, Input, LinkId, Machine, Origin, Output};
use crate::out_frame::Fanout;
use crate::time::Time;
use crate::vec_map::VecMap;

/// The links of a node, as a machine: the lowest layer that a protocol of one's own can own.
///
/// It dials, shakes hands, keeps deadlines, and tells by [`LinkEvent`]s what concerns the layer
/// above. How many links there are is bounded by the driver.
///
/// A layer above feeds it every input and then takes its output: [`Output::Event`]s are for the
/// layer itself, everything else it passes on.
#[derive(Debug)]
pub struct Links {
    local: Arc<LocalNode>,
    links: VecMap<LinkId, Link>,
    /// Dials on their way, with the form in which the peer is known to write ids.
    dials: VecMap<DialId, Option<IdForm>>,
    next_dial: u64,
    deadlines: Deadlines<LinkId>,
    output: VecDeque<Output<LinkEvent>>,
}

/// What [`Links`] tell the layer above.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LinkEvent {
    /// The handshake on a link is done; [`Link::peer`] tells with whom.
    Established {
        /// Which link.
        link: LinkId,
    },
    /// The peer has repeated its handshake, maybe with news.
    Repeated {
        /// Which link.
        link: LinkId,
    },
    /// A message came from an established peer.
    Message {
        /// On which link.
        link: LinkId,
        /// What came.
        message: Message,
    },
    /// A good frame that holds no message came.
    Malformed {
        /// On which link.
        link: LinkId,
        /// What is wrong with it.
        error: MessageError,
    },
    /// A link is gone.
    Closed {
        /// Which.
        link: LinkId,
        /// Who opened it.
        origin: Origin,
        /// Where it led to.
        remote: Endpoint,
        /// With whom it was; nobody when the handshake was not done.
        peer: Option<Arc<Handshake>>,
        /// Why.
        reason: CloseReason,
    },
    /// A dial came to nothing.
    DialFailed {
        /// Which.
        dial: DialId,
        /// Why.
        error: DialError,
    },
}

impl Links {
    /// Peers that are heard at about the same time are thought of at the same time.
    const SOON: Duration = Duration::from_secs(1);

    /// No links yet.
    #[must_use]
    pub fn new(local: Arc<LocalNode>) -> Self {
        Self {
            local,
            links: VecMap::new(),
            dials: VecMap::new(),
            next_dial: 0,
            deadlines: Deadlines::new(),
            output: VecDeque::new(),
        }
    }

    /// This node.
    #[must_use]
    pub fn local(&self) -> &Arc<LocalNode> {
        &self.local
    }

    /// Opens a link. `form`: how the peer writes ids, when it is known from before.
    pub fn dial(&mut self, to: Endpoint, form: Option<IdForm>) -> DialId {
        let dial = DialId(self.next_dial);
        self.next_dial += 1;
        self.dials.insert(dial, form);
        self.output.push_back(Output::Dial { dial, to });
        dial
    }

    /// Gives up a dial; of one that is through already, closes the link.
    pub fn cancel_dial(&mut self, now: Time, dial: DialId) {
        if self.dials.remove(&dial).is_some() {
            self.output.push_back(Output::CancelDial { dial });
        }
        let opened = self.links.values().find(|link| link.origin() == Origin::Dialled(dial));
        if let Some(id) = opened.map(|link| link.id()) {
            self.close(now, id, CloseReason::Requested);
        }
    }

    /// A link.
    #[must_use]
    pub fn get(&self, link: LinkId) -> Option<&Link> {
        self.links.get(&link)
    }

    /// All links, those without a handshake yet included, in the order in which they were opened.
    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// How many links there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Dials on their way.
    #[must_use]
    pub fn dialling(&self) -> usize {
        self.dials.len()
    }

    /// Sends a message, whatever waits before it. Without effect on a link that is gone or closing.
    pub fn send(&mut self, now: Time, link: LinkId, fanout: &mut Fanout) {
        if let Some(output) = self.frame(now, link, fanout) {
            self.output.push_back(output);
        }
    }

    /// As [`send`](Self::send), with the frame put straight behind `output`: the short way past the
    /// queue, for a layer that passes everything on in turn. Nothing that was told before may wait.
    pub fn send_by<E>(
        &mut self,
        now: Time,
        link: LinkId,
        fanout: &mut Fanout,
        output: &mut VecDeque<Output<E>>,
    ) {
        if !self.output.is_empty() {
            return self.send(now, link, fanout);
        }
        if let Some(frame) = self.frame(now, link, fanout) {
            output.push_back(frame);
        }
    }

    /// Sends a message of this node's own, unless the link has enough to do.
    ///
    /// # Errors
    /// The link's send queue is full; nothing was sent.
    pub fn try_send(
        &mut self,
        now: Time,
        link: LinkId,
        fanout: &mut Fanout,
    ) -> Result<(), QueueFull> {
        if let Some(via) = Self::live(&mut self.links, link) {
            via.check_room()?;
        }
        self.send(now, link, fanout);
        Ok(())
    }

    /// Closes a link once what waits for it is sent. [`LinkEvent::Closed`] follows.
    pub fn close(&mut self, now: Time, link: LinkId, reason: CloseReason) {
        let Some(closing) = self.links.get_mut(&link) else { return };
        closing.close(now, reason);
        self.drain(link);
    }

    /// Sends this node's handshake once more: see [`Link::greet_again`].
    pub fn greet_again(&mut self, now: Time, link: LinkId) {
        let Some(via) = self.links.get_mut(&link) else { return };
        via.greet_again(now);
        self.drain(link);
    }

    /// Asks a peer whom it knows: see [`Link::ask_for_peers`].
    pub fn ask_for_peers(&mut self, now: Time, link: LinkId) {
        let Some(via) = self.links.get_mut(&link) else { return };
        via.ask_for_peers(now);
        self.drain(link);
    }

    /// Takes in a message, and gives it back when it is for the layer above: the short way past
    /// the queue, for a layer that looks at [`Input::Message`] itself.
    pub fn handle_message(&mut self, now: Time, link: LinkId, message: Message) -> Option<Message> {
        // Hearing from a peer only puts its deadlines off: they are looked at again when due.
        let from = self.links.get_mut(&link)?;
        let message = from.handle_message(now, message);
        if message.is_none() || from.has_more_to_do() {
            self.drain(link);
        }
        message
    }

    /// Bytes have left a link's send queue: [`Input::Flushed`], of which there is nothing to tell.
    pub fn handle_flushed(&mut self, now: Time, link: LinkId, bytes: usize) {
        if let Some(link) = self.links.get_mut(&link) {
            link.handle_flushed(now, bytes);
        }
    }

    /// A peer is alive: [`Input::Heard`], of which there is nothing to tell.
    pub fn handle_heard(&mut self, now: Time, link: LinkId) {
        if let Some(from) = Self::live(&mut self.links, link) {
            from.handle_heard(now);
        }
    }

    /// A link that is there to stay.
    fn live(links: &mut VecMap<LinkId, Link>, link: LinkId) -> Option<&mut Link> {
        links.get_mut(&link).filter(|link| !link.is_closing())
    }

    fn frame<E>(&mut self, now: Time, link: LinkId, fanout: &mut Fanout) -> Option<Output<E>> {
        let via = Self::live(&mut self.links, link)?;
        let had_room = via.check_room().is_ok();
        let Some(frame) = via.frame(now, fanout) else {
            self.drain(link);
            return None;
        };
        let gather = via.gathers();
        if had_room && via.check_room().is_err() {
            self.deadlines.set(link, via.poll_timeout());
        }
        Some(Output::Send { link, frame, gather })
    }

    fn drain(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        while let Some(output) = link.poll_output() {
            self.output.push_back(match output {
                LinkOutput::Send(frame) => Output::Send { link: id, frame, gather: link.gathers() },
                LinkOutput::Close(reason) => Output::Close { link: id, reason },
                LinkOutput::Established => Output::Event(LinkEvent::Established { link: id }),
                LinkOutput::Repeated => Output::Event(LinkEvent::Repeated { link: id }),
                LinkOutput::Message(message) => {
                    Output::Event(LinkEvent::Message { link: id, message })
                }
            });
        }
        self.deadlines.set(id, link.poll_timeout());
    }
}

impl Machine for Links {
    type Event = LinkEvent;

    fn handle_input(&mut self, now: Time, input: Input) {
        match input {
            Input::Opened { link, origin, remote } => {
                let form = match origin {
                    Origin::Dialled(dial) => self.dials.remove(&dial).flatten(),
                    Origin::Accepted => None,
                };
                let opened = Link::open(now, link, origin, remote, self.local.clone(), form);
                self.links.insert(link, opened);
                self.drain(link);
            }
            Input::DialFailed { dial, error } => {
                if self.dials.remove(&dial).is_some() {
                    self.output.push_back(Output::Event(LinkEvent::DialFailed { dial, error }));
                }
            }
            Input::Message { link, message } => {
                if let Some(message) = self.handle_message(now, link, message) {
                    self.output.push_back(Output::Event(LinkEvent::Message { link, message }));
                }
            }
            Input::Malformed { link, error } => {
                if let Some(from) = Self::live(&mut self.links, link) {
                    from.handle_heard(now);
                    self.output.push_back(Output::Event(LinkEvent::Malformed { link, error }));
                }
            }
            Input::Heard { link } => {
                self.handle_heard(now, link);
            }
            Input::Flushed { link, bytes } => self.handle_flushed(now, link, bytes),
            Input::Closed { link: id, reason } => {
                let Some(link) = self.links.remove(&id) else { return };
                self.deadlines.set(id, None);
                self.output.push_back(Output::Event(LinkEvent::Closed {
                    link: id,
                    origin: link.origin(),
                    remote: link.remote().clone(),
                    peer: link.into_peer(),
                    reason,
                }));
            }
            Input::Datagram { .. } => {}
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        if self.deadlines.next().is_none_or(|deadline| deadline > now) {
            return;
        }
        while let Some(id) = self.deadlines.pop_due(now) {
            if let Some(link) = self.links.get_mut(&id) {
                link.handle_timeout(now);
            }
            self.drain(id);
        }
        // Deadlines that were put off meanwhile need no timeout of their own to find that out.
        let soon: Vec<LinkId> = self.deadlines.until(now + Self::SOON).collect();
        for id in soon {
            if let Some(link) = self.links.get(&id) {
                self.deadlines.set(id, link.poll_timeout());
            }
        }
    }

    fn poll_output(&mut self) -> Option<Output<LinkEvent>> {
        let output = self.output.pop_front();
        // A node has nothing to do most of the time.
        if self.output.is_empty() && self.output.capacity() > 0 {
            self.output = VecDeque::new();
        }
        output
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.deadlines.next()
    }
}
