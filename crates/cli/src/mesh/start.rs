//! How a node with a mesh starts, whatever its layer, and why it does not.

use std::io::ErrorKind;
use std::net::SocketAddr;

use rs2p_base::Endpoint;
use rs2p_base::net::ListenError;
use rs2p_mesh::StartError;

use crate::failure::Failure;

/// The options that all nodes over a mesh have, given to the builder of a layer. Nodes to begin with
/// are not among them: those are dialled once somebody listens to what comes of it.
macro_rules! with_node_options {
    ($builder:expr, $options:expr) => {{
        let options: &$crate::settings::NodeOptions = $options;
        let listen = $crate::mesh::resolve(&options.listen).await?;
        let builder = $builder.listen(listen).subnet(&*options.subnet);
        match &options.advertise {
            Some(address) => builder.advertise(address.clone()),
            None => builder,
        }
    }};
}

pub(crate) use with_node_options;

/// The address to listen on.
pub(crate) async fn resolve(listen: &Endpoint) -> Result<SocketAddr, Failure> {
    match listen {
        Endpoint::Socket(address) => Ok(*address),
        Endpoint::Name(name, port) => {
            let failed =
                |reason: &str| Failure::Failed(format!("cannot listen on {listen}: {reason}"));
            let found = tokio::net::lookup_host((&**name, *port)).await;
            let mut found = found.map_err(|error| failed(&error.to_string()))?;
            found.next().ok_or_else(|| failed("the name has no address"))
        }
    }
}

/// Why a node does not start, and what can be done.
pub(crate) fn start_failure(error: &StartError) -> Failure {
    match error {
        StartError::Listen(listen) => listen_failure(listen, "--advertise"),
        error => Failure::failed(error),
    }
}

/// Why there is nothing to listen on. `elsewhere` is where the address goes that others are to use.
pub(crate) fn listen_failure(listen: &ListenError, elsewhere: &str) -> Failure {
    let address = listen.address;
    Failure::Failed(match listen.source.kind() {
        ErrorKind::AddrInUse => format!(
            "cannot listen on {address}: the port is in use. Choose another with --listen, or port \
             0 for a free one"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "cannot listen on {address}: that is no address of this machine. Use 127.0.0.1 for \
             this machine alone, 0.0.0.0 for all its addresses; what peers shall dial instead goes \
             into {elsewhere}"
        ),
        ErrorKind::PermissionDenied => format!(
            "cannot listen on {address}: not permitted. Ports below 1024 are often kept for the \
             administrator; choose a higher one"
        ),
        _ => listen.to_string(),
    })
}
