//! Two nodes that find out what one of them lacks, and what that costs.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use rs2p_mesh::MeshConfig;
use rs2p_sync::SyncConfig;
use rs2p_wire::{Message, SubFlag};

use crate::bench::{Bench, COMPARE, Kind, LIST, PeerIndex, RECORDS, WANT, id};

/// Two nodes with a link between them.
struct Two {
    nodes: [Bench; 2],
    peers: [PeerIndex; 2],
    /// Messages and bytes of comparing so far.
    messages: usize,
    bytes: usize,
}

impl Two {
    fn new() -> Self {
        let config = SyncConfig::default();
        let mut nodes = [1, 2].map(|number| {
            let now = rs2p_base::Time::from_secs(crate::bench::BEGIN);
            Bench::at(now, id(number), config.clone(), MeshConfig::default())
        });
        let peers = [0, 1].map(|at| nodes[at].join_as(id(2 - at as u8), Kind::Rs2p));
        Self { nodes, peers, messages: 0, bytes: 0 }
    }

    /// Each hears what the other one has said, until nobody says anything more.
    fn talk(&mut self) {
        loop {
            let mut is_quiet = true;
            for (from, to) in [(0, 1), (1, 0)] {
                for message in self.said(from) {
                    is_quiet = false;
                    self.nodes[to].hear(self.peers[to], message);
                }
            }
            if is_quiet {
                break;
            }
        }
    }

    fn said(&mut self, from: usize) -> Vec<Message> {
        let (node, peer) = (&mut self.nodes[from], self.peers[from]);
        let flags = [COMPARE, LIST, WANT, RECORDS];
        let compared: Vec<_> = flags.iter().flat_map(|flag| node.heard(peer, *flag)).collect();
        self.messages += compared.len();
        self.bytes += compared.iter().map(|it| it.frame().plain().len()).sum::<usize>();
        let writes = [SubFlag::Store, SubFlag::Delta].into_iter();
        let writes: Vec<_> = writes.flat_map(|flag| node.heard(peer, flag)).collect();
        writes.into_iter().chain(compared).collect()
    }

    /// What one says to the other is lost.
    fn lose(&mut self) {
        self.nodes.iter_mut().for_each(Bench::clear);
    }

    fn seconds(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.nodes.iter_mut().for_each(|node| node.seconds(1));
            self.talk();
        }
    }

    fn held(&self, node: usize) -> Vec<String> {
        let sync = &self.nodes[node].sync;
        sync.keys().iter().map(|key| format!("{key:?} {:?}", sync.entry(key).unwrap())).collect()
    }

    fn agree(&self) -> bool {
        self.held(0) == self.held(1)
    }

    /// Lets them compare until they find no difference any more: bytes that it takes.
    fn settle(&mut self) -> usize {
        let same = |two: &Self| two.nodes.each_ref().map(|it| it.sync.status(it.now).counts.same);
        let (before, bytes) = (same(self), self.bytes);
        for _ in 0..100 {
            self.seconds(1);
            if same(self).iter().zip(before).all(|(same, before)| *same > before) {
                break;
            }
        }
        let counts = self.nodes.each_ref().map(|it| it.sync.status(it.now).counts);
        assert!(self.agree(), "{:?} {:?} {counts:?}", self.held(0), self.held(1));
        self.bytes - bytes
    }
}

#[test]
fn a_few_differences_in_a_large_table_cost_a_few_messages() {
    let mut two = Two::new();
    for number in 0..5_000 {
        two.nodes[0].set(&format!("{number}"), number);
        if number % 100 == 0 {
            two.talk();
        }
    }
    two.talk();
    assert!(two.agree());
    assert!(two.settle() < 1_000, "the same is one message and its answer");
    for (count, most) in [(1, 20_000), (10, 40_000), (100, 150_000)] {
        for number in 0..count {
            two.nodes[number % 2].set(&format!("{count} {number}"), 1);
        }
        two.lose();
        let bytes = two.settle();
        assert!(bytes < most, "{count} differences took {bytes} bytes");
    }
}

#[test]
fn an_empty_node_is_told_everything_and_little_else() {
    let mut two = Two::new();
    for number in 0..3_000 {
        two.nodes[1].set(&format!("{number}"), "x".repeat(100));
        if number % 100 == 0 {
            two.lose();
        }
    }
    two.lose();
    let whole = two.nodes[1].sync.status(two.nodes[1].now).bytes;
    let bytes = two.settle();
    assert!(bytes < 2 * whole, "{bytes} for {whole}");
    assert_eq!(two.nodes[0].sync.status(two.nodes[0].now).counts.repaired, 3_000);
}

#[test]
fn two_that_ask_at_the_same_moment_both_get_an_answer() {
    let mut two = Two::new();
    two.nodes[0].set("a", 1);
    two.nodes[1].set("b", 1);
    two.lose();
    // Both have asked before either has heard the other.
    for _ in 0..200 {
        two.nodes.iter_mut().for_each(|node| node.seconds(1));
        let asked = two.nodes.each_ref().map(|node| node.sync.status(node.now).counts.same);
        assert_eq!(asked, [0, 0]);
    }
    two.talk();
    two.seconds(5);
    assert!(two.agree());
    assert_eq!(two.nodes[0].sync.len(), 2);
}

#[test]
fn a_slow_reader_of_a_large_table_gets_all_of_it_and_holds_up_no_writes() {
    let mut bench = Bench::new(SyncConfig::default());
    for number in 0..1_000 {
        bench.set(&format!("{number:03}"), "x".repeat(2_000));
    }
    let slow = bench.join_slow(Kind::Rs2p);
    let mut other = Bench::at(bench.now, id(1), SyncConfig::default(), MeshConfig::default());
    let from = other.join_as(id(100), Kind::Rs2p);
    other.seconds(100);
    let ask = other.heard(from, COMPARE).remove(0);
    bench.hear(slow, ask);
    let queue = MeshConfig::default().link.send_queue;
    let mut round = 0;
    loop {
        let most = queue / 4 + (64 << 10) + 4_000 + 300 * 200;
        assert!(bench.waiting(slow) <= most, "{} bytes wait", bench.waiting(slow));
        if round < 200 {
            bench.set(&format!("new {round}"), 1);
        }
        round += 1;
        if bench.read(slow, 1) == 0 {
            break;
        }
        for message in bench.heard(slow, RECORDS) {
            other.hear(from, message);
        }
    }
    assert_eq!(
        other.sync.len(),
        1_000 + other.sync.keys().iter().filter(|k| k.starts_with(b"new")).count()
    );
    assert_eq!(bench.sync.status(bench.now).exchanging, 0);
}

/// The other node holds what a former owner left an hour ago, and this one has not heard of that yet:
/// it has just joined. What its user does then ends as the user left it.
fn what_a_newcomer_does(acts: impl Fn(&mut Bench)) -> [Option<String>; 3] {
    let mut two = Two::new();
    two.nodes[1].set("k", 0);
    two.lose();
    two.nodes.iter_mut().for_each(|node| node.seconds(3_700));
    two.lose();
    two.nodes[0].set("k", 1);
    two.talk();
    acts(&mut two.nodes[0]);
    let here = two.nodes[0].value("k");
    two.talk();
    let there = two.nodes[1].value("k");
    two.settle();
    [here, there, two.nodes[0].value("k")]
}

#[test]
fn the_second_write_of_a_newcomer_counts_as_its_first_did() {
    let two = Some("2".to_owned());
    assert_eq!(what_a_newcomer_does(|node| node.set("k", 2)), [two.clone(), two.clone(), two]);
}

#[test]
fn what_a_newcomer_deletes_stays_deleted() {
    assert_eq!(what_a_newcomer_does(|node| node.del("k")), [None, None, None]);
}

#[derive(Clone, Debug)]
enum Step {
    Set(usize, u8, u8),
    Delete(usize, u8),
    Merge(usize, u8, u8),
    Lose,
    Talk,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let (node, key) = (|| 0..2_usize, || 0..30_u8);
    prop_oneof![
        6 => (node(), key(), any::<u8>()).prop_map(|(node, key, value)| Step::Set(node, key, value)),
        2 => (node(), key()).prop_map(|(node, key)| Step::Delete(node, key)),
        2 => (node(), key(), 0..4_u8).prop_map(|(node, key, of)| Step::Merge(node, key, of)),
        3 => Just(Step::Lose),
        2 => Just(Step::Talk),
        2 => prop_oneof![0..3_u64, Just(3_601)].prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn two_nodes_agree_whatever_was_written_and_lost(steps in vec(step(), 1..80)) {
        let mut two = Two::new();
        for step in steps {
            match step {
                Step::Set(node, key, value) => drop(
                    two.nodes[node].call(|sync, now| sync.set(now, format!("{key}"), value)),
                ),
                Step::Delete(node, key) => {
                    drop(two.nodes[node].call(|sync, now| sync.del(now, format!("{key}"))));
                }
                Step::Merge(node, key, of) => drop(two.nodes[node].call(|sync, now| {
                    sync.apply_delta(now, format!("map {key}"), &[(of.into(), 1.into())])
                })),
                Step::Lose => two.lose(),
                Step::Talk => two.talk(),
                Step::Wait(seconds) => {
                    let span = Duration::from_secs(seconds);
                    two.nodes.iter_mut().for_each(|node| node.run_for(span));
                    if seconds > 60 {
                        // What they asked meanwhile is not all answered at once.
                        two.lose();
                    }
                }
            }
        }
        let bytes = two.settle();
        prop_assert!(bytes < 60_000, "{bytes}");
    }
}
