//! Nodes of a replicated dictionary in a virtual network.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod agreement;
mod bench;
mod dictionary;
mod exchange;
mod fuzzed;
mod hazards;
mod lies;
mod network;
mod old_peers;
mod recorded;
mod redate;
mod reset;
mod tombstones;
mod writes;
