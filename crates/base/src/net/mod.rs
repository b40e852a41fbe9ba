//! The tokio driver: any [`Machine`](crate::Machine) on real sockets.
//!
//! [`NodeBuilder`] binds, [`NodeBuilder::start`] sets a machine running, and [`Node`] is the handle
//! to it. Bytes come and go over a [`Transport`]: [`Tcp`], or [`Memory`] within one process.
//!
//! A node has one task for deadlines, one that accepts peers, and two for each link, which do the
//! framing, hashing and compression. They and the handles take turns with the machine under a lock
//! that is never held across a wait. Every queue between them is bounded: see [`NetConfig`] and
//! [`StreamConfig`].
//!
//! # What is counted
//!
//! Each link's tasks run in a `tracing` span `link` with its number and address; opening, closing
//! and failed dials are events at level debug. Through the `metrics` facade:
//!
//! | metric | counts |
//! | --- | --- |
//! | `rs2p_links_opened_total{origin}` | links opened, `dialled` or `accepted` |
//! | `rs2p_links_closed_total{reason}` | links ended, by [`CloseReason`](crate::CloseReason) |
//! | `rs2p_links_refused_total` | peers turned away because there are links enough |
//! | `rs2p_dials_failed_total{kind}` | dials that came to nothing, by [`std::io::ErrorKind`] |
//! | `rs2p_frames_received_total`, `rs2p_bytes_received_total` | frames and bytes off links |
//! | `rs2p_frames_sent_total`, `rs2p_bytes_sent_total` | frames and bytes onto links |
//! | `rs2p_frames_duplicate_total` | frames dropped unread because their message is known |
//! | `rs2p_frames_malformed_total` | good frames that held no message |
//! | `rs2p_datagrams_received_total`, `rs2p_datagrams_sent_total` | datagrams |
//! | `rs2p_datagrams_dropped_total` | datagrams that the system did not take |

mod clock;
mod config;
mod driver;
mod events;
mod link_tasks;
mod memory;
mod node;
mod observe;
mod send_queue;
mod tcp;
mod transport;

pub use config::NetConfig;
pub use events::{EventStream, RecvError, StreamConfig};
pub use memory::Memory;
pub use node::{Completion, ListenError, Node, NodeBuilder, Stopped};
pub use observe::TrafficCount;
pub use tcp::Tcp;
pub use transport::{Connection, Incoming, Listener, Transport};
