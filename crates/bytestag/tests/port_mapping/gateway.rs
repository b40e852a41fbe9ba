//! A router on this machine: it answers searches, describes itself and takes calls.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use rs2p_bytestag::PortMappingConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;

/// A call that the router was asked to do.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) action: String,
    body: String,
}

impl Call {
    /// The value of an argument.
    pub(crate) fn argument(&self, name: &str) -> &str {
        let (_, value) = self.body.split_once(&format!("<{name}>")).unwrap();
        value.split_once("</").unwrap().0
    }
}

/// What the router says to a call; nothing at all when none.
type Answers = dyn Fn(&Call) -> Option<String> + Send + Sync;

pub(crate) struct Gateway {
    search: SocketAddrV4,
    pub(crate) calls: mpsc::UnboundedReceiver<Call>,
}

impl Gateway {
    /// A router that answers calls this way.
    pub(crate) async fn new(
        answers: impl Fn(&Call) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self::describing(description(), answers).await
    }

    /// A router that describes itself by these bytes, HTTP and all.
    pub(crate) async fn describing(
        description: Vec<u8>,
        answers: impl Fn(&Call) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let location = format!("http://{}/root.xml", listener.local_addr().unwrap());
        let (sender, calls) = mpsc::unbounded_channel();
        let answers: Arc<Answers> = Arc::new(answers);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let served =
                    serve(stream, description.clone(), Arc::clone(&answers), sender.clone());
                tokio::spawn(served);
            }
        });
        let search = searched(format!(
            "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nLocation: {location}\r\n\r\n"
        ));
        Self { search: search.await, calls }
    }

    pub(crate) fn config(&self) -> PortMappingConfig {
        config(self.search)
    }

    /// The next call of this action.
    pub(crate) async fn call(&mut self, action: &str) -> Call {
        loop {
            let call = self.calls.recv().await.unwrap();
            if call.action == action {
                return call;
            }
        }
    }
}

/// Short waits, and this router only.
pub(crate) fn config(search_address: SocketAddrV4) -> PortMappingConfig {
    PortMappingConfig {
        search: Duration::from_secs(2),
        answer: Duration::from_secs(2),
        lease: Duration::from_secs(1),
        retry: Duration::from_millis(100),
        search_address,
    }
}

/// Where searches get this answer.
pub(crate) async fn searched(answer: impl Into<Vec<u8>>) -> SocketAddrV4 {
    let answer = answer.into();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut question = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut question).await {
            assert!(question[..len].starts_with(b"M-SEARCH * HTTP/1.1\r\n"));
            if !answer.is_empty() {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

async fn serve(
    mut stream: TcpStream,
    description: Vec<u8>,
    answers: Arc<Answers>,
    calls: mpsc::UnboundedSender<Call>,
) {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    loop {
        let len = stream.read(&mut buffer).await.unwrap_or(0);
        if len == 0 {
            return;
        }
        request.push_str(std::str::from_utf8(&buffer[..len]).unwrap());
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        if body.len() >= length {
            break;
        }
    }
    if request.starts_with("GET /root.xml ") {
        let _ = stream.write_all(&description).await;
        return;
    }
    assert!(request.starts_with("POST /control?to=WANIPConn1&id=1 "), "{request}");
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let (_, action) = body.split_once("<u:").unwrap();
    let action = action.split_once(' ').unwrap().0.to_owned();
    assert!(body.contains("xmlns:u=\"urn:schemas-upnp-org:service:WANIPConnection:1\""));
    assert!(request.contains(&format!("WANIPConnection:1#{action}\"")));
    let call = Call { action, body: body.to_owned() };
    let answer = answers(&call);
    let _ = calls.send(call);
    match answer {
        Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
        // Until the other side gives up.
        None => drop(stream.read(&mut buffer).await),
    }
}

pub(crate) fn http(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// What a router says that does all it is asked.
pub(crate) fn willing(call: &Call) -> Option<String> {
    let result = match call.action.as_str() {
        "GetExternalIPAddress" => "<NewExternalIPAddress>203.0.113.7</NewExternalIPAddress>",
        _ => "",
    };
    let action = &call.action;
    Some(http(
        200,
        &format!(
            "<?xml version=\"1.0\"?><s:Envelope><s:Body><u:{action}Response xmlns:u=\"urn:x\">{result}\
         </u:{action}Response></s:Body></s:Envelope>"
        ),
    ))
}

/// What a router says that refuses.
pub(crate) fn refusal(code: u16, text: &str) -> Option<String> {
    Some(http(
        500,
        &format!(
            "<s:Envelope><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError\
         </faultstring><detail><UPnPError><errorCode>{code}</errorCode><errorDescription>{text}\
         </errorDescription></UPnPError></detail></s:Fault></s:Body></s:Envelope>"
        ),
    ))
}

pub(crate) fn description() -> Vec<u8> {
    let services = [
        ("urn:schemas-upnp-org:service:Layer3Forwarding:1", "/l3"),
        ("urn:schemas-upnp-org:service:WANIPConnection:1", "control?to=WANIPConn1&amp;id=1"),
    ];
    let services: String = services
        .iter()
        .map(|(kind, control)| {
            format!(
                "<device><serviceList><service>\n<serviceType>{kind}</serviceType>\
                 <controlURL> {control} </controlURL></service></serviceList></device>"
            )
        })
        .collect();
    http(200, &format!("<?xml version=\"1.0\"?>\n<root>{services}</root>")).into_bytes()
}
