//! Machines that misbehave on purpose: byzantine nodes, and bugs planted to prove that they are
//! found.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

use rs2p_base::{Input, LinkId, Machine, Output, RequestId, Time};
use rs2p_wire::MessageId;

/// What stands between a machine and the world, and changes what passes.
pub trait Tamper<M: Machine> {
    /// What the machine gets to see of an input; nothing, if it is to miss it.
    fn input(&mut self, _machine: &mut M, _now: Time, input: Input) -> Option<Input> {
        Some(input)
    }

    /// What becomes of something that the machine wants done or told.
    fn output(&mut self, _machine: &M, _now: Time, output: Output<M::Event>) -> Fate<M::Event> {
        Fate::Pass(output)
    }
}

/// What becomes of an output.
#[derive(Debug)]
pub enum Fate<E> {
    /// It goes out as it is.
    Pass(Output<E>),
    /// It goes out later.
    Later(Output<E>, Duration),
    /// Something else goes out in its place.
    Instead(Output<E>),
    /// It does not go out. The machine believes that it did.
    Drop,
}

/// A machine that may be tampered with. Without a [`Tamper`] it is the machine itself.
pub struct Tampered<M: Machine> {
    machine: M,
    tampering: Option<Box<Tampering<M>>>,
}

struct Tampering<M: Machine> {
    tamper: Box<dyn Tamper<M> + Send>,
    /// By the machine's clock.
    now: Time,
    later: BTreeMap<(Time, u64), Output<M::Event>>,
    /// What was held back, and goes out now.
    due: VecDeque<Output<M::Event>>,
    count: u64,
    hits: u64,
}

impl<M: Machine> Tampered<M> {
    /// A machine, and what stands between it and the world.
    #[must_use]
    pub fn new(machine: M, tamper: Option<Box<dyn Tamper<M> + Send>>) -> Self {
        let mut tampered = Self { machine, tampering: None };
        if let Some(tamper) = tamper {
            tampered.tamper_with(tamper);
        }
        tampered
    }

    /// From now on it misbehaves like that.
    pub fn tamper_with(&mut self, tamper: Box<dyn Tamper<M> + Send>) {
        let hits = self.hits();
        self.behave();
        let now = Time::default();
        let (later, due) = (BTreeMap::new(), VecDeque::new());
        let tampering = Tampering { tamper, now, later, due, count: 0, hits };
        self.tampering = Some(Box::new(tampering));
    }

    /// From now on it behaves. What was held back is lost.
    pub fn behave(&mut self) {
        let Some(tampering) = self.tampering.take() else { return };
        for output in tampering.later.values() {
            if let Some((link, bytes)) = sent(output) {
                self.machine.handle_input(tampering.now, Input::Flushed { link, bytes });
            }
        }
    }

    /// How many inputs and outputs were not let pass as they were.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.tampering.as_ref().map_or(0, |tampering| tampering.hits)
    }

    /// The machine itself.
    #[must_use]
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The machine itself, for its user's operations at this moment.
    pub fn machine_mut(&mut self, now: Time) -> &mut M {
        if let Some(tampering) = &mut self.tampering {
            tampering.now = now;
        }
        &mut self.machine
    }

    /// The machine itself, for good.
    #[must_use]
    pub fn into_machine(self) -> M {
        self.machine
    }
}

impl<M: Machine + fmt::Debug> fmt::Debug for Tampered<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tampered")
            .field("machine", &self.machine)
            .field("hits", &self.hits())
            .finish_non_exhaustive()
    }
}

impl<M: Machine> Machine for Tampered<M> {
    type Event = M::Event;

    fn handle_input(&mut self, now: Time, input: Input) {
        let Some(tampering) = &mut self.tampering else {
            return self.machine.handle_input(now, input);
        };
        tampering.now = now;
        match tampering.tamper.input(&mut self.machine, now, input) {
            Some(input) => self.machine.handle_input(now, input),
            None => tampering.hits += 1,
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        if let Some(tampering) = &mut self.tampering {
            tampering.now = now;
            while let Some(first) = tampering.later.first_entry()
                && first.key().0 <= now
            {
                tampering.due.push_back(first.remove());
            }
        }
        if self.machine.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.machine.handle_timeout(now);
        }
    }

    fn poll_output(&mut self) -> Option<Output<M::Event>> {
        let Some(tampering) = &mut self.tampering else { return self.machine.poll_output() };
        if let Some(due) = tampering.due.pop_front() {
            return Some(due);
        }
        while let Some(output) = self.machine.poll_output() {
            let now = tampering.now;
            let said = sent(&output);
            let mut goes_out = None;
            let instead = match tampering.tamper.output(&self.machine, now, output) {
                Fate::Pass(output) => return Some(output),
                Fate::Later(output, wait) => {
                    goes_out = sent(&output);
                    tampering.later.insert((now + wait, tampering.count), output);
                    tampering.count += 1;
                    None
                }
                Fate::Instead(output) => {
                    goes_out = sent(&output);
                    Some(output)
                }
                Fate::Drop => None,
            };
            tampering.hits += 1;
            // What goes out is told by the driver to have left. Of the rest the machine believes it.
            if let Some((link, said)) = said {
                let told = goes_out.filter(|(on, _)| *on == link).map_or(0, |(_, bytes)| bytes);
                if let Some(bytes) = said.checked_sub(told).filter(|bytes| *bytes > 0) {
                    self.machine.handle_input(now, Input::Flushed { link, bytes });
                }
            }
            if instead.is_some() {
                return instead;
            }
        }
        None
    }

    fn poll_timeout(&self) -> Option<Time> {
        let deadline = self.machine.poll_timeout();
        let Some(tampering) = &self.tampering else { return deadline };
        // What is due has only to be taken.
        let later = tampering.later.keys().map(|(at, _)| *at).find(|at| *at > tampering.now);
        deadline.into_iter().chain(later).min()
    }

    fn is_duplicate(&self, claimed: &MessageId) -> bool {
        self.machine.is_duplicate(claimed)
    }

    fn completes(event: &M::Event) -> Option<RequestId> {
        M::completes(event)
    }
}

/// How many bytes an output puts onto which link.
fn sent<E>(output: &Output<E>) -> Option<(LinkId, usize)> {
    match output {
        Output::Send { link, frame, .. } => Some((*link, frame.weight())),
        _ => None,
    }
}
