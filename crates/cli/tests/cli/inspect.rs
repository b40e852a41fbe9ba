//! `rs2p inspect` against bytes that the original implementations wrote.

use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::node::{output, rs2p};

fn vectors(name: &str) -> Value {
    let path = format!("{}/../../tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn cases(vectors: &Value) -> impl Iterator<Item = &Value> {
    vectors["cases"].as_array().unwrap().iter()
}

fn object(done: &Output) -> Value {
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(done.stdout.ends_with(b"}\n"));
    serde_json::from_slice(&done.stdout).unwrap()
}

/// By way of standard input, which takes frames of any length.
fn inspect(frame: &str) -> Output {
    let directory = TempDir::new().unwrap();
    let mut child = rs2p(&directory, &["inspect", "frame", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(frame.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn every_message_of_the_originals_is_taken_apart() {
    let mut seen = 0;
    for file in ["messages_py2p", "messages_js2p"] {
        for case in cases(&vectors(file)) {
            let (name, message) = (&case["name"], &case["message"]);
            let Some(frame) = case["frame"].as_str() else { continue };
            let found = object(&inspect(frame));
            assert_eq!(found["kind"], message["type"]["int"], "{file}: {name}");
            // js2p writes times from 2^31 on as floats.
            let time = message["time"].as_object().unwrap().values().next().unwrap();
            assert_eq!(found["time"].as_f64(), time.as_f64(), "{file}: {name}");
            assert_eq!(found["sender"], key(&message["sender"]), "{file}: {name}");
            assert_eq!(found["payload"], values(&message["payload"]), "{file}: {name}");
            assert_eq!(found["id"], case["id"], "{file}: {name}");
            assert_eq!(
                (&found["compression"], &found["size"]),
                (&Value::Null, &json!(frame.len() / 2))
            );
            seen += 1;
        }
    }
    assert!(seen > 80, "{seen}");
}

#[test]
fn every_compressed_frame_is_taken_apart() {
    for case in cases(&vectors("compressed_frames")) {
        let Some(frame) = case["frame"].as_str() else { continue };
        let found = object(&inspect(frame));
        let name = format!("{} {}", case["method"], case["name"]);
        assert_eq!((&found["compression"], &found["id"]), (&case["method"], &case["id"]), "{name}");
        assert_eq!(found["payload"], values(&case["message"]["payload"]), "{name}");
        assert_eq!(found["size"], frame.len() / 2, "{name}");
    }
}

#[test]
fn networks_have_the_ids_that_the_originals_give_them() {
    let vectors = vectors("protocol_ids");
    let mut seen = 0;
    for case in cases(&vectors) {
        let (subnet, encryption) = (case["subnet"].as_str(), case["encryption"].as_str());
        let (subnet, encryption) = (subnet.unwrap(), encryption.unwrap());
        let ours = match encryption {
            "Plaintext" => "tcp",
            "SSL" => "tls",
            "ws" | "wss" => encryption,
            _ => continue,
        };
        for encryption in [encryption, ours] {
            let found = object(&output(&["inspect", "protocol", "--", subnet, encryption]));
            assert_eq!(found, json!({ "id": case["id"] }), "{subnet} {encryption}");
        }
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn keys_have_the_positions_that_the_originals_give_them() {
    let vectors = vectors("chord_hashes");
    for case in vectors["hashes"].as_array().unwrap() {
        let hex = case["key"].as_str().unwrap();
        let mut expected = json!({});
        for (table, position) in
            case["tables"].as_array().unwrap().iter().zip(case["base58"].as_array().unwrap())
        {
            expected[table.as_str().unwrap()] = position.clone();
        }
        let found = object(&output(&["inspect", "key", &format!("hex:{hex}")]));
        assert_eq!(found, json!({ "positions": expected }), "{hex}");
    }
    let text = object(&output(&["inspect", "key", "hello"]));
    assert_eq!(text, object(&output(&["inspect", "key", "hex:68656c6c6f"])));
}

#[test]
fn hexadecimal_may_be_written_with_spaces_and_in_words() {
    let frame = good_frame();
    let spaced: Vec<_> = frame.as_bytes().chunks(2).map(|it| str::from_utf8(it).unwrap()).collect();
    let found = object(&output(&["inspect", "frame", &frame.to_uppercase()]));
    assert_eq!(object(&output(&[&["inspect", "frame"], &spaced[..]].concat())), found);
    assert_eq!(object(&inspect(&spaced.join("\n"))), found);
}

#[test]
fn a_malformed_frame_is_refused_with_the_byte_and_the_reason() {
    let refused = |frame: &str, byte: usize, reason: &str| {
        let done = inspect(frame);
        let error = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), done.stdout.len()), (Some(1), 0), "{error}");
        assert!(error.starts_with(&format!("error: byte {byte}")), "{byte}: {error}");
        assert!(error.contains(reason), "{reason}: {error}");
    };
    let good = good_frame();
    let size = good.len() / 2;
    refused("", 0, "cut short");
    refused("zz", 0, "`z` is no hexadecimal digit");
    refused("00 00 0", 2, "one hexadecimal digit");
    refused("0000", 2, "cut short");
    refused("ffffffff", 0, "over the limit");
    refused("0000001f", 0, "a digest alone takes 32");
    refused(&good[..good.len() - 2], size - 1, "cut short");
    refused(&format!("{good}00"), size, "1 bytes follow");
    refused(&format!("{}00", &good[..good.len() - 2]), 4, "SHA-256");
    // A frame whose digest is good and whose body is broken: see the originals' own list.
    let unusual = vectors("messages_py2p");
    let mut seen = 0;
    for case in unusual["decode_cases"].as_array().unwrap() {
        let frame = case["frame"].as_str().unwrap();
        let (byte, reason) = match case["name"].as_str().unwrap() {
            "type is text" => (37, "the message type"),
            "unused byte 0xc1" => (frame.len() / 2 - 1, "0xc1"),
            "empty array body" => (36, "0 elements"),
            "array of two" => (36, "2 elements"),
            "body is a map" | "body is a number" => (36, "MessagePack array"),
            "empty body" => (36, "ends at byte 0"),
            _ => continue,
        };
        refused(frame, byte, reason);
        seen += 1;
    }
    assert!(seen >= 6, "{seen}");
}

fn good_frame() -> String {
    let vectors = vectors("messages_py2p");
    vectors["cases"][0]["frame"].as_str().unwrap().to_owned()
}

/// What `inspect` makes of values that the vectors hold with a tag of their type.
fn values(tagged: &Value) -> Value {
    tagged.as_array().unwrap().iter().map(value).collect()
}

fn value(tagged: &Value) -> Value {
    let (tag, content) = tagged.as_object().unwrap().iter().next().unwrap();
    let repeated = || usize::try_from(content[1].as_u64().unwrap()).unwrap();
    match tag.as_str() {
        "str" | "int" | "bool" => content.clone(),
        "nil" => Value::Null,
        // JSON has neither infinity nor what is no number.
        "float" => content.as_f64().map_or(Value::Null, Value::from),
        "bin" => json!({ "bin": content }),
        "array" => values(content),
        "map" => content
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (key(&pair[0]), value(&pair[1])))
            .collect(),
        "str_rep" => content[0].as_str().unwrap().repeat(repeated()).into(),
        "bin_rep" => json!({ "bin": content[0].as_str().unwrap().repeat(repeated()) }),
        "array_rep" => vec![value(&content[0]); repeated()].into(),
        "map_seq" => {
            (0..content.as_u64().unwrap()).map(|at| (format!("k{at}"), json!(at))).collect()
        }
        other => panic!("{other}"),
    }
}

fn key(tagged: &Value) -> String {
    if let Some(text) = tagged["str"].as_str() {
        return text.to_owned();
    }
    match tagged["bin"].as_str().map(|hex| String::from_utf8(hex::decode(hex).unwrap())) {
        Some(Ok(text)) => text,
        _ => value(tagged).to_string(),
    }
}
