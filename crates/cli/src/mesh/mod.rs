//! `rs2p mesh`: a mesh node in a session.

mod part;
mod start;
mod telling;
mod trouble;

use std::env;

use rs2p_mesh::{Mesh, MeshSocket};

use crate::args::NodeArgs;
use crate::failure::Failure;
use crate::session::{self, Call, CommandError, CommandSpec, Completes, Layer, Told};
use crate::settings::NodeOptions;

pub(crate) use part::{COMMANDS, MeshPart};
pub(crate) use start::{listen_failure, resolve, start_failure, with_node_options};

pub(crate) fn run(args: &NodeArgs) -> Result<(), Failure> {
    let options = NodeOptions::resolve(args, |name| env::var_os(name), "mesh")?;
    session::run(&options, MeshNode::start(&options))
}

/// A node that is nothing but a mesh.
struct MeshNode(MeshPart<Mesh>);

impl MeshNode {
    async fn start(options: &NodeOptions) -> Result<Self, Failure> {
        let builder = with_node_options!(MeshSocket::builder(), options);
        let socket = builder.start().await.map_err(|error| start_failure(&error))?;
        MeshPart::new(options, socket, "--subnet and --transport", |_| 0).map(Self)
    }
}

impl Layer for MeshNode {
    const ENTRY: &str = "connect";
    const NOTE: &str = "A PART is text, or with a leading json: any JSON value.";

    fn commands(&self) -> Vec<&'static CommandSpec> {
        COMMANDS.iter().collect()
    }

    fn ready(&self) -> Told {
        self.0.ready()
    }

    async fn run(&self, call: Call<'_>) -> Result<Told, CommandError> {
        self.0.run(call).await
    }

    async fn next_event(&self) -> Option<Told> {
        self.0.next_event(|_| None).await
    }

    fn candidates(&self, of: Completes, _: &str) -> Vec<String> {
        self.0.candidates(of)
    }

    async fn stopped(&self) {
        self.0.stopped().await;
    }

    async fn close(&self) -> Result<(), Failure> {
        self.0.close().await;
        Ok(())
    }
}
