//! What a session has of a mesh: its commands, its events, and what has to be remembered between
//! them. Every layer over a mesh owns one, and passes on to it what it does not know itself.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rs2p_base::net::{EventStream, RecvError, StreamConfig};
use rs2p_base::{Endpoint, NodeId};
use rs2p_chord::{Bootstrap, Enlisted};
use rs2p_mesh::{MeshEvent, MeshSocket, OverMesh, PeerInfo, Received};
use rs2p_wire::Value;
use serde_json::{Value as Json, json};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;

use super::telling::{message, place, sent};
use super::trouble::{bootstrap_error, connect_error};
use crate::failure::Failure;
use crate::session::{self, Call, CommandError, CommandSpec, Completes, Style, Told, name, row};
use crate::settings::{DialAddress, NodeOptions};
use crate::words;

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
    CommandSpec::new(
        "bootstrap",
        "bootstrap HOST:PORT...",
        "find nodes of this network, and be found, by way of seeds",
        (1, None),
        Completes::Nothing,
    ),
    CommandSpec::new("status", "status", "how the node is doing", (0, Some(0)), Completes::Nothing),
    CommandSpec::new("id", "id", "the node's own id", (0, Some(0)), Completes::Nothing),
];

/// The mesh of a node of any layer.
pub(crate) struct MeshPart<M: OverMesh> {
    socket: MeshSocket<M>,
    /// What makes up the network beside its name: flags that have to be the same on all nodes.
    network: &'static str,
    events: AsyncMutex<EventStream<M::Event>>,
    memory: Mutex<Memory>,
    /// The entry in the bootstrap network, if there is one.
    enlisted: AsyncMutex<Option<Enlisted>>,
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

impl<M: OverMesh> MeshPart<M> {
    /// Listens to what a node tells, and only then has it dial. `weigh` tells how many bytes an
    /// event of the layer above holds.
    pub(crate) fn new(
        options: &NodeOptions,
        socket: MeshSocket<M>,
        network: &'static str,
        weigh: impl Fn(&M::Event) -> usize + Send + 'static,
    ) -> Result<Self, Failure> {
        // Messages among the other events, in order, and peers have to wait when nobody reads.
        let config = StreamConfig { paced: true, ..StreamConfig::default() };
        let weigh = move |event: &M::Event| match M::mesh_event(event) {
            Some(MeshEvent::Message(received)) => received.message().body().len(),
            Some(_) => 0,
            None => weigh(event),
        };
        let wanted = |event: &M::Event| match M::mesh_event(event) {
            None
            | Some(
                MeshEvent::Connected(_)
                | MeshEvent::Disconnected { .. }
                | MeshEvent::PeerFound { .. }
                | MeshEvent::Message(_),
            ) => Some(event.clone()),
            Some(_) => None,
        };
        let events =
            socket.node().subscribe(config, wanted, weigh).map_err(Failure::failed)?.into();
        // Since messages come with the events, they are taken out of the inbox unread.
        let inbox = socket.clone();
        tokio::spawn(async move {
            while !matches!(inbox.recv_many(1_024).await, Err(RecvError::Closed)) {}
        });
        let memory =
            Memory { early: socket.peers().map_err(Failure::failed)?, ..Memory::default() };
        // They stay in mind, should the node lose everybody.
        for seed in &options.connect {
            socket.add_seed(seed.clone()).map_err(Failure::failed)?;
        }
        Ok(Self { socket, network, events, memory: Mutex::new(memory), enlisted: None.into() })
    }

    /// What is told once the node listens.
    pub(crate) fn ready(&self) -> Told {
        let (id, listen) = (self.socket.id().to_string(), self.listen());
        Told::event("ready").field("id", &*id).field("listen", &*listen).line([
            (Style::Plain, "node ".to_owned()),
            name(&id),
            (Style::Plain, " listens on ".to_owned()),
            (Style::Bold, listen),
            (Style::Plain, "; `help` lists the commands".to_owned()),
        ])
    }

    /// Runs a command of [`COMMANDS`].
    pub(crate) async fn run(
        &self,
        Call { name, words, .. }: Call<'_>,
    ) -> Result<Told, CommandError> {
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
            "bootstrap" => self.bootstrap(words).await,
            "status" => self.status(Ok),
            "id" => {
                let id = self.socket.id().to_string();
                Ok(Told::reply("id").field("id", &*id).line([(Style::Name, id)]))
            }
            other => Err(format!("there is no command `{other}`").into()),
        }
    }

    /// The next event. `tell` says what those of the layer above are told as, if at all.
    pub(crate) async fn next_event(
        &self,
        tell: impl Fn(M::Event) -> Option<Told> + Send,
    ) -> Option<Told> {
        let early = self.memory().early.pop();
        if let Some(peer) = early {
            return self.tell(&MeshEvent::Connected(peer));
        }
        let mut events = self.events.lock().await;
        loop {
            let told = session::event(events.recv().await, |event| match M::mesh_event(&event) {
                Some(event) => self.tell(event),
                None => tell(event),
            })?;
            if told.is_some() {
                return told;
            }
        }
    }

    /// What an argument that begins so can be completed to.
    pub(crate) fn candidates(&self, of: Completes) -> Vec<String> {
        let peers = self.socket.peers().unwrap_or_default();
        match of {
            Completes::Peers => peers.iter().map(|peer| peer.id.to_string()).collect(),
            Completes::Addresses => {
                let mut addresses = self.memory().found.clone();
                addresses.extend(peers.into_iter().map(|peer| peer.address));
                addresses.iter().map(ToString::to_string).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Comes about when the node has stopped by itself.
    pub(crate) async fn stopped(&self) {
        self.socket.node().stopped().await;
    }

    /// Is found no more by way of seeds.
    pub(crate) async fn leave(&self) {
        let enlisted = self.enlisted.lock().await.take();
        if let Some(enlisted) = enlisted {
            // It is a courtesy: others find out by themselves that nobody is here.
            let _ = timeout(COURTESY, enlisted.leave()).await;
        }
    }

    /// Stops the node in an orderly way.
    pub(crate) async fn close(&self) {
        self.leave().await;
        self.socket.close().await;
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self) -> String {
        self.socket.address().map(|address| address.to_string()).unwrap_or_default()
    }

    async fn connect(&self, word: &str) -> Result<Told, CommandError> {
        let DialAddress(to) = word.parse()?;
        let peer = self.socket.connect(to.clone()).await;
        let peer = peer.map_err(|error| connect_error(&to, &error, self.network))?;
        Ok(Told::reply("connect").field("peer", peer.to_string()).line([
            (Style::Good, "connected".to_owned()),
            (Style::Plain, format!(" to {to}, which is ")),
            name(&peer.to_string()),
        ]))
    }

    async fn bootstrap(&self, words: &[String]) -> Result<Told, CommandError> {
        let seeds = words.iter().map(|word| Ok(word.parse::<DialAddress>()?.0));
        let bootstrap = Bootstrap::new(seeds.collect::<Result<Vec<Endpoint>, String>>()?);
        let mut enlisted = self.enlisted.lock().await;
        if let Some(before) = enlisted.take() {
            // Those of before have to be left: the entry would be gone when they are.
            let _ = timeout(COURTESY, before.leave()).await;
        }
        let new = bootstrap.enlist(&self.socket).await.map_err(bootstrap_error)?;
        let (found, connected) = (new.found(), new.connected());
        *enlisted = Some(new);
        let text = match (found, connected) {
            (0, _) => "nobody else of this network is there yet; this node can be found now".into(),
            (found, connected) => {
                format!("{found} others of this network found, connected to {connected} of them")
            }
        };
        let told = Told::reply("bootstrap").field("found", found).field("connected", connected);
        Ok(told.line([(Style::Faint, text)]))
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

    /// How the node is doing; `own` adds what the layer above has to say.
    pub(crate) fn status(
        &self,
        own: impl FnOnce(Told) -> Result<Told, CommandError>,
    ) -> Result<Told, CommandError> {
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
        told = own(told)?;
        for (time, what) in &status.problems {
            told = told.line([
                (Style::Bad, "problem   ".into()),
                (Style::Plain, format!("{} s ago: {what}", now.since(*time).as_secs())),
            ]);
        }
        Ok(told)
    }

    /// What an event is told as, if at all.
    fn tell(&self, event: &MeshEvent) -> Option<Told> {
        match event {
            MeshEvent::Connected(peer) => {
                if !self.memory().connected.insert(peer.id) {
                    return None;
                }
                let id = peer.id.to_string();
                Some(Told::event("connect").field("peer", &*id).line([
                    (Style::Good, "+ ".to_owned()),
                    name(&id),
                    (Style::Faint, format!("  {}", place(peer))),
                ]))
            }
            MeshEvent::Disconnected { peer, reason } => {
                self.memory().connected.remove(peer);
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
                    found.insert(address.clone());
                }
                None
            }
            MeshEvent::Message(received) => {
                let told = message(received);
                self.memory().last = Some(received.clone());
                Some(told)
            }
            _ => None,
        }
    }
}

/// How long the end may wait for the entry in the bootstrap network to be taken out.
const COURTESY: Duration = Duration::from_secs(3);

/// Addresses to remember for completion.
const FOUND: usize = 256;
