//! A running node that is spoken to, whatever its layer.
//!
//! Lines come from standard input, one after the other: the next one is looked at when the one
//! before has been answered, so replies stand in the order of commands, one each, and a script
//! needs no waits. Commands that take long go on in the [`background`], where a layer says so, and
//! are answered when they are done. Events are told whenever they happen, also while a command takes
//! its time.

mod background;
mod editor;
mod input;
mod layer;
mod logs;
mod printer;
mod progress;
mod signals;
mod told;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use rs2p_base::Endpoint;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::failure::Failure;
use crate::settings::NodeOptions;
use crate::words;
use background::{Background, LAST_WAIT};
use input::{Input, Typed, is_interactive};
use printer::Printer;
use signals::{Signal, Signals};

pub(crate) use layer::{Call, CommandError, CommandSpec, Completes, Layer, Trouble, event};

pub(crate) use progress::Progress;
pub(crate) use told::{Span, Style, Told, harmless, name, row};

/// Runs a node from its start to its end. `start` makes it, within the runtime.
pub(crate) fn run<L, F>(options: &NodeOptions, start: F) -> Result<(), Failure>
where
    L: Layer,
    F: Future<Output = Result<L, Failure>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let result = runtime.block_on(async {
        // Before the editor, which hangs its own handler in front of ours while it reads.
        let signals = Signals::new().map_err(Failure::failed)?;
        let interactive = !options.json && is_interactive();
        let (editor, above) = if interactive { editor::open() } else { None }.unzip();
        let printer = Printer::start(options.json, above);
        logs::start(options.log, editor.is_some().then(|| printer.clone()));
        let layer = Arc::new(start.await?);
        let interactive = editor.is_some();
        let background = Background::default();
        let session = Session { layer, printer, signals, interactive, background };
        session.run(&options.connect, &options.bootstrap, editor).await
    });
    // Look-ups of names that are still under way would hold up the end.
    runtime.shutdown_background();
    result
}

struct Session<L> {
    layer: Arc<L>,
    printer: Printer,
    signals: Signals,
    interactive: bool,
    background: Background,
}

impl<L: Layer> Session<L> {
    async fn run(
        mut self,
        connect: &[Endpoint],
        bootstrap: &[Endpoint],
        editor: Option<editor::Editor>,
    ) -> Result<(), Failure> {
        self.printer.tell(self.layer.ready()).await;
        let events = self.tell_events();
        // Kept to the end: it gives the terminal back as it was.
        let _terminal = editor.as_ref().map(|_| editor::Terminal::remember());
        let result = match self.begin(connect, bootstrap).await {
            Ok(ControlFlow::Continue(())) => {
                self.layer.begun();
                let mut inputs = match editor {
                    Some(editor) => editor.read(self.layer.clone()),
                    None => input::read(),
                };
                self.serve(&mut inputs).await
            }
            Ok(ControlFlow::Break(())) => Ok(()),
            Err(failure) => Err(failure),
        };
        let ended = self.end(events).await;
        result.and(ended)
    }

    /// Connects to the nodes given at the start; one will do.
    async fn begin(
        &mut self,
        connect: &[Endpoint],
        bootstrap: &[Endpoint],
    ) -> Result<ControlFlow<()>, Failure> {
        let mut attempts = JoinSet::new();
        let mut attempt = |name, words: Vec<String>| {
            let layer = self.layer.clone();
            let progress = Progress::new(self.printer.clone(), 0);
            attempts.spawn(async move {
                let result = layer.run(Call { name, words: &words, progress: &progress }).await;
                result.map(drop).map_err(|error| (format!("--{name} {}", words.join(",")), error))
            });
        };
        for target in connect {
            attempt(L::ENTRY, vec![target.to_string()]);
        }
        if !bootstrap.is_empty() {
            let seeds = bootstrap.iter().map(ToString::to_string).collect();
            attempt("bootstrap", seeds);
        }
        let count = attempts.len();
        let mut failures = Vec::new();
        while failures.len() < count {
            let done = tokio::select! {
                signal = self.signals.next() => return signal.into_result().map(ControlFlow::Break),
                done = attempts.join_next() => done,
            };
            match done {
                Some(Ok(Err((command, error)))) => {
                    self.printer.tell(Told::error(&error.text, &command)).await;
                    failures.push(error);
                }
                Some(_) => {}
                None => return Ok(ControlFlow::Continue(())),
            }
        }
        let Some(first) = failures.first() else { return Ok(ControlFlow::Continue(())) };
        let foreign = failures.iter().find(|error| error.trouble == Trouble::OtherNetwork);
        Err(match (foreign, failures.len()) {
            (Some(error), _) => Failure::OtherNetwork(error.text.clone()),
            (None, 1) => Failure::Unreachable(first.text.clone()),
            (None, count) => {
                Failure::Unreachable(format!("none of {count} nodes was reached: {}", first.text))
            }
        })
    }

    /// Answers commands until the node is to end.
    async fn serve(&mut self, inputs: &mut input::Inputs) -> Result<(), Failure> {
        for words in self.layer.first_commands() {
            let line: Vec<_> = words.iter().map(|word| words::quote(word)).collect();
            if let ControlFlow::Break(result) = self.carry_out(&words, &line.join(" ")).await {
                return result;
            }
        }
        loop {
            let typed = tokio::select! {
                biased;
                signal = self.signals.next() => return signal.into_result(),
                () = self.printer.closed() => return Err(no_output()),
                () = self.layer.stopped() => return Err(Failure::Failed("the node has stopped".to_owned())),
                ended = self.background.next() => {
                    self.printer.take_away(ended.number).await;
                    self.printer.tell(ended.told).await;
                    continue;
                }
                typed = inputs.recv(), if self.background.has_room() => typed,
            };
            let Typed { input, done } = typed;
            let line = match input {
                Input::Line(line) => line,
                Input::Wrong(reason) => {
                    self.printer.tell(Told::error(&reason, "")).await;
                    continue;
                }
                Input::Interrupt => return Err(Failure::Interrupted),
                Input::End => {
                    // A script has no more to say; the node goes on until a signal comes.
                    if self.interactive {
                        let text = "No more input; the node goes on. Ctrl-C ends it.";
                        self.printer.tell(Told::note(text)).await;
                    }
                    continue;
                }
            };
            self.printer.typed().await;
            let words = match words::split(&line) {
                Ok(words) => words,
                Err(error) => {
                    self.printer.tell(Told::error(&error.to_string(), &line)).await;
                    continue;
                }
            };
            if is_quit(&words) {
                self.finish_background(inputs).await?;
                self.printer.tell(Told::reply("quit")).await;
                // The editor waits for this before it reads on, which it no longer shall.
                std::mem::forget(done);
                return Ok(());
            }
            if let ControlFlow::Break(result) = self.carry_out(&words, &line).await {
                return result;
            }
        }
    }

    /// Carries out a command, or begins to if it is one that goes on in the background.
    async fn carry_out(
        &mut self,
        words: &[String],
        line: &str,
    ) -> ControlFlow<Result<(), Failure>> {
        let Some((name, words)) = words.split_first() else { return ControlFlow::Continue(()) };
        let commands = self.layer.commands();
        let spec = commands.into_iter().find(|spec| spec.name == name);
        if spec.is_some_and(|spec| spec.in_background) {
            let number = self.background.number();
            let progress = Progress::new(self.printer.clone(), number);
            let (layer, line) = (self.layer.clone(), line.to_owned());
            let (name, words, given) = (name.clone(), words.to_vec(), line.clone());
            self.background.spawn(number, line, async move {
                let answer = answer(&*layer, &name, &words, &progress).await;
                answer.unwrap_or_else(|reason| Told::error(&reason, &given))
            });
            return ControlFlow::Continue(());
        }
        let answer = match (name.as_str(), words) {
            (CANCEL, []) if spec.is_some() => {
                let count = self.background.cancel();
                let text = match count {
                    0 => "nothing is going on in the background".to_owned(),
                    count => format!("{} stopped", count_of_commands(count)),
                };
                let told = Told::reply(CANCEL).field("cancelled", count);
                Ok(told.line([(Style::Faint, text)]))
            }
            (WAIT, []) if spec.is_some() => self.wait().await?,
            _ => {
                let (layer, progress) =
                    (self.layer.clone(), Progress::new(self.printer.clone(), 0));
                let answer = answer(&*layer, name, words, &progress);
                self.attend(answer).await?
            }
        };
        let told = answer.unwrap_or_else(|reason| Told::error(&reason, line));
        self.printer.tell(told).await;
        ControlFlow::Continue(())
    }

    /// Waits for an answer, and tells what else ends meanwhile. At a terminal Ctrl-C ends the wait.
    async fn attend(
        &mut self,
        answer: impl Future<Output = Result<Told, String>>,
    ) -> ControlFlow<Result<(), Failure>, Result<Told, String>> {
        let mut answer = std::pin::pin!(answer);
        loop {
            tokio::select! {
                signal = self.signals.next() => {
                    if !(self.interactive && signal == Signal::Interrupt) {
                        return ControlFlow::Break(signal.into_result());
                    }
                    let text = "no longer waited for; it may still come about";
                    return ControlFlow::Continue(Err(text.to_owned()));
                }
                ended = self.background.next() => {
                    self.printer.take_away(ended.number).await;
                    self.printer.tell(ended.told).await;
                }
                answer = &mut answer => return ControlFlow::Continue(answer),
            }
        }
    }

    /// Waits until nothing goes on in the background.
    async fn wait(&mut self) -> ControlFlow<Result<(), Failure>, Result<Told, String>> {
        while !self.background.is_empty() {
            let ended = tokio::select! {
                signal = self.signals.next() => {
                    if !(self.interactive && signal == Signal::Interrupt) {
                        return ControlFlow::Break(signal.into_result());
                    }
                    let text = "no longer waited for; it goes on";
                    return ControlFlow::Continue(Err(text.to_owned()));
                }
                ended = self.background.next() => ended,
            };
            self.printer.take_away(ended.number).await;
            self.printer.tell(ended.told).await;
        }
        let told = Told::reply(WAIT);
        ControlFlow::Continue(Ok(told.line([(Style::Faint, "all is done".to_owned())])))
    }

    /// Before the end: gives what goes on a moment to be done where a script has asked for it, then
    /// stops it, and tells of each.
    async fn finish_background(&mut self, inputs: &mut input::Inputs) -> Result<(), Failure> {
        let latest = tokio::time::sleep(LAST_WAIT);
        let mut latest = std::pin::pin!(latest);
        let mut stopped = self.interactive;
        if stopped {
            self.background.cancel();
        }
        while !self.background.is_empty() {
            let ended = tokio::select! {
                signal = self.signals.next() => return signal.into_result(),
                ended = self.background.next() => ended,
                () = &mut latest, if !stopped => {
                    stopped = true;
                    self.background.cancel();
                    continue;
                }
                typed = inputs.recv(), if !stopped => {
                    if let Input::Line(line) = typed.input
                        && words::split(&line).is_ok_and(|words| is_quit(&words))
                    {
                        stopped = true;
                        self.background.cancel();
                    }
                    continue;
                }
            };
            self.printer.take_away(ended.number).await;
            self.printer.tell(ended.told).await;
        }
        Ok(())
    }

    fn tell_events(&self) -> JoinHandle<()> {
        let (layer, printer) = (self.layer.clone(), self.printer.clone());
        tokio::spawn(async move {
            while let Some(told) = layer.next_event().await {
                if !printer.tell(told).await {
                    break;
                }
            }
        })
    }

    /// Parts from all peers, and lets out what is still to be told. A second signal ends it all at
    /// once.
    async fn end(mut self, events: JoinHandle<()>) -> Result<(), Failure> {
        let orderly = async {
            let closed = self.layer.close().await;
            // The events end with the node; only a reader that does not read can hold them up.
            let _ = timeout(PATIENCE, events).await;
            self.printer.finish(PATIENCE).await;
            closed
        };
        tokio::select! {
            closed = orderly => closed,
            _ = self.signals.next() => Ok(()),
        }
    }
}

fn is_quit(words: &[String]) -> bool {
    matches!(words, [word] if word == "quit")
}

fn count_of_commands(count: usize) -> String {
    if count == 1 { "1 command".to_owned() } else { format!("{count} commands") }
}

async fn answer<L: Layer>(
    layer: &L,
    name: &str,
    words: &[String],
    progress: &Progress,
) -> Result<Told, String> {
    if name == "help" {
        return help(&layer.commands(), L::NOTE, words);
    }
    let Some(spec) = layer.commands().into_iter().find(|spec| spec.name == name) else {
        return Err(format!("there is no command `{name}`; `help` lists those there are"));
    };
    let (least, most) = spec.arity;
    if words.len() < least || most.is_some_and(|most| words.len() > most) {
        return Err(format!("`{name}` is used so: {}", spec.usage));
    }
    let call = Call { name: spec.name, words, progress };
    layer.run(call).await.map_err(|error| error.text)
}

fn help(commands: &[&CommandSpec], note: &str, words: &[String]) -> Result<Told, String> {
    let built_in = [
        CommandSpec::new("help", "help [COMMAND]", "this list", (0, Some(1)), Completes::Nothing),
        CommandSpec::new("quit", "quit", "end the node", (0, Some(0)), Completes::Nothing),
    ];
    let all = commands.iter().copied().chain(&built_in);
    let chosen: Vec<_> =
        all.filter(|spec| words.first().is_none_or(|word| word == spec.name)).collect();
    if chosen.is_empty() {
        return Err(format!("there is no command `{}`; `help` lists those there are", words[0]));
    }
    let list: serde_json::Value = chosen
        .iter()
        .map(|spec| {
            serde_json::json!({ "command": spec.name, "usage": spec.usage, "help": spec.help })
        })
        .collect();
    let mut told = Told::reply("help").field("commands", list);
    let width = chosen.iter().map(|spec| spec.usage.len()).max().unwrap_or(0);
    for spec in chosen {
        let usage = format!("{:width$}", spec.usage);
        told = told.line([(Style::Bold, usage), (Style::Plain, format!("  {}", spec.help))]);
    }
    if words.is_empty() {
        let text = format!("Words are quoted as in a shell. {note}");
        told = told.line([(Style::Faint, text)]);
    }
    Ok(told)
}

fn no_output() -> Failure {
    Failure::Failed("nobody reads standard output any more".to_owned())
}

/// Waits for what goes on in the background, in layers that have it among their commands.
pub(crate) const WAIT: &str = "wait";

/// Stops it, likewise.
pub(crate) const CANCEL: &str = "cancel";

/// How long the last words may take.
const PATIENCE: Duration = Duration::from_secs(2);
