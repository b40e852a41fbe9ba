//! Nodes among each other, in virtual time.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

mod among_ourselves;
mod network;
