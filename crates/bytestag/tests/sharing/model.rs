//! Whatever happens to a tree of files: a catalog that follows equals one that is made afresh.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rs2p_bytestag::{Catalog, Known, ScanConfig, ValueId};

use crate::directory::{Directory, parts_of};

#[derive(Clone, Debug)]
enum Step {
    /// Few names, few contents: files meet often, and have parts in common.
    Write(usize, Vec<u8>),
    Remove(usize),
    Scan,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let content = prop::collection::vec(prop::sample::select(vec![b'x', b'y']), 0..9);
    prop_oneof![
        4 => (0..NAMES.len(), content).prop_map(|(name, bytes)| Step::Write(name, bytes)),
        2 => (0..NAMES.len()).prop_map(Step::Remove),
        2 => Just(Step::Scan),
        1 => Just(Step::Restart),
    ]
}

fn values(catalog: &Catalog) -> BTreeSet<ValueId> {
    let all: Vec<_> = catalog.originals().collect();
    let distinct: BTreeSet<_> = all.iter().copied().collect();
    assert_eq!(all.len(), distinct.len(), "a value is told once");
    distinct
}

/// Scans, applies, and compares with a catalog that is made afresh.
fn follow(directory: &Directory, catalog: &mut Catalog, config: &ScanConfig) {
    let before = values(catalog);
    let changes = catalog.apply(directory.scan_with(&["share"], &catalog.known(), config));
    let after = values(catalog);
    assert!(changes.added.iter().eq(after.difference(&before)));
    assert!(changes.removed.iter().eq(before.difference(&after)));

    let mut fresh = Catalog::default();
    fresh.apply(directory.scan_with(&["share"], &Known::new(), config));
    assert!(catalog.files().eq(fresh.files()));
    assert_eq!(after, values(&fresh));
    for id in after {
        let bytes = catalog.read(&id).unwrap().unwrap();
        assert!(id.belongs(&bytes));
        assert_eq!(catalog.locate(&id).unwrap().size(), bytes.len() as u64);
        assert!(catalog.values_of(&id.key).any(|value| value == id));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_catalog_follows_its_directory(steps in prop::collection::vec(step(), 1..24)) {
        let directory = Directory::new();
        std::fs::create_dir(directory.path("share")).unwrap();
        let config = parts_of(2);
        let mut catalog = Catalog::default();
        for (seconds, step) in (1..).zip(steps) {
            match step {
                Step::Write(name, bytes) => directory.write_at(NAMES[name], &bytes, seconds),
                Step::Remove(name) => {
                    let _ = std::fs::remove_file(directory.path(NAMES[name]));
                }
                Step::Scan => follow(&directory, &mut catalog, &config),
                Step::Restart => {
                    let records: Vec<_> =
                        catalog.files().map(|file| file.to_record().unwrap()).collect();
                    let read = |record: &String| rs2p_bytestag::SharedFile::from_record(record).unwrap();
                    catalog = Catalog::of(records.iter().map(read));
                }
            }
        }
        follow(&directory, &mut catalog, &config);
    }
}

const NAMES: [&str; 6] = [
    "share/a",
    "share/b",
    "share/sub/a",
    "share/sub/deep/c",
    "share/sub-not/a",
    "share/x.bytestag-incomplete",
];
