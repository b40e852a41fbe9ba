//! Shared directories: what a scan finds, and what the catalog gives of it.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod directory;
mod model;
mod reading;
mod scanning;
mod vectors;
