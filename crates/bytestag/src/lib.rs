//! The Kademlia DHT of Bytestag over UDP, which stores the values themselves, and shared files.

mod share;
mod value;

pub use share::{
    Bencode, BencodeError, CollectionInfo, FileInfo, InfoError, Magnet, MagnetError, Topic,
    TorrentDocument, TorrentError, safe_path,
};
pub use value::ValueId;

pub use rs2p_kad::Key;
