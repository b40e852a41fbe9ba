//! Streams of frames.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| rs2p_fuzz::frame(input));
