//! The line editor at a terminal: history, completion, and what is told above the line.

use std::borrow::Cow;
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::{env, fs, io};

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hint, Hinter};
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, ExternalPrinter, Helper};
use tokio::sync::mpsc;

use super::input::{Input, Inputs, Typed};
use super::layer::{CommandSpec, Completes, Layer};
use super::printer::shows_colours;

/// An editor that does not read yet.
pub(super) struct Editor(rustyline::Editor<Knowledge, FileHistory>);

/// Writes above the line that is being edited.
pub(super) struct Above {
    printer: Box<dyn ExternalPrinter + Send>,
    columns: u16,
}

/// Opens the terminal; nothing when it is too simple for an editor.
pub(super) fn open() -> Option<(Editor, Above)> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .auto_add_history(true)
        .history_ignore_space(true)
        .max_history_size(HISTORY)
        .ok()?
        .build();
    let mut editor = rustyline::Editor::with_config(config).ok()?;
    let above = editor.create_external_printer().ok()?;
    let columns = editor.dimensions().map_or(80, |(columns, _)| columns);
    Some((Editor(editor), Above { printer: Box::new(above), columns }))
}

impl Above {
    pub(super) fn print(&mut self, text: String) -> io::Result<()> {
        self.printer.print(text).map_err(io::Error::other)
    }

    /// How wide the terminal was at the start.
    pub(super) const fn columns(&self) -> u16 {
        self.columns
    }
}

impl Editor {
    /// Reads in a thread of its own, which ends with the program. It shows the prompt again once a
    /// line has been dealt with.
    pub(super) fn read<L: Layer>(self, layer: Arc<L>) -> Inputs {
        let (queue, typed) = mpsc::channel(1);
        let Self(mut editor) = self;
        editor.set_helper(Some(Knowledge {
            commands: layer.commands(),
            candidates: Box::new(move |of, begun| layer.candidates(of, begun)),
            is_blank: Cell::new(true),
            coloured: shows_colours(&io::stdout()),
        }));
        let history = history_file();
        if let Some(file) = &history {
            // There is none the first time.
            let _ = editor.load_history(file);
        }
        std::thread::spawn(move || {
            loop {
                let read = editor.readline("> ");
                let input = match read {
                    Ok(line) => Input::Line(line),
                    Err(ReadlineError::Interrupted) => {
                        if editor.helper().is_some_and(|helper| !helper.is_blank.replace(true)) {
                            // As in a shell: away with the line.
                            continue;
                        }
                        Input::Interrupt
                    }
                    Err(ReadlineError::Eof) => Input::End,
                    Err(error) => Input::Wrong(format!("the terminal cannot be read: {error}")),
                };
                let goes_on = matches!(input, Input::Line(_));
                if let (Input::Line(_), Some(file)) = (&input, &history) {
                    // A session without a memory is a session all the same.
                    let _ = editor.append_history(file);
                }
                let (done, wait) = blocking::channel();
                if queue.blocking_send(Typed { input, done: Some(done) }).is_err() || !goes_on {
                    return;
                }
                let _ = wait.recv();
            }
        });
        Inputs::new(typed)
    }
}

/// Gives the terminal back as it was, whatever ends the program.
pub(super) struct Terminal {
    #[cfg(unix)]
    before: Option<nix::sys::termios::Termios>,
}

impl Terminal {
    #[cfg(unix)]
    pub(super) fn remember() -> Self {
        Self { before: nix::sys::termios::tcgetattr(io::stdin()).ok() }
    }

    #[cfg(not(unix))]
    pub(super) fn remember() -> Self {
        Self {}
    }
}

#[cfg(unix)]
impl Drop for Terminal {
    fn drop(&mut self) {
        use std::io::Write as _;

        use nix::sys::termios::{SetArg, tcgetattr, tcsetattr};
        let Some(before) = &self.before else { return };
        if tcgetattr(io::stdin()).is_ok_and(|now| now.local_flags != before.local_flags) {
            // A line was being edited: leave it, and end the mode in which pasted text is marked.
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, before);
            let _ = io::stdout().write_all(b"\x1b[?2004l\n");
        }
    }
}

/// What may stand in a place where so much is typed already.
type Candidates = dyn Fn(Completes, &str) -> Vec<String> + Send;

/// What the editor knows about the commands.
struct Knowledge {
    commands: Vec<&'static CommandSpec>,
    candidates: Box<Candidates>,
    /// Whether the line was empty when it was last looked at.
    is_blank: Cell<bool>,
    coloured: bool,
}

impl Helper for Knowledge {}

impl Validator for Knowledge {}

impl Completer for Knowledge {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let before = &line[..at];
        let start = before.rfind(char::is_whitespace).map_or(0, |space| space + 1);
        let (done, begun) = before.split_at(start);
        let mut before = done.split_whitespace();
        let mut words = match (before.next(), before.next()) {
            (None, _) => {
                let names = self.commands.iter().map(|spec| spec.name);
                names.chain(["help", "quit"]).map(|name| format!("{name} ")).collect()
            }
            // Only the first argument.
            (Some(_), Some(_)) => Vec::new(),
            (Some("help"), None) => self.commands.iter().map(|spec| spec.name.to_owned()).collect(),
            (Some(name), None) => match self.commands.iter().find(|spec| spec.name == name) {
                Some(spec) => (self.candidates)(spec.completes, begun),
                None => Vec::new(),
            },
        };
        words.retain(|word| word.starts_with(begun));
        Ok((start, words))
    }
}

impl Hinter for Knowledge {
    type Hint = Arguments;

    fn hint(&self, line: &str, at: usize, _: &Context<'_>) -> Option<Arguments> {
        self.is_blank.set(line.is_empty());
        let name = line.strip_suffix(' ').filter(|_| at == line.len())?;
        let spec = self.commands.iter().find(|spec| spec.name == name)?;
        spec.usage.strip_prefix(line).map(Arguments)
    }
}

/// What may follow a command's name: shown, and not to be inserted.
struct Arguments(&'static str);

impl Hint for Arguments {
    fn display(&self) -> &str {
        self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Highlighter for Knowledge {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.coloured { format!("\x1b[2m{hint}\x1b[0m").into() } else { hint.into() }
    }
}

/// Where lines are remembered between sessions, in a directory that is made if need be.
fn history_file() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_STATE_HOME")
        .or_else(|| set("LOCALAPPDATA"))
        .or_else(|| env::home_dir().map(|home| home.join(".local/state")))?;
    let directory = base.join("rs2p");
    fs::create_dir_all(&directory).ok()?;
    Some(directory.join("history"))
}

/// Lines to remember.
const HISTORY: usize = 1_000;
