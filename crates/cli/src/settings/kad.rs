//! The options of a node of a Kademlia DHT.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use rs2p_bytestag::{DhtConfig, Key};
use serde::Deserialize;

use super::{DialAddress, NodeOptions, Variables};
use crate::args::{KadArgs, NodeArgs};
use crate::failure::Failure;

/// Everything such a node is started with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KadOptions {
    /// Those to join by are those to connect to.
    pub(crate) node: NodeOptions,
    pub(crate) id: Option<NodeKey>,
    /// Bytes of others' values that are kept.
    pub(crate) capacity: ByteSize,
    pub(crate) store: Option<PathBuf>,
    /// What is shared from the start.
    pub(crate) share: Vec<String>,
    /// Whether the router is asked to forward the node's port.
    pub(crate) port_forwarding: bool,
}

impl KadOptions {
    /// `environment` looks up a variable.
    pub(crate) fn resolve(
        args: &KadArgs,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Failure> {
        let KadArgs { listen, join, id, capacity, store, share, port_forwarding, .. } =
            args.clone();
        let KadArgs { json, verbose, quiet, config, .. } = args.clone();
        let args = NodeArgs { listen, json, verbose, quiet, config, ..NodeArgs::default() };
        let variables = Variables(environment);
        let mut file = super::Settings::of_file(&args, &variables)?;
        let of_file = std::mem::take(&mut file.kad);
        let env = Settings::from_environment(&variables)?;
        // What nodes over a mesh have more is none of this one's.
        let file = super::Settings {
            listen: file.listen,
            json: file.json,
            verbose: file.verbose,
            quiet: file.quiet,
            ..super::Settings::default()
        };
        let of_node = ["LISTEN", "JSON", "VERBOSE", "QUIET"];
        let own = |name: &str| {
            let name_of_own = name.strip_prefix("RS2P_").filter(|it| of_node.contains(it));
            name_of_own.and_then(|_| (variables.0)(name))
        };
        let mut node = NodeOptions::put_together(&args, &Variables(own), file, "")?;
        let join = join.or(env.join).or(of_file.join).unwrap_or_default();
        node.connect = join.into_iter().map(|address| address.0).collect();
        Ok(Self {
            node,
            id: id.or(env.id).or(of_file.id),
            capacity: capacity.or(env.capacity).or(of_file.capacity).unwrap_or_default(),
            store: store.or(env.store).or(of_file.store),
            share: share.or(env.share).or(of_file.share).unwrap_or_default(),
            port_forwarding: port_forwarding
                || env.port_forwarding.or(of_file.port_forwarding).unwrap_or_default(),
        })
    }
}

/// What one source says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    join: Option<Vec<DialAddress>>,
    id: Option<NodeKey>,
    capacity: Option<ByteSize>,
    store: Option<PathBuf>,
    share: Option<Vec<String>>,
    port_forwarding: Option<bool>,
}

impl Settings {
    fn from_environment<E: Fn(&str) -> Option<OsString>>(
        variables: &Variables<E>,
    ) -> Result<Self, Failure> {
        let paths = |text: &str| {
            env::split_paths(text)
                .filter(|path| !path.as_os_str().is_empty())
                .map(|path| Ok(path.to_string_lossy().into_owned()))
                .collect()
        };
        Ok(Self {
            join: variables.addresses("JOIN")?,
            id: variables.parse("ID")?,
            capacity: variables.parse("CAPACITY")?,
            store: variables.path("STORE"),
            share: variables.parse_with("SHARE", paths)?,
            port_forwarding: variables.switch("PORT_FORWARDING")?,
        })
    }
}

/// The id of a node, in any form in which keys are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct NodeKey(pub(crate) Key);

impl FromStr for NodeKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error| format!("`{text}` is {error}"))
    }
}

/// A number of bytes, with or without a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ByteSize(pub(crate) u64);

impl Default for ByteSize {
    fn default() -> Self {
        Self(DhtConfig::default().capacity)
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            format!(
                "`{text}` is no size: write 1048576, 500M, 10G or 2TiB (M, MiB: 1024 times 1024)"
            )
        };
        let end = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        let number: u64 = digits.parse().map_err(|_| refused())?;
        let unit = unit.trim_start().to_ascii_lowercase();
        let (letter, rest) = unit.split_at(unit.len().min(1));
        let power = match letter {
            "" | "b" => 0,
            "k" => 1,
            "m" => 2,
            "g" => 3,
            "t" => 4,
            _ => return Err(refused()),
        };
        let base: u64 = match (power, rest) {
            (0, "") | (1.., "" | "ib") => 1_024,
            (1.., "b") => 1_000,
            _ => return Err(refused()),
        };
        let bytes = base.pow(power).checked_mul(number);
        bytes.map(Self).ok_or_else(|| format!("`{text}` is more than can be counted"))
    }
}

super::from_string!(NodeKey, ByteSize);

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn resolve(args: &KadArgs, env: &[(&str, &str)]) -> Result<KadOptions, String> {
        let environment = |name: &str| {
            let found = env.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.into())
        };
        KadOptions::resolve(args, environment).map_err(|failure| {
            assert_eq!(failure.status(), 2);
            failure.text().unwrap_or_default().to_owned()
        })
    }

    fn file(text: &str) -> (tempfile::NamedTempFile, KadArgs) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let args = KadArgs { config: Some(file.path().to_owned()), ..KadArgs::default() };
        (file, args)
    }

    #[test]
    fn with_nothing_given_a_node_stores_in_memory_and_shares_nothing() {
        let options = resolve(&KadArgs::default(), &[]).unwrap();
        assert_eq!(options.node.listen.to_string(), "127.0.0.1:0");
        assert!(options.node.connect.is_empty() && options.share.is_empty());
        assert_eq!((options.capacity.0, options.store, options.id), (1 << 36, None, None));
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_table_of_the_file() {
        let id = |digit: &str| digit.repeat(40);
        let text = format!(
            "listen = '127.0.0.1:7'\n[kad]\njoin = ['f:1']\nid = '{}'\ncapacity = '1G'\n\
             store = 'f'\nshare = ['a', 'b']\n",
            id("1")
        );
        let (_file, mut args) = file(&text);
        let options = resolve(&args, &[]).unwrap();
        assert_eq!((options.node.listen.port(), options.node.connect.len()), (7, 1));
        assert_eq!(options.id.unwrap().0.to_string(), id("1"));
        assert_eq!((options.capacity.0, options.store), (1 << 30, Some("f".into())));
        assert_eq!(options.share, ["a", "b"]);
        let two = id("2");
        let env = [
            ("RS2P_JOIN", "e:1,e:2"),
            ("RS2P_ID", two.as_str()),
            ("RS2P_CAPACITY", "2G"),
            ("RS2P_STORE", "e"),
            ("RS2P_SHARE", "c"),
        ];
        let options = resolve(&args, &env).unwrap();
        assert_eq!((options.node.connect.len(), options.capacity.0), (2, 2 << 30));
        assert_eq!((options.store, options.share), (Some("e".into()), vec!["c".to_owned()]));
        assert_eq!(options.id.unwrap().0.to_string(), two);
        args.join = Some(vec!["a:1".parse().unwrap()]);
        args.capacity = Some("3G".parse().unwrap());
        args.store = Some("a".into());
        args.share = Some(vec![]);
        let options = resolve(&args, &env).unwrap();
        assert_eq!((options.node.connect.len(), options.capacity.0), (1, 3 << 30));
        assert_eq!((options.store, options.share), (Some("a".into()), vec![]));
    }

    #[test]
    fn what_is_meant_for_other_layers_is_passed_over() {
        let (_file, args) = file("connect = ['a:1']\nsubnet = 'x'\n[chord]\nstore = 'c'\n");
        let env = [("RS2P_CONNECT", "b:1"), ("RS2P_TRANSPORT", "wss"), ("RS2P_BOOTSTRAP", "c:1")];
        let options = resolve(&args, &env).unwrap();
        assert!(options.node.connect.is_empty() && options.node.bootstrap.is_empty());
        assert_eq!(options.store, None);
    }

    #[test]
    fn the_file_of_the_book_sets_every_option() {
        let page = include_str!("../../../../docs/operations/cli.md");
        let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
        let (_file, args) = file(example.unwrap());
        let options = resolve(&args, &[]).unwrap();
        assert_eq!((options.node.connect.len(), options.share.len()), (1, 1));
        assert!(options.id.is_some() && options.store == Some("values.redb".into()));
        assert_eq!(options.capacity.0, 20 << 30);
    }

    #[test]
    fn a_size_is_a_number_with_or_without_a_unit() {
        let size = |text: &str| text.parse::<ByteSize>().map(|size| size.0);
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("12b"), Ok(12));
        assert_eq!(size("2k"), Ok(2_048));
        assert_eq!(size("2kB"), Ok(2_000));
        assert_eq!(size("3 MiB"), Ok(3 << 20));
        assert_eq!(size("1T"), Ok(1 << 40));
        for wrong in ["", "much", "-1", "1.5G", "1X", "1Gi", "1bib", "99999999999T"] {
            assert!(size(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn an_id_is_a_key_in_any_form() {
        let id = |text: &str| text.parse::<NodeKey>().map(|id| id.0.to_string());
        let hex = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
        assert_eq!(id(&hex.to_uppercase()).unwrap(), hex);
        assert_eq!(id("3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ").unwrap(), hex);
        assert_eq!(id("2jmj7l5rSw0yVb/vlWAYkK/YBwk=").unwrap(), hex);
        assert!(id("abcd").unwrap_err().contains("`abcd` is a key of 2 bytes, where 20 are due"));
    }
}
