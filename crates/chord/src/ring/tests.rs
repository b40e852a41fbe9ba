//! Every order of joining, dying and stabilising in a small ring.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Nodes, and the length of successor lists.
const NODES: u8 = 5;
const LENGTH: usize = 2;

/// All members, and the answers that are under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Network {
    members: BTreeMap<u8, Ring<u8>>,
    /// Ids that were members and died: they do not come back under the same name.
    dead: BTreeSet<u8>,
    /// Answers on their way: to whom, from whom, what.
    answers: BTreeSet<(u8, u8, View<u8>)>,
    /// Notices on their way: to whom, from whom.
    notices: BTreeSet<(u8, u8)>,
}

impl Network {
    fn born(members: &[u8]) -> Self {
        let ring = |me: &u8| (*me, Ring::born(*me, LENGTH, members));
        Self {
            members: members.iter().map(ring).collect(),
            dead: BTreeSet::new(),
            answers: BTreeSet::new(),
            notices: BTreeSet::new(),
        }
    }

    fn is_live(&self, node: u8) -> bool {
        self.members.contains_key(&node)
    }

    fn ask(&mut self, by: u8, of: u8) {
        match self.members.get(&of) {
            Some(asked) => {
                let view = asked.view();
                self.answers.insert((by, of, view));
            }
            None => self.members.get_mut(&by).unwrap().on_dead(of),
        }
    }

    /// All that may happen next.
    fn next(&self) -> Vec<(String, Network)> {
        let mut all = Vec::new();
        let mut add = |what: String, change: &dyn Fn(&mut Network)| {
            let mut network = self.clone();
            change(&mut network);
            all.push((what, network));
        };
        for node in 0..NODES {
            if self.is_live(node) {
                let ring = &self.members[&node];
                if !self.answers.iter().any(|(to, ..)| *to == node)
                    && let Some(next) = ring.successor()
                {
                    add(format!("{node} asks {next}"), &|network| network.ask(node, next));
                }
                if self.may_die(node) {
                    add(format!("{node} dies"), &|network| {
                        network.members.remove(&node);
                        network.dead.insert(node);
                        network.answers.retain(|(to, ..)| *to != node);
                        network.notices.retain(|(to, _)| *to != node);
                    });
                }
            } else if !self.dead.contains(&node) {
                for (id, ring) in &self.members {
                    let next = ring.successor().filter(|next| between(*id, node, *next));
                    if next.is_some() {
                        add(format!("{node} joins behind {id}"), &|network| {
                            let view = network.members[id].view();
                            let joined = Ring::joined(node, LENGTH, *id, &view);
                            network.members.insert(node, joined);
                        });
                    }
                }
            }
        }
        for answer in &self.answers {
            let (to, from, view) = answer;
            add(format!("{to} hears {from}: {view:?}"), &|network| {
                network.answers.remove(answer);
                let step = network.members.get_mut(to).unwrap().on_view(*from, view);
                match step {
                    Some(Step::Ask(of)) if network.is_live(of) => network.ask(*to, of),
                    // Who does not answer is no successor; the one that did hears of this member.
                    Some(Step::Ask(_)) => drop(network.notices.insert((*from, *to))),
                    Some(Step::Notify(next)) => drop(network.notices.insert((next, *to))),
                    None => {}
                }
            });
        }
        for notice in &self.notices {
            let (to, from) = notice;
            add(format!("{to} is notified by {from}"), &|network| {
                network.notices.remove(notice);
                let predecessor = network.members.get(to).and_then(Ring::predecessor);
                let is_dead = predecessor.is_none_or(|it| !network.is_live(it));
                if let Some(ring) = network.members.get_mut(to) {
                    ring.on_notify(*from, is_dead);
                }
            });
        }
        all
    }

    /// The assumption of every proof: not so many die that somebody is left alone, nor so many that
    /// the ring is too small.
    fn may_die(&self, node: u8) -> bool {
        let mut after = self.clone();
        after.members.remove(&node);
        after.answers.retain(|(to, ..)| *to != node);
        // A list that is under way counts as one that somebody has.
        let has_live = |(_, from, view): &(u8, u8, View<u8>)| {
            std::iter::once(from).chain(&view.successors).take(LENGTH).any(|it| after.is_live(*it))
        };
        after.members.len() > LENGTH
            && after.sure_principals().len() > LENGTH
            && after.lonely().is_none()
            && self.answers.iter().filter(|(to, ..)| *to != node).all(has_live)
    }

    /// A member without a live successor.
    fn lonely(&self) -> Option<u8> {
        let is_lonely =
            |ring: &&Ring<u8>| !ring.successors().iter().any(|next| self.is_live(*next));
        self.members.values().find(is_lonely).map(Ring::me)
    }

    /// Members that no successor list leaves out.
    fn principals(&self) -> BTreeSet<u8> {
        self.left_out_by_none(self.members.values().map(Self::list).collect())
    }

    fn list(ring: &Ring<u8>) -> Vec<u8> {
        std::iter::once(ring.me()).chain(ring.successors().iter().copied()).collect()
    }

    /// As [`principals`](Self::principals), where lists that are under way count as well.
    fn sure_principals(&self) -> BTreeSet<u8> {
        let lists = self.members.values().map(Self::list);
        let coming = self.answers.iter().filter_map(|(to, from, view)| {
            let mut ring = self.members.get(to)?.clone();
            ring.on_view(*from, view);
            Some(Self::list(&ring))
        });
        self.left_out_by_none(lists.chain(coming).collect())
    }

    fn left_out_by_none(&self, lists: Vec<Vec<u8>>) -> BTreeSet<u8> {
        let is_left_out = |node: u8| {
            lists.iter().any(|list| list.windows(2).any(|pair| between(pair[0], node, pair[1])))
        };
        self.members.keys().copied().filter(|node| !is_left_out(*node)).collect()
    }

    fn broken(&self) -> Option<String> {
        if let Some(lonely) = self.lonely() {
            return Some(format!("{lonely} has no live successor"));
        }
        let principals = self.principals();
        (principals.len() <= LENGTH).then(|| format!("only {principals:?} are left out by nobody"))
    }

    /// Everybody asks and is heard, over and over, and nobody comes or goes.
    fn quieten(&mut self) {
        for _ in 0..20 {
            for node in 0..NODES {
                let Some(next) = self.members.get(&node).and_then(Ring::successor) else {
                    continue;
                };
                self.ask(node, next);
                while let Some(pending) = self.pending() {
                    *self = pending;
                }
            }
        }
    }

    /// What comes of the first answer or notice that is under way.
    fn pending(&self) -> Option<Network> {
        let deliveries = self.answers.len() + self.notices.len();
        let all = self.next();
        (deliveries > 0).then(|| all[all.len() - deliveries].1.clone())
    }

    fn is_ideal(&self) -> bool {
        let members: Vec<u8> = self.members.keys().copied().collect();
        self.members.values().all(|ring| *ring == Ring::born(ring.me(), LENGTH, &members))
    }
}

/// A state, and how it came about: from which one, by what.
struct Reached {
    network: Network,
    from: usize,
    by: String,
}

/// Looks at every order of events up to so many of them. How many states there are.
fn explore(depth: usize) -> usize {
    let first = Network::born(&[0, 2, 4]);
    let mut seen = BTreeSet::from([first.clone()]);
    let mut reached = vec![Reached { network: first, from: 0, by: String::new() }];
    let mut begin = 0;
    for _ in 0..depth {
        let end = reached.len();
        for from in begin..end {
            for (by, network) in reached[from].network.next() {
                if !seen.insert(network.clone()) {
                    continue;
                }
                if let Some(what) = network.broken() {
                    let mut path = vec![by];
                    let mut at = from;
                    while at > 0 {
                        path.push(reached[at].by.clone());
                        at = reached[at].from;
                    }
                    path.reverse();
                    panic!("{what} after {path:#?}");
                }
                reached.push(Reached { network, from, by });
            }
        }
        begin = end;
    }
    // From wherever a ring has come, it becomes the one it should be.
    for Reached { network, .. } in reached.iter().step_by(97) {
        let mut network = network.clone();
        network.quieten();
        assert!(network.is_ideal(), "{network:#?}");
    }
    reached.len()
}

#[test]
fn everything_but_the_point_itself_lies_between_it_and_itself() {
    assert!(between(1, 2, 3) && !between(1, 3, 3) && !between(1, 1, 3) && !between(1, 4, 3));
    assert!(between(3, 4, 1) && between(3, 0, 1) && !between(3, 2, 1) && !between(3, 1, 1));
    assert!(between(2, 3, 2) && between(2, 1, 2) && !between(2, 2, 2));
}

#[test]
fn a_member_owns_what_lies_from_its_id_up_to_the_next() {
    let ring = Ring::born(4, LENGTH, &[0, 2, 4]);
    assert_eq!((ring.successors(), ring.predecessor()), (&[0, 2][..], Some(2)));
    let owned: Vec<u8> = (0..8).filter(|position| ring.owns(*position)).collect();
    assert_eq!(owned, [4, 5, 6, 7]);
    let alone = Ring::born(4, LENGTH, &[4]);
    assert!((0..8).all(|position| alone.owns(position)));
    assert_eq!(alone.successor(), None);
}

#[test]
fn who_was_alone_and_is_notified_has_a_ring_of_two() {
    let mut one = Ring::born(4, LENGTH, &[4]);
    let mut two = Ring::joined(6, LENGTH, 4, &one.view());
    assert_eq!((two.successor(), two.predecessor()), (Some(4), Some(4)));
    one.on_notify(6, false);
    assert_eq!((one.successor(), one.predecessor()), (Some(6), Some(6)));
    assert_eq!(two.on_view(4, &one.view()), Some(Step::Notify(4)));
    assert_eq!(two.successors(), [4]);
}

#[test]
fn who_is_not_near_is_not_listened_to() {
    let mut ring = Ring::born(0, LENGTH, &[0, 2, 4]);
    let far = View { predecessor: Some(2), successors: vec![0, 2] };
    assert_eq!(ring.on_view(4, &far), None);
    assert_eq!(ring.successors(), [2, 4]);
    let near = View { predecessor: Some(0), successors: vec![2, 4] };
    assert_eq!(ring.on_view(1, &near), Some(Step::Notify(1)));
    assert_eq!(ring.successors(), [1, 2]);
}

#[test]
fn no_order_of_events_breaks_a_ring_of_five() {
    assert!(explore(12) > 10_000);
}

#[test]
#[ignore = "takes minutes: cargo test --release -p rs2p-chord -- --ignored"]
fn no_long_order_of_events_breaks_a_ring_of_five() {
    let depth = std::env::var("RS2P_DEPTH").ok().and_then(|depth| depth.parse().ok());
    let states = explore(depth.unwrap_or(22));
    assert!(states > 500_000, "{states}");
}
