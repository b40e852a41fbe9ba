//! The table of commands.

use crate::dictionary::{on_key, plain};
use crate::session::{CANCEL, CommandSpec, Completes, WAIT};

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new(
        "ping",
        "ping HOST:PORT",
        "who is there, and how far away",
        (1, Some(1)),
        Completes::Addresses,
    ),
    CommandSpec::new(
        "join",
        "join HOST:PORT...",
        "join the network by these nodes",
        (1, None),
        Completes::Addresses,
    ),
    CommandSpec::new(
        "put",
        "put TEXT | put @FILE",
        "store a value of up to 1 MiB on the nodes nearest to it",
        (1, Some(1)),
        Completes::Nothing,
    )
    .in_background(),
    on_key("get", "get KEY [INDEX]", "a value under a key", (1, Some(2))).in_background(),
    on_key("find", "find KEY", "the nodes nearest to a key", (1, Some(1))),
    on_key("values", "values [KEY]", "what is under a key, or on this node", (0, Some(1))),
    on_key("withdraw", "withdraw KEY [INDEX]", "keep a value no longer", (1, Some(2))),
    CommandSpec::new(
        "share",
        "share PATH",
        "share a file, or all files of a directory, and tell the link to it",
        (1, Some(1)),
        Completes::Paths,
    )
    .in_background(),
    CommandSpec::new(
        "unshare",
        "unshare PATH",
        "share it no longer",
        (1, Some(1)),
        Completes::Shared,
    ),
    plain("shared", "the shared files, and their links"),
    CommandSpec::new(
        "fetch",
        "fetch MAGNET [PATH]",
        "fetch what a link names into this directory, or to a path",
        (1, Some(2)),
        Completes::Nothing,
    )
    .in_background(),
    plain(WAIT, "wait until put, get, share and fetch are done"),
    plain(CANCEL, "stop them"),
    plain("table", "the nodes this one knows"),
    plain("status", "how the node is doing"),
    plain("id", "the node's own id"),
];
