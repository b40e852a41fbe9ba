//! Nodes of a replicated dictionary in a virtual network.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod agreement;
mod network;
