//! What people read.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::sync::mpsc;

use tempfile::TempDir;

use crate::node::{DEADLINE, Node, rs2p, wait_for};

/// What a script of commands answers, without the line that the node begins with.
fn answers(args: &[&str], script: &str) -> String {
    let directory = TempDir::new().unwrap();
    let mut child = rs2p(&directory, &[&["sync"], args].concat())
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
set 'two words' json:[7] 10m
set hex:ff00 7
get colour
keys
values
items
copy
len
update a 1 b 2
delta c '{\"n\":1}'
renew a
pop a
";
    let expected = "\
there are no keys
there is no such key
set, leased to this node for 1h
set, leased to this node for 10m
set, leased to this node for 1h
\"green\"
colour
'two words'
hex:ff00
\"green\"
[7]
\"7\"
colour = \"green\"
'two words' = [7]
hex:ff00 = \"7\"
{\"colour\":\"green\",\"two words\":[7],\"hex:ff00\":\"7\"}
3
2 keys set, leased to this node for 1h
c = {\"n\":1}
renewed, leased to this node for 1h
";
    let text = answers(&[], script);
    let (before, popped) = text.split_at(expected.len());
    assert_eq!(before, expected);
    // The event and the reply, in either order.
    let mut popped: Vec<_> = popped.lines().collect();
    popped.sort_unstable();
    assert_eq!(popped, ["\"1\"", "a deleted"]);
}

#[test]
fn a_deletion_is_told_once() {
    for delete in ["del a", "set a json:null"] {
        let text = answers(&[], &format!("set a 1\n{delete}\n"));
        assert_eq!(text, "set, leased to this node for 1h\na deleted\n", "{delete}");
    }
    let text = answers(&[], "set a 1\npopitem\n");
    assert!(text.contains("a = \"1\"\n") && text.contains("a deleted\n"), "{text}");
}

#[test]
fn entry_and_status_are_tables() {
    let text = answers(&[], "set a 1\nentry a\nentry b\nstatus\n");
    for begin in ["value     \"1\"\n", "owner     ", "written   ", "leased    for another 1h"] {
        assert!(text.contains(&format!("\n{begin}")), "{begin}: {text}");
    }
    assert!(text.contains("(this node)") && text.contains("there is no such key"), "{text}");
    assert!(text.contains("\nkeys      1 (") && text.contains("\nstore     none"), "{text}");
    let text = answers(&["--no-leasing"], "set a 1\nentry a\nstatus\n");
    assert!(text.starts_with("set\n"), "{text}");
    assert!(text.contains("\nleased    never") && text.contains("\nleases    none"), "{text}");
}

#[test]
fn what_others_write_is_told_with_its_author_and_cannot_steer_the_terminal() {
    let mut other = Node::start_sync(&[]);
    other.ask("set hex:1b5b324a 'json:\"\\u001b[2J\"'");
    let directory = TempDir::new().unwrap();
    let mut child = rs2p(&directory, &["sync", "--connect", &other.address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    other.event("connect");
    other.ask(&format!("set long {}", "x".repeat(1_000)));
    let (lines, told) = mpsc::channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || out.lines().try_for_each(|line| lines.send(line.unwrap())));
    let mut text = String::new();
    while !(text.contains("hex:1b5b324a") && text.contains("long")) {
        text += &told.recv_timeout(DEADLINE).unwrap();
        text.push('\n');
    }
    child.stdin.take().unwrap().write_all(b"quit\n").unwrap();
    assert!(wait_for(&mut child).success());
    let by = format!("  by {}…", &other.id[..10]);
    assert!(text.contains(&format!("hex:1b5b324a = \"\\u001b[2J\"{by}\n")), "{text}");
    assert!(text.contains(&format!("{}… (1002 B){by}\n", "x".repeat(299))), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}
