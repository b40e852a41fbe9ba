//! A replicated dictionary with leases, in one network with py2p 0.7 and js2p 0.7.
//!
//! Every node holds every key. A write is told to all nodes at once; it closes its key to others
//! for an hour, so that a value has one author at a time. Who comes later is told what there is,
//! and rs2p nodes compare what they hold, so that all of them agree in the end, whatever was lost
//! on the way and in whatever order it came.
//!
//! Start with `SyncSocket` (feature `net`, on by default), the handle to a running node. Below it
//! is [`Sync`], the same node as a state machine without I/O.

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
mod relay;
mod remote;
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
