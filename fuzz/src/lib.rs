//! What the fuzz targets run. The functions live beside the tests of `rs2p-wire`, `rs2p-sync`,
//! `rs2p-chord` and `rs2p-bytestag`, which run them over the committed seeds and over arbitrary input without a fuzzer.

#[expect(dead_code, reason = "the tests beside it use more of it")]
#[path = "../../crates/sync/tests/sync/bench.rs"]
mod bench;
#[path = "../../crates/wire/tests/bodies/mod.rs"]
mod bodies;
mod dht;
#[path = "../../crates/sync/tests/sync/fuzzed.rs"]
mod fuzzed;
mod kademlia;

/// A stream of frames, split, verified, parsed.
pub fn frame(input: &[u8]) {
    bodies::frame(input);
}

/// A message's body under a good digest.
pub fn message(input: &[u8]) {
    bodies::message(input);
}

/// A method's number, then a frame that claims to be compressed with it.
pub fn expand(input: &[u8]) {
    bodies::expand(input);
}

/// Integers as text and as bytes.
pub fn base58(input: &[u8]) {
    bodies::base58(input);
}

/// Steps of a user and of peers of a replicated dictionary.
pub fn sync(input: &[u8]) {
    fuzzed::sync(input);
}

/// Steps of a user of a DHT and of peers of every kind.
pub fn chord(input: &[u8]) {
    dht::fuzzed::chord(input);
}

/// Steps of a user of the DHT of Bytestag and of peers of every kind.
pub fn bytestag(input: &[u8]) {
    kademlia::fuzzed::bytestag(input);
}
