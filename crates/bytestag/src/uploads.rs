//! Values on their way out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddrV4;
use std::time::Duration;

use bytes::Bytes;
use rand::Rng;
use rs2p_base::{Deadlines, RequestId, Time};
use rs2p_kad::Key;

use crate::config::DhtConfig;
use crate::packet::{self, TransferId};
use crate::stream::{self, Sender};

/// Bytes of a piece between nodes that send one at a time.
const CHUNK: usize = 1_024;

/// The values being sent, at most [`DhtConfig::uploads`].
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    open: BTreeMap<u64, Upload>,
    next: u64,
    /// Of pieces that wait for their confirmation.
    by_ticket: BTreeMap<Key, u64>,
    by_transfer: BTreeMap<(Key, SocketAddrV4), u64>,
    deadlines: Deadlines<u64>,
    per_address: BTreeMap<SocketAddrV4, usize>,
    datagrams: VecDeque<(SocketAddrV4, Bytes)>,
    ended: VecDeque<(Errand, Outcome)>,
    /// Transfers that have ended: nothing more is to be sent in their name.
    finished: BTreeSet<(SocketAddrV4, TransferId)>,
    finished_at: VecDeque<(Time, (SocketAddrV4, TransferId))>,
}

/// Transfers that have ended and are remembered.
const REMEMBERED: usize = 4_096;

/// How long a transfer that has ended is remembered: a question for it that came twice must not
/// start it once more.
const MEMORY: Duration = Duration::from_secs(20);

/// For which operation, and to which node, a value is sent.
pub(crate) type Errand = (RequestId, Key);

/// How the sending of a value ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All of it was confirmed; whether it was kept is not known.
    Sent,
    /// All of it was confirmed, and found right.
    Kept,
    Refused,
    Lost,
}

#[derive(Debug)]
struct Upload {
    to: SocketAddrV4,
    transfer: TransferId,
    errand: Option<Errand>,
    data: Bytes,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// Old nodes are given a breath between their leave, or their wish, and the first piece.
    Held,
    /// One piece at a time.
    Chunks { sent: usize, ticket: Key, datagram: Bytes, is_second: bool },
    /// All is sent. An old node that is asked at once what it has may not have filed it yet.
    Filed,
    /// Many at a time.
    Stream { sender: Sender, heard: Time },
}

impl Uploads {
    /// Whether one more may be sent to an address.
    pub(crate) fn has_room(&self, to: SocketAddrV4, limits: [usize; 2]) -> bool {
        let to_address = self.per_address.get(&to).copied().unwrap_or(0);
        self.open.len() < limits[0] && to_address < limits[1]
    }

    /// Whether this transfer is under way already, or has ended: there must never be a second
    /// sender for it.
    pub(crate) fn knows(&self, to: SocketAddrV4, transfer: &TransferId) -> bool {
        self.finished.contains(&(to, transfer.clone()))
            || self.open.values().any(|upload| upload.to == to && upload.transfer == *transfer)
    }

    /// Sends a value to a node that takes one piece at a time, from `at` on.
    pub(crate) fn send_chunks(
        &mut self,
        at: Time,
        to: SocketAddrV4,
        transfer: TransferId,
        data: Bytes,
        errand: Option<Errand>,
    ) {
        let upload = Upload { to, transfer, errand, data, way: Way::Held };
        let id = self.insert(upload);
        self.deadlines.set(id, Some(at));
    }

    /// Sends a value to a node that knows the windowed transfer. `is_proven`: something was answered
    /// from that address before.
    pub(crate) fn send_stream(
        &mut self,
        now: Time,
        to: SocketAddrV4,
        transfer: Key,
        data: Bytes,
        errand: Option<Errand>,
        is_proven: bool,
    ) {
        let initial = if is_proven { stream::INITIAL } else { stream::UNPROVEN };
        let sender = Sender::new(transfer, data, now, initial);
        let way = Way::Stream { sender, heard: now };
        let name = transfer.to_base64();
        let id = self.insert(Upload { to, transfer: name, errand, data: Bytes::new(), way });
        self.by_transfer.insert((transfer, to), id);
        self.fill(now, id);
    }

    fn insert(&mut self, upload: Upload) -> u64 {
        self.next += 1;
        *self.per_address.entry(upload.to).or_default() += 1;
        self.open.insert(self.next, upload);
        self.next
    }

    /// A confirmation came; whether it was for a piece of one of these.
    pub(crate) fn on_confirmed(
        &mut self,
        now: Time,
        rng: &mut impl Rng,
        config: &DhtConfig,
        (from, ticket): (SocketAddrV4, &Key),
    ) -> bool {
        let Some(id) = self.by_ticket.get(ticket).copied() else { return false };
        let Some(upload) = self.open.get_mut(&id).filter(|upload| upload.to == from) else {
            return false;
        };
        self.by_ticket.remove(ticket);
        if let Way::Chunks { sent, .. } = upload.way {
            self.next_chunk(now, rng, config, id, sent);
        }
        true
    }

    fn next_chunk(
        &mut self,
        now: Time,
        rng: &mut impl Rng,
        config: &DhtConfig,
        id: u64,
        from: usize,
    ) {
        let Some(upload) = self.open.get_mut(&id) else { return };
        if from >= upload.data.len() {
            if upload.errand.is_some() {
                self.datagrams.push_back((upload.to, packet::end(&upload.transfer)));
                upload.way = Way::Filed;
                self.deadlines.set(id, Some(now + config.breath));
            } else {
                self.end(now, id, Outcome::Sent);
            }
            return;
        }
        let ticket = Key::random(rng);
        let sent = upload.data.len().min(from + CHUNK);
        let datagram = packet::chunk(&upload.transfer, &upload.data[from..sent], &ticket);
        self.datagrams.push_back((upload.to, datagram.clone()));
        upload.way = Way::Chunks { sent, ticket, datagram, is_second: false };
        self.by_ticket.insert(ticket, id);
        self.deadlines.set(id, Some(now + config.chunk_patience[0]));
    }

    /// A receipt of a windowed transfer came.
    pub(crate) fn on_receipt(&mut self, now: Time, from: SocketAddrV4, receipt: &stream::Receipt) {
        let Some(id) = self.by_transfer.get(&(receipt.transfer, from)).copied() else { return };
        match receipt.state {
            stream::State::Done => self.end(now, id, Outcome::Kept),
            stream::State::Refused => self.end(now, id, Outcome::Refused),
            stream::State::Receiving => {
                let upload = self.open.get_mut(&id).map(|upload| &mut upload.way);
                if let Some(Way::Stream { sender, heard }) = upload {
                    if sender.on_receipt(now, receipt) {
                        *heard = now;
                    }
                    self.fill(now, id);
                }
            }
        }
    }

    /// Sends what may leave.
    fn fill(&mut self, now: Time, id: u64) {
        let Some(upload) = self.open.get_mut(&id) else { return };
        if let Way::Stream { sender, .. } = &mut upload.way {
            while let Some(piece) = sender.poll(now) {
                self.datagrams.push_back((upload.to, piece));
            }
            self.deadlines.set(id, Some(sender.deadline()));
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Time, rng: &mut impl Rng, config: &DhtConfig) {
        while let Some(id) = self.deadlines.pop_due(now) {
            let Some(upload) = self.open.get_mut(&id) else { continue };
            match &mut upload.way {
                Way::Held => self.next_chunk(now, rng, config, id, 0),
                Way::Filed => self.end(now, id, Outcome::Sent),
                Way::Chunks { datagram, is_second: is_second @ false, .. } => {
                    *is_second = true;
                    self.datagrams.push_back((upload.to, datagram.clone()));
                    self.deadlines.set(id, Some(now + config.chunk_patience[1]));
                }
                // Going on would leave a hole. The end lets the other side see that at once.
                Way::Chunks { .. } => self.end(now, id, Outcome::Lost),
                Way::Stream { heard, .. } if now.since(*heard) >= config.idle => {
                    self.end(now, id, Outcome::Lost);
                }
                Way::Stream { sender, .. } => {
                    sender.on_silence(now);
                    self.fill(now, id);
                }
            }
        }
    }

    fn end(&mut self, now: Time, id: u64, outcome: Outcome) {
        let Some(upload) = self.open.remove(&id) else { return };
        self.deadlines.set(id, None);
        self.remember(now, (upload.to, upload.transfer.clone()));
        if let Some(count) = self.per_address.get_mut(&upload.to) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&upload.to);
            }
        }
        match upload.way {
            Way::Stream { .. } => {
                if let Ok(transfer) = upload.transfer.parse() {
                    self.by_transfer.remove(&(transfer, upload.to));
                }
            }
            Way::Chunks { ticket, .. } => {
                self.by_ticket.remove(&ticket);
                self.datagrams.push_back((upload.to, packet::end(&upload.transfer)));
            }
            Way::Held => self.datagrams.push_back((upload.to, packet::end(&upload.transfer))),
            Way::Filed => {}
        }
        if let Some(errand) = upload.errand {
            self.ended.push_back((errand, outcome));
        }
    }

    fn remember(&mut self, now: Time, name: (SocketAddrV4, TransferId)) {
        while let Some((at, oldest)) = self.finished_at.front()
            && (self.finished_at.len() >= REMEMBERED || now.since(*at) >= MEMORY)
        {
            self.finished.remove(oldest);
            self.finished_at.pop_front();
        }
        if self.finished.insert(name.clone()) {
            self.finished_at.push_back((now, name));
        }
    }

    pub(crate) fn poll_datagram(&mut self) -> Option<(SocketAddrV4, Bytes)> {
        self.datagrams.pop_front()
    }

    pub(crate) fn poll_ended(&mut self) -> Option<(Errand, Outcome)> {
        self.ended.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.deadlines.next()
    }

    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}
