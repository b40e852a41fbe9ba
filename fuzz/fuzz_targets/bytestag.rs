//! A node of the Kademlia DHT of Bytestag, its user and its peers.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rs2p_fuzz::bytestag(input));
