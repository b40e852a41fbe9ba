//! Signals that ask the program to end: what has been started has to be ended before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Notes that the program has been asked to end, in the place of its ending at once.
#[derive(Clone, Debug, Default)]
pub struct Interrupts {
    came: Arc<AtomicBool>,
}

impl Interrupts {
    /// From now on, SIGINT, SIGTERM and SIGHUP are noted. To be called before any other thread is
    /// started: threads of before would still be ended by them, and with them the program.
    #[must_use]
    pub fn catch() -> Self {
        let interrupts = Self::default();
        #[cfg(unix)]
        {
            use nix::sys::signal::{SigSet, Signal};

            let signals: SigSet =
                [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
            if signals.thread_block().is_ok() {
                let came = interrupts.came.clone();
                // It ends with the program.
                std::thread::spawn(move || {
                    while signals.wait().is_ok() {
                        came.store(true, Ordering::Relaxed);
                    }
                });
            }
        }
        interrupts
    }

    /// Whether one came.
    #[must_use]
    pub fn came(&self) -> bool {
        self.came.load(Ordering::Relaxed)
    }
}
