//! The options of a node of a replicated dictionary.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use rs2p_sync::SyncConfig;
use serde::Deserialize;

use super::{NodeOptions, Variables};
use crate::args::SyncArgs;
use crate::failure::Failure;

/// Everything such a node is started with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SyncOptions {
    pub(crate) node: NodeOptions,
    pub(crate) leasing: bool,
    /// How long the node's own writes close their keys, unless a command says otherwise.
    pub(crate) lease: Lease,
    pub(crate) store: Option<PathBuf>,
}

impl SyncOptions {
    /// `environment` looks up a variable.
    pub(crate) fn resolve(
        args: &SyncArgs,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Failure> {
        let variables = Variables(environment);
        let mut file = super::Settings::of_file(&args.node, &variables)?;
        let of_file = std::mem::take(&mut file.sync);
        let env = Settings::from_environment(&variables)?;
        let no_leasing = args.no_leasing.then_some(true).or(env.no_leasing).or(of_file.no_leasing);
        Ok(Self {
            node: NodeOptions::put_together(&args.node, &variables, file, "sync")?,
            leasing: !no_leasing.unwrap_or(false),
            lease: args.lease.or(env.lease).or(of_file.lease).unwrap_or_default(),
            store: args.store.clone().or(env.store).or(of_file.store),
        })
    }
}

/// What one source says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    no_leasing: Option<bool>,
    lease: Option<Lease>,
    store: Option<PathBuf>,
}

impl Settings {
    fn from_environment<E: Fn(&str) -> Option<OsString>>(
        variables: &Variables<E>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            no_leasing: variables.switch("NO_LEASING")?,
            lease: variables.parse("LEASE")?,
            store: variables.path("STORE"),
        })
    }
}

/// How long a write closes its key to others: whole seconds within what leases can last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Lease(pub(crate) Duration);

impl Default for Lease {
    fn default() -> Self {
        Self(SyncConfig::default().lease)
    }
}

impl FromStr for Lease {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lease = humantime::parse_duration(text)
            .map_err(|_| format!("`{text}` is no time: write 90s, 10m, \"2h 30m\" or 7days"))?;
        let longest = SyncConfig::LONGEST_LEASE;
        if lease.subsec_nanos() != 0 || lease.is_zero() || lease > longest {
            let longest = humantime::format_duration(longest);
            return Err(format!("`{text}`: a lease lasts whole seconds, from 1s to {longest}"));
        }
        Ok(Self(lease))
    }
}

super::from_string!(Lease);

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn resolve(args: &SyncArgs, env: &[(&str, &str)]) -> Result<SyncOptions, String> {
        let environment = |name: &str| {
            let found = env.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.into())
        };
        SyncOptions::resolve(args, environment).map_err(|failure| {
            assert_eq!(failure.status(), 2);
            failure.text().unwrap_or_default().to_owned()
        })
    }

    fn file(text: &str) -> (tempfile::NamedTempFile, SyncArgs) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut args = SyncArgs::default();
        args.node.config = Some(file.path().to_owned());
        (file, args)
    }

    fn minutes(lease: Lease) -> u64 {
        lease.0.as_secs() / 60
    }

    #[test]
    fn with_nothing_given_keys_are_leased_for_an_hour_and_nothing_is_kept() {
        let options = resolve(&SyncArgs::default(), &[]).unwrap();
        assert_eq!((options.leasing, minutes(options.lease)), (true, 60));
        assert_eq!((options.store, options.node.subnet.as_str()), (None, "sync"));
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_table_of_the_file() {
        let text = "subnet = 'file'\n[sync]\nno_leasing = true\nlease = '2m'\nstore = 'f'\n";
        let (_file, mut args) = file(text);
        let options = resolve(&args, &[]).unwrap();
        assert_eq!((options.leasing, minutes(options.lease)), (false, 2));
        assert_eq!((options.store, options.node.subnet.as_str()), (Some("f".into()), "file"));
        let env = [("RS2P_NO_LEASING", "0"), ("RS2P_LEASE", "3m"), ("RS2P_STORE", "e")];
        let options = resolve(&args, &env).unwrap();
        assert_eq!((options.leasing, minutes(options.lease)), (true, 3));
        assert_eq!(options.store, Some("e".into()));
        args.lease = Some("4m".parse().unwrap());
        args.store = Some("a".into());
        let options = resolve(&args, &env).unwrap();
        assert_eq!((minutes(options.lease), options.store), (4, Some("a".into())));
        args.no_leasing = true;
        assert!(!resolve(&args, &env).unwrap().leasing);
    }

    #[test]
    fn a_mesh_node_passes_over_the_table_of_the_dictionary_if_it_makes_sense() {
        let (_file, args) = file("[sync]\nlease = '2m'\n");
        assert!(NodeOptions::resolve(&args.node, |_| None, "mesh").is_ok());
        let (_file, args) = file("\n[sync]\nlese = '2m'\n");
        let error = resolve(&args, &[]).unwrap_err();
        assert!(error.contains(":3: unknown field `lese`"), "{error}");
    }

    #[test]
    fn the_file_of_the_book_sets_every_option() {
        let page = include_str!("../../../../docs/operations/cli.md");
        let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
        let (_file, args) = file(example.unwrap());
        let options = resolve(&args, &[]).unwrap();
        assert!(options.leasing && options.store == Some("friends.redb".into()));
        assert_eq!((minutes(options.lease), options.node.listen.port()), (150, 4444));
    }

    #[test]
    fn a_lease_that_cannot_be_is_refused_with_what_can() {
        let refused = |text: &str, reason: &str| {
            let error = text.parse::<Lease>().unwrap_err();
            assert!(error.contains(text) && error.contains(reason), "{error}");
        };
        refused("soon", "10m");
        refused("10", "10m");
        refused("-1s", "10m");
        refused("0s", "1s to 30days");
        refused("1500ms", "whole seconds");
        refused("31days", "30days");
        refused("99999999999999999999y", "10m");
        assert_eq!("30days".parse::<Lease>().unwrap().0, SyncConfig::LONGEST_LEASE);
        assert_eq!("2h 30m".parse::<Lease>().unwrap().0.as_secs(), 9_000);
        let error = resolve(&SyncArgs::default(), &[("RS2P_LEASE", "long")]).unwrap_err();
        assert!(error.contains("RS2P_LEASE") && error.contains("`long`"), "{error}");
    }
}
