//! Why there is no connection, in words that help.

use std::io::ErrorKind;

use rs2p_base::{CloseReason, DialError, Endpoint};
use rs2p_mesh::{ConnectError, MeshError};

use rs2p_chord::BootstrapError;

use crate::session::{CommandError, Trouble};

/// Why there is no connection, and what can be done. `network` names the flags that have to be the
/// same on both nodes.
pub(super) fn connect_error(to: &Endpoint, error: &MeshError, network: &str) -> CommandError {
    let trouble = if error.is_other_network() { Trouble::OtherNetwork } else { Trouble::Any };
    let text = match error {
        MeshError::Connect(ConnectError::Dial(error)) => dial_error(error),
        MeshError::Connect(ConnectError::Closed(reason)) => match reason {
            CloseReason::OtherNetwork { ours, theirs } => format!(
                "{to} belongs to another network: {network} have to be the same \
                 there and here (its protocol id is {theirs}, this node's is {ours})"
            ),
            CloseReason::Itself => format!("{to} is this node itself"),
            CloseReason::Full => format!("{to} has peers enough; try another node"),
            CloseReason::Frame(_) | CloseReason::NoHandshake { .. } | CloseReason::Handshake(_) => {
                format!("{to} does not speak this protocol over tcp ({reason})")
            }
            reason => format!("{to} was reached, and then: {reason}"),
        },
        error => error.to_string(),
    };
    CommandError { text, trouble }
}

/// Why a node is not found by way of seeds, and what can be done.
pub(super) fn bootstrap_error(error: BootstrapError) -> CommandError {
    let BootstrapError::NoSeed { count, seed, error } = error else { return error.into() };
    let mut error = connect_error(&seed, &error, "--transport");
    if error.trouble == Trouble::OtherNetwork {
        error.text = format!("{seed} is a node, but no seed: those are run by `rs2p seed`");
    }
    if count > 1 {
        error.text = format!("none of {count} seeds was reached: {}", error.text);
    }
    error
}

fn dial_error(error: &DialError) -> String {
    let advice = match error.kind {
        ErrorKind::ConnectionRefused => {
            "nobody listens there. Is the node running, and is the port right?"
        }
        ErrorKind::TimedOut => "nothing answers. A firewall, or a machine that is off?",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "there is no way to that machine from here"
        }
        _ if matches!(error.to, Endpoint::Name(..)) => "is the name right?",
        _ => return error.to_string(),
    };
    format!("{error}: {advice}")
}
