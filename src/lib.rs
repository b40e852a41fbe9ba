//! Peer-to-peer networking, one layer at a time.
//!
//! Each layer is a crate of its own, re-exported here behind a feature of the same name:
//!
//! | feature | module | what it gives |
//! | --- | --- | --- |
//! | `wire` | [`wire`] | messages and frames as py2p 0.7 and js2p 0.7 speak them, without I/O |
//! | `base` | [`base`] | subnets, node ids, the handshake, the state machine interface |
//! | `mesh` | [`mesh`] | peers, broadcast, whispers, replies |
//! | `sync` | [`sync`] | a replicated dictionary with leases |
//! | `chord` | [`chord`] | a Chord DHT with replicas |
//! | `kad` | [`kad`] | Kademlia without I/O: keys, buckets, a routing table, a lookup |
//! | `bytestag` | [`bytestag`] | the Kademlia DHT of Bytestag, and shared files |
//! | `upnp` | `bytestag::PortMapping` | a router forwards the port of a Kademlia node |
//! | `net` | `base::net` | the tokio driver: real sockets for any machine |

#[cfg(feature = "base")]
pub use rs2p_base as base;
#[cfg(feature = "bytestag")]
pub use rs2p_bytestag as bytestag;
#[cfg(feature = "chord")]
pub use rs2p_chord as chord;
#[cfg(feature = "kad")]
pub use rs2p_kad as kad;
#[cfg(feature = "mesh")]
pub use rs2p_mesh as mesh;
#[cfg(feature = "sync")]
pub use rs2p_sync as sync;
#[cfg(feature = "wire")]
pub use rs2p_wire as wire;

/// The README's examples are doc tests.
#[cfg(all(doctest, feature = "sync", feature = "chord", feature = "bytestag", feature = "net"))]
#[doc = include_str!("../README.md")]
pub struct Readme;
