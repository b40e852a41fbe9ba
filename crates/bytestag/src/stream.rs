//! The windowed transfer between two rs2p nodes: many pieces under way instead of one.
//!
//! Its datagrams are no zlib streams, which begin with a byte whose lower half is 8. A piece:
//!
//! | bytes | meaning |
//! | --- | --- |
//! | 1 | `0x52` |
//! | 1 | 0: a piece |
//! | 20 | the transfer |
//! | 4 | the number of the piece, big-endian |
//! | 4 | length of the whole in bytes |
//! | up to 1,200 | the piece; all but the last are of 1,200 bytes |
//!
//! A receipt:
//!
//! | bytes | meaning |
//! | --- | --- |
//! | 1 | `0x52` |
//! | 1 | 1: receiving, 2: all is there and right, 3: refused, stop |
//! | 20 | the transfer |
//! | 4 | all pieces before this number are there |
//! | 2 | how many pieces may be under way |
//! | 16 | a bit for each of the 128 pieces from that number on that are there, the first one highest |

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use rs2p_base::Time;
use rs2p_kad::Key;

/// Bytes of a piece. With its header and those of UDP and IP it fits into every path's datagrams.
pub(crate) const PIECE: usize = 1_200;

/// The first byte of every datagram of this kind.
const MARK: u8 = 0x52;

/// Pieces under way, at most: as many as a receipt can tell apart.
const WIDEST: usize = 128;

/// Pieces under way at the start.
pub(crate) const INITIAL: usize = 8;

/// The same towards an address that has answered nothing yet: it may be somebody else's, put on a
/// question to have datagrams sent there.
pub(crate) const UNPROVEN: usize = 2;

/// Up to so many the window doubles with each round trip at first. More at once overflow what the
/// system keeps for a socket, which is some ninety pieces.
const THRESHOLD: usize = 32;

/// Pieces that all senders together may have under way to one receiver.
const ROOM: usize = 80;

/// Pieces under way after a silence, and at least.
const NARROWEST: usize = 2;

/// A piece is taken for lost once so many that left after it have come.
const OVERTAKEN: u32 = 3;

/// How long the first receipt may take.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// How long any receipt may take at least, whatever was measured.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// How long any receipt may take at most.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// A datagram of a windowed transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Piece { transfer: Key, number: u32, size: u32, data: Bytes },
    Receipt(Receipt),
}

/// What a receiver says of what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) transfer: Key,
    pub(crate) state: State,
    /// All pieces before this one are there.
    pub(crate) next: u32,
    /// How many pieces may be under way.
    pub(crate) room: u16,
    /// A bit for each piece from `next` on, the first one highest.
    pub(crate) beyond: u128,
}

/// What a receiver says of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Receiving,
    Done,
    Refused,
}

impl Frame {
    /// Whether a datagram claims to be one.
    pub(crate) fn is_one(datagram: &[u8]) -> bool {
        datagram.first() == Some(&MARK)
    }

    pub(crate) fn read(datagram: &Bytes) -> Option<Self> {
        let (head, rest) = datagram.split_first_chunk::<22>()?;
        let transfer = Key::try_from(&head[2..]).ok()?;
        let number = |at: usize| rest.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        let state = match head[1] {
            0 => {
                let (number, size) = (number(0)?, number(4)?);
                return Some(Self::Piece { transfer, number, size, data: datagram.slice(30..) });
            }
            1 => State::Receiving,
            2 => State::Done,
            3 => State::Refused,
            _ => return None,
        };
        let room = u16::from_be_bytes(rest.get(4..6)?.try_into().ok()?);
        let beyond = u128::from_be_bytes(rest.get(6..22)?.try_into().ok()?);
        let receipt = Receipt { transfer, state, next: number(0)?, room, beyond };
        (rest.len() == 22).then_some(Self::Receipt(receipt))
    }

    pub(crate) fn write(&self) -> Bytes {
        let mut datagram = BytesMut::with_capacity(30 + PIECE);
        datagram.put_u8(MARK);
        match self {
            Self::Piece { transfer, number, size, data } => {
                datagram.put_u8(0);
                datagram.put_slice(transfer.as_bytes());
                datagram.put_u32(*number);
                datagram.put_u32(*size);
                datagram.put_slice(data);
            }
            Self::Receipt(Receipt { transfer, state, next, room, beyond }) => {
                datagram.put_u8(match state {
                    State::Receiving => 1,
                    State::Done => 2,
                    State::Refused => 3,
                });
                datagram.put_slice(transfer.as_bytes());
                datagram.put_u32(*next);
                datagram.put_u16(*room);
                datagram.put_u128(*beyond);
            }
        }
        datagram.freeze()
    }
}

/// The sending end. It sends on receipts, never by a clock, so it is as fast as the path allows;
/// a loss halves what is under way.
#[derive(Debug)]
pub(crate) struct Sender {
    transfer: Key,
    data: Bytes,
    pieces: u32,
    /// The first piece never sent.
    fresh: u32,
    /// All before it have come.
    next: u32,
    under_way: BTreeMap<u32, Sent>,
    lost: BTreeMap<u32, u32>,
    /// How many pieces may be under way, by what was lost.
    window: f64,
    /// The same, by what the receiver says.
    room: usize,
    /// Above it the window grows slowly.
    threshold: f64,
    /// Losses below this piece have narrowed the window already.
    recover: u32,
    smoothed: Option<Duration>,
    wait: Duration,
    deadline: Time,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Time,
    times: u32,
}

impl Sender {
    pub(crate) fn new(transfer: Key, data: Bytes, now: Time, initial: usize) -> Self {
        Self {
            transfer,
            // Nothing at all is one piece of no bytes.
            pieces: (data.len().div_ceil(PIECE) as u32).max(1),
            data,
            fresh: 0,
            next: 0,
            under_way: BTreeMap::new(),
            lost: BTreeMap::new(),
            window: initial as f64,
            room: WIDEST,
            threshold: THRESHOLD as f64,
            recover: 0,
            smoothed: None,
            wait: FIRST_WAIT,
            deadline: now + FIRST_WAIT,
        }
    }

    /// The next piece that may leave now.
    pub(crate) fn poll(&mut self, now: Time) -> Option<Bytes> {
        if self.under_way.len() >= self.room.min(self.window as usize) {
            return None;
        }
        let (number, times) = match self.lost.pop_first() {
            Some((number, times)) => (number, times + 1),
            None if self.fresh < self.pieces && self.fresh < self.next + WIDEST as u32 => {
                self.fresh += 1;
                (self.fresh - 1, 1)
            }
            None => return None,
        };
        if self.under_way.is_empty() {
            self.deadline = now + self.wait;
        }
        self.under_way.insert(number, Sent { at: now, times });
        let from = number as usize * PIECE;
        let data = self.data.slice(from..self.data.len().min(from + PIECE));
        let size = self.data.len() as u32;
        Some(Frame::Piece { transfer: self.transfer, number, size, data }.write())
    }

    /// A receipt came. Whether anything new was in it.
    pub(crate) fn on_receipt(&mut self, now: Time, receipt: &Receipt) -> bool {
        let Receipt { next, beyond, room, .. } = *receipt;
        let next = next.min(self.pieces);
        self.room = usize::from(room).max(NARROWEST);
        let is_there = |number: u32| {
            number < next
                || number
                    .checked_sub(next)
                    .is_some_and(|bit| bit < 128 && beyond & (1 << (127 - bit)) != 0)
        };
        let mut arrived = 0_u32;
        let mut newest: Option<(u32, Sent)> = None;
        self.under_way.retain(|number, sent| {
            let there = is_there(*number);
            if there {
                arrived += 1;
                newest = Some((*number, *sent));
            }
            !there
        });
        self.lost.retain(|number, _| !is_there(*number));
        self.next = self.next.max(next);
        let Some((newest, sent)) = newest else { return false };
        if sent.times == 1 {
            self.measure(now.since(sent.at));
        }
        for _ in 0..arrived {
            let slowly = self.window >= self.threshold;
            self.window += if slowly { 1.0 / self.window } else { 1.0 };
        }
        self.window = self.window.min(WIDEST as f64);
        self.note_losses(newest, sent.at);
        self.deadline = now + self.wait;
        true
    }

    /// What left well before a piece that has come, and has not come itself, is lost.
    fn note_losses(&mut self, newest: u32, left_at: Time) {
        let overtaken =
            |(number, sent): &(&u32, &Sent)| **number + OVERTAKEN <= newest && sent.at <= left_at;
        let lost: Vec<_> = self.under_way.iter().filter(overtaken).map(|(n, s)| (*n, *s)).collect();
        for (number, sent) in lost {
            self.under_way.remove(&number);
            self.lost.insert(number, sent.times);
            if number >= self.recover {
                self.recover = self.fresh;
                self.threshold = (self.window / 2.0).max(NARROWEST as f64);
                self.window = self.threshold;
            }
        }
    }

    /// A receipt is overdue: whatever is under way is taken for lost.
    pub(crate) fn on_silence(&mut self, now: Time) {
        self.lost.extend(self.under_way.iter().map(|(number, sent)| (*number, sent.times)));
        self.under_way.clear();
        self.threshold = (self.window / 2.0).max(NARROWEST as f64);
        self.window = NARROWEST as f64;
        self.recover = self.fresh;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        self.deadline = now + self.wait;
    }

    fn measure(&mut self, took: Duration) {
        let smoothed = match self.smoothed {
            Some(smoothed) => smoothed.mul_f64(0.875) + took.mul_f64(0.125),
            None => took,
        };
        self.smoothed = Some(smoothed);
        self.wait = (smoothed * 3).clamp(SHORTEST_WAIT, LONGEST_WAIT);
    }

    /// When a receipt is overdue.
    pub(crate) fn deadline(&self) -> Time {
        self.deadline
    }
}

/// The receiving end.
#[derive(Debug)]
pub(crate) struct Receiver {
    transfer: Key,
    size: u32,
    data: Vec<u8>,
    /// All pieces before this one are there.
    next: u32,
    /// Pieces that are there from `next` on.
    ahead: BTreeSet<u32>,
    unconfirmed: u32,
}

impl Receiver {
    /// For a whole of so many bytes, which the caller has found to be few enough.
    pub(crate) fn new(transfer: Key, size: u32) -> Self {
        let data = vec![0; size as usize];
        Self { transfer, size, data, next: 0, ahead: BTreeSet::new(), unconfirmed: 0 }
    }

    /// Takes in a piece while so many transfers come in; a receipt, if one is due: for every second
    /// piece, and at once when something is missing, came twice, or was the last.
    pub(crate) fn on_piece(
        &mut self,
        (number, size): (u32, u32),
        data: &[u8],
        transfers: usize,
    ) -> Option<Bytes> {
        let from = number as usize * PIECE;
        let end = (from + PIECE).min(self.data.len());
        if size != self.size || number >= self.pieces() || from + data.len() != end {
            return None;
        }
        let is_new = number >= self.next && !self.ahead.contains(&number);
        if is_new {
            self.data[from..end].copy_from_slice(data);
            self.ahead.insert(number);
            while self.ahead.remove(&self.next) {
                self.next += 1;
            }
        }
        self.unconfirmed += 1;
        let is_due = !is_new || !self.ahead.is_empty() || self.unconfirmed >= 2 || self.is_whole();
        is_due.then(|| {
            self.unconfirmed = 0;
            self.receipt(State::Receiving, transfers)
        })
    }

    pub(crate) fn receipt(&self, state: State, transfers: usize) -> Bytes {
        let bit = |number: &u32| number.checked_sub(self.next).filter(|bit| *bit < 128);
        let beyond = self.ahead.iter().filter_map(bit).fold(0, |all, bit| all | 1 << (127 - bit));
        let room = (ROOM / transfers.max(1)).max(NARROWEST) as u16;
        let (transfer, next) = (self.transfer, self.next);
        Frame::Receipt(Receipt { transfer, state, next, room, beyond }).write()
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.next == self.pieces()
    }

    /// Bytes from the start that are there without a gap.
    pub(crate) fn received(&self) -> usize {
        (self.next as usize * PIECE).min(self.data.len())
    }

    /// What is there without a gap.
    pub(crate) fn into_data(mut self) -> Vec<u8> {
        self.data.truncate(self.received());
        self.data
    }

    fn pieces(&self) -> u32 {
        self.size.div_ceil(PIECE as u32).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sends a value over a path that loses what `loses` says, 10 ms each way; how long it took.
    fn send(size: usize, mut loses: impl FnMut() -> bool) -> Option<Duration> {
        let transfer = Key::new([7; 20]);
        let value: Bytes = (0..size).map(|byte| (byte % 251) as u8).collect();
        let mut now = Time::from_millis(1_000);
        let mut sender = Sender::new(transfer, value.clone(), now, INITIAL);
        let mut receiver = Receiver::new(transfer, size as u32);
        let mut path: BTreeMap<(Time, u64), (bool, Bytes)> = BTreeMap::new();
        let mut order = 0;
        for _ in 0..200_000 {
            while let Some(piece) = sender.poll(now) {
                order += 1;
                if !loses() {
                    path.insert((now + Duration::from_millis(10), order), (true, piece));
                }
            }
            let next = path.keys().next().map(|(at, _)| *at);
            if next.is_none_or(|next| next > sender.deadline()) {
                now = sender.deadline();
                sender.on_silence(now);
                continue;
            }
            let ((at, _), (to_receiver, datagram)) = path.pop_first()?;
            now = at;
            match Frame::read(&datagram)? {
                Frame::Piece { number, size, data, .. } => {
                    assert!(to_receiver);
                    if let Some(receipt) = receiver.on_piece((number, size), &data, 1) {
                        order += 1;
                        if !loses() {
                            path.insert((now + Duration::from_millis(10), order), (false, receipt));
                        }
                    }
                }
                Frame::Receipt(receipt) => {
                    sender.on_receipt(now, &receipt);
                }
            }
            if receiver.is_whole() {
                assert_eq!(receiver.into_data(), value);
                return Some(now.since(Time::from_millis(1_000)));
            }
        }
        None
    }

    #[test]
    fn a_quarter_of_a_megabyte_takes_a_few_round_trips() {
        let took = send(262_144, || false).unwrap();
        assert!(took <= Duration::from_millis(200), "{took:?}");
    }

    #[test]
    fn nothing_at_all_is_sent_as_one_piece() {
        assert_eq!(send(0, || false), Some(Duration::from_millis(10)));
    }

    #[test]
    fn a_piece_of_another_length_is_not_taken() {
        let mut receiver = Receiver::new(Key::new([0; 20]), 2_000);
        assert_eq!(receiver.on_piece((0, 2_000), &[1; 1_199], 1), None);
        assert_eq!(receiver.on_piece((1, 2_000), &[1; 801], 1), None);
        assert_eq!(receiver.on_piece((2, 2_000), &[], 1), None);
        assert_eq!(receiver.on_piece((0, 2_001), &[1; 1_200], 1), None);
        assert_eq!(receiver.received(), 0);
        receiver.on_piece((0, 2_000), &[1; 1_200], 1);
        assert!(receiver.on_piece((1, 2_000), &[1; 800], 1).is_some());
        assert!(receiver.is_whole());
    }

    proptest! {
        #[test]
        fn all_arrives_however_much_is_lost(
            size in 0usize..200_000,
            losses in prop::collection::vec(any::<bool>(), 64),
            share in 0usize..40,
        ) {
            let mut turn = 0;
            let took = send(size, || {
                turn += 1;
                turn % 100 < share && losses[turn % 64]
            });
            prop_assert!(took.is_some());
        }

        #[test]
        fn frames_are_read_as_they_were_written(
            transfer: [u8; 20], number: u32, size: u32, beyond: u128, room: u16,
            data in prop::collection::vec(any::<u8>(), 0..1_200),
        ) {
            let transfer = Key::new(transfer);
            let piece = Frame::Piece { transfer, number, size, data: data.into() };
            let state = State::Done;
            let receipt = Receipt { transfer, state, next: number, room, beyond };
            let receipt = Frame::Receipt(receipt);
            for frame in [piece, receipt] {
                let datagram = frame.write();
                prop_assert!(Frame::is_one(&datagram));
                prop_assert_eq!(Frame::read(&datagram), Some(frame));
            }
        }

        #[test]
        fn any_bytes_are_a_frame_or_none(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Frame::read(&Bytes::from(bytes));
        }
    }
}
