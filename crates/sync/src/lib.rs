//! A replicated dictionary with leases, in one network with py2p 0.7 and js2p 0.7.
//!
//! Every node holds every key. It is read without asking anyone, and what a node writes is told to
//! all. For what many nodes must agree on and each has room for: settings, members, who does what.
//!
#![cfg_attr(feature = "net", doc = "```")]
#![cfg_attr(not(feature = "net"), doc = "```ignore")]
//! use rs2p_sync::SyncSocket;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = SyncSocket::builder().subnet("settings").start().await?;
//! // `node.connect(..)`, or `seeds(..)` before: what there is comes from the others, and what is
//! // set here goes to them.
//! node.set("colour", "green").await?;
//! assert_eq!(node.get("colour")?.ok_or("it is set")?.as_str(), Some("green"));
//!
//! let entry = node.entry("colour")?.ok_or("it is set")?;
//! assert_eq!(entry.meta.owner.node_id(), Some(node.id()));
//! # Ok(())
//! # }
//! ```
//!
//! Start with `SyncSocket` (feature `net`, on by default), the handle to a running node. Below it
//! is [`Sync`], the same node as a state machine without I/O, for simulations and other drivers.
//!
//! # The rules
//!
//! - **A write closes its key to others**, for an hour or as long as its author likes: a value has
//!   one author at a time. Others are refused with an error that names the owner and the end of the
//!   lease ([`WriteError::Leased`]). When the lease has ended the value stays, and anyone may write
//!   it. A deleted key is free at once.
//! - **All nodes come to hold the same**, whatever was lost and in whatever order it came. Of two
//!   writes of a free key the earlier one stays, and in the same second that of the smaller owner;
//!   within a lease the later one. Whoever loses is told of the other's value by an event.
//! - **Who comes later is told what there is**, and rs2p nodes compare what they hold when they meet
//!   and from time to time. Old nodes cannot compare; they are told everything when they come.
//! - **A deletion is remembered for a week**, so that a node which was away does not bring the key
//!   back. One that was away for longer gives up what the others no longer have.
//! - **Without leases** ([`SyncConfig::leasing`]) everyone may write everything, and the latest write
//!   stays. All nodes of a network agree on this: with and without are two networks.
//! - **Nobody proves who wrote what.** Whoever is let into the network can write in any name.
//!
//! # Bounds
//!
//! Keys, values, their number and all bytes together have limits, which are options of
//! [`SyncConfig`]. A write of the user's over them is an error; one of another node's is refused and
//! counted ([`SyncCounts`]). What waits for a peer, what one message may ask for and how long
//! deletions are remembered is bounded as well.
//!
//! # Where to go from here
//!
//! `docs/tutorial/sync.md` goes through leases, changes to maps, events, files, and networks with old
//! nodes; its program is `examples/sync.rs`. `docs/protocol/sync.md` says what goes over the wire.

mod config;
mod dictionary;
#[cfg(feature = "net")]
mod disk;
mod error;
mod event;
mod exchange;
mod hand_over;
mod journal;
mod lease;
mod machine;
mod owner;
mod persist;
mod place;
mod records;
mod redate;
mod relay;
mod remote;
mod repeat;
#[cfg(feature = "net")]
mod socket;
mod status;
mod table;
mod tombstones;
mod version;

pub use config::SyncConfig;
pub use error::WriteError;
pub use event::{Entry, Meta, SyncEvent};
pub use machine::Sync;
pub use owner::Owner;
pub use persist::{Changes, RecordError, RestoreError};
#[cfg(feature = "net")]
pub use socket::{SyncBuilder, SyncError, SyncSocket, SyncStartError};
pub use status::{SyncCounts, SyncStatus};
