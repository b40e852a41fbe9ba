//! An old peer: it greets, and for the rest a test says what it says.

use rs2p_base::{Endpoint, Handshake, LinkId, NodeId, Protocol, Time};
use rs2p_wire::{IdForm, Limits, MainFlag, Message, SubFlag, Value};

use super::{address, id};

/// A peer that speaks as py2p does when it writes ids as bin, and as js2p does when as str.
pub(crate) struct OldPeer {
    pub(crate) id: NodeId,
    pub(crate) form: IdForm,
    /// Where it says it listens.
    pub(crate) address: Option<Endpoint>,
    pub(crate) methods: Vec<u64>,
    pub(crate) subnet: String,
    /// Whether it answers who asks for its peers list; with an empty one.
    pub(crate) answers: bool,
    /// Whether it sends a handshake on each link as soon as it is open.
    pub(crate) greets: bool,
    /// What came, on which link.
    pub(crate) heard: Vec<(Time, LinkId, Message)>,
    /// Links that have opened and ended.
    pub(crate) opened: Vec<LinkId>,
    pub(crate) closed: Vec<LinkId>,
    /// When each of those ended.
    pub(crate) ended: Vec<(Time, LinkId)>,
}

impl OldPeer {
    pub(crate) fn new(number: u8, form: IdForm) -> Self {
        Self {
            id: id(number),
            form,
            address: Some(address(number)),
            methods: Vec::new(),
            subnet: "mesh".into(),
            answers: true,
            greets: true,
            heard: Vec::new(),
            opened: Vec::new(),
            closed: Vec::new(),
            ended: Vec::new(),
        }
    }

    pub(super) fn opened(&mut self, now: Time, link: LinkId) -> Option<Message> {
        self.opened.push(link);
        self.greets.then(|| self.handshake(now))
    }

    pub(crate) fn handshake(&self, now: Time) -> Message {
        let handshake = Handshake {
            id: self.id,
            protocol: Protocol::new(&*self.subnet, "Plaintext").id().to_string().into(),
            address: self.address.clone(),
            methods: self.methods.as_slice().into(),
            capabilities: [].into(),
            form: self.form,
            opening: false,
        };
        handshake.encode(now, &Limits::default()).unwrap()
    }

    /// A message of its own.
    pub(crate) fn message(&self, now: Time, kind: MainFlag, payload: &[Value]) -> Message {
        let sender = self.id.to_string();
        Message::encode(kind, self.form, &sender, now.as_secs(), payload, &Limits::default())
            .unwrap()
    }

    /// What it says to a message by itself.
    pub(super) fn answer(&self, now: Time, message: &Message) -> Option<Message> {
        let star = [SubFlag::Request.into(), self.form.value("*")];
        let asks = message.payload(&Limits::default()).is_ok_and(|payload| payload == star);
        // py2p answers every handshake so.
        let greets = self.form == IdForm::Bin && message.sub_flag() == Some(SubFlag::Handshake);
        (self.answers && (asks || greets)).then(|| self.list(now, Vec::new()))
    }

    /// A user's broadcast.
    pub(crate) fn broadcast(&self, now: Time, text: &str) -> Message {
        self.message(now, MainFlag::Broadcast, &[SubFlag::Broadcast.into(), text.into()])
    }

    /// A peers list, as it stands.
    pub(crate) fn list(&self, now: Time, entries: Vec<Value>) -> Message {
        let payload = [SubFlag::Peers.into(), Value::Array(entries)];
        self.message(now, MainFlag::Whisper, &payload)
    }

    /// An entry of a peers list, in this peer's form.
    pub(crate) fn entry(&self, number: u8) -> Value {
        let id = self.form.value(&id(number).to_string());
        Value::Array(vec![address(number).to_value(), id])
    }

    /// The messages of a sub-flag that came, handshakes left out.
    pub(crate) fn heard_of(&self, flag: SubFlag) -> Vec<Message> {
        let heard = self.heard.iter().map(|(_, _, message)| message);
        heard.filter(|message| message.sub_flag() == Some(flag)).cloned().collect()
    }

    /// The peers lists that came, each entry as it stands.
    pub(crate) fn lists(&self) -> Vec<Vec<Value>> {
        let list = |message: &Message| {
            let payload = message.payload(&Limits::default()).unwrap();
            payload[1].as_array().unwrap().clone()
        };
        self.heard_of(SubFlag::Peers).iter().map(list).collect()
    }

    /// Forgets what came.
    pub(crate) fn clear(&mut self) {
        self.heard.clear();
    }
}
