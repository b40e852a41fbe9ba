//! DHT nodes of ours in one ring with those of py2p and js2p.

mod bootstrap;
mod bridge;
mod bursts;
mod changes;
mod compression;
mod dht;
mod leaving;
mod leeching;
mod pairs;
mod peer;
mod rings;
