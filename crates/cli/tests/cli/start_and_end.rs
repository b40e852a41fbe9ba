//! How a node starts, how it ends, and the exit statuses.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::node::{Node, output, rs2p};

#[test]
fn quit_ends_with_status_0() {
    Node::start(&[]).quit();
}

#[cfg(unix)]
#[test]
fn sigterm_ends_with_status_0_and_peers_hear_of_it() {
    let (mut one, two) = Node::pair();
    two.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(one.event("disconnect")["peer"], two.id);
    let (status, stderr) = two.end();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn sigint_ends_with_status_130_and_peers_hear_of_it() {
    let (mut one, two) = Node::pair();
    two.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(one.event("disconnect")["peer"], two.id);
    let (status, stderr) = two.end();
    assert_eq!((status.code(), stderr.as_str()), (Some(130), ""));
}

#[cfg(unix)]
#[test]
fn a_signal_ends_a_node_that_waits_for_somebody() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let at_start = Node::start(&["--connect", &address]);
    let mut in_command = Node::start(&[]);
    in_command.say(&format!("connect {address}"));
    let _held = [silent.accept().unwrap(), silent.accept().unwrap()];
    for node in [at_start, in_command] {
        node.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(node.end().0.code(), Some(0));
    }
}

#[cfg(unix)]
#[test]
fn the_end_of_input_leaves_the_node_running() {
    let mut one = Node::start(&[]);
    one.say("id");
    one.close_input();
    assert_eq!(one.wait("the reply", |line| line["reply"] == "id")["id"], one.id);
    let mut two = Node::start(&["--connect", &one.address]);
    assert_eq!(one.event("connect")["peer"], two.id);
    assert_eq!(two.ask("send hello")["reply"], "send");
    assert_eq!(one.event("message")["packets"], json!(["hello"]));
    one.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(one.end().0.code(), Some(0));
}

#[test]
fn a_script_needs_no_waits() {
    let mut one = Node::start(&[]);
    let directory = TempDir::new().unwrap();
    let mut script = rs2p(&directory, &["mesh", "--connect", &one.address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    script.stdin.take().unwrap().write_all(b"send hello\nquit\n").unwrap();
    let done = script.wait_with_output().unwrap();
    assert!(done.status.success());
    assert_eq!(one.event("message")["packets"], json!(["hello"]));
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.contains("sent to 1 peer\n"), "{text}");
    assert!(!text.contains('\x1b'), "no colours where no terminal is: {text}");
}

#[test]
fn a_port_in_use_is_told_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let failed = output(&["mesh", "--listen", &address]);
    assert_eq!(failed.status.code(), Some(1));
    let error = String::from_utf8(failed.stderr).unwrap();
    assert!(error.contains(&address) && error.contains("port is in use"), "{error}");
    assert!(error.contains("--listen"), "{error}");
}

#[test]
fn an_address_of_another_machine_is_told_with_what_to_do() {
    // Of documentation (RFC 5737): no machine has it.
    let failed = output(&["mesh", "--listen", "192.0.2.1:0"]);
    assert_eq!(failed.status.code(), Some(1));
    let error = String::from_utf8(failed.stderr).unwrap();
    assert!(error.contains("no address of this machine"), "{error}");
}

#[test]
fn with_nobody_reachable_a_node_ends_with_status_3() {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (one, two) = (free(), free());
    let failed = output(&["mesh", "--json", "--connect", &one, "--connect", &two]);
    assert_eq!(failed.status.code(), Some(3));
    let error = String::from_utf8(failed.stderr).unwrap();
    assert!(error.starts_with("error: none of 2 nodes was reached"), "{error}");
    let lines: Vec<Value> = String::from_utf8(failed.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for address in [one, two] {
        let command = format!("--connect {address}");
        assert!(lines.iter().any(|line| line["command"] == command), "{command}: {lines:?}");
    }
}

#[test]
fn one_node_reached_is_enough() {
    let one = Node::start(&[]);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut two = Node::start(&["--connect", &free, "--connect", &one.address]);
    assert_eq!(two.event("connect")["peer"], one.id);
    let failed = two.wait("the failure", |line| !line["error"].is_null());
    assert_eq!(failed["command"], format!("--connect {free}"));
    two.quit();
}

#[test]
fn a_node_of_another_network_means_status_8() {
    let one = Node::start(&["--subnet", "friends"]);
    let failed = output(&["mesh", "--connect", &one.address]);
    assert_eq!(failed.status.code(), Some(8));
    let error = String::from_utf8(failed.stderr).unwrap();
    assert!(error.contains(&one.address) && error.contains("another network"), "{error}");
    assert!(error.contains("--subnet"), "{error}");
}

#[test]
fn somebody_who_speaks_another_protocol_is_told_so() {
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = web.local_addr().unwrap().to_string();
    // It answers as often as it is dialled, until the test's process ends.
    std::thread::spawn(move || {
        for link in web.incoming() {
            let mut link = link.unwrap();
            let _ = link.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = link.read_to_end(&mut Vec::new());
        }
    });
    let failed = output(&["mesh", "--connect", &address]);
    assert_eq!(failed.status.code(), Some(3));
    let error = String::from_utf8(failed.stderr).unwrap();
    assert!(error.contains("does not speak this protocol"), "{error}");
}

#[test]
fn a_node_whose_output_nobody_reads_ends_with_status_1() {
    let mut node = Node::start(&[]);
    node.close_output();
    // The driver's reader goes with the first line that nobody takes, the pipe with the reader.
    node.say("id");
    while node.try_say("id") {}
    let (status, error) = node.end();
    assert_eq!(status.code(), Some(1));
    assert!(error.contains("nobody reads standard output"), "{error}");
}
