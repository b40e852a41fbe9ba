//! Each kind of fault has its effect, and one that has none is told.

use rs2p_simnet::{FaultOutcome, Outcome, Scenario, Settings, Trial as _, run};

use crate::layer::{NoOptions, Talk, Talking};

fn play(fault: &str, seed: u64) -> Outcome {
    let source = format!(
        r#"
        name = "a fault"
        about = "What a fault does."
        layer = "talk"
        nodes = 8
        [[phase]]
        name = "calm"
        lasts = "5 s"
        workload = {{ every = 0.25 }}
        [[phase]]
        name = "trouble"
        lasts = "20 s"
        workload = {{ every = 0.25 }}
        {fault}
        [[phase]]
        name = "after"
        lasts = "20 s"
        workload = {{ every = 0.25 }}
        "#
    );
    let scenario: Scenario<NoOptions, Talking> = Scenario::read(&source, Talk::VOCABULARY).unwrap();
    let settings = Settings { seed, ..Settings::default() };
    run::<Talk>(&scenario, &source, &settings, &mut |_| {})
}

fn fault(words: &str) -> String {
    format!("[[phase.fault]]\n{words}\n")
}

/// All kinds, without whom they hit.
const KINDS: &[&str] = &[
    "kind = \"crash\"",
    "kind = \"crash\"\nsilent = true\nkeep = false",
    "kind = \"partition\"",
    "kind = \"partition\"\none_way = true",
    "kind = \"pause\"",
    "kind = \"slow\"\neach = \"20 ms\"",
    "kind = \"flap\"\nevery = \"1 s\"",
    "kind = \"break\"\nchance = 0.2",
    "kind = \"delay\"\nby = \"100 ms\"",
    "kind = \"narrow\"\nbandwidth = 1000",
    "kind = \"churn\"\nup = \"2 s\"\ndown = \"2 s\"",
    "kind = \"churn\"\nup = \"2 s\"\ndown = \"2 s\"\nsilent = true\nkeep = false",
    "kind = \"skew\"\nahead = \"1 h\"",
    "kind = \"skew\"\nbehind = \"1 h\"",
    "kind = \"byzantine\"\ndoes = \"hush\"",
];

fn the_fault(outcome: &Outcome) -> &FaultOutcome {
    let [fault] = &outcome.phases[1].faults[..] else { panic!("{:?}", outcome.phases[1].faults) };
    fault
}

#[test]
fn each_kind_of_fault_has_an_effect_whether_it_ends_or_not() {
    for kind in KINDS {
        for lasts in ["", "\nlasts = \"10 s\""] {
            let outcome = play(&fault(&format!("{kind}\nnodes = 3{lasts}")), 1);
            assert!(outcome.passed(), "{kind}{lasts}: {:?}", outcome.failures);
            let fault = the_fault(&outcome);
            assert!(fault.hits > 0, "{fault:?}");
            let until = if lasts.is_empty() { 45.0 } else { 15.0 };
            assert_eq!((fault.from, fault.to), (5.0, until));
        }
    }
}

#[test]
fn each_kind_of_fault_that_hits_nobody_fails_the_run() {
    for kind in KINDS {
        for nobody in ["nodes = 0", "share = 0.0", "only = [77]"] {
            let outcome = play(&fault(&format!("{kind}\n{nobody}")), 1);
            let [failure] = &outcome.failures[..] else { panic!("{kind}: {:?}", outcome.failures) };
            assert_eq!(failure.rule, "fault without effect", "{kind}");
            assert_eq!((failure.at, the_fault(&outcome).hits), (5.0, 0));
        }
    }
}

#[test]
fn a_partition_of_everybody_parts_nobody_and_fails_the_run() {
    let outcome = play(&fault("kind = \"partition\""), 1);
    assert_eq!(outcome.failures.len(), 1);
}

#[test]
fn a_fault_in_a_silent_network_hits_nothing() {
    let source = r#"
        name = "silence"
        about = "Nobody says anything."
        layer = "talk"
        nodes = 8
        [[phase]]
        name = "silence"
        lasts = "20 s"
        [[phase.fault]]
        kind = "partition"
        share = 0.5
        [[phase.fault]]
        kind = "crash"
        share = 0.5
    "#;
    let scenario: Scenario<NoOptions, Talking> = Scenario::read(source, Talk::VOCABULARY).unwrap();
    let outcome = run::<Talk>(&scenario, source, &Settings::default(), &mut |_| {});
    assert!(!outcome.passed());
    assert_eq!(outcome.phases[0].faults.iter().map(|fault| fault.hits).collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn a_fault_on_top_of_another_has_its_effect_too() {
    for (under, over) in [
        ("kind = \"partition\"", "kind = \"pause\""),
        ("kind = \"delay\"\nby = \"2 s\"", "kind = \"flap\"\nevery = \"1 s\""),
        ("kind = \"byzantine\"\ndoes = \"hush\"", "kind = \"crash\""),
    ] {
        let two = [
            fault(&format!("{under}\nonly = [3]\nlasts = \"8 s\"")),
            fault(&format!("{over}\nonly = [3]\nat = \"4 s\"\nlasts = \"10 s\"")),
        ];
        let outcome = play(&two.concat(), 1);
        let hits: Vec<_> = outcome.phases[1].faults.iter().map(|it| it.hits > 0).collect();
        assert_eq!(hits, [true, true], "{under}, {over}: {:?}", outcome.failures);
    }
}

#[test]
fn the_same_seed_gives_the_same_outcome_and_a_fault_left_out_another() {
    let chaos = fault("kind = \"chaos\"\nfaults = 8");
    let (one, again, other) = (play(&chaos, 1), play(&chaos, 1), play(&chaos, 2));
    assert_eq!((&one.digest, &one.phases), (&again.digest, &again.phases));
    assert_ne!(one.digest, other.digest);
}
