//! What every layer of rs2p stands on: networks and names, the handshake, the state machine
//! interface, and (feature `net`) the tokio driver.
//!
//! - A [`Protocol`] names a network, a [`NodeId`] a node, an [`Endpoint`] a place to dial.
//! - A [`Machine`] is a protocol without I/O: inputs and the time go in, outputs and the next
//!   deadline come out.
//! - [`Links`] are the machine of all links of a node, and each [`Link`] one of its own: they dial
//!   and shake hands with py2p, js2p and rs2p nodes. The layers above own them.
//! - A [`Layer`] is a machine that owns another one: it says what it makes of that one's events, and
//!   has the rest for nothing.

mod deadlines;
mod endpoint;
mod handshake;
mod highest;
mod layer;
mod link;
mod links;
mod local_node;
mod machine;
#[cfg(feature = "net")]
pub mod net;
mod node_id;
mod out_frame;
mod protocol;
mod time;
mod vec_map;
mod window;

pub use deadlines::Deadlines;
pub use endpoint::{Endpoint, EndpointError};
pub use handshake::{Capability, Handshake, HandshakeError};
pub use highest::Highest;
pub use layer::{Layer, Stack};
pub use link::{Link, LinkOutput, QueueFull};
pub use links::{LinkEvent, Links};
pub use local_node::{LinkConfig, LocalNode};
pub use machine::{
    CloseReason, DialError, DialId, Input, LinkId, Machine, Origin, Output, RequestId,
};
pub use node_id::{NodeId, NodeIdError};
pub use out_frame::{COMPRESS_FROM, Fanout, OutFrame};
pub use protocol::{Protocol, ProtocolId};
pub use time::Time;
pub use vec_map::VecMap;
