//! How nodes of any network find each other: by way of a DHT that is there for that (spec section
//! 11).
//!
//! In the network `bootstrap` there is a key for each network, the text of its protocol id. Its value
//! is a map from the ids of nodes to their addresses. Who comes writes itself in, and connects to
//! some of the others.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rs2p_base::net::Stopped;
use rs2p_base::{Endpoint, NodeId};
use rs2p_mesh::{MeshError, MeshSocket, OverMesh, StartError};
use rs2p_wire::{Value, text_bytes};
use thiserror::Error;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::error::WriteError;
use crate::position::distance;
use crate::socket::{ChordError, ChordSocket, ChordStartError};

/// A way into networks: nodes of the bootstrap network to ask.
///
/// ```
/// use rs2p_chord::{Bootstrap, ChordSocket};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Usually somewhere else: `rs2p seed` runs one.
/// let seed = ChordSocket::builder().subnet(Bootstrap::SUBNET).start().await?;
/// let seed = seed.address().ok_or("it listens")?;
///
/// let one = ChordSocket::builder().subnet("library").start().await?;
/// let two = ChordSocket::builder().subnet("library").start().await?;
/// let bootstrap = Bootstrap::new([seed]);
/// let first = bootstrap.enlist(one.mesh()).await?;
/// let second = bootstrap.enlist(two.mesh()).await?;
/// assert_eq!((first.found(), second.connected()), (0, 1));
/// first.leave().await;
/// # Ok(())
/// # }
/// ```
///
/// An entry says where a node was, not that it still is there. Nobody proves who wrote it; what
/// is dialled belongs to the same network, or the handshake fails.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    seeds: Vec<Endpoint>,
    renewal: Duration,
}

/// A node's entry in the bootstrap network, which is renewed until this is dropped.
///
/// It holds a handle to the node, and stays in the bootstrap network as a node that stores nothing.
#[must_use = "dropping it ends the renewal"]
pub struct Enlisted {
    entrance: ChordSocket,
    entry: Entry,
    found: usize,
    connected: usize,
    problem: Arc<Mutex<Option<ChordError>>>,
    renewing: JoinHandle<()>,
}

impl Bootstrap {
    /// The name of the bootstrap network.
    pub const SUBNET: &'static str = "bootstrap";

    /// The seeds to ask; those that are in one network with each other know the same.
    #[must_use]
    pub fn new(seeds: impl IntoIterator<Item = impl Into<Endpoint>>) -> Self {
        Self { seeds: seeds.into_iter().map(Into::into).collect(), renewal: RENEWAL }
    }

    /// How often to look whether the entry is still there, and whether there are others, when the
    /// node has few peers. Default five minutes; a node without any looks twenty times as often.
    #[must_use]
    pub fn renewal(mut self, every: Duration) -> Self {
        self.renewal = every;
        self
    }

    /// Writes a node's address down under its network's id, and connects it to up to five of the
    /// others there. A node that nobody can dial ([`listen(None)`](crate::ChordBuilder::listen))
    /// writes nothing.
    ///
    /// # Errors
    /// No seed is reached; or what is there cannot be read, or the address not be written.
    pub async fn enlist<M: OverMesh>(
        &self,
        node: &MeshSocket<M>,
    ) -> Result<Enlisted, BootstrapError> {
        let entrance = self.enter().await?;
        let entry = node.node().call(|machine, _| {
            let local = machine.mesh().local();
            Entry {
                network: local.protocol_text().as_bytes().to_vec(),
                id: local.id(),
                address: local.advertised().cloned(),
            }
        })?;
        let listing = entry.read(&entrance).await?;
        let others = entry.renew(&entrance, listing).await?.others(&entry);
        let connected = connect(&entrance, &entry, node, &others).await;
        let problem = Arc::new(Mutex::new(None));
        let renewing = {
            let (entrance, entry, node) = (entrance.clone(), entry.clone(), node.clone());
            let (problem, every) = (problem.clone(), self.renewal.max(Duration::from_millis(1)));
            tokio::spawn(async move {
                loop {
                    let is_alone = node.peers().is_ok_and(|peers| peers.is_empty());
                    let wait = if is_alone { every / ALONE } else { every };
                    tokio::time::sleep(wait).await;
                    let result = look_again(&entrance, &entry, &node).await;
                    if node.node().is_stopped() {
                        return;
                    }
                    *problem.lock().unwrap_or_else(PoisonError::into_inner) = result.err();
                }
            })
        };
        Ok(Enlisted { entrance, entry, found: others.len(), connected, problem, renewing })
    }

    /// A node of the bootstrap network that stores nothing, with at least one peer there.
    async fn enter(&self) -> Result<ChordSocket, BootstrapError> {
        let builder = ChordSocket::builder().subnet(Self::SUBNET).listen(None).joins(false);
        let entrance = builder.start().await.map_err(|error| match error {
            ChordStartError::Start(error) => BootstrapError::Start(error),
            // It has no file.
            _ => BootstrapError::Stopped(Stopped),
        })?;
        let mut attempts = JoinSet::new();
        for seed in self.seeds.clone() {
            let entrance = entrance.clone();
            attempts.spawn(async move {
                let result = entrance.connect(seed.clone()).await;
                result.map(drop).map_err(|error| (seed, error))
            });
        }
        let mut failures = Vec::new();
        while let Some(done) = attempts.join_next().await {
            match done {
                Ok(Ok(())) => {
                    for seed in self.seeds.clone() {
                        // They stay in mind, should the one that was reached go.
                        entrance.mesh().add_seed(seed).map_err(|_| Stopped)?;
                    }
                    return Ok(entrance);
                }
                Ok(Err(failure)) => failures.push(failure),
                Err(_) => return Err(Stopped.into()),
            }
        }
        let foreign = failures.iter().position(|(_, error)| error.is_other_network());
        let count = failures.len();
        match failures.into_iter().nth(foreign.unwrap_or(0)) {
            Some((seed, error)) => {
                Err(BootstrapError::NoSeed { count, seed, error: Box::new(error) })
            }
            None => Err(BootstrapError::NoSeeds),
        }
    }
}

impl Enlisted {
    /// How many other nodes of the network were written down.
    #[must_use]
    pub fn found(&self) -> usize {
        self.found
    }

    /// How many of them the node has connected to, at the beginning.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.connected
    }

    /// Why the last renewal failed, if it did. The next one may do.
    #[must_use]
    pub fn problem(&self) -> Option<ChordError> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the entry out, and leaves the bootstrap network. What fails of it does not matter much:
    /// others find out that nobody is there.
    pub async fn leave(self) {
        self.renewing.abort();
        if self.entry.address.is_some() {
            let taken_out = self.entry.strike_out(&self.entrance, [self.entry.id]).await;
            // Nobody could do anything about it.
            drop(taken_out);
        }
        let _ = self.entrance.close().await;
    }
}

impl Drop for Enlisted {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

impl fmt::Debug for Enlisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entry, found, connected, .. } = self;
        f.debug_struct("Enlisted")
            .field("id", &entry.id)
            .field("address", &entry.address)
            .field("found", found)
            .field("connected", connected)
            .finish_non_exhaustive()
    }
}

/// What a node writes down, and where.
#[derive(Clone, Debug)]
struct Entry {
    /// The key: the protocol id of its network, as text.
    network: Vec<u8>,
    id: NodeId,
    address: Option<Endpoint>,
}

impl Entry {
    async fn read(&self, entrance: &ChordSocket) -> Result<Listing, ChordError> {
        Ok(Listing(match entrance.get(&self.network).await? {
            Some(Value::Map(pairs)) => Some(pairs),
            None => Some(Vec::new()),
            Some(_) => None,
        }))
    }

    /// Writes the entry, unless it is there, and gives what is there then: of two that come at the
    /// same moment, the later one sees the other.
    async fn renew(&self, entrance: &ChordSocket, listing: Listing) -> Result<Listing, ChordError> {
        let Some(address) = &self.address else { return Ok(listing) };
        if listing.address_of(self.id).as_ref() == Some(address) {
            return Ok(listing);
        }
        let pair = (name(self.id), address.to_value());
        match entrance.apply_delta(&self.network, [pair.clone()]).await {
            Ok(Value::Map(merged)) => Ok(Listing(Some(merged))),
            Ok(_) => Ok(listing),
            // What somebody has put there is of no use to anyone.
            Err(ChordError::Write(WriteError::NoMap)) => {
                entrance.set(&self.network, Value::Map(vec![pair.clone()])).await?;
                Ok(Listing(Some(vec![pair])))
            }
            Err(error) => Err(error),
        }
    }

    /// Makes these nil, which readers pass over. A change of single entries loses none that
    /// others write meanwhile.
    async fn strike_out(
        &self,
        entrance: &ChordSocket,
        ids: impl IntoIterator<Item = NodeId>,
    ) -> Result<(), ChordError> {
        let nothing = ids.into_iter().map(|id| (name(id), Value::Nil));
        entrance.apply_delta(&self.network, nothing).await.map(drop)
    }
}

/// Who is written down: nothing where the value is no map.
#[derive(Debug)]
struct Listing(Option<Vec<(Value, Value)>>);

impl Listing {
    /// Those that make sense.
    fn entries(&self) -> impl Iterator<Item = (NodeId, Endpoint)> {
        self.0.iter().flatten().filter_map(|(id, address)| {
            let id = std::str::from_utf8(text_bytes(id)?).ok()?.parse().ok()?;
            let address = Endpoint::from_value(address)?;
            (address.port() != 0).then_some((id, address))
        })
    }

    fn address_of(&self, id: NodeId) -> Option<Endpoint> {
        self.entries().find(|(other, _)| *other == id).map(|(_, address)| address)
    }

    /// Other nodes that this one may reach, those behind it on the ring of ids first, so that
    /// not everybody dials the same ones.
    fn others(&self, entry: &Entry) -> Vec<(NodeId, Endpoint)> {
        let reaches = entry.address.as_ref().is_none_or(is_local);
        let is_other = |(id, address): &(NodeId, Endpoint)| {
            *id != entry.id
                && Some(address) != entry.address.as_ref()
                && (reaches || !is_local(address))
        };
        let mut others: Vec<_> = self.entries().filter(is_other).collect();
        others.sort_by_key(|(id, _)| distance(entry.id, *id));
        others
    }

    /// Nodes that have left: the map without them, once they are many.
    fn pruned(&self) -> Option<Value> {
        let pairs = self.0.as_ref()?;
        let gone = pairs.iter().filter(|(_, address)| address.is_nil()).count();
        let rest = || pairs.iter().filter(|(_, address)| !address.is_nil()).cloned().collect();
        (gone > MAX_GONE).then(|| Value::Map(rest()))
    }
}

/// Connects a node to some of those that are written down, and strikes out those where nobody
/// listens any more. Gives the number of those it is connected to.
async fn connect<M: OverMesh>(
    entrance: &ChordSocket,
    entry: &Entry,
    node: &MeshSocket<M>,
    others: &[(NodeId, Endpoint)],
) -> usize {
    let mut connected = 0;
    let mut gone = Vec::new();
    for some in others.chunks(WANTED).take(ROUNDS) {
        let mut attempts = JoinSet::new();
        for (id, address) in some.iter().cloned() {
            let node = node.clone();
            attempts.spawn(async move {
                let result = node.connect(address).await;
                (id, result)
            });
        }
        let all = async {
            while let Some(done) = attempts.join_next().await {
                match done {
                    Ok((_, Ok(_))) => connected += 1,
                    Ok((id, Err(error))) if is_refusal(&error) => gone.push(id),
                    _ => {}
                }
            }
        };
        // Who takes longer may still come.
        let _ = timeout(PATIENCE, all).await;
        if connected > 0 {
            break;
        }
    }
    if !gone.is_empty() {
        // Whoever looks next finds it out as well.
        let _ = entry.strike_out(entrance, gone).await;
    }
    connected
}

async fn look_again<M: OverMesh>(
    entrance: &ChordSocket,
    entry: &Entry,
    node: &MeshSocket<M>,
) -> Result<(), ChordError> {
    let listing = entry.read(entrance).await?;
    if let Some(pruned) = listing.pruned() {
        // An entry that comes at the same moment is lost by this, until it is renewed.
        entrance.set(&entry.network, pruned).await?;
    }
    let listing = entry.renew(entrance, listing).await?;
    let peers = node.peers().unwrap_or_default();
    if peers.len() < FEW {
        let is_peer = |id: NodeId| peers.iter().any(|peer| peer.id == id);
        let mut others = listing.others(entry);
        others.retain(|(id, _)| !is_peer(*id));
        connect(entrance, entry, node, &others).await;
    }
    Ok(())
}

/// An id as a key of the map: binary, as py2p nodes write it. js2p nodes write text; readers have
/// to take both.
fn name(id: NodeId) -> Value {
    Value::Binary(id.to_string().into_bytes())
}

/// Whether only this machine can be meant.
fn is_local(address: &Endpoint) -> bool {
    match address {
        Endpoint::Socket(address) => address.ip().is_loopback(),
        Endpoint::Name(name, _) => &**name == "localhost",
    }
}

fn is_refusal(error: &MeshError) -> bool {
    error.dial_error().is_some_and(|error| error.kind == std::io::ErrorKind::ConnectionRefused)
}

/// Why a node is not in the bootstrap network.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BootstrapError {
    /// No seed is given.
    #[error("no seed is given to ask")]
    NoSeeds,
    /// None of the seeds is reached.
    #[error("none of {count} seeds of the bootstrap network is reached: {seed}: {error}")]
    NoSeed {
        /// How many were tried.
        count: usize,
        /// One of them.
        seed: Endpoint,
        /// What is wrong with it.
        error: Box<MeshError>,
    },
    /// The system gives no random numbers.
    #[error(transparent)]
    Start(StartError),
    /// The bootstrap network cannot be read or written.
    #[error("the bootstrap network does not answer as it should: {0}")]
    Chord(#[from] ChordError),
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// How often an entry is renewed.
const RENEWAL: Duration = Duration::from_secs(300);

/// A node without peers looks so many times more often.
const ALONE: u32 = 20;

/// Nodes to connect to.
const WANTED: usize = 5;

/// How many times so many are tried, as long as none of them is reached.
const ROUNDS: usize = 4;

/// How long to wait for those that are tried.
const PATIENCE: Duration = Duration::from_secs(5);

/// A node with fewer peers looks for more.
const FEW: usize = 3;

/// Entries of nodes that have left, before they are taken away.
const MAX_GONE: usize = 64;
