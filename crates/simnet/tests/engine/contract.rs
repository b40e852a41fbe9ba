//! Whatever happens, the engine keeps the driver's side of the contract.

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;
use rs2p_base::{Endpoint, LinkId, Time};
use rs2p_simnet::{
    Crash, Datagrams, Effect, Latency, Network, NodeIndex, NodeSet, Rule, RuleId, Sim, TraceDigest,
    stream,
};

use crate::toy::{Seen, Toy};
use crate::{MILLI, SECOND, toy, toys};

const NODES: u32 = 6;

fn network(rng: &mut Xoshiro256PlusPlus) -> Network {
    let latency = rng.random_range(0..40 * MILLI);
    Network {
        latency: Latency::uniform(latency, 2 * latency),
        jitter: [0, 5 * MILLI, 100 * MILLI][rng.random_range(0..3)],
        bandwidth: [None, Some(5_000)][rng.random_range(0..2)],
        buffer: [None, Some(0), Some(1_000)][rng.random_range(0..3)],
        send_queue: [1_500, 1 << 20][rng.random_range(0..2)],
        dial_timeout: [500 * MILLI, 5 * SECOND][rng.random_range(0..2)],
        datagrams: Datagrams::default(),
    }
}

fn some(rng: &mut Xoshiro256PlusPlus) -> NodeSet {
    (0..NODES).filter(|_| rng.random()).map(NodeIndex).collect()
}

fn others(node: NodeIndex) -> Vec<Endpoint> {
    let others = (0..NODES).map(NodeIndex).filter(|other| *other != node);
    // One that has never been there.
    others.chain([NodeIndex(1_000)]).map(NodeIndex::address).collect()
}

fn start(sim: &mut Sim<Toy>, node: NodeIndex) {
    sim.call(node, |toy, now| toy.be_wild(now, others(node)));
}

/// Lets wild toys and faults have their way for a while, and then everything be well.
fn ordeal(seed: u64) -> Sim<Toy> {
    let mut rng = stream(seed, "ordeal", 0);
    let mut sim = toys(seed, network(&mut rng), NODES);
    sim.nodes().for_each(|node| start(&mut sim, node));
    let mut rules: Vec<RuleId> = Vec::new();
    for _ in 0..80 {
        sim.run_for(rng.random_range(0..500 * MILLI));
        let node = NodeIndex(rng.random_range(0..NODES));
        match rng.random_range(0..12) {
            0 => sim.crash(node, Crash::Process),
            1 => sim.crash(node, Crash::Host),
            2..=4 => {
                if sim.restart(node, |address, seed, _| Toy::new(address, seed)) {
                    start(&mut sim, node);
                }
            }
            5 => {
                sim.pause(node);
            }
            6 => {
                sim.slow_down(node, rng.random_range(0..100 * MILLI));
            }
            7 => {
                sim.resume(node);
            }
            8 => {
                let effects = [
                    Effect::Block,
                    Effect::Delay(rng.random_range(0..2 * SECOND)),
                    Effect::Bandwidth(1_000),
                    Effect::Break(0.1),
                ];
                let effect = effects[rng.random_range(0..effects.len())];
                let (from, to) = (some(&mut rng), some(&mut rng));
                rules.push(sim.add_rule(Rule { from, to, effect }));
            }
            9 if !rules.is_empty() => {
                let rule = rules.remove(rng.random_range(0..rules.len()));
                sim.remove_rule(rule);
            }
            10 => {
                if let Some(link) = sim.links_of(node).first().copied() {
                    sim.reset_link(link);
                }
            }
            _ => sim.set_skew(node, rng.random_range(-5_000..5_000)),
        }
    }
    for rule in rules {
        sim.remove_rule(rule);
    }
    for node in sim.nodes() {
        sim.resume(node);
        sim.set_skew(node, 0);
        sim.call(node, |toy, _| toy.be_calm());
    }
    sim.run_for(120 * SECOND);
    sim
}

#[test]
fn through_all_kinds_of_faults_links_open_and_end_once_and_dials_are_answered_once() {
    let mut seen = [0; 5];
    for seed in 0..60 {
        let sim = ordeal(seed);
        assert_eq!(sim.pending(), 0, "seed {seed}");
        for node in sim.nodes().filter(|node| sim.is_up(*node)) {
            let toy = toy(&sim, node);
            assert!(toy.pending.is_empty(), "seed {seed}, {node}: {:?}", toy.pending);
            let mut open = sim.links_of(node).to_vec();
            open.sort_unstable();
            assert_eq!(toy.links(), open, "seed {seed}, {node}");
            for link in open {
                compare(&sim, node, link);
            }
            for (_, event) in &toy.log {
                seen[match event {
                    Seen::Opened { .. } => 0,
                    Seen::Closed { .. } => 1,
                    Seen::Failed { .. } => 2,
                    Seen::Heard { .. } => 3,
                    _ => 4,
                }] += 1;
            }
        }
    }
    assert!(seen.iter().all(|times| *times > 300), "{seen:?}");
}

/// What one end of a link has said in the end is what the other has heard, if it is still there.
fn compare(sim: &Sim<Toy>, node: NodeIndex, link: LinkId) {
    let peer = sim.peer_of(link).unwrap();
    let Some(other) = sim.machine(peer) else { return };
    let (said, heard) = toy(sim, node).tally(link);
    let tallies: Vec<_> = other.links().into_iter().map(|link| other.tally(link)).collect();
    let is_there = tallies.contains(&(heard, said));
    // A host that went down without a word and came back knows of no link.
    assert!(is_there || sim.lives(peer) > 1, "{said} said, {heard} heard, {tallies:?}");
}

#[test]
fn the_same_ordeal_is_the_same_to_the_last_detail() {
    let run = |seed| {
        let sim = ordeal(seed);
        let logs: Vec<_> = sim.nodes().map(|it| sim.machine(it).map(|it| it.log.clone())).collect();
        (sim.digest(), sim.counts(), logs)
    };
    let (one, again) = (run(7), run(7));
    assert_eq!((one.0, one.1), (again.0, again.1));
    assert!(one.2 == again.2);
    let digests: Vec<TraceDigest> = (0..8).map(|seed| ordeal(seed).digest()).collect();
    for (number, digest) in digests.iter().enumerate() {
        assert!(!digests[..number].contains(digest));
    }
}

#[test]
fn more_nodes_at_the_end_change_nothing_for_the_others() {
    let run = |more: u32| {
        let mut sim = toys(3, Network::default(), NODES + more);
        for node in (0..NODES).map(NodeIndex) {
            start(&mut sim, node);
        }
        for node in NODES..NODES + more {
            let other = if node == NODES { NODES + more - 1 } else { NODES };
            let others = vec![NodeIndex(other).address()];
            sim.call(NodeIndex(node), |toy, now| toy.be_wild(now, others));
        }
        sim.run_for(60 * SECOND);
        let heard = |(at, seen): &(Time, Seen)| match seen {
            Seen::Heard { number, .. } => Some((*at, *number)),
            _ => None,
        };
        let heard = |node| toy(&sim, NodeIndex(node)).log.iter().filter_map(heard).collect();
        let heard: Vec<Vec<(Time, u64)>> = (0..NODES + more).map(heard).collect();
        heard
    };
    let (alone, with_more) = (run(0), run(3));
    assert!(with_more.iter().all(|heard| heard.len() > 100));
    assert_eq!(with_more[..NODES as usize], alone);
}
