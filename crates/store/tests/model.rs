//! Against a map in memory, with the file closed and opened in between.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use rs2p_store::{Changes, Store};

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Change>),
    Reopen,
}

#[derive(Clone, Debug)]
enum Change {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    SetMeta(String, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    // Few keys, so that they meet again; some values over a page.
    let key = || vec(0..4_u8, 0..3);
    let value = || prop_oneof![vec(any::<u8>(), 0..20), vec(any::<u8>(), 4000..9000)];
    prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| Change::Put(key, value)),
        2 => key().prop_map(Change::Remove),
        1 => ("[ab]?", value()).prop_map(|(name, value)| Change::SetMeta(name, value)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![4 => vec(change(), 0..12).prop_map(Step::Write), 1 => Just(Step::Reopen)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_a_map_that_outlives_its_handle(steps in vec(step(), 1..12)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let mut entries = BTreeMap::new();
        let mut meta = BTreeMap::new();
        let mut store = Store::open(&path, "test 1").unwrap();
        for step in steps {
            match step {
                Step::Write(made) => {
                    let mut changes = Changes::new();
                    for change in made {
                        match change {
                            Change::Put(key, value) => {
                                changes.put(key.clone(), value.clone());
                                entries.insert(key, value);
                            }
                            Change::Remove(key) => {
                                changes.remove(key.clone());
                                entries.remove(&key);
                            }
                            Change::SetMeta(name, value) => {
                                changes.set_meta(name.clone(), value.clone());
                                meta.insert(name, value);
                            }
                        }
                    }
                    store.write(&changes).unwrap();
                }
                Step::Reopen => {
                    drop(store);
                    store = Store::open(&path, "test 1").unwrap();
                }
            }
            let mut found = BTreeMap::new();
            store.entries(|key, value| {
                found.insert(key.to_vec(), value.to_vec());
            }).unwrap();
            prop_assert_eq!(&found, &entries);
            prop_assert_eq!(store.len().unwrap(), entries.len() as u64);
            for name in ["", "a", "b"] {
                prop_assert_eq!(store.meta(name).unwrap(), meta.get(name).cloned());
            }
            for key in [&[][..], &[0], &[1, 2]] {
                prop_assert_eq!(store.get(key).unwrap(), entries.get(key).cloned());
            }
        }
    }
}
