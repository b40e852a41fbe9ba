//! Documents that describe a file, or a collection of files.

use rs2p_kad::{Key, KeyError};
use serde_json::{Map, Value};
use thiserror::Error;

use super::canonical::{Object, push_text};
use crate::value::{ValueId, sha1_of};

/// What a file is made of: its SHA-1, and those of its parts in order.
///
/// It is filed as a value: under the SHA-1 of the file, with the SHA-1 of its own bytes as the
/// index. Who has the description can fetch the file part by part and check each.
///
/// A document read from elsewhere need not be written as [`to_bytes`](Self::to_bytes) would write
/// it, so its index is the SHA-1 of the bytes as they came: [`id_of`](Self::id_of).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileInfo {
    hash: Key,
    parts: Vec<Key>,
    size: Option<u64>,
    filename: Option<Vec<String>>,
}

impl FileInfo {
    /// The longest document in bytes: the longest value that nodes take.
    pub const MAX_BYTES: usize = 1 << 20;

    /// The most parts of a file whose description fits into [`MAX_BYTES`](Self::MAX_BYTES).
    pub const MAX_PARTS: usize = (Self::MAX_BYTES - WITHOUT_PARTS) / PER_PART;

    /// The most components of a file name.
    pub const MAX_NAMES: usize = 256;

    /// The description of the file with this SHA-1, made of these parts.
    ///
    /// # Errors
    ///
    /// No parts, or more than [`MAX_PARTS`](Self::MAX_PARTS).
    pub fn new(hash: Key, parts: Vec<Key>) -> Result<Self, InfoError> {
        check_count("parts", parts.len(), Self::MAX_PARTS)?;
        Ok(Self { hash, parts, size: None, filename: None })
    }

    /// The same with the size of the file in bytes.
    ///
    /// # Errors
    ///
    /// The document would be longer than [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn with_size(mut self, size: u64) -> Result<Self, InfoError> {
        self.size = Some(size);
        self.that_fits()
    }

    /// The same with a name: the components of a path, the last of which names the file.
    ///
    /// # Errors
    ///
    /// No components or more than [`MAX_NAMES`](Self::MAX_NAMES), or the document would be longer
    /// than [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn with_filename(mut self, names: Vec<String>) -> Result<Self, InfoError> {
        check_count("filename", names.len(), Self::MAX_NAMES)?;
        self.filename = Some(names);
        self.that_fits()
    }

    /// Reads a document. Members that it does not know are ignored; `"!"` is not looked at.
    ///
    /// # Errors
    ///
    /// The bytes are too many, no JSON, or lack something; the error says what.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InfoError> {
        Self::from_members(&parse(bytes)?)
    }

    fn from_members(members: &Map<String, Value>) -> Result<Self, InfoError> {
        let hash = member(members, "hash")?;
        let parts = list(members, "parts", Self::MAX_PARTS)?;
        let filename = match members.get("filename") {
            None | Some(Value::Null) => None,
            Some(_) => Some(
                list(members, "filename", Self::MAX_NAMES)?
                    .iter()
                    .map(|name| text("filename", name))
                    .collect::<Result<_, _>>()?,
            ),
        };
        Ok(Self {
            hash: key("hash", hash)?,
            parts: parts.iter().map(|part| key("parts", part)).collect::<Result<_, _>>()?,
            size: number(members, "size")?,
            filename,
        })
    }

    /// The document in its canonical form. Size zero is left out, as if it were not known.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = String::with_capacity(Self::length(self.parts.len()));
        self.write(&mut out);
        out.into_bytes()
    }

    fn write(&self, out: &mut String) {
        let mut object = Object::open(out);
        object.text("!", "BytestagFileInfo");
        if let Some(names) = &self.filename {
            object.list("filename", names, |out, name| push_text(out, name));
        }
        object.key("hash", &self.hash);
        object.list("parts", &self.parts, |out, part| push_text(out, &part.to_base64()));
        if let Some(size) = self.size.filter(|size| *size > 0) {
            object.number("size", size);
        }
        object.close();
    }

    /// The name under which the canonical form is filed.
    #[must_use]
    pub fn id(&self) -> ValueId {
        self.id_of(&self.to_bytes())
    }

    /// The name under which the bytes are filed that this was read from.
    #[must_use]
    pub fn id_of(&self, bytes: &[u8]) -> ValueId {
        ValueId { key: self.hash, index: sha1_of(bytes) }
    }

    /// Whether bytes begin like the description of a file in its canonical form.
    #[must_use]
    pub fn looks_like(bytes: &[u8]) -> bool {
        bytes.starts_with(br#"{"!":"BytestagFileInfo""#)
    }

    /// The SHA-1 of the whole file.
    #[must_use]
    pub const fn hash(&self) -> &Key {
        &self.hash
    }

    /// The SHA-1 of each part in order; one at least.
    #[must_use]
    pub fn parts(&self) -> &[Key] {
        &self.parts
    }

    /// The size of the file in bytes, if it is told. Nothing ties it to the content.
    #[must_use]
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// The components of the file's path, if they are told: any texts whatsoever. For a place on
    /// disk take [`safe_path`](crate::safe_path).
    #[must_use]
    pub fn filename(&self) -> Option<&[String]> {
        self.filename.as_deref()
    }

    /// The length of the canonical form without size and name, in bytes.
    pub(crate) const fn length(parts: usize) -> usize {
        WITHOUT_PARTS + parts * PER_PART
    }

    fn that_fits(self) -> Result<Self, InfoError> {
        check_length(self.to_bytes().len())?;
        Ok(self)
    }
}

/// Several files under one name. It lies in a file of its own, or is filed under its SHA-1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionInfo {
    files: Vec<FileInfo>,
    name: Option<String>,
    comment: Option<String>,
    timestamp: Option<u64>,
}

impl CollectionInfo {
    /// The most files of a collection.
    pub const MAX_FILES: usize = 10_000;

    /// A collection of these files.
    ///
    /// # Errors
    ///
    /// No files or more than [`MAX_FILES`](Self::MAX_FILES), or the document would be longer than
    /// [`FileInfo::MAX_BYTES`].
    pub fn new(files: Vec<FileInfo>) -> Result<Self, InfoError> {
        check_count("files", files.len(), Self::MAX_FILES)?;
        Self { files, name: None, comment: None, timestamp: None }.that_fits()
    }

    /// The same with a name. An empty one is left out of the document.
    ///
    /// # Errors
    ///
    /// The document would be longer than [`FileInfo::MAX_BYTES`].
    pub fn with_name(mut self, name: impl Into<String>) -> Result<Self, InfoError> {
        self.name = Some(name.into());
        self.that_fits()
    }

    /// The same with a comment. An empty one is left out of the document.
    ///
    /// # Errors
    ///
    /// The document would be longer than [`FileInfo::MAX_BYTES`].
    pub fn with_comment(mut self, comment: impl Into<String>) -> Result<Self, InfoError> {
        self.comment = Some(comment.into());
        self.that_fits()
    }

    /// The same with the time of its making in seconds since 1970. Zero is left out of the
    /// document.
    ///
    /// # Errors
    ///
    /// The document would be longer than [`FileInfo::MAX_BYTES`].
    pub fn with_timestamp(mut self, seconds: u64) -> Result<Self, InfoError> {
        self.timestamp = Some(seconds);
        self.that_fits()
    }

    /// Reads a document, as [`FileInfo::from_bytes`] does.
    ///
    /// # Errors
    ///
    /// The bytes are too many, no JSON, or lack something; the error says what, and in which file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InfoError> {
        let members = parse(bytes)?;
        let mut files = Vec::new();
        for (number, file) in list(&members, "files", Self::MAX_FILES)?.iter().enumerate() {
            let in_file = |source| InfoError::InFile { number: number + 1, source };
            let file = file
                .as_object()
                .ok_or(InfoError::NotAnObject)
                .and_then(FileInfo::from_members)
                .map_err(|error| in_file(Box::new(error)))?;
            files.push(file);
        }
        let optional = |name| match members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => text(name, value).map(Some),
        };
        Ok(Self {
            files,
            name: optional("name")?,
            comment: optional("comment")?,
            timestamp: number(&members, "timestamp")?,
        })
    }

    /// The document in its canonical form. Empty texts and time zero are left out.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = String::new();
        let mut object = Object::open(&mut out);
        object.text("!", "BytestagCollectionInfo");
        if let Some(comment) = self.comment().filter(|comment| !comment.is_empty()) {
            object.text("comment", comment);
        }
        object.list("files", &self.files, |out, file| file.write(out));
        if let Some(name) = self.name().filter(|name| !name.is_empty()) {
            object.text("name", name);
        }
        if let Some(timestamp) = self.timestamp.filter(|timestamp| *timestamp > 0) {
            object.number("timestamp", timestamp);
        }
        object.close();
        out.into_bytes()
    }

    /// The name under which the canonical form is filed: its SHA-1. One that was read is filed
    /// under the SHA-1 of the bytes as they came, [`ValueId::of`].
    #[must_use]
    pub fn id(&self) -> ValueId {
        ValueId::of(&self.to_bytes())
    }

    /// Whether bytes begin like a collection in its canonical form.
    #[must_use]
    pub fn looks_like(bytes: &[u8]) -> bool {
        bytes.starts_with(br#"{"!":"BytestagCollectionInfo""#)
    }

    /// Its files; one at least.
    #[must_use]
    pub fn files(&self) -> &[FileInfo] {
        &self.files
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What its maker has to say about it.
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// When it was made, in seconds since 1970.
    #[must_use]
    pub const fn timestamp(&self) -> Option<u64> {
        self.timestamp
    }

    fn that_fits(self) -> Result<Self, InfoError> {
        check_length(self.to_bytes().len())?;
        Ok(self)
    }
}

/// Why bytes are no [`FileInfo`] or [`CollectionInfo`], or why none can be made of these members.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InfoError {
    /// More bytes than a value may have.
    #[error("a description of {found} bytes, where {limit} is the limit of a value")]
    TooLong {
        /// Bytes there are, or would be.
        found: usize,
        /// Bytes there may be.
        limit: usize,
    },
    /// Not JSON, or nested too deeply.
    #[error("a description that is no JSON: {reason}")]
    NotJson {
        /// What the parser says, with line and column.
        reason: String,
    },
    /// JSON, but of another kind.
    #[error("a description that is no JSON object")]
    NotAnObject,
    /// A member that must be there is not.
    #[error("the member \"{member}\" is missing")]
    Missing {
        /// Its name.
        member: &'static str,
    },
    /// A member is of another kind.
    #[error("the member \"{member}\" must be {expected}")]
    WrongKind {
        /// Its name.
        member: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A key that cannot be read.
    #[error("the member \"{member}\": {source}")]
    BadKey {
        /// The member that has the key, or a list of keys.
        member: &'static str,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A list that must not be empty, or has too many elements.
    #[error("\"{member}\" has {found} elements, where 1 to {limit} are allowed")]
    Count {
        /// The member that is a list.
        member: &'static str,
        /// Elements it has.
        found: usize,
        /// Elements it may have.
        limit: usize,
    },
    /// Something is wrong with one of the files of a collection.
    #[error("file {number} of the collection: {source}")]
    InFile {
        /// Its place in the list, from 1.
        number: usize,
        /// What is wrong with it.
        source: Box<InfoError>,
    },
}

fn parse(bytes: &[u8]) -> Result<Map<String, Value>, InfoError> {
    check_length(bytes.len())?;
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(InfoError::NotAnObject),
        Err(error) => Err(InfoError::NotJson { reason: error.to_string() }),
    }
}

fn check_length(found: usize) -> Result<(), InfoError> {
    match found <= FileInfo::MAX_BYTES {
        true => Ok(()),
        false => Err(InfoError::TooLong { found, limit: FileInfo::MAX_BYTES }),
    }
}

fn check_count(member: &'static str, found: usize, limit: usize) -> Result<(), InfoError> {
    match (1..=limit).contains(&found) {
        true => Ok(()),
        false => Err(InfoError::Count { member, found, limit }),
    }
}

fn member<'m>(members: &'m Map<String, Value>, name: &'static str) -> Result<&'m Value, InfoError> {
    members.get(name).ok_or(InfoError::Missing { member: name })
}

fn list<'m>(
    members: &'m Map<String, Value>,
    name: &'static str,
    limit: usize,
) -> Result<&'m [Value], InfoError> {
    let wrong = InfoError::WrongKind { member: name, expected: "a list" };
    let list = member(members, name)?.as_array().ok_or(wrong)?;
    check_count(name, list.len(), limit)?;
    Ok(list)
}

fn text(member: &'static str, value: &Value) -> Result<String, InfoError> {
    let wrong = InfoError::WrongKind { member, expected: "text" };
    value.as_str().map(str::to_owned).ok_or(wrong)
}

fn key(member: &'static str, value: &Value) -> Result<Key, InfoError> {
    let wrong = InfoError::WrongKind { member, expected: "a key as text" };
    let text = value.as_str().ok_or(wrong)?;
    text.parse().map_err(|source| InfoError::BadKey { member, source })
}

fn number(members: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, InfoError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(InfoError::WrongKind {
                member: name,
                expected: "a whole number of at least 0, below 2^64",
            }),
        },
    }
}

/// A key in quotes and the comma before the next one.
const PER_PART: usize = 31;
/// All the rest, less the comma that the last part does not have.
const WITHOUT_PARTS: usize = 72;

#[cfg(test)]
mod tests;
