//! What a node does by itself: look into buckets, publish, pass on, forget.

use std::collections::VecDeque;
use std::time::Duration;

use rand::RngExt as _;
use rs2p_base::Time;

use crate::event::DhtEvent;
use crate::machine::{Dht, Operation};
use crate::put::Cause;
use crate::search::{Search, Wants};

/// How often buckets are looked through (spec, section 6).
const CHECK: Duration = Duration::from_secs(900);

/// How long after a join, at most, the own neighbourhood is looked into once more: those who joined
/// at the same time did not know of each other.
const SECOND_LOOK: Duration = Duration::from_secs(90);

/// The look-up of random keys, one bucket after the other, and of the own neighbourhood.
#[derive(Debug, Default)]
pub(crate) struct Refresh {
    places: VecDeque<Place>,
    is_under_way: bool,
    next: Option<Time>,
    /// When the own neighbourhood is due.
    neighbours: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Bucket(u32),
    Neighbours,
}

impl Refresh {
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.next.into_iter().chain(self.neighbours).min()
    }
}

impl Dht {
    /// Looks into all buckets up to that of the nearest known node.
    pub(crate) fn refresh_all(&mut self, now: Time) {
        self.refresh.places = (0..self.table.buckets().len() as u32).map(Place::Bucket).collect();
        self.refresh.next = Some(now + CHECK);
        let soon = SECOND_LOOK.mul_f64(self.rng.random_range(0.3..1.0));
        self.refresh.neighbours = Some(now + soon);
        self.refresh_next(now);
    }

    fn refresh_stale(&mut self, now: Time) {
        let stale = self.table.stale(since_epoch(now), self.config.refresh);
        self.refresh.places = stale.map(Place::Bucket).collect();
        self.refresh.next = Some(now + CHECK);
        self.remember();
        self.refresh_next(now);
    }

    fn refresh_next(&mut self, now: Time) {
        if self.refresh.is_under_way {
            return;
        }
        let key = match self.refresh.places.pop_front() {
            Some(Place::Neighbours) => Some(self.id),
            Some(Place::Bucket(bucket)) => {
                self.table.touch(since_epoch(now), bucket);
                self.id.random_in_bucket(bucket, &mut self.rng)
            }
            None => None,
        };
        let Some(key) = key else { return };
        self.refresh.is_under_way = true;
        let request = self.next_request();
        let search = Search::new(self, key, Wants::Nodes);
        self.advance_refresh(now, request, Box::new(search));
    }

    pub(crate) fn advance_refresh(
        &mut self,
        now: Time,
        request: rs2p_base::RequestId,
        mut search: Box<Search>,
    ) {
        search.step(self, now, request);
        if search.is_done() {
            self.refresh.is_under_way = false;
            self.refresh_next(now);
        } else {
            self.keep(request, Operation::Refresh(search));
        }
    }

    /// Does what is due by itself.
    pub(crate) fn look_after(&mut self, now: Time) {
        if self.joiner.poll_timeout().is_some_and(|at| at <= now) {
            self.join_by_itself(now);
        }
        if self.refresh.neighbours.is_some_and(|at| at <= now) {
            self.refresh.neighbours = Some(now + CHECK);
            self.refresh.places.push_front(Place::Neighbours);
            self.refresh_next(now);
        }
        if self.refresh.next.is_some_and(|at| at <= now) {
            self.refresh_stale(now);
        }
        while let Some(id) = self.values.pop_expired(now) {
            self.replicator.remove(&id);
            self.tell(DhtEvent::Expired { id });
        }
        self.publish_due(now);
    }

    /// Publishes and passes on what is due, as long as anybody is known to do it to.
    pub(crate) fn publish_due(&mut self, now: Time) {
        if self.table.is_empty() {
            return;
        }
        while let Some(id) = self.publisher.pop_due(now) {
            match self.read_value(&id) {
                Some(data) => {
                    let request = self.next_request();
                    self.publish(now, request, id, data, Cause::Publisher);
                }
                None => {
                    self.publisher.release();
                    if self.values.is_original(&id) {
                        self.publisher.failed(now, id, &mut self.rng);
                    } else {
                        self.publisher.remove(&id);
                    }
                }
            }
        }
        while let Some(id) = self.replicator.pop_due(now) {
            match self.read_value(&id) {
                Some(data) => {
                    let request = self.next_request();
                    self.publish(now, request, id, data, Cause::Replicator);
                }
                None => self.replicator.release(),
            }
        }
    }

    /// When something is due by itself.
    pub(crate) fn poll_upkeep(&self) -> Option<Time> {
        let publishing = [self.publisher.poll_timeout(), self.replicator.poll_timeout()];
        let publishing = publishing.into_iter().flatten().min().filter(|_| !self.table.is_empty());
        let rest =
            [self.joiner.poll_timeout(), self.refresh.poll_timeout(), self.values.poll_timeout()];
        rest.into_iter().flatten().chain(publishing).min()
    }
}

/// The time as the routing table counts it.
pub(crate) fn since_epoch(now: Time) -> Duration {
    Duration::from_millis(now.as_millis())
}
