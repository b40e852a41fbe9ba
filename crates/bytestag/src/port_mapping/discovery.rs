//! Which routers there are: a search by datagram (SSDP), and what those that answer describe.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use http::Uri;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::service::{AskError, KINDS, Service, document};
use super::{PortMappingConfig, PortMappingError, soap};

/// The services of the first router that has any.
pub(super) async fn services(
    local: SocketAddrV4,
    config: &PortMappingConfig,
) -> Result<Vec<Service>, PortMappingError> {
    if local.ip().is_loopback() && !config.search_address.ip().is_loopback() {
        return Err(PortMappingError::Loopback(local));
    }
    let (from, port) = (*local.ip(), local.port());
    let failed = |error| PortMappingError::Search { from, error };
    let mut search = Search::begin(from, config).await.map_err(failed)?;
    let mut failure = None;
    while let Some(location) = search.next().await.map_err(failed)? {
        let found = match document(location.uri.clone(), config.answer).await {
            Ok(description) => described(&location, &description),
            Err(error) => Err(error),
        };
        match found {
            Ok(services) => return Ok(services),
            Err(error) => failure = failure.or(Some(error.told_by(location.address, port))),
        }
    }
    Err(failure.unwrap_or(PortMappingError::NoGateway { waited: config.search, port }))
}

/// The address by which this machine reaches another. Sends nothing.
pub(super) async fn own_address(other: SocketAddrV4) -> io::Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(other).await?;
    match socket.local_addr()? {
        SocketAddr::V4(own) => Ok(*own.ip()),
        SocketAddr::V6(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

struct Search {
    socket: UdpSocket,
    to: SocketAddrV4,
    ends: Instant,
    /// When to ask again: a datagram can be lost.
    again: Instant,
    heard: usize,
    seen: BTreeSet<String>,
}

/// Datagrams of a search that are read, and routers that are looked at: whoever floods the network
/// with answers does not keep a node busy.
const MAX_HEARD: usize = 64;
const MAX_LOCATIONS: usize = 8;

const QUESTION: &str = "M-SEARCH * HTTP/1.1\r\n\
     HOST: 239.255.255.250:1900\r\n\
     MAN: \"ssdp:discover\"\r\n\
     MX: 1\r\n\
     ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n";

impl Search {
    async fn begin(from: Ipv4Addr, config: &PortMappingConfig) -> io::Result<Self> {
        let socket = UdpSocket::bind((from, 0)).await?;
        let to = config.search_address;
        socket.send_to(QUESTION.as_bytes(), to).await?;
        let now = Instant::now();
        let ends = now + config.search;
        let (again, seen) = (now + AGAIN, BTreeSet::new());
        Ok(Self { socket, to, ends, again, heard: 0, seen })
    }

    /// The next router that says where its description is; none when the time is over.
    async fn next(&mut self) -> io::Result<Option<Location>> {
        let mut answer = [0; 2048];
        while self.heard < MAX_HEARD && self.seen.len() < MAX_LOCATIONS {
            let until = self.again.min(self.ends);
            // What has come while a description was read counts, even when the time is over.
            let Ok(received) = timeout_at(until, self.socket.recv_from(&mut answer)).await else {
                if until == self.ends {
                    break;
                }
                self.again += AGAIN;
                self.socket.send_to(QUESTION.as_bytes(), self.to).await?;
                continue;
            };
            self.heard += 1;
            // Some systems report here that an earlier datagram did not arrive.
            let Ok((len, SocketAddr::V4(sender))) = received else { continue };
            let location = Location::read(&answer[..len], *sender.ip());
            if let Some(location) = location
                && self.seen.insert(location.uri.to_string())
            {
                return Ok(Some(location));
            }
        }
        Ok(None)
    }
}

const AGAIN: Duration = Duration::from_secs(1);

/// Where a router describes itself.
struct Location {
    address: SocketAddrV4,
    uri: Uri,
}

impl Location {
    /// Reads an answer to a search. A router speaks for itself: one that names another machine
    /// would have this one send requests wherever it likes.
    fn read(answer: &[u8], sender: Ipv4Addr) -> Option<Self> {
        let answer = std::str::from_utf8(answer).ok()?;
        let mut lines = answer.lines();
        lines.next().filter(|line| line.starts_with("HTTP/1.") && line.contains(" 200"))?;
        let headers = lines.filter_map(|line| line.split_once(':'));
        let mut location = headers.filter(|(name, _)| name.eq_ignore_ascii_case("location"));
        Self::at(location.next()?.1.trim(), sender)
    }

    fn at(address: &str, host: Ipv4Addr) -> Option<Self> {
        let uri: Uri = address.parse().ok()?;
        if uri.scheme_str() != Some("http") || uri.host()?.parse() != Ok(host) {
            return None;
        }
        let address = SocketAddrV4::new(host, uri.port_u16().unwrap_or(80));
        Some(Self { address, uri })
    }

    /// Where `reference` leads, which is a whole address, a path, or one beside this.
    fn join(&self, reference: &str) -> Option<Self> {
        let host = *self.address.ip();
        if reference.starts_with("http://") {
            return Self::at(reference, host);
        }
        let directory = match reference.strip_prefix('/') {
            Some(_) => "",
            None => self.uri.path().rsplit_once('/').map_or("/", |(directory, _)| directory),
        };
        let path = reference.trim_start_matches('/');
        let directory = directory.trim_end_matches('/');
        Self::at(&format!("http://{}{directory}/{path}", self.address), host)
    }
}

/// The services that a router describes, at most four.
fn described(location: &Location, description: &str) -> Result<Vec<Service>, AskError> {
    let base = soap::element(description, "URLBase").map(soap::unescaped);
    let base = base.and_then(|base| location.join(&base));
    let base = base.as_ref().unwrap_or(location);
    let services = soap::elements(description, "service").filter_map(|service| {
        let kind = soap::element(service, "serviceType")?;
        let kind = *KINDS.iter().find(|known| **known == kind)?;
        let control = soap::unescaped(soap::element(service, "controlURL")?);
        let control = base.join(&control)?;
        Some(Service { gateway: control.address, kind, control: control.uri })
    });
    let services: Vec<_> = services.take(4).collect();
    if services.is_empty() { Err(AskError::NoService) } else { Ok(services) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

    fn read(answer: &str) -> Option<String> {
        Some(Location::read(answer.as_bytes(), ROUTER)?.uri.to_string())
    }

    #[test]
    fn a_router_speaks_for_itself_only() {
        let answer = "HTTP/1.1 200 OK\r\nlocation: http://192.168.1.1:5000/root.xml\r\n\r\n";
        assert_eq!(read(answer).as_deref(), Some("http://192.168.1.1:5000/root.xml"));
        assert_eq!(read(&answer.replace("192.168.1.1", "127.0.0.1")), None);
        assert_eq!(read(&answer.replace("192.168.1.1", "router.example")), None);
        assert_eq!(read(&answer.replace("http:", "ftp:")), None);
        assert_eq!(read(&answer.replace("200 OK", "404")), None);
        assert_eq!(read("HTTP/1.1 200 OK\r\n\r\n"), None);
    }

    #[test]
    fn references_lead_where_they_say_but_to_no_other_machine() {
        let location = Location::at("http://192.168.1.1:5000/a/root.xml", ROUTER).unwrap();
        let join = |to| Some(location.join(to)?.uri.to_string());
        assert_eq!(join("/ctl?x=1").as_deref(), Some("http://192.168.1.1:5000/ctl?x=1"));
        assert_eq!(join("ctl").as_deref(), Some("http://192.168.1.1:5000/a/ctl"));
        assert_eq!(join("http://192.168.1.1/c").as_deref(), Some("http://192.168.1.1/c"));
        assert_eq!(join("http://192.168.1.2/c"), None);
        assert_eq!(join("/two words"), None);
    }
}
