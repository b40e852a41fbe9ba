//! Where the processes live, and what can be done to the network there.

use std::path::PathBuf;
use std::process::Command;

use rs2p_simnet::{Crash, Fault, PlannedFault};

use super::RealError;
use super::netns::Netns;

/// Where the processes live.
#[derive(Debug)]
pub(super) enum Place {
    /// All at the loopback interface of this machine.
    Loopback,
    /// Each in a network namespace of its own.
    Netns(Box<Netns>),
}

/// What can be done to the network of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Powers {
    pub(super) is_netns: bool,
    /// Whether the system can make messages late.
    pub(super) delays: bool,
    /// Whether it can let only so many bytes through in a second.
    pub(super) narrows: bool,
}

impl Place {
    pub(super) fn powers(&self) -> Powers {
        match self {
            Self::Loopback => LOOPBACK,
            Self::Netns(netns) => netns.powers(),
        }
    }

    /// The beginning of a command line in this place.
    pub(super) fn command(&self, node: usize, program: &PathBuf) -> Command {
        match self {
            Self::Loopback => Command::new(program),
            Self::Netns(netns) => netns.command(node, program),
        }
    }

    /// The host that a node listens at.
    pub(super) fn host(&self, node: usize) -> String {
        match self {
            Self::Netns(netns) => netns.host(node),
            // A machine that is Linux has all of 127/8, so that a port that is free stays so.
            Self::Loopback if cfg!(target_os = "linux") => {
                let run = 1 + std::process::id() % 250;
                format!("127.{run}.{}.{}", node / 250, 1 + node % 250)
            }
            Self::Loopback => "127.0.0.1".to_owned(),
        }
    }

    /// Makes a home for one more node.
    pub(super) fn settle(&mut self, node: usize) -> Result<(), RealError> {
        match self {
            Self::Loopback => Ok(()),
            Self::Netns(netns) => netns.settle(node),
        }
    }

    /// Cuts a host off, so that nobody hears how its process ends. `false` where that cannot be.
    pub(super) fn silence(&mut self, node: usize) -> Result<bool, RealError> {
        match self {
            Self::Loopback => Ok(false),
            Self::Netns(netns) => netns.plug(node, false).map(|()| true),
        }
    }

    /// Takes that back.
    pub(super) fn unsilence(&mut self, node: usize) -> Result<(), RealError> {
        match self {
            Self::Loopback => Ok(()),
            Self::Netns(netns) => netns.plug(node, true),
        }
    }

    /// Whether a fault keeps everything from getting from one node to another.
    pub(super) fn is_cut(&self, one: usize, other: usize) -> bool {
        match self {
            Self::Loopback => false,
            Self::Netns(netns) => netns.is_cut(one, other),
        }
    }

    /// A fault of the network begins.
    pub(super) fn disturb(
        &mut self,
        fault: &PlannedFault,
        nodes: &[usize],
    ) -> Result<(), RealError> {
        match self {
            Self::Loopback => Ok(()),
            Self::Netns(netns) => netns.disturb(fault, nodes),
        }
    }

    /// A fault of the network ends.
    pub(super) fn mend(&mut self, number: usize) -> Result<(), RealError> {
        match self {
            Self::Loopback => Ok(()),
            Self::Netns(netns) => netns.mend(number),
        }
    }
}

/// Why a fault cannot be had here; nothing when it can.
pub(super) fn refusal(fault: &Fault, powers: Powers) -> Option<&'static str> {
    const BY_NETNS: &str = "it needs control of the network: --netns gives it";
    let is_netns = powers.is_netns;
    match fault {
        Fault::Crash { .. } | Fault::Pause | Fault::Churn { .. } => None,
        Fault::Partition { one_way: false } => (!is_netns).then_some(BY_NETNS),
        Fault::Delay { .. } if powers.delays => None,
        Fault::Narrow { .. } if powers.narrows => None,
        Fault::Delay { .. } if is_netns => {
            Some("this kernel cannot make messages late: it has no netem queue (module sch_netem)")
        }
        Fault::Narrow { .. } if is_netns => {
            Some("this kernel cannot narrow a link: it has no tbf queue (module sch_tbf)")
        }
        Fault::Delay { .. } | Fault::Narrow { .. } => Some(BY_NETNS),
        Fault::Partition { one_way: true } => {
            Some("a network that is plugged together lets nothing through one way only")
        }
        Fault::Slow { .. } => Some("the system shares out its processors as it likes"),
        Fault::Flap { .. } | Fault::Break { .. } => {
            Some("from outside of the processes no single link can be broken")
        }
        Fault::Skew { .. } => Some("all processes have the clock of this machine"),
        Fault::Byzantine { .. } => Some("the real program does not misbehave"),
        _ => Some("only the simulator knows how"),
    }
}

/// Says what the plan has that cannot be had here.
pub(super) fn check_faults<'a>(
    faults: impl Iterator<Item = &'a PlannedFault>,
    powers: Powers,
) -> Result<(), RealError> {
    let refused: Vec<(usize, String)> = faults
        .filter_map(|fault| {
            let why = refusal(&fault.fault, powers)?;
            Some((fault.number, format!("fault {}, {fault}: {why}", fault.number)))
        })
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    let numbers: Vec<String> = refused.iter().map(|(number, _)| number.to_string()).collect();
    let faults: Vec<&str> = refused.iter().map(|(_, why)| why.as_str()).collect();
    Err(RealError::Faults { faults: faults.join("\n  "), without: numbers.join(",") })
}

/// Whether a plan has crashes without a word.
pub(super) fn is_silent(fault: &Fault) -> bool {
    matches!(fault, Fault::Crash { how: Crash::Host, .. } | Fault::Churn { how: Crash::Host, .. })
}

/// Whether nodes shall come back with what they knew.
pub(super) fn keeps(fault: &Fault) -> bool {
    matches!(fault, Fault::Crash { keep: true, .. } | Fault::Churn { keep: true, .. })
}

pub(super) const LOOPBACK: Powers = Powers { is_netns: false, delays: false, narrows: false };

#[cfg(test)]
mod tests {
    use rs2p_simnet::Target;

    use super::*;

    fn planned(number: usize, fault: Fault) -> PlannedFault {
        let target = Target::Share(0.5);
        PlannedFault { number, chaos: None, at: 0, until: None, target, fault }
    }

    fn refused(faults: &[PlannedFault], powers: Powers) -> String {
        check_faults(faults.iter(), powers)
            .map_or_else(|error| error.to_string(), |()| String::new())
    }

    const NETNS: Powers = Powers { is_netns: true, delays: true, narrows: true };

    #[test]
    fn what_happens_to_processes_can_be_had_anywhere() {
        let faults = [
            planned(0, Fault::Crash { how: Crash::Host, keep: true }),
            planned(1, Fault::Pause),
            planned(2, Fault::Churn { up: 1, down: 1, how: Crash::Process, keep: false }),
        ];
        for powers in [LOOPBACK, NETNS] {
            assert_eq!(refused(&faults, powers), "");
        }
    }

    #[test]
    fn what_happens_to_the_network_takes_namespaces() {
        let faults = [
            planned(0, Fault::Partition { one_way: false }),
            planned(1, Fault::Delay { by: 1 }),
            planned(2, Fault::Narrow { bandwidth: 1 }),
        ];
        let told = refused(&faults, LOOPBACK);
        assert_eq!(told.matches("--netns gives it").count(), 3, "{told}");
        assert!(told.contains("partition of 50.0 % of the nodes"), "{told}");
        assert!(told.contains("--without 0,1,2"), "{told}");
        assert_eq!(refused(&faults, NETNS), "");
        let told = refused(&faults, Powers { delays: false, narrows: false, ..NETNS });
        assert!(told.contains("sch_netem") && told.contains("sch_tbf"), "{told}");
        assert!(told.contains("--without 1,2"), "{told}");
    }

    #[test]
    fn what_only_a_simulator_can_do_is_refused_with_the_reason() {
        for (fault, why) in [
            (Fault::Partition { one_way: true }, "one way only"),
            (Fault::Break { chance: 0.1 }, "no single link"),
            (Fault::Flap { every: 1 }, "no single link"),
            (Fault::Skew { millis: 1 }, "clock of this machine"),
            (Fault::Slow { each: 1 }, "processors"),
            (Fault::Byzantine { does: "lie".into() }, "does not misbehave"),
        ] {
            let told = refused(&[planned(7, fault)], NETNS);
            assert!(told.contains(why) && told.contains("--without 7"), "{told}");
        }
    }
}
