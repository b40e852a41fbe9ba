//! What a layer brings to a session: a table of commands, what they do, and events.

use rs2p_base::net::RecvError;

use super::progress::Progress;
use super::told::Told;
use crate::failure::Failure;

/// A node of some layer. A layer that owns another passes on the commands it does not know.
pub(crate) trait Layer: Send + Sync + 'static {
    /// The command by which the node comes to others; the option of the same name runs it at the
    /// start, as `--bootstrap` runs the command of that name.
    const ENTRY: &str;

    /// What `help` says of the words in its list.
    const NOTE: &str;

    /// The table of commands, in the order in which they are listed.
    fn commands(&self) -> Vec<&'static CommandSpec>;

    /// What is told once the node listens.
    fn ready(&self) -> Told;

    /// Called once the nodes to begin with have been asked.
    fn begun(&self) {}

    /// Commands to carry out before any that is typed.
    fn first_commands(&self) -> Vec<Vec<String>> {
        Vec::new()
    }

    /// Runs a command of the table; the number of words has been checked.
    fn run(&self, call: Call<'_>) -> impl Future<Output = Result<Told, CommandError>> + Send;

    /// The next event; `None` when the node has stopped.
    fn next_event(&self) -> impl Future<Output = Option<Told>> + Send;

    /// What may stand in this place, to complete what was begun. Others do no harm: they are passed
    /// over.
    fn candidates(&self, of: Completes, begun: &str) -> Vec<String>;

    /// Comes about when the node has stopped by itself.
    fn stopped(&self) -> impl Future<Output = ()> + Send;

    /// Stops the node in an orderly way. It fails when something is lost by that.
    fn close(&self) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// A row of the table.
#[derive(Debug)]
pub(crate) struct CommandSpec {
    pub(crate) name: &'static str,
    /// The command with its arguments.
    pub(crate) usage: &'static str,
    pub(crate) help: &'static str,
    /// How many arguments at the least and at the most.
    pub(crate) arity: (usize, Option<usize>),
    /// What its first argument is.
    pub(crate) completes: Completes,
    /// Whether others can be given while it goes on.
    pub(crate) in_background: bool,
}

impl CommandSpec {
    pub(crate) const fn new(
        name: &'static str,
        usage: &'static str,
        help: &'static str,
        arity: (usize, Option<usize>),
        completes: Completes,
    ) -> Self {
        Self { name, usage, help, arity, completes, in_background: false }
    }

    /// The same, but others can be given while it goes on.
    pub(crate) const fn in_background(self) -> Self {
        Self { in_background: true, ..self }
    }
}

/// What the first argument of a command can be completed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completes {
    Nothing,
    /// Addresses to dial.
    Addresses,
    /// Ids of peers.
    Peers,
    /// Keys of a dictionary.
    Keys,
    /// Files and directories.
    Paths,
    /// Those that are shared.
    Shared,
}

/// A command as it was typed.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) name: &'static str,
    pub(crate) words: &'a [String],
    /// Where it tells how far it is.
    pub(crate) progress: &'a Progress,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct CommandError {
    /// What went wrong, why, and what to do.
    pub(crate) text: String,
    pub(crate) trouble: Trouble,
}

/// What that means for a node that has nobody yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    OtherNetwork,
    Any,
}

impl<T: ToString> From<T> for CommandError {
    fn from(text: T) -> Self {
        Self { text: text.to_string(), trouble: Trouble::Any }
    }
}

/// An event, what to say about a gap, or the end.
pub(crate) fn event<T>(
    received: Result<T, RecvError>,
    tell: impl FnOnce(T) -> Option<Told>,
) -> Option<Option<Told>> {
    match received {
        Ok(event) => Some(tell(event)),
        Err(RecvError::Lagged(count)) => Some(Some(Told::missed(count))),
        Err(RecvError::Closed) => None,
    }
}
