//! How far a long command has come: a bar at a terminal, events for programs.

use super::printer::Printer;
use super::told::Told;

/// Where a command tells how far it is. Clones are handles to the same.
#[derive(Clone)]
pub(crate) struct Progress {
    printer: Printer,
    /// Whose bar it is.
    number: u64,
}

impl Progress {
    pub(super) fn new(printer: Printer, number: u64) -> Self {
        Self { printer, number }
    }

    /// Tells programs, unless so much waits to be read that it had to wait, too.
    pub(crate) fn tell(&self, told: &Told) {
        self.printer.try_tell(told);
    }

    /// Columns of a bar, where bars are shown.
    pub(crate) fn columns(&self) -> Option<u16> {
        self.printer.columns()
    }

    /// Draws the bar of this command anew.
    pub(crate) fn draw(&self, bar: String) {
        self.printer.draw(self.number, bar);
    }
}
