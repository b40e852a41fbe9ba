//! Values on their way in.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddrV4;
use std::time::Duration;

use bytes::Bytes;
use rs2p_base::{Deadlines, RequestId, Time};
use rs2p_kad::Key;
use serde_json::Value;

use crate::config::MAX_VALUE;
use crate::packet::{self, TransferId};
use crate::stream::{Receiver, State};
use crate::value::ValueId;
use crate::values::Record;

/// Transfers that have ended and are remembered.
const REMEMBERED: usize = 4_096;

/// How long a transfer that has ended is remembered.
const MEMORY: Duration = Duration::from_secs(20);

/// How long a transfer may take. The longest value takes some four minutes where each piece takes a
/// quarter of a second.
const LONGEST: Duration = Duration::from_secs(600);

/// Tickets of pieces that are remembered for each transfer: of those that come one at a time, only
/// the last few can come again.
const TICKETS: usize = 16;

/// The values being received.
#[derive(Debug, Default)]
pub(crate) struct Downloads {
    open: BTreeMap<u64, Download>,
    next: u64,
    by_name: BTreeMap<Name, u64>,
    deadlines: Deadlines<u64>,
    /// Values that others store here, by address.
    incoming: BTreeMap<SocketAddrV4, usize>,
    /// What to answer when a piece comes once more: the receipt of a windowed transfer, or nothing
    /// but a confirmation.
    finished: BTreeMap<Name, Option<Bytes>>,
    finished_at: VecDeque<(Time, Name)>,
    datagrams: VecDeque<(SocketAddrV4, Bytes)>,
    ended: VecDeque<Ended>,
}

/// A transfer is known by its id and by who sends it.
type Name = (TransferId, SocketAddrV4);

/// Why a value is received.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// An operation asked for it.
    Get(RequestId),
    /// Another stores it here.
    Store(ValueId, Record),
}

/// A transfer that has ended, whole or not.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) purpose: Purpose,
    pub(crate) from: SocketAddrV4,
    pub(crate) transfer: TransferId,
    pub(crate) data: Vec<u8>,
    /// The sender said that this is all; otherwise it fell silent.
    pub(crate) is_whole: bool,
    /// It was a windowed one, whose sender waits for a receipt of the whole.
    pub(crate) is_stream: bool,
}

#[derive(Debug)]
struct Download {
    name: Name,
    purpose: Purpose,
    limit: usize,
    body: Body,
    idle: Duration,
    /// When it is over, however slowly it goes on.
    ends: Time,
}

#[derive(Debug)]
enum Body {
    /// Nothing has come yet.
    Empty,
    Chunks {
        data: Vec<u8>,
        tickets: VecDeque<Value>,
    },
    Stream(Receiver),
}

impl Downloads {
    /// Whether another may store one more value here.
    pub(crate) fn has_room(&self, from: SocketAddrV4, limits: [usize; 2]) -> bool {
        let all: usize = self.incoming.values().sum();
        all < limits[0] && self.incoming.get(&from).copied().unwrap_or(0) < limits[1]
    }

    /// Expects a transfer from an address: so long until the first piece, and so long between two.
    pub(crate) fn expect(
        &mut self,
        now: Time,
        name: Name,
        purpose: Purpose,
        [first, idle]: [Duration; 2],
    ) {
        self.next += 1;
        let limit = match purpose {
            Purpose::Get(_) => MAX_VALUE,
            Purpose::Store(_, record) => {
                *self.incoming.entry(name.1).or_default() += 1;
                MAX_VALUE.min(record.size as usize)
            }
        };
        self.by_name.insert(name.clone(), self.next);
        self.open.insert(
            self.next,
            Download { name, purpose, limit, body: Body::Empty, idle, ends: now + LONGEST },
        );
        self.deadlines.set(self.next, Some(now + first));
    }

    /// A piece of those that come one at a time.
    pub(crate) fn on_chunk(
        &mut self,
        now: Time,
        name: &Name,
        chunk: Option<Bytes>,
        ticket: Option<Value>,
    ) {
        let Some(id) = self.by_name.get(name).copied() else {
            if let (true, Some(_), Some(ticket)) =
                (self.finished.contains_key(name), &chunk, ticket)
            {
                self.confirm(name, ticket);
            }
            return;
        };
        let Some(chunk) = chunk else { return self.end(now, id, false) };
        let Some(download) = self.open.get_mut(&id) else { return };
        if matches!(download.body, Body::Empty) {
            download.body = Body::Chunks { data: Vec::new(), tickets: VecDeque::new() };
        }
        let Body::Chunks { data, tickets } = &mut download.body else { return };
        if ticket.as_ref().is_none_or(|ticket| !tickets.contains(ticket)) {
            data.extend_from_slice(&chunk);
            if tickets.len() == TICKETS {
                tickets.pop_front();
            }
            tickets.extend(ticket.clone());
        }
        let (received, limit) = (data.len(), download.limit);
        let deadline = download.ends.min(now + download.idle);
        if let Some(ticket) = ticket {
            self.confirm(name, ticket);
        }
        self.deadlines.set(id, Some(deadline));
        // One byte too many shows that it is not what was announced.
        if received > limit {
            self.end(now, id, false);
        }
    }

    fn confirm(&mut self, (transfer, from): &Name, ticket: Value) {
        self.datagrams.push_back((*from, packet::confirmation(transfer, ticket)));
    }

    /// A piece of a windowed transfer.
    pub(crate) fn on_piece(
        &mut self,
        now: Time,
        (from, transfer): (SocketAddrV4, Key),
        (number, size): (u32, u32),
        data: &[u8],
    ) {
        let name = (transfer.to_base64(), from);
        let Some(id) = self.by_name.get(&name).copied() else {
            if let Some(Some(receipt)) = self.finished.get(&name) {
                self.datagrams.push_back((from, receipt.clone()));
            }
            return;
        };
        let transfers = self.open.len();
        let Some(download) = self.open.get_mut(&id) else { return };
        if matches!(download.body, Body::Empty) && size as usize <= download.limit {
            download.body = Body::Stream(Receiver::new(transfer, size));
        }
        let Body::Stream(receiver) = &mut download.body else { return };
        let receipt = receiver.on_piece((number, size), data, transfers);
        let is_whole = receiver.is_whole();
        let deadline = download.ends.min(now + download.idle);
        if is_whole {
            self.end(now, id, false);
        } else {
            self.datagrams.extend(receipt.map(|receipt| (from, receipt)));
            self.deadlines.set(id, Some(deadline));
        }
    }

    /// Tells the sender of a windowed transfer what became of the whole, now and whenever it asks.
    pub(crate) fn close(&mut self, ended: &Ended, is_right: bool) {
        let Ok(transfer) = ended.transfer.parse() else { return };
        let state = if is_right { State::Done } else { State::Refused };
        let receipt = Receiver::new(transfer, 0).receipt(state, self.open.len());
        self.datagrams.push_back((ended.from, receipt.clone()));
        let name = (ended.transfer.clone(), ended.from);
        if let Some(remembered) = self.finished.get_mut(&name) {
            *remembered = Some(receipt);
        }
    }

    /// Gives a transfer up: nothing more of it is taken.
    pub(crate) fn cancel(&mut self, now: Time, name: &Name) {
        if let Some(id) = self.by_name.get(name).copied() {
            self.take(now, id);
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        while let Some(id) = self.deadlines.pop_due(now) {
            self.end(now, id, true);
        }
    }

    fn end(&mut self, now: Time, id: u64, is_silent: bool) {
        let Some(download) = self.take(now, id) else { return };
        let (transfer, from) = download.name;
        let is_stream = matches!(download.body, Body::Stream(_));
        let (data, is_whole) = match download.body {
            Body::Empty => (Vec::new(), !is_silent),
            Body::Chunks { data, .. } => (data, !is_silent),
            Body::Stream(receiver) => {
                let is_whole = receiver.is_whole();
                (receiver.into_data(), is_whole)
            }
        };
        let purpose = download.purpose;
        self.ended.push_back(Ended { purpose, from, transfer, data, is_whole, is_stream });
    }

    fn take(&mut self, now: Time, id: u64) -> Option<Download> {
        let download = self.open.remove(&id)?;
        self.deadlines.set(id, None);
        self.by_name.remove(&download.name);
        if let Purpose::Store(..) = download.purpose
            && let Some(count) = self.incoming.get_mut(&download.name.1)
        {
            *count -= 1;
            if *count == 0 {
                self.incoming.remove(&download.name.1);
            }
        }
        while let Some((at, name)) = self.finished_at.front()
            && (self.finished_at.len() >= REMEMBERED || now.since(*at) >= MEMORY)
        {
            self.finished.remove(name);
            self.finished_at.pop_front();
        }
        self.finished.insert(download.name.clone(), None);
        self.finished_at.push_back((now, download.name.clone()));
        Some(download)
    }

    pub(crate) fn poll_datagram(&mut self) -> Option<(SocketAddrV4, Bytes)> {
        self.datagrams.pop_front()
    }

    pub(crate) fn poll_ended(&mut self) -> Option<Ended> {
        self.ended.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.deadlines.next()
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}
