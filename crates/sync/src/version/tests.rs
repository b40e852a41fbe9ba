//! Which of two writes stays.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use rs2p_base::NodeId;
use rs2p_wire::IdForm;

use super::*;
use crate::lease::{LEASE, permits};

/// Some second on which runs begin.
const BEGIN: u64 = 1_795_301_952;

fn owner(number: u8) -> Owner {
    Owner::new(NodeId::from_bytes([number; NodeId::BYTES]), IdForm::Bin)
}

fn settled(mut held: Stamp, mut new: Stamp) -> (Winner, Stamp, Stamp) {
    let winner = settle(&mut held, &mut new);
    (winner, held, new)
}

/// What is held after two writes have met.
fn met(held: &Stamp, new: &Stamp) -> Stamp {
    match settled(held.clone(), new.clone()) {
        (Winner::New, _, new) => new,
        (_, held, _) => held,
    }
}

/// Times that lie close to each other and to each other's ends, in seconds.
fn second() -> impl Strategy<Value = u64> {
    prop_oneof![0..4_u64, 3_598..3_604_u64, 7_200..7_206_u64].prop_map(|second| BEGIN + second)
}

/// Any stamp that a peer can claim.
fn stamp(leasing: bool) -> impl Strategy<Value = Stamp> {
    let after = prop_oneof![
        Just(0_u64),
        (second(), prop_oneof![Just(0), Just(1), Just(999)])
            .prop_map(|(second, millis)| 1_000 * second + millis),
    ];
    let lease =
        if leasing { prop_oneof![Just(LEASE), Just(1), Just(10)].boxed() } else { Just(0).boxed() };
    (after, second(), second(), 1..4_u8, 0..2_u32, lease, proptest::option::of(0..3_u64)).prop_map(
        |(after, one, two, number, seq, lease, content)| {
            let (start, time) = (one.min(two), one.max(two));
            let version = Version { after, start, owner: owner(number), time, seq };
            Stamp { version, lease, content }
        },
    )
}

fn two() -> impl Strategy<Value = (Stamp, Stamp)> {
    prop_oneof![(stamp(true), stamp(true)), (stamp(false), stamp(false))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn it_does_not_matter_which_of_two_writes_is_held((one, two) in two()) {
        prop_assert_eq!(met(&one, &two), met(&two, &one));
        let (there, ..) = settled(one.clone(), two.clone());
        let (back, ..) = settled(two, one);
        let mirrored = match back {
            Winner::New => Winner::Held,
            Winner::Held => Winner::New,
            Winner::Both => Winner::Both,
        };
        prop_assert_eq!(there, mirrored);
    }

    #[test]
    fn what_stays_ranks_below_neither_and_meets_either_without_a_change((one, two) in two()) {
        let stays = met(&one, &two);
        for other in [&one, &two] {
            prop_assert_ne!(stays.cmp(other), Ordering::Less);
            prop_assert_eq!(met(&stays, other), stays.clone());
        }
        prop_assert_eq!(met(&one, &one), one);
    }

    #[test]
    fn only_who_comes_after_whom_is_learnt((one, two) in two()) {
        let (_, held, new) = settled(one.clone(), two.clone());
        for (before, after) in [(one, held), (two, new)] {
            prop_assert!(after.version.after >= before.version.after);
            let version = Version { after: before.version.after, ..after.version.clone() };
            prop_assert_eq!(Stamp { version, ..after }, before);
        }
    }

    #[test]
    fn replicas_agree_whatever_they_hold_and_in_whatever_order_they_meet(
        writes in prop_oneof![vec(stamp(true), 1..6), vec(stamp(false), 1..6)],
        meetings in vec((0..6_usize, 0..6_usize), 0..40),
    ) {
        let mut held = writes.clone();
        let count = held.len();
        let meet = |held: &mut Vec<Stamp>, one: usize, other: usize| {
            let stays = met(&held[one], &held[other]);
            let has_changed = held[one] != stays || held[other] != stays;
            (held[one], held[other]) = (stays.clone(), stays);
            has_changed
        };
        for (one, other) in meetings {
            meet(&mut held, one % count, other % count);
        }
        // From now on each meets its neighbour, as on a ring.
        let mut rounds = 0;
        while (0..count).fold(false, |any, one| meet(&mut held, one, (one + 1) % count) | any) {
            rounds += 1;
            prop_assert!(rounds <= 3 * count, "they go on and on: {held:?}");
        }
        prop_assert!(held.iter().all(|it| *it == held[0]));
        // Nothing that was there outranks it, and none can change it.
        for write in &writes {
            prop_assert_ne!(held[0].cmp(write), Ordering::Less);
        }
    }
}

/// Replicas with clocks of their own, whose users write and which hear of each other's writes late,
/// or never.
struct Replicas {
    leasing: bool,
    now: u64,
    nodes: Vec<Replica>,
    /// Every write, as its author told it, and the writes that its author had known of.
    told: Vec<(Stamp, BTreeSet<usize>)>,
}

struct Replica {
    ahead: i64,
    /// What is held, and which write that is.
    held: Option<(Stamp, usize)>,
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Write {
        node: usize,
        deletes: bool,
        lease: u32,
    },
    /// One hears of what another one's user wrote, maybe long ago.
    Hear {
        node: usize,
        write: usize,
    },
    /// Two compare what they hold.
    Meet(usize, usize),
}

impl Replicas {
    fn new(leasing: bool, ahead: &[i64]) -> Self {
        let nodes = ahead.iter().map(|ahead| Replica { ahead: *ahead, held: None }).collect();
        Self { leasing, now: BEGIN, nodes, told: Vec::new() }
    }

    fn apply(&mut self, step: &Step) {
        let count = self.nodes.len();
        match *step {
            Step::Wait(seconds) => self.now += seconds,
            Step::Write { node, deletes, lease } => self.write(node % count, deletes, lease),
            Step::Hear { node, write } if !self.told.is_empty() => {
                let write = write % self.told.len();
                let stamp = self.told[write].0.clone();
                self.take(node % count, stamp, write);
            }
            Step::Hear { .. } => {}
            Step::Meet(one, other) => {
                self.meet(one % count, other % count);
            }
        }
    }

    fn write(&mut self, node: usize, deletes: bool, lease: u32) {
        let me = owner(node as u8 + 1);
        let replica = &self.nodes[node];
        let clock = self.now.saturating_add_signed(replica.ahead);
        let held = replica.held.as_ref().map(|(stamp, _)| stamp);
        let mut time = clock;
        if let Some(held) = held {
            time = clock.max(held.version.time);
            if !self.leasing && time == held.version.time && held.version.owner < me {
                time += 1;
            }
            let of_held =
                (!held.is_tombstone()).then_some((&held.version.owner, held.version.time));
            if !permits(self.leasing, false, of_held, (&me, time), time, held.lease) {
                return;
            }
        }
        if deletes && held.is_none_or(Stamp::is_tombstone) || time > clock + 60 {
            return;
        }
        let number = self.told.len();
        let content = (!deletes).then_some(number as u64);
        let lease = if self.leasing { lease } else { 0 };
        let stamp = Write { owner: &me, time, lease, content }.over(held);
        if let Some(held) = held {
            assert_eq!(stamp.cmp(held), Ordering::Greater, "{stamp:?} over {held:?}");
            assert_eq!(settled(held.clone(), stamp.clone()).0, Winner::New);
        }
        let mut known = BTreeSet::new();
        if let Some((_, write)) = replica.held {
            known.extend(&self.told[write].1);
            known.insert(write);
        }
        self.told.push((stamp.clone(), known));
        self.nodes[node].held = Some((stamp, number));
    }

    fn take(&mut self, node: usize, mut stamp: Stamp, write: usize) {
        let Some((held, known)) = &mut self.nodes[node].held else {
            self.nodes[node].held = Some((stamp, write));
            return;
        };
        if settle(held, &mut stamp) == Winner::New {
            (*held, *known) = (stamp, write);
        }
    }

    fn meet(&mut self, one: usize, other: usize) -> bool {
        let before = [one, other].map(|node| self.nodes[node].held.clone());
        for (from, to) in [(one, other), (other, one)] {
            if let Some((stamp, write)) = self.nodes[from].held.clone() {
                self.take(to, stamp, write);
            }
        }
        before != [one, other].map(|node| self.nodes[node].held.clone())
    }

    /// Which write all hold in the end.
    fn agreed(mut self) -> Option<usize> {
        let count = self.nodes.len();
        let mut rounds = 0;
        while (0..count).fold(false, |any, node| self.meet(node, (node + 1) % count) | any) {
            rounds += 1;
            assert!(rounds < 20, "they go on and on");
        }
        let first = self.nodes[0].held.clone();
        assert!(self.nodes.iter().all(|node| node.held == first));
        first.map(|(_, write)| write)
    }

    /// A write that all hold in the end although some user wrote over it.
    fn resurrected(self) -> Option<usize> {
        let told = self.told.clone();
        let stays = self.agreed()?;
        told.iter().any(|(_, known)| known.contains(&stays)).then_some(stays)
    }
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 0..5_usize;
    let lease = prop_oneof![4 => Just(LEASE), 1 => Just(5_u32)];
    prop_oneof![
        3 => prop_oneof![Just(0), Just(1), 1..5_u64, 30..70_u64, Just(3_601)].prop_map(Step::Wait),
        4 => (node(), proptest::bool::weighted(0.3), lease)
            .prop_map(|(node, deletes, lease)| Step::Write { node, deletes, lease }),
        4 => (node(), 0..30_usize).prop_map(|(node, write)| Step::Hear { node, write }),
        1 => (node(), node()).prop_map(|(one, other)| Step::Meet(one, other)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn replicas_agree_whoever_writes_when_and_hears_of_what(
        leasing in any::<bool>(),
        ahead in vec(-60..=60_i64, 2..5),
        steps in vec(step(), 1..20),
    ) {
        let mut replicas = Replicas::new(leasing, &ahead);
        steps.iter().for_each(|step| replicas.apply(step));
        let last = replicas.told.clone();
        let agreed = replicas.agreed();
        prop_assert_eq!(agreed.is_some(), !last.is_empty());
    }

    #[test]
    fn without_leases_no_write_comes_back_that_was_written_over(
        ahead in vec(-60..=60_i64, 2..5),
        steps in vec(step(), 1..20),
    ) {
        let mut replicas = Replicas::new(false, &ahead);
        steps.iter().for_each(|step| replicas.apply(step));
        prop_assert_eq!(replicas.resurrected(), None);
    }

    #[test]
    fn without_leases_the_latest_write_stays_and_of_two_in_a_second_that_of_the_smaller_owner(
        (one, other) in (plain(), plain()),
    ) {
        let rank = |write: &Stamp| {
            let version = &write.version;
            (version.time, std::cmp::Reverse(version.owner.clone()))
        };
        prop_assume!(rank(&one) != rank(&other));
        let stays = met(&one, &other);
        prop_assert_eq!(rank(&stays), rank(&one).max(rank(&other)));
    }

    #[test]
    fn a_write_wins_over_what_it_was_permitted_to_replace(
        (leasing, held) in prop_oneof![
            stamp(true).prop_map(|held| (true, held)),
            stamp(false).prop_map(|held| (false, held)),
        ],
        number in 1..4_u8,
        wait in prop_oneof![0..3_u64, 0..3_u64, 3_600..3_603_u64],
        lease in 1..=LEASE,
        content in proptest::option::of(0..3_u64),
    ) {
        // Who writes dates it not before what it follows, and what is older is not looked at.
        let time = held.version.time + wait;
        let me = owner(number);
        let of_held = (!held.is_tombstone()).then_some((&held.version.owner, held.version.time));
        prop_assume!(permits(leasing, false, of_held, (&me, time), time, held.lease));
        let lease = if leasing { lease } else { 0 };
        let new = Write { owner: &me, time, lease, content }.over(Some(&held));
        prop_assert_eq!(settled(held.clone(), new.clone()).0, Winner::New, "{:?} {:?}", new, held);
        prop_assert_eq!((&new.version.owner, new.version.time, new.lease), (&me, time, lease));
        prop_assert!(new.version.start <= new.version.time);
    }
}

/// What a node without leases makes of a write to a key that is free.
fn plain() -> impl Strategy<Value = Stamp> {
    (second(), 1..4_u8, 0..9_u64).prop_map(|(time, number, content)| {
        Write { owner: &owner(number), time, lease: 0, content: Some(content) }.over(None)
    })
}

/// A write `seconds` after the beginning, over what is held.
fn write(number: u8, seconds: u64, content: Option<u64>, held: Option<&Stamp>) -> Stamp {
    let owner = owner(number);
    Write { owner: &owner, time: BEGIN + seconds, lease: LEASE, content }.over(held)
}

#[test]
fn who_took_a_free_key_first_keeps_it_and_in_the_same_second_the_smaller_owner() {
    let (first, later) = (write(2, 0, Some(1), None), write(1, 1, Some(2), None));
    assert_eq!(met(&first, &later), first);
    let same_second = write(1, 0, Some(2), None);
    assert_eq!(met(&first, &same_second), same_second);
}

#[test]
fn an_owner_renews_as_long_as_the_lease_lasts_and_takes_a_key_anew_after() {
    let first = write(1, 0, Some(1), None);
    let end = u64::from(LEASE) + 1;
    let renewed = write(1, end - 1, Some(2), Some(&first));
    assert_eq!(renewed.version.start, BEGIN);
    assert_eq!(renewed.version.after, 0);
    let anew = write(1, end, Some(2), Some(&first));
    assert_eq!(anew.version.start, BEGIN + end);
    assert_eq!(anew.version.after, first.end());
    assert_eq!(first.end(), 1_000 * (BEGIN + end));
}

#[test]
fn of_two_renewals_in_a_second_the_one_written_last_wins() {
    let first = write(1, 0, Some(9), None);
    let second = write(1, 0, Some(1), Some(&first));
    let third = write(1, 0, Some(5), Some(&second));
    assert_eq!([&first, &second, &third].map(|it| it.version.seq), [0, 1, 2]);
    assert_eq!(met(&met(&third, &first), &second), third);
}

#[test]
fn who_took_over_wins_even_over_a_renewal_that_they_had_not_heard_of() {
    let first = write(1, 0, Some(1), None);
    let renewed = write(1, 3_000, Some(2), Some(&first));
    let taken_over = write(2, 3_601, Some(3), Some(&first));
    assert_eq!(met(&renewed, &taken_over), taken_over);
}

#[test]
fn a_later_tenure_follows_one_that_its_author_had_not_heard_of() {
    let ended = write(1, 0, Some(1), None);
    let unaware = write(2, 3_601, Some(2), None);
    let stays = met(&ended, &unaware);
    assert_eq!(stays.content, Some(2));
    assert_eq!(stays.version.after, ended.end());
    // A second earlier the lease has not ended.
    let too_early = write(2, 3_600, Some(2), None);
    assert_eq!(met(&ended, &too_early), ended);
}

#[test]
fn a_deleted_key_is_free_at_once_but_no_older_write_takes_it() {
    let set = write(1, 0, Some(1), None);
    let deleted = write(1, 5, None, Some(&set));
    assert_eq!(met(&set, &deleted), deleted);
    let renewal_that_came_late = write(1, 4, Some(2), Some(&set));
    assert_eq!(met(&deleted, &renewal_that_came_late), deleted);
    let taken = write(2, 5, Some(3), Some(&deleted));
    for taken in [&taken, &write(1, 5, Some(3), Some(&deleted))] {
        // It is a tenure of its own, also within the second of the deletion.
        assert_eq!((taken.version.after, taken.version.seq), (deleted.end(), 0));
    }
    assert_eq!(met(&deleted, &taken), taken);
    // Its author had not heard of anything.
    assert_eq!(met(&deleted, &write(2, 6, Some(3), None)).content, Some(3));
    assert_eq!(met(&deleted, &write(2, 5, Some(3), None)), deleted);
}

#[test]
fn a_key_set_and_deleted_over_and_over_within_a_second_ends_as_the_last_write_left_it() {
    let mut held = write(1, 0, Some(0), None);
    let mut all = vec![held.clone()];
    for round in 1..3_000 {
        let content = (round % 2 == 0).then_some(round);
        held = write(1, 0, content, Some(&held));
        all.push(held.clone());
    }
    let stays = all.iter().fold(all[0].clone(), |stays, it| met(&stays, it));
    assert_eq!(stays, held);
    assert_eq!(all.iter().rev().fold(all[0].clone(), |stays, it| met(&stays, it)), held);
}

#[test]
fn the_end_of_a_lease_is_what_it_says_and_saturates() {
    let mut set = write(1, 0, Some(1), None);
    set.lease = 10;
    assert_eq!(set.end(), 1_000 * (BEGIN + 11));
    set.lease = 0;
    assert_eq!(set.end(), 1_000 * BEGIN);
    set.version.time = u64::MAX;
    set.lease = LEASE;
    assert_eq!(set.end(), u64::MAX);
}

#[test]
fn what_one_write_of_a_tenure_has_learnt_is_no_advantage_over_its_later_ones() {
    // A tenure that has ended, of which neither author has heard.
    let ended = write(3, 0, Some(0), None);
    let first = write(1, 4_000, Some(1), None);
    let learnt = met(&ended, &first);
    assert_eq!(learnt.version.after, ended.end());
    for content in [Some(2), None] {
        for seconds in [4_000, 4_001, 7_000] {
            let later = write(1, seconds, content, Some(&first));
            assert_eq!(met(&learnt, &later).content, content);
        }
    }
}

#[test]
fn who_took_a_key_in_the_same_second_wins_over_what_the_other_has_learnt() {
    let ended = write(3, 0, Some(0), None);
    let first = write(2, 4_000, Some(1), None);
    let renewed = write(2, 4_005, Some(2), Some(&first));
    for held in [first, renewed] {
        let seconds = held.version.time - BEGIN;
        let taken = write(1, seconds, Some(3), Some(&held));
        assert_eq!(met(&met(&ended, &held), &taken).content, Some(3));
        let deleted = write(1, seconds + 1, None, Some(&taken));
        assert_eq!(met(&met(&ended, &held), &deleted).content, None);
    }
}
