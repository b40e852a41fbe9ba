//! Files to share and to fetch: their descriptions, their parts, the directories they lie in.

mod bencode;
mod canonical;
mod catalog;
mod file_name;
mod info;
mod magnet;
mod part_source;
mod parts;
mod record;
mod scan;
mod shared_file;
mod torrent;
#[cfg(test)]
pub(crate) mod vectors;
mod walk;

pub use bencode::{Bencode, BencodeError};
pub use catalog::{Catalog, CatalogChanges};
pub use file_name::safe_path;
pub use info::{CollectionInfo, FileInfo, InfoError};
pub use magnet::{Magnet, MagnetError, Topic};
pub use part_source::{PartSource, ReadError};
pub use parts::{HashedFile, PART_SIZE, PartHasher};
pub use record::RecordError;
pub use scan::{Known, Scan, ScanConfig, ScanNote, ScanProgress, SkipReason};
pub use shared_file::{Mark, Modified, SharedFile};
pub use torrent::{TorrentDocument, TorrentError};
