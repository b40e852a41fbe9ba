//! One end of a link in virtual time, with the real codec before it.
//!
//! An [`End`] does what a driver does for a link, and holds the link to its contract on the way:
//! deadlines lie ahead once they have been served, and a closed link says nothing more.

use bytes::BytesMut;
use rs2p_base::{
    CloseReason, Endpoint, Handshake, Link, LinkId, LinkOutput, LocalNode, Origin, OutFrame, Time,
};
use rs2p_wire::{Compression, FrameError, IdForm, Limits, Message, MessageError, RawFrame};
use std::sync::Arc;

/// When every link of the tests opens: the second in which the reference transcripts begin.
pub(crate) const START: Time = Time::from_secs(1_795_301_952);

/// What an [`End`] tells of its link, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Established,
    Repeated,
    /// Handed up, at once or after it was kept.
    Message(Message),
    /// A good frame without a message in it; the link was not asked.
    Malformed(MessageError),
    Closed(CloseReason),
}

/// A link, its deadlines, and the stream that comes in on it.
pub(crate) struct End {
    pub(crate) link: Link,
    pub(crate) told: Vec<Told>,
    /// How many deadlines have passed.
    pub(crate) alarms: usize,
    stream: BytesMut,
    sent: Vec<OutFrame>,
}

impl End {
    pub(crate) fn open(origin: Origin, local: &Arc<LocalNode>, form: Option<IdForm>) -> Self {
        let link = Link::open(START, LinkId(1), origin, remote(), local.clone(), form);
        let (told, sent, stream) = (Vec::new(), Vec::new(), BytesMut::new());
        let mut end = Self { link, told, alarms: 0, stream, sent };
        end.drain();
        end
    }

    /// Bytes come from the peer, after all deadlines that pass before.
    pub(crate) fn receive(&mut self, now: Time, bytes: &[u8]) {
        self.advance(now);
        self.stream.extend_from_slice(bytes);
        while !self.is_broken() {
            match self.next_message() {
                Ok(Some(Ok(message))) => {
                    let was_closed = self.closed().is_some();
                    let handed_up = self.link.handle_message(now, message);
                    self.drain();
                    assert!(!was_closed || handed_up.is_none(), "a closed link hands nothing up");
                    self.told.extend(handed_up.map(Told::Message));
                }
                Ok(Some(Err(error))) => self.told.push(Told::Malformed(error)),
                Ok(None) => return,
                Err(error) => self.told.push(Told::Closed(error.into())),
            }
        }
    }

    /// Serves the deadlines up to `now`, each at its time.
    pub(crate) fn advance(&mut self, now: Time) {
        while let Some(deadline) = self.link.poll_timeout().filter(|deadline| *deadline <= now) {
            self.alarms += 1;
            self.link.handle_timeout(deadline);
            assert!(self.link.poll_timeout().is_none_or(|next| next > deadline));
            self.drain();
        }
        // What the layer above has caused in the meantime.
        self.drain();
    }

    /// What the link has sent since it was asked last; all of it leaves for the network.
    pub(crate) fn take_sent(&mut self) -> Vec<OutFrame> {
        let sent = std::mem::take(&mut self.sent);
        self.link.handle_flushed(START, sent.iter().map(OutFrame::weight).sum());
        sent
    }

    /// Why the link ended, if it has.
    pub(crate) fn closed(&self) -> Option<&CloseReason> {
        self.told.iter().find_map(|told| match told {
            Told::Closed(reason) => Some(reason),
            _ => None,
        })
    }

    /// What the peer told of itself last, once the handshake is done.
    pub(crate) fn peer(&self) -> Option<Handshake> {
        self.link.peer().map(|peer| Handshake::clone(peer))
    }

    /// What was handed up so far.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let message = |told: &Told| match told {
            Told::Message(message) => Some(message.clone()),
            _ => None,
        };
        self.told.iter().filter_map(message).collect()
    }

    fn next_message(&mut self) -> Result<Option<Result<Message, MessageError>>, FrameError> {
        let limits = Limits::default();
        let Some(raw) = RawFrame::split_from(&mut self.stream, &limits)? else { return Ok(None) };
        let frame = raw.verify(Compression::AVAILABLE, &limits)?;
        Ok(Some(Message::parse(frame)))
    }

    /// A driver reads no further once the framing is broken.
    fn is_broken(&self) -> bool {
        matches!(self.closed(), Some(CloseReason::Frame(_)))
    }

    fn drain(&mut self) {
        while let Some(output) = self.link.poll_output() {
            assert!(self.closed().is_none(), "{output:?} after the link was closed");
            match output {
                LinkOutput::Send(frame) => self.sent.push(frame),
                LinkOutput::Established => self.told.push(Told::Established),
                LinkOutput::Repeated => self.told.push(Told::Repeated),
                LinkOutput::Message(message) => self.told.push(Told::Message(message)),
                LinkOutput::Close(reason) => self.told.push(Told::Closed(reason)),
            }
        }
    }
}

/// The address at the other end. It says nothing of who is there.
pub(crate) fn remote() -> Endpoint {
    Endpoint::Socket(([127, 0, 0, 1], 50_000).into())
}
