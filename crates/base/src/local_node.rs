//! What all links of a node have in common.

use std::sync::Arc;
use std::time::Duration;

use rs2p_wire::{Compression, IdForm, Limits};

use crate::endpoint::Endpoint;
use crate::handshake::{Capability, Handshake};
use crate::node_id::NodeId;
use crate::protocol::{Protocol, ProtocolId};

/// How a node treats its links.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// What a frame from a peer may cost.
    pub limits: Limits,
    /// Compression methods, best first: announced to peers for what they send, and used towards
    /// them as far as they announce them; what this build lacks is left out. Empty: nothing is
    /// compressed in either direction. What comes is understood in any case.
    pub compression: Vec<Compression>,
    /// How long a link may stay without the peer's handshake. Real peers send theirs at once, so
    /// a few round trips are plenty. Default 10 s.
    pub handshake: Duration,
    /// How long a node that does not know how its peer writes ids waits for the peer's handshake
    /// before it sends its own in the usual form of the transport. Real peers do not wait, so this
    /// passes only with peers that are neither py2p, js2p nor rs2p. Shorter than `handshake`, else
    /// without effect. Default 1 s.
    pub form_wait: Duration,
    /// Asks an rs2p peer for a sign of life when nothing came for so long, and closes the link
    /// when nothing comes for as long again. Old peers know no such thing. `None`: a peer whose
    /// machine has vanished is noticed when the transport notices. Default 30 s.
    pub keepalive: Option<Duration>,
    /// Closes a link, to whatever kind of peer, on which nothing came for so long. Old peers may
    /// well be silent for ever. Default: never.
    pub idle: Option<Duration>,
    /// How long the send queue may stay full, without as much as it holds having left, before the
    /// peer counts as a slow reader and loses its link. Meanwhile it holds up broadcasts. Default
    /// 10 s.
    pub slow: Duration,
    /// Bytes that may wait for a link before this node's own messages are refused with
    /// [`QueueFull`](crate::QueueFull). Relayed frames and answers may exceed it; drivers close a
    /// link at a bound of their own. A single frame is taken whatever its size when nothing else
    /// waits. From 64 KiB on is sane; more than the caches hold makes a busy node slower. Default
    /// 256 KiB.
    pub send_queue: usize,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            compression: Compression::AVAILABLE.to_vec(),
            handshake: Duration::from_secs(10),
            form_wait: Duration::from_secs(1),
            keepalive: Some(Duration::from_secs(30)),
            idle: None,
            slow: Duration::from_secs(10),
            send_queue: 256 << 10,
        }
    }
}

/// Who this node is, as its links need to know it.
#[derive(Clone, Debug)]
pub struct LocalNode {
    id: NodeId,
    id_text: Arc<str>,
    protocol: ProtocolId,
    protocol_text: Arc<str>,
    usual_form: IdForm,
    form_is_known: bool,
    advertised: Option<Endpoint>,
    methods: Arc<[u64]>,
    capabilities: Arc<[Capability]>,
    config: LinkConfig,
}

impl LocalNode {
    /// A node of this network and id. Peers are told to dial `advertised`, or that they cannot.
    #[must_use]
    pub fn new(
        id: NodeId,
        protocol: &Protocol,
        advertised: Option<Endpoint>,
        mut config: LinkConfig,
    ) -> Self {
        config.compression.retain(|method| Compression::AVAILABLE.contains(method));
        // Only js2p speaks WebSocket among the old peers.
        let websocket = matches!(protocol.encryption(), "ws" | "wss");
        Self {
            id,
            id_text: id.to_string().into(),
            protocol: protocol.id(),
            protocol_text: protocol.id().to_string().into(),
            usual_form: if websocket { IdForm::Str } else { IdForm::Bin },
            form_is_known: websocket,
            advertised,
            methods: config.compression.iter().map(|method| method.code()).collect(),
            capabilities: [Capability::RS2P].into(),
            config,
        }
    }

    /// Announces a capability from the next handshake on.
    #[must_use]
    pub fn with_capability(mut self, capability: Capability) -> Self {
        if !self.capabilities.contains(&capability) {
            let known = self.capabilities.iter().copied();
            self.capabilities = known.chain([capability]).collect();
        }
        self
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Its id in base 58.
    #[must_use]
    pub fn id_text(&self) -> &str {
        &self.id_text
    }

    /// Its protocol id.
    #[must_use]
    pub fn protocol(&self) -> ProtocolId {
        self.protocol
    }

    /// Its protocol id in base 58.
    #[must_use]
    pub fn protocol_text(&self) -> &Arc<str> {
        &self.protocol_text
    }

    /// Where peers are told to dial it.
    #[must_use]
    pub fn advertised(&self) -> Option<&Endpoint> {
        self.advertised.as_ref()
    }

    /// How it treats its links.
    #[must_use]
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// The form in which to write ids to a peer of which nothing is known.
    pub(crate) fn usual_form(&self) -> IdForm {
        self.usual_form
    }

    /// The form that a peer has for sure, if the transport tells.
    pub(crate) fn known_form(&self) -> Option<IdForm> {
        self.form_is_known.then_some(self.usual_form)
    }

    /// This node's handshake.
    pub(crate) fn handshake(&self, form: IdForm, opening: bool) -> Handshake {
        Handshake {
            id: self.id,
            protocol: self.protocol_text.clone(),
            address: self.advertised.clone(),
            methods: self.methods.clone(),
            capabilities: self.capabilities.clone(),
            form,
            opening,
        }
    }

    /// Keeps of a peer's handshake only what differs from this node's own.
    pub(crate) fn share_with(&self, handshake: &mut Handshake) {
        if handshake.protocol == self.protocol_text {
            handshake.protocol = self.protocol_text.clone();
        }
        if handshake.methods == self.methods {
            handshake.methods = self.methods.clone();
        }
        if handshake.capabilities == self.capabilities {
            handshake.capabilities = self.capabilities.clone();
        }
    }
}
