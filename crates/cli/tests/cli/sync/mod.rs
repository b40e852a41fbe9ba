//! `rs2p sync`: a replicated dictionary.

mod commands;
mod leases;
mod replicas;
mod store;
mod text;
