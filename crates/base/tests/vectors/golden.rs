//! Every handshake that a reference sent, written again byte for byte.

use bytes::Bytes;
use rs2p_base::{Endpoint, Handshake, Time};
use rs2p_wire::{Frame, IdForm, Limits, Message};
use serde_json::Value as Json;

use crate::transcript::{Flavour, Item, Transcript, plain_text};

#[test]
fn handshakes_are_written_byte_for_byte_as_by_the_references() {
    let mut written = [0; 2];
    for (file, count) in [("handshakes", 48), ("renegotiate", 42)] {
        for transcript in Transcript::all(file, count) {
            for item in transcript.items.iter().filter(|item| item.is_handshake()) {
                let Some(flavour) = transcript.flavour(&item.from) else { continue };
                let message = read(item);
                let ours = handshake(item, flavour);
                let limits = Limits::default();
                assert_eq!(Handshake::decode(&message, &limits), Ok(ours.clone()));
                let again = ours.encode(Time::from_secs(message.time()), &limits).unwrap();
                assert_eq!(again.frame().plain(), &item.bytes[..], "{}", transcript.name);
                written[usize::from(flavour == Flavour::Js2p)] += 1;
            }
        }
    }
    assert_eq!(written, [61, 92], "handshakes of py2p and of js2p");
}

/// The handshake as the transcript spells it out, without our own reader.
fn handshake(item: &Item, flavour: Flavour) -> Handshake {
    let [_, id, protocol, address, methods] = item.payload.as_slice() else { unreachable!() };
    let numbers = methods["array"].as_array().unwrap().iter();
    Handshake {
        id: plain_text(id).parse().unwrap(),
        protocol: plain_text(protocol).into(),
        address: Some(endpoint(address)),
        methods: numbers.map(|method| method["int"].as_u64().unwrap()).collect(),
        capabilities: [].into(),
        form: match flavour {
            Flavour::Py2p => IdForm::Bin,
            Flavour::Js2p => IdForm::Str,
        },
        opening: false,
    }
}

fn endpoint(address: &Json) -> Endpoint {
    let [host, port] = address["array"].as_array().unwrap().as_slice() else { unreachable!() };
    let port = u16::try_from(port["int"].as_u64().unwrap()).unwrap();
    Endpoint::new(&plain_text(host), port).unwrap()
}

fn read(item: &Item) -> Message {
    let frame = Frame::decode(Bytes::from(item.bytes.clone()), &Limits::default()).unwrap();
    Message::parse(frame).unwrap()
}
