//! What the process takes, as Linux tells (proc(5)).

use std::fs;

const PAGE: f64 = 4_096.0;

/// Seconds of processor time so far. Not those on a clock: others run on the same core, and their
/// turns are as long as what is measured here.
pub(crate) fn seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// Bytes of memory that it has now. Allocations are not counted: that takes a part of the time that
/// is measured here.
pub(crate) fn resident() -> f64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * PAGE
}

/// The most that it has had.
pub(crate) fn peak() -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1_024.0
}
