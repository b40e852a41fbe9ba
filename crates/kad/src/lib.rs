//! Kademlia without I/O: keys, buckets, a routing table, an iterative lookup.
//!
//! Kademlia (Maymounkov and Mazières, 2002) gives nodes and values keys of one kind, and calls two
//! keys as far apart as their exclusive or says. A node knows many nodes near to it and few far
//! away, so a search halves the distance that is left with every answer.
//!
//! - [`Key`] and its [`Distance`]; 20 bytes, or any number.
//! - [`RoutingTable`], of [`Bucket`]s: whom a node knows. [`RoutingTable::closest`] is exact.
//! - [`Lookup`]: the search for the nodes nearest to a key, several questions at a time, over
//!   disjoint paths if wanted.
//!
//! Nothing here sends, waits or reads a clock. A protocol tells what came in, and is told what to
//! do next; `rs2p-bytestag` is one such protocol. An address is a socket address, or any type that
//! implements [`Address`].
//!
//! What comes from the network is bounded: buckets by `k`, spare nodes too, candidates of a lookup
//! by eight times `k` a path. There are no panics.

mod bucket;
mod key;
mod lookup;
mod node;
mod table;
mod text;

pub use bucket::{Bucket, Update};
pub use key::{Distance, Key, KeyError};
pub use lookup::{Lookup, LookupConfig};
pub use node::{Address, Node};
pub use table::{Closest, RoutingTable, TableConfig};
