//! All shared files, and the values they give.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;

use bytes::Bytes;
use rs2p_kad::Key;

use super::part_source::{PartSource, ReadError};
use super::scan::{Known, Scan};
use super::shared_file::SharedFile;
use crate::value::ValueId;

/// The shared files and the values they give: their descriptions and their parts.
///
/// It lives in memory and holds names only; bytes are read from the files when they are wanted.
/// A value that several files give is there until the last of them goes. [`Scan`] finds the files,
/// [`apply`](Self::apply) takes them in and tells what became of the values.
///
/// It grows with what its user shares: about 100 bytes for each part.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    files: BTreeMap<PathBuf, u64>,
    numbered: BTreeMap<u64, Arc<SharedFile>>,
    /// Descriptions, and the files that they describe.
    infos: BTreeSet<(ValueId, u64)>,
    /// Parts, and where they are: the file, and the number in it.
    parts: BTreeSet<(Key, u64, u32)>,
    next: u64,
}

/// What became of a [`Catalog`] by a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CatalogChanges {
    /// Values that were not there before, in order.
    pub added: Vec<ValueId>,
    /// Values that no file gives any more, in order.
    pub removed: Vec<ValueId>,
    /// Files that are new, or not what they were, in order of their paths.
    pub files_added: Vec<Arc<SharedFile>>,
    /// Files that are gone, in order.
    pub files_removed: Vec<PathBuf>,
}

impl Catalog {
    /// A catalog of files that were known before, from [`SharedFile::from_record`]. Of several
    /// with one path the last counts.
    #[must_use]
    pub fn of(files: impl IntoIterator<Item = SharedFile>) -> Self {
        let mut catalog = Self::default();
        for file in files {
            catalog.remove(file.path(), &mut BTreeMap::new());
            catalog.insert(Arc::new(file), &mut BTreeMap::new());
        }
        catalog
    }

    /// Takes in what a scan has found. After a scan that ran to its end only the files it found
    /// are shared; one that was stopped adds to what is there.
    pub fn apply(&mut self, scan: Scan) -> CatalogChanges {
        let mut changes = CatalogChanges::default();
        let mut touched = BTreeMap::new();
        let found: BTreeMap<_, _> =
            scan.files.into_iter().map(|file| (file.path().to_owned(), file)).collect();
        if scan.is_complete {
            let is_gone = |path: &&PathBuf| !found.contains_key(*path);
            changes.files_removed = self.files.keys().filter(is_gone).cloned().collect();
            for path in &changes.files_removed {
                self.remove(path, &mut touched);
            }
        }
        for (path, file) in found {
            if self.file(&path).is_some_and(|known| *known == file) {
                continue;
            }
            self.remove(&path, &mut touched);
            self.insert(Arc::clone(&file), &mut touched);
            changes.files_added.push(file);
        }
        for (id, was) in touched {
            match (was, self.contains(&id)) {
                (false, true) => changes.added.push(id),
                (true, false) => changes.removed.push(id),
                _ => {}
            }
        }
        changes
    }

    /// What a scan need not hash again if it is unchanged.
    #[must_use]
    pub fn known(&self) -> Known {
        self.files().map(|file| (file.path().to_owned(), Arc::clone(file))).collect()
    }

    /// The shared files, in order of their paths.
    pub fn files(&self) -> impl Iterator<Item = &Arc<SharedFile>> {
        self.files.values().filter_map(|number| self.numbered.get(number))
    }

    /// The shared file at this path, spelled as the scan spells it.
    #[must_use]
    pub fn file(&self, path: &Path) -> Option<&Arc<SharedFile>> {
        self.numbered.get(self.files.get(path)?)
    }

    /// The shared files in a directory and below it, or the one file at this path, in order. Whole
    /// components count: `shared-too/x` is not below `shared`.
    pub fn files_under<'a>(
        &'a self,
        path: &Path,
    ) -> impl Iterator<Item = &'a Arc<SharedFile>> + use<'a> {
        let path = absolute(path).unwrap_or_else(|_| path.to_owned());
        let below = self.files.range(path.clone()..).take_while(move |(own, _)| {
            // Paths are ordered by their components, so those below one follow right after it.
            own.starts_with(&path)
        });
        below.filter_map(|(_, number)| self.numbered.get(number))
    }

    /// Whether a shared file gives this value.
    #[must_use]
    pub fn contains(&self, id: &ValueId) -> bool {
        self.info_of(id).is_some() || self.places(id).next().is_some()
    }

    /// The values under a key, in order: descriptions of files with this key, and the part.
    pub fn values_of(&self, key: &Key) -> impl Iterator<Item = ValueId> + use<> {
        let index = |byte| ValueId { key: *key, index: Key::new([byte; 20]) };
        let infos = self.infos.range((index(0), 0)..=(index(u8::MAX), u64::MAX));
        let part = ValueId::plain(*key);
        let mut values: BTreeSet<_> = infos.map(|(id, _)| *id).collect();
        if self.places(&part).next().is_some() {
            values.insert(part);
        }
        values.into_iter()
    }

    /// All values once: the descriptions of files in order, then the parts in order.
    pub fn originals(&self) -> impl Iterator<Item = ValueId> {
        distinct(self.infos.iter().map(|(id, _)| *id))
            .chain(distinct(self.parts.iter().map(|(key, ..)| ValueId::plain(*key))))
    }

    /// Where a value comes from, to be read elsewhere. It does not block.
    #[must_use]
    pub fn locate(&self, id: &ValueId) -> Option<PartSource> {
        if let Some(file) = self.info_of(id) {
            return Some(PartSource::info(*id, Arc::clone(file)));
        }
        let mut places: Vec<(Arc<SharedFile>, u32)> = Vec::new();
        let mut last = None;
        for (_, number, part) in self.places(id) {
            // A second place in the same file has changed with the first one.
            if last.replace(*number) == Some(*number) {
                continue;
            }
            if let Some(file) = self.numbered.get(number) {
                places.push((Arc::clone(file), *part));
            }
            if places.len() == PartSource::MAX_PLACES {
                break;
            }
        }
        PartSource::part(*id, places)
    }

    /// The bytes of a value, nothing if no shared file gives it. It blocks on the disk; see
    /// [`PartSource::read`].
    ///
    /// # Errors
    ///
    /// The files that gave it have changed, or cannot be read.
    pub fn read(&self, id: &ValueId) -> Result<Option<Bytes>, ReadError> {
        self.locate(id).map(|source| source.read()).transpose()
    }

    fn info_of(&self, id: &ValueId) -> Option<&Arc<SharedFile>> {
        let (_, number) = self.infos.range((*id, 0)..=(*id, u64::MAX)).next()?;
        self.numbered.get(number)
    }

    fn places(&self, id: &ValueId) -> impl Iterator<Item = &(Key, u64, u32)> {
        let all = (id.key, 0, 0)..=(id.key, u64::MAX, u32::MAX);
        let is_plain = id.key == id.index;
        self.parts.range(all).take_while(move |_| is_plain)
    }

    /// `touched` keeps which values were there before the first change to them.
    fn insert(&mut self, file: Arc<SharedFile>, touched: &mut BTreeMap<ValueId, bool>) {
        self.touch(&file, touched);
        let number = self.next;
        self.next += 1;
        self.files.insert(file.path().to_owned(), number);
        self.infos.insert((file.info_id(), number));
        self.parts.extend((0..).zip(file.info().parts()).map(|(part, key)| (*key, number, part)));
        self.numbered.insert(number, file);
    }

    fn remove(&mut self, path: &Path, touched: &mut BTreeMap<ValueId, bool>) {
        let Some(number) = self.files.remove(path) else { return };
        let Some(file) = self.numbered.get(&number).map(Arc::clone) else { return };
        self.touch(&file, touched);
        self.numbered.remove(&number);
        self.infos.remove(&(file.info_id(), number));
        for (part, key) in (0..).zip(file.info().parts()) {
            self.parts.remove(&(*key, number, part));
        }
    }

    fn touch(&self, file: &SharedFile, touched: &mut BTreeMap<ValueId, bool>) {
        for id in file.values() {
            touched.entry(id).or_insert_with(|| self.contains(&id));
        }
    }
}

/// A sorted sequence without what is repeated.
fn distinct(sorted: impl Iterator<Item = ValueId>) -> impl Iterator<Item = ValueId> {
    let mut last = None;
    sorted.filter(move |id| last.replace(*id) != Some(*id))
}
