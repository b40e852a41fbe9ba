//! Options of the nodes in a scenario.

use std::num::NonZeroUsize;
use std::time::Duration;

use rs2p_bytestag::DhtConfig;
use rs2p_simnet::{Span, Spread};
use serde::Deserialize;

/// Options of the nodes; what is left out is as in [`DhtConfig::default`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Nodes that a value is stored on.
    copies: Option<NonZeroUsize>,
    /// Questions that a lookup keeps under way.
    alpha: Option<NonZeroUsize>,
    /// Ways by which a lookup searches without sharing a node.
    paths: Option<NonZeroUsize>,
    /// Whether nodes speak the extensions of rs2p.
    extended: Option<bool>,
    /// Whether what was fetched is stored near to its place.
    caches: Option<bool>,
    expire: Option<Spread<Span>>,
    republish: Option<Spread<Span>>,
    replicate: Option<Spread<Span>>,
    refresh: Option<Spread<Span>>,
}

impl Options {
    pub(super) fn config(&self, seed: u64) -> DhtConfig {
        let mut config = DhtConfig::default();
        let draw = |name: &str, spread: Option<Spread<Span>>, usual: Duration| {
            let place = format!("options.{name}");
            spread.map_or(usual, |it| Duration::from_micros(it.draw(seed, &place).0))
        };
        config.copies = self.copies.map_or(config.copies, NonZeroUsize::get);
        config.lookup.alpha = self.alpha.unwrap_or(config.lookup.alpha);
        config.lookup.paths = self.paths.unwrap_or(config.lookup.paths);
        config.extended = self.extended.unwrap_or(config.extended);
        config.caches = self.caches.unwrap_or(config.caches);
        config.expire = draw("expire", self.expire, config.expire);
        config.republish = draw("republish", self.republish, config.republish);
        config.replicate = draw("replicate", self.replicate, config.replicate);
        config.refresh = draw("refresh", self.refresh, config.refresh);
        config
    }
}
