//! `rs2p chord`: a node of a DHT in a session; and `rs2p seed`, one of the bootstrap network.

mod commands;
mod place;
mod telling;

use std::env;
use std::path::PathBuf;

use rs2p_chord::{Chord, ChordEvent, ChordSocket, ChordStartError};
use rs2p_store::StoreError;
use tokio::time::timeout;

use crate::args::{ChordArgs, SeedArgs};
use crate::dictionary;
use crate::failure::Failure;
use crate::mesh::{self, MeshPart, start_failure, with_node_options};
use crate::session::{self, Call, CommandError, CommandSpec, Completes, Layer, Told};
use crate::settings::ChordOptions;

pub(crate) fn run(args: &ChordArgs) -> Result<(), Failure> {
    start(&ChordOptions::resolve(args, |name| env::var_os(name))?)
}

pub(crate) fn run_seed(args: &SeedArgs) -> Result<(), Failure> {
    start(&ChordOptions::resolve_seed(args, |name| env::var_os(name))?)
}

fn start(options: &ChordOptions) -> Result<(), Failure> {
    session::run(&options.node, ChordNode::start(options))
}

/// A node of a DHT, with the mesh that it stands on.
struct ChordNode {
    socket: ChordSocket,
    mesh: MeshPart<Chord>,
    /// Whether it stores from the start.
    joins: bool,
    store: Option<PathBuf>,
}

impl ChordNode {
    async fn start(options: &ChordOptions) -> Result<Self, Failure> {
        let ChordOptions { node, joins, announces, timeout, store } = options;
        // It joins once it has met others: until then it would be a ring of its own, where nothing
        // of theirs is to be found.
        let builder = with_node_options!(ChordSocket::builder(), node);
        let mut builder = builder.joins(false).announces(*announces).timeout(timeout.0);
        if let Some(path) = store {
            builder = builder.store(path);
        }
        let socket = builder.start().await.map_err(failure)?;
        let weigh = |event: &ChordEvent| match event {
            ChordEvent::Add { key } | ChordEvent::Delete { key } => key.len(),
            _ => 0,
        };
        let network = "--subnet and --transport";
        let mesh = MeshPart::new(node, socket.mesh().clone(), network, weigh)?;
        Ok(Self { socket, mesh, joins: *joins, store: store.clone() })
    }
}

impl Layer for ChordNode {
    const ENTRY: &str = "connect";
    const NOTE: &str = "A KEY is text, or bytes as hex:00ff. A VALUE or PART is text, or with a \
                        leading json: any JSON value.";

    fn commands(&self) -> Vec<&'static CommandSpec> {
        commands::COMMANDS.iter().chain(mesh::COMMANDS).collect()
    }

    fn ready(&self) -> Told {
        self.mesh.ready()
    }

    fn begun(&self) {
        if self.joins {
            // That the node has stopped is told elsewhere.
            if let Ok(Err(error)) = self.socket.mesh().node().call(Chord::join) {
                tracing::warn!("{error}");
            }
        }
    }

    async fn run(&self, call: Call<'_>) -> Result<Told, CommandError> {
        let words = call.words;
        match call.name {
            "set" => self.set(words).await,
            "get" => self.get(words).await,
            "del" => self.del(words).await,
            "pop" => self.pop(words).await,
            "popitem" => self.popitem().await,
            "keys" => self.keys().await,
            "values" => self.values().await,
            "items" => self.items().await,
            "copy" => self.copy().await,
            "len" => self.len().await,
            "update" => self.update(words).await,
            "delta" => self.delta(words).await,
            "join" => self.join().await,
            "unjoin" => self.unjoin().await,
            "explain" => self.explain(words).await,
            "ring" => self.ring(),
            "status" => self.status().await,
            _ => self.mesh.run(call).await,
        }
    }

    async fn next_event(&self) -> Option<Told> {
        self.mesh.next_event(|event| telling::event(&event)).await
    }

    fn candidates(&self, of: Completes, begun: &str) -> Vec<String> {
        if of != Completes::Keys {
            return self.mesh.candidates(of);
        }
        let keys = self.socket.mesh().node().call(|chord, _| chord.known_keys());
        dictionary::offered(keys.ok().flatten().unwrap_or_default(), begun)
    }

    async fn stopped(&self) {
        self.mesh.stopped().await;
    }

    async fn close(&self) -> Result<(), Failure> {
        self.mesh.leave().await;
        if self.store.is_none() {
            // What is in memory alone goes to others. Should that take too long, copies have to do.
            let _ = timeout(HANDING_OVER, self.socket.unjoin()).await;
        }
        self.socket.close().await.map_err(Failure::failed)
    }
}

fn failure(error: ChordStartError) -> Failure {
    match error {
        ChordStartError::Start(error) => start_failure(&error),
        ChordStartError::Store(error @ StoreError::OtherKind { .. }) => {
            Failure::Failed(format!("{error}. Each network (--subnet) has a file of its own"))
        }
        error => Failure::failed(error),
    }
}

/// How long the end may wait for others to take what the node has.
const HANDING_OVER: std::time::Duration = std::time::Duration::from_secs(10);
