//! Nodes of a DHT, over simulated links.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says where")]

mod network;
mod settling;
mod whole;
