//! A shared file as a line of text, so that a restart need not hash it again.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use rs2p_kad::Key;
use serde_json::{Map, Value};
use thiserror::Error;

use super::canonical::{Object, push_text};
use super::parts::HashedFile;
use super::shared_file::{Mark, Modified, SharedFile};

impl SharedFile {
    /// All that is known of the file, as one line of JSON. [`from_record`](Self::from_record)
    /// reads it.
    ///
    /// Nothing if the path cannot be written down: one that is no Unicode, on a system where paths
    /// are no bytes. Such a file is hashed again after a restart.
    #[must_use]
    pub fn to_record(&self) -> Option<String> {
        let mut out = String::new();
        let mut object = Object::open(&mut out);
        object.key("hash", &self.key());
        if let Some(mark) = self.mark() {
            object.text("mark", mark_name(mark));
        }
        let modified = self.modified();
        object.number("nanos", u64::from(modified.nanos));
        object.number("part_size", u64::from(self.part_size().get()));
        object.list("parts", self.info().parts(), |out, part| push_text(out, &part.to_base64()));
        match self.path().to_str() {
            Some(path) => object.text("path", path),
            None => object.text("path_hex", &path_to_hex(self.path())?),
        };
        object.text("seconds", &modified.seconds.to_string());
        object.number("size", self.size());
        object.close();
        Some(out)
    }

    /// Reads what [`to_record`](Self::to_record) wrote. It is taken as told: whether the file is
    /// still there and the same shows at the next scan, and bytes are checked before they are given
    /// out.
    ///
    /// # Errors
    ///
    /// It is not such a line; the error says what is wrong.
    pub fn from_record(record: &str) -> Result<Self, RecordError> {
        if record.len() > MAX_BYTES {
            return Err(RecordError::TooLong { found: record.len(), limit: MAX_BYTES });
        }
        let members: Map<String, Value> = serde_json::from_str(record)
            .map_err(|error| RecordError::NotJson { reason: error.to_string() })?;
        let wrong = |member| RecordError::Member { member };
        let text = |member| members.get(member).and_then(Value::as_str).ok_or(wrong(member));
        let number = |member| members.get(member).and_then(Value::as_u64).ok_or(wrong(member));
        let small =
            |member| number(member).and_then(|n| u32::try_from(n).map_err(|_| wrong(member)));
        let parts = members.get("parts").and_then(Value::as_array).ok_or(wrong("parts"))?;
        let parts = parts
            .iter()
            .map(|part| part.as_str().and_then(|part| part.parse().ok()))
            .collect::<Option<Vec<Key>>>()
            .ok_or(wrong("parts"))?;
        let mark = match members.contains_key("mark") {
            true => Some(mark_of(text("mark")?).ok_or(wrong("mark"))?),
            false => None,
        };
        let path = match members.contains_key("path_hex") {
            true => path_of_hex(text("path_hex")?).ok_or(wrong("path_hex"))?,
            false => PathBuf::from(text("path")?),
        };
        let modified = Modified {
            seconds: text("seconds")?.parse().map_err(|_| wrong("seconds"))?,
            nanos: small("nanos")?,
        };
        let part_size = NonZeroU32::new(small("part_size")?).ok_or(wrong("part_size"))?;
        let hash = text("hash")?.parse().map_err(|_| wrong("hash"))?;
        let hashed = HashedFile { hash, parts, size: number("size")? };
        Self::new(path, modified, part_size, hashed, mark).ok_or(wrong("parts"))
    }
}

/// Why a line is no record of a [`SharedFile`]. Leave it out: the file is hashed again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// More bytes than a record can have.
    #[error("a record of {found} bytes, where {limit} is the limit")]
    TooLong {
        /// Bytes there are.
        found: usize,
        /// Bytes there may be.
        limit: usize,
    },
    /// Not a JSON object.
    #[error("a record that is no JSON object: {reason}")]
    NotJson {
        /// What the parser says.
        reason: String,
    },
    /// A member is missing, or wrong.
    #[error("a record whose member \"{member}\" is missing or wrong")]
    Member {
        /// Its name.
        member: &'static str,
    },
}

const fn mark_name(mark: Mark) -> &'static str {
    match mark {
        Mark::Collection => "collection",
        Mark::Torrent => "torrent",
    }
}

fn mark_of(name: &str) -> Option<Mark> {
    [Mark::Collection, Mark::Torrent].into_iter().find(|mark| mark_name(*mark) == name)
}

#[cfg(unix)]
fn path_to_hex(path: &Path) -> Option<String> {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;

    let mut hex = String::new();
    for byte in path.as_os_str().as_bytes() {
        write!(hex, "{byte:02x}").ok()?;
    }
    Some(hex)
}

#[cfg(unix)]
fn path_of_hex(hex: &str) -> Option<PathBuf> {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    let digit = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let byte = |&[high, low]: &[u8; 2]| Some((digit(high)? * 16 + digit(low)?) as u8);
    let bytes = pairs.iter().map(byte).collect::<Option<Vec<_>>>()?;
    Some(OsString::from_vec(bytes).into())
}

#[cfg(not(unix))]
fn path_to_hex(_: &Path) -> Option<String> {
    None
}

#[cfg(not(unix))]
fn path_of_hex(_: &str) -> Option<PathBuf> {
    None
}

/// Room for the most parts and the longest path.
const MAX_BYTES: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::PartHasher;

    fn file(path: PathBuf, bytes: &[u8], seconds: i64, mark: Option<Mark>) -> SharedFile {
        let part_size = NonZeroU32::new(4).unwrap();
        let mut hasher = PartHasher::new(part_size);
        hasher.update(bytes);
        let modified = Modified { seconds, nanos: 7 };
        SharedFile::new(path, modified, part_size, hasher.finish(), mark).unwrap()
    }

    #[test]
    fn any_file_is_read_back_as_it_was() {
        proptest::proptest!(|(
            path in ".{1,20}",
            bytes in proptest::collection::vec(0_u8.., 1..30),
            seconds: i64,
            mark in proptest::sample::select(vec![None, Some(Mark::Torrent), Some(Mark::Collection)]),
        )| {
            let file = file(path.into(), &bytes, seconds, mark);
            let record = file.to_record().unwrap();
            proptest::prop_assert!(!record.contains('\n'));
            proptest::prop_assert_eq!(SharedFile::from_record(&record), Ok(file));
        });
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_text_is_kept_as_bytes() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;

        let path = PathBuf::from(OsStr::from_bytes(b"/a/\xff\xfe"));
        let file = file(path, b"abc", 1, None);
        assert_eq!(SharedFile::from_record(&file.to_record().unwrap()), Ok(file));
    }

    #[test]
    fn a_damaged_record_is_an_error_that_names_the_member() {
        let record = file("p".into(), b"abcdef", 1, None).to_record().unwrap();
        let read = |from: &str, to: &str| {
            assert!(record.contains(from), "{record}");
            SharedFile::from_record(&record.replace(from, to)).unwrap_err()
        };
        let wrong = |member| RecordError::Member { member };
        assert_eq!(read("\"size\":6", "\"size\":9"), wrong("parts"));
        assert_eq!(read("\"size\":6", "\"size\":-6"), wrong("size"));
        assert_eq!(read("\"part_size\":4", "\"part_size\":0"), wrong("part_size"));
        assert_eq!(read("\"path\"", "\"pathos\""), wrong("path"));
        assert_eq!(read("\"hash\":\"", "\"hash\":\"A"), wrong("hash"));
        assert!(matches!(read("{", "["), RecordError::NotJson { .. }));
        let long = " ".repeat(MAX_BYTES + 1);
        let refused = SharedFile::from_record(&long).unwrap_err();
        assert_eq!(refused, RecordError::TooLong { found: MAX_BYTES + 1, limit: MAX_BYTES });
    }
}
