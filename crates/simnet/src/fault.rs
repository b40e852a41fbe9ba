//! What goes wrong on purpose.

use std::collections::BTreeSet;
use std::fmt;

use rand::RngExt as _;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use serde::Deserialize;

use crate::sim::{Crash, NodeIndex};
use crate::spread::{Span, Spread};
use crate::streams::stream;

/// A fault as a scenario states it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Stated")]
pub struct FaultSpec {
    /// When it begins, counted from the start of its phase.
    at: Spread<Span>,
    /// How long it lasts; `None`: to the end of the run.
    lasts: Option<Spread<Span>>,
    target: TargetSpec,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum TargetSpec {
    Share(Spread<f64>),
    Count(Spread<u64>),
    Only(Vec<u32>),
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Crash { how: Crash, keep: bool },
    Partition { one_way: bool },
    Pause,
    Slow { each: Spread<Span> },
    Flap { every: Spread<Span> },
    Break { chance: Spread<f64> },
    Delay { by: Spread<Span> },
    Narrow { bandwidth: Spread<u64> },
    Churn { up: Spread<Span>, down: Spread<Span>, how: Crash, keep: bool },
    Skew { ahead: i64, by: Spread<Span> },
    Byzantine { does: String },
    Chaos { count: Spread<u64> },
}

/// The words of the file: all that any kind takes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Stated {
    kind: String,
    at: Option<Spread<Span>>,
    lasts: Option<Spread<Span>>,
    share: Option<Spread<f64>>,
    nodes: Option<Spread<u64>>,
    only: Option<Vec<u32>>,
    silent: Option<bool>,
    keep: Option<bool>,
    one_way: Option<bool>,
    each: Option<Spread<Span>>,
    every: Option<Spread<Span>>,
    chance: Option<Spread<f64>>,
    by: Option<Spread<Span>>,
    bandwidth: Option<Spread<u64>>,
    up: Option<Spread<Span>>,
    down: Option<Spread<Span>>,
    ahead: Option<Spread<Span>>,
    behind: Option<Spread<Span>>,
    does: Option<String>,
    faults: Option<Spread<u64>>,
}

/// The kinds, and what each takes beside `at`, `lasts` and its nodes.
const KINDS: &[(&str, &[&str])] = &[
    ("crash", &["silent", "keep"]),
    ("partition", &["one_way"]),
    ("pause", &[]),
    ("slow", &["each"]),
    ("flap", &["every"]),
    ("break", &["chance"]),
    ("delay", &["by"]),
    ("narrow", &["bandwidth"]),
    ("churn", &["up", "down", "silent", "keep"]),
    ("skew", &["ahead", "behind"]),
    ("byzantine", &["does"]),
    ("chaos", &["faults"]),
];

impl TryFrom<Stated> for FaultSpec {
    type Error = String;

    fn try_from(stated: Stated) -> Result<Self, String> {
        let Some((kind, takes)) = KINDS.iter().find(|(kind, _)| *kind == stated.kind) else {
            let known: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
            return Err(format!("a fault needs a kind, one of {}", known.join(", ")));
        };
        let given = [
            ("silent", stated.silent.is_some()),
            ("keep", stated.keep.is_some()),
            ("one_way", stated.one_way.is_some()),
            ("each", stated.each.is_some()),
            ("every", stated.every.is_some()),
            ("chance", stated.chance.is_some()),
            ("by", stated.by.is_some()),
            ("bandwidth", stated.bandwidth.is_some()),
            ("up", stated.up.is_some()),
            ("down", stated.down.is_some()),
            ("ahead", stated.ahead.is_some()),
            ("behind", stated.behind.is_some()),
            ("does", stated.does.is_some()),
            ("faults", stated.faults.is_some()),
        ];
        if let Some((name, _)) = given.iter().find(|(name, is)| *is && !takes.contains(name)) {
            return Err(format!("a {kind} fault takes no `{name}`"));
        }
        let missing = |name: &str| format!("a {kind} fault needs `{name}`");
        let how = if stated.silent == Some(true) { Crash::Host } else { Crash::Process };
        let keep = stated.keep.unwrap_or(true);
        let kind = match *kind {
            "crash" => Kind::Crash { how, keep },
            "partition" => Kind::Partition { one_way: stated.one_way.unwrap_or(false) },
            "pause" => Kind::Pause,
            "slow" => Kind::Slow { each: stated.each.ok_or_else(|| missing("each"))? },
            "flap" => Kind::Flap { every: stated.every.ok_or_else(|| missing("every"))? },
            "break" => {
                let chance = stated.chance.ok_or_else(|| missing("chance"))?;
                if chance.most() > 1.0 {
                    return Err("a chance goes from 0 to 1".into());
                }
                Kind::Break { chance }
            }
            "delay" => Kind::Delay { by: stated.by.ok_or_else(|| missing("by"))? },
            "narrow" => {
                Kind::Narrow { bandwidth: stated.bandwidth.ok_or_else(|| missing("bandwidth"))? }
            }
            "churn" => Kind::Churn {
                up: stated.up.ok_or_else(|| missing("up"))?,
                down: stated.down.ok_or_else(|| missing("down"))?,
                how,
                keep,
            },
            "skew" => match (stated.ahead, stated.behind) {
                (Some(by), None) => Kind::Skew { ahead: 1, by },
                (None, Some(by)) => Kind::Skew { ahead: -1, by },
                _ => return Err("a skew fault needs `ahead` or `behind`".into()),
            },
            "byzantine" => Kind::Byzantine { does: stated.does.ok_or_else(|| missing("does"))? },
            _ => Kind::Chaos { count: stated.faults.ok_or_else(|| missing("faults"))? },
        };
        let target = match (stated.share, stated.nodes, stated.only) {
            (Some(share), None, None) if share.most() <= 1.0 => TargetSpec::Share(share),
            (Some(_), None, None) => return Err("a share goes from 0 to 1".into()),
            (None, Some(count), None) => TargetSpec::Count(count),
            (None, None, Some(only)) if !only.is_empty() => TargetSpec::Only(only),
            (None, None, None) => TargetSpec::Share(Spread::fixed(1.0)),
            _ => return Err("nodes are told by one of `share`, `nodes` and `only`".into()),
        };
        let at = stated.at.unwrap_or(Spread::fixed(Span(0)));
        Ok(Self { at, lasts: stated.lasts, target, kind })
    }
}

/// A fault with everything drawn that the scenario left to the seed.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedFault {
    /// By which it is left out of a run, and found in what came of it.
    pub number: usize,
    /// Which chaos it is part of, if it is part of one: then not each of them has to have had an
    /// effect, but one of them.
    pub chaos: Option<usize>,
    /// When it begins, in microseconds since the start.
    pub at: u64,
    /// When it ends; `None`: with the run.
    pub until: Option<u64>,
    /// Whom it hits.
    pub target: Target,
    /// What it does.
    pub fault: Fault,
}

/// Whom a fault hits, of the nodes that are up when it begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A share of them, from 0 to 1.
    Share(f64),
    /// So many of them.
    Count(u64),
    /// These.
    Only(Vec<u32>),
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// Nodes go down, and start again when it ends.
    Crash {
        /// How they go down.
        how: Crash,
        /// Whether they come back with their state.
        keep: bool,
    },
    /// Nothing gets through between these nodes and the others.
    Partition {
        /// Only from them to the others; what the others say reaches them.
        one_way: bool,
    },
    /// Nodes stand still.
    Pause,
    /// Nodes take their time for each thing that happens to them.
    Slow {
        /// Microseconds.
        each: u64,
    },
    /// One link of each node breaks again and again.
    Flap {
        /// Microseconds between.
        every: u64,
    },
    /// Messages of these nodes break the link that they are sent on, and are lost.
    Break {
        /// How many of them, 0 to 1.
        chance: f64,
    },
    /// What these nodes send takes longer.
    Delay {
        /// Microseconds.
        by: u64,
    },
    /// What these nodes send goes through narrow links.
    Narrow {
        /// Bytes a second for each link.
        bandwidth: u64,
    },
    /// Nodes go down and start again, each in its own time.
    Churn {
        /// Mean time up, in microseconds; times are distributed exponentially.
        up: u64,
        /// Mean time down, in microseconds.
        down: u64,
        /// How they go down.
        how: Crash,
        /// Whether they come back with their state.
        keep: bool,
    },
    /// Clocks go wrong.
    Skew {
        /// Milliseconds ahead, or behind.
        millis: i64,
    },
    /// Nodes misbehave.
    Byzantine {
        /// In one of the ways that their layer knows.
        does: String,
    },
}

impl FaultSpec {
    /// What this seed makes of it, in a phase that goes on so long from then on; a chaos becomes
    /// many. `drawn` is told what was left open, with its place.
    pub(crate) fn plan(
        &self,
        seed: u64,
        place: &str,
        phase: (u64, u64),
        misdeeds: &[&str],
        drawn: &mut impl FnMut(String, &dyn fmt::Display),
    ) -> Vec<PlannedFault> {
        let mut draw_span = |name: &str, spread: &Spread<Span>| {
            let place = format!("{place}.{name}");
            let span = spread.draw(seed, &place);
            if spread.is_open() {
                drawn(place, &span);
            }
            span.0
        };
        let at = phase.0 + draw_span("at", &self.at);
        let until = self.lasts.as_ref().map(|lasts| at + draw_span("lasts", lasts));
        let fault = match &self.kind {
            Kind::Crash { how, keep } => Fault::Crash { how: *how, keep: *keep },
            Kind::Partition { one_way } => Fault::Partition { one_way: *one_way },
            Kind::Pause => Fault::Pause,
            Kind::Slow { each } => Fault::Slow { each: draw_span("each", each) },
            Kind::Flap { every } => Fault::Flap { every: draw_span("every", every).max(1_000) },
            Kind::Delay { by } => Fault::Delay { by: draw_span("by", by) },
            Kind::Churn { up, down, how, keep } => Fault::Churn {
                up: draw_span("up", up),
                down: draw_span("down", down),
                how: *how,
                keep: *keep,
            },
            Kind::Skew { ahead, by } => {
                Fault::Skew { millis: ahead * (draw_span("by", by) / 1_000) as i64 }
            }
            Kind::Byzantine { does } => Fault::Byzantine { does: does.clone() },
            Kind::Break { chance } => {
                let place = format!("{place}.chance");
                let chance_drawn = chance.draw(seed, &place);
                if chance.is_open() {
                    drawn(place, &chance_drawn);
                }
                Fault::Break { chance: chance_drawn }
            }
            Kind::Narrow { bandwidth } => {
                let place = format!("{place}.bandwidth");
                let bytes = bandwidth.draw(seed, &place);
                if bandwidth.is_open() {
                    drawn(place, &bytes);
                }
                Fault::Narrow { bandwidth: bytes.max(1) }
            }
            Kind::Chaos { count } => {
                let place = format!("{place}.faults");
                let count = count.draw(seed, &place);
                let end = until.unwrap_or(phase.1).min(phase.1);
                return (0..count)
                    .map(|which| chaos(seed, &place, which, (at, end), misdeeds))
                    .collect();
            }
        };
        let target = match &self.target {
            TargetSpec::Share(share) => {
                let place = format!("{place}.share");
                let drawn_share = share.draw(seed, &place);
                if share.is_open() {
                    drawn(place, &drawn_share);
                }
                Target::Share(drawn_share)
            }
            TargetSpec::Count(count) => {
                let place = format!("{place}.nodes");
                let drawn_count = count.draw(seed, &place);
                if count.is_open() {
                    drawn(place, &drawn_count);
                }
                Target::Count(drawn_count)
            }
            TargetSpec::Only(only) => Target::Only(only.clone()),
        };
        vec![PlannedFault { number: 0, chaos: None, at, until, target, fault }]
    }

    /// Whether it stands for many, drawn at random.
    pub(crate) fn is_chaos(&self) -> bool {
        matches!(self.kind, Kind::Chaos { .. })
    }

    /// The misdeed that it asks its layer for.
    pub(crate) fn misdeed(&self) -> Option<&str> {
        match &self.kind {
            Kind::Byzantine { does } => Some(does),
            _ => None,
        }
    }
}

/// A fault of any kind at any time.
fn chaos(
    seed: u64,
    place: &str,
    which: u64,
    (from, to): (u64, u64),
    misdeeds: &[&str],
) -> PlannedFault {
    let mut rng = stream(seed, place, which);
    let span = to.saturating_sub(from).max(1);
    let at = from + rng.random_range(0..span);
    let lasts = rng.random_range(span / 20..=span / 2).max(1_000_000);
    let second = 1_000_000;
    let how = if rng.random() { Crash::Host } else { Crash::Process };
    let keep = rng.random();
    let fault = match rng.random_range(0..11) {
        0 | 1 => Fault::Crash { how, keep },
        2 => Fault::Partition { one_way: false },
        3 => Fault::Partition { one_way: true },
        4 => Fault::Pause,
        5 => Fault::Slow { each: rng.random_range(10..2_000) },
        6 => Fault::Flap { every: rng.random_range(second..10 * second) },
        7 => Fault::Break { chance: rng.random_range(0.001..0.05) },
        8 => Fault::Delay { by: rng.random_range(second / 100..2 * second) },
        9 => {
            let (up, down) = (rng.random_range(20..300), rng.random_range(5..60));
            Fault::Churn { up: up * second, down: down * second, how, keep }
        }
        _ => match misdeeds.choose(&mut rng) {
            Some(does) => Fault::Byzantine { does: (*does).into() },
            None => Fault::Narrow { bandwidth: rng.random_range(10_000..1_000_000) },
        },
    };
    let share: f64 = rng.random_range(0.02..0.4);
    let (until, target) = (Some(at + lasts), Target::Share(share));
    PlannedFault { number: 0, chaos: None, at, until, target, fault }
}

impl Target {
    /// Those that are hit, of these, drawn for the fault of this number. In order.
    #[must_use]
    pub fn pick(&self, seed: u64, number: usize, nodes: Vec<NodeIndex>) -> Vec<NodeIndex> {
        let count = match self {
            Self::Share(share) => (nodes.len() as f64 * share).round() as usize,
            Self::Count(count) => usize::try_from(*count).unwrap_or(usize::MAX),
            Self::Only(only) => {
                let only: BTreeSet<u32> = only.iter().copied().collect();
                return nodes.into_iter().filter(|node| only.contains(&node.0)).collect();
            }
        };
        let mut picked = nodes;
        picked.shuffle(&mut stream(seed, "fault", number as u64));
        picked.truncate(count);
        picked.sort_unstable();
        picked
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = |keep: &bool| if *keep { "with" } else { "without" };
        match self {
            Self::Crash { how: Crash::Process, keep } => {
                write!(f, "crash, back {} state,", state(keep))
            }
            Self::Crash { how: Crash::Host, keep } => {
                write!(f, "silent crash, back {} state,", state(keep))
            }
            Self::Partition { one_way: false } => f.write_str("partition"),
            Self::Partition { one_way: true } => f.write_str("one-way partition"),
            Self::Pause => f.write_str("pause"),
            Self::Slow { each } => write!(f, "slowness ({} for each thing)", Span(*each)),
            Self::Flap { every } => write!(f, "flapping links (one every {})", Span(*every)),
            Self::Break { chance } => {
                write!(f, "links broken by {:.2} % of messages", chance * 100.0)
            }
            Self::Delay { by } => write!(f, "delay by {}", Span(*by)),
            Self::Narrow { bandwidth } => write!(f, "links of {bandwidth} bytes a second"),
            Self::Churn { up, down, how, keep } => {
                let silent = if *how == Crash::Host { "silent " } else { "" };
                let (up, down, state) = (Span(*up), Span(*down), state(keep));
                write!(f, "{silent}churn (up {up}, down {down} on average, {state} state)")
            }
            Self::Skew { millis } => {
                let by = Span(millis.unsigned_abs() * 1_000);
                write!(f, "clock {by} {}", if *millis < 0 { "behind" } else { "ahead" })
            }
            Self::Byzantine { does } => write!(f, "misdeed {does:?}"),
        }
    }
}

impl Fault {
    /// What its hits count.
    pub(crate) fn counted(&self) -> &'static str {
        match self {
            Self::Crash { .. } => "nodes within the network that went down",
            Self::Partition { .. } => "messages, dials and datagrams stopped",
            Self::Pause | Self::Slow { .. } => "things held up",
            Self::Flap { .. } | Self::Break { .. } => "links broken",
            Self::Delay { .. } | Self::Narrow { .. } => "messages, dials and datagrams concerned",
            Self::Churn { .. } => "times a node went down",
            Self::Skew { .. } => "clocks set",
            Self::Byzantine { .. } => "inputs and outputs tampered with",
        }
    }
}

impl fmt::Display for PlannedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.fault)?;
        match &self.target {
            Target::Share(share) if *share >= 1.0 => f.write_str("of all nodes")?,
            Target::Share(share) => write!(f, "of {:.1} % of the nodes", share * 100.0)?,
            Target::Count(1) => f.write_str("of a node")?,
            Target::Count(count) => write!(f, "of {count} nodes")?,
            Target::Only(only) => write!(f, "of nodes {only:?}")?,
        }
        write!(f, ", from {:.1} s ", self.at as f64 / 1e6)?;
        match self.until {
            Some(until) => write!(f, "to {:.1} s", until as f64 / 1e6),
            None => f.write_str("on"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<FaultSpec, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_fault_takes_what_its_kind_takes_and_nothing_else() {
        for good in [
            "kind = \"crash\"\nshare = 0.3\nsilent = true",
            "kind = \"partition\"\nshare = 0.5\nlasts = \"5 min\"\none_way = true",
            "kind = \"churn\"\nup = \"10 min\"\ndown = \"1 min\"",
            "kind = \"skew\"\nnodes = 1\nahead = \"365 days\"",
            "kind = \"chaos\"\nfaults = \"3 .. 8\"",
        ] {
            read(good).unwrap();
        }
        for (bad, told) in [
            ("kind = \"quake\"", "one of crash, partition"),
            ("share = 0.3", "needs a kind"),
            ("kind = \"pause\"\none_way = true", "a pause fault takes no `one_way`"),
            ("kind = \"flap\"", "a flap fault needs `every`"),
            ("kind = \"crash\"\nshare = 1.5", "a share goes from 0 to 1"),
            ("kind = \"crash\"\nshare = 0.5\nnodes = 2", "one of `share`, `nodes` and `only`"),
            ("kind = \"break\"\nchance = 2.0", "a chance goes from 0 to 1"),
            ("kind = \"crash\"\nsnare = 0.5", "unknown field `snare`"),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(told), "{bad}: {error}");
        }
    }

    #[test]
    fn a_target_is_the_same_for_a_seed_and_a_number_and_another_for_others() {
        let nodes: Vec<NodeIndex> = (0..100).map(NodeIndex).collect();
        let third = Target::Share(0.3).pick(1, 0, nodes.clone());
        assert_eq!(third.len(), 30);
        assert!(third.is_sorted());
        assert_eq!(Target::Share(0.3).pick(1, 0, nodes.clone()), third);
        assert_ne!(Target::Share(0.3).pick(1, 1, nodes.clone()), third);
        assert_ne!(Target::Share(0.3).pick(2, 0, nodes.clone()), third);
        let only = Target::Only(vec![500, 3]).pick(1, 0, nodes.clone());
        assert_eq!(only, [NodeIndex(3)]);
        assert_eq!(Target::Count(1_000).pick(1, 0, nodes).len(), 100);
    }

    #[test]
    fn chaos_is_planned_into_its_phase_and_drawn_anew_for_each_seed() {
        let spec = read("kind = \"chaos\"\nfaults = 20").unwrap();
        let plan =
            |seed| spec.plan(seed, "phase.1.fault.0", (100, 400_000_100), &[], &mut |_, _| {});
        assert_eq!(plan(1).len(), 20);
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
        for fault in plan(3) {
            assert!((100..400_000_100).contains(&fault.at), "{fault}");
        }
    }
}
