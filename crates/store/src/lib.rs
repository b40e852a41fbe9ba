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

mod body;
mod changes;
mod error;
mod header;
mod opening;
mod store;
mod ticket;
mod writer;

pub use changes::{Changes, MAX_KEY_BYTES, MAX_VALUE_BYTES, TooLarge};
pub use error::{Refused, StoreError, WriteError};
pub use store::Store;
pub use ticket::Ticket;
pub use writer::{Writer, WriterConfig};
