//! Frames that claim to be compressed.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rs2p_fuzz::expand(input));
