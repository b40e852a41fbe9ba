//! The options of a node of a DHT, and of one of the bootstrap network.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use rs2p_chord::{Bootstrap, ChordConfig};
use serde::Deserialize;

use super::{NodeOptions, Variables};
use crate::args::{ChordArgs, SeedArgs};
use crate::failure::Failure;

/// Everything such a node is started with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ChordOptions {
    pub(crate) node: NodeOptions,
    /// Whether it stores for the network.
    pub(crate) joins: bool,
    /// Whether everyone is told of new keys.
    pub(crate) announces: bool,
    /// How long reads and writes may take.
    pub(crate) timeout: Patience,
    pub(crate) store: Option<PathBuf>,
}

impl ChordOptions {
    /// `environment` looks up a variable.
    pub(crate) fn resolve(
        args: &ChordArgs,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Failure> {
        let variables = Variables(environment);
        let mut file = super::Settings::of_file(&args.node, &variables)?;
        let of_file = std::mem::take(&mut file.chord);
        let env = Settings::from_environment(&variables)?;
        let no_join = args.no_join.then_some(true).or(env.no_join).or(of_file.no_join);
        let no_announce =
            args.no_announce.then_some(true).or(env.no_announce).or(of_file.no_announce);
        Ok(Self {
            node: NodeOptions::put_together(&args.node, &variables, file, "chord")?,
            joins: !no_join.unwrap_or(false),
            announces: !no_announce.unwrap_or(false),
            timeout: args.timeout.or(env.timeout).or(of_file.timeout).unwrap_or_default(),
            store: args.store.clone().or(env.store).or(of_file.store),
        })
    }

    /// Those of a node of the bootstrap network: it stores, or it would be of no use.
    pub(crate) fn resolve_seed(
        args: &SeedArgs,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Failure> {
        let variables = Variables(environment);
        let mut file = super::Settings::of_file(&args.node, &variables)?;
        let of_file = std::mem::take(&mut file.seed);
        let node = NodeOptions::put_together(&args.node, &variables, file, Bootstrap::SUBNET)?;
        if !node.bootstrap.is_empty() {
            let text = "a seed is itself of the bootstrap network: give other seeds by --connect, \
                        not by --bootstrap";
            return Err(Failure::Usage(text.to_owned()));
        }
        Ok(Self {
            node,
            joins: true,
            announces: true,
            timeout: Patience::default(),
            store: args.store.clone().or(variables.path("STORE")).or(of_file.store),
        })
    }
}

/// What one source says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    no_join: Option<bool>,
    no_announce: Option<bool>,
    timeout: Option<Patience>,
    store: Option<PathBuf>,
}

/// What a file says of a node of the bootstrap network.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SeedSettings {
    store: Option<PathBuf>,
}

impl Settings {
    fn from_environment<E: Fn(&str) -> Option<OsString>>(
        variables: &Variables<E>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            no_join: variables.switch("NO_JOIN")?,
            no_announce: variables.switch("NO_ANNOUNCE")?,
            timeout: variables.parse("TIMEOUT")?,
            store: variables.path("STORE"),
        })
    }
}

/// How long somebody is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Patience(pub(crate) Duration);

impl Default for Patience {
    fn default() -> Self {
        Self(ChordConfig::default().timeout)
    }
}

impl FromStr for Patience {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let patience = humantime::parse_duration(text)
            .map_err(|_| format!("`{text}` is no time: write 500ms, 10s or 2m"))?;
        if patience < SHORTEST || patience > LONGEST {
            return Err(format!("`{text}`: it has to be from 100ms to 1h"));
        }
        Ok(Self(patience))
    }
}

super::from_string!(Patience);

/// Less than any way around a ring takes.
const SHORTEST: Duration = Duration::from_millis(100);

const LONGEST: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn resolve(args: &ChordArgs, env: &[(&str, &str)]) -> Result<ChordOptions, String> {
        ChordOptions::resolve(args, |name| variable(env, name)).map_err(|failure| reason(&failure))
    }

    fn resolve_seed(args: &SeedArgs, env: &[(&str, &str)]) -> Result<ChordOptions, String> {
        ChordOptions::resolve_seed(args, |name| variable(env, name))
            .map_err(|failure| reason(&failure))
    }

    fn variable(env: &[(&str, &str)], name: &str) -> Option<OsString> {
        env.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
    }

    fn reason(failure: &Failure) -> String {
        assert_eq!(failure.status(), 2);
        failure.text().unwrap_or_default().to_owned()
    }

    fn file(text: &str) -> (tempfile::NamedTempFile, ChordArgs) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut args = ChordArgs::default();
        args.node.config = Some(file.path().to_owned());
        (file, args)
    }

    #[test]
    fn with_nothing_given_a_node_stores_in_memory_and_tells_of_new_keys() {
        let options = resolve(&ChordArgs::default(), &[]).unwrap();
        assert!(options.joins && options.announces && options.store.is_none());
        assert_eq!((options.timeout.0.as_secs(), options.node.subnet.as_str()), (10, "chord"));
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_table_of_the_file() {
        let text = "[chord]\nno_join = true\nno_announce = true\ntimeout = '2s'\nstore = 'f'\n";
        let (_file, mut args) = file(text);
        let options = resolve(&args, &[]).unwrap();
        assert!(!options.joins && !options.announces);
        assert_eq!((options.timeout.0.as_secs(), options.store), (2, Some("f".into())));
        let env = [
            ("RS2P_NO_JOIN", "0"),
            ("RS2P_NO_ANNOUNCE", "no"),
            ("RS2P_TIMEOUT", "3s"),
            ("RS2P_STORE", "e"),
        ];
        let options = resolve(&args, &env).unwrap();
        assert!(options.joins && options.announces);
        assert_eq!((options.timeout.0.as_secs(), options.store), (3, Some("e".into())));
        (args.no_join, args.no_announce) = (true, true);
        args.timeout = Some("4s".parse().unwrap());
        args.store = Some("a".into());
        let options = resolve(&args, &env).unwrap();
        assert!(!options.joins && !options.announces);
        assert_eq!((options.timeout.0.as_secs(), options.store), (4, Some("a".into())));
    }

    #[test]
    fn a_seed_has_a_table_of_its_own_and_always_stores() {
        let text = "[chord]\nno_join = true\nstore = 'c'\n[seed]\nstore = 's'\n";
        let (_file, ChordArgs { node, .. }) = file(text);
        let options = resolve_seed(&SeedArgs { node, store: None }, &[]).unwrap();
        assert!(options.joins && options.store == Some("s".into()));
        assert_eq!(options.node.subnet, "bootstrap");
        let error = resolve_seed(&SeedArgs::default(), &[("RS2P_BOOTSTRAP", "a:1")]).unwrap_err();
        assert!(error.contains("--connect"), "{error}");
        let (_file, args) = file("[seed]\nno_join = true\n");
        assert!(resolve(&args, &[]).unwrap_err().contains(":2: unknown field `no_join`"));
    }

    #[test]
    fn the_file_of_the_book_sets_every_option() {
        let page = include_str!("../../../../docs/operations/cli.md");
        let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
        let (_file, args) = file(example.unwrap());
        let options = resolve(&args, &[]).unwrap();
        assert!(options.joins && !options.announces && options.store == Some("shelf.redb".into()));
        assert_eq!((options.timeout.0.as_secs(), options.node.bootstrap.len()), (5, 1));
        // A seed passes over nothing but tables.
        let text = example.unwrap().replace("bootstrap = ", "#");
        let (_file, ChordArgs { node, .. }) = file(&text);
        let seed = resolve_seed(&SeedArgs { node, store: None }, &[]).unwrap();
        assert_eq!(seed.store, Some("seed.redb".into()));
    }

    #[test]
    fn a_time_that_cannot_be_is_refused_with_what_can() {
        let refused = |text: &str, reason: &str| {
            let error = text.parse::<Patience>().unwrap_err();
            assert!(error.contains(text) && error.contains(reason), "{error}");
        };
        refused("soon", "10s");
        refused("10", "10s");
        refused("0s", "from 100ms");
        refused("2h", "to 1h");
        assert_eq!("250ms".parse::<Patience>().unwrap().0, Duration::from_millis(250));
    }
}
