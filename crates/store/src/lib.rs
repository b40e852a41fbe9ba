//! A durable map of byte strings in one file: what a node must still know after a `kill -9`.
//!
//! Start with [`Store`]. It opens a file, checks all of it, tells what is in it, and takes
//! [`Changes`]: each call is one transaction, all or nothing, and is on the disk when the call
//! returns. Beside the entries lies a small table of named values, for a node's own id and clocks;
//! both change in the same transaction.
//!
//! Most programs keep their data in memory as well, read the file once at start, and hand changes
//! to a [`Writer`]: a thread that writes all that waits in one transaction. It gives a [`Ticket`]
//! for each hand-over, to be awaited or waited for, in any runtime or none.
//!
//! A layer that keeps a node's state in a file writes neither the waiting nor the writing itself
//! (feature `follow`, off by default): its machine is `Persistent`, it reads the file of a former
//! life with `NodeFile::open`, and a `Follower` writes down what the running node changes.
//!
//! A file that is damaged is never read in part and never emptied: [`Store::open`] renames it and
//! says so, and the next call begins a new one. Calls block; keep them off an async runtime's
//! threads.
//!
//! ```
//! use std::sync::Arc;
//!
//! use rs2p_store::{Changes, Store, Writer, WriterConfig};
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("example.store");
//! let store = Arc::new(Store::open(&path, "example 1")?);
//! store.entries(|key, value| println!("{key:?} is {value:?}"))?;
//!
//! let writer = Writer::start(Arc::clone(&store), WriterConfig::default())?;
//! let mut changes = Changes::new();
//! changes.put("color", "blue").remove("size").set_meta("clock", 7_u64.to_be_bytes());
//! let ticket = writer.submit(changes)?;
//! ticket.wait()?; // or `.await`: from here on it survives whatever happens to the process
//!
//! assert_eq!(store.get(b"color")?.as_deref(), Some(&b"blue"[..]));
//! writer.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "follow")]
mod blocking;
mod body;
mod changes;
mod error;
#[cfg(feature = "follow")]
mod follower;
mod header;
#[cfg(feature = "follow")]
mod node_file;
mod opening;
#[cfg(feature = "follow")]
mod persistent;
mod store;
mod ticket;
mod writer;

pub use changes::{Changes, MAX_KEY_BYTES, MAX_VALUE_BYTES, TooLarge};
pub use error::{Refused, StoreError, WriteError};
#[cfg(feature = "follow")]
pub use follower::{FollowError, Follower};
#[cfg(feature = "follow")]
pub use node_file::NodeFile;
#[cfg(feature = "follow")]
pub use persistent::{Persistent, Unsaved};
pub use store::Store;
pub use ticket::Ticket;
pub use writer::{Writer, WriterConfig};
