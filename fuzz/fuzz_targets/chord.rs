//! A node of a DHT, its user and its peers.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rs2p_fuzz::chord(input));
