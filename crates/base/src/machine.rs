//! The interface between a protocol and whatever drives it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use rs2p_wire::{EncodeError, FrameError, Message, MessageError, MessageId};
use thiserror::Error;

use crate::endpoint::Endpoint;
use crate::handshake::HandshakeError;
use crate::out_frame::OutFrame;
use crate::time::Time;

/// A protocol without clock, socket, thread or global randomness.
///
/// Inputs and the current time go in; outputs, events and the next deadline come out. The same
/// inputs give the same outputs, always, so one machine runs on real sockets and in the simulator.
/// A user's operations are ordinary methods of the machine.
///
/// The contract between a machine and its driver:
///
/// - Output waits in the machine until it is taken; two inputs in a row are harmless. After each
///   `handle_*` call or operation the driver takes output until there is none.
/// - `now` never goes backwards. The driver calls [`handle_timeout`](Self::handle_timeout) once
///   the time told by [`poll_timeout`](Self::poll_timeout) has come; afterwards the next deadline
///   lies later than `now`.
/// - Each [`Input::Opened`] is followed by exactly one [`Input::Closed`] for that link, which is
///   the last the machine hears of it. This holds for links that the machine itself closes, too:
///   after [`Output::Close`] only `Closed` follows, so cleaning up has one place.
/// - Each [`Output::Dial`] is answered by one [`Input::Opened`] or [`Input::DialFailed`], unless
///   it is cancelled.
/// - A peer that breaks the protocol is an output ([`Output::Close`] with a reason), never an
///   error for the driver to interpret.
pub trait Machine {
    /// What the machine tells its user.
    type Event;

    /// Takes in what happened outside.
    fn handle_input(&mut self, now: Time, input: Input);

    /// Acts on the deadlines that have passed.
    fn handle_timeout(&mut self, now: Time);

    /// The next thing to do or to tell.
    #[must_use]
    fn poll_output(&mut self) -> Option<Output<Self::Event>>;

    /// The next deadline, found in constant time.
    fn poll_timeout(&self) -> Option<Time>;

    /// Whether a frame that claims this id may be dropped before it is even hashed, because a
    /// message of this id has been verified and handled already.
    fn is_duplicate(&self, _claimed: &MessageId) -> bool {
        false
    }

    /// The request that this event completes, if any.
    fn completes(_event: &Self::Event) -> Option<RequestId> {
        None
    }
}

/// A link, for as long as it lives. The driver numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// An attempt to open a link. The machine numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// An operation whose result comes as an event. The machine numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.0)
    }
}

/// Who opened a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This node, by this [`Output::Dial`].
    Dialled(DialId),
    /// The peer.
    Accepted,
}

impl Origin {
    /// Whether this node opened it.
    #[must_use]
    pub fn is_outgoing(self) -> bool {
        matches!(self, Self::Dialled(_))
    }
}

/// What a driver tells a machine.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// A byte stream to a peer is open, in both directions.
    Opened {
        /// Its number from now on.
        link: LinkId,
        /// Who opened it.
        origin: Origin,
        /// The address at the other end; for an accepted link usually not one to dial.
        remote: Endpoint,
    },
    /// A dial came to nothing.
    DialFailed {
        /// Which.
        dial: DialId,
        /// Why.
        error: DialError,
    },
    /// A verified message came. The tokio driver has [checked](Message::checked) it as well.
    Message {
        /// On which link.
        link: LinkId,
        /// What came.
        message: Message,
    },
    /// A verified frame came that holds no message, or none that every node could read. The stream
    /// goes on.
    Malformed {
        /// On which link.
        link: LinkId,
        /// What is wrong with it.
        error: MessageError,
    },
    /// Part of a large frame came, or what was dropped unread: the peer is alive. Told once a
    /// second at most.
    Heard {
        /// On which link.
        link: LinkId,
    },
    /// Bytes have left for the network and no longer wait in the link's send queue. A large frame
    /// leaves in parts.
    Flushed {
        /// On which link.
        link: LinkId,
        /// How many, as [`OutFrame::weight`] counts them; over all parts of a frame its weight.
        bytes: usize,
    },
    /// A link is gone.
    Closed {
        /// Which.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
    /// A datagram came.
    Datagram {
        /// From where.
        from: SocketAddr,
        /// What came.
        data: Bytes,
    },
}

/// What a machine tells its driver to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Output<E> {
    /// Open a link.
    Dial {
        /// The machine's number for the attempt.
        dial: DialId,
        /// Where to.
        to: Endpoint,
    },
    /// Give up a dial; nothing more is to be heard of it.
    CancelDial {
        /// Which.
        dial: DialId,
    },
    /// Put a frame into a link's send queue.
    Send {
        /// Which link.
        link: LinkId,
        /// What to send.
        frame: OutFrame,
        /// Whether it may share a write with its neighbours. Old peers stumble over some bursts
        /// (spec, py2p defects 2 and 11), so they get each frame in a write of its own.
        gather: bool,
    },
    /// Close a link once its send queue is empty.
    Close {
        /// Which.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
    /// Send a datagram. It may get lost.
    Datagram {
        /// Where to.
        to: SocketAddr,
        /// What to send.
        data: Bytes,
    },
    /// Tell the user.
    Event(E),
}

impl<E> Output<E> {
    /// Tells a layer's event, which is for the layer above it alone, from output that the layer
    /// above passes on as it is.
    ///
    /// # Errors
    /// It is output to pass on.
    pub fn into_event<F>(self) -> Result<E, Output<F>> {
        Err(match self {
            Self::Event(event) => return Ok(event),
            Self::Dial { dial, to } => Output::Dial { dial, to },
            Self::CancelDial { dial } => Output::CancelDial { dial },
            Self::Send { link, frame, gather } => Output::Send { link, frame, gather },
            Self::Close { link, reason } => Output::Close { link, reason },
            Self::Datagram { to, data } => Output::Datagram { to, data },
        })
    }
}

/// Why a dial came to nothing.
#[derive(Clone, Debug, Error)]
#[error("cannot reach {to}: {text}")]
pub struct DialError {
    /// Where to.
    pub to: Endpoint,
    /// What kind of failure; [`io::ErrorKind::TimedOut`] when the driver gave up.
    pub kind: io::ErrorKind,
    /// The failure in words.
    pub text: Arc<str>,
}

impl DialError {
    /// The failure of one attempt.
    #[must_use]
    pub fn new(to: Endpoint, error: &io::Error) -> Self {
        Self { to, kind: error.kind(), text: error.to_string().into() }
    }
}

/// Why a link ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// This node's user, or a layer, wanted it so.
    #[error("closed by this node")]
    Requested,
    /// This node is shutting down.
    #[error("this node is shutting down")]
    Shutdown,
    /// The peer closed its end between two frames.
    #[error("closed by the peer")]
    PeerClosed,
    /// The peer closed its end within a frame.
    #[error("closed by the peer within a frame, {bytes} bytes into it")]
    PeerClosedInFrame {
        /// Bytes of the unfinished frame that came.
        bytes: usize,
    },
    /// The transport failed.
    #[error("connection lost: {0}")]
    Io(Arc<str>),
    /// The peer sent what is no frame.
    #[error("the peer broke the framing: {0}")]
    Frame(#[from] FrameError),
    /// The peer began a frame and did not go on.
    #[error("the peer left a frame unfinished for {seconds} s")]
    Stalled {
        /// How long nothing came.
        seconds: u64,
    },
    /// The peer reads slower than it is sent to, and the send queue is full.
    #[error("the peer reads too slowly: {queued} bytes wait, the limit is {limit}")]
    SlowReader {
        /// Bytes in the queue.
        queued: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// No handshake came in time.
    #[error("no handshake within {seconds} s")]
    NoHandshake {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The peer's handshake makes no sense.
    #[error("bad handshake: {0}")]
    Handshake(#[from] HandshakeError),
    /// The peer belongs to another network.
    #[error("the peer's network is {theirs}, this node's is {ours}: other subnet or transport")]
    OtherNetwork {
        /// This node's protocol id.
        ours: Arc<str>,
        /// The peer's protocol id.
        theirs: Arc<str>,
    },
    /// The peer is this node itself, dialled by way of one of its own addresses.
    #[error("this node has reached itself")]
    Itself,
    /// The peer came with another id than before.
    #[error("the peer changed its id")]
    IdentityChanged,
    /// The peer sent more before its handshake than is kept for later.
    #[error("the peer sent more than 8 frames or 64 KiB before its handshake")]
    TooEarly,
    /// This node's own limits are too tight for a handshake.
    #[error("this node's limits leave no room for a handshake: {0}")]
    Limits(EncodeError),
    /// Nothing came for as long as the configuration allows.
    #[error("nothing came for {seconds} s")]
    Idle {
        /// How long nothing came.
        seconds: u64,
    },
    /// There are peers enough.
    #[error("there are peers enough here; the peers list says who else there is")]
    Full,
    /// There are links enough, and another node has taken this one's place.
    #[error("another node has taken its place")]
    Exchanged,
    /// There is another link to the same node.
    #[error("another link to the same node is kept")]
    Surplus,
}
