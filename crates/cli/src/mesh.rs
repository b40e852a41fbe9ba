//! `rs2p mesh`: a mesh node in a session.

use std::collections::BTreeSet;
use std::env;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rs2p_base::net::{EventStream, StreamConfig};
use rs2p_base::{CloseReason, DialError, Endpoint, NodeId};
use rs2p_mesh::{
    ConnectError, MeshError, MeshEvent, MeshSocket, PeerInfo, Receipt, Received, StartError,
};
use rs2p_wire::{MainFlag, Value};
use serde_json::{Value as Json, json};
use tokio::sync::Mutex as AsyncMutex;

use crate::args::NodeArgs;
use crate::failure::Failure;
use crate::session::{
    self, Call, CommandError, CommandSpec, Completes, Layer, Style, Told, Trouble,
};
use crate::settings::{DialAddress, NodeOptions};
use crate::{json, words};

pub(crate) fn run(args: &NodeArgs) -> Result<(), Failure> {
    let options = NodeOptions::resolve(args, |name| env::var_os(name), "mesh")?;
    session::run(&options, MeshLayer::start(&options))
}

/// The commands of a mesh, which layers above a mesh have, too.
pub(crate) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new(
        "connect",
        "connect HOST:PORT",
        "connect to a node",
        (1, Some(1)),
        Completes::Addresses,
    ),
    CommandSpec::new("peers", "peers", "who is connected", (0, Some(0)), Completes::Nothing),
    CommandSpec::new(
        "send",
        "send PART...",
        "a message to every node of the network",
        (1, None),
        Completes::Nothing,
    ),
    CommandSpec::new(
        "whisper",
        "whisper PART...",
        "a message to connected nodes only",
        (1, None),
        Completes::Nothing,
    ),
    CommandSpec::new(
        "reply",
        "reply PART...",
        "answer the sender of the last message",
        (1, None),
        Completes::Nothing,
    ),
    CommandSpec::new(
        "disconnect",
        "disconnect ID",
        "part from a peer: its id or the beginning of it, or its address",
        (1, Some(1)),
        Completes::Peers,
    ),
    CommandSpec::new(
        "request_peers",
        "request_peers",
        "ask peers whom they know",
        (0, Some(0)),
        Completes::Nothing,
    ),
    CommandSpec::new("status", "status", "how the node is doing", (0, Some(0)), Completes::Nothing),
    CommandSpec::new("id", "id", "the node's own id", (0, Some(0)), Completes::Nothing),
];

/// A mesh node with what a session has to remember of it.
struct MeshLayer {
    socket: MeshSocket,
    events: AsyncMutex<EventStream<MeshEvent>>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// The message that `reply` answers.
    last: Option<Received>,
    /// Nodes that peers have told of, to be completed to.
    found: BTreeSet<Endpoint>,
    /// Peers that were told of.
    connected: BTreeSet<NodeId>,
    /// Peers that were there before anybody listened to events.
    early: Vec<PeerInfo>,
}

impl MeshLayer {
    async fn start(options: &NodeOptions) -> Result<Self, Failure> {
        let listen = resolve(&options.listen).await?;
        let mut builder = MeshSocket::builder()
            .listen(listen)
            .subnet(&*options.subnet)
            // They stay in mind, should the node lose everybody.
            .seeds(options.connect.iter().cloned());
        if let Some(address) = &options.advertise {
            builder = builder.advertise(address.clone());
        }
        let socket = builder.start().await.map_err(|error| start_failure(&error))?;
        // Messages among the other events, in order, and peers have to wait when nobody reads.
        let config = StreamConfig { paced: true, ..StreamConfig::default() };
        let weigh = |event: &MeshEvent| match event {
            MeshEvent::Message(received) => received.message().body().len(),
            _ => 0,
        };
        let wanted = |event: &MeshEvent| match event {
            MeshEvent::Connected(_)
            | MeshEvent::Disconnected { .. }
            | MeshEvent::PeerFound { .. }
            | MeshEvent::Message(_) => Some(event.clone()),
            _ => None,
        };
        let events =
            socket.node().subscribe(config, wanted, weigh).map_err(Failure::failed)?.into();
        // Since messages come with the events, they are taken out of the inbox unread.
        let inbox = socket.clone();
        tokio::spawn(async move {
            while !matches!(inbox.recv_many(1_024).await, Err(rs2p_base::net::RecvError::Closed)) {}
        });
        let memory =
            Memory { early: socket.peers().map_err(Failure::failed)?, ..Memory::default() };
        Ok(Self { socket, events, memory: Mutex::new(memory) })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self) -> String {
        self.socket.address().map(|address| address.to_string()).unwrap_or_default()
    }

    async fn connect(&self, word: &str) -> Result<Told, CommandError> {
        let DialAddress(to) = word.parse()?;
        let peer =
            self.socket.connect(to.clone()).await.map_err(|error| connect_error(&to, &error))?;
        Ok(Told::reply("connect").field("peer", peer.to_string()).line([
            (Style::Good, "connected".to_owned()),
            (Style::Plain, format!(" to {to}, which is ")),
            name(&peer.to_string()),
        ]))
    }

    fn peers(&self) -> Result<Told, CommandError> {
        let peers = self.socket.peers()?;
        let list: Json = peers
            .iter()
            .map(|peer| {
                json!({
                    "id": peer.id.to_string(),
                    "addr": peer.address.to_string(),
                    "outgoing": peer.outgoing,
                })
            })
            .collect();
        let told = Told::reply("peers").field("peers", list);
        if peers.is_empty() {
            let text = "nobody: `connect HOST:PORT` connects to a node";
            return Ok(told.line([(Style::Faint, text.to_owned())]));
        }
        Ok(peers.iter().fold(told, |told, peer| {
            let id = (Style::Name, peer.id.to_string());
            told.line([id, (Style::Plain, format!("  {}", place(peer)))])
        }))
    }

    async fn reply(&self, packets: Vec<Value>) -> Result<Told, CommandError> {
        let last = self.memory().last.clone();
        let last = last.ok_or("no message has come yet that could be answered")?;
        let id = self.socket.reply(&last, packets).await?;
        let told = Told::reply("reply").field("id", id.to_string());
        let to = String::from_utf8_lossy(last.sender()).into_owned();
        Ok(told.line([(Style::Faint, "answered ".to_owned()), name(&to)]))
    }

    fn disconnect(&self, word: &str) -> Result<Told, CommandError> {
        let peers = self.socket.peers()?;
        let is_meant = |peer: &&PeerInfo| {
            peer.address.to_string() == word || peer.id.to_string().starts_with(word)
        };
        let meant: Vec<_> = peers.iter().filter(is_meant).collect();
        let peer = match meant[..] {
            [peer] => peer.id,
            [] => return Err(format!("no peer is `{word}`; `peers` lists them").into()),
            _ => {
                return Err(format!("{} peers begin with `{word}`: write more", meant.len()).into());
            }
        };
        self.socket.disconnect(peer)?;
        let told = Told::reply("disconnect").field("peer", peer.to_string());
        Ok(told.line([(Style::Faint, "parted from ".to_owned()), name(&peer.to_string())]))
    }

    fn status(&self) -> Result<Told, CommandError> {
        let (status, traffic) = self.socket.status()?;
        let now = self.socket.node().call(|_, now| now)?;
        let counts = status.counts;
        let problems: Json = status
            .problems
            .iter()
            .map(|(time, what)| json!({ "time": time.as_secs(), "what": what }))
            .collect();
        let mut told = Told::reply("status")
            .field("id", self.socket.id().to_string())
            .field("listen", self.listen())
            .field("uptime", status.uptime.as_secs_f64())
            .field("peers", status.peers)
            .field("outgoing", status.outgoing)
            .field("opening", status.opening)
            .field("dialling", status.dialling)
            .field("addresses", status.addresses)
            .field("deferred", status.deferred)
            .field("seen", status.seen)
            .field("clock_off", status.clock_off)
            .field(
                "counts",
                json!({
                    "sent": counts.sent,
                    "delivered": counts.delivered,
                    "relayed": counts.relayed,
                    "duplicates": counts.duplicates,
                    "expired": counts.expired,
                    "malformed": counts.malformed,
                    "unanswered": counts.unanswered,
                }),
            )
            .field(
                "traffic",
                json!({
                    "frames_received": traffic.frames_received,
                    "bytes_received": traffic.bytes_received,
                    "frames_sent": traffic.frames_sent,
                    "bytes_sent": traffic.bytes_sent,
                    "duplicates": traffic.duplicates,
                    "malformed": traffic.malformed,
                }),
            )
            .field("problems", problems);
        let row = |title: &str, text: String| {
            [(Style::Bold, format!("{title:10}")), (Style::Plain, text)]
        };
        told = told
            .line(row("node", self.socket.id().to_string()))
            .line(row(
                "running",
                format!("{} s, listening on {}", status.uptime.as_secs(), self.listen()),
            ))
            .line(row(
                "peers",
                format!(
                    "{} ({} dialled by this node), {} more addresses known",
                    status.peers,
                    status.outgoing,
                    status.addresses.saturating_sub(status.peers)
                ),
            ))
            .line(row(
                "messages",
                format!(
                    "{} sent, {} received, {} passed on",
                    counts.sent, counts.delivered, counts.relayed
                ),
            ))
            .line(row(
                "traffic",
                format!("{} B in, {} B out", traffic.bytes_received, traffic.bytes_sent),
            ));
        for (time, what) in &status.problems {
            told = told.line([
                (Style::Bad, "problem   ".into()),
                (Style::Plain, format!("{} s ago: {what}", now.since(*time).as_secs())),
            ]);
        }
        Ok(told)
    }

    /// What an event is told as, if at all.
    fn tell(&self, event: MeshEvent) -> Option<Told> {
        match event {
            MeshEvent::Connected(peer) => {
                if !self.memory().connected.insert(peer.id) {
                    return None;
                }
                let id = peer.id.to_string();
                Some(Told::event("connect").field("peer", &*id).line([
                    (Style::Good, "+ ".to_owned()),
                    name(&id),
                    (Style::Faint, format!("  {}", place(&peer))),
                ]))
            }
            MeshEvent::Disconnected { peer, reason } => {
                self.memory().connected.remove(&peer);
                let id = peer.to_string();
                Some(Told::event("disconnect").field("peer", &*id).line([
                    (Style::Bad, "- ".to_owned()),
                    name(&id),
                    (Style::Faint, format!("  {reason}")),
                ]))
            }
            MeshEvent::PeerFound { address, .. } => {
                let found = &mut self.memory().found;
                if found.len() < FOUND {
                    found.insert(address);
                }
                None
            }
            MeshEvent::Message(received) => {
                let told = message(&received);
                self.memory().last = Some(received);
                Some(told)
            }
            _ => None,
        }
    }
}

impl Layer for MeshLayer {
    const ENTRY: &str = "connect";

    fn commands(&self) -> Vec<&'static CommandSpec> {
        COMMANDS.iter().collect()
    }

    fn ready(&self) -> Told {
        let (id, listen) = (self.socket.id().to_string(), self.listen());
        Told::event("ready").field("id", &*id).field("listen", &*listen).line([
            (Style::Plain, "node ".to_owned()),
            name(&id),
            (Style::Plain, " listens on ".to_owned()),
            (Style::Bold, listen),
            (Style::Plain, "; `help` lists the commands".to_owned()),
        ])
    }

    async fn run(&self, Call { name, words }: Call<'_>) -> Result<Told, CommandError> {
        let packets = || words.iter().map(|word| words::value(word)).collect::<Result<Vec<_>, _>>();
        match name {
            "connect" => self.connect(&words[0]).await,
            "peers" => self.peers(),
            "send" => Ok(sent("send", self.socket.send(packets()?).await?)),
            "whisper" => Ok(sent("whisper", self.socket.whisper(packets()?).await?)),
            "reply" => self.reply(packets()?).await,
            "disconnect" => self.disconnect(&words[0]),
            "request_peers" => {
                self.socket.request_peers()?;
                let told = Told::reply("request_peers");
                Ok(told.line([(Style::Faint, "asked all peers whom they know".to_owned())]))
            }
            "status" => self.status(),
            "id" => {
                let id = self.socket.id().to_string();
                Ok(Told::reply("id").field("id", &*id).line([(Style::Name, id)]))
            }
            other => Err(format!("there is no command `{other}`").into()),
        }
    }

    async fn next_event(&self) -> Option<Told> {
        let early = self.memory().early.pop();
        if let Some(peer) = early {
            return self.tell(MeshEvent::Connected(peer));
        }
        let mut events = self.events.lock().await;
        loop {
            let told = session::event(events.recv().await, |event| self.tell(event))?;
            if told.is_some() {
                return told;
            }
        }
    }

    fn candidates(&self, of: Completes) -> Vec<String> {
        let peers = self.socket.peers().unwrap_or_default();
        match of {
            Completes::Nothing => Vec::new(),
            Completes::Peers => peers.iter().map(|peer| peer.id.to_string()).collect(),
            Completes::Addresses => {
                let mut addresses = self.memory().found.clone();
                addresses.extend(peers.into_iter().map(|peer| peer.address));
                addresses.iter().map(ToString::to_string).collect()
            }
        }
    }

    async fn stopped(&self) {
        self.socket.node().stopped().await;
    }

    async fn close(&self) {
        self.socket.close().await;
    }
}

fn sent(command: &str, Receipt { id, peers }: Receipt) -> Told {
    let peers = if peers == 1 { "1 peer".to_owned() } else { format!("{peers} peers") };
    let told = Told::reply(command).field("id", id.to_string());
    told.line([(Style::Faint, format!("sent to {peers}"))])
}

fn message(received: &Received) -> Told {
    let packets = received.packets();
    let sender = String::from_utf8_lossy(received.sender()).into_owned();
    let told = Told::event("message")
        .field("sender", &*sender)
        .field("time", received.time())
        .field("packets", json::from_values(&packets));
    let text = |packet: &Value| match packet {
        Value::String(text) => String::from_utf8_lossy(text.as_bytes()).into_owned(),
        other => json::from_value(other).to_string(),
    };
    let packets = packets.iter().map(text).collect::<Vec<_>>().join(" ");
    let how = if received.kind() == MainFlag::Whisper { " (whisper)" } else { "" };
    told.line([name(&sender), (Style::Faint, format!("{how}: ")), (Style::Plain, packets)])
}

/// The beginning of an id, enough to know it by.
fn name(id: &str) -> (Style, String) {
    let mut short: String = id.chars().take(SHORT).collect();
    if short.len() < id.len() {
        short.push('…');
    }
    (Style::Name, short)
}

fn place(peer: &PeerInfo) -> String {
    let direction = if peer.outgoing { "dialled" } else { "has dialled" };
    format!("{} ({direction})", peer.address)
}

async fn resolve(listen: &Endpoint) -> Result<SocketAddr, Failure> {
    match listen {
        Endpoint::Socket(address) => Ok(*address),
        Endpoint::Name(name, port) => {
            let failed =
                |reason: &str| Failure::Failed(format!("cannot listen on {listen}: {reason}"));
            let found = tokio::net::lookup_host((&**name, *port)).await;
            let mut found = found.map_err(|error| failed(&error.to_string()))?;
            found.next().ok_or_else(|| failed("the name has no address"))
        }
    }
}

fn start_failure(error: &StartError) -> Failure {
    let StartError::Listen(listen) = error else { return Failure::failed(error) };
    let address = listen.address;
    Failure::Failed(match listen.source.kind() {
        ErrorKind::AddrInUse => format!(
            "cannot listen on {address}: the port is in use. Choose another with --listen, or port \
             0 for a free one"
        ),
        ErrorKind::AddrNotAvailable => format!(
            "cannot listen on {address}: that is no address of this machine. Use 127.0.0.1 for \
             this machine alone, 0.0.0.0 for all its addresses; what peers shall dial instead goes \
             into --advertise"
        ),
        ErrorKind::PermissionDenied => format!(
            "cannot listen on {address}: not permitted. Ports below 1024 are often kept for the \
             administrator; choose a higher one"
        ),
        _ => listen.to_string(),
    })
}

/// Why there is no connection, and what can be done.
fn connect_error(to: &Endpoint, error: &MeshError) -> CommandError {
    let trouble = if error.is_other_network() { Trouble::OtherNetwork } else { Trouble::Any };
    let text = match error {
        MeshError::Connect(ConnectError::Dial(error)) => dial_error(error),
        MeshError::Connect(ConnectError::Closed(reason)) => match reason {
            CloseReason::OtherNetwork { ours, theirs } => format!(
                "{to} belongs to another network: --subnet and --transport have to be the same \
                 there and here (its protocol id is {theirs}, this node's is {ours})"
            ),
            CloseReason::Itself => format!("{to} is this node itself"),
            CloseReason::Full => format!("{to} has peers enough; try another node"),
            CloseReason::Frame(_) | CloseReason::NoHandshake { .. } | CloseReason::Handshake(_) => {
                format!("{to} does not speak this protocol over tcp ({reason})")
            }
            reason => format!("{to} was reached, and then: {reason}"),
        },
        error => error.to_string(),
    };
    CommandError { text, trouble }
}

fn dial_error(error: &DialError) -> String {
    let advice = match error.kind {
        ErrorKind::ConnectionRefused => {
            "nobody listens there. Is the node running, and is the port right?"
        }
        ErrorKind::TimedOut => "nothing answers. A firewall, or a machine that is off?",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "there is no way to that machine from here"
        }
        _ if matches!(error.to, Endpoint::Name(..)) => "is the name right?",
        _ => return error.to_string(),
    };
    format!("{error}: {advice}")
}

/// Characters of an id that people are shown.
const SHORT: usize = 10;

/// Addresses to remember for completion.
const FOUND: usize = 256;
