//! The Kademlia DHT of Bytestag over UDP, which stores the values themselves, and shared files.

mod value;

pub use value::ValueId;

pub use rs2p_kad::Key;
