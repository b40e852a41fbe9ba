//! What a scan takes, what it leaves, and what it tells.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;

use rs2p_bytestag::{Catalog, FileInfo, Known, Scan, ScanConfig, SkipReason, ValueId};

use crate::directory::{Directory, parts_of};

#[test]
fn an_empty_file_is_a_note_and_no_end() {
    let directory = Directory::new();
    for (name, bytes) in [("a", &b"first"[..]), ("b", b""), ("c", b"third")] {
        directory.write(&format!("share/{name}"), bytes);
    }
    let scan = directory.scan(&["share"], &Known::new());
    assert_eq!(directory.files(&scan), ["share/a", "share/c"]);
    assert_eq!(directory.notes(&scan), [("share/b".to_owned(), SkipReason::Empty)]);
    assert!(scan.is_complete);
    assert!(scan.notes[0].to_string().ends_with("b is not shared: it is empty"));
}

#[test]
fn a_part_survives_the_removal_of_one_of_its_files() {
    let directory = Directory::new();
    directory.write("share/1", b"same");
    directory.write("share/2", b"same");
    let mut catalog = directory.catalog(&["share"]);
    let part = ValueId::of(b"same");
    assert_eq!(catalog.originals().filter(|id| *id == part).count(), 1);

    directory.remove("share/1");
    let changes = catalog.apply(directory.scan(&["share"], &catalog.known()));
    assert_eq!((changes.added, changes.removed), (vec![], vec![]));
    assert_eq!(changes.files_removed, [directory.path("share/1")]);
    assert_eq!(catalog.read(&part).unwrap().unwrap(), "same");

    let info = catalog.file(&directory.path("share/2")).unwrap().info_id();
    directory.remove("share/2");
    let changes = catalog.apply(directory.scan(&["share"], &catalog.known()));
    let gone: BTreeSet<_> = changes.removed.into_iter().collect();
    assert_eq!(gone, BTreeSet::from([part, info]));
    assert!(catalog.read(&part).unwrap().is_none());
    assert_eq!(catalog.originals().count(), 0);
}

#[test]
fn a_directory_whose_name_begins_like_a_shared_one_is_not_shared() {
    let directory = Directory::new();
    directory.write("share/a", b"in");
    directory.write("share-not/b", b"out");
    directory.write("share/sub/c", b"below");
    let catalog = directory.catalog(&["share", "share-not"]);
    let under = |path: &str| {
        let files = catalog.files_under(&directory.path(path));
        files.map(|file| directory.below(file.path())).collect::<Vec<_>>()
    };
    assert_eq!(under("share"), ["share/a", "share/sub/c"]);
    assert_eq!(under("share/a"), ["share/a"]);
    assert_eq!(under("share/s"), [""; 0]);

    let mut catalog = catalog.clone();
    let changes = catalog.apply(directory.scan(&["share"], &catalog.known()));
    assert_eq!(changes.files_removed, [directory.path("share-not/b")]);
    assert!(!catalog.contains(&ValueId::of(b"out")));
}

#[test]
fn a_file_that_is_unchanged_is_not_hashed_again() {
    let directory = Directory::new();
    directory.write_at("share/a", b"one", 1000);
    directory.write_at("share/b", b"two", 1000);
    let mut catalog = directory.catalog(&["share"]);

    // The same size and time hide another content: so it has not been read.
    directory.write_at("share/a", b"ONE", 1000);
    directory.write_at("share/b", b"TWO", 1001);
    let roots = [directory.path("share")];
    let mut hashed = 0;
    let scan = Scan::run(&roots, &catalog.known(), &ScanConfig::default(), |progress| {
        hashed = progress.bytes_done;
        ControlFlow::Continue(())
    });
    assert_eq!(hashed, 3);
    let changes = catalog.apply(scan);
    assert_eq!(changes.files_added.len(), 1);
    assert!(catalog.contains(&ValueId::of(b"one")));
    assert!(catalog.contains(&ValueId::of(b"TWO")));
    assert!(changes.removed.contains(&ValueId::of(b"two")));
}

#[test]
fn records_spare_a_restart_the_hashing() {
    let directory = Directory::new();
    directory.write("share/a", b"one");
    directory.write("share/c.json", br#"{"!":"BytestagCollectionInfo","files":[]}"#);
    let before = directory.catalog(&["share"]);
    let records: Vec<_> = before.files().map(|file| file.to_record().unwrap()).collect();
    let files =
        records.iter().map(|record| rs2p_bytestag::SharedFile::from_record(record).unwrap());
    let mut after = Catalog::of(files);
    assert!(before.originals().eq(after.originals()));
    let changes = after.apply(directory.scan(&["share"], &after.known()));
    assert_eq!(changes, rs2p_bytestag::CatalogChanges::default());
    assert!(before.files().eq(after.files()));
}

#[test]
fn parts_of_another_size_are_hashed_anew() {
    let directory = Directory::new();
    directory.write("share/a", b"abcdef");
    let mut catalog = directory.catalog(&["share"]);
    let scan = directory.scan_with(&["share"], &catalog.known(), &parts_of(3));
    catalog.apply(scan);
    assert!(catalog.contains(&ValueId::of(b"abc")));
    assert!(!catalog.contains(&ValueId::of(b"abcdef")));
}

#[test]
fn a_file_can_be_a_root_and_roots_can_lie_in_each_other() {
    let directory = Directory::new();
    directory.write("share/sub/a", b"a");
    let scan = directory.scan(&["share/sub/a"], &Known::new());
    assert_eq!(directory.files(&scan), ["share/sub/a"]);
    let scan = directory.scan(&["share", "share/sub", "share/sub/a"], &Known::new());
    assert_eq!(directory.files(&scan), ["share/sub/a"]);
    let seen = |path: &str| (path.to_owned(), SkipReason::SeenBefore);
    assert_eq!(directory.notes(&scan), [seen("share/sub"), seen("share/sub/a")]);
}

#[test]
fn what_is_missing_is_a_note() {
    let directory = Directory::new();
    let scan = directory.scan(&["nowhere"], &Known::new());
    assert!(matches!(&directory.notes(&scan)[..], [(_, SkipReason::Unreadable(_))]));
}

#[test]
fn depth_number_and_size_are_limited_and_said() {
    let directory = Directory::new();
    for name in ["a", "b", "d/c", "d/e/f"] {
        directory.write(&format!("share/{name}"), name.as_bytes());
    }
    let mut config = parts_of(1);
    config.max_depth = 1;
    let scan = directory.scan_with(&["share"], &Known::new(), &config);
    assert_eq!(directory.files(&scan), ["share/a", "share/b", "share/d/c"]);
    let deep = SkipReason::TooDeep { limit: 1 };
    assert_eq!(directory.notes(&scan), [("share/d/e".to_owned(), deep)]);

    config.max_files = 2;
    let scan = directory.scan_with(&["share"], &Known::new(), &config);
    assert_eq!(directory.files(&scan).len(), 2);
    assert!(scan.notes.iter().any(|note| note.reason == SkipReason::TooMany { limit: 2 }));

    let large = vec![b'x'; FileInfo::MAX_PARTS + 1];
    directory.write("large", &large);
    let scan = directory.scan_with(&["large"], &Known::new(), &parts_of(1));
    let (size, limit) = (large.len() as u64, FileInfo::MAX_PARTS as u64);
    assert_eq!(
        directory.notes(&scan),
        [("large".to_owned(), SkipReason::TooLarge { size, limit })]
    );
    directory.write("large", &large[1..]);
    let scan = directory.scan_with(&["large"], &Known::new(), &parts_of(1));
    assert_eq!(directory.files(&scan), ["large"]);
}

#[test]
fn notes_are_kept_up_to_their_limit() {
    let directory = Directory::new();
    for number in 0..Scan::MAX_NOTES + 5 {
        directory.write(&format!("share/{number}"), b"");
    }
    let scan = directory.scan(&["share"], &Known::new());
    assert_eq!((scan.notes.len(), scan.notes_left_out), (Scan::MAX_NOTES, 5));
}

#[test]
fn progress_runs_up_to_all_bytes() {
    let directory = Directory::new();
    directory.write("share/a", &vec![1; 600_000]);
    directory.write("share/b", b"b");
    let (mut last, mut steps) = (0, 0);
    Scan::run(&[directory.path("share")], &Known::new(), &ScanConfig::default(), |progress| {
        assert!(progress.bytes_done >= last);
        assert!(progress.bytes == 0 || (progress.bytes, progress.files) == (600_001, 2));
        last = progress.bytes_done;
        steps += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((last, steps), (600_001, 5));
}

#[test]
fn a_stopped_scan_adds_and_removes_nothing() {
    let directory = Directory::new();
    directory.write("share/a", b"a");
    let mut catalog = directory.catalog(&["share"]);
    directory.remove("share/a");
    directory.write("share/b", b"b");
    directory.write("share/c", b"c");
    let stop_at = |end: &'static str| {
        let roots: [PathBuf; 1] = [directory.path("share")];
        Scan::run(&roots, &catalog.known(), &ScanConfig::default(), |progress| {
            if progress.path.ends_with(end) {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })
    };
    let early = stop_at("share");
    assert!(!early.is_complete && early.files.is_empty());
    let late = stop_at("c");
    assert!(!late.is_complete);
    assert_eq!(directory.files(&late), ["share/b"]);
    assert!(catalog.apply(early).removed.is_empty());
    assert!(catalog.apply(late).removed.is_empty());
    assert!(catalog.contains(&ValueId::of(b"a")) && catalog.contains(&ValueId::of(b"b")));
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_a_circle() {
    use std::os::unix::fs::symlink;

    let directory = Directory::new();
    directory.write("share/sub/a", b"a");
    directory.write("other/b", b"b");
    symlink(directory.path("share"), directory.path("share/sub/up")).unwrap();
    symlink(directory.path("other"), directory.path("share/linked")).unwrap();
    symlink(directory.path("share/sub/a"), directory.path("share/file")).unwrap();
    symlink(directory.path("nothing"), directory.path("share/nothing")).unwrap();
    let scan = directory.scan(&["share"], &Known::new());
    assert_eq!(directory.files(&scan), ["share/file", "share/linked/b", "share/sub/a"]);
    let notes = directory.notes(&scan);
    assert!(matches!(&notes[0], (path, SkipReason::Unreadable(_)) if path == "share/nothing"));
    assert_eq!(notes[1..], [("share/sub/up".to_owned(), SkipReason::SeenBefore)]);

    let mut config = ScanConfig::default();
    config.follows_links = false;
    let scan = directory.scan_with(&["share"], &Known::new(), &config);
    assert_eq!(directory.files(&scan), ["share/sub/a"]);
}

#[cfg(unix)]
#[test]
fn a_socket_is_not_opened() {
    let directory = Directory::new();
    fs::create_dir(directory.path("share")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(directory.path("share/s")).unwrap();
    let scan = directory.scan(&["share"], &Known::new());
    assert_eq!(directory.notes(&scan), [("share/s".to_owned(), SkipReason::NotAFile)]);
}

#[cfg(unix)]
#[test]
fn names_that_are_no_text_are_shared_and_kept() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let directory = Directory::new();
    directory.write("share/a", b"a");
    let path = directory.path("share").join(OsStr::from_bytes(b"\xff"));
    fs::write(&path, b"ff").unwrap();
    let catalog = directory.catalog(&["share"]);
    let file = catalog.file(&path).unwrap();
    let kept = rs2p_bytestag::SharedFile::from_record(&file.to_record().unwrap()).unwrap();
    assert_eq!(kept, **file);
}
