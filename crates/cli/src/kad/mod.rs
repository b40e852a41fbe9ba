//! `rs2p kad`: a node of a Kademlia DHT in a session.

mod commands;
mod files;
mod headway;
mod nodes;
mod telling;
mod values;

use std::env;
use std::net::SocketAddrV4;
use std::path::PathBuf;

use rs2p_base::Endpoint;
use rs2p_base::net::{EventStream, StreamConfig};
use rs2p_bytestag::{
    DhtEvent, DhtNode, DhtStartError, Key, PortMapping, PortMappingChanges, PortMappingConfig,
};
use rs2p_store::StoreError;
use tokio::sync::Mutex as AsyncMutex;

use crate::args::KadArgs;
use crate::failure::Failure;
use crate::mesh::listen_failure;
use crate::session::{self, Call, CommandError, CommandSpec, Completes, Layer, Style, Told, name};
use crate::settings::KadOptions;

pub(crate) fn run(args: &KadArgs) -> Result<(), Failure> {
    let options = KadOptions::resolve(args, |name| env::var_os(name))?;
    session::run(&options.node, KadNode::start(&options))
}

/// A node of a Kademlia DHT.
struct KadNode {
    node: DhtNode,
    events: AsyncMutex<EventStream<DhtEvent>>,
    /// Whether it was told that the node is in a network.
    joined: AsyncMutex<bool>,
    /// What becomes of the router's port, until that is over.
    forwarding: AsyncMutex<Option<PortMappingChanges>>,
    store: Option<PathBuf>,
    capacity: u64,
    /// What to share from the start.
    share: Vec<String>,
}

impl KadNode {
    async fn start(options: &KadOptions) -> Result<Self, Failure> {
        let KadOptions { node, id, capacity, store, share, port_forwarding } = options;
        for path in share {
            std::fs::metadata(path)
                .map_err(|error| Failure::Failed(format!("cannot share {path}: {error}")))?;
        }
        let listen = resolve(&node.listen).await.map_err(|reason| {
            Failure::Failed(format!("cannot listen on {}: {reason}", node.listen))
        })?;
        let mut seeds = Vec::new();
        for seed in &node.connect {
            // Why one cannot be reached is told when it is joined by.
            seeds.extend(resolve(seed).await);
        }
        let mut builder = DhtNode::builder().listen(listen).seeds(seeds).capacity(capacity.0);
        if let Some(id) = id {
            builder = builder.id(id.0);
        }
        if let Some(path) = store {
            builder = builder.store(path);
        }
        if *port_forwarding {
            builder = builder.port_mapping(PortMappingConfig::default());
        }
        let node = builder.start().await.map_err(failure)?;
        // What is fetched lies in the reply, and need not be kept twice.
        let wanted = |event: &DhtEvent| match event {
            DhtEvent::Joined { .. }
            | DhtEvent::Published { .. }
            | DhtEvent::Stored { .. }
            | DhtEvent::Expired { .. }
            | DhtEvent::Failing { .. } => Some(event.clone()),
            _ => None,
        };
        let config = StreamConfig::default();
        let events = node.machine().subscribe(config, wanted, |_| 128).map_err(Failure::failed)?;
        let (store, share, capacity) = (store.clone(), share.clone(), capacity.0);
        let forwarding = node.port_mapping().map(PortMapping::changes).into();
        let joined = AsyncMutex::new(false);
        Ok(Self { node, events: events.into(), joined, forwarding, store, capacity, share })
    }
}

impl Layer for KadNode {
    const ENTRY: &str = "join";
    const NOTE: &str = "A KEY is 20 bytes in hexadecimal, base32 or base64. put, get, share and \
                        fetch go on while you type.";

    fn commands(&self) -> Vec<&'static CommandSpec> {
        commands::COMMANDS.iter().collect()
    }

    fn ready(&self) -> Told {
        let (id, listen) = (self.node.id().to_string(), self.node.address().to_string());
        Told::event("ready").field("id", &*id).field("listen", &*listen).line([
            (Style::Plain, "node ".to_owned()),
            name(&id),
            (Style::Plain, " listens on ".to_owned()),
            (Style::Bold, listen),
            (Style::Plain, "; `help` lists the commands".to_owned()),
        ])
    }

    fn first_commands(&self) -> Vec<Vec<String>> {
        self.share.iter().map(|path| vec!["share".to_owned(), path.clone()]).collect()
    }

    async fn run(&self, Call { name, words, progress }: Call<'_>) -> Result<Told, CommandError> {
        match name {
            "ping" => self.ping(words).await,
            "join" => self.join(words).await,
            "put" => self.put(words).await,
            "get" => self.get(words).await,
            "find" => self.find(words).await,
            "values" => self.values(words).await,
            "withdraw" => self.withdraw(words),
            "share" => self.share(words, progress).await,
            "unshare" => self.unshare(words).await,
            "shared" => self.shared(),
            "fetch" => self.fetch(words, progress).await,
            "table" => self.table(),
            "status" => self.status(),
            "id" => {
                let id = self.node.id().to_string();
                Ok(Told::reply("id").field("id", &*id).line([(Style::Name, id)]))
            }
            other => Err(format!("there is no command `{other}`").into()),
        }
    }

    async fn next_event(&self) -> Option<Told> {
        let mut events = self.events.lock().await;
        let mut forwarding = self.forwarding.lock().await;
        let mut joined = self.joined.lock().await;
        // A join that was asked for has an answer, and needs no event besides.
        let mut tell = |event: DhtEvent| match event {
            DhtEvent::Joined { request: Some(_), .. } if *joined => None,
            event => {
                *joined |= matches!(event, DhtEvent::Joined { result: Ok(_), .. });
                telling::event(&event)
            }
        };
        loop {
            let change = async {
                match &mut *forwarding {
                    Some(changes) => changes.next().await,
                    None => std::future::pending().await,
                }
            };
            let told = tokio::select! {
                event = events.recv() => session::event(event, &mut tell)?,
                change = change => match change {
                    Some(state) => telling::forwarding(&state),
                    None => {
                        *forwarding = None;
                        None
                    }
                },
            };
            if told.is_some() {
                return told;
            }
        }
    }

    fn candidates(&self, of: Completes, begun: &str) -> Vec<String> {
        match of {
            Completes::Addresses => self.known_addresses(),
            Completes::Keys => self.known_keys(begun),
            Completes::Paths => files::paths(begun),
            Completes::Shared => self.shared_paths(),
            _ => Vec::new(),
        }
    }

    async fn stopped(&self) {
        self.node.machine().stopped().await;
    }

    async fn close(&self) -> Result<(), Failure> {
        self.node.close().await.map_err(Failure::failed)
    }
}

fn failure(error: DhtStartError) -> Failure {
    match error {
        DhtStartError::Listen(error) => listen_failure(&error, "--join of the others"),
        DhtStartError::Store(error @ StoreError::OtherKind { .. }) => {
            Failure::Failed(format!("{error}. Each kind of node has a file of its own"))
        }
        error => Failure::failed(error),
    }
}

/// The IPv4 address that is meant: this network knows no other.
async fn resolve(endpoint: &Endpoint) -> Result<SocketAddrV4, String> {
    let other = "this network is over IPv4 alone";
    match endpoint {
        Endpoint::Socket(std::net::SocketAddr::V4(address)) => Ok(*address),
        Endpoint::Socket(_) => Err(other.to_owned()),
        Endpoint::Name(name, port) => {
            let found = tokio::net::lookup_host((&**name, *port)).await;
            let mut found = found.map_err(|error| format!("{error}: is the name right?"))?;
            found
                .find_map(|address| match address {
                    std::net::SocketAddr::V4(address) => Some(address),
                    std::net::SocketAddr::V6(_) => None,
                })
                .ok_or_else(|| format!("the name has no IPv4 address, and {other}"))
        }
    }
}

/// A key as it was typed.
fn parse_key(word: &str) -> Result<Key, CommandError> {
    word.parse().map_err(|error| format!("`{word}` is {error}").into())
}
