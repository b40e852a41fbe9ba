//! Shared values are read from their files, and only as what they were shared.

use std::fs;

use rs2p_bytestag::{FileInfo, ReadError, ValueId};

use crate::directory::{Directory, parts_of};

#[test]
fn a_changed_file_is_not_given_out_under_its_old_name() {
    let directory = Directory::new();
    directory.write_at("share/a", b"one", 1000);
    let catalog = directory.catalog(&["share"]);
    let id = ValueId::of(b"one");
    directory.write_at("share/a", b"two", 1000);
    let error = catalog.read(&id).unwrap_err();
    assert!(matches!(&error, ReadError::Changed { path } if *path == directory.path("share/a")));
    assert!(
        error.to_string().ends_with("has changed since it was shared: scan its directory again")
    );

    directory.write("share/a", b"longer");
    assert!(matches!(catalog.read(&id), Err(ReadError::Changed { .. })));
    directory.remove("share/a");
    assert!(matches!(catalog.read(&id), Err(ReadError::Io { .. })));
    fs::create_dir(directory.path("share/a")).unwrap();
    assert!(matches!(catalog.read(&id), Err(ReadError::Changed { .. })));
}

#[test]
fn another_file_with_the_same_part_stands_in() {
    let directory = Directory::new();
    directory.write("share/1", b"same");
    directory.write("share/2", b"same");
    let catalog = directory.catalog(&["share"]);
    directory.write("share/1", b"other");
    assert_eq!(catalog.read(&ValueId::of(b"same")).unwrap().unwrap(), "same");
}

#[test]
fn the_values_of_a_key_are_the_part_and_the_description_of_a_small_file() {
    let directory = Directory::new();
    directory.write("share/a", b"one");
    let catalog = directory.catalog(&["share"]);
    let part = ValueId::of(b"one");
    let info = catalog.file(&directory.path("share/a")).unwrap().info_id();
    let mut expected = vec![part, info];
    expected.sort();
    assert_eq!(catalog.values_of(&part.key).collect::<Vec<_>>(), expected);
    assert_eq!(catalog.values_of(&info.index).count(), 0);
    let stranger = ValueId { key: info.index, index: info.key };
    assert!(!catalog.contains(&stranger) && catalog.locate(&stranger).is_none());
}

#[test]
fn a_file_is_put_together_from_what_the_catalog_gives() {
    let directory = Directory::new();
    let content: Vec<u8> = (0_u32..1000).flat_map(u32::to_le_bytes).collect();
    directory.write("share/a", &content);
    let mut catalog = rs2p_bytestag::Catalog::default();
    catalog.apply(directory.scan_with(&["share"], &Default::default(), &parts_of(300)));
    let id = catalog.file(&directory.path("share/a")).unwrap().info_id();
    let bytes = catalog.read(&id).unwrap().unwrap();
    assert!(id.belongs(&bytes));
    let info = FileInfo::from_bytes(&bytes).unwrap();
    let mut whole = Vec::new();
    for part in info.parts() {
        whole.extend_from_slice(&catalog.read(&ValueId::plain(*part)).unwrap().unwrap());
    }
    assert_eq!(whole, content);
    assert_eq!(ValueId::of(&whole).key, *info.hash());
}
