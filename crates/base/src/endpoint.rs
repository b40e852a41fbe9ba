//! Where a node can be dialled.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use rs2p_wire::Value;
use thiserror::Error;

/// A host and a port, as peers list them: the host is an IP address or a name to look up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Endpoint {
    /// An address that can be dialled as it stands.
    Socket(SocketAddr),
    /// A name that the driver looks up when it dials.
    Name(Box<str>, u16),
}

impl Endpoint {
    /// Longest host name, in bytes (RFC 1035).
    pub const MAX_NAME: usize = 253;

    /// An endpoint of a host and a port given apart.
    ///
    /// # Errors
    /// The host is empty, overlong, or holds white space or control characters.
    pub fn new(host: &str, port: u16) -> Result<Self, EndpointError> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Self::Socket(SocketAddr::new(ip, port)));
        }
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == ':';
        if host.is_empty() || host.len() > Self::MAX_NAME || host.contains(odd) {
            return Err(EndpointError::Host { host: host.chars().take(64).collect() });
        }
        Ok(Self::Name(host.into(), port))
    }

    /// Host part: an IP address without brackets, or a name.
    #[must_use]
    pub fn host(&self) -> String {
        match self {
            Self::Socket(address) => address.ip().to_string(),
            Self::Name(name, _) => name.to_string(),
        }
    }

    /// Port part.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Socket(address) => address.port(),
            Self::Name(_, port) => *port,
        }
    }

    /// `[host, port]`, as handshakes and peers lists hold it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::Array(vec![self.host().into(), self.port().into()])
    }

    /// Reads `[host, port]`. A node that cannot be dialled writes `[nil, nil]`; that, and anything
    /// that makes no sense, is no endpoint.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Self> {
        let [host, port] = value.as_array()?.as_slice() else { return None };
        let host = std::str::from_utf8(rs2p_wire::text_bytes(host)?).ok()?;
        let port = u16::try_from(port.as_u64()?).ok()?;
        Self::new(host, port).ok().filter(|_| port != 0)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::Socket(address)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Reads `HOST:PORT`; an IPv6 host stands in brackets.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let missing = || EndpointError::Port { text: text.chars().take(64).collect() };
        let (host, port) = text.rsplit_once(':').ok_or_else(missing)?;
        let port = port.parse().map_err(|_| missing())?;
        if host.contains(':') && !host.starts_with('[') {
            return Err(EndpointError::Host { host: host.chars().take(64).collect() });
        }
        Self::new(host, port)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => fmt::Display::fmt(address, f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

/// Why a text is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Neither an IP address nor a plausible name.
    #[error("`{host}` is neither an IP address nor a host name (an IPv6 address needs brackets)")]
    Host {
        /// The beginning of what was given.
        host: String,
    },
    /// There is no port, or none from 0 to 65535.
    #[error("`{text}` does not end in `:PORT` with a port from 0 to 65535")]
    Port {
        /// The beginning of what was given.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_or_names() {
        let parse = |text: &str| text.parse::<Endpoint>();
        assert_eq!(parse("127.0.0.1:80"), Ok(Endpoint::Socket(([127, 0, 0, 1], 80).into())));
        assert_eq!(parse("[::1]:80").unwrap().to_string(), "[::1]:80");
        assert_eq!(parse("[::1]:80").unwrap().host(), "::1");
        assert_eq!(parse("example.org:80"), Ok(Endpoint::Name("example.org".into(), 80)));
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        let refused = |text: &str| text.parse::<Endpoint>().unwrap_err().to_string();
        assert!(refused("localhost").contains(":PORT"));
        assert!(refused("localhost:70000").contains("65535"));
        assert!(refused("::1:80").contains("brackets"));
        assert!(refused(":80").contains("neither"));
        assert!(refused("a b:80").contains("neither"));
    }

    #[test]
    fn a_listed_address_without_a_host_or_port_is_none() {
        let value =
            |host: Value, port: Value| Endpoint::from_value(&Value::Array(vec![host, port]));
        assert_eq!(value(Value::Nil, Value::Nil), None);
        assert_eq!(value("h".into(), 0.into()), None);
        assert_eq!(value("h".into(), 65_536.into()), None);
        assert_eq!(value("h".into(), (-1).into()), None);
        let name = Endpoint::Name("h".into(), 9);
        assert_eq!(value(Value::Binary(b"h".to_vec()), 9.into()), Some(name.clone()));
        assert_eq!(Endpoint::from_value(&name.to_value()), Some(name));
    }
}
