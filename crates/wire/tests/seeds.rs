//! The fuzz targets' seeds, run without a fuzzer.

#![expect(clippy::unwrap_used, reason = "helpers are tests, too")]
#![expect(clippy::print_stdout, reason = "shown on failure alone: the name of the seed at fault")]

mod bodies;

#[test]
fn streams_of_frames_keep_every_promise() {
    run("frame", 6, bodies::frame);
}

#[test]
fn bodies_of_messages_keep_every_promise() {
    run("message", 18, bodies::message);
}

#[test]
fn frames_that_claim_to_be_compressed_keep_every_promise() {
    run("expand", 11, bodies::expand);
}

#[test]
fn integers_in_base_58_keep_every_promise() {
    run("base58", 7, bodies::base58);
}

/// `least`: so many seeds there are; findings add to them.
fn run(target: &str, least: usize, body: fn(&[u8])) {
    let directory = format!("{}/../../fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    let mut seeds = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        body(&std::fs::read(path).unwrap());
        seeds += 1;
    }
    assert!(seeds >= least, "{seeds} seeds for {target}");
}
