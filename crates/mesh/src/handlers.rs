//! Handlers that a user registers.

use std::fmt;

use rs2p_base::Time;

use crate::event::Received;
use crate::machine::Mesh;

type Predicate = Box<dyn Fn(&Received) -> bool + Send>;
type Action = Box<dyn FnMut(&mut Mesh, Time, Received) + Send>;

/// What to do with messages of some kind.
pub(crate) struct Handler {
    takes: Predicate,
    act: Action,
}

impl Handler {
    pub(crate) fn new(
        takes: impl Fn(&Received) -> bool + Send + 'static,
        act: impl FnMut(&mut Mesh, Time, Received) + Send + 'static,
    ) -> Self {
        Self { takes: Box::new(takes), act: Box::new(act) }
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}

impl Mesh {
    /// Registers a handler: a message that `takes` accepts goes to `act` and nowhere else.
    ///
    /// Handlers are asked in the order in which they were registered; the first one that takes a
    /// message ends the chain, and what none takes becomes an event. They see every message that
    /// is not about the mesh itself, so messages of sub-flags of the application's own, too; those
    /// should lie outside [`RESERVED`](rs2p_wire::RESERVED). A handler may send and even register
    /// further handlers, but stays short: the node waits for it.
    pub fn on_message(
        &mut self,
        takes: impl Fn(&Received) -> bool + Send + 'static,
        act: impl FnMut(&mut Self, Time, Received) + Send + 'static,
    ) {
        self.handlers.push(Handler::new(takes, act));
    }

    /// Gives the message back when no handler takes it.
    pub(crate) fn run_handlers(&mut self, now: Time, received: Received) -> Option<Received> {
        let Some(index) = self.handlers.iter().position(|handler| (handler.takes)(&received))
        else {
            return Some(received);
        };
        // The action gets the whole mesh, so the handlers stand aside meanwhile.
        let mut handlers = std::mem::take(&mut self.handlers);
        self.in_handler = true;
        if let Some(handler) = handlers.get_mut(index) {
            (handler.act)(self, now, received);
        }
        self.in_handler = false;
        handlers.append(&mut self.handlers);
        self.handlers = handlers;
        None
    }
}
