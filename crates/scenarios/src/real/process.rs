//! One `rs2p` process: spoken to in lines, and never left behind.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use super::now;

/// What a process has told.
#[derive(Debug)]
pub(crate) struct Told {
    /// Which node it is, and in which of its lives.
    pub(crate) node: usize,
    pub(crate) life: u64,
    /// When the line was read.
    pub(crate) at: Instant,
    /// A line of its standard output; nothing: there will be no more.
    pub(crate) line: Option<Value>,
}

/// A process. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    lines: SyncSender<String>,
    /// The last lines of its standard error.
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Process {
    /// Starts it; what it tells goes to `told`.
    pub(super) fn start(
        mut command: Command,
        (node, life): (usize, u64),
        told: SyncSender<Told>,
    ) -> io::Result<Self> {
        apart(&mut command);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (lines, to_say) = mpsc::sync_channel(SAID);
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let process = Self { child, lines, log: log.clone() };
        let (Some(input), Some(output), Some(errors)) = pipes else {
            return Err(io::Error::other("it has no pipes"));
        };
        // A process that stands still takes nothing and tells nothing: whoever waits for its pipes
        // is a thread of its own. All three end with the process.
        let builder = || thread::Builder::new().stack_size(STACK);
        builder().spawn(move || say(input, &to_say))?;
        builder().spawn(move || hear(output, (node, life), &told))?;
        builder().spawn(move || keep_last(errors, &log))?;
        Ok(process)
    }

    /// Has a line said to it. `false` when so many wait already that it must be standing still.
    pub(super) fn say(&self, line: &str) -> bool {
        self.lines.try_send(format!("{line}\n")).is_ok()
    }

    /// Makes it stand still.
    pub(super) fn stop(&self) -> io::Result<()> {
        signal(&self.child, Wish::Stop)
    }

    /// Lets it go on.
    pub(super) fn go_on(&self) -> io::Result<()> {
        signal(&self.child, Wish::GoOn)
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The last it had to say about what is wrong.
    pub(super) fn log(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().map(String::as_str).collect::<Vec<_>>().join("; ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, or it has to; SIGKILL ends also what stands still.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Signals of the terminal are for the harness, which ends the processes in its own time.
pub(super) fn apart(command: &mut Command) {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        command.process_group(0);
    }
    #[cfg(not(unix))]
    let _ = command;
}

/// As many files may be open as the system allows: each process takes three.
pub(super) fn allow_many_files() {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
            && soft < hard
        {
            // Where it is not enough after all, the start of a process tells.
            _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
    }
}

fn say(mut input: ChildStdin, lines: &mpsc::Receiver<String>) {
    while let Ok(line) = lines.recv() {
        if input.write_all(line.as_bytes()).is_err() {
            return;
        }
    }
}

fn hear(output: ChildStdout, (node, life): (usize, u64), told: &SyncSender<Told>) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = output.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        let at = now();
        let is_end = !matches!(read, Ok(1..));
        let line = serde_json::from_slice(&line).ok().filter(Value::is_object);
        if (line.is_some() || is_end) && told.send(Told { node, life, at, line }).is_err() {
            return;
        }
        if is_end {
            return;
        }
    }
}

fn keep_last(errors: ChildStderr, log: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(errors).lines().map_while(Result::ok) {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == LOGGED {
            log.pop_front();
        }
        log.push_back(line);
    }
}

enum Wish {
    Stop,
    GoOn,
}

#[cfg(unix)]
fn signal(child: &Child, wish: Wish) -> io::Result<()> {
    use nix::sys::signal::{Signal, kill};
    let signal = match wish {
        Wish::Stop => Signal::SIGSTOP,
        Wish::GoOn => Signal::SIGCONT,
    };
    let id = i32::try_from(child.id()).map_err(io::Error::other)?;
    Ok(kill(nix::unistd::Pid::from_raw(id), signal)?)
}

#[cfg(not(unix))]
fn signal(_: &Child, wish: Wish) -> io::Result<()> {
    match wish {
        Wish::Stop | Wish::GoOn => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Lines that may wait to be said.
const SAID: usize = 256;
/// Bytes of a line.
const LONGEST: u64 = 64 << 20;
/// Lines of a log that are kept.
const LOGGED: usize = 5;
/// Bytes of stack for a thread that only reads or writes lines.
const STACK: usize = 256 << 10;
