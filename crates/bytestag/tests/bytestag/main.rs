//! Nodes among each other, and one among scripted peers, in virtual time.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

mod among_ourselves;
mod bench;
mod beside_old_nodes;
mod client_probes;
mod fuzzed;
mod lookups;
mod network;
mod probes;
mod publishing;
mod recorded;
mod transcripts;
mod transfers;
