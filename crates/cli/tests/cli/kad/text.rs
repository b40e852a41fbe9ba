//! What people are shown.

use std::fs;

use tempfile::TempDir;

use super::network;
use crate::node::rs2p;

#[test]
fn people_get_plain_lines() {
    let nodes = network(1);
    let directory = TempDir::new().unwrap();
    let script = "id\nput hello\nwait\nget aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d\nwait\n\
        table\nshare text\nwait\nshared\nstatus\ncancel\nget 00\nquit\n";
    fs::write(directory.path().join("text"), script).unwrap();
    let done = rs2p(&directory, &["kad", "--join", &nodes[0].address])
        .stdin(fs::File::open(directory.path().join("text")).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success() && !text.contains('{') && !text.contains('\x1b'), "{text}");
    let mut rest = text.as_str();
    for part in [
        "listens on 127.0.0.1:",
        "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d  is at 1 node",
        "all is done",
        "hello",
        "in common with this node",
        &nodes[0].address,
        "text: 1 file, ",
        "magnet:?xt=urn:bstagih:",
        "other nodes have all of it",
        "publishes",
        "nothing is going on",
        "error: `00` is a key of 1 bytes",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} is not in {text}"));
        rest = &rest[at + part.len()..];
    }
}
