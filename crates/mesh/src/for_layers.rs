//! What layers above need beyond what users do: messages written piece by piece, and a say in whom
//! they go to.

use rs2p_base::{Fanout, Link, LinkId, Machine, NodeId, QueueFull, Time};
use rs2p_wire::{IdForm, MainFlag, Message, MessageWriter, SubFlag, Value};

use crate::error::SendError;
use crate::event::{MeshEvent, Receipt, Received};
use crate::exchange::is_js;
use crate::machine::Mesh;
use crate::messages::payload;

/// Which implementation a peer runs, as its handshake shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// rs2p.
    Rs2p,
    /// py2p, or another that writes ids as binary.
    Py2p,
    /// js2p, or another that writes ids as text.
    Js2p,
}

/// A machine that has a mesh: the mesh itself, and every layer over it that lets its user say
/// things to peers.
pub trait OverMesh: Machine<Event: Clone + Send + 'static> + Send + 'static {
    /// Its mesh.
    fn mesh(&self) -> &Mesh;

    /// Does something with its mesh, and acts on what follows.
    fn with_mesh<R>(&mut self, now: Time, act: impl FnOnce(&mut Mesh) -> R) -> R;

    /// What its mesh has told, if the event is of that kind.
    fn mesh_event(event: &Self::Event) -> Option<&MeshEvent>;
}

impl OverMesh for Mesh {
    fn mesh(&self) -> &Mesh {
        self
    }

    fn with_mesh<R>(&mut self, _: Time, act: impl FnOnce(&mut Mesh) -> R) -> R {
        act(self)
    }

    fn mesh_event(event: &MeshEvent) -> Option<&MeshEvent> {
        Some(event)
    }
}

impl PeerKind {
    pub(crate) fn of(link: &Link) -> Self {
        match link.form() {
            _ if link.gathers() => Self::Rs2p,
            IdForm::Str if is_js(link) => Self::Js2p,
            _ => Self::Py2p,
        }
    }
}

impl Mesh {
    /// Sends a message of a layer's own to every node of the network. There it is told as
    /// [`Unclaimed`](crate::MeshEvent::Unclaimed). Sub-flags of applications lie outside
    /// [`RESERVED`](rs2p_wire::RESERVED).
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub fn broadcast_as(
        &mut self,
        now: Time,
        sub_flag: SubFlag,
        packets: impl IntoIterator<Item = Value>,
    ) -> Result<Receipt, SendError> {
        self.broadcast_payload(now, MainFlag::Broadcast, &payload(sub_flag, packets))
    }

    /// A broadcast of this node's own, whose payload has so many elements and takes about so many
    /// bytes; the first element is the sub-flag. `time` is in seconds since the Unix epoch: usually
    /// that of [`network_time`](Self::network_time).
    #[must_use]
    pub fn begin_broadcast(&self, time: u64, elements: usize, bytes: usize) -> MessageWriter {
        let (kind, form) = (MainFlag::Broadcast, self.broadcast_form);
        MessageWriter::with_room(bytes, kind, form, self.local().id_text(), time, elements)
    }

    /// How this node writes its id in broadcasts now: it goes by who its peers are.
    #[must_use]
    pub fn broadcast_form(&self) -> IdForm {
        self.broadcast_form
    }

    /// Sends a broadcast that [`begin_broadcast`](Self::begin_broadcast) began, to the peers for
    /// which `may` holds. It is for the caller to [`check_room`](Self::check_room) before. Without
    /// peers it goes nowhere.
    ///
    /// # Errors
    /// The message is over a limit, or not every node could read it. Nothing was sent then.
    pub fn finish_broadcast(
        &mut self,
        now: Time,
        writer: MessageWriter,
        may: impl Fn(NodeId, PeerKind) -> bool,
    ) -> Result<Receipt, SendError> {
        let limits = self.local().config().limits;
        let message = writer.finish(&limits)?;
        message.check(&limits).map_err(SendError::Unreadable)?;
        let message = self.distinct(now, message)?;
        let id = message.id();
        let peers = self.flood_where(now, message, None, may);
        self.counts.sent += 1;
        self.drain(now);
        Ok(Receipt { id, peers })
    }

    /// Passes on a broadcast of a sub-flag that the configuration
    /// [leaves to the layer above](crate::MeshConfig::relayed_above), to the peers for which `may`
    /// holds. Its author and the peer it came from do not get it. What came as anything but a
    /// broadcast stays here.
    pub fn relay_where(
        &mut self,
        now: Time,
        received: &Received,
        may: impl Fn(NodeId, PeerKind) -> bool,
    ) {
        if received.kind() == MainFlag::Broadcast {
            self.counts.relayed += 1;
            let from = Some(received.neighbour());
            self.flood_where(now, received.message().clone(), from, may);
            self.drain(now);
        }
    }

    /// A message to one peer, in the form in which that peer writes ids. See
    /// [`begin_broadcast`](Self::begin_broadcast). `None`: there is no such link.
    #[must_use]
    pub fn begin_whisper(
        &self,
        now: Time,
        link: LinkId,
        elements: usize,
        bytes: usize,
    ) -> Option<MessageWriter> {
        let form = self.links.get(link).map(Link::form)?;
        Some(self.whisper_writer(now, form, elements, bytes))
    }

    /// As [`begin_whisper`](Self::begin_whisper), in another author's name and of that time: to
    /// tell a peer once more what it has missed.
    #[must_use]
    pub fn begin_repeat(
        &self,
        (author, form): (&str, IdForm),
        time: u64,
        elements: usize,
        bytes: usize,
    ) -> MessageWriter {
        MessageWriter::with_room(bytes, MainFlag::Whisper, form, author, time, elements)
    }

    /// Sends one peer a message that [`begin_whisper`](Self::begin_whisper) began, whatever waits
    /// before it: see [`room_on`](Self::room_on).
    ///
    /// # Errors
    /// The message is over a limit, or not every node could read it.
    pub fn finish_whisper(
        &mut self,
        now: Time,
        link: LinkId,
        writer: MessageWriter,
    ) -> Result<(), SendError> {
        let limits = self.local().config().limits;
        let message = writer.finish(&limits)?;
        if self.links.get(link).is_some_and(|link| !link.gathers()) {
            message.check(&limits).map_err(SendError::Unreadable)?;
        }
        self.links.send(now, link, &mut Fanout::new(message));
        self.drain(now);
        Ok(())
    }

    /// What this node whispers to each new peer, after its handshake and before its peers list, from
    /// now on: a payload that begins with its sub-flag. Some old nodes must know of it before they
    /// read the list. An empty one says nothing.
    pub fn set_greeting(&mut self, payload: Vec<Value>) {
        self.greeting = payload;
    }

    /// Says the greeting to all peers, who were told another one before.
    pub fn greet_all(&mut self, now: Time) {
        let links: Vec<LinkId> = self.peers.values().map(|peer| peer.link).collect();
        for link in links {
            self.greet(now, link);
        }
        self.drain(now);
    }

    pub(crate) fn greet(&mut self, now: Time, link: LinkId) {
        let Some(form) = self.links.get(link).map(Link::form) else { return };
        if self.greeting.is_empty() {
            return;
        }
        match self.encode(now, MainFlag::Whisper, form, &self.greeting) {
            Ok(message) => self.links.send(now, link, &mut Fanout::new(message)),
            Err(error) => self.problems.note(now, error),
        }
    }

    /// Sends a message of another node's on as it is, to one peer, whatever waits before it: see
    /// [`room_on`](Self::room_on).
    pub fn pass_on(&mut self, now: Time, to: NodeId, received: &Received) {
        let Some(link) = self.link_to(to) else { return };
        self.links.send(now, link, &mut Fanout::new(received.message().clone()));
        self.drain(now);
    }

    /// Whether a peer has not enough to read yet.
    ///
    /// # Errors
    /// It has; [`Input::Flushed`](rs2p_base::Input::Flushed) comes when some of it has left.
    pub fn room_on(&self, link: LinkId) -> Result<(), QueueFull> {
        self.links.get(link).map_or(Ok(()), Link::check_room)
    }

    /// How many peers it goes to.
    fn flood_where(
        &mut self,
        now: Time,
        message: Message,
        from: Option<NodeId>,
        may: impl Fn(NodeId, PeerKind) -> bool,
    ) -> usize {
        let mut fanout = Fanout::new(message);
        let mut count = 0;
        for (id, peer) in self.peers.iter() {
            let kind = self.links.get(peer.link).map(PeerKind::of);
            let may = kind.is_some_and(|kind| may(*id, kind));
            if may && Some(*id) != from && !peer.is_named(*id, fanout.message().sender()) {
                self.links.send_by(now, peer.link, &mut fanout, &mut self.output);
                count += 1;
            }
        }
        count
    }
}
