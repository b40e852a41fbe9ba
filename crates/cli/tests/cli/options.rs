//! Flags, environment and configuration file.

use std::fs;

use tempfile::TempDir;

use super::node::{Node, output, rs2p};

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let one = Node::start(&["--subnet", "env"]);
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("node.toml");
    fs::write(&file, format!("subnet = 'file'\nconnect = ['{}']\n", one.address)).unwrap();
    let run = |args: &[&str], env: &[(&str, &str)]| {
        let done = rs2p(&directory, &[&["mesh", "--config", "node.toml"], args].concat())
            .envs(env.iter().copied())
            .stdin(fs::File::open(quit(&directory)).unwrap())
            .output()
            .unwrap();
        done.status.code()
    };
    assert_eq!(run(&[], &[]), Some(8), "the file says another network");
    assert_eq!(run(&[], &[("RS2P_SUBNET", "env")]), Some(0));
    assert_eq!(run(&["--subnet", "flag"], &[("RS2P_SUBNET", "env")]), Some(8));
    assert_eq!(run(&["--subnet", "env"], &[("RS2P_SUBNET", "other")]), Some(0));
}

fn quit(directory: &TempDir) -> std::path::PathBuf {
    let path = directory.path().join("quit");
    fs::write(&path, "quit\n").unwrap();
    path
}

#[test]
fn the_environment_alone_can_say_it_all() {
    let one = Node::start_with(&[], [("RS2P_SUBNET", "friends"), ("RS2P_LISTEN", "localhost:0")]);
    let directory = TempDir::new().unwrap();
    let done = rs2p(&directory, &["mesh"])
        .envs([("RS2P_CONNECT", one.address.as_str()), ("RS2P_SUBNET", "friends")])
        .envs([("RS2P_JSON", "1")])
        .stdin(fs::File::open(quit(&directory)).unwrap())
        .output()
        .unwrap();
    assert!(done.status.success());
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.starts_with("{\"event\":\"ready\",\"id\":\""), "{text}");
    assert!(
        text.ends_with("{\"reply\":\"quit\"}\n") || text.contains("{\"reply\":\"quit\"}"),
        "{text}"
    );
}

#[test]
fn wrong_usage_is_status_2_with_the_reason() {
    let refused = |args: &[&str], reason: &str| {
        let done = output(args);
        let error = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(reason), "{args:?}: {error}");
    };
    refused(&[], "Usage");
    refused(&["mush"], "mush");
    refused(&["mesh", "--lisen", "a:1"], "--listen");
    refused(&["mesh", "--listen", "localhost"], ":PORT");
    refused(&["mesh", "--connect", "a:0"], "port 0");
    refused(&["mesh", "--advertise", "a:70000"], "65535");
    refused(&["mesh", "-v", "-q"], "cannot be used with");
    refused(&["mesh", "--transport", "udp"], "there are tcp, tls, ws, wss");
    for transport in ["tls", "ws", "wss"] {
        refused(&["mesh", "--transport", transport], "is not there yet");
    }
    refused(&["mesh", "--config", "missing.toml"], "missing.toml");
    refused(&["chord", "--timeout", "soon"], "500ms");
    refused(&["chord", "--timeout", "10ms"], "from 100ms to 1h");
    refused(&["chord", "--no-leasing"], "--no-leasing");
    refused(&["mesh", "--bootstrap", "a:0"], "port 0");
    refused(&["seed", "--bootstrap", "a:1"], "by --connect");
    refused(&["inspect", "protocol", "mesh", "SSH"], "Plaintext");
}

#[test]
fn a_wrong_configuration_file_is_told_with_file_line_and_reason() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("node.toml"), "# mine\nlisen = 'a:1'\n").unwrap();
    let done = rs2p(&directory, &["mesh", "--config", "node.toml"]).output().unwrap();
    let error = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(2));
    assert!(error.starts_with("error: node.toml:2: unknown field `lisen`"), "{error}");
}

#[test]
fn the_log_goes_to_standard_error_alone() {
    let node = Node::start(&["-vvv"]);
    let address = node.address.clone();
    let mut two = Node::start(&["-vvv", "--connect", &address]);
    // Both of them: one that is left before it knows of its peer has reached nobody.
    let mut node = node;
    node.event("connect");
    two.event("connect");
    for mut node in [node, two] {
        node.ask("quit");
        let (status, log) = node.end();
        assert!(status.success());
        assert!(log.contains("DEBUG"), "{log}");
        assert!(!log.contains('\x1b'), "{log}");
    }
}
