//! The line editor, at a pseudo-terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::mpsc;

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, tcgetattr};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::node::{DEADLINE, Node, rs2p, wait_for};

struct Terminal {
    child: Child,
    keys: File,
    screen: mpsc::Receiver<Vec<u8>>,
    /// What was shown and not waited for yet.
    shown: String,
    slave: OwnedFd,
    directory: TempDir,
}

impl Terminal {
    fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        Self::run(&[&["mesh"], args].concat(), env)
    }

    fn run(args: &[&str], env: &[(&str, &str)]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let directory = TempDir::new().unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let child = rs2p(&directory, args)
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .envs(env.iter().copied())
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let keys = File::from(pty.master);
        let (shows, screen) = mpsc::channel();
        let mut master = keys.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = master.read(&mut buffer) {
                if shows.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, screen, shown: String::new(), slave: pty.slave, directory }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until this is shown, and gives what was shown before.
    fn wait(&mut self, what: &str) -> String {
        loop {
            if let Some(at) = self.shown.find(what) {
                let before = self.shown[..at].to_owned();
                self.shown.drain(..at + what.len());
                return before;
            }
            match self.screen.recv_timeout(DEADLINE) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("{what:?} was not shown ({error}): {:?}", self.shown),
            }
        }
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.slave).unwrap().local_flags.contains(LocalFlags::ICANON)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended, or it has to.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn commands_are_completed_and_their_arguments_hinted_at() {
    let mut terminal = Terminal::start(&[], &[]);
    terminal.wait("> ");
    terminal.press("conn\t");
    terminal.wait("connect ");
    terminal.wait("HOST:PORT");
    terminal.press("nowhere\r");
    terminal.wait("does not end in `:PORT`");
}

#[test]
fn a_message_does_not_tear_the_line_and_history_is_kept() {
    let mut other = Node::start(&[]);
    let mut terminal = Terminal::start(&["--connect", &other.address], &[]);
    terminal.wait("> ");
    // Ctrl-L draws the line as a whole, so that it can be waited for.
    terminal.press("send half\x0c");
    terminal.wait("> send half");
    other.say("send 'from the other' '\u{1b}[2J'");
    terminal.wait("from the other \\u{1b}[2J");
    // The line is drawn again below, with what was typed, and goes on.
    terminal.wait("> send half");
    terminal.press(" done\r");
    terminal.wait("sent to 1 peer");
    assert_eq!(other.event("message")["packets"], serde_json::json!(["half", "done"]));
    terminal.wait("> ");
    // Up: the last line again.
    terminal.press("\x1b[A");
    terminal.wait("send half done");
    // Ctrl-C: away with it; then quit.
    terminal.press("\x03");
    terminal.wait("> ");
    terminal.press("quit\r");
    assert_eq!(wait_for(&mut terminal.child).code(), Some(0));
    assert!(!terminal.is_raw());
    let history = std::fs::read_to_string(terminal.directory.path().join("rs2p/history")).unwrap();
    assert!(history.contains("send half done"), "{history}");
}

#[test]
fn keys_are_completed_and_what_others_write_is_told_above_the_line() {
    let mut other = Node::start_sync(&[]);
    let mut terminal = Terminal::run(&["sync", "--connect", &other.address], &[]);
    terminal.wait("> ");
    other.event("connect");
    other.ask("set colour green");
    terminal.wait("\"green\"");
    terminal.press("\x0c");
    terminal.wait("> ");
    terminal.press("get col\t");
    terminal.wait("get colour");
    terminal.press("\r");
    terminal.wait("\"green\"");
    terminal.wait("> ");
    // What stands behind the key is no key.
    terminal.press("set shade col\t\x0c");
    terminal.wait("> set shade col");
    terminal.press("\r");
    terminal.wait("leased to this node for 1h");
    assert_eq!(other.event("update")["key"], "colour");
    assert_eq!(other.event("update")["value"], "col");
}

#[test]
fn keys_of_a_dht_are_completed() {
    let mut terminal = Terminal::run(&["chord"], &[]);
    terminal.wait("> ");
    terminal.press("set colour green\r");
    terminal.wait("is a new key");
    terminal.press("\x0c");
    terminal.wait("> ");
    terminal.press("get col\t");
    terminal.wait("get colour");
    terminal.press("\r");
    terminal.wait("\"green\"");
}

#[test]
fn commands_and_paths_of_a_node_that_shares_are_completed() {
    let mut terminal = Terminal::run(&["kad"], &[]);
    std::fs::create_dir(terminal.directory.path().join("holiday")).unwrap();
    std::fs::write(terminal.directory.path().join("holiday/beach.txt"), "sand").unwrap();
    terminal.wait("> ");
    terminal.press("unsh\t");
    terminal.wait("unshare ");
    terminal.press("\x03");
    terminal.wait("> ");
    terminal.press("share holi\t");
    terminal.wait("share holiday/");
    terminal.press("\r");
    terminal.wait("1 file, 4 B, shared as");
    terminal.wait("magnet:?xt=urn:bstagih:");
    terminal.press("unshare /\t");
    terminal.wait("holiday");
}

#[test]
fn a_bar_shows_how_far_a_fetch_is_while_other_commands_are_given() {
    let mut one = Node::start_as("kad", &[]);
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("film");
    std::fs::write(&file, vec![7; 3 << 20]).unwrap();
    let mut two = Node::start_as("kad", &["--join", &one.address]);
    let magnet = two.ask(&format!("share {}", file.display()));
    let magnet = magnet["magnet"].as_str().unwrap();
    let mut terminal = Terminal::run(&["kad", "--join", &one.address], &[]);
    terminal.wait("> ");
    terminal.press(&format!("fetch {magnet} copy\r"));
    terminal.wait("fetching   [");
    terminal.press("id\r");
    terminal.wait("1 file, 3.00 MiB");
    let copy = std::fs::read(terminal.directory.path().join("copy")).unwrap();
    assert_eq!(copy.len(), 3 << 20);
    assert_eq!(one.ask("id")["id"], one.id);
}

#[test]
fn ctrl_c_on_an_empty_line_ends_with_status_130() {
    let mut terminal = Terminal::start(&[], &[]);
    terminal.wait("> ");
    terminal.press("\x03");
    assert_eq!(wait_for(&mut terminal.child).code(), Some(130));
    assert!(!terminal.is_raw());
}

#[test]
fn sigterm_gives_the_terminal_back_as_it_was() {
    let mut terminal = Terminal::start(&[], &[]);
    terminal.wait("> ");
    terminal.press("half a line\x0c");
    terminal.wait("> half a line");
    assert!(terminal.is_raw());
    kill(Pid::from_raw(terminal.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(wait_for(&mut terminal.child).code(), Some(0));
    assert!(!terminal.is_raw());
}

#[test]
fn colours_are_shown_unless_they_are_not_wanted() {
    for (env, coloured) in [(&[][..], true), (&[("NO_COLOR", "1")][..], false)] {
        let mut terminal = Terminal::start(&[], env);
        let before = terminal.wait("help");
        assert_eq!(before.contains("\x1b[36m"), coloured, "{before:?}");
    }
}

#[test]
fn a_terminal_that_is_too_simple_gets_plain_lines() {
    let mut terminal = Terminal::start(&[], &[("TERM", "dumb")]);
    terminal.wait("listens on");
    terminal.press("peers\n");
    terminal.wait("nobody");
    terminal.press("quit\n");
    assert_eq!(wait_for(&mut terminal.child).code(), Some(0));
}
