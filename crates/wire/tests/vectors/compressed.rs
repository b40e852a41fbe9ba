//! Frames under every compression method, as the references' own libraries wrote them.

use std::collections::BTreeMap;

use bytes::Bytes;
use rs2p_wire::{Compression, Frame, Limits, Message};

use crate::tagged::Expected;
use crate::{bytes, cases, load, text};

#[test]
fn every_method_of_both_references_is_understood() {
    let file = load("compressed_frames");
    let mut seen = BTreeMap::new();
    for case in cases(&file, "cases", 42) {
        let name =
            format!("{} {} {}", text(case, "from"), text(case, "method"), text(case, "name"));
        let method = Compression::from_code(case["flag"].as_u64().unwrap()).unwrap();
        assert_eq!(method.to_string(), text(case, "method"));
        let frame = Frame::decode(bytes(case, "frame").into(), &Limits::default()).unwrap();
        assert_eq!(frame.compression(), Some(method), "{name}");
        assert_eq!(frame.id().to_string(), text(case, "id"), "{name}");
        assert_eq!(frame.body().len() as u64, case["body_len"], "{name}");
        let message = Message::parse(frame).unwrap();
        let payload = message.payload(&Limits::default()).unwrap();
        let expected = Expected::read(&case["message"]).unwrap();
        assert!(expected.is_said_by(&message, &payload), "{name}: {message:?}");
        *seen.entry(method).or_insert(0) += 1;
    }
    assert_eq!(seen.into_values().collect::<Vec<_>>(), [6, 12, 6, 12, 6]);
}

#[test]
fn what_we_compress_reads_back_as_the_frame_it_was() {
    let file = load("compressed_frames");
    for case in cases(&file, "cases", 42) {
        let frame = Frame::decode(bytes(case, "frame").into(), &Limits::default()).unwrap();
        for method in Compression::AVAILABLE.iter().copied() {
            let packed: Bytes = frame.compressed(method);
            let again = Frame::decode(packed, &Limits::default()).unwrap();
            assert_eq!(again.compression(), Some(method), "{} by {method}", case["name"]);
            assert_eq!(again.plain(), frame.plain(), "{} by {method}", case["name"]);
        }
    }
}

#[test]
fn the_numbers_and_the_order_of_the_methods_are_py2ps() {
    let file = load("compressed_frames");
    let flags = file["flags"].as_object().unwrap();
    assert_eq!(flags.len(), Compression::AVAILABLE.len());
    let order: Vec<_> = Compression::AVAILABLE.iter().map(ToString::to_string).collect();
    assert_eq!(file["py2p_own_order"], serde_json::json!(order));
    for method in Compression::AVAILABLE {
        assert_eq!(flags[&method.to_string()], method.code());
    }
}
