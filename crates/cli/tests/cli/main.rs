//! The program as its users run it: built, in a directory of its own, over its pipes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod bootstrap;
mod chat;
mod chord;
mod commands;
mod inspect;
mod kad;
mod node;
mod options;
mod pages;
mod start_and_end;
mod sync;
#[cfg(unix)]
mod terminal;
