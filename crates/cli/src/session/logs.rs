//! Where the log goes: to standard error; at the editor above its line.

use std::io;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::printer::{Printer, shows_colours};

/// Logs from `level` on. With a printer, it writes the lines.
pub(super) fn start(level: LevelFilter, above: Option<Printer>) {
    let builder = tracing_subscriber::fmt().with_max_level(level).with_target(false);
    let result = match above {
        Some(printer) => {
            builder.with_ansi(shows_colours(&io::stdout())).with_writer(Above(printer)).try_init()
        }
        None => builder.with_ansi(shows_colours(&io::stderr())).with_writer(io::stderr).try_init(),
    };
    // Set already: only within a test of this program.
    drop(result);
}

/// Writes each line of the log above the editor's.
struct Above(Printer);

impl<'a> MakeWriter<'a> for Above {
    type Writer = &'a Above;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl io::Write for &Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.log(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
