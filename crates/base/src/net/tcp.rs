//! Plain TCP, the protocol's `Plaintext`.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::net::{TcpListener, TcpStream};

use super::transport::{Connection, Incoming, Listener, Transport};
use crate::endpoint::Endpoint;

/// TCP without delay: small frames leave at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

#[async_trait]
impl Transport for Tcp {
    fn encryption(&self) -> &'static str {
        "Plaintext"
    }

    async fn listen(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(TcpListener::bind(address).await?))
    }

    async fn dial(&self, to: &Endpoint) -> io::Result<Connection> {
        let stream = match to {
            Endpoint::Socket(address) => TcpStream::connect(address).await?,
            Endpoint::Name(name, port) => TcpStream::connect((&**name, *port)).await?,
        };
        connection(stream)
    }
}

#[async_trait]
impl Listener for TcpListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }

    async fn accept(&mut self) -> io::Result<Incoming> {
        let (stream, remote) = Self::accept(self).await?;
        Ok(Incoming { remote, opening: Box::pin(async move { connection(stream) }) })
    }
}

fn connection(stream: TcpStream) -> io::Result<Connection> {
    stream.set_nodelay(true)?;
    let remote = stream.peer_addr()?.into();
    let (reader, writer) = stream.into_split();
    Ok(Connection { reader: Box::new(reader), writer: Box::new(writer), remote })
}
