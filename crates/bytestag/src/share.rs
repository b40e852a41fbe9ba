//! Files to share and to fetch: their descriptions, their parts, the directories they lie in.

mod bencode;
mod canonical;
mod file_name;
mod info;
mod magnet;
mod torrent;
#[cfg(test)]
mod vectors;

pub use bencode::{Bencode, BencodeError};
pub use file_name::safe_path;
pub use info::{CollectionInfo, FileInfo, InfoError};
pub use magnet::{Magnet, MagnetError, Topic};
pub use torrent::{TorrentDocument, TorrentError};
