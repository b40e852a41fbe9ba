//! A directory of a test, and scans of it.

use std::fs::{self, File};
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rs2p_bytestag::{Catalog, Known, Scan, ScanConfig, ScanNote, SkipReason};
use tempfile::TempDir;

pub(crate) struct Directory {
    root: TempDir,
}

impl Directory {
    pub(crate) fn new() -> Self {
        Self { root: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    pub(crate) fn write(&self, below: &str, bytes: &[u8]) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Writes a file whose time of change is a given one, which the clock would not tell apart.
    pub(crate) fn write_at(&self, below: &str, bytes: &[u8], seconds: u64) {
        self.write(below, bytes);
        let file = File::options().write(true).open(self.path(below)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    }

    pub(crate) fn remove(&self, below: &str) {
        fs::remove_file(self.path(below)).unwrap();
    }

    /// The path as it is below this directory, with `/` between components.
    pub(crate) fn below(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.root.path()).unwrap();
        let names: Vec<_> = below.iter().map(|name| name.to_str().unwrap()).collect();
        names.join("/")
    }

    pub(crate) fn scan(&self, roots: &[&str], known: &Known) -> Scan {
        self.scan_with(roots, known, &ScanConfig::default())
    }

    pub(crate) fn scan_with(&self, roots: &[&str], known: &Known, config: &ScanConfig) -> Scan {
        let roots: Vec<_> = roots.iter().map(|root| self.path(root)).collect();
        Scan::run(&roots, known, config, |_| ControlFlow::Continue(()))
    }

    pub(crate) fn catalog(&self, roots: &[&str]) -> Catalog {
        let mut catalog = Catalog::default();
        catalog.apply(self.scan(roots, &Known::new()));
        catalog
    }

    pub(crate) fn files(&self, scan: &Scan) -> Vec<String> {
        scan.files.iter().map(|file| self.below(file.path())).collect()
    }

    pub(crate) fn notes(&self, scan: &Scan) -> Vec<(String, SkipReason)> {
        let note = |note: &ScanNote| (self.below(&note.path), note.reason.clone());
        scan.notes.iter().map(note).collect()
    }
}

pub(crate) fn parts_of(bytes: u32) -> ScanConfig {
    let mut config = ScanConfig::default();
    config.part_size = NonZeroU32::new(bytes).unwrap();
    config
}
