//! Datagrams: they get lost, come twice, and overtake each other.

use std::net::SocketAddr;

use bytes::Bytes;
use rs2p_base::{Input, Machine};

use crate::links::Happening;
use crate::sim::{NodeIndex, Sim};
use crate::streams::Draws;
use crate::trace::What;

/// The most that fits into a datagram over IPv6, in bytes.
const LARGEST: usize = 65_527;

impl<M: Machine> Sim<M> {
    pub(crate) fn send_datagram(&mut self, from: NodeIndex, to: SocketAddr, data: Bytes) {
        // Nodes have an address of each family, and answers come from the one that was asked.
        let sent_from = match to {
            SocketAddr::V4(_) => SocketAddr::V4(from.address_v4()),
            SocketAddr::V6(_) => from.socket_address(),
        };
        let target = self.at_socket_address(to).filter(|_| data.len() <= LARGEST);
        let Some(to) = target else {
            self.counts.datagrams_lost += 1;
            return;
        };
        let sender = &mut self.nodes[from.0 as usize];
        let mut draws = sender.draws;
        let verdict = self.rules.judge(from, to, &mut draws);
        let fate = &self.network.datagrams;
        let is_lost = verdict.blocked || verdict.breaks || draws.chance(fate.loss);
        let copies = if draws.chance(fate.duplication) { 2 } else { 1 };
        let regions = [from, to].map(|node| self.nodes[node.0 as usize].region);
        let pair = u64::from(from.0.min(to.0)) << 32 | u64::from(from.0.max(to.0));
        let mut path = Draws::new(self.seed, "path", pair);
        let latency = self.network.latency.draw(regions[0], regions[1], &mut path);
        for _ in 0..copies {
            let mut late = draws.between(0, self.network.jitter) + verdict.delay;
            if draws.chance(fate.reordering) {
                late += draws.between(0, fate.held_up);
            }
            if !is_lost {
                let happening = Happening::Datagram { from: sent_from, to, data: data.clone() };
                self.wheel.push(self.now + latency + late, happening);
            }
        }
        self.counts.datagrams_lost += u64::from(is_lost);
        self.nodes[from.0 as usize].draws = draws;
    }

    pub(crate) fn deliver_datagram(&mut self, from: SocketAddr, to: NodeIndex, data: Bytes) {
        if !self.is_up(to) {
            self.counts.datagrams_lost += 1;
            return;
        }
        self.counts.datagrams += 1;
        let sender = self.at_socket_address(from).unwrap_or(to);
        let word = data.iter().fold(0, |word: u64, byte| word.rotate_left(8) ^ u64::from(*byte));
        self.digest.note(self.now, u64::from(to.0) | 1 << 43, word ^ u64::from(sender.0) << 32);
        self.note(to, What::Datagram(sender));
        self.node_input(to, Input::Datagram { from, data });
    }
}
