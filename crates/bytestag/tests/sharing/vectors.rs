//! Scans against what the original program found.

use std::num::NonZeroU32;

use rs2p_bytestag::{Catalog, Key, Known, Mark, ScanConfig, ValueId};
use serde_json::Value;

use crate::directory::{Directory, parts_of};

fn content(file: &Value) -> Vec<u8> {
    let bytes = |member: &Value| hex::decode(member.as_str().unwrap()).unwrap();
    match file.get("bytes_hex") {
        Some(all) => bytes(all),
        None => {
            let length = file["length"].as_u64().unwrap() as usize;
            bytes(&file["pattern_hex"]).into_iter().cycle().take(length).collect()
        }
    }
}

fn key(value: &Value) -> Key {
    value.as_str().unwrap().parse().unwrap()
}

fn write(directory: &Directory, files: &Value, seconds: u64) {
    for (path, file) in files.as_object().unwrap() {
        directory.write_at(path, &content(file), seconds);
    }
}

fn assert_is(directory: &Directory, catalog: &Catalog, files: &[String], case: &Value) {
    let id = case["id"].as_str().unwrap();
    let expected = case["expect"]["files"].as_array().unwrap();
    let paths: Vec<_> = expected.iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(files, paths, "{id}: in this order");
    let mut values = 0;
    for expected in expected {
        let path = expected["path"].as_str().unwrap();
        let file = catalog.file(&directory.path(path)).unwrap();
        assert_eq!(file.size(), expected["size"], "{id}: {path}");
        assert_eq!(u64::from(file.part_size().get()), expected["part_size"], "{id}: {path}");
        let info = ValueId {
            key: key(&expected["file_key_hex"]),
            index: key(&expected["info_index_hex"]),
        };
        assert_eq!(file.info_id(), info, "{id}: {path}");
        let bytes = catalog.read(&info).unwrap().unwrap();
        assert_eq!(bytes, expected["info_text"].as_str().unwrap(), "{id}: {path}");
        assert_eq!(catalog.locate(&info).unwrap().size(), bytes.len() as u64, "{id}: {path}");
        assert!(catalog.values_of(&info.key).any(|value| value == info), "{id}: {path}");
        let mark = file.mark().map(|mark| match mark {
            Mark::Collection => "bytestag",
            Mark::Torrent => "bittorrent",
            _ => "another",
        });
        assert_eq!(mark, expected["collection"].as_str(), "{id}: {path}");
        values += 1;
    }
    let parts = case["expect"]["parts"].as_array().unwrap();
    for part in parts {
        let value = ValueId::plain(key(&part["part_key_hex"]));
        let whole = std::fs::read(directory.path(part["path"].as_str().unwrap())).unwrap();
        let offset = part["offset"].as_u64().unwrap() as usize;
        let size = part["size"].as_u64().unwrap();
        let source = catalog.locate(&value).unwrap();
        assert_eq!(source.size(), size, "{id}");
        assert_eq!(source.read().unwrap(), whole[offset..offset + size as usize], "{id}");
    }
    values += parts.len();
    let infos: std::collections::BTreeSet<_> = catalog.files().map(|file| file.info_id()).collect();
    values -= expected.len() - infos.len();
    assert_eq!(catalog.originals().count(), values, "{id}: every value once");
}

fn config(case: &Value) -> ScanConfig {
    parts_of(u32::try_from(case["part_size"].as_u64().unwrap()).unwrap())
}

#[test]
fn a_scan_finds_what_the_original_finds() {
    let text = include_str!("../../../../tests/vectors/bytestag/sharing.json");
    let cases: Value = serde_json::from_str(text).unwrap();
    let mut rescans = 0;
    for case in cases["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let directory = Directory::new();
        write(&directory, &case["files"], 1000);
        let roots: Vec<_> =
            case["shared"].as_array().unwrap().iter().map(|root| root.as_str().unwrap()).collect();
        let scan = directory.scan_with(&roots, &Known::new(), &config(case));
        let files = directory.files(&scan);
        let mut catalog = Catalog::default();
        if case["compat"] == "defect" {
            // The original ends its scan at an empty file.
            assert_eq!(
                (id, &files[..]),
                ("empty-file", &["share/a", "share/c"].map(String::from)[..])
            );
            continue;
        }
        catalog.apply(scan);
        assert_is(&directory, &catalog, &files, case);
        let Some(rescan) = case.get("rescan") else { continue };
        rescans += 1;
        for path in rescan["delete"].as_array().unwrap() {
            directory.remove(path.as_str().unwrap());
        }
        write(&directory, &rescan["write"], 1001);
        let scan = directory.scan_with(&roots, &catalog.known(), &config(case));
        let files = directory.files(&scan);
        catalog.apply(scan);
        let mut after = case.clone();
        after["expect"] = case["expect_after_rescan"].clone();
        assert_is(&directory, &catalog, &files, &after);
    }
    assert_eq!(rescans, 1);
}

#[test]
fn parts_have_the_size_of_the_network() {
    assert_eq!(ScanConfig::default().part_size, NonZeroU32::new(262_144).unwrap());
}
