//! A router's service that forwards ports, asked over HTTP.

use std::error::Error as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use thiserror::Error;
use tokio::time::timeout;

use super::soap;

/// Where a router takes calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) gateway: SocketAddrV4,
    /// Its name in calls, one of [`KINDS`].
    pub(super) kind: &'static str,
    pub(super) control: Uri,
}

/// The services that forward ports.
pub(super) const KINDS: [&str; 3] = [
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
];

/// What the mapping is called in the router's list.
const DESCRIPTION: &str = "rs2p";

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 256 * 1024;

impl Service {
    /// Asks to forward the port of `internal`, which stays when it lasts no time at all.
    pub(super) async fn add(
        &self,
        internal: SocketAddrV4,
        lease: Duration,
        patience: Duration,
    ) -> Result<(), AskError> {
        let port = internal.port().to_string();
        let arguments = [
            ("NewRemoteHost", ""),
            ("NewExternalPort", &port),
            ("NewProtocol", "UDP"),
            ("NewInternalPort", &port),
            ("NewInternalClient", &internal.ip().to_string()),
            ("NewEnabled", "1"),
            ("NewPortMappingDescription", DESCRIPTION),
            ("NewLeaseDuration", &lease.as_secs().to_string()),
        ];
        self.call("AddPortMapping", &arguments, patience).await.map(drop)
    }

    pub(super) async fn remove(&self, port: u16, patience: Duration) -> Result<(), AskError> {
        let port = port.to_string();
        let arguments =
            [("NewRemoteHost", ""), ("NewExternalPort", &*port), ("NewProtocol", "UDP")];
        self.call("DeletePortMapping", &arguments, patience).await.map(drop)
    }

    /// The router's address outside.
    pub(super) async fn external(&self, patience: Duration) -> Result<Ipv4Addr, AskError> {
        let answer = self.call("GetExternalIPAddress", &[], patience).await?;
        let address = soap::element(&answer, "NewExternalIPAddress").unwrap_or_default();
        let address = address.parse().map_err(|_| AskError::Malformed)?;
        if Ipv4Addr::is_unspecified(&address) { Err(AskError::Malformed) } else { Ok(address) }
    }

    async fn call(
        &self,
        action: &str,
        arguments: &[(&str, &str)],
        patience: Duration,
    ) -> Result<String, AskError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.control.clone())
            .header(header::CONNECTION, "close")
            .header(header::CONTENT_TYPE, "text/xml; charset=\"utf-8\"")
            .header("SOAPAction", format!("\"{}#{action}\"", self.kind))
            .body(Full::from(soap::call(self.kind, action, arguments)))?;
        let (status, answer) = send(request, patience).await?;
        if soap::element(&answer, &format!("{action}Response")).is_some() && status.is_success() {
            return Ok(answer);
        }
        let code = soap::element(&answer, "errorCode").and_then(|code| code.parse().ok());
        let Some(code) = code else {
            return Err(if status.is_success() {
                AskError::Malformed
            } else {
                AskError::Status(status)
            });
        };
        let text = soap::element(&answer, "errorDescription").unwrap_or_default();
        let text = soap::unescaped(text).escape_debug().take(100).collect();
        Err(AskError::Refused { code, text })
    }
}

/// The document at an address.
pub(super) async fn document(uri: Uri, patience: Duration) -> Result<String, AskError> {
    let request = Request::get(uri).header(header::CONNECTION, "close").body(Full::default())?;
    match send(request, patience).await? {
        (status, document) if status.is_success() => Ok(document),
        (status, _) => Err(AskError::Status(status)),
    }
}

async fn send(
    request: Request<Full<Bytes>>,
    patience: Duration,
) -> Result<(StatusCode, String), AskError> {
    let exchange = async {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (head, body) = client.request(request).await?.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { AskError::TooLong } else { AskError::Malformed }
        })?;
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        Ok((head.status, text))
    };
    timeout(patience, exchange).await.unwrap_or(Err(AskError::Silent(patience)))
}

/// A router has not done what it was asked.
#[derive(Debug, Error)]
pub(super) enum AskError {
    #[error("has not answered within {0:?}")]
    Silent(Duration),
    #[error("cannot be asked: {}", chain(.0))]
    Unreachable(#[from] legacy::Error),
    #[error("gives an address for calls that is none: {0}")]
    Address(#[from] http::Error),
    #[error("answers with HTTP status {0}")]
    Status(StatusCode),
    #[error("answers with more than {MAX_ANSWER} bytes")]
    TooLong,
    #[error("gives an answer that makes no sense")]
    Malformed,
    #[error("names no service that forwards ports")]
    NoService,
    #[error("refuses with error {code}: {text}")]
    Refused { code: u16, text: String },
}

/// An error with its causes, of which the outermost says least.
fn chain(error: &legacy::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
