//! What can go wrong.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::position::Table;

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Every table was asked and answered, but no three of them agree.
    #[error("no three tables agree: {0}")]
    NoMajority(Answers),
    /// Too few tables have answered in time.
    #[error("too few tables have answered within {} s: {answers}", .after.as_secs_f64())]
    TimedOut {
        /// How long it was waited.
        after: Duration,
        /// What each has answered, and which have not.
        answers: Answers,
    },
    /// Nobody stores anything.
    #[error("nobody stores anything: join, or connect to a node that has joined")]
    NobodyStores,
    /// The key is over a limit.
    #[error(transparent)]
    Key(#[from] KeyTooLong),
    /// Too many operations are under way.
    #[error(transparent)]
    Busy(#[from] TooManyOperations),
}

/// Why a write is not acknowledged. Parts of it may have been made all the same.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// Fewer than three tables have it.
    #[error("only {done} of 5 tables acknowledged the write: {answers}")]
    NotAcknowledged {
        /// How many have it.
        done: usize,
        /// What became of it in each.
        answers: Answers,
    },
    /// There is no such key.
    #[error("there is no such key")]
    Absent,
    /// A change of a map was wanted, and the value is no map.
    #[error("the value is no map, so nothing can be merged into it: set the key instead")]
    NoMap,
    /// Reading it first has failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The key is over a limit.
    #[error(transparent)]
    Key(#[from] KeyTooLong),
    /// The value is over the limit of [`ChordConfig::max_value`](crate::ChordConfig::max_value), or
    /// is nested too deep.
    #[error("a value of {size} bytes is over the limit of {limit}, or nested too deep")]
    Value {
        /// Bytes of its encoding, 0 if it is nested too deep.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The value is nil, which means that there is none: delete the key instead.
    #[error("nil means that there is no value: delete the key instead")]
    Nil,
    /// Too many operations are under way.
    #[error(transparent)]
    Busy(#[from] TooManyOperations),
}

/// Nobody can dial this node, so it cannot be a member of a ring: let it listen, and say where it
/// can be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("nobody can dial this node, so it cannot store: let it listen, and advertise an address")]
pub struct NotReachable;

/// A key is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a key of {length} bytes is over the limit of {limit}")]
pub struct KeyTooLong {
    /// Its length, in bytes.
    pub length: usize,
    /// The limit, in bytes.
    pub limit: usize,
}

/// Too many operations of this node's are under way: wait for some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{limit} operations are under way already: wait for some of them")]
pub struct TooManyOperations {
    /// The limit.
    pub limit: usize,
}

/// What each table has answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers(pub Vec<(Table, TableAnswer)>);

/// What a table has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableAnswer {
    /// Nothing yet.
    Silent,
    /// The way to its owner is not known.
    NoWay,
    /// There is no value.
    Absent,
    /// There is a value of this many bytes, written at this time (milliseconds since the Unix
    /// epoch; 0 when an old node told it).
    Value {
        /// Bytes of its encoding.
        bytes: usize,
        /// When it was written.
        time: u64,
    },
    /// It was deleted at this time, in milliseconds since the Unix epoch.
    Deleted {
        /// When.
        time: u64,
    },
    /// It has taken the write.
    Kept {
        /// How many nodes have it.
        copies: u64,
    },
    /// It knows of something later.
    Newer,
    /// It has no room.
    Full,
    /// It takes the write's time for the future: this node's clock is wrong.
    Ahead,
    /// What it has is no map.
    NoMap,
    /// Too many writes wait for their copies there.
    Busy,
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (table, answer)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{table}: {answer}")?;
        }
        Ok(())
    }
}

impl fmt::Display for TableAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("no answer"),
            Self::NoWay => f.write_str("no way to its owner"),
            Self::Absent => f.write_str("absent"),
            Self::Value { bytes, time: 0 } => write!(f, "{bytes} bytes"),
            Self::Value { bytes, time } => write!(f, "{bytes} bytes of {time}"),
            Self::Deleted { time } => write!(f, "deleted at {time}"),
            Self::Kept { copies } => write!(f, "kept by {copies}"),
            Self::Newer => f.write_str("has something later"),
            Self::Full => f.write_str("full"),
            Self::Ahead => f.write_str("takes the time for the future"),
            Self::NoMap => f.write_str("no map"),
            Self::Busy => f.write_str("has too many writes under way: try again later"),
        }
    }
}
