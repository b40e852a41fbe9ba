//! `rs2p chord`: a node of a DHT.

mod commands;
mod ring;
mod store;
mod text;
