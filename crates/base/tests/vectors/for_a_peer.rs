//! Our link in the place of the peer that a reference talked to.
//!
//! It gets every frame that the reference sent, when it was sent, and whatever it says itself must
//! please the reference.

use std::sync::Arc;

use rs2p_base::{CloseReason, DialId, Fanout, LinkConfig, LocalNode, NodeId, Origin};
use rs2p_wire::{Compression, Limits, MainFlag, Message, SubFlag, Value};

use crate::harness::{End, START, Told};
use crate::rules::Reference;
use crate::transcript::{Transcript, plain_text};

#[test]
fn a_link_gets_along_with_whatever_a_reference_ever_said() {
    let [mut established, mut refused] = [0, 0];
    for (file, count) in [("handshakes", 48), ("renegotiate", 42)] {
        for transcript in Transcript::all(file, count) {
            for ours in &transcript.nodes {
                let Some(theirs) = transcript.nodes.iter().find(|node| *node != ours) else {
                    unreachable!()
                };
                if transcript.flavour(theirs).is_none() {
                    continue;
                }
                if replay(&transcript, ours, theirs) {
                    established += 1;
                } else {
                    refused += 1;
                }
            }
        }
    }
    // 36 transcripts with a peer driven by hand and 12 between two nodes in the one file, 41 and
    // one in the other. Two peers belonged to another network, and both sides of sync's `leasing
    // against not leasing`.
    assert_eq!((established, refused), (36 + 2 * 12 + 41 + 2 - 4, 4));
}

/// Whether the link was established; if not, it ended as it must.
fn replay(transcript: &Transcript, ours: &str, theirs: &str) -> bool {
    let name = &transcript.name;
    let (flavour, protocol) = (transcript.flavour(theirs).unwrap(), transcript.protocol(ours));
    let network = transcript.protocol(theirs).id().to_string();
    let is_one_network = protocol.id().to_string() == network;
    let local = LocalNode::new(
        NodeId::from_bytes([0x22; 48]),
        &protocol,
        Some("127.0.0.1:9".parse().unwrap()),
        LinkConfig::default(),
    );
    let dials = ours == transcript.nodes[0];
    let origin = if dials { Origin::Dialled(DialId(1)) } else { Origin::Accepted };
    let mut end = End::open(origin, &Arc::new(local.clone()), None);
    let mut reference = Reference::new(flavour, network);
    let mut expected = Vec::new();

    listen(&mut end, &mut reference);
    for item in transcript.sent_by(theirs) {
        end.receive(item.time, &item.bytes);
        listen(&mut end, &mut reference);
        if !item.is_handshake() && !item.is_renegotiation() {
            expected.extend(item.id.clone());
        }
        if end.peer().is_some() && end.closed().is_none() {
            // A message of ours, large enough to be compressed, in the state reached so far.
            let probe = probe(&local, &reference);
            // py2p may have enough to read; the probe comes in its turn then.
            if let Some(frame) = end.link.frame(item.time, &mut Fanout::new(probe)) {
                reference.receive(frame.bytes());
            }
        }
    }

    assert_eq!(end.alarms, 0, "{name}: no waiting");
    assert_eq!(reference.openings, usize::from(dials), "{name}");
    if !is_one_network {
        assert!(matches!(end.told[..], [Told::Closed(CloseReason::OtherNetwork { .. })]), "{name}");
        assert!(reference.hung_up, "{name}: a handshake was sent before the end");
        return false;
    }
    assert_eq!((end.closed(), reference.handshakes, reference.hung_up), (None, 1, false), "{name}");
    let handed_up: Vec<_> = end.messages().iter().map(|message| message.id().to_string()).collect();
    assert_eq!(handed_up, expected, "{name}: everything but the link's own business is handed up");
    let repeats = end.told.iter().filter(|told| **told == Told::Repeated).count();
    let handshakes: Vec<_> =
        transcript.sent_by(theirs).filter(|item| item.is_handshake()).collect();
    assert_eq!(repeats + 1, handshakes.len(), "{name}");

    let last = handshakes[handshakes.len() - 1];
    let peer = end.peer().unwrap();
    assert_eq!(peer.id.to_string(), plain_text(&last.payload[1]), "{name}");
    let address = last.payload[3]["array"].as_array().unwrap();
    let shown = format!("{}:{}", plain_text(&address[0]), address[1]["int"]);
    assert_eq!(peer.address.as_ref().unwrap().to_string(), shown, "{name}");
    assert_eq!((peer.form, peer.opening), (reference.form(), false), "{name}");
    assert!(peer.capabilities.is_empty() && !end.link.gathers(), "{name}");

    let methods = transcript.sent_by(theirs).filter_map(|item| item.methods()).last().unwrap();
    assert_eq!(*peer.methods, *methods, "{name}");
    let renegotiated = transcript.sent_by(theirs).any(|item| item.is_renegotiation());
    let agreed = Compression::choose(&local.config().compression, &methods);
    assert_eq!(end.link.compression(), agreed.filter(|_| !renegotiated), "{name}");
    assert!(reference.messages.contains(&Compression::choose(
        &local.config().compression,
        &handshakes[0].methods().unwrap()
    )));
    true
}

/// Everything that the link sends goes to the reference at once.
fn listen(end: &mut End, reference: &mut Reference) {
    for frame in end.take_sent() {
        reference.receive(frame.bytes());
    }
}

fn probe(local: &LocalNode, reference: &Reference) -> Message {
    let payload = [SubFlag::Whisper.into(), Value::from("x".repeat(5_000))];
    let (kind, form, id) = (MainFlag::Whisper, reference.form(), local.id_text());
    Message::encode(kind, form, id, START.as_secs(), &payload, &Limits::default()).unwrap()
}
