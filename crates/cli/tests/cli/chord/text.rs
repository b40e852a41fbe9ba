//! What people read.

use std::io::Write as _;
use std::process::Stdio;

use tempfile::TempDir;

use crate::node::{Node, rs2p};

/// What a script of commands answers, without the line that the node begins with.
fn answers(args: &[&str], script: &str) -> String {
    let directory = TempDir::new().unwrap();
    let mut child = rs2p(&directory, &[&["chord"], args].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{script}quit\n").as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{done:?}");
    let text = String::from_utf8(done.stdout).unwrap();
    let (ready, answers) = text.split_once('\n').unwrap();
    assert!(ready.contains("listens on"), "{ready}");
    answers.to_owned()
}

#[test]
fn every_command_has_an_answer_for_people() {
    let script = "\
keys
get colour
set colour green
set hex:ff00 json:[7]
get colour
items
copy
len
update a 1 b 2
delta c '{\"n\":1}'
pop a
del b
unjoin
";
    let expected = "\
there are no keys
there is no such key
set
set
\"green\"
colour = \"green\"
hex:ff00 = [7]
{\"colour\":\"green\",\"hex:ff00\":[7]}
2
2 keys set
c = {\"n\":1}
\"1\"
deleted
25 records are lost: nobody took them in time
";
    // Without announcements there are no events of keys among them.
    let text = answers(&["--no-announce"], script);
    let joined = "this node stores for the network now\n";
    assert_eq!(text.replacen(joined, "", 1), expected);
}

#[test]
fn keys_that_come_and_go_are_told() {
    let text = answers(&[], "set colour green\ndel colour\n");
    for line in ["colour is a new key\n", "colour is gone\n", "set\n", "deleted\n"] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn ring_explain_and_status_are_tables() {
    let other = Node::start_chord(&[]);
    let text = answers(&["--connect", &other.address], "join\nset a 1\nring\nexplain a\nstatus\n");
    for begin in
        ["node      ", "owns      ", "before    ", "next      ", "records   ", "lookups   "]
    {
        assert!(text.contains(&format!("\n{begin}")), "{begin}: {text}");
    }
    for table in ["sha1    ", "sha224  ", "sha256  ", "sha384  ", "sha512  "] {
        assert!(text.contains(&format!("\n{table}this node")), "{table}: {text}");
    }
    assert!(text.contains("% of the ring is this node's"), "{text}");
    assert!(text.contains("store     none"), "{text}");
}
