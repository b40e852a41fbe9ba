//! Keys, tables and lookups held against models that do the same by brute force.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod keys;
mod lookups;
mod table_model;
mod tables;
