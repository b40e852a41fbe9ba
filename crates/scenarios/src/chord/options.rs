//! Options of the nodes in a scenario.

use std::time::Duration;

use rs2p_chord::ChordConfig;
use rs2p_simnet::{Span, Spread};
use serde::Deserialize;

/// Options of the nodes; what is left out is as in [`ChordConfig::default`], but that keys are not
/// announced.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    announces: bool,
    /// The share of nodes that are limited to the old messages.
    pub(super) old: f64,
    copies: Option<usize>,
    successors: Option<usize>,
    shortcuts: Option<usize>,
    timeout: Option<Spread<Span>>,
    stabilise: Option<Spread<Span>>,
    compare: Option<Spread<Span>>,
    tombstone_age: Option<Spread<Span>>,
    /// How long users wait for what they read. 30 s if nothing is said.
    patience: Option<Spread<Span>>,
    /// For how long the ring may be out of order, and reads may miss something, once nodes hear
    /// each other that have not for a while. Not at all if nothing is said.
    settle: Option<Spread<Span>>,
}

impl Options {
    pub(super) fn config(&self, seed: u64) -> ChordConfig {
        let usual = ChordConfig::default();
        let draw = |name: &str, spread: Option<Spread<Span>>, usual: Duration| {
            let place = format!("options.{name}");
            spread.map_or(usual, |it| Duration::from_micros(it.draw(seed, &place).0))
        };
        ChordConfig {
            announces: self.announces,
            copies: self.copies.unwrap_or(usual.copies),
            successors: self.successors.unwrap_or(usual.successors),
            shortcuts: self.shortcuts.unwrap_or(usual.shortcuts),
            timeout: draw("timeout", self.timeout, usual.timeout),
            stabilise: draw("stabilise", self.stabilise, usual.stabilise),
            compare: draw("compare", self.compare, usual.compare),
            tombstone_age: draw("tombstone_age", self.tombstone_age, usual.tombstone_age),
            ..usual
        }
    }

    pub(super) fn patience(&self, seed: u64) -> Duration {
        let patience = self.patience.unwrap_or(Spread::fixed(Span::from_secs(30)));
        Duration::from_micros(patience.draw(seed, "options.patience").0)
    }

    /// In microseconds.
    pub(super) fn settle(&self, seed: u64) -> u64 {
        self.settle.map_or(0, |settle| settle.draw(seed, "options.settle").0)
    }
}
