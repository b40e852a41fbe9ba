//! The async handle to a node of a replicated dictionary.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rs2p_base::net::{EventStream, Stopped, StreamConfig};
use rs2p_base::{Endpoint, NodeId, Time};
use rs2p_mesh::{
    LayerBuilder, MeshError, MeshEvent, MeshSocket, OverMesh as _, SendError, StartError,
};
use rs2p_store::{FollowError, Follower, NodeFile, StoreError};
use rs2p_wire::Value;
use thiserror::Error;

use crate::config::SyncConfig;
use crate::disk;
use crate::error::WriteError;
use crate::event::{Entry, SyncEvent};
use crate::lease;
use crate::machine::Sync;
use crate::persist::RestoreError;
use crate::status::SyncStatus;

/// A running node of a replicated dictionary. Clones are handles to the same node; it stops when
/// the last one is dropped.
///
/// ```
/// use rs2p_sync::SyncSocket;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Nodes make up their ids, if they are given none.
/// let one = SyncSocket::builder().id("ada".parse()?).start().await?;
/// let two = SyncSocket::builder().id("bob".parse()?).start().await?;
/// two.connect(one.address().ok_or("it listens")?).await?;
///
/// one.set("colour", "green").await?;
/// let colour = two.wait_for(|two| two.get("colour").cloned()).await?;
/// assert_eq!(colour.as_str(), Some("green"));
///
/// // The key is leased to its author for an hour. (Of two writes in the same second, that of the
/// // smaller id stays.)
/// assert!(two.set("colour", "red").await.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SyncSocket {
    mesh: MeshSocket<Sync>,
    follower: Option<Follower<Sync>>,
}

/// Options of a node that is about to be started.
pub struct SyncBuilder {
    layer: LayerBuilder,
    inbox: StreamConfig,
    sync: SyncConfig,
    store: Option<PathBuf>,
}

impl SyncBuilder {
    rs2p_mesh::layer_options!(self.layer);

    /// Whether a write closes its key to others for a while: see [`SyncConfig::leasing`]. Default
    /// `true`.
    #[must_use]
    pub fn leasing(mut self, leasing: bool) -> Self {
        self.sync.leasing = leasing;
        self
    }

    /// How long a write closes its key: see [`SyncConfig::lease`]. Default one hour.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.sync.lease = lease;
        self
    }

    /// All options of the dictionary at once.
    #[must_use]
    pub fn sync_config(mut self, config: SyncConfig) -> Self {
        self.sync = config;
        self
    }

    /// Bounds of the users' messages that wait for [`MeshSocket::recv`]. Default: 1,024 messages,
    /// 64 MiB.
    #[must_use]
    pub fn inbox(mut self, inbox: StreamConfig) -> Self {
        self.inbox = inbox;
        self
    }

    /// Keeps the dictionary in a file, which is made if it is not there. The node comes back with
    /// what it held, under the id it had, so that its leases are still its own. A write is
    /// acknowledged once it is on the disk.
    #[must_use]
    pub fn store(mut self, path: impl Into<PathBuf>) -> Self {
        self.store = Some(path.into());
        self
    }

    /// Binds, and starts the node in the tokio runtime that runs this.
    ///
    /// # Errors
    /// The address is in use or not this machine's; the system gives no random numbers; the file
    /// cannot be used. A damaged file is set aside, and the error says where: starting again begins
    /// with an empty one, which peers fill.
    pub async fn start(self) -> Result<SyncSocket, SyncStartError> {
        let Self { mut layer, inbox, sync, store } = self;
        let marker = if sync.leasing { "1" } else { "0" };
        let mut file = match store {
            Some(path) => {
                let kind = disk::kind(&format!("{}{marker}", layer.subnet));
                Some(NodeFile::open(path, kind).await?)
            }
            None => None,
        };
        if let Some(id) = file.as_ref().and_then(|file| file.id) {
            layer.id.get_or_insert(id);
        }
        let mut restored = Ok(());
        let make = |birth| {
            let mut sync = Sync::new(birth, sync);
            if let Some(file) = &mut file {
                sync.keep_changes();
                let records = std::mem::take(&mut file.records);
                restored = sync.restore(file.memory.as_deref(), records);
            }
            sync
        };
        let started = layer.extend_subnet(marker).start(make).await?;
        let (node, id) = (started.node.clone(), started.id);
        let mesh = MeshSocket::new(started, inbox).map_err(StartError::from)?;
        restored?;
        let follower = match file {
            Some(file) => Some(file.follow(&node, id).await?),
            None => None,
        };
        Ok(SyncSocket { mesh, follower })
    }
}

impl SyncSocket {
    /// Options for a node; [`start`](SyncBuilder::start) starts it.
    #[must_use]
    pub fn builder() -> SyncBuilder {
        SyncBuilder {
            layer: LayerBuilder::new("sync"),
            inbox: StreamConfig::default(),
            sync: SyncConfig::default(),
            store: None,
        }
    }

    /// The node's id: the owner of what it writes.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.mesh.id()
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.mesh.address()
    }

    /// The mesh below: users' messages, peers.
    #[must_use]
    pub fn mesh(&self) -> &MeshSocket<Sync> {
        &self.mesh
    }

    /// Connects to a node: see [`MeshSocket::connect`].
    ///
    /// # Errors
    /// Nobody answers there, or nobody of this network.
    pub async fn connect(&self, to: impl Into<Endpoint>) -> Result<NodeId, MeshError> {
        self.mesh.connect(to).await
    }

    /// The value of a key. Text and bytes are the same key.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Arc<Value>>, Stopped> {
        self.read(|sync| sync.get(key).cloned())
    }

    /// The value of a key, or `default` when there is none.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn get_or(
        &self,
        key: impl AsRef<[u8]>,
        default: impl Into<Value>,
    ) -> Result<Arc<Value>, Stopped> {
        Ok(self.get(key)?.unwrap_or_else(|| Arc::new(default.into())))
    }

    /// The value of a key, with who wrote it and when, and until when it is leased.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn entry(&self, key: impl AsRef<[u8]>) -> Result<Option<Entry>, Stopped> {
        self.read(|sync| sync.entry(key))
    }

    /// Whether there is such a key.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool, Stopped> {
        self.read(|sync| sync.contains(key))
    }

    /// How many keys there are.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn len(&self) -> Result<usize, Stopped> {
        self.read(Sync::len)
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn is_empty(&self) -> Result<bool, Stopped> {
        self.read(Sync::is_empty)
    }

    /// All keys, in the order of their bytes.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn keys(&self) -> Result<Vec<Bytes>, Stopped> {
        self.read(Sync::keys)
    }

    /// All values, in the order of their keys.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn values(&self) -> Result<Vec<Arc<Value>>, Stopped> {
        self.read(Sync::values)
    }

    /// All keys and values as they are at this moment, in the order of the keys: a snapshot, which
    /// copies no value.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn items(&self) -> Result<Vec<(Bytes, Arc<Value>)>, Stopped> {
        self.read(Sync::items)
    }

    /// Sets a key here and everywhere: see [`Sync::set`]. Waits while peers have enough to read.
    /// Cancel safe: it was set, or it was not.
    ///
    /// # Errors
    /// Somebody else has the lease; the write is over a limit; the node has stopped.
    pub async fn set(
        &self,
        key: impl AsRef<[u8]>,
        value: impl Into<Value>,
    ) -> Result<(), SyncError> {
        let (key, value) = (key.as_ref(), value.into());
        self.write(|sync, now| sync.set(now, key, value.clone())).await
    }

    /// As [`set`](Self::set), with a lease of this length, in whole seconds from one to thirty days'
    /// worth: see [`Sync::set_for`].
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn set_for(
        &self,
        key: impl AsRef<[u8]>,
        value: impl Into<Value>,
        lease: Duration,
    ) -> Result<(), SyncError> {
        let (key, value, lease) = (key.as_ref(), value.into(), seconds(lease));
        self.write(|sync, now| sync.set_for(now, key, value.clone(), lease)).await
    }

    /// Writes a key's value once more, so that its lease begins anew, for this long.
    ///
    /// # Errors
    /// There is no such key; or as [`set`](Self::set).
    pub async fn renew(&self, key: impl AsRef<[u8]>, lease: Duration) -> Result<(), SyncError> {
        let (key, lease) = (key.as_ref(), seconds(lease));
        self.write(|sync, now| sync.renew(now, key, lease)).await
    }

    /// Sets many keys, one after the other; with a file, all of them are waited for at once.
    ///
    /// # Errors
    /// As [`set`](Self::set), for the first key that is refused; those before it are set.
    pub async fn update<K: AsRef<[u8]>, V: Into<Value>>(
        &self,
        items: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), SyncError> {
        let mut result = Ok(());
        for (key, value) in items {
            let (key, value) = (key.as_ref(), value.into());
            let set = self.make(|sync, now| sync.set(now, key, value.clone())).await;
            if let Err(error) = set {
                result = Err(error);
                break;
            }
        }
        self.save().await?;
        result
    }

    /// Deletes a key here and everywhere. Waits and cancels as [`set`](Self::set).
    ///
    /// # Errors
    /// There is no such key; or as [`set`](Self::set).
    pub async fn del(&self, key: impl AsRef<[u8]>) -> Result<(), SyncError> {
        let key = key.as_ref();
        self.write(|sync, now| sync.del(now, key)).await
    }

    /// Merges a map into the one that is a key's value: see [`Sync::apply_delta`]. Waits and
    /// cancels as [`set`](Self::set).
    ///
    /// # Errors
    /// The value is no map; or as [`set`](Self::set).
    pub async fn apply_delta(
        &self,
        key: impl AsRef<[u8]>,
        delta: impl IntoIterator<Item = (Value, Value)>,
    ) -> Result<Arc<Value>, SyncError> {
        let (key, delta) = (key.as_ref(), Vec::from_iter(delta));
        self.write(|sync, now| sync.apply_delta(now, key, &delta)).await
    }

    /// Deletes a key and gives its value. Waits and cancels as [`set`](Self::set).
    ///
    /// # Errors
    /// As [`del`](Self::del).
    pub async fn pop(&self, key: impl AsRef<[u8]>) -> Result<Arc<Value>, SyncError> {
        let key = key.as_ref();
        self.write(|sync, now| sync.pop(now, key)).await
    }

    /// Deletes some key that this node may delete, and gives it with its value. Waits and cancels
    /// as [`set`](Self::set).
    ///
    /// # Errors
    /// As [`Sync::popitem`].
    pub async fn popitem(&self) -> Result<Option<(Bytes, Arc<Value>)>, SyncError> {
        self.write(|sync, now| sync.popitem(now)).await
    }

    /// Everything that happens from now on.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn events(&self) -> Result<EventStream<SyncEvent>, Stopped> {
        self.subscribe(StreamConfig::default())
    }

    /// As [`events`](Self::events), with bounds of one's own for what waits to be read.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn subscribe(&self, config: StreamConfig) -> Result<EventStream<SyncEvent>, Stopped> {
        let weigh = |event: &SyncEvent| match event {
            SyncEvent::Update { key, .. } | SyncEvent::Delete { key, .. } => key.len(),
            SyncEvent::Mesh(MeshEvent::Message(received)) => received.message().body().len(),
            SyncEvent::Mesh(_) => 0,
        };
        let known = |event: &SyncEvent| match event {
            // Nobody is above to claim it.
            SyncEvent::Mesh(MeshEvent::Unclaimed(_)) => None,
            event => Some(event.clone()),
        };
        self.mesh.node().subscribe(config, known, weigh)
    }

    /// Waits until the dictionary has what is asked for. `look` is called first, and again whenever
    /// something has changed, until it gives something. Cancel safe as far as `look` is.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn wait_for<R>(
        &self,
        mut look: impl FnMut(&Sync) -> Option<R>,
    ) -> Result<R, Stopped> {
        self.mesh.node().wait_for(|sync, _| look(sync)).await
    }

    /// What time it is for the network, by which leases end: see
    /// [`Mesh::network_time`](rs2p_mesh::Mesh::network_time).
    ///
    /// # Errors
    /// The node has stopped.
    pub fn network_time(&self) -> Result<Time, Stopped> {
        self.mesh.node().call(|sync, now| sync.mesh().network_time(now))
    }

    /// Waits until the node's file can no longer be written, which concerns who writes nothing
    /// himself, too. Never ends for a node without a file, or one that has stopped.
    pub async fn store_failed(&self) -> Arc<StoreError> {
        match &self.follower {
            Some(follower) => follower.failed().await,
            None => std::future::pending().await,
        }
    }

    /// How the node is doing.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn status(&self) -> Result<SyncStatus, Stopped> {
        self.mesh.node().call(|sync, now| sync.status(now))
    }

    /// Stops the node: see [`MeshSocket::close`]. If it has a file, what it holds is on the disk by
    /// then, and the file is closed.
    ///
    /// # Errors
    /// Some of it is not.
    pub async fn close(&self) -> Result<(), SyncError> {
        let saved = self.save().await;
        self.mesh.close().await;
        if let Some(follower) = &self.follower {
            follower.closed().await;
        }
        match saved {
            // Somebody else was first.
            Err(SyncError::Stopped(_)) => Ok(()),
            saved => saved,
        }
    }

    /// Waits until all changes of this moment are on the disk, those of others too. Without a file
    /// there is nothing to wait for.
    ///
    /// # Errors
    /// The disk fails, or the node has stopped.
    pub async fn save(&self) -> Result<(), SyncError> {
        match &self.follower {
            Some(follower) => Ok(follower.save().await?),
            None => Ok(()),
        }
    }

    fn read<R>(&self, look: impl FnOnce(&Sync) -> R) -> Result<R, Stopped> {
        self.mesh.node().call(|sync, _| look(sync))
    }

    /// Makes a write, and waits until it is on the disk.
    async fn write<R>(
        &self,
        act: impl FnMut(&mut Sync, Time) -> Result<R, WriteError>,
    ) -> Result<R, SyncError> {
        let (done, count) = self.make(act).await?;
        if let Some(follower) = &self.follower {
            follower.saved(count).await?;
        }
        Ok(done)
    }

    /// Makes a write, and tells how many changes there were by then.
    async fn make<R>(
        &self,
        mut act: impl FnMut(&mut Sync, Time) -> Result<R, WriteError>,
    ) -> Result<(R, u64), SyncError> {
        let attempt = |sync: &mut Sync, now| match act(sync, now) {
            Err(WriteError::Send(SendError::QueueFull(_))) => None,
            result => Some(result.map(|done| (done, sync.change_count()))),
        };
        Ok(self.mesh.node().retry_when_flushed(attempt).await??)
    }
}

/// Whole seconds, as leases are counted.
fn seconds(lease: Duration) -> u32 {
    u32::try_from(lease.as_secs()).unwrap_or(lease::LONGEST)
}

impl fmt::Debug for SyncSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, address) = (self.id(), self.address());
        f.debug_struct("SyncSocket").field("id", &id).field("address", &address).finish()
    }
}

/// Why a write did not happen, or is not on the disk.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SyncError {
    /// It was refused.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The write was made and told to the others, but the file could not be written. No later
    /// write reaches the file, either: start the node anew.
    #[error("the write was made, but is not on the disk: {0}")]
    NotSaved(Arc<StoreError>),
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl From<FollowError> for SyncError {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Stopped(stopped) => Self::Stopped(stopped),
            FollowError::Store(error) => Self::NotSaved(error),
        }
    }
}

/// Why a node does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SyncStartError {
    /// It cannot listen, or has no random numbers.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Its file cannot be used, or was damaged and has been set aside.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its id cannot be written into the file.
    #[error(transparent)]
    Id(Arc<StoreError>),
    /// The file is whole, but holds what this version does not understand.
    #[error(transparent)]
    Restore(#[from] RestoreError),
}

impl From<FollowError> for SyncStartError {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Stopped(stopped) => Self::Start(stopped.into()),
            FollowError::Store(error) => Self::Id(error),
        }
    }
}
