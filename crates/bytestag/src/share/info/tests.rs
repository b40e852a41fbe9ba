//! Descriptions against bytes of the original program.

use serde_json::Value;

use super::*;
use crate::share::vectors::{Case, cases, hex_key};

fn file_of(fields: &Value) -> FileInfo {
    let parts = fields["part_hashes_hex"].as_array().unwrap();
    FileInfo {
        hash: hex_key(&fields["file_hash_hex"]),
        parts: parts.iter().map(hex_key).collect(),
        size: fields["size"].as_u64(),
        filename: fields["filename"]
            .as_array()
            .map(|names| names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()),
    }
}

fn collection_of(fields: &Value) -> CollectionInfo {
    let owned = |name: &str| fields[name].as_str().map(str::to_owned);
    CollectionInfo {
        files: fields["files"].as_array().unwrap().iter().map(file_of).collect(),
        name: owned("name"),
        comment: owned("comment"),
        timestamp: fields["timestamp"].as_u64(),
    }
}

fn of_kind(kind: &str) -> Vec<Case> {
    let cases: Vec<_> =
        cases("models").into_iter().filter(|case| case.value["kind"] == kind).collect();
    assert!(!cases.is_empty(), "{kind}");
    cases
}

#[test]
fn a_file_is_described_in_the_bytes_of_the_original() {
    for case in of_kind("file_info_dump") {
        let info = file_of(&case.value["fields"]);
        let expected = &case.value["expect"];
        let bytes = info.to_bytes();
        assert_eq!(hex::encode(&bytes), expected["bytes_hex"], "{}", case.id);
        let id = info.id();
        assert_eq!((id.key, id.index), (info.hash, hex_key(&expected["sha1_hex"])), "{}", case.id);
        assert!(FileInfo::looks_like(&bytes), "{}", case.id);
        assert!(!CollectionInfo::looks_like(&bytes), "{}", case.id);
        let loaded = FileInfo::from_bytes(&bytes).unwrap();
        assert_eq!(loaded, file_of(&expected["loaded"]), "{}", case.id);
    }
}

#[test]
fn a_description_of_a_file_is_read_or_refused_as_the_original_does() {
    for case in of_kind("file_info_load") {
        let bytes = case.bytes("bytes_hex");
        let expected = &case.value["expect"];
        let read = FileInfo::from_bytes(&bytes);
        assert_eq!(read.is_ok(), expected["ok"].as_bool().unwrap(), "{}: {read:?}", case.id);
        assert_eq!(FileInfo::looks_like(&bytes), expected["signature"], "{}", case.id);
        if let Ok(info) = read {
            assert_eq!(info, file_of(&expected["fields"]), "{}", case.id);
            assert_eq!(hex::encode(info.to_bytes()), expected["dump_hex"], "{}", case.id);
        }
    }
}

#[test]
fn a_collection_is_described_in_the_bytes_of_the_original() {
    for case in of_kind("collection_info_dump") {
        let info = collection_of(&case.value["fields"]);
        let expected = &case.value["expect"];
        let bytes = info.to_bytes();
        assert_eq!(hex::encode(&bytes), expected["bytes_hex"], "{}", case.id);
        assert_eq!(info.id(), ValueId::plain(hex_key(&expected["sha1_hex"])), "{}", case.id);
        assert!(CollectionInfo::looks_like(&bytes), "{}", case.id);
        let loaded = CollectionInfo::from_bytes(&bytes).unwrap();
        assert_eq!(loaded, collection_of(&expected["loaded"]), "{}", case.id);
    }
}

#[test]
fn a_collection_is_read_or_refused_as_the_original_does() {
    for case in of_kind("collection_info_load") {
        let bytes = case.bytes("bytes_hex");
        let expected = &case.value["expect"];
        let read = CollectionInfo::from_bytes(&bytes);
        assert_eq!(read.is_ok(), expected["ok"].as_bool().unwrap(), "{}: {read:?}", case.id);
        if let Ok(info) = read {
            assert_eq!(info, collection_of(&expected["fields"]), "{}", case.id);
            assert_eq!(hex::encode(info.to_bytes()), expected["dump_hex"], "{}", case.id);
        }
    }
}

#[test]
fn the_index_is_that_of_the_bytes_as_received() {
    let case = of_kind("file_info_load");
    let case = case.iter().find(|case| case.id == "file-load-unsorted").unwrap();
    let bytes = case.bytes("bytes_hex");
    let info = FileInfo::from_bytes(&bytes).unwrap();
    let id = info.id_of(&bytes);
    assert!(id.fits(&bytes));
    assert_ne!(id, info.id());
    assert!(id.belongs(&bytes));
    let elsewhere = ValueId { key: Key::new([7; 20]), ..id };
    assert!(elsewhere.fits(&bytes));
    assert!(!elsewhere.belongs(&bytes));
}

#[test]
fn the_largest_file_is_described_in_one_value() {
    let parts = vec![Key::new([9; 20]); FileInfo::MAX_PARTS];
    let info = FileInfo::new(Key::new([1; 20]), parts).unwrap();
    let bytes = info.to_bytes();
    assert_eq!(bytes.len(), FileInfo::length(FileInfo::MAX_PARTS));
    assert!((FileInfo::MAX_BYTES - PER_PART + 1..=FileInfo::MAX_BYTES).contains(&bytes.len()));
    assert_eq!(FileInfo::from_bytes(&bytes).unwrap(), info);
    let long = info.with_filename(vec!["n".repeat(100)]);
    assert!(matches!(long, Err(InfoError::TooLong { .. })));
}

#[test]
fn too_many_parts_files_names_and_bytes_are_refused() {
    let key = Key::new([1; 20]);
    let parts = vec![key; FileInfo::MAX_PARTS + 1];
    let count = |found, limit, member| InfoError::Count { member, found, limit };
    let refused = FileInfo::new(key, parts).unwrap_err();
    assert_eq!(refused, count(FileInfo::MAX_PARTS + 1, FileInfo::MAX_PARTS, "parts"));
    let file = FileInfo::new(key, vec![key]).unwrap();
    let names = vec![String::new(); FileInfo::MAX_NAMES + 1];
    assert_eq!(file.clone().with_filename(names).unwrap_err(), count(257, 256, "filename"));
    assert_eq!(file.clone().with_filename(vec![]).unwrap_err(), count(0, 256, "filename"));
    let files = vec![file; CollectionInfo::MAX_FILES + 1];
    assert_eq!(CollectionInfo::new(files).unwrap_err(), count(10_001, 10_000, "files"));
    let bytes = vec![b' '; FileInfo::MAX_BYTES + 1];
    let refused = FileInfo::from_bytes(&bytes).unwrap_err();
    assert_eq!(refused, InfoError::TooLong { found: (1 << 20) + 1, limit: 1 << 20 });
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    let bytes = format!("{{\"x\":{}", "[".repeat(100_000));
    assert!(matches!(FileInfo::from_bytes(bytes.as_bytes()), Err(InfoError::NotJson { .. })));
}

#[test]
fn what_is_no_key_is_named() {
    let read = |text: &str| FileInfo::from_bytes(text.as_bytes()).unwrap_err();
    let wrong = InfoError::WrongKind { member: "hash", expected: "a key as text" };
    assert_eq!(read(r#"{"hash":true,"parts":["a"]}"#), wrong);
    let error = read(r#"{"hash":"AAAA","parts":["a"]}"#);
    assert!(error.to_string().starts_with("the member \"hash\": "), "{error}");
    let in_file = CollectionInfo::from_bytes(br#"{"files":[3]}"#).unwrap_err();
    assert_eq!(
        in_file.to_string(),
        "file 1 of the collection: a description that is no JSON object"
    );
}

#[test]
fn any_description_is_read_back_as_it_was_written() {
    proptest::proptest!(|(
        hash: [u8; 20],
        parts in proptest::collection::vec(proptest::prelude::any::<[u8; 20]>(), 1..9),
        names in proptest::collection::vec(".*", 1..4),
        size in 1_u64..,
    )| {
        let parts = parts.into_iter().map(Key::new).collect();
        let info = FileInfo::new(Key::new(hash), parts).unwrap();
        let info = info.with_size(size).unwrap().with_filename(names).unwrap();
        proptest::prop_assert_eq!(FileInfo::from_bytes(&info.to_bytes()).unwrap(), info.clone());
        let of = CollectionInfo::new(vec![info]).unwrap().with_name("n").unwrap();
        proptest::prop_assert_eq!(CollectionInfo::from_bytes(&of.to_bytes()).unwrap(), of);
    });
}
