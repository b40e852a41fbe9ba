//! What a byte stream to a peer is made of.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::endpoint::Endpoint;

/// A way to open byte streams: TCP, the in-memory one of tests, and whatever wraps them.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The protocol's name for it, part of the protocol id: `Plaintext`, `SSL`, `ws` or `wss`.
    fn encryption(&self) -> &'static str;

    /// Listens for peers. Port 0 picks a free one.
    ///
    /// # Errors
    /// The address is in use, or not this machine's.
    async fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>>;

    /// Opens a stream, looking up the host's name where it is one. The caller bounds the time it
    /// takes; dropping the future gives the attempt up.
    ///
    /// # Errors
    /// The name has no address, or nobody answers there.
    async fn dial(&self, to: &Endpoint) -> io::Result<Connection>;
}

#[async_trait]
impl Transport for Arc<dyn Transport> {
    fn encryption(&self) -> &'static str {
        (**self).encryption()
    }

    async fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        (**self).listen(address).await
    }

    async fn dial(&self, to: &Endpoint) -> io::Result<Connection> {
        (**self).dial(to).await
    }
}

/// Takes in streams that peers open.
#[async_trait]
pub trait Listener: Send {
    /// Where it listens; the real port where 0 was asked for.
    ///
    /// # Errors
    /// The system cannot tell.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// The next peer. Cancel safe: a peer is not lost when the future is dropped.
    ///
    /// # Errors
    /// This one could not be taken; the next may well be.
    async fn accept(&mut self) -> io::Result<Incoming>;
}

/// A peer at the door.
pub struct Incoming {
    /// Its address.
    pub remote: SocketAddr,
    /// What it takes until bytes can flow: nothing for TCP, a handshake of its own for others. It
    /// runs apart from the accept loop, so a silent peer holds nobody up.
    pub opening: Pin<Box<dyn Future<Output = io::Result<Connection>> + Send>>,
}

/// An open byte stream.
pub struct Connection {
    /// What comes from the peer.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// What goes to the peer. Shutting it down tells the peer that nothing more comes.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// The address at the other end.
    pub remote: Endpoint,
}
