//! Integers in base 58.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rs2p_fuzz::base58(input));
