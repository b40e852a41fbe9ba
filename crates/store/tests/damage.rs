//! Whatever happens to a file: all of its data, or word that it is damaged. Never other data.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rs2p_store::{Changes, Store, StoreError};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// The bytes of a store with a history, and what is in it.
struct Sample {
    directory: tempfile::TempDir,
    bytes: Vec<u8>,
    entries: Entries,
}

enum End {
    /// The store was dropped.
    Clean,
    /// The process ended without a chance to close it.
    Killed,
}

fn sample(end: &End) -> Sample {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    let store = Store::open(&path, "test 1").unwrap();
    let mut entries = Entries::new();
    for round in 0..12_u16 {
        let mut changes = Changes::new();
        for number in 0..100 {
            let key = (round * 80 + number).to_be_bytes().to_vec();
            let value = vec![round.to_be_bytes()[1]; usize::from(number)];
            changes.put(key.clone(), value.clone());
            entries.insert(key, value);
        }
        changes.set_meta("round", round.to_be_bytes());
        store.write(&changes).unwrap();
    }
    let bytes = match end {
        End::Clean => {
            drop(store);
            fs::read(&path).unwrap()
        }
        // All that a process leaves when it is killed is what is in the file now.
        End::Killed => fs::read(&path).unwrap(),
    };
    Sample { directory, bytes, entries }
}

impl Sample {
    /// Opens these bytes as a file. A damaged one is set aside; one that can be opened has all its
    /// data, also after another write. Tells whether it was damaged.
    fn try_open(&self, name: &str, bytes: &[u8]) -> bool {
        let path = self.directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        let store = match Store::open(&path, "test 1") {
            Ok(store) => store,
            Err(StoreError::Damaged { set_aside, .. }) => {
                assert!(!path.exists(), "{name}: it was set aside");
                assert_eq!(set_aside, aside(&path), "{name}");
                assert!(Store::open(&path, "test 1").unwrap().is_empty().unwrap(), "{name}");
                fs::remove_file(&path).unwrap();
                fs::remove_file(set_aside).unwrap();
                return true;
            }
            Err(other) => unreachable!("{name}: {other}"),
        };
        assert!(entries(&store) == self.entries, "{name}: other data");
        assert_eq!(store.meta("round").unwrap().unwrap(), [0, 11], "{name}");
        let mut more = Changes::new();
        more.put("more", "x").set_meta("round", [1]);
        store.write(&more).unwrap();
        drop(store);
        let store = Store::open(&path, "test 1").unwrap();
        let mut expected = self.entries.clone();
        expected.insert(b"more".to_vec(), b"x".to_vec());
        assert!(entries(&store) == expected, "{name}: other data after a write");
        drop(store);
        fs::remove_file(&path).unwrap();
        false
    }
}

#[test]
fn a_file_that_was_cut_is_damaged_at_every_length() {
    for end in [End::Clean, End::Killed] {
        let sample = sample(&end);
        assert!(!sample.try_open("whole", &sample.bytes));
        let whole = sample.bytes.len();
        let lengths = (1..whole).step_by(whole / 60).chain([1, 15, 16, 4095, 4096, 4097, 8192]);
        for length in lengths.chain([whole - 4096, whole - 1]) {
            let damaged = sample.try_open(&format!("cut at {length}"), &sample.bytes[..length]);
            // The end of a file may be free space; what is shorter than the data never is.
            assert!(damaged || length > whole / 2, "{length} of {whole}");
        }
        let mut longer = sample.bytes.clone();
        longer.extend([7; 100]);
        sample.try_open("longer", &longer);
    }
}

#[test]
fn a_flipped_bit_of_the_database_header_is_harmless_or_found() {
    for end in [End::Clean, End::Killed] {
        let sample = sample(&end);
        // All bits of the byte that says which commit is the latest, and one of each other.
        let state = 4096 + 9;
        let others = (4096..4096 + 320).map(|byte| byte * 8 + byte % 8);
        for bit in (state * 8..state * 8 + 8).chain(others) {
            // After a kill nothing tells this bit's two values apart: a write may be complete and
            // not be marked as the latest yet. A clean end leaves the same entries in both.
            if matches!(end, End::Clean) || bit != state * 8 {
                flip(&sample, bit);
            }
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_harmless_or_found() {
    for end in [End::Clean, End::Killed] {
        let sample = sample(&end);
        let bits = sample.bytes.len() * 8;
        // An odd step, so that all bits of a byte and all places of a page have their turn.
        let bits = (7..bits).step_by(bits / 200 / 2 * 2 + 1);
        let found = bits.filter(|bit| flip(&sample, *bit)).count();
        assert!(found > 20, "only {found} flips were found");
    }
}

#[test]
fn pages_of_zeros_or_of_other_places_are_found() {
    let sample = sample(&End::Clean);
    let pages = sample.bytes.len() / 4096;
    let mut found = 0;
    for page in 0..pages {
        let (start, end) = (page * 4096, page * 4096 + 4096);
        let mut zeros = sample.bytes.clone();
        zeros[start..end].fill(0);
        found += usize::from(sample.try_open(&format!("page {page} zero"), &zeros));
        let mut moved = sample.bytes.clone();
        moved.copy_within(start..end, (page + 1) % pages * 4096);
        found += usize::from(sample.try_open(&format!("page {page} moved"), &moved));
    }
    assert!(found > 20, "only {found} were found");
}

fn flip(sample: &Sample, bit: usize) -> bool {
    let mut bytes = sample.bytes.clone();
    bytes[bit / 8] ^= 1 << (bit % 8);
    sample.try_open(&format!("bit {} of byte {}", bit % 8, bit / 8), &bytes)
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

fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap().to_owned();
    name.push(".damaged-1");
    path.canonicalize().unwrap_or_else(|_| path.to_owned()).with_file_name(name)
}
