//! The way of a question to its owner, and of the answer back.

use rs2p_base::{Endpoint, NodeId, Time};
use rs2p_mesh::{OverMesh as _, Received};
use rs2p_wire::Element;

use crate::asks::Ask;
use crate::machine::{Chord, Timer};
use crate::position::distance;
use crate::request::{ANSWER, Answer, MAX_HOPS, Op, Request, read_hops, write_hops};
use crate::ring::Ring;

/// Where a question goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nowhere: the point belongs to this node, or there is nobody to ask but old nodes.
    Here,
    /// To the predecessor, which still has what belongs to this node.
    Behind(NodeId),
    /// On to this peer.
    To(NodeId),
    /// Nobody is known who is nearer.
    Unknown,
}

/// An answer, as it arrives at the author of the question.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) owner: NodeId,
    pub(crate) address: Option<Endpoint>,
    pub(crate) hops: Vec<NodeId>,
    pub(crate) answer: Answer,
}

impl Chord {
    /// Asks whom a point belongs to. The number of the question; `None` when the way is not known.
    pub(crate) fn ask(&mut self, now: Time, target: NodeId, op: Op, ask: Ask) -> Option<u64> {
        self.ask_by(now, target, op, ask, None)
    }

    /// As [`ask`](Self::ask), by way of a certain peer.
    pub(crate) fn ask_by(
        &mut self,
        now: Time,
        target: NodeId,
        op: Op,
        ask: Ask,
        first: Option<NodeId>,
    ) -> Option<u64> {
        let hops = vec![self.id()];
        let way = match first {
            Some(peer) if self.has_room(peer) => Way::To(peer),
            Some(_) => Way::Unknown,
            None => self.way(now, target, &hops),
        };
        if way == Way::Unknown {
            return None;
        }
        let number = self.asks.begin(now, ask);
        self.watch_for_overdue(now);
        let request = Request { target, hops, number, stays: false, op };
        self.go(now, way, request);
        Some(number)
    }

    /// Asks a peer, whoever the owner is. Whether it was asked.
    pub(crate) fn ask_to_stay(
        &mut self,
        now: Time,
        peer: NodeId,
        target: NodeId,
        op: Op,
        ask: Ask,
    ) -> bool {
        if !self.has_room(peer) {
            return false;
        }
        let number = self.asks.begin(now, ask);
        self.watch_for_overdue(now);
        let request = Request { target, hops: vec![self.id()], number, stays: false, op };
        self.go(now, Way::Behind(peer), request);
        true
    }

    pub(crate) fn watch_for_overdue(&mut self, now: Time) {
        if self.timers.get(&Timer::Overdue).is_none() {
            self.timers.set(Timer::Overdue, Some(now + crate::operation::LOOK));
        }
    }

    /// Where a question for a point goes from here, which has passed these nodes.
    pub(crate) fn way(&self, now: Time, target: NodeId, hops: &[NodeId]) -> Way {
        if self.is_alone() && self.merging.is_some_and(|until| now < until) {
            return Way::Unknown;
        }
        let own = distance(self.id(), target);
        if let Some(ring) = self.ring.as_ref()
            && ring.owns(target)
        {
            let behind = ring.predecessor().filter(|_| !self.is_settled);
            let behind = behind.filter(|behind| self.has_room(*behind));
            return behind.map_or(Way::Here, Way::Behind);
        }
        let is_member = self.ring.is_some();
        let ways = self.peers.iter().filter(|(id, peer)| peer.is_way() && !hops.contains(id));
        let ways = ways.map(|(id, peer)| (distance(*id, target), id, peer));
        let nearest =
            ways.filter(|(far, ..)| !is_member || *far < own).min_by_key(|(far, ..)| *far);
        match nearest {
            Some((_, id, _)) => Way::To(*id),
            None if !is_member && self.peers.values().any(|peer| peer.is_old() && peer.stores) => {
                Way::Here
            }
            None => Way::Unknown,
        }
    }

    fn go(&mut self, now: Time, way: Way, mut request: Request) {
        let to = match way {
            Way::Here => return self.serve(now, request),
            Way::Behind(_) if request.op.is_answered_by(&self.shelf) => {
                return self.serve(now, request);
            }
            Way::Behind(to) => {
                request.stays = true;
                if let Op::List(_, end) = &mut request.op {
                    *end = self.ring.as_ref().and_then(Ring::successor);
                }
                to
            }
            Way::To(to) => to,
            Way::Unknown => {
                self.counts.dropped += 1;
                return;
            }
        };
        if !self.has_room(to) {
            self.counts.dropped += 1;
            return;
        }
        self.owes_answer(now, to);
        self.tell_peer(now, to, Request::ELEMENTS, request.room(), |writer| request.write(writer));
    }

    pub(crate) fn on_request(&mut self, now: Time, received: &Received) -> Option<()> {
        let limits = self.limits();
        let mut payload = received.message().elements(&limits).ok()?;
        payload.next()?;
        let mut request = Request::read(&mut payload)?;
        let id = self.id();
        // The question may come back to who knows more than the owner, and ends there.
        let goes_round = request.hops.contains(&id) && !request.stays;
        if goes_round || request.hops.len() >= MAX_HOPS {
            self.counts.dropped += 1;
            return Some(());
        }
        // Who is alone says so, whatever it waits for.
        let stays = request.stays || self.is_alone() && matches!(request.op, Op::Find);
        let way = if stays { Way::Here } else { self.way(now, request.target, &request.hops) };
        if way == Way::Here {
            if self.ring.is_some() {
                self.serve(now, request);
            }
        } else {
            self.counts.routed += 1;
            request.hops.push(id);
            self.go(now, way, request);
        }
        Some(())
    }

    /// Sends an answer back the way the question came.
    pub(crate) fn answer(&mut self, now: Time, hops: Vec<NodeId>, number: u64, answer: Answer) {
        if hops[0] == self.id() {
            let arrived = Arrived { owner: self.id(), address: None, hops, answer };
            return self.on_answer(now, number, arrived);
        }
        let Some(back) = self.way_back(&hops) else {
            self.counts.dropped += 1;
            return;
        };
        let address = self.mesh().local().advertised().cloned();
        // Who is far away may want a shorter way.
        let address = address.filter(|_| hops.len() > 2 || matches!(answer, Answer::Found { .. }));
        let room = answer.room() + hops.len() * NodeId::BYTES + 64;
        self.tell_peer(now, back, 5, room, |writer| {
            writer.unsigned(ANSWER);
            write_hops(&hops, writer);
            writer.unsigned(number);
            match &address {
                Some(address) => address.write(writer),
                None => writer.nil(),
            }
            answer.write(writer);
        });
    }

    /// The first of the nodes that a question has passed to which there is a link.
    fn way_back(&self, hops: &[NodeId]) -> Option<NodeId> {
        let is_able = |id: &&NodeId| self.peers.get(id).is_some_and(|peer| peer.is_able);
        let back = hops.iter().copied().find(|id| is_able(&id))?;
        self.has_room(back).then_some(back)
    }

    pub(crate) fn on_answer_in(&mut self, now: Time, received: &Received) -> Option<()> {
        let limits = self.limits();
        let mut payload = received.message().elements(&limits).ok()?;
        payload.next()?;
        let hops = read_hops(&payload.next()?)?;
        let id = self.id();
        let place = hops.iter().position(|hop| *hop == id)?;
        if place > 0 {
            match self.way_back(&hops[..place]) {
                Some(back) => self.stack.below.pass_on(now, back, received),
                None => self.counts.dropped += 1,
            }
            return Some(());
        }
        let number = payload.next()?.as_u64()?;
        let address = match payload.next()? {
            Element::Nil => None,
            address => Endpoint::from_element(&address),
        };
        let answer = Answer::read(&payload.next()?)?;
        let owner = received.sender_id()?;
        self.on_answer(now, number, Arrived { owner, address, hops, answer });
        Some(())
    }

    /// What was asked has been answered.
    fn on_answer(&mut self, now: Time, number: u64, mut arrived: Arrived) {
        let Some(ask) = self.asks.take(number) else { return };
        let latest = self.latest_allowed(now);
        if arrived.answer.version().is_some_and(|version| version.time > latest) {
            // No honest owner has it, and a write dated after it would be refused everywhere.
            self.counts.refused += 1;
            arrived.answer = arrived.answer.without_version();
        }
        if arrived.owner != self.id() {
            let hops = arrived.hops.len() as u64;
            self.counts.lookups += 1;
            self.counts.hops += hops;
            self.counts.most_hops = self.counts.most_hops.max(hops);
            if hops > 2
                && let Some(address) = &arrived.address
            {
                self.consider_shortcut(now, arrived.owner, address);
            }
        }
        match (ask, &arrived.answer) {
            (Ask::Table { request, table }, _) => {
                self.on_table(now, request, table, number, arrived)
            }
            (Ask::Join, Answer::Found { .. }) => self.on_place_found(now, arrived),
            (Ask::Merge, Answer::Found { .. }) => self.on_ring_found(now, arrived),
            (Ask::Finger(exponent), Answer::Found { .. }) => {
                self.on_finger_found(now, exponent, arrived);
            }
            (Ask::Move { spot, version }, Answer::Kept(kept)) => {
                self.on_moved(spot, version, *kept)
            }
            (Ask::Check { from, to, version }, Answer::Checked(held)) => {
                self.on_checked(now, (from, to), version, *held);
            }
            (Ask::Retrieve(plain), Answer::Fetched(fetched)) => {
                self.answer_plain(now, &plain, fetched);
            }
            (Ask::Store { spot, value, tries }, Answer::Kept(kept)) => {
                self.on_plain_kept(now, spot, value, tries, *kept);
            }
            (Ask::Move { spot, .. }, _) => self.on_not_moved(spot),
            (Ask::Page { request }, Answer::Listed { .. }) => self.on_page(request, arrived.answer),
            _ => {}
        }
    }
}
