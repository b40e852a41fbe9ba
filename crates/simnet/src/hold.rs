//! Nodes that do not keep up: paused ones, and slow ones.

use std::collections::VecDeque;

use rs2p_base::Machine;

use crate::links::Happening;
use crate::sim::{NodeIndex, Sim};
use crate::trace::What;

/// What keeps a node from taking in at once what happens to it.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    is_paused: bool,
    /// Microseconds that each thing takes it.
    each: u64,
    /// When it is done with the last one.
    free_at: u64,
    inbox: VecDeque<Happening>,
    /// Whether its next turn is in the wheel.
    has_turn: bool,
    hits: u64,
}

impl<M: Machine> Sim<M> {
    /// Stops a node for a while, as its system or a debugger might: its links stay open, nothing is
    /// read, and its clock goes on. `false` when it is down.
    pub fn pause(&mut self, node: NodeIndex) -> bool {
        let is_up = self.is_up(node);
        if is_up {
            self.hold(node).is_paused = true;
            self.note(node, What::Paused(true));
        }
        is_up
    }

    /// Makes a node take so many microseconds for each thing that happens to it. `false` when it is
    /// down.
    pub fn slow_down(&mut self, node: NodeIndex, each: u64) -> bool {
        let is_up = self.is_up(node);
        if is_up {
            self.hold(node).each = each;
        }
        is_up
    }

    /// Lets a paused or slow node go on as usual; what has come meanwhile comes now. Tells how many
    /// things were held up.
    pub fn resume(&mut self, node: NodeIndex) -> u64 {
        let Some(mut hold) = self.let_go_on(node) else { return 0 };
        self.note(node, What::Paused(false));
        let hits = hold.hits;
        for happening in hold.inbox.drain(..) {
            self.go_on(node, happening);
        }
        self.set_timer(node);
        hits
    }

    /// How many things have been held up at a paused or slow node so far.
    #[must_use]
    pub fn held_up(&self, node: NodeIndex) -> u64 {
        self.nodes[node.0 as usize].hold.as_ref().map_or(0, |hold| hold.hits)
    }

    /// Whether a node is paused or slow.
    pub(crate) fn is_held(&self, node: NodeIndex) -> bool {
        self.held > 0 && self.nodes[node.0 as usize].hold.is_some()
    }

    fn is_paused(&self, node: NodeIndex) -> bool {
        self.nodes[node.0 as usize].hold.as_ref().is_some_and(|hold| hold.is_paused)
    }

    /// Takes off whatever holds a node up.
    pub(crate) fn let_go_on(&mut self, node: NodeIndex) -> Option<Box<Hold>> {
        let hold = self.nodes[node.0 as usize].hold.take()?;
        self.held -= 1;
        Some(hold)
    }

    fn hold(&mut self, node: NodeIndex) -> &mut Hold {
        let hold = &mut self.nodes[node.0 as usize].hold;
        if hold.is_none() {
            self.held += 1;
        }
        hold.get_or_insert_default()
    }

    /// Gives back what can be taken in at once.
    pub(crate) fn hold_back(&mut self, happening: Happening) -> Option<Happening> {
        let (node, then) = match &happening {
            Happening::Deliver { link, .. }
            | Happening::Flushed { link, .. }
            | Happening::Closed { link, .. } => (self.ends.open_node(*link), None),
            // A link that opens concerns the one node and then the other.
            Happening::Dialled { to, dial, .. } => (Some(*to), Some(dial.from)),
            Happening::Datagram { to, .. } => (Some(*to), None),
            Happening::DialFailed { dial, .. } => (Some(dial.from), None),
            Happening::Timeout { node } => (Some(*node), None),
            Happening::Serve { .. } => (None, None),
        };
        let Some(node) = node else { return Some(happening) };
        let happening = self.hold_back_at(node, happening)?;
        match then {
            Some(then) => self.hold_back_at(then, happening),
            None => Some(happening),
        }
    }

    /// A node takes in what has waited at it, unless that has to wait at another one as well.
    fn go_on(&mut self, node: NodeIndex, happening: Happening) {
        let other = match &happening {
            Happening::Dialled { dial, .. } if !self.is_pending(*dial) => return,
            Happening::Dialled { to, dial, .. } if *to == node => Some(dial.from),
            // Two slow nodes would hand it to and fro for ever.
            Happening::Dialled { to, .. } if self.is_paused(*to) => Some(*to),
            _ => None,
        };
        let now = match other.filter(|other| *other != node) {
            Some(other) => self.hold_back_at(other, happening),
            None => Some(happening),
        };
        if let Some(happening) = now {
            self.take_in(happening);
        }
    }

    fn hold_back_at(&mut self, node: NodeIndex, happening: Happening) -> Option<Happening> {
        let now = self.now;
        let Some(hold) = &mut self.nodes[node.0 as usize].hold else { return Some(happening) };
        let is_busy = hold.free_at > now || !hold.inbox.is_empty();
        if !hold.is_paused && !is_busy {
            hold.free_at = now + hold.each;
            return Some(happening);
        }
        hold.hits += 1;
        let vain = match &happening {
            Happening::Dialled { dial, to, .. } => Some((*dial, *to)),
            _ => None,
        };
        hold.inbox.push_back(happening);
        let turn = (!hold.is_paused && !hold.has_turn).then_some(hold.free_at);
        hold.has_turn |= turn.is_some();
        if let Some((dial, to)) = vain {
            self.dial_in_vain(dial, to);
        }
        if let Some(at) = turn {
            self.wheel.push(at, Happening::Serve { node });
        }
        None
    }

    /// A slow node's turn for the next thing.
    pub(crate) fn serve(&mut self, node: NodeIndex) {
        let now = self.now;
        let Some(hold) = &mut self.nodes[node.0 as usize].hold else { return };
        hold.has_turn = false;
        if hold.is_paused || hold.free_at > now {
            return;
        }
        let Some(happening) = hold.inbox.pop_front() else { return };
        hold.free_at = now + hold.each;
        if !hold.inbox.is_empty() {
            hold.has_turn = true;
            self.wheel.push(hold.free_at, Happening::Serve { node });
        }
        self.go_on(node, happening);
    }
}
