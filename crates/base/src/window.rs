//! How much a py2p peer is sent before it is known to have read it (spec section 13, py2p 2).

use std::collections::VecDeque;
use std::time::Duration;

use crate::out_frame::OutFrame;
use crate::time::Time;

/// Holds back what would make a burst.
///
/// py2p reads its stream in pieces of 1,024 bytes and drops the link when a piece ends just behind
/// a frame's length. With no more than a piece on its way that cannot happen. It tells what it has
/// read when it is asked for its peers list, which it answers in turn.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Bytes sent that may not have been read yet.
    ahead: usize,
    last_sent: Time,
    asked: Option<Time>,
    /// Whether the list has come that py2p sends by itself in answer to the handshake. It says
    /// nothing of what came behind that.
    is_greeted: bool,
    held: VecDeque<OutFrame>,
}

impl Window {
    /// What py2p reads at a time, less the question that goes behind. A larger frame goes alone.
    const BYTES: usize = 1_024 - 128;
    /// What was sent so long ago has been read: py2p is deaf for a second at the most.
    const READ_BY: Duration = Duration::from_secs(2);
    /// An answer that does not come in that time is not waited for.
    const ANSWERED_BY: Duration = Duration::from_secs(5);

    /// Takes a frame: gives it back to be sent now, or keeps it.
    pub(crate) fn admit(&mut self, now: Time, frame: OutFrame) -> Option<OutFrame> {
        if self.held.is_empty() && self.asked.is_none() {
            if now.since(self.last_sent) >= Self::READ_BY {
                self.ahead = 0;
            }
            if self.fits(&frame) {
                self.count(now, &frame);
                return Some(frame);
            }
        }
        self.held.push_back(frame);
        None
    }

    /// Whether the peer should be asked what it has read.
    pub(crate) fn wants_to_ask(&self) -> bool {
        self.asked.is_none() && !self.held.is_empty()
    }

    /// Whether an answer is due.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    pub(crate) fn on_asked(&mut self, now: Time) {
        self.asked = Some(now);
    }

    /// A list has come: whether it answers the question.
    pub(crate) fn is_answer(&mut self) -> bool {
        std::mem::replace(&mut self.is_greeted, true)
    }

    /// The peer has read everything, or is not waited for any longer: what may go now.
    pub(crate) fn on_read(&mut self, now: Time) -> Vec<OutFrame> {
        if self.asked.take().is_none() {
            return Vec::new();
        }
        self.ahead = 0;
        let mut released = Vec::new();
        while self.held.front().is_some_and(|frame| self.fits(frame)) {
            if let Some(frame) = self.held.pop_front() {
                self.count(now, &frame);
                released.push(frame);
            }
        }
        released
    }

    /// When an answer is waited for no longer.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.asked.map(|asked| asked + Self::ANSWERED_BY)
    }

    /// All that is kept, at the end of the link.
    pub(crate) fn empty(&mut self) -> VecDeque<OutFrame> {
        self.asked = None;
        std::mem::take(&mut self.held)
    }

    fn fits(&self, frame: &OutFrame) -> bool {
        self.ahead == 0 || self.ahead + frame.weight() <= Self::BYTES
    }

    fn count(&mut self, now: Time, frame: &OutFrame) {
        self.ahead += frame.weight();
        self.last_sent = now;
    }
}
