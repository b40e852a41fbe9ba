//! What a machine needs that owns another one.

use std::collections::VecDeque;

use rs2p_wire::MessageId;

use crate::machine::{Input, Machine, Output, RequestId};
use crate::time::Time;

/// A protocol on top of another: over [`Links`](crate::Links), over a mesh, or over any layer.
///
/// A layer says what it makes of the events of the machine below. That is enough to be a
/// [`Machine`] itself: inputs and deadlines go to the machine below first, and what it wants done
/// passes the layer by.
///
/// Three things are up to the layer:
///
/// - Its operations are ordinary methods that use [`Stack::below`] and [`Stack::tell`]. Each one
///   ends with [`settle`](Self::settle), so that nothing stays behind in the machine below.
/// - [`next_timeout`](Self::next_timeout) costs constant time, and lies later than `now` after
///   [`on_timeout`](Self::on_timeout).
/// - What waits for room on a link is kept, within a bound, and goes out in
///   [`carry_on`](Self::carry_on).
///
/// Which field the [`Stack`] is, and with it both types, is said by [`stack!`](crate::stack).
///
/// ```
/// use rs2p_base::{Layer, LinkEvent, Links, Stack, Time};
///
/// /// Tells how many links are established.
/// struct Count {
///     stack: Stack<Links, usize>,
///     established: usize,
/// }
///
/// impl Layer for Count {
///     rs2p_base::stack!(stack: Stack<Links, usize>);
///
///     fn on_event(&mut self, _: Time, event: LinkEvent) {
///         match event {
///             LinkEvent::Established { .. } => self.established += 1,
///             LinkEvent::Closed { peer: Some(_), .. } => self.established -= 1,
///             _ => return,
///         }
///         self.stack.tell(self.established);
///     }
/// }
/// ```
pub trait Layer {
    /// The machine below.
    type Below: Machine;
    /// What the layer tells its user, or the layer above.
    type Event;

    /// The machine below, and the output that waits.
    fn stack(&self) -> &Stack<Self::Below, Self::Event>;

    /// As [`stack`](Self::stack), to be changed.
    fn stack_mut(&mut self) -> &mut Stack<Self::Below, Self::Event>;

    /// The machine below has told something. Operations may be called here, the layer's own too.
    fn on_event(&mut self, now: Time, event: <Self::Below as Machine>::Event);

    /// The time of [`next_timeout`](Self::next_timeout) has come.
    fn on_timeout(&mut self, _now: Time) {}

    /// The next deadline of the layer's own, found in constant time.
    fn next_timeout(&self) -> Option<Time> {
        None
    }

    /// Called once all that came in has been acted on: the place to go on with what found no room
    /// on a link. Room is an input, so whoever finds none here is called again.
    fn carry_on(&mut self, _now: Time) {}

    /// The request that this event completes, if any.
    fn completes(_event: &Self::Event) -> Option<RequestId> {
        None
    }

    /// Acts on all that the machine below tells, passes on what it wants done, and carries on.
    ///
    /// To be called at the end of each operation of the layer's own. Within
    /// [`on_event`](Self::on_event) and [`carry_on`](Self::carry_on) it does nothing: what follows
    /// from an event is acted on when the event itself has been.
    fn settle(&mut self, now: Time) {
        if self.stack().settles {
            return;
        }
        self.stack_mut().settles = true;
        take_all(self, now);
        self.carry_on(now);
        take_all(self, now);
        self.stack_mut().settles = false;
    }
}

/// What a [`Layer`] owns: the machine below, and the output that waits to be taken.
#[derive(Debug)]
pub struct Stack<B, E> {
    /// The machine below. Who calls its operations settles the layer afterwards.
    pub below: B,
    output: VecDeque<Output<E>>,
    /// Whether events of the machine below are being acted on.
    settles: bool,
}

/// Says in an `impl Layer` which field of the struct is its [`Stack`], as the field itself is
/// written: `stack!(NAME: Stack<BELOW, EVENT>);`. It makes both types and both getters of that.
#[macro_export]
macro_rules! stack {
    ($field:ident: Stack<$below:ty, $event:ty>) => {
        type Below = $below;
        type Event = $event;

        fn stack(&self) -> &$crate::Stack<$below, $event> {
            &self.$field
        }

        fn stack_mut(&mut self) -> &mut $crate::Stack<$below, $event> {
            &mut self.$field
        }
    };
}

impl<B, E> Stack<B, E> {
    /// A machine to build on.
    #[must_use]
    pub fn new(below: B) -> Self {
        Self { below, output: VecDeque::new(), settles: false }
    }

    /// Tells the user, or the layer above.
    pub fn tell(&mut self, event: E) {
        self.output.push_back(Output::Event(event));
    }
}

impl<L: Layer> Machine for L {
    type Event = <L as Layer>::Event;

    fn handle_input(&mut self, now: Time, input: Input) {
        self.stack_mut().below.handle_input(now, input);
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: Time) {
        let is_due = |deadline: Option<Time>| deadline.is_some_and(|deadline| deadline <= now);
        // What one of the two does may make something due for the other. Where that finds no end,
        // a driver notices.
        for _ in 0..ROUNDS {
            let below = is_due(self.stack().below.poll_timeout());
            if below {
                self.stack_mut().below.handle_timeout(now);
                self.settle(now);
            }
            let own = is_due(self.next_timeout());
            if own {
                self.on_timeout(now);
                self.settle(now);
            }
            if !below && !own {
                return;
            }
        }
    }

    fn poll_output(&mut self) -> Option<Output<Self::Event>> {
        let queue = &mut self.stack_mut().output;
        let output = queue.pop_front();
        // A node has nothing to do most of the time, and many nodes in one process share the memory
        // that each gives back.
        if queue.is_empty() && queue.capacity() > 0 {
            *queue = VecDeque::new();
        }
        output
    }

    fn poll_timeout(&self) -> Option<Time> {
        let deadlines = [self.stack().below.poll_timeout(), self.next_timeout()];
        deadlines.into_iter().flatten().min()
    }

    fn is_duplicate(&self, claimed: &MessageId) -> bool {
        self.stack().below.is_duplicate(claimed)
    }

    fn completes(event: &Self::Event) -> Option<RequestId> {
        <L as Layer>::completes(event)
    }
}

/// How often a layer and the machine below may take turns in what is due at one moment.
const ROUNDS: usize = 8;

/// Takes all output of the machine below.
fn take_all<L: Layer + ?Sized>(layer: &mut L, now: Time) {
    while let Some(output) = layer.stack_mut().below.poll_output() {
        match output.into_event() {
            Ok(event) => layer.on_event(now, event),
            Err(output) => layer.stack_mut().output.push_back(output),
        }
    }
}

#[cfg(test)]
mod tests;
