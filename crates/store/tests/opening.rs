//! Whose file it is, and what it is for.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::fs;
use std::path::Path;

use rs2p_store::{Changes, Store, StoreError, TooLarge};

fn one(key: &str, value: &str) -> Changes {
    let mut changes = Changes::new();
    changes.put(key, value);
    changes
}

#[test]
fn entries_and_meta_are_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    let store = Store::open(&path, "test 1").unwrap();
    assert!(store.is_empty().unwrap());
    assert_eq!(store.meta("clock").unwrap(), None);
    let mut changes = Changes::new();
    changes.put("b", "2").put("a", "1").put("a", "3").put("c", "").remove("b");
    changes.set_meta("clock", [7]).set_meta("id", []);
    store.write(&changes).unwrap();
    drop(store);

    let store = Store::open(&path, "test 1").unwrap();
    let mut entries = Vec::new();
    store.entries(|key, value| entries.push((key.to_vec(), value.to_vec()))).unwrap();
    assert_eq!(entries, [(b"a".to_vec(), b"3".to_vec()), (b"c".to_vec(), Vec::new())]);
    assert_eq!(store.len().unwrap(), 2);
    assert_eq!(store.meta("clock").unwrap().unwrap(), [7]);
    assert_eq!(store.meta("id").unwrap().unwrap(), []);
    assert_eq!(store.get(b"b").unwrap(), None);
}

#[test]
fn a_second_handle_is_refused_until_the_first_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    let first = Store::open(&path, "test 1").unwrap();
    for kind in ["test 1", "another 1"] {
        let second = Store::open(&path, kind).unwrap_err();
        assert!(matches!(second, StoreError::InUse { .. }), "{second}");
    }
    first.write(&one("a", "1")).unwrap();
    drop(first);
    assert_eq!(Store::open(&path, "test 1").unwrap().len().unwrap(), 1);
}

#[test]
fn a_file_for_something_else_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    Store::open(&path, "sync 1").unwrap().write(&one("a", "1")).unwrap();
    let before = fs::read(&path).unwrap();
    let error = Store::open(&path, "chord 1").unwrap_err();
    let StoreError::OtherKind { found, expected, .. } = &error else { unreachable!("{error}") };
    assert_eq!((found.as_str(), expected.as_str()), ("sync 1", "chord 1"));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names(directory.path()), ["a"]);
}

#[test]
fn a_file_of_a_later_format_is_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    drop(Store::open(&path, "sync 1").unwrap());
    let mut later = fs::read(&path).unwrap();
    for format in [16, 2048] {
        later[format] += 1;
    }
    fs::write(&path, &later).unwrap();
    let error = Store::open(&path, "sync 1").unwrap_err();
    assert!(matches!(error, StoreError::NewerFormat { found: 2, known: 1, .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), later);
    assert_eq!(names(directory.path()), ["a"]);
}

#[test]
fn what_is_no_store_is_set_aside_and_overwrites_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    fs::write(directory.path().join("a.damaged-1"), "older").unwrap();
    fs::write(&path, "a letter to a friend").unwrap();
    let error = Store::open(&path, "test 1").unwrap_err();
    let StoreError::Damaged { set_aside, .. } = &error else { unreachable!("{error}") };
    assert_eq!(fs::read_to_string(set_aside).unwrap(), "a letter to a friend");
    assert_eq!(names(directory.path()), ["a.damaged-1", "a.damaged-2"]);
    assert_eq!(fs::read_to_string(directory.path().join("a.damaged-1")).unwrap(), "older");
    assert!(Store::open(&path, "test 1").unwrap().is_empty().unwrap());
}

#[test]
fn an_empty_file_is_a_new_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    fs::write(&path, "").unwrap();
    assert!(Store::open(&path, "test 1").unwrap().is_empty().unwrap());
}

#[test]
fn a_path_that_cannot_be_a_store_is_named_so() {
    let directory = tempfile::tempdir().unwrap();
    let error = Store::open(directory.path().join("missing/a"), "test 1").unwrap_err();
    assert!(matches!(error, StoreError::NoDirectory { .. }), "{error}");
    let error = Store::open(directory.path(), "test 1").unwrap_err();
    assert!(matches!(error, StoreError::NotAFile { .. }), "{error}");
    for kind in ["", &"k".repeat(256)] {
        let error = Store::open(directory.path().join("a"), kind).unwrap_err();
        assert!(matches!(error, StoreError::BadKind { .. }), "{error}");
    }
    assert_eq!(names(directory.path()), [""; 0]);
}

#[cfg(unix)]
#[test]
fn a_directory_that_may_not_be_written_is_named_so() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = tempfile::tempdir().unwrap();
    let damaged = directory.path().join("damaged");
    fs::write(&damaged, "a letter to a friend").unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(directory.path().join("probe"), "").is_ok() {
        return; // the system lets this user write anywhere
    }
    let error = Store::open(directory.path().join("a"), "test 1").unwrap_err();
    assert!(matches!(error, StoreError::NotAllowed { .. }), "{error}");
    let error = Store::open(&damaged, "test 1").unwrap_err();
    assert!(matches!(error, StoreError::DamagedInPlace { .. }), "{error}");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::read_to_string(&damaged).unwrap(), "a letter to a friend");
}

#[test]
fn a_write_with_one_value_too_large_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("a"), "test 1").unwrap();
    let mut changes = one("a", "1");
    changes.put("b", vec![0; rs2p_store::MAX_VALUE_BYTES + 1]);
    let error = store.write(&changes).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge(TooLarge { what: "value", .. })), "{error}");
    assert!(store.is_empty().unwrap());
    let mut largest = Changes::new();
    largest.put(vec![1; rs2p_store::MAX_KEY_BYTES], vec![2; rs2p_store::MAX_VALUE_BYTES]);
    store.write(&largest).unwrap();
    assert_eq!(store.len().unwrap(), 1);
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
