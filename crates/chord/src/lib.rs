//! A Chord DHT, in one network with py2p 0.7 and js2p 0.7.
//!
//! Each key lies at five places of a ring, and each place belongs to the node before it, so no node
//! has to hold all. For more than each node has room for, or many nodes.
//!
#![cfg_attr(feature = "net", doc = "```")]
#![cfg_attr(not(feature = "net"), doc = "```ignore")]
//! use rs2p_chord::ChordSocket;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = ChordSocket::builder().subnet("library").start().await?;
//! // `node.connect(..)`, or `seeds(..)` before: then what is set here is kept by others, too.
//! node.set("moby dick", "shelf 7").await?;
//! let shelf = node.get("moby dick").await?.ok_or("it is set")?;
//! assert_eq!(shelf.as_str(), Some("shelf 7"));
//! # Ok(())
//! # }
//! ```
//!
//! Start with `ChordSocket` (feature `net`, on by default), the handle to a running node. Below it
//! is [`Chord`], the same node as a state machine without I/O, for simulations and other drivers.
//! [`Ring`] is the part of it that can be used under any protocol: what a member knows of its
//! neighbours, and how that stays right.
//! `Bootstrap` lets nodes of any layer find each other by way of a DHT that is there for that.
//!
//! # The rules
//!
//! - **Five tables.** A key lies at a [`Position`] in each [`Table`], one for each of five hashes. A
//!   read takes what three of them say; a write is acknowledged once three of them have it. So a
//!   read finds the latest acknowledged write, straight after it.
//! - **Copies.** Between rs2p nodes each position is kept by its owner and the members before it,
//!   three in all ([`ChordConfig::copies`](field@ChordConfig::copies)). They compare when the
//!   neighbourhood changes, and when an owner dies the next one has everything already.
//! - **The latest write stays.** Writes have a time and an author ([`Version`]); an author who is
//!   told of something later dates his write anew. Changes of maps are merged one after the other,
//!   so none is lost.
//! - **The ring is one ring**, by the corrected rules of P. Zave, as long as fewer neighbours die at
//!   once than the successor list is long
//!   ([`ChordConfig::successors`](field@ChordConfig::successors)). Lookups take a logarithmic number
//!   of hops: links lead to nodes at doubling distances.
//! - **Old nodes take part.** They are asked and told in their own words, and answer early that they
//!   have nothing; such an answer counts as none until it is clear.
//! - **Nobody proves who wrote what.** Whoever is let into the network can write and delete all.
//!
//! # Bounds
//!
//! Keys, values, records, their bytes, and operations under way have limits, which are options of
//! [`ChordConfig`]. What is over them is an error for the user's own operations, and refused and
//! counted for those of others ([`ChordCounts`]).

mod asks;
#[cfg(feature = "net")]
mod bootstrap;
mod change;
mod config;
mod consult;
mod contact;
mod copies;
#[cfg(feature = "net")]
mod disk;
mod error;
mod event;
mod fence;
mod keys;
mod machine;
mod maintenance;
mod member;
mod neighbour;
mod old_peers;
mod operation;
mod owner;
mod persist;
mod position;
mod read;
mod record;
mod request;
mod ring;
mod routing;
mod shelf;
#[cfg(feature = "net")]
mod socket;
mod status;
mod stretch;
mod upkeep;
#[cfg(feature = "net")]
mod walk;
mod witness;
mod write;

#[cfg(feature = "net")]
pub use bootstrap::{Bootstrap, BootstrapError, Enlisted};
pub use config::ChordConfig;
pub use contact::Contact;
pub use error::{
    Answers, KeyTooLong, NotReachable, ReadError, TableAnswer, TooManyOperations, WriteError,
};
pub use event::{ChordEvent, Path};
pub use machine::Chord;
pub use persist::{MemoryStorage, RecordError, RestoreError, Storage};
pub use position::{Position, Table, distance};
pub use record::{Record, Spot, Version};
pub use ring::{Ring, Step, View, between};
#[cfg(feature = "net")]
pub use socket::{ChordBuilder, ChordError, ChordSocket, ChordStartError};
pub use status::{ChordCounts, ChordStatus, Membership};
pub use stretch::Stretch;
#[cfg(feature = "net")]
pub use walk::{Items, Keys, Values};
