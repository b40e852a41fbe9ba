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
//! by eight times `k` a path, its questions by sixteen times `k`. There are no panics.
//!
//! # A table and a lookup together
//!
//! A network of nodes that are numbers, in one process. Asking is a look into the other's table
//! here; in yours it is a datagram, and `failed` is what you say when no answer came in time.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::time::Duration;
//!
//! use rs2p_kad::{Address, Key, Lookup, LookupConfig, Node, RoutingTable, Update};
//!
//! /// A node is reached by its number.
//! #[derive(Clone, Copy, Debug, PartialEq)]
//! struct Number(u16);
//! impl Address for Number {}
//!
//! // Keys of two bytes, spread over all that there are.
//! let key = |number: u16| Key::new(number.wrapping_mul(40_503).to_be_bytes());
//! let node = |number| Node::new(key(number), Number(number));
//! let now = Duration::from_secs(1);
//!
//! // Everyone has heard of everyone, and keeps those for whom there is room.
//! let mut network = BTreeMap::new();
//! for own in 0..500 {
//!     let mut table = RoutingTable::new(node(own).id, Default::default());
//!     for other in 0..500 {
//!         if let Update::Ping(oldest) = table.update(now, node(other)) {
//!             table.keep_old(now, &oldest.id); // It is pinged, and answers.
//!         }
//!     }
//!     network.insert(own, table);
//! }
//!
//! // Node 7 is silent, and node 3 looks for those nearest to a key.
//! network.remove(&7);
//! let table = network.get_mut(&3).expect("it is there");
//! let target = Key::new([0x12, 0x34]);
//! let start: Vec<_> = table.closest(&target).take(3).copied().collect();
//! let mut lookup = Lookup::new(target, LookupConfig::default(), start);
//! lookup.exclude(node(3).id);
//! while let Some(asked) = lookup.next() {
//!     match network.get(&asked.address.0) {
//!         Some(other) => {
//!             let answer: Vec<_> = other.closest(&target).take(20).copied().collect();
//!             lookup.answered(&asked.id, answer);
//!         }
//!         None => {
//!             lookup.failed(&asked.id);
//!             network.get_mut(&3).expect("it is there").remove(now, &asked.id);
//!         }
//!     }
//! }
//! assert!(lookup.is_done());
//!
//! let others = (0..500).filter(|number| ![3, 7].contains(number));
//! let mut wanted: Vec<_> = others.map(node).collect();
//! wanted.sort_by_key(|node| node.id.distance(&target));
//! let found: Vec<_> = lookup.closest().take(10).copied().collect();
//! assert_eq!(found, wanted[..10]);
//! ```
//!
//! What a program adds: a ping when [`update`](RoutingTable::update) asks for one, a deadline for
//! each question, a lookup of the own key at the start and of a random one for each
//! [stale](RoutingTable::stale) bucket from time to time.

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
