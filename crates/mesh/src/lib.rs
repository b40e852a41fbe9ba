//! A mesh of nodes that pass on each other's broadcasts, in one network with py2p 0.7 and js2p 0.7.
//!
//! Every node keeps links to a few others, learns of more from their peers lists, and opens four
//! links by itself. A broadcast goes to all peers, who pass it on to theirs; each node knows it
//! again by its id and handles it once. A whisper goes to peers only. A reply finds the author of a
//! message wherever it is, and connects to it first when there is no link.
//!
//! Start with `MeshSocket` (feature `net`, on by default), the handle to a running node. Below
//! it is [`Mesh`], the same node as a state machine without I/O, for simulations and for layers
//! that own one. `LayerBuilder` starts such a layer on real sockets.

mod address_book;
mod birth;
#[cfg(feature = "net")]
mod builder;
mod config;
mod deferred;
mod error;
mod event;
mod exchange;
mod for_layers;
mod handlers;
mod id_set;
mod machine;
mod messages;
mod mixing;
mod network_time;
mod peers;
mod settle;
#[cfg(feature = "net")]
mod socket;
mod status;
mod waterfall;

pub use birth::Birth;
#[cfg(feature = "net")]
#[doc(hidden)]
pub use builder::__options;
#[cfg(feature = "net")]
pub use builder::{LayerBuilder, StartError, Started};
pub use config::MeshConfig;
pub use error::{ConnectError, DeliverError, SendError};
pub use event::{MeshEvent, PeerInfo, Receipt, Received};
pub use for_layers::{OverMesh, PeerKind};
pub use machine::Mesh;
#[cfg(feature = "net")]
pub use socket::{MeshBuilder, MeshError, MeshSocket};
pub use status::{MeshCounts, MeshStatus};
