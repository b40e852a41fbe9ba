//! The machine of a link, in sentences.
//!
//! The peers here are other links, or the frames that py2p and js2p would send, written out. What
//! those two really sent is replayed in the `vectors` tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod anything;
mod bursts;
mod greet_again;
#[path = "../harness/mod.rs"]
mod harness;
mod keepalive;
mod lists;
mod old_peers;
mod pair;
mod queue;
mod refusals;
mod renegotiation;
mod rs2p_peers;

use std::sync::Arc;
use std::time::Duration;

use rs2p_base::{
    Capability, DialId, Endpoint, Handshake, LinkConfig, LocalNode, NodeId, Origin, OutFrame,
    Protocol, Time,
};
use rs2p_wire::{IdForm, Limits, MainFlag, Message, SubFlag, Value};

use crate::harness::START;

/// The tests' own dial.
const DIALLED: Origin = Origin::Dialled(DialId(1));

/// The number of the node that most tests are about.
const OURS: u8 = 0x22;
/// The number of its peer.
const THEIRS: u8 = 0x33;

fn id(number: u8) -> NodeId {
    NodeId::from_bytes([number; 48])
}

fn at(millis: u64) -> Time {
    START + Duration::from_millis(millis)
}

/// A node over TCP, with the default configuration.
fn node(number: u8) -> Arc<LocalNode> {
    node_with(number, "Plaintext", LinkConfig::default())
}

fn node_with(number: u8, encryption: &str, config: LinkConfig) -> Arc<LocalNode> {
    let protocol = Protocol::new("mesh", encryption);
    let advertised = Endpoint::new("127.0.0.1", 4000 + u16::from(number)).unwrap();
    Arc::new(LocalNode::new(id(number), &protocol, Some(advertised), config))
}

/// The handshake of an old peer that announces zlib and gzip: py2p's with ids as bin, js2p's with
/// ids as str.
fn greeting(form: IdForm) -> Handshake {
    Handshake {
        id: id(THEIRS),
        protocol: Protocol::new("mesh", "Plaintext").id().to_string().into(),
        address: Some(Endpoint::new("127.0.0.1", 9).unwrap()),
        methods: [19, 17].into(),
        capabilities: [].into(),
        form,
        opening: false,
    }
}

/// The handshake of an rs2p node.
fn rs2p_greeting() -> Handshake {
    Handshake { capabilities: [Capability::RS2P].into(), ..greeting(IdForm::Bin) }
}

/// The bytes of a handshake's frame.
fn frame(handshake: &Handshake) -> Vec<u8> {
    bytes(&handshake.encode(START, &Limits::default()).unwrap())
}

fn bytes(message: &Message) -> Vec<u8> {
    message.frame().plain().to_vec()
}

/// A message of the peer.
fn message(kind: MainFlag, payload: &[Value]) -> Message {
    let (sender, time) = (id(THEIRS).to_string(), START.as_secs());
    Message::encode(kind, IdForm::Bin, &sender, time, payload, &Limits::default()).unwrap()
}

/// A user's message of the peer.
fn whisper(text: impl Into<Value>) -> Message {
    message(MainFlag::Whisper, &[SubFlag::Whisper.into(), text.into()])
}

/// Reads back what a link sent; it must be plain handshakes throughout.
fn handshakes(sent: &[OutFrame]) -> Vec<Handshake> {
    let read = |frame: &OutFrame| {
        let message = frame.message();
        assert_eq!(frame.bytes(), message.frame().plain());
        assert_eq!(message.kind(), MainFlag::Whisper);
        assert!(Handshake::is_in(message));
        let handshake = Handshake::decode(message, &Limits::default()).unwrap();
        assert_eq!(message.sender(), handshake.id.to_string().as_bytes());
        assert_eq!(message.sender_form(), handshake.form);
        handshake
    };
    sent.iter().map(read).collect()
}

/// Form of ids and number of packets of each handshake sent.
fn forms(sent: &[OutFrame]) -> Vec<(IdForm, u32)> {
    let packets = sent.iter().map(|frame| frame.message().payload_len());
    handshakes(sent).iter().map(|handshake| handshake.form).zip(packets).collect()
}
