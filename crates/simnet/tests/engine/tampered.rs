//! Machines that are tampered with.

use std::time::Duration;

use rs2p_base::{Input, LinkId, Output, Time};
use rs2p_simnet::{Fate, Fidelity, Sim, Tamper, Tampered};

use crate::toy::{Seen, Toy, frame};
use crate::{A, B, SECOND, even};

/// Does the same to each message, or closes its ears.
enum Meddler {
    Deaf,
    Drops,
    Delays(Duration),
    Hushes,
    Replaces,
}

impl Tamper<Toy> for Meddler {
    fn input(&mut self, _: &mut Toy, _: Time, input: Input) -> Option<Input> {
        let is_message = matches!(input, Input::Message { .. });
        (!is_message || !matches!(self, Self::Deaf)).then_some(input)
    }

    fn output(&mut self, _: &Toy, _: Time, output: Output<Seen>) -> Fate<Seen> {
        let Output::Send { link, .. } = &output else { return Fate::Pass(output) };
        match self {
            Self::Deaf => Fate::Pass(output),
            Self::Drops => Fate::Drop,
            Self::Delays(wait) => Fate::Later(output, *wait),
            Self::Hushes => Fate::Instead(Output::Event(Seen::Woken)),
            Self::Replaces => {
                let (link, frame) = (*link, frame(0, 0));
                Fate::Instead(Output::Send { link, frame, gather: true })
            }
        }
    }
}

/// Two nodes and a link, of which the one that dialled is about to be tampered with.
fn pair() -> (Sim<Tampered<Toy>>, LinkId, LinkId) {
    let mut sim = Sim::new(1, even(), Fidelity::Messages);
    for _ in 0..2 {
        sim.add(0, |address, seed| Tampered::new(Toy::new(address, seed), None));
    }
    let to = B.address();
    sim.call(A, |toy, now| toy.machine_mut(now).dial(to)).unwrap();
    sim.run_for(SECOND);
    let ends = (sim.links_of(A)[0], sim.links_of(B)[0]);
    (sim, ends.0, ends.1)
}

fn meddle(sim: &mut Sim<Tampered<Toy>>, meddler: Meddler) {
    sim.call(A, |toy, _| toy.tamper_with(Box::new(meddler))).unwrap();
}

fn say(sim: &mut Sim<Tampered<Toy>>, link: LinkId) {
    sim.call(A, |toy, now| toy.machine_mut(now).say(link, 0)).unwrap();
}

fn toy(sim: &Sim<Tampered<Toy>>, node: rs2p_simnet::NodeIndex) -> &Toy {
    sim.machine(node).unwrap().machine()
}

fn hits(sim: &Sim<Tampered<Toy>>) -> u64 {
    sim.machine(A).unwrap().hits()
}

#[test]
fn a_machine_that_is_let_be_is_itself() {
    let (mut sim, near, _) = pair();
    say(&mut sim, near);
    sim.run_for(SECOND);
    assert_eq!((toy(&sim, B).numbers(), hits(&sim)), (vec![0], 0));
}

#[test]
fn what_is_dropped_counts_as_gone_for_the_machine_and_reaches_nobody() {
    let (mut sim, near, _) = pair();
    meddle(&mut sim, Meddler::Drops);
    (0..3).for_each(|_| say(&mut sim, near));
    assert_eq!(toy(&sim, A).waits(near), 0);
    sim.run_for(SECOND);
    assert_eq!((toy(&sim, B).numbers(), hits(&sim)), (vec![], 3));
}

#[test]
fn what_is_put_in_its_place_goes_out_and_counts_once() {
    let (mut sim, near, _) = pair();
    meddle(&mut sim, Meddler::Hushes);
    say(&mut sim, near);
    let mut told = 0;
    let until = sim.elapsed_micros() + SECOND;
    sim.run_until(until, |_, node, event| told += u32::from((node, event) == (A, Seen::Woken)));
    assert_eq!((told, toy(&sim, A).waits(near), hits(&sim)), (1, 0, 1));
    // The machine is told that as much has left as it has said itself.
    let (mut sim, near, _) = pair();
    meddle(&mut sim, Meddler::Replaces);
    sim.call(A, |toy, now| toy.machine_mut(now).say(near, 500)).unwrap();
    sim.run_for(SECOND);
    assert_eq!((toy(&sim, B).numbers(), toy(&sim, A).waits(near), hits(&sim)), (vec![0], 0, 1));
}

#[test]
fn what_is_held_back_goes_out_at_its_time_in_order() {
    let (mut sim, near, _) = pair();
    meddle(&mut sim, Meddler::Delays(Duration::from_secs(5)));
    for _ in 0..3 {
        say(&mut sim, near);
        sim.run_for(SECOND);
    }
    assert_eq!(toy(&sim, B).numbers(), []);
    sim.run_for(2 * SECOND + 9_000);
    assert_eq!(toy(&sim, B).numbers(), []);
    sim.run_for(1_000);
    assert_eq!(toy(&sim, B).numbers(), [0]);
    sim.run_for(SECOND);
    assert_eq!(toy(&sim, B).numbers(), [0, 1]);
    sim.run_for(SECOND);
    assert_eq!((toy(&sim, B).numbers(), hits(&sim)), (vec![0, 1, 2], 3));
    assert_eq!(toy(&sim, A).waits(near), 0);
}

#[test]
fn what_is_held_back_when_it_behaves_again_is_lost_and_counts_as_gone() {
    let (mut sim, near, _) = pair();
    meddle(&mut sim, Meddler::Delays(Duration::from_secs(5)));
    say(&mut sim, near);
    assert!(toy(&sim, A).waits(near) > 0);
    sim.call(A, |toy, _| toy.behave());
    sim.run_for(10 * SECOND);
    assert_eq!((toy(&sim, B).numbers(), toy(&sim, A).waits(near)), (vec![], 0));
}

#[test]
fn what_a_machine_is_not_to_hear_it_does_not_hear() {
    let (mut sim, near, far) = pair();
    meddle(&mut sim, Meddler::Deaf);
    sim.call(B, |toy, now| toy.machine_mut(now).say(far, 0));
    sim.run_for(SECOND);
    assert_eq!((toy(&sim, A).numbers(), hits(&sim)), (vec![], 1));
    // Whoever goes on with it is told what went before, and what comes is counted on top.
    meddle(&mut sim, Meddler::Drops);
    say(&mut sim, near);
    assert_eq!(hits(&sim), 2);
}
