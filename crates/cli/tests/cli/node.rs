//! A driver: one `rs2p` process, spoken to in lines, with a deadline on every wait.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The program in a directory of its own, without the caller's environment.
pub(crate) fn rs2p(directory: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rs2p"));
    command.args(args).current_dir(directory).env("XDG_STATE_HOME", directory.path());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RS2P_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs the program to its end.
pub(crate) fn output(args: &[&str]) -> Output {
    rs2p(&TempDir::new().unwrap(), args).stdin(Stdio::null()).output().unwrap()
}

/// A node with `--json`. Dropping it kills it.
pub(crate) struct Node {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<mpsc::Receiver<Value>>,
    stderr: Option<JoinHandle<String>>,
    /// What was heard and not waited for yet.
    heard: Vec<Value>,
    pub(crate) id: String,
    pub(crate) address: String,
    _directory: TempDir,
}

impl Node {
    /// Starts a mesh node and waits until it is ready.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_with(args, [("RS2P_QUIET", "")])
    }

    pub(crate) fn start_with<K: AsRef<OsStr>>(
        args: &[&str],
        env: impl IntoIterator<Item = (K, &'static str)>,
    ) -> Self {
        Self::run(&[&["mesh"], args].concat(), env)
    }

    /// Starts a node of a replicated dictionary and waits until it is ready.
    pub(crate) fn start_sync(args: &[&str]) -> Self {
        Self::start_as("sync", args)
    }

    /// Starts a node of a DHT and waits until it is ready.
    pub(crate) fn start_chord(args: &[&str]) -> Self {
        Self::start_as("chord", args)
    }

    /// Starts a node of this layer and waits until it is ready.
    pub(crate) fn start_as(layer: &str, args: &[&str]) -> Self {
        Self::run(&[&[layer], args].concat(), [("RS2P_QUIET", "")])
    }

    /// A DHT of so many nodes, all of which store.
    pub(crate) fn chord_ring(count: usize) -> Vec<Self> {
        let mut nodes = vec![Self::start_chord(&[])];
        while nodes.len() < count {
            let address = nodes[0].address.clone();
            nodes.push(Self::start_chord(&["--connect", &address]));
        }
        for node in &mut nodes {
            assert_eq!(node.ask("join"), serde_json::json!({ "reply": "join" }));
        }
        nodes
    }

    fn run<K: AsRef<OsStr>>(
        args: &[&str],
        env: impl IntoIterator<Item = (K, &'static str)>,
    ) -> Self {
        let directory = TempDir::new().unwrap();
        let mut child = rs2p(&directory, args)
            .arg("--json")
            .envs(env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, stdout) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines() {
                let line = line.unwrap();
                let object: Value =
                    serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
                assert!(object.is_object(), "{line}");
                if lines.send(object).is_err() {
                    return;
                }
            }
        });
        let mut err = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).unwrap();
            text
        });
        let mut node = Self {
            stdin: child.stdin.take(),
            child,
            stdout: Some(stdout),
            stderr: Some(stderr),
            heard: Vec::new(),
            id: String::new(),
            address: String::new(),
            _directory: directory,
        };
        let ready = node.event("ready");
        node.id = ready["id"].as_str().unwrap().to_owned();
        node.address = ready["listen"].as_str().unwrap().to_owned();
        node
    }

    /// Two nodes that are connected and know it.
    pub(crate) fn pair() -> (Self, Self) {
        Self::connected(Self::start)
    }

    /// Two nodes of a replicated dictionary that are connected and know it, the first of which is
    /// [before](Self::ordered) the second.
    pub(crate) fn sync_pair() -> (Self, Self) {
        let (one, two) = Self::connected(Self::start_sync);
        Self::ordered(one, two)
    }

    /// The one with the smaller id, and the other, which is refused what the first one has written
    /// even within the same second: such ties go to the smaller id.
    pub(crate) fn ordered(one: Self, two: Self) -> (Self, Self) {
        if one.id < two.id { (one, two) } else { (two, one) }
    }

    fn connected(start: impl Fn(&[&str]) -> Self) -> (Self, Self) {
        let mut one = start(&[]);
        let two = start(&["--connect", &one.address]);
        let connected = one.event("connect");
        assert_eq!(connected["peer"], two.id);
        (one, two)
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.say_bytes(format!("{line}\n").as_bytes());
    }

    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// Says a line if anybody is there to hear it.
    pub(crate) fn try_say(&mut self, line: &str) -> bool {
        self.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).is_ok()
    }

    /// The end of input.
    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// Nobody reads its output any more.
    pub(crate) fn close_output(&mut self) {
        self.stdout = None;
    }

    /// The first line of output, from those not waited for yet on, of which this holds.
    pub(crate) fn wait(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        if let Some(index) = self.heard.iter().position(&is) {
            return self.heard.remove(index);
        }
        loop {
            match self.stdout.as_ref().unwrap().recv_timeout(DEADLINE) {
                Ok(line) if is(&line) => return line,
                Ok(line) => self.heard.push(line),
                Err(error) => panic!("{what} did not come ({error}); heard {:?}", self.heard),
            }
        }
    }

    pub(crate) fn event(&mut self, name: &str) -> Value {
        self.wait(name, |line| line["event"] == name)
    }

    /// Says a line and gives the reply or error that answers it.
    pub(crate) fn ask(&mut self, line: &str) -> Value {
        self.say(line);
        self.wait(line, |line| !line["reply"].is_null() || !line["error"].is_null())
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(id, signal).unwrap();
    }

    /// Ends it as a power failure would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end: exit status and standard error.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let status = wait_for(&mut self.child);
        (status, self.stderr.take().unwrap().join().unwrap())
    }

    pub(crate) fn quit(mut self) {
        assert_eq!(self.ask("quit"), serde_json::json!({ "reply": "quit" }));
        let (status, stderr) = self.end();
        assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It has ended, or it has to.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a process, by its deadline.
pub(crate) fn wait_for(child: &mut Child) -> ExitStatus {
    let begin = std::time::SystemTime::UNIX_EPOCH;
    let now = || begin.elapsed().unwrap();
    let latest = now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(now() < latest, "the process did not end");
        std::thread::yield_now();
    }
}
