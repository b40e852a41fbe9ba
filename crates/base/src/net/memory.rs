//! Streams within one process, for tests.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::transport::{Connection, Incoming, Listener, Transport};
use crate::endpoint::Endpoint;

/// A network of its own without sockets: clones of one `Memory` reach each other, others do not.
///
/// Addresses are made up; port 0 picks a free one.
#[derive(Clone, Debug)]
pub struct Memory {
    listeners: Arc<Mutex<BTreeMap<SocketAddr, mpsc::Sender<Connection>>>>,
}

impl Memory {
    /// Bytes that a stream holds between writer and reader.
    const PIPE: usize = 64 << 10;
    /// Peers that may wait to be accepted.
    const BACKLOG: usize = 128;

    /// An empty network that passes for TCP.
    #[must_use]
    pub fn new() -> Self {
        Self { listeners: Arc::default() }
    }

    fn listeners(
        &self,
    ) -> std::sync::MutexGuard<'_, BTreeMap<SocketAddr, mpsc::Sender<Connection>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Transport for Memory {
    fn encryption(&self) -> &'static str {
        "Plaintext"
    }

    async fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        let mut listeners = self.listeners();
        listeners.retain(|_, sender| !sender.is_closed());
        let is_free = |address: &SocketAddr| !listeners.contains_key(address);
        let address = if address.port() == 0 {
            (1..=u16::MAX)
                .map(|port| SocketAddr::new(address.ip(), port))
                .find(is_free)
                .ok_or(io::ErrorKind::AddrInUse)?
        } else if is_free(&address) {
            address
        } else {
            return Err(io::ErrorKind::AddrInUse.into());
        };
        let (sender, incoming) = mpsc::channel(Self::BACKLOG);
        listeners.insert(address, sender);
        Ok(Box::new(MemoryListener { address, incoming }))
    }

    async fn dial(&self, to: &Endpoint) -> io::Result<Connection> {
        let Endpoint::Socket(address) = to else { return Err(io::ErrorKind::NotFound.into()) };
        let listener = self.listeners().get(address).cloned();
        let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (ours, theirs) = tokio::io::duplex(Self::PIPE);
        let here = SocketAddr::new(address.ip(), 0);
        let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
        listener.send(connection(theirs, here)).await.map_err(refused)?;
        Ok(connection(ours, *address))
    }
}

struct MemoryListener {
    address: SocketAddr,
    incoming: mpsc::Receiver<Connection>,
}

#[async_trait]
impl Listener for MemoryListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let connection = self.incoming.recv().await.ok_or(io::ErrorKind::BrokenPipe)?;
        let remote = SocketAddr::new(self.address.ip(), 0);
        Ok(Incoming { remote, opening: Box::pin(async move { Ok(connection) }) })
    }
}

fn connection(stream: tokio::io::DuplexStream, remote: SocketAddr) -> Connection {
    let (reader, writer) = tokio::io::split(stream);
    Connection { reader: Box::new(reader), writer: Box::new(writer), remote: remote.into() }
}
