//! Frames that no node in its right mind sends, and what each reference makes of them.
//!
//! Where a reference decodes, we decode to the same meaning, and where it refuses, we refuse. The
//! exceptions are all in [`DIFFERENCES`], with their reasons.

use bytes::BytesMut;
use rs2p_wire::{Compression, Limits, Message, RawFrame, Value};
use serde_json::Value as Json;

use crate::tagged::Expected;
use crate::{bytes, cases, load, text};

/// Who differs from us.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    Py,
    Js,
    Both,
}
use Who::{Both, Js, Py};

/// Case, reference that differs, and why we go our own way.
const DIFFERENCES: &[(&str, Who, &str)] = &[
    // More lenient than a reference.
    ("map with a repeated key", Both, "all pairs are kept: only who uses the map can judge"),
    ("zlib frame while the peer had announced nothing", Both, "the digest decides, not a list"),
    ("gzip frame while the peer had announced only zlib", Js, "the digest decides, not a list"),
    ("bz2 frame, peer announced [zlib, bz2]", Js, "js2p has no bz2"),
    ("snappy frame, peer announced [zlib, snappy]", Js, "js2p had no snappy here"),
    // Stricter than a reference.
    ("type is text", Both, "a kind has a number; no author writes another"),
    ("time is nil", Both, "without a time a message cannot be judged stale"),
    ("sender is nil", Both, "a message without an author can be neither answered nor blamed"),
    ("invalid UTF-8 in a str", Js, "a replaced character is another text; py2p refuses too"),
    ("empty array body", Js, "js2p reads it and then ignores it: a message has three elements"),
    ("array of two", Js, "js2p reads it and then ignores it: a message has three elements"),
    // js2p cannot hold what stands there; we read what py2p reads.
    ("uint64 maximum and int64 minimum", Js, "js2p reads wide integers as floats"),
    ("fixext1 of type 5", Js, "js2p turns extensions into objects"),
    ("map with a non-text key", Js, "js2p turns keys into text"),
    ("map with an array key", Js, "js2p turns keys into text"),
];

#[test]
fn unusual_frames_mean_what_they_mean_to_the_references() {
    let file = load("messages_py2p");
    for case in cases(&file, "decode_cases", 34) {
        let name = text(case, "name");
        let decoded = decode(&bytes(case, "frame"));
        let excused = DIFFERENCES.iter().find(|(excused, ..)| *excused == name);
        for (column, reference) in [("py2p", Py), ("js2p", Js)] {
            let agrees = match (case[column].get("message"), &decoded) {
                (None, decoded) => decoded.is_err(),
                (Some(_), Err(_)) => false,
                (Some(theirs), Ok((message, payload))) => {
                    Expected::read(theirs).is_some_and(|theirs| theirs.is_said_by(message, payload))
                }
            };
            // Both ways, so that no excuse outlives its case.
            let differs = excused.is_some_and(|(_, who, _)| [reference, Both].contains(who));
            assert_eq!(agrees, !differs, "{name}: we read {decoded:?}, {column} {}", case[column]);
        }
    }
}

#[test]
fn every_difference_belongs_to_a_case() {
    let file = load("messages_py2p");
    let named =
        |name: &str| cases(&file, "decode_cases", 34).iter().any(|case| case["name"] == name);
    for (name, ..) in DIFFERENCES {
        assert!(named(name), "{name}");
    }
}

#[test]
fn a_repeated_key_is_read_with_all_its_values() {
    let pairs = ["k", "k"].into_iter().zip([1, 2]).map(|(key, value)| (key.into(), value.into()));
    assert_eq!(decoded("map with a repeated key"), [Value::Map(pairs.collect())]);
}

#[test]
fn a_frame_compressed_unasked_is_read() {
    let payload = decoded("zlib frame while the peer had announced nothing");
    assert_eq!(payload, [Value::from(0), Value::from("x")]);
}

fn decoded(name: &str) -> Vec<Value> {
    let file: Json = load("messages_py2p");
    let case = cases(&file, "decode_cases", 34).iter().find(|case| case["name"] == name).unwrap();
    decode(&bytes(case, "frame")).unwrap().1
}

fn decode(frame: &[u8]) -> Result<(Message, Vec<Value>), Box<dyn std::error::Error>> {
    let limits = Limits::default();
    let mut stream = BytesMut::from(frame);
    let raw = RawFrame::split_from(&mut stream, &limits)?.ok_or("the frame is cut short")?;
    let message = Message::parse(raw.verify(Compression::AVAILABLE, &limits)?)?;
    let payload = message.payload(&limits)?;
    Ok((message, payload))
}
