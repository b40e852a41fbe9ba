//! Fetching files by a link.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rs2p_kad::Key;
use thiserror::Error;
use tokio::task::JoinSet;

use crate::error::GetError;
use crate::node::{DhtError, DhtNode, blocking};
use crate::packet::Contact;
use crate::share::{
    CollectionInfo, FileInfo, Magnet, MagnetError, PART_SIZE, PartHasher, Topic, safe_path,
};
use crate::value::ValueId;

/// Parts of a file that are fetched at a time.
const PARTS_AT_ONCE: usize = 8;

/// Nodes that are remembered to have had parts.
const SOURCES: usize = 8;

/// Values that are tried when a link does not say which one of a key it means.
const MAX_CANDIDATES: usize = 16;

/// How far a fetch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchProgress<'a> {
    /// The file that is fetched, where it will lie.
    pub path: &'a Path,
    /// Files in all.
    pub files: usize,
    /// Files that are whole.
    pub files_done: usize,
    /// Bytes in all, as far as the descriptions tell.
    pub bytes: u64,
    /// Bytes that are there, those found from an earlier attempt included.
    pub bytes_done: u64,
}

/// What was fetched: see [`DhtNode::fetch`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fetched {
    /// The file, or the directory of a collection.
    pub path: PathBuf,
    /// The files, in the order in which they were described.
    pub files: Vec<PathBuf>,
    /// Their bytes.
    pub size: u64,
}

/// Files could not be fetched. What is there of them is kept beside their places, in files whose
/// names end in `.bytestag-incomplete`, and used by the next attempt.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The link makes no sense.
    #[error(transparent)]
    Magnet(#[from] MagnetError),
    /// The link is of a kind that this network does not hold.
    #[error("{0} names a torrent by its info hash; only urn:bstagih links can be fetched here")]
    Torrent(Key),
    /// What lies under the key describes no file, and is none.
    #[error("what lies under {0} describes no file")]
    NoFile(Key),
    /// All parts came, but together they are not what the description says.
    #[error("{} is not the file it is described as: its parts were put together by somebody else", path.display())]
    WrongFile {
        /// Where it would have been.
        path: PathBuf,
    },
    /// A part that every other one must be as long as is longer or shorter.
    #[error("part {part} of {} has {found} bytes, where {expected} are due", path.display())]
    WrongPart {
        /// Where the file would have been.
        path: PathBuf,
        /// Which part, from 0 on.
        part: usize,
        /// Bytes it has.
        found: usize,
        /// Bytes it should have.
        expected: usize,
    },
    /// Something else is there already. It is left alone.
    #[error("{} is there already, and is another file: name another place", path.display())]
    Occupied {
        /// Where.
        path: PathBuf,
    },
    /// The disk.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The network.
    #[error(transparent)]
    Node(#[from] DhtError),
}

/// What a link turned out to mean.
enum Meaning {
    File(FileInfo),
    Collection(CollectionInfo),
    /// The file itself, of one part that nobody has described.
    Bytes(Bytes),
}

impl DhtNode {
    /// Fetches the file or collection that a link names, from as many nodes as have parts of it,
    /// and checks every part and the whole.
    ///
    /// `to` is a directory, in which the file gets the name that its description or link tells,
    /// made harmless; or the path that the file, or the directory of a collection, is to have. A
    /// file that is there already and is the right one counts as fetched; another one is never
    /// written over. Dropping the future stops it; the next call goes on from there.
    ///
    /// # Errors
    /// The link cannot be used, a part cannot be had, the whole is not what was described, or the
    /// disk fails.
    pub async fn fetch(
        &self,
        magnet: &Magnet,
        to: impl AsRef<Path>,
        mut progress: impl FnMut(FetchProgress<'_>),
    ) -> Result<Fetched, FetchError> {
        let key = match magnet.topic()? {
            Topic::Bytestag(key) => key,
            Topic::BitTorrent(key) => return Err(FetchError::Torrent(key)),
        };
        let to = to.as_ref();
        let name = |names: Option<&[String]>| {
            let told = magnet.name().map(|name| vec![name.to_owned()]);
            let names = names.and_then(<[_]>::last).map(|name| vec![name.clone()]).or(told);
            safe_path(&names.unwrap_or_default(), &key)
        };
        let place = |name: PathBuf| if to.is_dir() { to.join(name) } else { to.to_owned() };
        match self.meaning(key, magnet.index()).await? {
            Meaning::Bytes(bytes) => {
                let path = place(name(None));
                let size = bytes.len() as u64;
                let written = path.clone();
                blocking(move || write_new(&written, &bytes)).await?;
                Ok(Fetched { files: vec![path.clone()], path, size })
            }
            Meaning::File(info) => {
                let path = place(name(info.filename()));
                let mut tally = Tally::of(std::slice::from_ref(&info));
                let size = self.fetch_file(&info, &path, &mut tally, &mut progress).await?;
                Ok(Fetched { files: vec![path.clone()], path, size })
            }
            Meaning::Collection(collection) => {
                let told = collection.name().or(magnet.name()).map(str::to_owned);
                let name = safe_path(&told.into_iter().collect::<Vec<_>>(), &key);
                let root = if has_begun_in(to, &collection) { to.to_owned() } else { place(name) };
                let mut tally = Tally::of(collection.files());
                let (mut files, mut size) = (Vec::new(), 0);
                for info in collection.files() {
                    let path = place_in(&root, info);
                    size += self.fetch_file(info, &path, &mut tally, &mut progress).await?;
                    files.push(path);
                    tally.files_done += 1;
                }
                Ok(Fetched { path: root, files, size })
            }
        }
    }

    /// Finds out what lies under a key.
    async fn meaning(&self, key: Key, index: Option<Key>) -> Result<Meaning, FetchError> {
        if let Some(index) = index {
            let got = self.get(key, Some(index)).await?;
            return meaning_of(&got.value, key).ok_or(FetchError::NoFile(key));
        }
        let found = self.find_value(key, None).await?;
        let mut told = found.values;
        // Descriptions first: the value whose index is the key may be the only part of the file.
        told.sort_by_key(|(entry, count)| (entry.id.index == key, usize::MAX - count));
        let mut indices: VecDeque<Key> = VecDeque::new();
        for (entry, _) in told {
            if !indices.contains(&entry.id.index) && indices.len() < MAX_CANDIDATES {
                indices.push_back(entry.id.index);
            }
        }
        let mut last = None;
        for index in indices {
            match self.get(key, Some(index)).await {
                Ok(got) => {
                    if let Some(meaning) = meaning_of(&got.value, key) {
                        return Ok(meaning);
                    }
                }
                Err(error) => last = Some(error),
            }
        }
        let absent = GetError::Absent { key, asked: found.nodes.len() };
        Err(match last {
            Some(error) => error.into(),
            None if found.asked == 0 => DhtError::from(GetError::Alone).into(),
            None => DhtError::from(absent).into(),
        })
    }

    async fn fetch_file(
        &self,
        info: &FileInfo,
        path: &Path,
        tally: &mut Tally,
        progress: &mut impl FnMut(FetchProgress<'_>),
    ) -> Result<u64, FetchError> {
        let (wanted, at) = (info.clone(), path.to_owned());
        let before = tally.bytes_done;
        let opened = blocking(move || Partial::open(&wanted, &at)).await?;
        let (mut partial, missing) = match opened {
            Opened::Whole { size } => {
                tally.bytes_done = before + size;
                progress(tally.at(path));
                return Ok(size);
            }
            Opened::Partial { partial, missing } => (partial, VecDeque::from(missing)),
        };
        tally.bytes_done += partial.present;
        progress(tally.at(path));
        self.fetch_parts(info, &mut partial, missing, |bytes| {
            tally.bytes_done += bytes;
            progress(tally.at(path));
        })
        .await?;
        let hash = *info.hash();
        blocking(move || partial.finish(&hash)).await
    }

    async fn fetch_parts(
        &self,
        info: &FileInfo,
        partial: &mut Partial,
        mut missing: VecDeque<usize>,
        mut on_bytes: impl FnMut(u64),
    ) -> Result<(), FetchError> {
        let mut sources: VecDeque<Contact> = VecDeque::new();
        let mut tasks = JoinSet::new();
        loop {
            while tasks.len() < PARTS_AT_ONCE
                && let Some(part) = missing.pop_front()
            {
                let (node, id) = (self.clone(), ValueId::plain(info.parts()[part]));
                // Each part begins with another of those that had one, so that all have work.
                let mut from: Vec<_> = sources.iter().copied().collect();
                if !from.is_empty() {
                    let turn = part % from.len();
                    from.rotate_left(turn);
                }
                tasks.spawn(
                    async move { (part, node.get_from(id.key, Some(id.index), from).await) },
                );
            }
            let Some(done) = tasks.join_next().await else { return Ok(()) };
            let (part, got) = match done {
                Ok(done) => done,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            let got = got?;
            if let Some(source) = got.from
                && !sources.contains(&source)
            {
                sources.push_front(source);
                sources.truncate(SOURCES);
            }
            on_bytes(got.value.len() as u64);
            partial.write(part, got.value).await?;
        }
    }
}

/// Whether an earlier attempt has made this very directory for a collection.
fn has_begun_in(directory: &Path, collection: &CollectionInfo) -> bool {
    collection.files().iter().any(|info| {
        let path = place_in(directory, info);
        path.exists() || incomplete(&path).exists()
    })
}

fn place_in(directory: &Path, info: &FileInfo) -> PathBuf {
    directory.join(safe_path(info.filename().unwrap_or_default(), info.hash()))
}

/// Where a file lies until it is whole.
fn incomplete(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".bytestag-incomplete");
    PathBuf::from(name)
}

/// What the bytes under a key mean; nothing if they describe the file of another key.
fn meaning_of(bytes: &Bytes, key: Key) -> Option<Meaning> {
    if CollectionInfo::looks_like(bytes)
        && let Ok(collection) = CollectionInfo::from_bytes(bytes)
    {
        return Some(Meaning::Collection(collection));
    }
    let is_under_its_sha1 = ValueId::plain(key).fits(bytes);
    if FileInfo::looks_like(bytes) || !is_under_its_sha1 {
        let info = FileInfo::from_bytes(bytes).ok();
        // A link to the description itself is as good as one to the file.
        return info.filter(|info| *info.hash() == key || is_under_its_sha1).map(Meaning::File);
    }
    Some(Meaning::Bytes(bytes.clone()))
}

/// How much of all files is there.
struct Tally {
    files: usize,
    files_done: usize,
    bytes: u64,
    bytes_done: u64,
}

impl Tally {
    fn of(files: &[FileInfo]) -> Self {
        let estimate = |info: &FileInfo| info.parts().len() as u64 * u64::from(PART_SIZE.get());
        let size = |info: &FileInfo| info.size().unwrap_or_else(|| estimate(info));
        let bytes = files.iter().map(size).fold(0, u64::saturating_add);
        Self { files: files.len(), files_done: 0, bytes, bytes_done: 0 }
    }

    fn at<'a>(&self, path: &'a Path) -> FetchProgress<'a> {
        let Self { files, files_done, bytes, bytes_done } = *self;
        FetchProgress { path, files, files_done, bytes, bytes_done }
    }
}

/// A file that is not whole yet, under a name that shows it.
struct Partial {
    path: PathBuf,
    incomplete: PathBuf,
    file: Arc<Mutex<File>>,
    parts: usize,
    /// Bytes of the parts found from an earlier attempt.
    present: u64,
}

enum Opened {
    /// The file is there already.
    Whole {
        size: u64,
    },
    Partial {
        partial: Partial,
        missing: Vec<usize>,
    },
}

impl Partial {
    /// Opens the file of an earlier attempt, and finds out which parts it lacks. It blocks.
    fn open(info: &FileInfo, path: &Path) -> Result<Opened, FetchError> {
        let failed = |source| FetchError::Io { path: path.to_owned(), source };
        if path.exists() {
            let file = File::open(path).map_err(failed)?;
            let (hash, size) = hash_of(file).map_err(failed)?;
            if hash == *info.hash() {
                return Ok(Opened::Whole { size });
            }
            return Err(FetchError::Occupied { path: path.to_owned() });
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        let incomplete = incomplete(path);
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&incomplete);
        let failed = |source| FetchError::Io { path: incomplete.clone(), source };
        let mut file = opened.map_err(failed)?;
        let (mut missing, mut present) = (Vec::new(), 0);
        let mut bytes = Vec::with_capacity(PART_SIZE.get() as usize);
        for (part, key) in info.parts().iter().enumerate() {
            file.seek(SeekFrom::Start(offset(part))).map_err(failed)?;
            bytes.clear();
            let mut rest = (&file).take(u64::from(PART_SIZE.get()));
            rest.read_to_end(&mut bytes).map_err(failed)?;
            if ValueId::plain(*key).fits(&bytes) {
                present += bytes.len() as u64;
            } else {
                missing.push(part);
            }
        }
        let file = Arc::new(Mutex::new(file));
        let path = path.to_owned();
        let parts = info.parts().len();
        Ok(Opened::Partial { partial: Self { path, incomplete, file, parts, present }, missing })
    }

    /// Writes a part to its place.
    async fn write(&self, part: usize, bytes: Bytes) -> Result<(), FetchError> {
        let expected = PART_SIZE.get() as usize;
        let is_last = part + 1 == self.parts;
        if bytes.len() > expected || bytes.len() < expected && !is_last {
            let (path, found) = (self.path.clone(), bytes.len());
            return Err(FetchError::WrongPart { path, part, found, expected });
        }
        let (file, incomplete) = (Arc::clone(&self.file), self.incomplete.clone());
        blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let mut write = || {
                file.seek(SeekFrom::Start(offset(part)))?;
                file.write_all(&bytes)?;
                // What an earlier attempt at another file left beyond the end is none of this one.
                if is_last { file.set_len(offset(part) + bytes.len() as u64) } else { Ok(()) }
            };
            write().map_err(|source| FetchError::Io { path: incomplete, source })
        })
        .await
    }

    /// Checks the whole, and gives it its name. It blocks.
    fn finish(self, hash: &Key) -> Result<u64, FetchError> {
        let failed = |source| FetchError::Io { path: self.incomplete.clone(), source };
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.rewind().map_err(failed)?;
        let (found, size) = hash_of(&*file).map_err(failed)?;
        if found != *hash {
            return Err(FetchError::WrongFile { path: self.path.clone() });
        }
        file.sync_all().map_err(failed)?;
        if self.path.exists() {
            return Err(FetchError::Occupied { path: self.path.clone() });
        }
        fs::rename(&self.incomplete, &self.path).map_err(failed)?;
        Ok(size)
    }
}

fn offset(part: usize) -> u64 {
    part as u64 * u64::from(PART_SIZE.get())
}

/// The SHA-1 and the length of what is left to read.
fn hash_of(mut file: impl io::Read) -> io::Result<(Key, u64)> {
    let mut hasher = PartHasher::new(PART_SIZE);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let hashed = hasher.finish();
    Ok((hashed.hash, hashed.size))
}

/// Writes a file that was not there; one of the same bytes may be.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), FetchError> {
    let failed = |source| FetchError::Io { path: path.to_owned(), source };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(bytes).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let is_same = fs::read(path).is_ok_and(|there| there == bytes);
            if is_same { Ok(()) } else { Err(FetchError::Occupied { path: path.to_owned() }) }
        }
        Err(error) => Err(failed(error)),
    }
}
