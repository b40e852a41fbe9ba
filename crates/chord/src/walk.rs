//! Many keys: walks over all of them, and writes of many.

use std::collections::VecDeque;

use bytes::Bytes;
use rs2p_base::NodeId;
use rs2p_wire::Value;
use tokio::task::{JoinError, JoinSet};

use crate::event::ChordEvent;
use crate::machine::Chord;
use crate::socket::{ChordError, ChordSocket};

/// Reads or writes of one walk that are under way at the same time.
const AT_ONCE: usize = 32;

/// All keys, one after the other: see [`ChordSocket::keys`].
#[derive(Debug)]
pub struct Keys {
    socket: ChordSocket,
    ready: VecDeque<Bytes>,
    next: Next,
}

/// Where a walk goes on.
#[derive(Debug)]
enum Next {
    Start,
    At(NodeId),
    End,
}

impl Keys {
    pub(crate) fn new(socket: ChordSocket) -> Self {
        Self { socket, ready: VecDeque::new(), next: Next::Start }
    }

    /// The next key; nothing at the end. Cancel safe: a part of the keys that was asked for is asked
    /// for again.
    pub async fn next(&mut self) -> Option<Result<Bytes, ChordError>> {
        while self.ready.is_empty() {
            let from = match self.next {
                Next::Start => {
                    match self.socket.mesh().node().call(|chord, _| chord.known_keys()) {
                        Ok(Some(known)) => {
                            (self.ready, self.next) = (known.into(), Next::End);
                            continue;
                        }
                        Ok(None) => None,
                        Err(stopped) => return Some(Err(stopped.into())),
                    }
                }
                Next::At(from) => Some(from),
                Next::End => return None,
            };
            let part = self.socket.request(|chord: &mut Chord, now| chord.list(now, from)).await;
            match part {
                Ok(ChordEvent::Listed { result: Ok((keys, next)), .. }) => {
                    self.ready.extend(keys);
                    // It goes round once.
                    let is_further = next.filter(|next| from.is_none_or(|from| *next > from));
                    self.next = is_further.map_or(Next::End, Next::At);
                }
                Ok(ChordEvent::Listed { result: Err(error), .. }) => {
                    self.next = Next::End;
                    return Some(Err(error.into()));
                }
                Ok(_) => return None,
                Err(error) => {
                    self.next = Next::End;
                    return Some(Err(error));
                }
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

/// All keys and their values: see [`ChordSocket::items`].
#[derive(Debug)]
pub struct Items {
    keys: Keys,
    is_done: bool,
    fetching: JoinSet<(Bytes, Result<Option<Value>, ChordError>)>,
}

impl Items {
    pub(crate) fn new(socket: &ChordSocket) -> Self {
        Self { keys: socket.keys(), is_done: false, fetching: JoinSet::new() }
    }

    /// The next key that comes with its value; nothing at the end. After an error others may follow.
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Result<(Bytes, Value), ChordError>> {
        loop {
            while !self.is_done && self.fetching.len() < AT_ONCE {
                match self.keys.next().await {
                    Some(Ok(key)) => {
                        let socket = self.keys.socket.clone();
                        self.fetching.spawn(async move {
                            let value = socket.get(&key).await;
                            (key, value)
                        });
                    }
                    Some(Err(error)) => return Some(Err(error)),
                    None => self.is_done = true,
                }
            }
            match self.fetching.join_next().await? {
                Ok((key, Ok(Some(value)))) => return Some(Ok((key, value))),
                // It has gone meanwhile.
                Ok((_, Ok(None))) => {}
                Ok((_, Err(error))) => return Some(Err(error)),
                Err(error) => resume(error),
            }
        }
    }
}

/// All values: see [`ChordSocket::values`].
#[derive(Debug)]
pub struct Values(Items);

impl Values {
    pub(crate) fn new(items: Items) -> Self {
        Self(items)
    }

    /// The next value that comes; nothing at the end. After an error others may follow. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<Value, ChordError>> {
        Some(self.0.next().await?.map(|(_, value)| value))
    }
}

pub(crate) async fn set_all(
    socket: &ChordSocket,
    items: impl Iterator<Item = (Bytes, Value)>,
) -> Result<(), ChordError> {
    let mut writing: JoinSet<Result<(), ChordError>> = JoinSet::new();
    let mut first = Ok(());
    for (key, value) in items {
        if writing.len() >= AT_ONCE {
            note(&mut first, writing.join_next().await);
        }
        if first.is_err() {
            break;
        }
        let socket = socket.clone();
        writing.spawn(async move { socket.set(&key, value).await });
    }
    while let Some(result) = writing.join_next().await {
        note(&mut first, Some(result));
    }
    first
}

fn note(
    first: &mut Result<(), ChordError>,
    result: Option<Result<Result<(), ChordError>, JoinError>>,
) {
    match result {
        Some(Ok(result)) if first.is_ok() => *first = result,
        Some(Err(error)) => resume(error),
        _ => {}
    }
}

/// A task of a walk's own that panicked, panics here; one that was stopped says nothing.
fn resume(error: JoinError) {
    if let Ok(panic) = error.try_into_panic() {
        std::panic::resume_unwind(panic);
    }
}
