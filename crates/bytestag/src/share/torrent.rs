//! Torrent documents among the shared files.

use std::ffi::OsStr;

use thiserror::Error;

use super::bencode::{Bencode, BencodeError};
use crate::value::ValueId;

/// What is of interest of a torrent document: what it is called here, and the name in it.
///
/// Its id is the SHA-1 of the whole document as it came, which is not BitTorrent's info hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TorrentDocument {
    id: ValueId,
    name: Option<String>,
}

impl TorrentDocument {
    /// Of how many bytes at its beginning a file is known as a torrent document.
    pub const HEAD: usize = 1024;

    /// Whether a file of this name that begins with these bytes passes for a torrent document:
    /// its name ends in `.torrent`, and among its first [`HEAD`](Self::HEAD) bytes are the words
    /// `info` and `pieces`.
    #[must_use]
    pub fn looks_like(file_name: &OsStr, head: &[u8]) -> bool {
        let head = &head[..head.len().min(Self::HEAD)];
        let has = |word: &[u8]| head.windows(word.len()).any(|window| window == word);
        file_name.as_encoded_bytes().ends_with(b".torrent") && has(b"info") && has(b"pieces")
    }

    /// Reads a document: a dictionary with a dictionary `info` that has `pieces`, which are as
    /// many times 20 bytes. Its name is taken if it is UTF-8.
    ///
    /// # Errors
    ///
    /// The bytes are no bencode (see [`Bencode`] for the limits), or not such a dictionary.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TorrentError> {
        let document = Bencode::from_bytes(bytes)?;
        let Bencode::Dictionary(members) = &document else {
            return Err(TorrentError::NotADictionary);
        };
        let Some(info @ Bencode::Dictionary(_)) = members.get(&b"info"[..]) else {
            return Err(TorrentError::NoInfo);
        };
        let pieces = info.member(b"pieces").and_then(Bencode::as_bytes);
        if !pieces.is_some_and(|pieces| pieces.len().is_multiple_of(20)) {
            return Err(TorrentError::NoPieces);
        }
        let name = info.member(b"name").and_then(Bencode::as_bytes);
        let name = name.and_then(|name| str::from_utf8(name).ok()).map(str::to_owned);
        Ok(Self { id: ValueId::of(bytes), name })
    }

    /// The SHA-1 of the bytes it was read from.
    #[must_use]
    pub const fn id(&self) -> ValueId {
        self.id
    }

    /// The name of the file or directory that it describes, any text whatsoever. For a place on
    /// disk take [`safe_path`](crate::safe_path).
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// Why bytes are no [`TorrentDocument`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TorrentError {
    /// Not bencoded.
    #[error(transparent)]
    Bencode(#[from] BencodeError),
    /// Bencoded, but something else.
    #[error("a torrent document must be a dictionary")]
    NotADictionary,
    /// The member `info` is missing, or no dictionary.
    #[error("a torrent document must have a dictionary \"info\"")]
    NoInfo,
    /// The hashes of the pieces are missing, or of another length.
    #[error("the \"info\" of a torrent document must have \"pieces\" of 20 bytes each")]
    NoPieces,
}

#[cfg(test)]
mod tests {
    use rs2p_kad::Key;

    use super::*;
    use crate::share::vectors::{cases, hex_key};

    #[test]
    fn torrents_of_the_original_are_known_and_named_by_the_bytes_as_they_came() {
        let mut read = 0;
        for case in cases("bencode") {
            let bytes = case.bytes("bytes_hex");
            let expected = &case.value["expect"];
            let is_known = TorrentDocument::looks_like(OsStr::new("x.torrent"), &bytes);
            assert_eq!(is_known, expected["signature"], "{}", case.id);
            let document = TorrentDocument::from_bytes(&bytes);
            assert_eq!(document.is_ok(), is_known, "{}: {document:?}", case.id);
            let Ok(document) = document else { continue };
            read += 1;
            let rewritten: Key = hex_key(&expected["sha1_hex"]);
            let is_same = expected["same_as_input"].as_bool().unwrap();
            assert_eq!(document.id() == ValueId::plain(rewritten), is_same, "{}", case.id);
            assert!(document.id().fits(&bytes), "{}", case.id);
        }
        assert_eq!(read, 4);
    }

    #[test]
    fn the_name_and_both_words_make_a_torrent() {
        let document = b"d4:infod6:pieces0:ee";
        let known = |name: &str, head: &[u8]| TorrentDocument::looks_like(OsStr::new(name), head);
        assert!(known("a.torrent", document));
        assert!(!known("a.torrent.txt", document));
        assert!(!known("a.torrent", b"d4:info"));
        assert!(!known("a.torrent", b""));
        let late = [&[b' '; TorrentDocument::HEAD - 10][..], document].concat();
        assert!(!known("a.torrent", &late));
    }

    #[test]
    fn what_is_missing_is_said() {
        let error = |text: &str| TorrentDocument::from_bytes(text.as_bytes()).unwrap_err();
        assert_eq!(error("l1:a1:be"), TorrentError::NotADictionary);
        assert_eq!(error("d4:info3:abce"), TorrentError::NoInfo);
        assert_eq!(error("d4:infod6:pieces3:abcee"), TorrentError::NoPieces);
        assert!(matches!(error("d4:infod6:piecesi-0eee"), TorrentError::Bencode(_)));
        let document = TorrentDocument::from_bytes(b"d4:infod4:name1:n6:pieces0:ee").unwrap();
        assert_eq!(document.name(), Some("n"));
    }
}
