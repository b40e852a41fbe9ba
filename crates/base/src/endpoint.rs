//! Where a node can be dialled.

use std::cmp::Ordering;
use std::fmt;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::str::FromStr;

use rs2p_wire::{Element, MessageWriter, Value};
use thiserror::Error;

/// A host and a port, as peers list them: the host is an IP address or a name to look up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

    /// Writes what [`to_value`](Self::to_value) says.
    pub fn write(&self, writer: &mut MessageWriter) {
        writer.array(2, |writer| {
            match self {
                Self::Socket(address) => writer.text(HostText::of(address.ip()).as_str()),
                Self::Name(name, _) => writer.text(name),
            }
            writer.unsigned(self.port().into());
        });
    }

    /// Reads `[host, port]`, as [`from_value`](Self::from_value).
    #[must_use]
    pub fn from_element(element: &Element<'_>) -> Option<Self> {
        let [host, port] = element.as_array_of()?;
        Self::read(host.text_bytes()?, port.as_u64()?)
    }

    /// Reads `[host, port]`. A node that cannot be dialled writes `[nil, nil]`; that, and anything
    /// that makes no sense, is no endpoint.
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Self> {
        let [host, port] = value.as_array()?.as_slice() else { return None };
        Self::read(rs2p_wire::text_bytes(host)?, port.as_u64()?)
    }

    fn read(host: &[u8], port: u64) -> Option<Self> {
        let host = std::str::from_utf8(host).ok()?;
        let port = u16::try_from(port).ok()?;
        Self::new(host, port).ok().filter(|_| port != 0)
    }
}

/// Addresses before names; each by its parts, in order.
///
/// Books of addresses are searched all the time, and IP addresses compare faster as numbers than as
/// the bytes they are.
impl Ord for Endpoint {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Socket(SocketAddr::V6(one)), Self::Socket(SocketAddr::V6(other))) => {
                let by_ip = one.ip().to_bits().cmp(&other.ip().to_bits());
                by_ip.then_with(|| one.cmp(other))
            }
            (Self::Socket(SocketAddr::V4(one)), Self::Socket(SocketAddr::V4(other))) => {
                let number = |address: &SocketAddrV4| (address.ip().to_bits(), address.port());
                number(one).cmp(&number(other))
            }
            (Self::Socket(one), Self::Socket(other)) => one.is_ipv6().cmp(&other.is_ipv6()),
            (Self::Socket(_), Self::Name(..)) => Ordering::Less,
            (Self::Name(..), Self::Socket(_)) => Ordering::Greater,
            (Self::Name(one, port), Self::Name(other, other_port)) => {
                one.cmp(other).then(port.cmp(other_port))
            }
        }
    }
}

impl PartialOrd for Endpoint {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The text of an IP address, in place.
struct HostText {
    text: [u8; Self::LONGEST],
    length: usize,
}

impl HostText {
    /// An IPv6 address that ends in an IPv4 one.
    const LONGEST: usize = 45;

    fn of(ip: IpAddr) -> Self {
        let mut text = [0; Self::LONGEST];
        let length = match ip {
            IpAddr::V4(ip) => Self::write_v4(&mut text, ip.octets()),
            IpAddr::V6(ip) => {
                let mut rest = &mut text[..];
                // The longest text of all fits.
                let written = write!(rest, "{ip}");
                debug_assert!(written.is_ok());
                Self::LONGEST - rest.len()
            }
        };
        Self { text, length }
    }

    /// By hand, since lists of peers are full of them: formatting takes several times as long.
    fn write_v4(text: &mut [u8; Self::LONGEST], octets: [u8; 4]) -> usize {
        let mut length = 0;
        let mut put = |byte: u8| {
            text[length] = byte;
            length += 1;
        };
        for (place, octet) in octets.into_iter().enumerate() {
            if place > 0 {
                put(b'.');
            }
            if octet >= 100 {
                put(b'0' + octet / 100);
            }
            if octet >= 10 {
                put(b'0' + octet / 10 % 10);
            }
            put(b'0' + octet % 10);
        }
        length
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
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
    use proptest::collection::vec;
    use proptest::prelude::*;
    use rs2p_wire::{IdForm, Limits, MainFlag, Message};

    use super::*;

    fn endpoint() -> impl Strategy<Value = Endpoint> {
        prop_oneof![
            any::<([u8; 4], u16)>().prop_map(|address| Endpoint::Socket(address.into())),
            // Alike, so that the port decides.
            (0..3_u8, any::<u16>())
                .prop_map(|(last, port)| { Endpoint::Socket(([10, 0, 0, last], port).into()) }),
            any::<([u16; 8], u16)>().prop_map(|address| Endpoint::Socket(address.into())),
            (0..3_u16, any::<u16>(), 0..2_u32).prop_map(|(last, port, scope)| {
                let ip = [0xfd00, 0, 0, 0, 0, 0, 0, last].into();
                Endpoint::Socket(std::net::SocketAddrV6::new(ip, port, 0, scope).into())
            }),
            ("[a-z.]{1,40}", any::<u16>())
                .prop_map(|(name, port)| Endpoint::Name(name.into(), port)),
        ]
    }

    proptest! {
        #[test]
        fn endpoints_are_written_and_read_as_the_values_they_stand_for(
            endpoints in vec(endpoint(), 0..70),
        ) {
            let (kind, form, limits) = (MainFlag::Whisper, IdForm::Bin, Limits::default());
            let mut writer = MessageWriter::new(kind, form, "2sei", 1, endpoints.len());
            endpoints.iter().for_each(|endpoint| endpoint.write(&mut writer));
            let written = writer.finish(&limits).unwrap();
            let values: Vec<Value> = endpoints.iter().map(Endpoint::to_value).collect();
            let encoded = Message::encode(kind, form, "2sei", 1, &values, &limits).unwrap();
            prop_assert_eq!(written.frame().plain(), encoded.frame().plain());
            let read = written.elements(&limits).unwrap();
            let read = read.map(|element| Endpoint::from_element(&element));
            prop_assert!(read.eq(values.iter().map(Endpoint::from_value)));
        }

        #[test]
        fn endpoints_are_ordered_by_their_parts(one in endpoint(), other in endpoint()) {
            let parts = |endpoint: &Endpoint| match endpoint {
                Endpoint::Socket(address) => (Some(*address), None),
                Endpoint::Name(name, port) => (None, Some((name.clone(), *port))),
            };
            let ((address, name), (other_address, other_name)) = (parts(&one), parts(&other));
            let expected = match (address, other_address) {
                (Some(address), Some(other)) => address.cmp(&other),
                (None, None) => name.cmp(&other_name),
                (address, _) => if address.is_some() { Ordering::Less } else { Ordering::Greater },
            };
            prop_assert_eq!(one.cmp(&other), expected);
        }
    }

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
