//! A toy layer over a toy machine.

use rs2p_wire::{IdForm, Limits, MainFlag, Message};

use super::*;
use crate::machine::{CloseReason, LinkId};

/// Tells each number that it is given, and closes links of even ones.
#[derive(Default)]
struct Below {
    output: VecDeque<Output<u64>>,
    deadline: Option<Time>,
}

impl Below {
    fn give(&mut self, number: u64) {
        self.output.push_back(Output::Event(number));
        if number.is_multiple_of(2) {
            let (link, reason) = (LinkId(number), CloseReason::Requested);
            self.output.push_back(Output::Close { link, reason });
        }
    }
}

impl Machine for Below {
    type Event = u64;

    fn handle_input(&mut self, _: Time, input: Input) {
        if let Input::Heard { link } = input {
            self.give(link.0);
        }
    }

    fn handle_timeout(&mut self, now: Time) {
        self.deadline = self.deadline.filter(|deadline| *deadline > now);
        self.give(1_000);
    }

    fn poll_output(&mut self) -> Option<Output<u64>> {
        self.output.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.deadline
    }

    fn is_duplicate(&self, _: &MessageId) -> bool {
        true
    }
}

#[derive(Debug, PartialEq)]
enum Told {
    Began(u64),
    Ended(u64),
    CarriedOn,
    TimedOut,
}

/// Halves every number from 100 on, by an operation of its own.
struct Halver {
    stack: Stack<Below, Told>,
    deadline: Option<Time>,
    /// What is given to the machine below when it carries on.
    waits: Option<u64>,
    /// Whether its deadline stays where it is.
    is_stubborn: bool,
}

impl Halver {
    fn new() -> Self {
        let stack = Stack::new(Below::default());
        Self { stack, deadline: None, waits: None, is_stubborn: false }
    }

    fn give(&mut self, now: Time, number: u64) {
        self.stack.below.give(number);
        self.settle(now);
    }

    /// Taken from it: what it tells, and numbers of links that are to be closed.
    fn take(&mut self) -> (Vec<Told>, Vec<u64>) {
        let (mut told, mut closed) = (Vec::new(), Vec::new());
        while let Some(output) = self.poll_output() {
            match output {
                Output::Event(event) => told.push(event),
                Output::Close { link, .. } => closed.push(link.0),
                other => panic!("{other:?}"),
            }
        }
        (told, closed)
    }
}

impl Layer for Halver {
    type Below = Below;
    type Event = Told;

    fn stack(&self) -> &Stack<Below, Told> {
        &self.stack
    }

    fn stack_mut(&mut self) -> &mut Stack<Below, Told> {
        &mut self.stack
    }

    fn on_event(&mut self, now: Time, number: u64) {
        self.stack.tell(Told::Began(number));
        if number >= 100 {
            self.give(now, number / 2);
        }
        self.stack.tell(Told::Ended(number));
    }

    fn on_timeout(&mut self, now: Time) {
        self.stack.tell(Told::TimedOut);
        if !self.is_stubborn {
            self.deadline = None;
            self.stack.below.deadline = Some(now);
        }
    }

    fn next_timeout(&self) -> Option<Time> {
        self.deadline
    }

    fn carry_on(&mut self, now: Time) {
        self.stack.tell(Told::CarriedOn);
        if let Some(number) = self.waits.take() {
            self.give(now, number);
        }
    }

    fn completes(event: &Told) -> Option<RequestId> {
        matches!(event, Told::TimedOut).then_some(RequestId(7))
    }
}

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn heard(number: u64) -> Input {
    Input::Heard { link: LinkId(number) }
}

#[test]
fn events_come_to_the_layer_and_all_else_passes_it_by() {
    let mut layer = Halver::new();
    layer.handle_input(at(0), heard(6));
    layer.handle_input(at(0), heard(7));
    let (told, closed) = layer.take();
    let one = |number| [Told::Began(number), Told::Ended(number), Told::CarriedOn];
    assert_eq!(told, [6, 7].into_iter().flat_map(one).collect::<Vec<_>>());
    assert_eq!(closed, [6]);
}

#[test]
fn what_follows_from_an_event_waits_until_the_event_has_been_acted_on() {
    let mut layer = Halver::new();
    layer.give(at(0), 300);
    let (told, closed) = layer.take();
    let numbers = [300, 150, 75].into_iter();
    let mut expected: Vec<_> = numbers.flat_map(|n| [Told::Began(n), Told::Ended(n)]).collect();
    expected.push(Told::CarriedOn);
    assert_eq!(told, expected);
    assert_eq!(closed, [300, 150]);
}

#[test]
fn it_carries_on_once_and_what_that_brings_about_is_acted_on() {
    let mut layer = Halver::new();
    layer.waits = Some(9);
    layer.handle_input(at(0), heard(5));
    let expected =
        [Told::Began(5), Told::Ended(5), Told::CarriedOn, Told::Began(9), Told::Ended(9)];
    assert_eq!(layer.take().0, expected);
    assert!(layer.stack.below.output.is_empty());
}

#[test]
fn the_earlier_deadline_counts() {
    let mut layer = Halver::new();
    assert_eq!(layer.poll_timeout(), None);
    layer.deadline = Some(at(20));
    assert_eq!(layer.poll_timeout(), Some(at(20)));
    layer.stack.below.deadline = Some(at(10));
    assert_eq!(layer.poll_timeout(), Some(at(10)));

    layer.handle_timeout(at(10));
    assert_eq!(layer.poll_timeout(), Some(at(20)));
    assert!(!layer.take().0.contains(&Told::TimedOut));
}

#[test]
fn what_the_layer_makes_due_below_is_done_at_once() {
    let mut layer = Halver::new();
    layer.deadline = Some(at(20));
    layer.handle_timeout(at(25));
    assert_eq!(layer.poll_timeout(), None);
    let told = layer.take().0;
    assert_eq!(told[0], Told::TimedOut);
    assert!(told.contains(&Told::Began(1_000)));
}

#[test]
fn a_deadline_that_is_never_put_off_does_not_hang() {
    let mut layer = Halver { is_stubborn: true, deadline: Some(at(20)), ..Halver::new() };
    layer.handle_timeout(at(20));
    assert_eq!(layer.poll_timeout(), Some(at(20)), "for a driver to notice");
}

#[test]
fn known_frames_and_completed_requests_are_passed_on() {
    let (kind, limits) = (MainFlag::Broadcast, Limits::default());
    let known = Message::encode(kind, IdForm::Bin, "2sei", 0, &[], &limits).unwrap();
    assert!(Halver::new().is_duplicate(&known.id()));
    assert_eq!(<Halver as Machine>::completes(&Told::TimedOut), Some(RequestId(7)));
    assert_eq!(<Halver as Machine>::completes(&Told::CarriedOn), None);
}

#[test]
fn an_empty_queue_holds_no_memory() {
    let mut layer = Halver::new();
    layer.handle_input(at(0), heard(3));
    assert!(layer.stack.output.capacity() > 0);
    layer.take();
    assert_eq!(layer.stack.output.capacity(), 0);
}
