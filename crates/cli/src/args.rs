//! What may be typed behind `rs2p`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::settings::{
    ByteSize, DialAddress, Encryption, Lease, ListenAddress, NodeKey, Patience, TransportName,
};

/// Peer-to-peer nodes that talk with py2p 0.7 and js2p 0.7.
#[derive(Debug, Parser)]
#[command(
    name = "rs2p",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  rs2p mesh --listen 127.0.0.1:4444       # a node; type `help` to see what it can do
  rs2p mesh --connect 127.0.0.1:4444      # another one, in a second terminal
  rs2p mesh --help                        # everything about mesh nodes
  rs2p sync --listen 127.0.0.1:4445       # a replicated dictionary: `set colour green`
  rs2p chord --listen 127.0.0.1:4446      # a distributed hash table, for more than one node holds
  rs2p kad --listen 127.0.0.1:4447        # another one, for values and files: `share photos`
  rs2p completions bash > ~/.local/share/bash-completion/completions/rs2p

Exit status: 0 done, 1 failed, 2 wrong usage, 3 no node reachable, 8 incompatible network,
130 interrupted."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a mesh node: chat and raw messages.
    ///
    /// The node reads commands from standard input, a line each, and answers on standard output.
    /// At a terminal it is a line editor with history and completion.
    #[command(after_help = MESH_HELP)]
    Mesh(NodeArgs),
    /// Run a node of a replicated dictionary: every node holds every key.
    ///
    /// A write closes its key to all other nodes for an hour, its lease. The node reads commands
    /// from standard input, a line each, and answers on standard output. At a terminal it is a line
    /// editor with history and completion.
    #[command(after_help = SYNC_HELP)]
    Sync(SyncArgs),
    /// Run a node of a Chord DHT: every key lies on some nodes, and all of them find it.
    ///
    /// A key lies at five places of a ring, with three copies of each; a write is answered once three
    /// places have it. The node reads commands from standard input, a line each, and answers on
    /// standard output. At a terminal it is a line editor with history and completion.
    #[command(after_help = CHORD_HELP)]
    Chord(ChordArgs),
    /// Run a node of a Kademlia DHT over UDP, in one network with Bytestag: values and shared files.
    ///
    /// A value lies on the twenty nodes nearest to it, which pass it on when they go. The node reads
    /// commands from standard input, a line each, and answers on standard output. At a terminal it is
    /// a line editor with history and completion.
    #[command(after_help = KAD_HELP)]
    Kad(KadArgs),
    /// Run a node of the bootstrap network, where nodes of other networks find each other.
    ///
    /// It is a node of a Chord DHT that stores, with all its commands. Others come to it with
    /// --bootstrap.
    #[command(after_help = SEED_HELP)]
    Seed(SeedArgs),
    /// Take frames, network names and keys apart, for people who write another implementation.
    #[command(after_help = INSPECT_HELP)]
    Inspect(InspectArgs),
    /// Print a completion script for a shell.
    #[command(after_help = "\
Examples:
  rs2p completions bash > ~/.local/share/bash-completion/completions/rs2p
  rs2p completions zsh > ~/.zfunc/_rs2p
  rs2p completions fish > ~/.config/fish/completions/rs2p.fish")]
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Write the manual pages into a directory.
    #[command(hide = true)]
    Man {
        /// Where to; it is made if need be.
        directory: PathBuf,
    },
}

/// Options of every command that runs a node.
///
/// None has a default here: what is not given is looked up in the environment and in the
/// configuration file first.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NodeArgs {
    /// Listen for peers here; port 0 picks a free port [env: RS2P_LISTEN] [default: 127.0.0.1:0]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<ListenAddress>,

    /// Connect to this node first; may be repeated [env: RS2P_CONNECT, separated by commas]
    #[arg(long, value_name = "HOST:PORT", action = ArgAction::Append)]
    pub(crate) connect: Option<Vec<DialAddress>>,

    /// Find nodes of this network, and be found, by way of this seed (`rs2p seed`); may be repeated
    /// [env: RS2P_BOOTSTRAP, separated by commas]
    #[arg(long, value_name = "HOST:PORT", action = ArgAction::Append)]
    pub(crate) bootstrap: Option<Vec<DialAddress>>,

    /// Name of the network; only nodes of the same one talk to each other [env: RS2P_SUBNET]
    /// [default: the command's name]
    #[arg(long, value_name = "NAME")]
    pub(crate) subnet: Option<String>,

    /// How bytes travel; part of the network's identity. Only tcp is there yet
    /// [env: RS2P_TRANSPORT] [default: tcp]
    #[arg(long, value_name = "tcp|tls|ws|wss")]
    pub(crate) transport: Option<TransportName>,

    /// Tell peers to dial this address instead of the one listened on [env: RS2P_ADVERTISE]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<DialAddress>,

    /// One JSON object on each line of standard output [env: RS2P_JSON]
    #[arg(long)]
    pub(crate) json: bool,

    /// Log more to standard error; -vv and -vvv still more [env: RS2P_VERBOSE, a number]
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Log errors only [env: RS2P_QUIET]
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Read options from a TOML file; flags and environment win over it [env: RS2P_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Options of a node of a replicated dictionary.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SyncArgs {
    #[command(flatten)]
    pub(crate) node: NodeArgs,

    /// Let every node write every key at any time; part of the network's identity
    /// [env: RS2P_NO_LEASING]
    #[arg(long, help_heading = "Dictionary", conflicts_with = "lease")]
    pub(crate) no_leasing: bool,

    /// How long a write of this node's closes its key to others, from 1s to 30days
    /// [env: RS2P_LEASE] [default: 1h]
    #[arg(long, value_name = "DURATION", help_heading = "Dictionary")]
    pub(crate) lease: Option<Lease>,

    /// Keep the dictionary in this file, which is made if need be; without one it lives in memory
    /// [env: RS2P_STORE]
    #[arg(long, value_name = "FILE", help_heading = "Dictionary")]
    pub(crate) store: Option<PathBuf>,
}

/// Options of a node of a DHT.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ChordArgs {
    #[command(flatten)]
    pub(crate) node: NodeArgs,

    /// Use the network without storing anything for it; `join` changes that [env: RS2P_NO_JOIN]
    #[arg(long, help_heading = "DHT")]
    pub(crate) no_join: bool,

    /// Tell nobody of new keys, which spares a large network a message to everyone for each; `keys`
    /// asks around the ring instead [env: RS2P_NO_ANNOUNCE]
    #[arg(long, help_heading = "DHT")]
    pub(crate) no_announce: bool,

    /// How long a read or write may take, from 100ms to 1h [env: RS2P_TIMEOUT] [default: 10s]
    #[arg(long, value_name = "DURATION", help_heading = "DHT")]
    pub(crate) timeout: Option<Patience>,

    /// Keep what the node stores in this file, which is made if need be; without one it lives in
    /// memory, and goes to other nodes at the end [env: RS2P_STORE]
    #[arg(long, value_name = "FILE", help_heading = "DHT")]
    pub(crate) store: Option<PathBuf>,
}

/// Options of a node of the bootstrap network.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SeedArgs {
    #[command(flatten)]
    pub(crate) node: NodeArgs,

    /// Keep what the node stores in this file, which is made if need be; without one it lives in
    /// memory, and goes to other seeds at the end [env: RS2P_STORE]
    #[arg(long, value_name = "FILE", help_heading = "DHT")]
    pub(crate) store: Option<PathBuf>,
}

/// Options of a node of a Kademlia DHT.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct KadArgs {
    /// Take datagrams here; port 0 picks a free port [env: RS2P_LISTEN] [default: 127.0.0.1:0]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<ListenAddress>,

    /// Join the network by this node; may be repeated [env: RS2P_JOIN, separated by commas]
    #[arg(long, value_name = "HOST:PORT", action = ArgAction::Append)]
    pub(crate) join: Option<Vec<DialAddress>>,

    /// The node's id, 20 bytes in hexadecimal, base32 or base64 [env: RS2P_ID] [default: that of the
    /// store file, or a random one]
    #[arg(long, visible_alias = "node-id", value_name = "KEY")]
    pub(crate) id: Option<NodeKey>,

    /// How many bytes of other nodes' values to keep, such as 500M or 10G; with 0 none
    /// [env: RS2P_CAPACITY] [default: 64G]
    #[arg(long, value_name = "SIZE")]
    pub(crate) capacity: Option<ByteSize>,

    /// Keep values, the node's id, whom it knows and what it shares in this file, which is made if
    /// need be; without one all of that lives in memory [env: RS2P_STORE]
    #[arg(long, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,

    /// Share this file or directory; may be repeated [env: RS2P_SHARE, separated as in PATH]
    #[arg(long, value_name = "PATH", action = ArgAction::Append)]
    pub(crate) share: Option<Vec<String>>,

    /// Have the router forward the node's port, by UPnP; listen on 0.0.0.0 for that
    /// [env: RS2P_PORT_FORWARDING]
    #[arg(long)]
    pub(crate) port_forwarding: bool,

    /// One JSON object on each line of standard output [env: RS2P_JSON]
    #[arg(long)]
    pub(crate) json: bool,

    /// Log more to standard error; -vv and -vvv still more [env: RS2P_VERBOSE, a number]
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Log errors only [env: RS2P_QUIET]
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,

    /// Read options from a TOML file; flags and environment win over it [env: RS2P_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    #[command(subcommand)]
    pub(crate) what: Inspect,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Inspect {
    /// Decode a whole frame, length header included.
    ///
    /// What cannot be decoded ends with exit status 1, and the reason and the byte on standard
    /// error.
    Frame {
        /// The frame in hexadecimal; white space is passed over. `-` reads it from standard input.
        #[arg(required = true)]
        hex: Vec<String>,
    },
    /// The id of a network, which nodes compare when they meet.
    Protocol {
        /// Name of the network, for instance `mesh`.
        subnet: String,
        /// `Plaintext`, `SSL`, `ws`, `wss`; or `tcp`, `tls` for the first two.
        #[arg(value_name = "ENCRYPTION")]
        encryption: Encryption,
    },
    /// The five positions of a key on the Chord ring.
    Key {
        /// The key: text, or bytes as `hex:00ff`.
        key: String,
    },
}

const MESH_HELP: &str = "\
Commands, a line each, words quoted as in a shell:
  connect HOST:PORT     connect to a node
  peers                 who is connected
  send PART...          a message to every node of the network
  whisper PART...       a message to connected nodes only
  reply PART...         answer the sender of the last message
  disconnect ID         part from a peer
  request_peers         ask peers whom they know
  bootstrap HOST:PORT   find nodes of this network by way of a seed
  status, id, help, quit

A PART is text, or with a leading `json:` any JSON value; {\"bin\":\"00ff\"} in it is binary.

Examples:
  rs2p mesh --listen 127.0.0.1:4444
  rs2p mesh --connect 127.0.0.1:4444 --subnet friends
  printf 'send hello\\nquit\\n' | rs2p mesh --connect 127.0.0.1:4444
  RS2P_SUBNET=friends rs2p mesh --config node.toml --json

A configuration file holds the same names:
  listen = \"0.0.0.0:4444\"
  connect = [\"10.0.0.7:4444\", \"node.example.org:4444\"]
  subnet = \"friends\"

Exit status: 0 after `quit` or SIGTERM; 130 after SIGINT or Ctrl-C; 1 failed, for instance since
the port is in use; 2 wrong usage; 3 no node of --connect or --bootstrap was
reachable; 8 the nodes reached belong
to another network.";

const SYNC_HELP: &str = "\
Commands, a line each, words quoted as in a shell:
  set KEY VALUE [LEASE]     set a key, for a lease of this length
  get KEY                   the value of a key
  entry KEY                 the value, who wrote it, when, and until when it is leased
  del KEY                   delete a key
  pop KEY                   delete a key, and tell its value
  popitem                   delete some key that this node may delete, and tell it
  keys, values, items       all of them, in the order of the keys
  copy                      the whole dictionary, as one object
  len                       how many keys there are
  update KEY VALUE ...      set many keys
  delta KEY JSON            merge an object into the one that is the key's value
  renew KEY [LEASE]         let the lease begin anew
  connect HOST:PORT         connect to a node
  peers                     who is connected
  send, whisper, reply PART...
                            messages, as with `rs2p mesh`
  disconnect, request_peers, bootstrap, status, id, help, quit

A KEY is text, or bytes as hex:00ff. A VALUE or PART is text, or with a leading `json:` any JSON
value; {\"bin\":\"00ff\"} in it is binary. A LEASE is a time such as 90s, 10m, 2h 30m or 7days.

Examples:
  rs2p sync --listen 127.0.0.1:4445 --store shared.redb
  rs2p sync --connect 127.0.0.1:4445
  printf 'set colour green 10m\\nquit\\n' | rs2p sync --connect 127.0.0.1:4445
  printf 'items\\nquit\\n' | rs2p sync --json --store shared.redb

A configuration file holds the names of the options, those of the dictionary in a table:
  listen = \"0.0.0.0:4445\"
  connect = [\"10.0.0.7:4445\"]
  [sync]
  lease = \"10m\"
  store = \"shared.redb\"

Exit status: 0 after `quit` or SIGTERM; 130 after SIGINT or Ctrl-C; 1 failed, for instance since
the port is in use or the store file is damaged; 2 wrong usage; 3 no node of --connect or
--bootstrap was reachable; 8 the nodes reached belong to another network, for instance one without leases.";

const CHORD_HELP: &str = "\
Commands, a line each, words quoted as in a shell:
  set KEY VALUE             set a key
  get KEY                   the value of a key
  del KEY                   delete a key
  pop KEY                   delete a key, and tell its value
  popitem                   delete some key, and tell it
  keys, values, items       all of them, in the order of the keys
  copy                      all keys and values, as one object
  len                       how many keys there are
  update KEY VALUE ...      set many keys
  delta KEY JSON            merge an object into the one that is the key's value
  join                      store for the network
  unjoin                    store no more, and hand over what is here
  explain KEY               the way to the five places of a key, node by node
  ring                      this node's place on the ring, and its neighbours
  connect HOST:PORT         connect to a node
  peers                     who is connected
  send, whisper, reply PART...
                            messages, as with `rs2p mesh`
  disconnect, request_peers, bootstrap, status, id, help, quit

A KEY is text, or bytes as hex:00ff. A VALUE or PART is text, or with a leading `json:` any JSON
value; {\"bin\":\"00ff\"} in it is binary.

Examples:
  rs2p chord --listen 127.0.0.1:4446 --store shelf.redb
  rs2p chord --connect 127.0.0.1:4446
  printf 'set colour green\\nquit\\n' | rs2p chord --no-join --connect 127.0.0.1:4446
  printf 'get colour\\nquit\\n' | rs2p chord --no-join --json --connect 127.0.0.1:4446
  rs2p chord --subnet library --bootstrap seed.example.org:4444

A configuration file holds the names of the options, those of the DHT in a table:
  listen = \"0.0.0.0:4446\"
  connect = [\"10.0.0.7:4446\"]
  [chord]
  timeout = \"5s\"
  store = \"shelf.redb\"

Exit status: 0 after `quit` or SIGTERM; 130 after SIGINT or Ctrl-C; 1 failed, for instance since
the port is in use or the store file is damaged; 2 wrong usage; 3 no node of --connect or
--bootstrap was reachable; 8 the nodes reached belong to another network.";

const KAD_HELP: &str = "\
Commands, a line each, words quoted as in a shell:
  share PATH                share a file, or all files of a directory, and tell the link to it
  fetch MAGNET [PATH]       fetch what a link names into this directory, or to a path
  shared                    the shared files, and their links
  unshare PATH              share it no longer
  put TEXT, put @FILE       store a value of up to 1 MiB on the nodes nearest to it
  get KEY [INDEX]           a value under a key
  values [KEY]              what is under a key, or on this node
  withdraw KEY [INDEX]      keep a value no longer
  find KEY                  the nodes nearest to a key
  join HOST:PORT...         join the network by these nodes
  ping HOST:PORT            who is there, and how far away
  table                     the nodes this one knows
  wait, cancel              wait for share, fetch, put and get, which go on in the background; stop them
  status, id, help, quit

A KEY is 20 bytes in hexadecimal, base32 or base64. A link to a file has to be quoted only in a shell.

Examples:
  rs2p kad --listen 0.0.0.0:4447 --store values.redb --capacity 20G
  rs2p kad --join seed.example.org:4447 --share photos
  printf 'put hello\\nquit\\n' | rs2p kad --join 127.0.0.1:4447
  printf 'fetch magnet:?xt=urn:bstagih:... photos\\nwait\\nquit\\n' | rs2p kad --json --join 127.0.0.1:4447

A configuration file holds the names of the options, most of them in a table:
  listen = \"0.0.0.0:4447\"
  [kad]
  join = [\"10.0.0.7:4447\"]
  capacity = \"20G\"
  store = \"values.redb\"
  share = [\"photos\"]

Exit status: 0 after `quit` or SIGTERM; 130 after SIGINT or Ctrl-C; 1 failed, for instance since
the port is in use or the store file is damaged; 2 wrong usage; 3 no node of --join was reachable.";

const SEED_HELP: &str = "\
A node of any layer that is started with --bootstrap HOST:PORT, the address of a seed, writes its
own address there, under the id of its network, and connects to some others that it finds. Several
seeds that are connected to each other hold the same: it is enough to name one or two of them.

Commands are those of `rs2p chord`. `get ID` shows who is in a network, where ID is what
`rs2p inspect protocol SUBNET tcp` prints.

Examples:
  rs2p seed --listen 0.0.0.0:4444 --store seed.redb
  rs2p seed --listen 0.0.0.0:4444 --connect seed.example.org:4444
  rs2p mesh --subnet friends --bootstrap seed.example.org:4444

A configuration file holds the names of the options, the file of the seed in a table:
  listen = \"0.0.0.0:4444\"
  [seed]
  store = \"seed.redb\"

Exit status: as that of `rs2p chord`.";

const INSPECT_HELP: &str = "\
Examples:
  rs2p inspect frame 0000002b8f0e... | jq .payload
  xxd -p captured.bin | rs2p inspect frame -
  rs2p inspect protocol mesh Plaintext
  rs2p inspect key hello
  rs2p inspect key hex:00ff10";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed_and_every_command_shows_examples() {
        let mut cli = Cli::command();
        cli.build();
        cli.clone().debug_assert();
        for command in cli.get_subcommands().filter(|it| !it.is_hide_set()) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(name == "help" || help.contains(&format!("rs2p {name}")), "{name}: {help}");
        }
    }
}
