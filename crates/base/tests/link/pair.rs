//! Two links joined by a wire of constant latency.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rs2p_base::{LocalNode, Origin, Time};
use rs2p_wire::{IdForm, MainFlag};

use crate::harness::{End, START};
use crate::{DIALLED, forms};

/// The node that dialled and the one that accepted.
pub(crate) struct Pair {
    pub(crate) dialler: End,
    pub(crate) acceptor: End,
    /// When each handshake was sent, by whom, and how it was written.
    pub(crate) sent: Vec<(u64, Side, IdForm, u32)>,
    /// When each ping and pong was sent, and by whom.
    pub(crate) signs: Vec<(u64, Side, MainFlag)>,
    latency: Duration,
    /// What is under way, by the time of its arrival and the order in which it was sent.
    under_way: BTreeMap<(Time, usize), (Side, Bytes)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Dialler,
    Acceptor,
}

impl Pair {
    pub(crate) fn open(
        dialler: &Arc<LocalNode>,
        acceptor: &Arc<LocalNode>,
        form: Option<IdForm>,
        latency: Duration,
    ) -> Self {
        let mut pair = Self {
            dialler: End::open(DIALLED, dialler, form),
            acceptor: End::open(Origin::Accepted, acceptor, None),
            sent: Vec::new(),
            signs: Vec::new(),
            latency,
            under_way: BTreeMap::new(),
        };
        pair.collect(START);
        pair
    }

    /// Lets everything happen that happens until `end`.
    pub(crate) fn run(&mut self, end: Time) {
        loop {
            let arrival = self.under_way.first_key_value().map(|((time, _), _)| *time);
            let alarms = [self.dialler.link.poll_timeout(), self.acceptor.link.poll_timeout()];
            let next = alarms.into_iter().chain([arrival]).flatten().min();
            let Some(now) = next.filter(|next| *next <= end) else { return };
            self.dialler.advance(now);
            self.acceptor.advance(now);
            self.collect(now);
            if arrival == Some(now)
                && let Some((_, (from, bytes))) = self.under_way.pop_first()
            {
                match from {
                    Side::Dialler => self.acceptor.receive(now, &bytes),
                    Side::Acceptor => self.dialler.receive(now, &bytes),
                }
                self.collect(now);
            }
        }
    }

    fn collect(&mut self, now: Time) {
        for (side, end) in
            [(Side::Dialler, &mut self.dialler), (Side::Acceptor, &mut self.acceptor)]
        {
            let millis = now.since(START).as_millis() as u64;
            for frame in end.take_sent() {
                let order = self.sent.len() + self.signs.len();
                match frame.message().kind() {
                    kind @ (MainFlag::Ping | MainFlag::Pong) => {
                        self.signs.push((millis, side, kind));
                    }
                    _ => self.sent.extend(
                        forms(std::slice::from_ref(&frame))
                            .into_iter()
                            .map(|(form, packets)| (millis, side, form, packets)),
                    ),
                }
                self.under_way.insert((now + self.latency, order), (side, frame.bytes().clone()));
            }
        }
    }
}
