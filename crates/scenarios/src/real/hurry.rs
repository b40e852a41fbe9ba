//! Scenarios in which everything comes sooner.

use rs2p_simnet::{Plan, Quantity as _, Span};
use toml::{Table, Value};

use super::{RealError, Times};

/// The text of a scenario in which every time is so many times shorter: of phases, faults, and
/// what users do. How fast the network is stays as it is, and so do the bounds and the times that
/// the machines themselves keep.
///
/// What is in no place where a time is expected is left alone: whoever reads the text will refuse
/// it, with a better reason.
pub(super) fn hurried(mut scenario: Table, factor: f64, times: Times) -> Table {
    // What the scenario leaves out takes its usual time, which has to be shorter, too.
    scenario.entry("check").or_insert_with(|| "1 s".into());
    for name in ["starts_within", "check"] {
        divide(scenario.get_mut(name), factor);
    }
    for phase in tables(scenario.get_mut("phase")) {
        divide(phase.get_mut("lasts"), factor);
        if let Some(workload) = phase.get_mut("workload").and_then(Value::as_table_mut) {
            for (name, usual) in times {
                if let Some(usual) = usual {
                    workload.entry(*name).or_insert_with(|| (*usual).into());
                }
                divide(workload.get_mut(*name), factor);
            }
        }
        for fault in tables(phase.get_mut("fault")) {
            for name in ["at", "lasts", "every", "up", "down"] {
                divide(fault.get_mut(name), factor);
            }
        }
    }
    scenario
}

/// A network as fast as the one within a machine, for the simulator.
pub(super) fn within_a_machine(mut scenario: Table) -> Table {
    let network = [("latency", "50 us .. 200 us"), ("jitter", "100 us")];
    let network = network.map(|(name, span)| (name.to_owned(), Value::from(span)));
    scenario.insert("network".to_owned(), Value::Table(network.into_iter().collect()));
    scenario
}

/// Phases have to last long enough for processes to get anything done.
pub(super) fn check_phases<W>(plan: &Plan<W>, factor: f64) -> Result<(), RealError> {
    let shortest = plan.phases.iter().min_by_key(|phase| phase.to - phase.from);
    match shortest {
        Some(phase) if factor > 1.0 && phase.to - phase.from < SHORTEST => {
            let lasts = (phase.to - phase.from) as f64;
            Err(RealError::Hurry {
                phase: phase.name.clone(),
                lasts: Span(phase.to - phase.from),
                most: (lasts * factor / SHORTEST as f64 * 10.0).floor() / 10.0,
            })
        }
        _ => Ok(()),
    }
}

fn tables(list: Option<&mut Value>) -> impl Iterator<Item = &mut Table> {
    let list = list.and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_table_mut)
}

fn divide(time: Option<&mut Value>, factor: f64) {
    let Some(Value::String(text)) = time else { return };
    let ends: Option<Vec<String>> = text
        .split("..")
        .map(|end| {
            let span = Span::parse(end.trim())?;
            Some(format!("{} us", (span.0 as f64 / factor).round()))
        })
        .collect();
    if let Some(ends) = ends {
        *text = ends.join(" .. ");
    }
}

/// Of a phase, in microseconds.
const SHORTEST: u64 = 2_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: Times = &[("every", None), ("quiet", Some("10 s"))];

    #[test]
    fn every_time_of_phases_faults_and_users_is_shorter_and_nothing_else() {
        let scenario = r#"
            starts_within = "10 s"
            [network]
            latency = "10 ms"
            [[phase]]
            lasts = "1 min .. 2 min"
            hold = ["one_again_s <= 120"]
            workload = { every = "1 s", size = "16 .. 64" }
            [[phase.fault]]
            at = "30 s"
            up = "1 min"
            ahead = "365 days"
            nodes = 3
        "#;
        let expected = r#"
            starts_within = "1000000 us"
            check = "100000 us"
            [network]
            latency = "10 ms"
            [[phase]]
            lasts = "6000000 us .. 12000000 us"
            hold = ["one_again_s <= 120"]
            workload = { every = "100000 us", size = "16 .. 64", quiet = "1000000 us" }
            [[phase.fault]]
            at = "3000000 us"
            up = "6000000 us"
            ahead = "365 days"
            nodes = 3
        "#;
        let read = |text: &str| toml::from_str::<Table>(text).unwrap();
        assert_eq!(hurried(read(scenario), 10.0, TIMES), read(expected));
    }

    #[test]
    fn the_network_of_a_machine_takes_the_place_of_any_other() {
        let scenario = toml::from_str("[network]\nlatency = \"1 s\"\nbandwidth = 10").unwrap();
        let calm = within_a_machine(scenario);
        let network = calm["network"].as_table().unwrap();
        assert_eq!(network["latency"].as_str(), Some("50 us .. 200 us"));
        assert!(!network.contains_key("bandwidth"));
    }
}
