//! Messages of every kind, byte for byte.

use bytes::Bytes;
use rs2p_wire::{Frame, Limits, Message};
use serde_json::Value as Json;

use crate::tagged::Expected;
use crate::{bytes, cases, load, text};

#[test]
fn what_py2p_writes_is_written_the_same_and_read_back() {
    let file = load("messages_py2p");
    let encoded = cases(&file, "cases", 59).iter().filter(|case| check(case)).count();
    assert_eq!(encoded, 59);
}

#[test]
fn what_js2p_writes_is_read_and_where_it_is_the_smallest_form_written_the_same() {
    let file = load("messages_js2p");
    let encoded = cases(&file, "cases", 57).iter().filter(|case| check(case)).count();
    // 255 bytes of bin as bin16, and a time as float: js2p alone writes these so.
    assert_eq!(encoded, 55);
}

/// Whether the case was held against our own encoding too.
fn check(case: &Json) -> bool {
    let name = text(case, "name");
    let expected = Expected::read(&case["message"]).unwrap();
    let smallest = case["minimal"] != Json::Bool(false) && !expected.time_is_float;
    let written = encode(&expected);
    // Long bodies are given by their ends; the digest vouches for the rest.
    let frame = match case.get("frame") {
        Some(_) => Bytes::from(bytes(case, "frame")),
        None => written.frame().plain().clone(),
    };
    if smallest {
        assert_eq!(*written.frame().plain(), frame, "{name}");
    }
    let read = Message::parse(Frame::decode(frame, &Limits::default()).unwrap()).unwrap();
    assert_eq!(read.id().to_string(), text(case, "id"), "{name}");
    assert_eq!(read.body().len() as u64, case["body_len"], "{name}");
    if case.get("frame").is_some() {
        assert_eq!(read.body(), bytes(case, "body"), "{name}");
    } else {
        assert!(read.body().starts_with(&bytes(case, "body_head")), "{name}");
        assert!(read.body().ends_with(&bytes(case, "body_tail")), "{name}");
        assert!(read.frame().plain().starts_with(&bytes(case, "frame_head")), "{name}");
    }
    let payload = read.payload(&Limits::default()).unwrap();
    assert!(expected.is_said_by(&read, &payload), "{name}: {read:?}");
    assert_eq!(read.payload_len() as usize, payload.len(), "{name}");
    if let Some(number) = payload.first().and_then(rmpv::Value::as_u64) {
        assert_eq!(read.sub_flag(), Some(number.into()), "{name}");
    }
    assert_eq!(read.check(&Limits::default()), Ok(()), "{name}");
    smallest
}

fn encode(expected: &Expected) -> Message {
    let Expected { kind, form, sender, time, payload, .. } = expected;
    Message::encode(*kind, *form, sender, *time, payload, &Limits::default()).unwrap()
}
