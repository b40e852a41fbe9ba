//! Nodes of a DHT, over simulated links.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod bench;
mod dialling;
mod durability;
mod fuzzed;
mod lies;
mod network;
mod old_peers;
mod operations;
mod recorded;
mod served;
mod settling;
mod whole;
