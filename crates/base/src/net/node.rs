//! A machine on real sockets.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tracing::{Instrument as _, debug, info_span, warn};

use super::config::NetConfig;
use super::driver::Driver;
use super::events::{self, EventStream, RecvError, StreamConfig};
use super::observe::{self, TrafficCount};
use super::transport::{Listener, Transport};
use crate::endpoint::Endpoint;
use crate::machine::{Machine, Origin, RequestId};
use crate::time::Time;

/// Sockets for a machine that is about to be started.
///
/// Binding comes before the machine, since a machine wants to know the address it is reached by.
pub struct NodeBuilder {
    transport: Arc<dyn Transport>,
    config: NetConfig,
    listener: Option<Box<dyn Listener>>,
    datagrams: Option<UdpSocket>,
}

impl NodeBuilder {
    /// A node that dials over `transport` and does not listen yet.
    #[must_use]
    pub fn new(transport: impl Transport) -> Self {
        Self {
            transport: Arc::new(transport),
            config: NetConfig::default(),
            listener: None,
            datagrams: None,
        }
    }

    /// Bounds and waits.
    #[must_use]
    pub fn config(mut self, config: NetConfig) -> Self {
        self.config = config;
        self
    }

    /// Listens for peers, and tells where: port 0 picks a free port.
    ///
    /// # Errors
    /// The address is in use, or not this machine's.
    pub async fn listen(&mut self, address: SocketAddr) -> Result<SocketAddr, ListenError> {
        let error = |source| ListenError { address, source };
        let listener = self.transport.listen(address).await.map_err(error)?;
        let local = listener.local_addr().map_err(error)?;
        self.listener = Some(listener);
        Ok(local)
    }

    /// Opens a UDP socket for the machine's datagrams, and tells where.
    ///
    /// # Errors
    /// The address is in use, or not this machine's.
    pub async fn listen_for_datagrams(
        &mut self,
        address: SocketAddr,
    ) -> Result<SocketAddr, ListenError> {
        let error = |source| ListenError { address, source };
        let socket = UdpSocket::bind(address).await.map_err(error)?;
        let local = socket.local_addr().map_err(error)?;
        self.datagrams = Some(socket);
        Ok(local)
    }

    /// Starts the machine. Call it within a tokio runtime, which then runs the node's tasks.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start<M>(self, machine: M) -> Node<M>
    where
        M: Machine + Send + 'static,
        M::Event: Clone + Send + 'static,
    {
        let has_datagrams = self.datagrams.is_some();
        let driver = Driver::new(machine, self.transport, self.datagrams, self.config);
        let driver = Arc::new(driver);
        let span = info_span!("node");
        if let Some(listener) = self.listener {
            driver.tasks.spawn(accept(driver.clone(), listener).instrument(span.clone()));
        }
        if has_datagrams {
            driver.tasks.spawn(driver.clone().run_datagrams().instrument(span.clone()));
        }
        driver.tasks.spawn(driver.clone().run_timer().instrument(span));
        // Whatever the machine wanted from its first moment.
        driver.with(|_, _| {});
        Node { handle: Arc::new(Handle { driver }) }
    }
}

/// A running machine: a handle that is cheap to clone.
///
/// Operations are methods of the machine, called through [`call`](Self::call). The node runs until
/// it is [shut down](Self::shutdown) or the last handle is dropped.
pub struct Node<M>
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    handle: Arc<Handle<M>>,
}

struct Handle<M>
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    driver: Arc<Driver<M>>,
}

impl<M> Drop for Handle<M>
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    fn drop(&mut self) {
        self.driver.shut_down();
    }
}

impl<M> Clone for Node<M>
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone() }
    }
}

impl<M> fmt::Debug for Node<M>
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("links", &self.handle.driver.links()).finish_non_exhaustive()
    }
}

impl<M> Node<M>
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    /// Calls the machine, at once and on this thread, and sets in motion what it wants done.
    ///
    /// The machine is locked meanwhile, so `act` should be short and must not call the node.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn call<R>(&self, act: impl FnOnce(&mut M, Time) -> R) -> Result<R, Stopped> {
        self.handle.driver.with(|state, now| act(&mut state.machine, now)).ok_or(Stopped)
    }

    /// Starts an operation whose result comes as an event, and gives that event.
    ///
    /// # Errors
    /// The node has stopped; or what `start` itself refuses, as `Ok(Err(..))`.
    pub fn request<E>(
        &self,
        start: impl FnOnce(&mut M, Time) -> Result<RequestId, E>,
    ) -> Result<Result<Completion<M>, E>, Stopped> {
        let begun = self.handle.driver.with(|state, now| {
            let request = start(&mut state.machine, now)?;
            Ok((request, state.wait_for(request)))
        });
        let node = self.clone();
        Ok(begun.ok_or(Stopped)?.map(|(request, event)| Completion { node, request, event }))
    }

    /// All events from now on. A reader that falls behind is told how many it has missed.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn events(&self) -> Result<EventStream<M::Event>, Stopped> {
        self.subscribe(StreamConfig::default(), |event| Some(event.clone()), |_| 0)
    }

    /// Some events from now on: those of which `map` makes something. `weigh` tells how many bytes
    /// an event holds, for [`StreamConfig::bytes`]. Both are called with the machine locked.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn subscribe<T: Send + 'static>(
        &self,
        config: StreamConfig,
        map: impl Fn(&M::Event) -> Option<T> + Send + 'static,
        weigh: impl Fn(&T) -> usize + Send + 'static,
    ) -> Result<EventStream<T>, Stopped> {
        let driver = &self.handle.driver;
        let (subscriber, stream) = events::stream(config, driver.room.clone(), map, weigh);
        driver.with(|state, _| state.subscribe(subscriber)).ok_or(Stopped)?;
        Ok(stream)
    }

    /// Waits until some link has written something or is gone: the moment to try again what was
    /// refused with [`QueueFull`](crate::QueueFull). `attempt` is made first, and again each time,
    /// until it gives something. Cancel safe as far as `attempt` is.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn retry_when_flushed<R>(
        &self,
        mut attempt: impl FnMut(&mut M, Time) -> Option<R>,
    ) -> Result<R, Stopped> {
        if let Some(result) = self.call(&mut attempt)? {
            return Ok(result);
        }
        loop {
            let flushed = self.handle.driver.flushed.notified();
            tokio::pin!(flushed);
            flushed.as_mut().enable();
            if let Some(result) = self.call(&mut attempt)? {
                return Ok(result);
            }
            flushed.await;
        }
    }

    /// Waits until the machine has what is asked for. `look` is called first, and again whenever
    /// the machine has told something, until it gives something; a look may come after several
    /// events. Cancel safe as far as `look` is.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn wait_for<R>(
        &self,
        mut look: impl FnMut(&mut M, Time) -> Option<R>,
    ) -> Result<R, Stopped> {
        let latest = StreamConfig { events: 1, ..StreamConfig::default() };
        let mut events = self.subscribe(latest, |_| Some(()), |()| 0)?;
        loop {
            if let Some(result) = self.call(&mut look)? {
                return Ok(result);
            }
            if events.recv().await == Err(RecvError::Closed) {
                return Err(Stopped);
            }
        }
    }

    /// What has passed over the node's links so far.
    #[must_use]
    pub fn traffic(&self) -> TrafficCount {
        self.handle.driver.traffic.count()
    }

    /// Whether the node has stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.handle.driver.is_stopped()
    }

    /// Waits until the node has stopped, whoever stopped it.
    pub async fn stopped(&self) {
        self.handle.driver.stop.cancelled().await;
    }

    /// Stops the node: no more links are taken or dialled, what was accepted for sending leaves,
    /// bounded by [`NetConfig::flush`] and [`NetConfig::linger`], and streams of events end once
    /// read. Dropping the future leaves the rest to the background.
    pub async fn shutdown(&self) {
        let driver = &self.handle.driver;
        driver.shut_down();
        driver.tasks.wait().await;
    }
}

/// The event that completes a request. Dropping it gives up waiting, not the request.
pub struct Completion<M>
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    node: Node<M>,
    request: RequestId,
    event: oneshot::Receiver<M::Event>,
}

impl<M> Future for Completion<M>
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    type Output = Result<M::Event, Stopped>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.event).poll(cx).map_err(|_| Stopped)
    }
}

impl<M> Drop for Completion<M>
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    fn drop(&mut self) {
        let request = self.request;
        self.node.handle.driver.with(|state, _| state.forget(request));
    }
}

/// The node has stopped: it was shut down, or its machine panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the node has stopped")]
pub struct Stopped;

/// A node cannot listen.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// Takes in peers until the node stops.
async fn accept<M>(driver: Arc<Driver<M>>, mut listener: Box<dyn Listener>)
where
    M: Machine + Send + 'static,
    M::Event: Clone + Send + 'static,
{
    /// When the system has no room for another socket, some time has to pass.
    const BREATH: Duration = Duration::from_millis(100);
    loop {
        let incoming = tokio::select! {
            incoming = listener.accept() => incoming,
            () = driver.stop.cancelled() => return,
        };
        match incoming {
            Ok(incoming) => {
                let Some(door) = driver.admit() else {
                    observe::link_refused();
                    debug!(remote = %incoming.remote, "turned away: there are links enough");
                    continue;
                };
                let driver = driver.clone();
                driver.tasks.clone().spawn(async move {
                    let opening = tokio::time::timeout(driver.config.dial, incoming.opening);
                    if let Ok(Ok(mut connection)) = opening.await {
                        connection.remote = Endpoint::Socket(incoming.remote);
                        driver.open(Origin::Accepted, connection, Some(door));
                    }
                });
            }
            Err(error) => {
                warn!(%error, "a peer could not be accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}
