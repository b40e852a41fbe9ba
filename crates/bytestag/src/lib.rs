//! The Kademlia DHT of Bytestag over UDP, which stores the values themselves, and shared files.
//!
//! Values of up to a megabyte lie on the twenty nodes nearest to their SHA-1, and files are values:
//! a description, and parts of a quarter of a megabyte. For data that many fetch and nobody
//! changes. It sits in one network with Bytestag 0.3 (2012).
//!
#![cfg_attr(feature = "net", doc = "```no_run")]
#![cfg_attr(not(feature = "net"), doc = "```ignore")]
//! use std::ops::ControlFlow;
//!
//! use rs2p_bytestag::DhtNode;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = DhtNode::builder().seeds(["192.0.2.1:38664".parse()?]).start().await?;
//! node.joined().await?;
//!
//! let shared = node.share("holidays", |_| ControlFlow::Continue(())).await?;
//! println!("{}", shared.magnet);
//!
//! let magnet = "magnet:?xt=urn:bstagih:2JMPUGFWJGPGYOSVJPHHD5SS6FBNMBWK".parse()?;
//! let fetched = node.fetch(&magnet, ".", |_| {}).await?;
//! println!("{}", fetched.path.display());
//! # Ok(())
//! # }
//! ```
//!
//! Start with `DhtNode` (feature `net`, on by default), the handle to a running node. Below it is
//! [`Dht`], the same node as a state machine without I/O, for simulations and other drivers. The
//! table and the lookups are those of [`rs2p_kad`]. With the feature `upnp`, a router forwards the
//! node's port.
//!
//! # The rules
//!
//! - **Bytes are their name.** A value has the SHA-1 of its bytes as its index, and is checked
//!   against it wherever it arrives. Under a key that is not its index lies nothing but the
//!   description of the file with that key ([`ValueId::belongs`]).
//! - **The nearest nodes keep a value**, twenty of them. Its publisher tells them of it again every
//!   day; they pass it on to each other every hour, and forget it a day after it was last
//!   published. A node that is not among the nearest forgets it sooner.
//! - **A fetch believes nobody.** It goes on with the next node where one falls silent, and begins
//!   anew where the bytes were not what they should be.
//! - **Old nodes are taken care of.** Some things that a node may say make a Bytestag node hang; it
//!   is never told them. Between nodes of rs2p, which know each other by a word that old ones skip,
//!   short values travel within questions and long ones in a window.
//! - **Nobody proves who published what**, and nothing is encrypted. Who asks for a value is seen by
//!   those who are asked.
//!
//! # Bounds
//!
//! Values, their bytes, transfers, operations, and datagrams from one address have limits, which
//! are options of [`DhtConfig`]. What is over them is an error for the user's own operations, and
//! refused or dropped, and counted ([`Counts`]), for those of others.

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
#[cfg(feature = "upnp")]
mod port_mapping;
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
#[cfg(feature = "upnp")]
pub use port_mapping::{
    MappedPort, PortMapping, PortMappingChanges, PortMappingConfig, PortMappingError,
    PortMappingState,
};
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
