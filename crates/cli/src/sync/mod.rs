//! `rs2p sync`: a node of a replicated dictionary in a session.

mod commands;
mod telling;

use std::env;
use std::path::PathBuf;

use rs2p_store::StoreError;
use rs2p_sync::{Sync, SyncEvent, SyncSocket, SyncStartError};

use crate::args::SyncArgs;
use crate::dictionary;
use crate::failure::Failure;
use crate::mesh::{self, MeshPart, start_failure, with_node_options};
use crate::session::{self, Call, CommandError, CommandSpec, Completes, Layer, Told};
use crate::settings::{Lease, SyncOptions};

pub(crate) fn run(args: &SyncArgs) -> Result<(), Failure> {
    let options = SyncOptions::resolve(args, |name| env::var_os(name))?;
    session::run(&options.node, SyncNode::start(&options))
}

/// A node of a replicated dictionary, with the mesh that it stands on.
struct SyncNode {
    socket: SyncSocket,
    mesh: MeshPart<Sync>,
    /// How long a write closes its key; nothing in a network without leases.
    lease: Option<Lease>,
    store: Option<PathBuf>,
}

impl SyncNode {
    async fn start(options: &SyncOptions) -> Result<Self, Failure> {
        let SyncOptions { node, leasing, lease, store } = options;
        let mut builder = with_node_options!(SyncSocket::builder(), node);
        builder = builder.leasing(*leasing).lease(lease.0);
        if let Some(path) = store {
            builder = builder.store(path);
        }
        let socket = builder.start().await.map_err(failure)?;
        let network = "--subnet, --transport and --no-leasing";
        let weigh = |event: &SyncEvent| match event {
            // The values lie in the dictionary anyway.
            SyncEvent::Update { key, .. } | SyncEvent::Delete { key, .. } => key.len(),
            _ => 0,
        };
        let mesh = MeshPart::new(node, socket.mesh().clone(), network, weigh)?;
        Ok(Self { socket, mesh, lease: leasing.then_some(*lease), store: store.clone() })
    }
}

impl Layer for SyncNode {
    const ENTRY: &str = "connect";
    const NOTE: &str = "A KEY is text, or bytes as hex:00ff. A VALUE or PART is text, or with a \
                        leading json: any JSON value. A LEASE is a time such as 90s, 10m, 2h.";

    fn commands(&self) -> Vec<&'static CommandSpec> {
        commands::COMMANDS.iter().chain(mesh::COMMANDS).collect()
    }

    fn ready(&self) -> Told {
        self.mesh.ready()
    }

    async fn run(&self, call: Call<'_>) -> Result<Told, CommandError> {
        let words = call.words;
        match call.name {
            "set" => self.set(words).await,
            "get" => self.get(words),
            "entry" => self.entry(words),
            "del" => self.del(words).await,
            "pop" => self.pop(words).await,
            "popitem" => self.popitem().await,
            "keys" => self.keys(),
            "values" => self.values(),
            "items" => self.items(),
            "copy" => self.copy(),
            "len" => self.len(),
            "update" => self.update(words).await,
            "delta" => self.delta(words).await,
            "renew" => self.renew(words).await,
            "status" => self.status().await,
            _ => self.mesh.run(call).await,
        }
    }

    async fn next_event(&self) -> Option<Told> {
        self.mesh.next_event(|event| telling::event(&event, self.socket.id())).await
    }

    fn candidates(&self, of: Completes, begun: &str) -> Vec<String> {
        if of != Completes::Keys {
            return self.mesh.candidates(of);
        }
        dictionary::offered(self.socket.keys().unwrap_or_default(), begun)
    }

    async fn stopped(&self) {
        self.mesh.stopped().await;
    }

    async fn close(&self) -> Result<(), Failure> {
        self.socket.close().await.map_err(Failure::failed)
    }
}

fn failure(error: SyncStartError) -> Failure {
    match error {
        SyncStartError::Start(error) => start_failure(&error),
        SyncStartError::Store(error @ StoreError::OtherKind { .. }) => Failure::Failed(format!(
            "{error}. A dictionary without leases (--no-leasing) has another file than one with"
        )),
        error => Failure::failed(error),
    }
}
