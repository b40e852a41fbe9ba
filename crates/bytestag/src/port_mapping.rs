//! A port of a router that leads to a node: asked for by UPnP, renewed, given back.

mod discovery;
mod service;
mod soap;

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::time::sleep;

use self::service::{AskError, Service};

/// How a router is asked to forward a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMappingConfig {
    /// How long routers may take to say that they are there. Default 3 s, 100 ms to 60 s; in a
    /// busy wireless network, less can miss one.
    pub search: Duration,
    /// How long a router may take for each answer after that. Default 5 s, 100 ms to 60 s.
    pub answer: Duration,
    /// How long a mapping lasts when nobody renews it, as after a crash. It is renewed at half
    /// time. Default 1 h, 1 s to 7 days. A router that knows only lasting mappings gets one, which
    /// a crash leaves behind.
    pub lease: Duration,
    /// How long to wait after a failure before the next attempt. Default 5 min, 100 ms to 7 days.
    pub retry: Duration,
    /// Where the search goes. Default `239.255.255.250:1900`, to which all routers listen that
    /// speak UPnP; the address of one router asks that one only.
    pub search_address: SocketAddrV4,
}

impl Default for PortMappingConfig {
    fn default() -> Self {
        Self {
            search: Duration::from_secs(3),
            answer: Duration::from_secs(5),
            lease: Duration::from_secs(60 * 60),
            retry: Duration::from_secs(5 * 60),
            search_address: SocketAddrV4::new(Ipv4Addr::new(239, 255, 255, 250), 1900),
        }
    }
}

impl PortMappingConfig {
    /// With each value within its bounds.
    fn clamped(self) -> Self {
        let answer = Duration::from_millis(100)..=Duration::from_secs(60);
        Self {
            search: self.search.clamp(*answer.start(), *answer.end()),
            answer: self.answer.clamp(*answer.start(), *answer.end()),
            lease: self.lease.clamp(Duration::from_secs(1), WEEK),
            retry: self.retry.clamp(*answer.start(), WEEK),
            search_address: self.search_address,
        }
    }
}

/// The longest lease that routers have to grant.
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How a mapping is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PortMappingState {
    /// A router is looked for and asked.
    Searching,
    /// The router forwards the port.
    Mapped(MappedPort),
    /// It does not. The next attempt follows by itself.
    Failed(Arc<PortMappingError>),
    /// The mapping has been closed: the port has been given back, as far as the router answered.
    Closed,
}

/// A port that a router forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedPort {
    /// The router.
    pub gateway: SocketAddrV4,
    /// Where it forwards to.
    pub internal: SocketAddrV4,
    /// The port outside, which is that of the node.
    pub port: u16,
    /// The router's own address outside, if it tells. When it is a private one, there is another
    /// router behind this one, and nobody outside reaches the node.
    pub external: Option<Ipv4Addr>,
    /// How long it lasts unless it is renewed. None: until the router restarts.
    pub lease: Option<Duration>,
}

/// A router's port that leads to a node, held open in the background for as long as this lives.
/// Dropped, it is given back by a task of its own, if the runtime lasts: [`close`](Self::close)
/// waits for that.
///
/// Nodes take one with [`DhtNodeBuilder::port_mapping`](crate::DhtNodeBuilder::port_mapping).
#[derive(Debug)]
pub struct PortMapping {
    states: watch::Receiver<PortMappingState>,
    closing: watch::Sender<bool>,
}

impl PortMapping {
    /// Begins to have the UDP port of `local` forwarded, under the same number. An unspecified
    /// address stands for the one by which this machine reaches the router.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    #[must_use]
    pub fn open(local: SocketAddrV4, config: PortMappingConfig) -> Self {
        let (state, states) = watch::channel(PortMappingState::Searching);
        let (closing, closed) = watch::channel(false);
        let config = config.clamped();
        tokio::spawn(Keeper { local, config, service: None, state, closed }.run());
        Self { states, closing }
    }

    /// How it is now.
    #[must_use]
    pub fn state(&self) -> PortMappingState {
        self.states.borrow().clone()
    }

    /// What becomes of it, from its state now.
    #[must_use]
    pub fn changes(&self) -> PortMappingChanges {
        let mut states = self.states.clone();
        states.mark_changed();
        PortMappingChanges { states }
    }

    /// Waits until the router forwards the port, or says no, or does not say anything. Cancel safe.
    ///
    /// # Errors
    /// The last attempt has failed, or the mapping has been closed.
    pub async fn settled(&self) -> Result<MappedPort, Arc<PortMappingError>> {
        let mut changes = self.changes();
        while let Some(state) = changes.next().await {
            match state {
                PortMappingState::Searching => {}
                PortMappingState::Mapped(mapped) => return Ok(mapped),
                PortMappingState::Failed(error) => return Err(error),
                PortMappingState::Closed => break,
            }
        }
        Err(Arc::new(PortMappingError::Closed))
    }

    /// Gives the port back and stops. Returns when the router has answered, or has not within the
    /// time it has.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let mut states = self.states.clone();
        // An error says that the task has ended, as a closed one does.
        let _ = states.wait_for(|state| matches!(state, PortMappingState::Closed)).await;
    }
}

/// The states of a mapping, one after the other. A slow reader sees only the latest.
#[derive(Clone, Debug)]
pub struct PortMappingChanges {
    states: watch::Receiver<PortMappingState>,
}

impl PortMappingChanges {
    /// The next state, or none after the last. Cancel safe.
    pub async fn next(&mut self) -> Option<PortMappingState> {
        self.states.changed().await.ok()?;
        Some(self.states.borrow_and_update().clone())
    }
}

/// Why no router forwards the port.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PortMappingError {
    /// The node can be reached from its own machine only.
    #[error(
        "no router can forward a port to {0}: have the node listen on 0.0.0.0, or on this \
         machine's address in the local network"
    )]
    Loopback(SocketAddrV4),
    /// This machine cannot search.
    #[error("cannot search for a router from {from}: {error}: is this machine in a network?")]
    Search {
        /// The address that was used.
        from: Ipv4Addr,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// No router has answered.
    #[error(
        "no router has answered within {waited:?}: switch UPnP on in the router's settings, or \
         have it forward UDP port {port} to this machine by hand"
    )]
    NoGateway {
        /// How long the search took.
        waited: Duration,
        /// The port of the node.
        port: u16,
    },
    /// What calls itself a router gives no usable answer.
    #[error(
        "the router at {gateway} {what}: restart it, or have it forward UDP port {port} to this \
         machine by hand"
    )]
    Unusable {
        /// Who.
        gateway: SocketAddrV4,
        /// The port of the node.
        port: u16,
        /// What is wrong with its answer.
        what: String,
    },
    /// The router forwards this port to another machine.
    #[error(
        "the router at {gateway} forwards UDP port {port} already, to another machine or program: \
         have the node listen on another port"
    )]
    Taken {
        /// The router.
        gateway: SocketAddrV4,
        /// The port of the node.
        port: u16,
    },
    /// The router says no.
    #[error(
        "the router at {gateway} does not forward UDP port {port} (error {code}: {text}): allow \
         it in the router's settings, or have it forward the port by hand"
    )]
    Refused {
        /// The router.
        gateway: SocketAddrV4,
        /// The port of the node.
        port: u16,
        /// The error code of UPnP.
        code: u16,
        /// What the router says to it, at most 100 characters.
        text: String,
    },
    /// The mapping has been closed.
    #[error("the port mapping has been closed")]
    Closed,
}

/// The task that holds a mapping.
struct Keeper {
    local: SocketAddrV4,
    config: PortMappingConfig,
    /// Who forwards the port now.
    service: Option<Service>,
    state: watch::Sender<PortMappingState>,
    closed: watch::Receiver<bool>,
}

impl Keeper {
    async fn run(mut self) {
        let closed = self.closed.clone();
        while let Some(attempt) = self.attempt().await {
            let pause = match attempt {
                Ok(mapped) => {
                    self.state.send_if_modified(|state| {
                        let same = matches!(state, PortMappingState::Mapped(old) if *old == mapped);
                        *state = PortMappingState::Mapped(mapped);
                        !same
                    });
                    self.config.lease / 2
                }
                Err(error) => {
                    self.state.send_replace(PortMappingState::Failed(Arc::new(error)));
                    self.config.retry
                }
            };
            if unless_closed(closed.clone(), sleep(pause)).await.is_none() {
                break;
            }
        }
        if let Some(service) = self.service.take() {
            // A router that does not answer now forgets the mapping when its lease ends.
            let _ = service.remove(self.local.port(), self.config.answer).await;
        }
        self.state.send_replace(PortMappingState::Closed);
    }

    /// Makes or renews the mapping; none when it is to be closed.
    async fn attempt(&mut self) -> Option<Result<MappedPort, PortMappingError>> {
        if let Some(service) = self.service.take()
            && let Ok(mapped) = self.map(&service).await
        {
            self.service = Some(service);
            return Some(Ok(mapped));
        }
        let search = discovery::services(self.local, &self.config);
        let services = match unless_closed(self.closed.clone(), search).await? {
            Ok(services) => services,
            Err(error) => return Some(Err(error)),
        };
        let mut failure = None;
        for service in services {
            // Not given up in the middle: whether there is a mapping would then be unknown.
            match self.map(&service).await {
                Ok(mapped) => {
                    self.service = Some(service);
                    return Some(Ok(mapped));
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let (waited, port) = (self.config.search, self.local.port());
        Some(Err(failure.unwrap_or(PortMappingError::NoGateway { waited, port })))
    }

    async fn map(&self, service: &Service) -> Result<MappedPort, PortMappingError> {
        let PortMappingConfig { answer, lease, .. } = self.config;
        let (gateway, port) = (service.gateway, self.local.port());
        let internal = self.internal(gateway).await?;
        let lease = match service.add(internal, lease, answer).await {
            Ok(()) => Some(lease),
            Err(AskError::Refused { code: ONLY_PERMANENT, .. }) => {
                let added = service.add(internal, Duration::ZERO, answer).await;
                added.map_err(|error| error.told_by(gateway, port))?;
                None
            }
            Err(error) => return Err(error.told_by(gateway, port)),
        };
        let external = service.external(answer).await.ok();
        Ok(MappedPort { gateway, internal, port, external, lease })
    }

    /// The node's address as the router sees it.
    async fn internal(&self, gateway: SocketAddrV4) -> Result<SocketAddrV4, PortMappingError> {
        if !self.local.ip().is_unspecified() {
            return Ok(self.local);
        }
        let own = discovery::own_address(gateway).await;
        let from = *self.local.ip();
        let own = own.map_err(|error| PortMappingError::Search { from, error })?;
        Ok(SocketAddrV4::new(own, self.local.port()))
    }
}

/// What the router says when it knows no leases that end.
const ONLY_PERMANENT: u16 = 725;

/// What the router says when another has the port.
const TAKEN: u16 = 718;

impl AskError {
    fn told_by(self, gateway: SocketAddrV4, port: u16) -> PortMappingError {
        match self {
            Self::Refused { code: TAKEN, .. } => PortMappingError::Taken { gateway, port },
            Self::Refused { code, text } => PortMappingError::Refused { gateway, port, code, text },
            other => PortMappingError::Unusable { gateway, port, what: other.to_string() },
        }
    }
}

/// What `future` gives, or none once the mapping is to be closed.
async fn unless_closed<F: Future>(
    mut closed: watch::Receiver<bool>,
    future: F,
) -> Option<F::Output> {
    tokio::select! {
        biased;
        // An error says that the handle is gone.
        _ = closed.wait_for(|closed| *closed) => None,
        output = future => Some(output),
    }
}
