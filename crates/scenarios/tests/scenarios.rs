//! The scenarios that come with the project, small: each holds with fixed seeds, each planted bug
//! is found, and a run is the same every time.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use rs2p_scenarios::{BUILT_IN, LAYERS, Request, TOUR, run};
use rs2p_simnet::Outcome;

fn outcome(name: &str, nodes: u32, seed: u64, bug: Option<&str>) -> Outcome {
    let scenario = BUILT_IN.iter().find(|scenario| scenario.name == name).unwrap();
    let request = Request {
        source: scenario.source.into(),
        seed,
        nodes: Some(nodes),
        bug: bug.map(Into::into),
        ..Request::default()
    };
    run(&request, &mut |_| {}).unwrap()
}

fn assert_holds(name: &str, nodes: u32, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let outcome = outcome(name, nodes, seed, None);
        let failures: Vec<String> = outcome.failures.iter().map(ToString::to_string).collect();
        assert!(outcome.passed(), "{name}, {nodes} nodes, seed {seed}: {failures:#?}");
    }
}

#[test]
fn mesh_flood_holds() {
    assert_holds("mesh/flood", 200, 1..3);
}

#[test]
fn mesh_churn_holds() {
    assert_holds("mesh/churn", 100, 1..2);
}

#[test]
fn mesh_crash_holds() {
    assert_holds("mesh/crash", 150, 1..4);
}

#[test]
fn mesh_partition_holds() {
    assert_holds("mesh/partition", 100, 1..3);
}

#[test]
fn mesh_loss_holds() {
    assert_holds("mesh/loss", 60, 1..2);
}

#[test]
fn mesh_clock_holds() {
    assert_holds("mesh/clock", 40, 1..3);
}

#[test]
fn mesh_byzantine_holds() {
    assert_holds("mesh/byzantine", 100, 1..3);
}

#[test]
fn mesh_memory_holds() {
    assert_holds("mesh/memory", 30, 1..3);
}

#[test]
fn mesh_chaos_holds() {
    assert_holds("mesh/chaos", 12, 1..2);
}

#[test]
fn mesh_core_holds() {
    assert_holds("mesh/core", 40, 1..3);
}

#[test]
fn sync_converge_holds() {
    assert_holds("sync/converge", 6, 1..11);
}

#[test]
fn sync_loss_holds() {
    assert_holds("sync/loss", 6, 1..11);
}

#[test]
fn sync_churn_holds() {
    assert_holds("sync/churn", 10, 1..11);
}

#[test]
fn sync_partition_holds() {
    assert_holds("sync/partition", 4, 1..11);
}

#[test]
fn sync_clock_holds() {
    assert_holds("sync/clock", 10, 1..11);
}

#[test]
fn sync_crash_holds() {
    assert_holds("sync/crash", 6, 1..11);
}

#[test]
fn sync_leases_holds() {
    assert_holds("sync/leases", 6, 1..11);
}

#[test]
fn sync_tombstones_holds() {
    assert_holds("sync/tombstones", 4, 1..11);
}

#[test]
fn sync_chaos_holds() {
    assert_holds("sync/chaos", 6, 1..11);
}

#[test]
fn chord_path_holds() {
    assert_holds("chord/path", 60, 1..2);
}

#[test]
fn chord_paper_holds() {
    assert_holds("chord/paper", 20, 1..2);
}

#[test]
fn chord_flood_holds() {
    assert_holds("chord/flood", 30, 1..3);
}

#[test]
fn chord_growth_holds() {
    assert_holds("chord/growth", 4, 1..3);
}

#[test]
fn chord_join_holds() {
    assert_holds("chord/join", 40, 1..3);
}

#[test]
fn chord_join_holds_in_a_ring_hardly_larger_than_a_successor_list() {
    assert_holds("chord/join", 20, 1..6);
}

#[test]
fn chord_churn_holds() {
    assert_holds("chord/churn", 12, 1..2);
}

#[test]
fn chord_crash_holds() {
    assert_holds("chord/crash", 12, 1..3);
}

#[test]
fn chord_partition_holds() {
    assert_holds("chord/partition", 8, 1..2);
}

#[test]
fn chord_loss_holds() {
    assert_holds("chord/loss", 8, 1..2);
}

#[test]
fn chord_mixed_holds() {
    assert_holds("chord/mixed", 15, 1..2);
}

#[test]
fn kad_lookup_holds() {
    assert_holds("kad/lookup", 40, 1..2);
}

#[test]
fn kad_values_holds() {
    assert_holds("kad/values", 24, 1..2);
}

#[test]
fn kad_loss_holds() {
    assert_holds("kad/loss", 24, 1..2);
}

#[test]
fn kad_churn_holds() {
    assert_holds("kad/churn", 24, 1..2);
}

#[test]
fn kad_crash_holds() {
    assert_holds("kad/crash", 44, 1..2);
}

#[test]
fn kad_liars_holds() {
    assert_holds("kad/liars", 24, 1..2);
}

#[test]
fn kad_days_holds() {
    assert_holds("kad/days", 8, 1..2);
}

#[test]
fn every_scenario_has_its_test_here_and_its_place_in_the_tour() {
    let tests = include_str!("scenarios.rs");
    for scenario in BUILT_IN {
        let test = format!("assert_holds(\"{}\"", scenario.name);
        assert!(tests.contains(&test), "{}", scenario.name);
        assert!(TOUR.iter().any(|(name, _)| *name == scenario.name), "{}", scenario.name);
    }
}

/// Which scenario shows a bug, with how many nodes, within how many seeds.
const FOUND: &[(&str, &str, u32, u64)] = &[
    ("forgetful-relay", "mesh/flood", 100, 3),
    ("endless-memory", "mesh/memory", 20, 1),
    ("lost-close", "mesh/crash", 40, 3),
    ("lying-list", "mesh/flood", 40, 3),
    ("future-lease", "sync/leases", 6, 1),
    ("distant-lease", "sync/leases", 8, 1),
    ("lost-tombstone", "sync/tombstones", 5, 1),
    ("odd-ties", "sync/leases", 6, 2),
    ("first-join", "chord/join", 40, 3),
    ("long-step", "chord/join", 40, 1),
    ("lost-ack", "chord/crash", 12, 1),
    ("stale-owner", "chord/crash", 12, 1),
    ("hasty-lookup", "kad/lookup", 100, 1),
    ("fresh-copies", "kad/days", 8, 1),
    ("ousted-elders", "kad/lookup", 60, 1),
];

#[test]
fn every_planted_bug_is_found_within_a_few_seeds() {
    let bugs = LAYERS.iter().flat_map(|layer| layer.bugs);
    for (bug, _) in bugs {
        let found = FOUND.iter().find(|(name, ..)| name == bug);
        let (_, scenario, nodes, seeds) = found.unwrap_or_else(|| panic!("nothing finds {bug}"));
        let is_found = |seed| !outcome(scenario, *nodes, seed, Some(bug)).passed();
        assert!((1..=*seeds).any(is_found), "{bug} is not found by {scenario}");
        assert!(outcome(scenario, *nodes, 1, None).passed(), "{scenario} fails without {bug}");
    }
}

#[test]
fn a_run_is_the_same_every_time_and_on_every_thread() {
    let threads: Vec<_> =
        (0..2).map(|_| std::thread::spawn(|| outcome("mesh/core", 20, 5, None))).collect();
    let mut outcomes: Vec<Outcome> =
        threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    for outcome in &mut outcomes {
        outcome.speed = Default::default();
    }
    assert_eq!(outcomes[0], outcomes[1]);
    assert_ne!(outcome("mesh/core", 20, 6, None).digest, outcomes[0].digest);
}

#[test]
fn frames_and_bare_messages_make_the_same_run() {
    let flood = BUILT_IN.iter().find(|scenario| scenario.name == "mesh/flood").unwrap();
    let framed = format!("fidelity = \"frames\"\n{}", flood.source);
    let digests = [flood.source.to_owned(), framed].map(|source| {
        let request = Request { source, seed: 3, nodes: Some(60), ..Request::default() };
        run(&request, &mut |_| {}).unwrap().digest
    });
    assert_eq!(digests[0], digests[1]);
}
