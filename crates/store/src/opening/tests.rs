//! What a power failure leaves of a write.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::body::faulty::Disk;
use crate::{Changes, Store};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

#[test]
fn a_write_that_a_power_failure_cut_is_there_as_a_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    let store = Store::open(&path, "test 1").unwrap();
    for value in 0..5 {
        store.write(&many(value)).unwrap();
    }
    let (before, old) = (fs::read(&path).unwrap(), entries(&store));

    // The first time that the write waits for the disk, it is whole in the file and not marked.
    let disk = Disk::of_this_thread();
    disk.stand_still();
    let unmarked = std::thread::scope(|scope| {
        let writing = scope.spawn(|| store.write(&many(5)));
        disk.until_someone_waits();
        let unmarked = fs::read(&path).unwrap();
        disk.go_on();
        writing.join().unwrap().unwrap();
        unmarked
    });
    let new = entries(&store);
    assert_ne!(old, new);

    let pages: Vec<_> = (1..before.len().min(unmarked.len()) / PAGE)
        .map(|page| page * PAGE..(page + 1) * PAGE)
        .filter(|page| before[page.clone()] != unmarked[page.clone()])
        .collect();
    assert!(pages.len() > 8, "{}", pages.len());
    for pattern in 0..64_u64 {
        // The disk has got some of the pages: all of them in the first round.
        let missing = pattern.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut torn = unmarked.clone();
        for (index, page) in pages.iter().enumerate() {
            if missing >> (index % 64) & 1 == 1 {
                torn[page.clone()].copy_from_slice(&before[page.clone()]);
            }
        }
        let found = entries_of(&directory.path().join(format!("torn {pattern}")), &torn);
        assert!(found == old || found == new, "pattern {pattern}");
    }
}

fn many(value: u8) -> Changes {
    let mut changes = Changes::new();
    for number in 0..600_u16 {
        changes.put(number.to_be_bytes(), [value; 50]);
    }
    changes
}

fn entries_of(path: &Path, bytes: &[u8]) -> Entries {
    fs::write(path, bytes).unwrap();
    entries(&Store::open(path, "test 1").unwrap())
}

fn entries(store: &Store) -> Entries {
    let mut entries = Entries::new();
    store
        .entries(|key, value| {
            entries.insert(key.to_vec(), value.to_vec());
        })
        .unwrap();
    entries
}

const PAGE: usize = 4096;
