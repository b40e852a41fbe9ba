//! A running py2p, js2p or Bytestag node.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rs2p::base::{Endpoint, NodeId};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::PATIENCE;
use crate::values::alike;

/// How long it may take to start: Python reads its modules first, which takes its time on a busy
/// machine.
const START: Duration = Duration::from_secs(60);

/// Which of the originals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Py,
    Js,
    /// It has a network of its own kind: see [`crate::bytestag`].
    Bytestag,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::Py, Self::Js];

    /// In which type it writes ids, and has to find them.
    pub(crate) fn id_type(self) -> &'static str {
        match self {
            Self::Py => "bin",
            Self::Js | Self::Bytestag => "str",
        }
    }

    fn command(self) -> Command {
        let peers = env::var_os("RS2P_INTEROP_PEERS")
            .expect("RS2P_INTEROP_PEERS says where the originals are: run `cargo xtask interop`");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (peers, scripts) = (root.join(PathBuf::from(peers)), root.join("tests/interop/peers"));
        match self {
            Self::Py => {
                let mut command = Command::new(peers.join("py/bin/python"));
                command.arg(scripts.join("py_peer.py"));
                command
            }
            Self::Js => {
                let mut command = Command::new("node");
                command.env("NODE_PATH", peers.join("js/node_modules"));
                command.arg(scripts.join("js_peer.js"));
                command
            }
            Self::Bytestag => {
                let mut command = Command::new(peers.join("bytestag/bin/python"));
                command.arg(scripts.join("bytestag_peer.py"));
                command
            }
        }
    }
}

/// A process that runs one node of the originals. It dies with this.
///
/// A test ends with [`finish`](Self::finish) for each of its peers, or the peer's death.
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    /// Its id, as text.
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    child: Child,
    stdin: ChildStdin,
    lines: mpsc::UnboundedReceiver<Json>,
    /// All events so far.
    log: Vec<Json>,
    stderr: Arc<Mutex<String>>,
    finished: bool,
}

impl Peer {
    pub(crate) async fn start(kind: Kind) -> Self {
        Self::start_with(kind, &[]).await
    }

    /// With options of the peer's script. The port it picks may be taken before it listens there,
    /// so it may try again, unless the port is given.
    pub(crate) async fn start_with(kind: Kind, options: &[&str]) -> Self {
        let deadline = Instant::now() + START;
        loop {
            match Self::try_start(kind, options, deadline).await {
                Ok(peer) => return peer,
                Err(stderr) => {
                    let is_taken = stderr.contains("in use") || stderr.contains("EADDRINUSE");
                    let again = is_taken && Instant::now() < deadline;
                    assert!(again, "{kind:?} does not start: {stderr}");
                }
            }
        }
    }

    async fn try_start(kind: Kind, options: &[&str], deadline: Instant) -> Result<Self, String> {
        let mut child = kind
            .command()
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{kind:?} cannot be started: {error}"));
        let stdin = child.stdin.take().expect("piped");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut errors = child.stderr.take().expect("piped");
        let (sender, mut lines) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = stdout.next_line().await {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| json!({"noise": line}));
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let log = stderr.clone();
        let reading = tokio::spawn(async move {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = errors.read(&mut chunk).await {
                let text = String::from_utf8_lossy(&chunk[..length]);
                log.lock().expect("not poisoned").push_str(&text);
            }
        });
        match timeout_at(deadline, lines.recv()).await {
            Ok(Some(ready)) if ready["event"] == "ready" => Ok(Self {
                kind,
                id: ready["id"].as_str().expect("an id").to_owned(),
                host: ready["host"].as_str().expect("a host").to_owned(),
                port: ready["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port"),
                child,
                stdin,
                lines,
                log: Vec::new(),
                stderr,
                finished: false,
            }),
            first => {
                let _ = child.kill().await;
                let _ = reading.await;
                let stderr = stderr.lock().expect("not poisoned").clone();
                Err(format!("{first:?}: {stderr}"))
            }
        }
    }

    pub(crate) fn node_id(&self) -> NodeId {
        self.id.parse().expect("a node id")
    }

    pub(crate) fn address(&self) -> Endpoint {
        Endpoint::new(&self.host, self.port).expect("an address")
    }

    /// Gives a command and waits for its answer, which must not be an error.
    pub(crate) async fn command(&mut self, command: Json) -> Json {
        self.command_within(PATIENCE, command).await
    }

    /// As [`command`](Self::command), for one that may take longer than others.
    pub(crate) async fn command_within(&mut self, limit: Duration, command: Json) -> Json {
        let answer = self.try_command_within(limit, command.clone()).await;
        assert!(answer["error"].is_null(), "{command}: {answer}\n{}", self.report());
        answer
    }

    /// As [`command`](Self::command); the answer may be an error.
    pub(crate) async fn try_command(&mut self, command: Json) -> Json {
        self.try_command_within(PATIENCE, command).await
    }

    async fn try_command_within(&mut self, limit: Duration, command: Json) -> Json {
        let line = format!("{command}\n");
        self.stdin.write_all(line.as_bytes()).await.expect("the peer runs");
        self.stdin.flush().await.expect("the peer runs");
        let deadline = Instant::now() + limit;
        loop {
            let line = self.next_line(deadline, "an answer").await;
            if line["event"].is_null() {
                return line;
            }
            self.log.push(line);
        }
    }

    pub(crate) async fn connect(&mut self, to: &Endpoint) {
        let Endpoint::Socket(to) = to else { panic!("not a socket address: {to}") };
        let command = json!({"cmd": "connect", "host": to.ip().to_string(), "port": to.port()});
        assert_eq!(self.command(command).await["dialled"], true, "{:?} refuses to dial", self.kind);
    }

    pub(crate) async fn send(&mut self, packets: impl Into<Json>) {
        self.command(json!({"cmd": "send", "packets": packets.into()})).await;
    }

    pub(crate) async fn whisper(&mut self, to: NodeId, packets: impl Into<Json>) {
        let (to, packets) = (to.to_string(), packets.into());
        self.command(json!({"cmd": "whisper", "to": to, "packets": packets})).await;
    }

    pub(crate) async fn reply(&mut self, packets: impl Into<Json>) {
        self.command(json!({"cmd": "reply", "packets": packets.into()})).await;
    }

    /// Its routing table, as the script tells it.
    pub(crate) async fn table(&mut self) -> Vec<Json> {
        let answer = self.command(json!({"cmd": "peers"})).await;
        answer["peers"].as_array().expect("a list").clone()
    }

    /// Waits until its routing table holds these ids, each once and in its own type, and nothing
    /// else.
    pub(crate) async fn has_peers(&mut self, ids: &[NodeId]) {
        let mut wanted: Vec<_> = ids.iter().map(|id| json!(id.to_string())).collect();
        wanted.sort_by_key(Json::to_string);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let table = self.table().await;
            let mut found: Vec<_> = table.iter().map(|entry| entry["id"].clone()).collect();
            found.sort_by_key(Json::to_string);
            if found == wanted {
                let id_type = self.kind.id_type();
                assert!(table.iter().all(|entry| entry["id_type"] == id_type), "{table:?}");
                return;
            }
            let (kind, now) = (self.kind, Instant::now());
            assert!(now < deadline, "{kind:?} has {found:?}, not {wanted:?}\n{}", self.report());
            // The originals do not tell when their table changes.
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until it has this peer, among others.
    pub(crate) async fn knows(&mut self, id: NodeId) {
        self.until_table("not there yet", id, true).await;
    }

    /// Waits until it has this peer no longer.
    pub(crate) async fn forgets(&mut self, id: NodeId) {
        self.until_table("still there", id, false).await;
    }

    async fn until_table(&mut self, what: &str, id: NodeId, is_there: bool) {
        let (id, deadline) = (id.to_string(), Instant::now() + PATIENCE);
        while self.table().await.iter().any(|entry| entry["id"] == *id) != is_there {
            let (kind, now) = (self.kind, Instant::now());
            assert!(now < deadline, "{id} is {what} at {kind:?}\n{}", self.report());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the messages heard so far hold what `find` looks for.
    pub(crate) async fn until<T>(
        &mut self,
        what: &str,
        mut find: impl FnMut(&[Json]) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = find(&self.log) {
                return found;
            }
            let line = self.next_line(deadline, what).await;
            self.log.push(line);
        }
    }

    /// Waits for a message with these packets.
    pub(crate) async fn hears(&mut self, packets: impl Into<Json>) -> Json {
        let packets = packets.into();
        self.until(&format!("message {}", brief(&packets)), |log| {
            log.iter().find(|event| alike(&event["packets"], &packets)).cloned()
        })
        .await
    }

    /// Whether it hears these packets within a second.
    pub(crate) async fn hears_soon(&mut self, packets: &Json) -> bool {
        timeout(Duration::from_secs(1), self.hears(packets.clone())).await.is_ok()
    }

    /// Waits until it has heard `count` messages in all.
    pub(crate) async fn hears_in_all(&mut self, count: usize) {
        self.until(&format!("message number {count}"), |log| {
            let messages = log.iter().filter(|event| event["event"] == "message").count();
            (messages >= count).then_some(())
        })
        .await;
    }

    /// The messages heard so far, in order.
    pub(crate) fn heard(&self) -> impl Iterator<Item = &Json> {
        self.log.iter().filter(|event| event["event"] == "message")
    }

    /// How often it has heard these packets so far.
    pub(crate) fn times_heard(&self, packets: &Json) -> usize {
        self.heard().filter(|event| alike(&event["packets"], packets)).count()
    }

    /// How often `name` has happened so far.
    pub(crate) fn times(&self, name: &str) -> usize {
        self.log.iter().filter(|event| event["event"] == name).count()
    }

    /// What it says of itself: `"Nominal"`, or the errors it caught.
    pub(crate) async fn status(&mut self) -> Json {
        self.command(json!({"cmd": "status"})).await["status"].clone()
    }

    /// The end of a test: nothing has gone wrong in there.
    pub(crate) async fn finish(mut self) {
        let status = self.status().await;
        assert_eq!(status, "Nominal", "{}", self.report());
        self.finished = true;
    }

    /// The end of a test in which it may have caught errors of these kinds, and no others.
    pub(crate) async fn finish_but_for(mut self, known: &[&str]) {
        if let Json::Array(errors) = self.status().await {
            let is_known = |text: &Json| {
                let text = text.as_str().unwrap_or_default();
                known.iter().any(|error| text.contains(error))
            };
            assert!(errors.iter().all(is_known), "{errors:#?}");
        }
        self.finished = true;
    }

    /// Its end without a goodbye.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("the peer runs");
        self.finished = true;
    }

    async fn next_line(&mut self, deadline: Instant, what: &str) -> Json {
        match timeout_at(deadline, self.lines.recv()).await {
            Ok(Some(line)) => line,
            Ok(None) => panic!("{:?} ended, {what} was due\n{}", self.kind, self.report()),
            Err(_) => panic!("{:?}: no {what} in time\n{}", self.kind, self.report()),
        }
    }

    /// What is known of it, for the message of a failed test.
    fn report(&self) -> String {
        let tail: Vec<_> = self.log.iter().rev().take(8).map(brief).collect();
        let stderr = self.stderr.lock().expect("not poisoned");
        format!("its last events, newest first: {tail:#?}\nits standard error:\n{stderr}")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let is_checked = self.finished || std::thread::panicking();
        assert!(is_checked, "the test forgot to look after {:?}", self.kind);
    }
}

fn brief(value: &Json) -> String {
    let text = value.to_string();
    text.chars().take(200).collect()
}
