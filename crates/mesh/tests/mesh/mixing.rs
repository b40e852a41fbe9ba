//! How a network mixes and stays in one piece: peers that fell silent, swaps, joining.

use rs2p_base::{CloseReason, Time};
use rs2p_mesh::{MeshConfig, MeshEvent};
use rs2p_wire::{IdForm, SubFlag};

use crate::harness::{Net, Who, address, id};
use crate::{dialled_by, passive, seeded};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

fn with_outgoing(max_outgoing: usize, seeds: &[u8]) -> MeshConfig {
    MeshConfig { max_outgoing, ..seeded(seeds) }
}

/// Nodes that open no links by themselves, each linked to each.
fn add_circle(net: &mut Net, numbers: &[u8]) {
    for (at, number) in numbers.iter().enumerate() {
        net.add(*number, passive());
        for other in &numbers[..at] {
            net.connect(*number, *other);
        }
    }
}

/// When a node has dialled another since then, in seconds.
fn dials(net: &Net, since: Time, from: u8, to: u8) -> Vec<u64> {
    let is_it =
        |(at, by, there): &&(Time, u8, _)| *at >= since && (*by, there) == (from, &address(to));
    net.dials.iter().filter(is_it).map(|(at, ..)| at.since(since).as_secs()).collect()
}

/// Nothing comes from a node any more, and nothing reaches it. Tells when.
fn silence(net: &mut Net, from: u8, to: u8) -> Time {
    net.cut_silently(net.link(Who::Node(from), Who::Node(to)));
    net.silent.insert(address(to));
    net.now
}

/// Why which peers were lost since a node was asked last.
fn lost(net: &mut Net, number: u8) -> Vec<(u8, CloseReason)> {
    let lost = |event| match event {
        MeshEvent::Disconnected { peer, reason } => Some((peer.to_bytes()[0], reason)),
        _ => None,
    };
    net.events(number).into_iter().filter_map(lost).collect()
}

/// Node 1, linked to 2 and 3, of which it needs only one.
fn with_one_to_spare(max_outgoing: usize) -> Net {
    let mut net = Net::new();
    net.add(1, with_outgoing(max_outgoing, &[]));
    for number in [2, 3] {
        net.add(number, passive());
        net.connect(1, number);
    }
    net
}

#[test]
fn a_peer_that_fell_silent_is_looked_for_ever_more_seldom_and_forgotten_after_a_day() {
    let mut net = with_one_to_spare(1);
    let gone = silence(&mut net, 1, 2);
    net.run_for(30 * HOUR);
    let dials = dials(&net, gone, 1, 2);
    let early = dials.iter().filter(|at| **at < 5 * 60).count();
    assert!((10..25).contains(&early), "{dials:?}");
    let mut longest = 0;
    for pair in dials.windows(2).filter(|pair| pair[0] > 300) {
        let (wait, away) = (pair[1] - pair[0], pair[0]);
        assert!((away / 13..away / 5).contains(&wait), "{wait} s after {away} s");
        longest = longest.max(wait);
    }
    assert!(longest > 3_600 && dials.len() < 80, "{dials:?}");
    let last = *dials.last().unwrap();
    assert!((18 * 3_600..25 * 3_600).contains(&last), "{last}");
}

#[test]
fn one_that_is_there_again_is_a_peer_again_and_looked_for_no_more() {
    let mut net = with_one_to_spare(1);
    silence(&mut net, 1, 2);
    net.run_for(30 * MINUTE);
    assert_eq!(net.peer_numbers(1), [3]);
    net.silent.clear();
    net.run_for(6 * MINUTE);
    assert_eq!(net.peer_numbers(1), [2, 3]);
    let back = net.now;
    net.run_for(HOUR);
    assert_eq!(dials(&net, back, 1, 2).len(), 0);
    // Whoever comes back by itself is not looked for either.
    silence(&mut net, 1, 2);
    net.run_for(2 * MINUTE);
    net.connect(2, 1);
    net.silent.clear();
    let back = net.now;
    net.run_for(HOUR);
    assert_eq!((dials(&net, back, 1, 2), net.peer_numbers(1)), (vec![], vec![2, 3]));
}

#[test]
fn a_peer_that_closed_its_link_is_not_looked_for() {
    let mut net = with_one_to_spare(1);
    let gone = net.now;
    net.call(2, |mesh, now| mesh.disconnect(now, id(1)));
    net.run_for(2 * HOUR);
    assert_eq!(dials(&net, gone, 1, 2).len(), 0);
}

#[test]
fn a_node_that_is_to_open_no_links_dials_nobody_whatever_happens() {
    let mut net = Net::new();
    add_circle(&mut net, &[2, 3, 4]);
    net.add(1, MeshConfig { max_outgoing: 0, ..seeded(&[2]) });
    for number in [2, 3] {
        net.connect(number, 1);
    }
    net.run_for(10 * MINUTE);
    net.cut_silently(net.link(Who::Node(1), Who::Node(2)));
    net.cut(net.link(Who::Node(1), Who::Node(3)));
    net.run_for(HOUR);
    assert_eq!((dialled_by(&net, 1), net.peers(1)), (vec![], vec![]));
}

#[test]
fn a_link_from_outside_that_fell_silent_is_replaced_beyond_the_usual_number_for_a_while() {
    let mut net = Net::new();
    add_circle(&mut net, &[2, 3, 4, 5, 6, 7]);
    net.add(1, with_outgoing(2, &[2]));
    net.run_for(5_000);
    let incoming = [2, 3, 4, 5, 6, 7].map(|it| (it, net.peer_numbers(1).contains(&it)));
    let incoming = incoming.iter().find(|(_, is_peer)| !is_peer).unwrap().0;
    net.connect(incoming, 1);
    let outgoing = |net: &Net| net.mesh(1).status(net.now).outgoing;
    assert!((2..=3).contains(&outgoing(&net)), "one more while two swap places");
    silence(&mut net, 1, incoming);
    let mut most = 0;
    for _ in 0..900 {
        net.run_for(100);
        most = most.max(outgoing(&net));
    }
    // While two links swap places there is one more.
    assert!((3..=4).contains(&most), "{most}");
    net.run_for(2 * MINUTE);
    assert!((2..=3).contains(&outgoing(&net)));
    let exchanged = |(_, reason): &(u8, CloseReason)| *reason == CloseReason::Exchanged;
    assert!(lost(&mut net, 1).iter().any(exchanged));
}

#[test]
fn a_link_too_many_stays_where_no_peer_is_shared_and_is_asked_about_ever_more_seldom() {
    for shares_one in [false, true] {
        let mut net = Net::new();
        for number in [2, 3, 4, 5] {
            net.add(number, passive());
        }
        if shares_one {
            net.connect(2, 3);
        }
        net.add(1, with_outgoing(2, &[2, 3, 4]));
        net.run_for(1_000);
        net.connect(5, 1);
        silence(&mut net, 1, 5);
        net.run_for(10 * MINUTE);
        if shares_one {
            assert_eq!(net.peers(1).len(), 2);
            continue;
        }
        assert_eq!(net.peer_numbers(1), [2, 3, 4], "two, and one in the place of node 5");
        let before = net.frames;
        net.run_for(HOUR);
        let frames = net.frames - before;
        assert_eq!(net.peer_numbers(1), [2, 3, 4]);
        // A sign of life and its answer for each link, twice a minute, from either end.
        let signs = 3 * 60 * 2 * 2 * 2;
        assert!(frames < signs + 100, "{frames} frames");
    }
}

#[test]
fn a_swap_replaces_a_peer_by_one_of_its_peers_and_ends_its_link_two_seconds_later() {
    let mut net = Net::new();
    add_circle(&mut net, &[2, 3]);
    net.add(1, with_outgoing(1, &[2]));
    let begin = net.now;
    while !net.peer_numbers(1).contains(&3) {
        net.run_for(10);
        assert!(net.now < begin + std::time::Duration::from_secs(5));
    }
    let swapped = net.now;
    assert_eq!(net.peer_numbers(1), [2, 3]);
    net.events(2);
    net.events(1);
    while net.peers(1).len() > 1 {
        net.run_for(10);
    }
    let millis = net.now.since(swapped).as_millis();
    assert!((1_980..=2_020).contains(&millis), "{millis} ms");
    assert_eq!(lost(&mut net, 1), [(2, CloseReason::Exchanged)]);
    net.run_for(100);
    assert_eq!(lost(&mut net, 2), [(1, CloseReason::PeerClosed)]);
    assert!(net.mesh(1).status(net.now).problems.is_empty());
}

#[test]
fn what_is_said_while_a_link_gives_way_is_heard_once() {
    let mut net = Net::new();
    add_circle(&mut net, &[2, 3]);
    net.add(1, with_outgoing(1, &[2]));
    net.run_for(1_000);
    (1..=3).for_each(|number| drop(net.texts(number)));
    for step in 0..300_u64 {
        for number in 1..=3 {
            let text = format!("{step} from {number}");
            net.call(number, |mesh, now| mesh.broadcast(now, [text.into()])).unwrap();
        }
        net.run_for(100);
    }
    net.run_for(5_000);
    for number in 1..=3 {
        let mut texts = net.texts(number);
        let count = texts.len();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!((count, texts.len()), (600, 600), "node {number}");
    }
}

#[test]
fn swaps_get_ever_rarer() {
    let mut net = Net::new();
    add_circle(&mut net, &[2, 3, 4]);
    net.add(1, with_outgoing(1, &[2]));
    let begin = net.now;
    let mut swaps = Vec::new();
    while net.now < begin + std::time::Duration::from_secs(3 * 3_600) {
        net.run_for(1_000);
        let gone = lost(&mut net, 1);
        assert!(gone.iter().all(|(_, reason)| *reason == CloseReason::Exchanged), "{gone:?}");
        swaps.extend(gone.iter().map(|_| net.now.since(begin).as_secs()));
    }
    let between = |from, to| swaps.iter().filter(|at| (from..to).contains(*at)).count();
    assert!((4..=8).contains(&between(0, 75)), "{swaps:?}");
    assert!((10..=20).contains(&between(0, 3_600)), "{swaps:?}");
    for pair in swaps.windows(2).filter(|pair| pair[0] > 3_600) {
        assert!((440..=1_600).contains(&(pair[1] - pair[0])), "{swaps:?}");
    }
    assert!(between(3_600, 10_800) >= 5, "{swaps:?}");
}

#[test]
fn the_link_of_an_old_peer_never_gives_way() {
    for form in [IdForm::Bin, IdForm::Str] {
        let mut net = Net::new();
        net.add(3, passive());
        net.add_old(2, form);
        net.old_mut(2).answers = false;
        net.add(1, with_outgoing(1, &[2]));
        net.run_for(1_000);
        let (link, asked) = (net.peers(1)[0].link, net.old(2).heard_of(SubFlag::Request).len());
        for _ in 0..60 {
            let list = net.old(2).list(net.now, vec![net.old(2).entry(3)]);
            net.say(2, &list);
            net.run_for(MINUTE);
        }
        assert_eq!(net.peers(1).iter().map(|peer| peer.link).collect::<Vec<_>>(), [link]);
        assert_eq!((net.old(2).closed.len(), dialled_by(&net, 1)), (0, vec![address(2)]));
        let requests = net.old(2).heard_of(SubFlag::Request).len() - asked;
        assert!(requests <= 60, "{requests}");
    }
}

#[test]
fn a_link_connected_by_hand_never_gives_way() {
    // By hand from the beginning; while it is dialled anyway; when it is there already.
    for begun in [None, Some(0), Some(1_000)] {
        let mut net = Net::new();
        add_circle(&mut net, &[2, 3, 4]);
        let seeds: &[u8] = if begun.is_some() { &[2] } else { &[] };
        net.add(1, with_outgoing(1, seeds));
        net.run_for(begun.unwrap_or(0));
        net.connect(1, 2);
        let link = net.peers(1)[0].link;
        net.run_for(HOUR);
        assert!(net.peers(1).iter().any(|peer| peer.link == link), "{begun:?}");
        assert_eq!(lost(&mut net, 1), [], "{begun:?}");
    }
}

#[test]
fn a_link_that_is_about_to_give_way_stays_if_it_is_then_connected_by_hand() {
    let mut net = Net::new();
    add_circle(&mut net, &[2, 3]);
    net.add(1, with_outgoing(1, &[2]));
    while !net.peer_numbers(1).contains(&3) {
        net.run_for(10);
    }
    net.connect(1, 2);
    net.run_for(10 * MINUTE);
    assert!(net.peer_numbers(1).contains(&2));
    let gone = lost(&mut net, 1);
    assert!(gone.iter().all(|(number, _)| *number != 2), "{gone:?}");
}

#[test]
fn without_peers_a_node_dials_all_that_it_knows_at_once_and_else_one_after_the_other() {
    let mut net = Net::new();
    add_circle(&mut net, &[2, 3, 4, 5, 6]);
    net.add(100, seeded(&[2, 3, 4, 5]));
    let begin = net.now;
    net.run_for(10_000);
    let times = |net: &Net, number: u8| {
        let own = net.dials.iter().filter(|(_, from, _)| *from == number);
        own.map(|(at, ..)| at.since(begin).as_millis()).collect::<Vec<_>>()
    };
    assert_eq!(times(&net, 100)[..4], [0; 4]);
    net.add(101, seeded(&[2]));
    net.run_for(1_700);
    let times = times(&net, 101);
    assert_eq!(times.len(), 4, "{times:?}");
    // The first one tells of the others after a while.
    assert!(times[1] - times[0] >= 400, "{times:?}");
    assert!(times.windows(2).all(|pair| (400..450).contains(&(pair[1] - pair[0]))), "{times:?}");
}

#[test]
fn a_node_that_joins_walks_away_from_where_it_came_in_by_dialling_of_the_newest_list() {
    let mut net = Net::new();
    net.add(2, passive());
    for branch in 3..=6 {
        net.add(branch, passive());
        net.connect(2, branch);
        for leaf in [10 * branch + 1, 10 * branch + 2] {
            net.add(leaf, passive());
            net.connect(branch, leaf);
        }
    }
    for joiner in 200..210 {
        net.add(joiner, seeded(&[2]));
        net.run_for(1_700);
        let dialled = dialled_by(&net, joiner);
        let branch = (3..=6).find(|it| dialled[1] == address(*it)).unwrap();
        let mut leaves = dialled[2..4].to_vec();
        leaves.sort_unstable();
        let expected = [1, 2].map(|leaf| address(10 * branch + leaf));
        assert_eq!((&dialled[0], &leaves[..]), (&address(2), &expected[..]));
        net.stop(joiner);
        net.run_for(100);
    }
}
