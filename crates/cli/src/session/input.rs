//! Lines of standard input.

use std::io::{self, BufRead, IsTerminal as _, Read as _};
use std::sync::mpsc as blocking;

use tokio::sync::mpsc;

/// Something that was typed.
pub(super) struct Typed {
    pub(super) input: Input,
    /// Dropped once it has been dealt with; the editor waits for that before it reads on.
    pub(super) done: Option<blocking::Sender<()>>,
}

pub(super) enum Input {
    /// A line, without its end.
    Line(String),
    /// A line that is none.
    Wrong(String),
    /// Ctrl-C on an empty line of the editor.
    Interrupt,
    /// There is no more.
    End,
}

/// What is typed, as it comes. After the end nothing comes, ever.
pub(super) struct Inputs(mpsc::Receiver<Typed>);

impl Inputs {
    pub(super) fn new(typed: mpsc::Receiver<Typed>) -> Self {
        Self(typed)
    }

    /// Cancel safe.
    pub(super) async fn recv(&mut self) -> Typed {
        match self.0.recv().await {
            Some(typed) => typed,
            None => std::future::pending().await,
        }
    }
}

/// Whether a person sits at both ends.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Reads standard input in a thread of its own, which ends with the program.
pub(super) fn read() -> Inputs {
    let (queue, typed) = mpsc::channel(QUEUE);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let (input, goes_on) = match next_line(&mut input, MAX_LINE) {
                Ok(Some(input)) => (input, true),
                Ok(None) => (Input::End, false),
                Err(error) => {
                    (Input::Wrong(format!("standard input cannot be read: {error}")), false)
                }
            };
            if queue.blocking_send(Typed { input, done: None }).is_err() || !goes_on {
                return;
            }
        }
    });
    Inputs(typed)
}

/// A line of at most `limit` bytes; of a longer one the rest is passed over.
fn next_line(input: &mut impl BufRead, limit: usize) -> io::Result<Option<Input>> {
    let mut line = Vec::new();
    if input.by_ref().take(limit as u64).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() == limit && line.last() != Some(&b'\n') {
        loop {
            let buffer = input.fill_buf()?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let length = end.map_or(buffer.len(), |end| end + 1);
            input.consume(length);
            if end.is_some() || length == 0 {
                let reason = format!("the line is over the limit of {limit} bytes");
                return Ok(Some(Input::Wrong(reason)));
            }
        }
    }
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(Some(match String::from_utf8(line) {
        Ok(line) => Input::Line(line),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let reason = format!(
                "the line is not UTF-8 from byte {at} on: write binary as json:{{\"bin\":\"<hex>\"}}"
            );
            Input::Wrong(reason)
        }
    }))
}

/// Lines that may wait to be dealt with.
const QUEUE: usize = 16;

/// Bytes of a line: a message of 16 MiB in hexadecimal, with room to spare.
const MAX_LINE: usize = 64 << 20;
