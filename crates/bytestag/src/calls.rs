//! Questions that wait for an answer.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use bytes::Bytes;
use rs2p_base::{Deadlines, RequestId, Time};
use rs2p_kad::Key;

/// The questions under way, by what their answers repeat.
///
/// Each is sent twice at most, as the same datagram (spec, section 4). Their number is bounded by
/// that of operations and by a few for each.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    open: BTreeMap<Key, Call>,
    deadlines: Deadlines<Key>,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) to: SocketAddrV4,
    /// Who is expected to answer, where that is known.
    pub(crate) node: Option<Key>,
    pub(crate) purpose: Purpose,
    datagram: Bytes,
    second: Option<Duration>,
}

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An operation wanted to know who is there.
    Ping(RequestId),
    /// A bucket is full, and this is its oldest node.
    Check,
    /// A lookup asks.
    Search(RequestId),
    /// A node was asked to store a value.
    Store(RequestId),
    /// A node that was sent a value was asked whether it has it.
    Verify(RequestId),
}

/// What a deadline means.
#[derive(Debug)]
pub(crate) enum Late {
    /// Send it again; it takes long.
    Again(Call, Bytes),
    /// Nobody answers.
    Silent(Call),
}

impl Calls {
    /// Notes a question that is sent now.
    pub(crate) fn open(
        &mut self,
        now: Time,
        ticket: Key,
        datagram: Bytes,
        patience: [Duration; 2],
        (to, node): (SocketAddrV4, Option<Key>),
        purpose: Purpose,
    ) {
        let call = Call { to, node, purpose, datagram, second: Some(patience[1]) };
        self.open.insert(ticket, call);
        self.deadlines.set(ticket, Some(now + patience[0]));
    }

    /// The question that an answer from this address belongs to; it is not open any more.
    pub(crate) fn close(&mut self, ticket: &Key, from: SocketAddrV4) -> Option<Call> {
        if self.open.get(ticket)?.to != from {
            return None;
        }
        self.deadlines.set(*ticket, None);
        self.open.remove(ticket)
    }

    /// The next question whose time has come.
    pub(crate) fn pop_late(&mut self, now: Time) -> Option<Late> {
        let ticket = self.deadlines.pop_due(now)?;
        let call = self.open.get_mut(&ticket)?;
        if let Some(second) = call.second.take() {
            self.deadlines.set(ticket, Some(now + second));
            return Some(Late::Again(call.clone(), call.datagram.clone()));
        }
        self.open.remove(&ticket).map(Late::Silent)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.deadlines.next()
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}
