//! The smallest machine that is of any use: it keeps links and passes texts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rs2p_base::{
    CloseReason, DialError, DialId, Endpoint, Fanout, Input, Link, LinkConfig, LinkId, LinkOutput,
    LocalNode, Machine, NodeId, Origin, Output, Protocol, QueueFull, RequestId, Time,
};
use rs2p_wire::{IdForm, MainFlag, Message, MessageId, SubFlag, Value};

pub(crate) struct Talk {
    local: Arc<LocalNode>,
    links: BTreeMap<LinkId, Link>,
    output: VecDeque<Output<Heard>>,
    next: u64,
    pub(crate) known: BTreeSet<MessageId>,
}

#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Connected { link: LinkId, request: Option<RequestId>, peer: NodeId },
    Unreachable { request: RequestId, error: DialError },
    Text { link: LinkId, text: String },
    Gone { link: LinkId, reason: CloseReason },
}

impl Talk {
    pub(crate) fn new(subnet: &str, number: u8, config: LinkConfig) -> Self {
        let protocol = Protocol::new(subnet, "Plaintext");
        let id = NodeId::from_bytes([number; 48]);
        let local = LocalNode::new(id, &protocol, None, config);
        Self {
            local: Arc::new(local),
            links: BTreeMap::new(),
            output: VecDeque::new(),
            next: 0,
            known: BTreeSet::new(),
        }
    }

    pub(crate) fn dial(&mut self, to: Endpoint) -> RequestId {
        self.next += 1;
        self.output.push_back(Output::Dial { dial: DialId(self.next), to });
        RequestId(self.next)
    }

    pub(crate) fn cancel(&mut self, request: RequestId) {
        self.output.push_back(Output::CancelDial { dial: DialId(request.0) });
    }

    pub(crate) fn close(&mut self, link: LinkId) {
        self.output.push_back(Output::Close { link, reason: CloseReason::Requested });
    }

    pub(crate) fn links(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }

    pub(crate) fn message(&self, now: Time, text: &str) -> Message {
        let payload = [SubFlag::Whisper.into(), Value::from(text)];
        let limits = &self.local.config().limits;
        let id = self.local.id_text();
        Message::encode(MainFlag::Whisper, IdForm::Bin, id, now.as_secs(), &payload, limits)
            .unwrap()
    }

    pub(crate) fn say(&mut self, now: Time, link: LinkId, text: &str) -> Result<(), QueueFull> {
        self.links[&link].check_room()?;
        self.insist(now, link, text);
        Ok(())
    }

    /// Sends whatever the queue holds.
    pub(crate) fn insist(&mut self, now: Time, link: LinkId, text: &str) {
        let mut fanout = Fanout::new(self.message(now, text));
        let via = self.links.get_mut(&link).unwrap();
        let frame = via.frame(&mut fanout);
        self.output.push_back(Output::Send { link, frame, gather: via.gathers() });
    }

    fn drain(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        while let Some(output) = link.poll_output() {
            let output = match output {
                LinkOutput::Send(frame) => Output::Send { link: id, frame, gather: link.gathers() },
                LinkOutput::Established => {
                    let request = match link.origin() {
                        Origin::Dialled(dial) => Some(RequestId(dial.0)),
                        Origin::Accepted => None,
                    };
                    let peer = link.peer().unwrap().id;
                    Output::Event(Heard::Connected { link: id, request, peer })
                }
                LinkOutput::Close(reason) => Output::Close { link: id, reason },
                LinkOutput::Repeated | LinkOutput::Message(_) => continue,
            };
            self.output.push_back(output);
        }
    }
}

impl Machine for Talk {
    type Event = Heard;

    fn handle_input(&mut self, now: Time, input: Input) {
        match input {
            Input::Opened { link, origin, .. } => {
                let opened = Link::open(now, link, origin, self.local.clone(), None);
                self.links.insert(link, opened);
                self.drain(link);
            }
            Input::Message { link, message } => {
                let via = self.links.get_mut(&link).unwrap();
                if let Some(message) = via.handle_message(now, message) {
                    let payload = message.payload(&self.local.config().limits).unwrap();
                    let text = payload[1].as_str().unwrap().to_owned();
                    self.output.push_back(Output::Event(Heard::Text { link, text }));
                }
                self.drain(link);
            }
            Input::Flushed { link, bytes } => {
                if let Some(via) = self.links.get_mut(&link) {
                    via.handle_flushed(bytes);
                }
            }
            Input::Closed { link, reason } => {
                self.links.remove(&link).unwrap();
                self.output.push_back(Output::Event(Heard::Gone { link, reason }));
            }
            Input::DialFailed { dial, error } => {
                let request = RequestId(dial.0);
                self.output.push_back(Output::Event(Heard::Unreachable { request, error }));
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        for id in self.links() {
            self.links.get_mut(&id).unwrap().handle_timeout(now);
            self.drain(id);
        }
    }

    fn poll_output(&mut self) -> Option<Output<Heard>> {
        self.output.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.links.values().filter_map(Link::poll_timeout).min()
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
