//! The Kademlia DHT of Bytestag over UDP, which stores the values themselves, and shared files.

mod share;
mod value;

pub use share::{
    Bencode, BencodeError, Catalog, CatalogChanges, CollectionInfo, FileInfo, HashedFile,
    InfoError, Known, Magnet, MagnetError, Mark, Modified, PART_SIZE, PartHasher, PartSource,
    ReadError, RecordError, Scan, ScanConfig, ScanNote, ScanProgress, SharedFile, SkipReason,
    Topic, TorrentDocument, TorrentError, safe_path,
};
pub use value::ValueId;

pub use rs2p_kad::Key;
