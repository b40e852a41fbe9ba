//! The smallest layer that is of any use: it passes texts between peers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use rs2p_base::{
    CloseReason, DialError, DialId, Endpoint, Fanout, Input, Link, LinkConfig, LinkEvent, LinkId,
    Links, LocalNode, Machine, NodeId, Origin, Output, Protocol, QueueFull, RequestId, Time,
};
use rs2p_wire::{IdForm, MainFlag, Message, MessageId, SubFlag, Value};

pub(crate) struct Talk {
    links: Links,
    output: VecDeque<Output<Heard>>,
    pub(crate) known: BTreeSet<MessageId>,
}

#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Connected { link: LinkId, request: Option<RequestId>, peer: NodeId },
    Unreachable { request: RequestId, error: DialError },
    Text(String),
    Gone(CloseReason),
}

impl Talk {
    pub(crate) fn new(subnet: &str, number: u8, config: LinkConfig) -> Self {
        let protocol = Protocol::new(subnet, "Plaintext");
        let id = NodeId::from_bytes([number; 48]);
        let local = LocalNode::new(id, &protocol, None, config);
        let links = Links::new(Arc::new(local));
        Self { links, output: VecDeque::new(), known: BTreeSet::new() }
    }

    pub(crate) fn dial(&mut self, to: Endpoint) -> RequestId {
        let dial = self.links.dial(to, None);
        self.drain();
        RequestId(dial.0)
    }

    pub(crate) fn cancel(&mut self, now: Time, request: RequestId) {
        self.links.cancel_dial(now, DialId(request.0));
        self.drain();
    }

    pub(crate) fn close(&mut self, now: Time, link: LinkId) {
        self.links.close(now, link, CloseReason::Requested);
        self.drain();
    }

    pub(crate) fn links(&self) -> Vec<LinkId> {
        self.links.iter().map(Link::id).collect()
    }

    pub(crate) fn is_linked_to(&self, peer: NodeId) -> bool {
        self.links.iter().filter_map(Link::peer).any(|handshake| handshake.id == peer)
    }

    pub(crate) fn message(&self, now: Time, text: &str) -> Message {
        let payload = [SubFlag::Whisper.into(), Value::from(text)];
        let local = self.links.local();
        let (id, limits) = (local.id_text(), &local.config().limits);
        Message::encode(MainFlag::Whisper, IdForm::Bin, id, now.as_secs(), &payload, limits)
            .unwrap()
    }

    pub(crate) fn say(&mut self, now: Time, link: LinkId, text: &str) -> Result<(), QueueFull> {
        let message = self.message(now, text);
        let said = self.links.try_send(now, link, &mut Fanout::new(message));
        self.drain();
        said
    }

    /// Sends whatever the queue holds.
    pub(crate) fn insist(&mut self, now: Time, link: LinkId, text: &str) {
        let message = self.message(now, text);
        self.links.send(now, link, &mut Fanout::new(message));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.links.poll_output() {
            match output.into_event() {
                Ok(event) => self.output.extend(self.heard(event).map(Output::Event)),
                Err(output) => self.output.push_back(output),
            }
        }
    }

    fn heard(&self, event: LinkEvent) -> Option<Heard> {
        Some(match event {
            LinkEvent::Established { link } => {
                let via = self.links.get(link)?;
                let request = match via.origin() {
                    Origin::Dialled(dial) => Some(RequestId(dial.0)),
                    Origin::Accepted => None,
                };
                Heard::Connected { link, request, peer: via.peer()?.id }
            }
            LinkEvent::Message { message, .. } => {
                let payload = message.payload(&self.links.local().config().limits).unwrap();
                Heard::Text(payload[1].as_str().unwrap().to_owned())
            }
            LinkEvent::Closed { reason, .. } => Heard::Gone(reason),
            LinkEvent::DialFailed { dial, error } => {
                Heard::Unreachable { request: RequestId(dial.0), error }
            }
            _ => return None,
        })
    }
}

impl Machine for Talk {
    type Event = Heard;

    fn handle_input(&mut self, now: Time, input: Input) {
        self.links.handle_input(now, input);
        self.drain();
    }

    fn handle_timeout(&mut self, now: Time) {
        self.links.handle_timeout(now);
        self.drain();
    }

    fn poll_output(&mut self) -> Option<Output<Heard>> {
        self.output.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.links.poll_timeout()
    }

    fn is_duplicate(&self, claimed: &MessageId) -> bool {
        self.known.contains(claimed)
    }

    fn completes(event: &Heard) -> Option<RequestId> {
        match event {
            Heard::Connected { request, .. } => *request,
            Heard::Unreachable { request, .. } => Some(*request),
            _ => None,
        }
    }
}
