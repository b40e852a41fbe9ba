//! The Kademlia DHT of Bytestag over UDP, which stores the values themselves, and shared files.

mod answer;
mod calls;
mod config;
mod contents;
mod datagram;
#[cfg(feature = "net")]
mod disk;
mod downloads;
mod error;
mod event;
#[cfg(feature = "net")]
mod fetch;
mod get;
mod join;
mod load;
mod machine;
#[cfg(feature = "net")]
mod node;
mod packet;
mod put;
mod rates;
mod schedule;
mod search;
mod share;
#[cfg(feature = "net")]
mod sharing;
mod status;
mod stream;
mod upkeep;
mod uploads;
mod value;
mod values;

pub use config::{DhtConfig, MAX_VALUE};
pub use contents::{Contents, Library, MemoryContents};
pub use datagram::{DatagramError, MAX_INFLATED, MAX_RECEIVED, MAX_SENT};
#[cfg(feature = "net")]
pub use disk::DiskContents;
pub use error::{ContentsError, GetError, PutError, ReachError};
pub use event::{Copies, DhtEvent, Found, Got};
#[cfg(feature = "net")]
pub use fetch::{FetchError, FetchProgress, Fetched};
pub use machine::Dht;
#[cfg(feature = "net")]
pub use node::{DhtError, DhtNode, DhtNodeBuilder, DhtStartError};
pub use packet::{Contact, Entry, MAX_INLINE, NETWORK};
pub use share::{
    Bencode, BencodeError, Catalog, CatalogChanges, CollectionInfo, FileInfo, HashedFile,
    InfoError, Known, Magnet, MagnetError, Mark, Modified, PART_SIZE, PartHasher, PartSource,
    ReadError, RecordError, Scan, ScanConfig, ScanNote, ScanProgress, SharedFile, SkipReason,
    Topic, TorrentDocument, TorrentError, safe_path,
};
#[cfg(feature = "net")]
pub use sharing::{ShareError, Shared};
pub use status::{Counts, DhtStatus};
pub use value::ValueId;
pub use values::Record;

pub use rs2p_kad::Key;
