//! The body of the target `chord`.

#[expect(dead_code, reason = "the tests beside it use more of it")]
#[path = "../../crates/chord/tests/chord/bench.rs"]
mod bench;
#[path = "../../crates/chord/tests/chord/fuzzed.rs"]
pub(crate) mod fuzzed;
