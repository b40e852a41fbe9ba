//! One set of options out of four sources: flags win over the environment, that wins over the
//! configuration file, that over what is the default.
//!
//! Each source fills in a [`Settings`], checked value by value with the place it stands in.
//! [`NodeOptions::resolve`] is the one place where they are put together.

mod chord;
mod kad;
mod sync;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rs2p_base::Endpoint;
use serde::Deserialize;
use tracing_subscriber::filter::LevelFilter;

use crate::args::NodeArgs;
use crate::failure::Failure;

pub(crate) use chord::{ChordOptions, Patience};
pub(crate) use kad::{ByteSize, KadOptions, NodeKey};
pub(crate) use sync::{Lease, SyncOptions};

/// Everything a node is started with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NodeOptions {
    pub(crate) listen: Endpoint,
    pub(crate) connect: Vec<Endpoint>,
    /// Seeds of the bootstrap network.
    pub(crate) bootstrap: Vec<Endpoint>,
    pub(crate) subnet: String,
    pub(crate) advertise: Option<Endpoint>,
    pub(crate) json: bool,
    pub(crate) log: LevelFilter,
}

impl NodeOptions {
    /// `environment` looks up a variable; `subnet` is the layer's default.
    pub(crate) fn resolve(
        args: &NodeArgs,
        environment: impl Fn(&str) -> Option<OsString>,
        subnet: &str,
    ) -> Result<Self, Failure> {
        let variables = Variables(environment);
        let file = Settings::of_file(args, &variables)?;
        Self::put_together(args, &variables, file, subnet)
    }

    fn put_together<E: Fn(&str) -> Option<OsString>>(
        args: &NodeArgs,
        variables: &Variables<E>,
        file: Settings,
        subnet: &str,
    ) -> Result<Self, Failure> {
        let flags = Settings::from_flags(args);
        let env = Settings::from_environment(variables)?;
        let log = flags.log().or(env.log()).or(file.log()).unwrap_or(LevelFilter::WARN);
        let transport = flags.transport.or(env.transport).or(file.transport);
        transport.unwrap_or(TransportName::Tcp).check()?;
        let listen = flags.listen.or(env.listen).or(file.listen);
        let connect = flags.connect.or(env.connect).or(file.connect).unwrap_or_default();
        let bootstrap = flags.bootstrap.or(env.bootstrap).or(file.bootstrap).unwrap_or_default();
        let advertise = flags.advertise.or(env.advertise).or(file.advertise);
        Ok(Self {
            listen: listen.unwrap_or_default().0,
            connect: connect.into_iter().map(|address| address.0).collect(),
            bootstrap: bootstrap.into_iter().map(|address| address.0).collect(),
            subnet: flags.subnet.or(env.subnet).or(file.subnet).unwrap_or(subnet.to_owned()),
            advertise: advertise.map(|address| address.0),
            json: flags.json.or(env.json).or(file.json).unwrap_or(false),
            log,
        })
    }
}

/// What one source says; a layer that has options of its own gets a table of its name here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    listen: Option<ListenAddress>,
    connect: Option<Vec<DialAddress>>,
    bootstrap: Option<Vec<DialAddress>>,
    subnet: Option<String>,
    transport: Option<TransportName>,
    advertise: Option<DialAddress>,
    json: Option<bool>,
    verbose: Option<u8>,
    quiet: Option<bool>,
    sync: sync::Settings,
    chord: chord::Settings,
    seed: chord::SeedSettings,
    kad: kad::Settings,
}

impl Settings {
    fn from_flags(args: &NodeArgs) -> Self {
        Self {
            listen: args.listen.clone(),
            connect: args.connect.clone(),
            bootstrap: args.bootstrap.clone(),
            subnet: args.subnet.clone(),
            transport: args.transport,
            advertise: args.advertise.clone(),
            json: args.json.then_some(true),
            verbose: (args.verbose > 0).then_some(args.verbose),
            quiet: args.quiet.then_some(true),
            ..Self::default()
        }
    }

    fn from_environment<E: Fn(&str) -> Option<OsString>>(
        variables: &Variables<E>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            listen: variables.parse("LISTEN")?,
            connect: variables.addresses("CONNECT")?,
            bootstrap: variables.addresses("BOOTSTRAP")?,
            subnet: variables.text("SUBNET")?,
            transport: variables.parse("TRANSPORT")?,
            advertise: variables.parse("ADVERTISE")?,
            json: variables.switch("JSON")?,
            verbose: variables.parse_with("VERBOSE", |text| {
                text.parse().map_err(|_| format!("`{text}` is not a number from 0 to 255"))
            })?,
            quiet: variables.switch("QUIET")?,
            ..Self::default()
        })
    }

    /// Those of the file that is named, if one is.
    fn of_file<E: Fn(&str) -> Option<OsString>>(
        args: &NodeArgs,
        variables: &Variables<E>,
    ) -> Result<Self, Failure> {
        let path = args.config.clone().or(variables.text("CONFIG")?.map(PathBuf::from));
        path.map_or_else(|| Ok(Self::default()), |path| Self::from_file(&path))
    }

    fn from_file(path: &Path) -> Result<Self, Failure> {
        let name = path.display();
        let text = fs::read_to_string(path).map_err(|error| {
            Failure::Usage(format!("the configuration file {name} cannot be read: {error}"))
        })?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Failure::Usage(format!("{name}:{line}: {}", error.message().trim_end()))
        })
    }

    /// What to log, if this source has an opinion. Quiet wins.
    fn log(&self) -> Option<LevelFilter> {
        if self.quiet == Some(true) {
            return Some(LevelFilter::ERROR);
        }
        Some(match self.verbose? {
            0 => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            2 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }
}

/// Where a node listens. The default is a free port of this machine alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ListenAddress(Endpoint);

/// Where a node can be reached.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct DialAddress(pub(crate) Endpoint);

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum TransportName {
    Tcp,
    Tls,
    Ws,
    Wss,
}

/// The protocol's own name of a transport.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encryption(pub(crate) &'static str);

impl TransportName {
    /// Refuses what is not there yet.
    fn check(self) -> Result<(), Failure> {
        let name = match self {
            Self::Tcp => return Ok(()),
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        };
        let text = format!("the transport `{name}` is not there yet: so far only `tcp` is");
        Err(Failure::Usage(text))
    }
}

impl Default for ListenAddress {
    fn default() -> Self {
        Self(Endpoint::Socket(([127, 0, 0, 1], 0).into()))
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|error: rs2p_base::EndpointError| error.to_string())
    }
}

impl FromStr for DialAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let endpoint: Endpoint =
            text.parse().map_err(|error: rs2p_base::EndpointError| error.to_string())?;
        if endpoint.port() == 0 {
            return Err(format!("`{text}`: nobody can be reached at port 0"));
        }
        Ok(Self(endpoint))
    }
}

impl FromStr for TransportName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "tcp" => Self::Tcp,
            "tls" => Self::Tls,
            "ws" => Self::Ws,
            "wss" => Self::Wss,
            _ => return Err(format!("`{text}` is no transport: there are tcp, tls, ws, wss")),
        })
    }
}

impl FromStr for Encryption {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "Plaintext" | "tcp" => "Plaintext",
            "SSL" | "tls" => "SSL",
            "ws" => "ws",
            "wss" => "wss",
            _ => {
                return Err(format!(
                    "`{text}` is no encryption of the protocol: there are Plaintext (or tcp), SSL \
                     (or tls), ws, wss"
                ));
            }
        }))
    }
}

macro_rules! from_string {
    ($($name:ident),*) => {
        $(impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        })*
    };
}

use from_string;

from_string!(ListenAddress, DialAddress, TransportName);

/// The variables `RS2P_*`. An empty one counts as not set.
struct Variables<E>(E);

impl<E: Fn(&str) -> Option<OsString>> Variables<E> {
    fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        let Some(value) = (self.0)(&format!("RS2P_{name}")) else { return Ok(None) };
        let text = value.into_string().map_err(|_| wrong_variable(name, "it is not UTF-8"))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn parse<T: FromStr<Err = String>>(&self, name: &str) -> Result<Option<T>, Failure> {
        self.parse_with(name, str::parse)
    }

    /// Several addresses, separated by commas.
    fn addresses(&self, name: &str) -> Result<Option<Vec<DialAddress>>, Failure> {
        self.parse_with(name, |list| {
            let addresses = list.split(',').map(str::trim).filter(|address| !address.is_empty());
            addresses.map(str::parse).collect()
        })
    }

    /// A path need not be UTF-8.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let value = (self.0)(&format!("RS2P_{name}")).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    }

    fn switch(&self, name: &str) -> Result<Option<bool>, Failure> {
        self.parse_with(name, |text| match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(true),
            "0" | "false" | "no" | "off" => Ok(false),
            _ => Err(format!("`{text}` is neither 1 nor 0")),
        })
    }

    fn parse_with<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Failure> {
        let parsed = self.text(name)?.map(|text| parse(&text));
        parsed.transpose().map_err(|reason| wrong_variable(name, &reason))
    }
}

fn wrong_variable(name: &str, reason: &str) -> Failure {
    Failure::Usage(format!("the environment variable RS2P_{name}: {reason}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn resolve(args: &NodeArgs, env: &[(&str, &str)]) -> Result<NodeOptions, String> {
        let environment = |name: &str| {
            let found = env.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.into())
        };
        NodeOptions::resolve(args, environment, "mesh").map_err(|failure| {
            assert_eq!(failure.status(), 2);
            failure.text().unwrap_or_default().to_owned()
        })
    }

    fn file(text: &str) -> (tempfile::NamedTempFile, NodeArgs) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let args = NodeArgs { config: Some(file.path().to_owned()), ..NodeArgs::default() };
        (file, args)
    }

    #[test]
    fn with_nothing_given_a_node_is_private_to_the_machine() {
        let options = resolve(&NodeArgs::default(), &[("RS2P_LISTEN", "")]).unwrap();
        assert_eq!(options.listen.to_string(), "127.0.0.1:0");
        assert_eq!((options.subnet.as_str(), options.json), ("mesh", false));
        assert_eq!(options.log, LevelFilter::WARN);
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let text = "subnet = 'file'\nlisten = '127.0.0.1:1'\nconnect = ['f:1', 'f:2']\n\
            json = true\nverbose = 2\n";
        let (_file, mut args) = file(text);
        let options = resolve(&args, &[]).unwrap();
        assert_eq!((options.subnet.as_str(), options.json), ("file", true));
        assert_eq!((options.connect.len(), options.log), (2, LevelFilter::DEBUG));
        let env = [
            ("RS2P_SUBNET", "env"),
            ("RS2P_CONNECT", "e:1, e:2,e:3"),
            ("RS2P_JSON", "0"),
            ("RS2P_QUIET", "yes"),
        ];
        let options = resolve(&args, &env).unwrap();
        assert_eq!((options.subnet.as_str(), options.json), ("env", false));
        assert_eq!((options.connect.len(), options.log), (3, LevelFilter::ERROR));
        args.subnet = Some("flag".to_owned());
        args.connect = Some(vec!["a:1".parse().unwrap()]);
        args.verbose = 1;
        let options = resolve(&args, &env).unwrap();
        assert_eq!((options.subnet.as_str(), options.connect.len()), ("flag", 1));
        assert_eq!(options.log, LevelFilter::INFO);
        assert_eq!(options.listen.port(), 1, "what nobody else says comes from the file");
    }

    #[test]
    fn a_wrong_file_is_told_with_line_and_reason() {
        let refused = |text: &str| {
            let (file, args) = file(text);
            let error = resolve(&args, &[]).unwrap_err();
            let name = file.path().display().to_string();
            error.strip_prefix(&name).unwrap_or_else(|| panic!("{error}")).to_owned()
        };
        let unknown = refused("subnet = 'a'\nlistne = 'b'\n");
        assert!(unknown.starts_with(":2: unknown field `listne`"), "{unknown}");
        assert!(unknown.contains("`listen`"), "{unknown}");
        let address = refused("\nlisten = 'localhost'\n");
        assert!(address.starts_with(":2:") && address.contains(":PORT"), "{address}");
        let nested = refused("connect = [\n  'a:1',\n  'b:0',\n]\n");
        // The line where the list begins; the address is named.
        assert!(nested.starts_with(":1: `b:0`") && nested.contains("port 0"), "{nested}");
        assert!(refused("json = 'yes'\n").starts_with(":1: invalid type"));
        assert!(refused("a b\n").starts_with(":1:"));
    }

    #[test]
    fn a_wrong_variable_is_told_by_name() {
        let refused = |name: &str, value: &str| {
            let error = resolve(&NodeArgs::default(), &[(name, value)]).unwrap_err();
            assert!(error.contains(name), "{error}");
            error
        };
        assert!(refused("RS2P_CONNECT", "a:1,b").contains("`b`"));
        assert!(refused("RS2P_JSON", "perhaps").contains("perhaps"));
        assert!(refused("RS2P_VERBOSE", "much").contains("number"));
    }

    #[test]
    fn the_file_of_the_book_sets_every_option() {
        let page = include_str!("../../../../docs/operations/cli.md");
        let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
        let (_file, args) = file(example.unwrap());
        let options = resolve(&args, &[]).unwrap();
        assert_eq!((options.listen.port(), options.subnet.as_str()), (4444, "friends"));
        assert_eq!((options.connect.len(), options.json), (2, true));
        assert_eq!(options.log, LevelFilter::INFO);
        assert!(options.advertise.is_some());
    }

    #[test]
    fn a_missing_file_is_told_by_name() {
        let args = NodeArgs { config: Some("no/such/file.toml".into()), ..NodeArgs::default() };
        assert!(resolve(&args, &[]).unwrap_err().contains("no/such/file.toml"));
    }

    #[test]
    fn a_transport_that_is_not_there_yet_is_refused_whoever_asks() {
        let error = resolve(&NodeArgs::default(), &[("RS2P_TRANSPORT", "wss")]).unwrap_err();
        assert!(error.contains("`wss` is not there yet"), "{error}");
    }
}
