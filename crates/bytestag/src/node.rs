//! The async handle to a node.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rs2p_base::net::{EventStream, ListenError, Node, NodeBuilder, Stopped, Tcp};
use rs2p_base::{RequestId, Time};
use rs2p_kad::Key;
use rs2p_store::{Changes, Store, StoreError};
use thiserror::Error;

use crate::config::DhtConfig;
use crate::disk::DiskContents;
use crate::error::{ContentsError, GetError, PutError, ReachError};
use crate::event::{Copies, DhtEvent, Found, Got};
use crate::machine::Dht;
use crate::packet::Contact;
#[cfg(feature = "upnp")]
use crate::port_mapping::{PortMapping, PortMappingConfig};
use crate::sharing::Shares;
use crate::status::DhtStatus;
use crate::value::ValueId;

/// A running node of the Kademlia DHT. Clones are handles to the same node; it stops when the last
/// one is dropped.
///
/// ```
/// use rs2p_bytestag::DhtNode;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let one = DhtNode::builder().start().await?;
/// let two = DhtNode::builder().start().await?;
/// two.join([one.address()]).await?;
///
/// let (id, copies) = one.put("a value").await?;
/// assert_eq!(copies.stored, 1);
/// assert_eq!(two.get(id.key, Some(id.index)).await?.value, "a value");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DhtNode {
    pub(crate) node: Node<Dht>,
    id: Key,
    address: SocketAddrV4,
    pub(crate) store: Option<Arc<Store>>,
    pub(crate) shares: Arc<Mutex<Shares>>,
    #[cfg(feature = "upnp")]
    port_mapping: Option<Arc<PortMapping>>,
}

/// Options of a node that is about to be started.
#[derive(Clone, Debug)]
pub struct DhtNodeBuilder {
    listen: SocketAddrV4,
    id: Option<Key>,
    store: Option<PathBuf>,
    config: DhtConfig,
    #[cfg(feature = "upnp")]
    port_mapping: Option<PortMappingConfig>,
}

impl DhtNodeBuilder {
    /// Where to take datagrams; port 0 picks a free port. Default `127.0.0.1:0`, which reaches
    /// nodes on the same machine only.
    #[must_use]
    pub fn listen(mut self, address: SocketAddrV4) -> Self {
        self.listen = address;
        self
    }

    /// The node's id. Default: that of the file, if there is one, else a random one.
    #[must_use]
    pub fn id(mut self, id: Key) -> Self {
        self.id = Some(id);
        self
    }

    /// Nodes to join by, tried again for as long as nobody is known.
    #[must_use]
    pub fn seeds(mut self, seeds: impl IntoIterator<Item = SocketAddrV4>) -> Self {
        self.config.seeds.extend(seeds);
        self
    }

    /// Bytes of others' values that are kept: see [`DhtConfig::capacity`].
    #[must_use]
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.config.capacity = bytes;
        self
    }

    /// All options of the protocol at once.
    #[must_use]
    pub fn config(mut self, config: DhtConfig) -> Self {
        self.config = config;
        self
    }

    /// Keeps values, the node's id, whom it knows and what it shares in a file, which is made if it
    /// is not there. Opening it checks all of it, which takes time in proportion to its size.
    #[must_use]
    pub fn store(mut self, path: impl Into<PathBuf>) -> Self {
        self.store = Some(path.into());
        self
    }

    /// Has a router forward the node's port, by UPnP, so that nodes outside the local network can
    /// reach it; off by default. It is done in the background, and whether it works or not, the
    /// node runs: [`DhtNode::port_mapping`] tells. Not for a node on a loopback address, which is
    /// what [`listen`](Self::listen) begins with.
    #[cfg(feature = "upnp")]
    #[must_use]
    pub fn port_mapping(mut self, config: PortMappingConfig) -> Self {
        self.port_mapping = Some(config);
        self
    }

    /// Binds, and starts the node in the tokio runtime that runs this. It joins by its seeds, and
    /// by nodes it knew in a former life, in the background: [`DhtNode::joined`] waits for that.
    ///
    /// # Errors
    /// The address is in use or not this machine's; the system gives no random numbers; the file
    /// cannot be used. A damaged file is set aside, and the error says where: starting again begins
    /// with an empty one.
    pub async fn start(self) -> Result<DhtNode, DhtStartError> {
        #[cfg(feature = "upnp")]
        let port_mapping = self.port_mapping;
        let Self { listen, id, store, mut config, .. } = self;
        let mut random = [0; 28];
        getrandom::fill(&mut random)?;
        let (seed, drawn) = random.split_at(8);
        let seed = u64::from_be_bytes(seed.try_into().unwrap_or_default());
        let drawn = Key::try_from(drawn).unwrap_or(Key::new([0; 20]));
        let opened = match store {
            Some(path) => Some(open(path).await?),
            None => None,
        };
        let kept = opened.as_ref().and_then(|(_, former)| former.id);
        let id = id.or(kept).unwrap_or(drawn);
        if let Some((_, former)) = &opened {
            config.seeds.extend(former.contacts.iter().copied());
        }
        let mut builder = NodeBuilder::new(Tcp);
        let bound = builder.listen_for_datagrams(SocketAddr::V4(listen)).await?;
        let SocketAddr::V4(address) = bound else { return Err(DhtStartError::NoIpv4(bound)) };
        let mut dht = Dht::new(id, config, seed);
        let mut shares = Shares::default();
        let mut store = None;
        if let Some((opened, former)) = opened {
            let contents = DiskContents::new(Arc::clone(&opened))?;
            // A node without a clock yet has published nothing: whatever is due is due at once.
            dht = dht.with_contents(Time::default(), Box::new(contents))?;
            shares = former.shares;
            store = Some(opened);
        }
        let node = builder.start(dht);
        let shares = Arc::new(Mutex::new(shares));
        #[cfg_attr(not(feature = "upnp"), expect(unused_mut, reason = "nothing follows"))]
        let mut this = DhtNode {
            node,
            id,
            address,
            store,
            shares,
            #[cfg(feature = "upnp")]
            port_mapping: None,
        };
        this.save_id().await?;
        this.resume_sharing()?;
        this.node.call(|dht, now| dht.start(now))?;
        #[cfg(feature = "upnp")]
        if let Some(config) = port_mapping {
            this.port_mapping = Some(Arc::new(PortMapping::open(address, config)));
        }
        Ok(this)
    }
}

/// What a file tells of a former life.
struct Former {
    id: Option<Key>,
    contacts: Vec<SocketAddrV4>,
    shares: Shares,
}

async fn open(path: PathBuf) -> Result<(Arc<Store>, Former), DhtStartError> {
    blocking(move || {
        let store = Arc::new(Store::open(path, DiskContents::KIND)?);
        let id = store.meta(ID)?.and_then(|id| Key::try_from(&id[..]).ok());
        let contacts = store.meta(CONTACTS)?.unwrap_or_default();
        let (contacts, _) = contacts.as_chunks::<6>();
        let contacts = contacts.iter().map(|[a, b, c, d, high, low]| {
            let ip = Ipv4Addr::new(*a, *b, *c, *d);
            SocketAddrV4::new(ip, u16::from_be_bytes([*high, *low]))
        });
        let former = Former { id, contacts: contacts.collect(), shares: Shares::load(&store)? };
        Ok((store, former))
    })
    .await
}

/// Calls `act` where it may wait for the disk.
pub(crate) async fn blocking<R: Send + 'static>(act: impl FnOnce() -> R + Send + 'static) -> R {
    match tokio::task::spawn_blocking(act).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and nobody hears of it any more.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The node's id, beside the entries of its file.
const ID: &str = "id";

/// Addresses of nodes it knew last, six bytes each.
const CONTACTS: &str = "contacts";

impl DhtNode {
    /// Options for a node; [`start`](DhtNodeBuilder::start) starts it.
    #[must_use]
    pub fn builder() -> DhtNodeBuilder {
        DhtNodeBuilder {
            listen: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
            id: None,
            store: None,
            config: DhtConfig::default(),
            #[cfg(feature = "upnp")]
            port_mapping: None,
        }
    }

    /// The node's id, from which its distances to keys are measured.
    #[must_use]
    pub const fn id(&self) -> Key {
        self.id
    }

    /// Where it takes datagrams, with the port that it got.
    #[must_use]
    pub const fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Asks who is at an address. Cancel safe.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn ping(&self, address: SocketAddrV4) -> Result<Contact, DhtError> {
        match self.request(|dht, now| dht.ping(now, address)).await? {
            DhtEvent::Pinged { result, .. } => Ok(result?),
            _ => Err(Stopped.into()),
        }
    }

    /// Joins the network by these nodes, of which one at least has to answer, and gives how many
    /// nodes are known then. Dropping the future does not stop it.
    ///
    /// # Errors
    /// Nobody answers, or there was nobody to ask.
    pub async fn join(
        &self,
        addresses: impl IntoIterator<Item = SocketAddrV4>,
    ) -> Result<usize, DhtError> {
        let addresses: Vec<_> = addresses.into_iter().collect();
        match self.request(|dht, now| dht.join(now, addresses)).await? {
            DhtEvent::Joined { result, .. } => Ok(result?),
            _ => Err(Stopped.into()),
        }
    }

    /// Waits until somebody is known. Cancel safe.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn joined(&self) -> Result<(), DhtError> {
        Ok(self.node.wait_for(|dht, _| (!dht.table().is_empty()).then_some(())).await?)
    }

    /// The nodes nearest to a key. Cancel safe.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn find(&self, key: Key) -> Result<Found, DhtError> {
        self.found(self.request(|dht, now| dht.find(now, key)).await?)
    }

    /// Who has values under a key, of this index or any, and which: see [`Found::values`]. Cancel
    /// safe.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn find_value(&self, key: Key, index: Option<Key>) -> Result<Found, DhtError> {
        self.found(self.request(|dht, now| dht.find_value(now, key, index)).await?)
    }

    fn found(&self, event: DhtEvent) -> Result<Found, DhtError> {
        match event {
            DhtEvent::Found { found, .. } => Ok(found),
            _ => Err(Stopped.into()),
        }
    }

    /// The value of this index under a key, or any of that key: its bytes have the SHA-1 that its
    /// index says. Give the index where it is known; asking without one can hang an old node that
    /// shares a file of that key. Dropping the future does not stop the search.
    ///
    /// # Errors
    /// Nobody is known, nobody has it, or nobody sends it whole.
    pub async fn get(&self, key: Key, index: Option<Key>) -> Result<Got, DhtError> {
        self.get_from(key, index, []).await
    }

    /// As [`get`](Self::get), but asks these nodes first: those that had another part of the same
    /// file, for instance.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_from(
        &self,
        key: Key,
        index: Option<Key>,
        from: impl IntoIterator<Item = Contact>,
    ) -> Result<Got, DhtError> {
        let from: Vec<_> = from.into_iter().collect();
        match self.request(|dht, now| dht.get(now, key, index, from)).await? {
            DhtEvent::Got { result, .. } => Ok(result?),
            _ => Err(Stopped.into()),
        }
    }

    /// Publishes a value under its SHA-1, keeps it and publishes it again every day. Dropping the
    /// future does not stop it.
    ///
    /// # Errors
    /// It is longer than [`MAX_VALUE`](crate::MAX_VALUE), cannot be kept here, or nobody took it:
    /// then it is tried again in the background.
    pub async fn put(&self, value: impl Into<Bytes>) -> Result<(ValueId, Copies), DhtError> {
        self.put_under(None, value).await
    }

    /// As [`put`](Self::put), but under a key of its own. Nodes take it if the value describes the
    /// file with that key; any other is refused.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn put_under(
        &self,
        key: Option<Key>,
        value: impl Into<Bytes>,
    ) -> Result<(ValueId, Copies), DhtError> {
        let value = value.into();
        let mut id = None;
        let begun = self.node.request(|dht, now| {
            let (request, named) = dht.put(now, key, value)?;
            id = Some(named);
            Ok::<_, PutError>(request)
        })?;
        match (begun?.await?, id) {
            (DhtEvent::Published { result, .. }, Some(id)) => Ok((id, result?)),
            _ => Err(Stopped.into()),
        }
    }

    /// Stops publishing a value, and keeps it no longer. Whether it was there.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn withdraw(&self, id: ValueId) -> Result<bool, DhtError> {
        Ok(self.node.call(|dht, _| dht.withdraw(&id))?)
    }

    /// Waits until each own value, shared ones included, has been published at least once. Cancel
    /// safe.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn published(&self) -> Result<(), DhtError> {
        let is_done = |dht: &mut Dht, _| (dht.status().unpublished == 0).then_some(());
        Ok(self.node.wait_for(is_done).await?)
    }

    /// The nodes it knows, by bucket: those of bucket n share the first n bits of its id.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn table(&self) -> Result<Vec<Vec<Contact>>, DhtError> {
        let nodes = |dht: &mut Dht, _| {
            let buckets = dht.table().buckets().iter();
            buckets.map(|bucket| bucket.nodes().copied().collect()).collect()
        };
        Ok(self.node.call(nodes)?)
    }

    /// How the node is.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn status(&self) -> Result<DhtStatus, DhtError> {
        Ok(self.node.call(|dht, _| dht.status())?)
    }

    /// All events from now on. A reader that falls behind is told how many it has missed.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn events(&self) -> Result<EventStream<DhtEvent>, DhtError> {
        Ok(self.node.events()?)
    }

    /// The running machine: for what this handle does not offer.
    #[must_use]
    pub const fn machine(&self) -> &Node<Dht> {
        &self.node
    }

    /// The router's port that leads here, if [`DhtNodeBuilder::port_mapping`] asked for one.
    #[cfg(feature = "upnp")]
    #[must_use]
    pub fn port_mapping(&self) -> Option<&PortMapping> {
        self.port_mapping.as_deref()
    }

    /// Writes down whom it knows, if it has a file, and stops. What others stored here within the
    /// last moments is on the disk when this returns, and a port of a router has been given back.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn close(&self) -> Result<(), DhtError> {
        #[cfg(feature = "upnp")]
        if let Some(mapping) = &self.port_mapping {
            mapping.close().await;
        }
        self.save_contacts().await?;
        self.node.shutdown().await;
        Ok(())
    }

    async fn save_id(&self) -> Result<(), DhtStartError> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        let id = self.id.as_bytes().to_vec();
        blocking(move || {
            let mut changes = Changes::new();
            changes.set_meta(ID, id);
            Ok(store.write(&changes)?)
        })
        .await
    }

    /// Writes down whom it knows, to come back by in a later life. Nothing without a file.
    ///
    /// # Errors
    /// The file cannot be written, or the node has stopped.
    pub async fn save_contacts(&self) -> Result<(), DhtError> {
        let Some(store) = self.store.clone() else { return Ok(()) };
        let known = self.node.call(|dht, _| {
            let nearest = dht.table().closest(&dht.id()).take(16);
            let far = dht.table().buckets().iter().flat_map(|bucket| bucket.nodes().next());
            nearest.chain(far.take(16)).map(|node| node.address).collect::<BTreeSet<_>>()
        })?;
        let bytes: Vec<u8> = known
            .iter()
            .flat_map(|address| {
                let [a, b, c, d] = address.ip().octets();
                let [high, low] = address.port().to_be_bytes();
                [a, b, c, d, high, low]
            })
            .collect();
        blocking(move || {
            let mut changes = Changes::new();
            changes.set_meta(CONTACTS, bytes);
            Ok(store.write(&changes)?)
        })
        .await
    }

    async fn request(
        &self,
        start: impl FnOnce(&mut Dht, Time) -> RequestId,
    ) -> Result<DhtEvent, Stopped> {
        let begun = self.node.request(|dht, now| Ok::<_, Stopped>(start(dht, now)))?;
        begun?.await
    }
}

impl fmt::Debug for DhtNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, address, .. } = self;
        f.debug_struct("DhtNode").field("id", id).field("address", address).finish_non_exhaustive()
    }
}

/// A node cannot be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DhtStartError {
    /// The address cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system bound another kind of address.
    #[error("the system bound {0}, where an IPv4 address was asked for")]
    NoIpv4(SocketAddr),
    /// The system gives no random numbers.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The file cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the file holds cannot be read.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// The node stopped at once.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// An operation has failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DhtError {
    /// Nobody answers.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// A value cannot be had.
    #[error(transparent)]
    Get(#[from] GetError),
    /// A value cannot be published.
    #[error(transparent)]
    Put(#[from] PutError),
    /// The node's file cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
