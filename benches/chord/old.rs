//! Nodes of py2p in the ring, each in a process of its own.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rs2p::chord::ChordSocket;
use serde_json::{Value, json};

/// A py2p node that stores. It ends with this.
#[derive(Debug)]
pub(crate) struct Old(Child);

impl Drop for Old {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a member of py2p's that knows this node.
pub(crate) async fn start(knows: &ChordSocket) -> Old {
    let address = knows.address().unwrap();
    let before = knows.status().unwrap().storing_peers;
    let connect =
        json!({"cmd": "connect", "host": address.ip().to_string(), "port": address.port()});
    let old = tokio::task::spawn_blocking(move || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        // Where `cargo xtask interop` has installed py2p.
        let peers = env::var_os("RS2P_INTEROP_PEERS").unwrap_or_else(|| "target/interop".into());
        let mut child = Command::new(root.join(PathBuf::from(peers)).join("py/bin/python"))
            .arg(root.join("tests/interop/peers/py_peer.py"))
            .args(["--kind", "chord"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for command in [json!({"cmd": "join"}), connect] {
            writeln!(stdin, "{command}").unwrap();
        }
        let has_connected = |line: &String| {
            let line: Value = serde_json::from_str(line).unwrap();
            assert!(line["error"].is_null(), "{line}");
            line["reply"] == "connect"
        };
        assert!(lines.by_ref().map_while(Result::ok).any(|line| has_connected(&line)));
        // It ends with its input, and its events must not fill the pipe.
        child.stdin = Some(stdin);
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Old(child)
    });
    let old = old.await.unwrap();
    for _ in 0..100 {
        if knows.status().unwrap().storing_peers > before {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(knows.status().unwrap().storing_peers > before, "py2p is no member after ten seconds");
    old
}
