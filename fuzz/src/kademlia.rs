//! The body of the target `bytestag`.

#[expect(dead_code, reason = "the tests beside it use more of it")]
#[path = "../../crates/bytestag/tests/bytestag/bench.rs"]
mod bench;
#[path = "../../crates/bytestag/tests/bytestag/fuzzed.rs"]
pub(crate) mod fuzzed;
