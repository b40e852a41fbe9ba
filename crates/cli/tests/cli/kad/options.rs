//! Options, and how the program ends.

use std::fs;

use tempfile::TempDir;

use crate::node::{Node, output, rs2p};

#[test]
fn wrong_usage_is_status_2_and_names_what_is_wrong() {
    for (args, reason) in [
        (&["--listen", "here"][..], ":PORT"),
        (&["--join", "127.0.0.1:0"], "port 0"),
        (&["--id", "abcd"], "a key of 2 bytes"),
        (&["--capacity", "much"], "10G"),
        (&["--config", "no/such/file"], "no/such/file"),
        (&["--subnet", "friends"], "--subnet"),
    ] {
        let done = output(&[&["kad"], args].concat());
        let error = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(reason), "{args:?}: {error}");
    }
}

#[test]
fn when_nobody_is_there_to_join_by_the_status_is_3() {
    let done = output(&["kad", "--json", "--join", "127.0.0.1:1", "--join", "127.0.0.1:2"]);
    assert_eq!(done.status.code(), Some(3));
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.contains("\"command\":\"--join 127.0.0.1:1\""), "{text}");
    let error = String::from_utf8(done.stderr).unwrap();
    assert!(error.contains("none of 2 nodes"), "{error}");
}

#[test]
fn one_node_to_join_by_is_enough() {
    let one = Node::start_as("kad", &[]);
    let mut two = Node::start_as("kad", &["--join", "127.0.0.1:1", "--join", &one.address]);
    assert_eq!(two.ask("id")["command"], "--join 127.0.0.1:1");
    assert_eq!(two.event("joined")["contacts"], 1);
}

#[test]
fn what_stands_in_the_way_of_a_start_is_status_1() {
    let one = Node::start_as("kad", &[]);
    let failed = |args: &[&str], reason: &str| {
        let done = output(&[&["kad"], args].concat());
        let error = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{args:?}: {error}");
        assert!(error.contains(reason), "{args:?}: {error}");
    };
    failed(&["--listen", &one.address], "the port is in use");
    failed(&["--listen", "[::1]:0"], "IPv4");
    failed(&["--share", "no/such/directory"], "no/such/directory");
}

#[test]
fn id_and_all_else_may_come_from_a_file() {
    let directory = TempDir::new().unwrap();
    fs::write(
        directory.path().join("node.toml"),
        "json = true\n[kad]\nid = '3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ'\nstore = 'v.redb'\n",
    )
    .unwrap();
    fs::write(directory.path().join("script"), "id\nquit\n").unwrap();
    let done = rs2p(&directory, &["kad", "--config", "node.toml"])
        .stdin(fs::File::open(directory.path().join("script")).unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let id = "\"da39a3ee5e6b4b0d3255bfef95601890afd80709\"";
    assert!(text.contains(&format!("{{\"reply\":\"id\",\"id\":{id}}}")), "{text}");
    assert!(directory.path().join("v.redb").exists());
}

#[cfg(unix)]
#[test]
fn sigint_is_status_130_and_sigterm_0() {
    use nix::sys::signal::Signal;
    for (signal, status) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 0)] {
        let node = Node::start_as("kad", &[]);
        node.signal(signal);
        assert_eq!(node.end().0.code(), Some(status));
    }
}
