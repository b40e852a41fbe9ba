//! What a link waits for, and for how long (spec section 8).

use rs2p_wire::MainFlag;

use super::Link;
use crate::machine::CloseReason;
use crate::time::Time;

impl Link {
    /// Acts on the deadlines that have passed.
    pub fn handle_timeout(&mut self, now: Time) {
        // What one deadline causes may set another for the same moment, where the configuration
        // leaves no time between the two.
        while self.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.on_deadline(now);
        }
    }

    /// The next deadline.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let config = self.local.config();
        if self.closing {
            None
        } else if self.peer.is_some() {
            let window = self.seldom.window.as_ref().and_then(|window| window.poll_timeout());
            let deadlines =
                [window, self.full_deadline(), self.idle_deadline(), self.ping_deadline()];
            deadlines.into_iter().flatten().min()
        } else {
            let handshake = self.opened() + config.handshake;
            let form_wait = (!self.greeted).then(|| self.opened() + config.form_wait);
            Some(form_wait.map_or(handshake, |form_wait| form_wait.min(handshake)))
        }
    }

    /// Acts on the first deadline, which has passed: greets, pings, or closes.
    fn on_deadline(&mut self, now: Time) {
        let config = self.local.config();
        let is_past = |deadline: Option<Time>| deadline.is_some_and(|deadline| deadline <= now);
        if self.peer.is_none() {
            if is_past(Some(self.opened() + config.handshake)) {
                let seconds = config.handshake.as_secs();
                self.close(now, CloseReason::NoHandshake { seconds });
            } else {
                self.greet(now, self.local.usual_form());
            }
        } else if is_past(self.seldom.window.as_ref().and_then(|window| window.poll_timeout())) {
            self.on_read(now);
        } else if is_past(self.full_deadline()) {
            let (queued, limit) = (self.queued, config.send_queue);
            self.end(CloseReason::SlowReader { queued, limit });
        } else if is_past(self.idle_deadline()) || self.is_pinged {
            let seconds = now.since(self.last_heard).as_secs();
            self.end(CloseReason::Idle { seconds });
        } else {
            self.is_pinged = true;
            self.seldom.pinged = now;
            self.send_sign(now, MainFlag::Ping);
        }
    }

    fn full_deadline(&self) -> Option<Time> {
        self.was_full.then(|| self.seldom.full_since + self.local.config().slow)
    }

    fn idle_deadline(&self) -> Option<Time> {
        self.local.config().idle.map(|idle| self.last_heard + idle)
    }

    /// When to ask an rs2p peer for a sign of life, or to give it up after that.
    fn ping_deadline(&self) -> Option<Time> {
        let keepalive = self.local.config().keepalive.filter(|_| self.gathers())?;
        // Counted from the ping itself: a node that has slept past both deadlines still gives the
        // peer time to answer.
        let since = if self.is_pinged { self.seldom.pinged } else { self.last_heard };
        Some(since + keepalive)
    }
}
