//! The async handle to a node of a DHT.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use num_bigint::BigUint;
use rs2p_base::net::{EventStream, Stopped, StreamConfig};
use rs2p_base::{Endpoint, NodeId, RequestId, Time};
use rs2p_mesh::{LayerBuilder, MeshError, MeshEvent, MeshSocket, StartError};
use rs2p_store::{FollowError, Follower, NodeFile, StoreError};
use rs2p_wire::Value;
use thiserror::Error;

use crate::config::ChordConfig;
use crate::disk;
use crate::error::{NotReachable, ReadError, WriteError};
use crate::event::{ChordEvent, Path};
use crate::machine::Chord;
use crate::persist::RestoreError;
use crate::status::{ChordStatus, Membership};
use crate::walk::{Items, Keys, Values};

/// A running node of a DHT. Clones are handles to the same node; it stops when the last one is
/// dropped.
///
/// ```
/// use rs2p_chord::ChordSocket;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let one = ChordSocket::builder().start().await?;
/// let two = ChordSocket::builder().start().await?;
/// two.connect(one.address().ok_or("it listens")?).await?;
///
/// one.set("colour", "green").await?;
/// let colour = two.get("colour").await?.ok_or("it is set")?;
/// assert_eq!(colour.as_str(), Some("green"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ChordSocket {
    mesh: MeshSocket<Chord>,
    follower: Option<Follower<Chord>>,
}

/// Options of a node that is about to be started.
pub struct ChordBuilder {
    layer: LayerBuilder,
    inbox: StreamConfig,
    chord: ChordConfig,
    store: Option<PathBuf>,
}

impl ChordBuilder {
    rs2p_mesh::layer_options!(self.layer);

    /// Whether the node stores, and joins the ring by itself: see [`ChordConfig::joins`]. One that
    /// does not ("leeching") uses the network all the same. Default `true`.
    #[must_use]
    pub fn joins(mut self, joins: bool) -> Self {
        self.chord.joins = joins;
        self
    }

    /// Whether each new key is told to everyone: see [`ChordConfig::announces`]. Default `true`.
    #[must_use]
    pub fn announces(mut self, announces: bool) -> Self {
        self.chord.announces = announces;
        self
    }

    /// How long reads and writes may take: see [`ChordConfig::timeout`]. Default 10 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.chord.timeout = timeout;
        self
    }

    /// All options of the DHT at once.
    #[must_use]
    pub fn chord_config(mut self, config: ChordConfig) -> Self {
        self.chord = config;
        self
    }

    /// Bounds of the users' messages that wait for [`MeshSocket::recv`]. Default: 1,024 messages,
    /// 64 MiB.
    #[must_use]
    pub fn inbox(mut self, inbox: StreamConfig) -> Self {
        self.inbox = inbox;
        self
    }

    /// Keeps the node's records in a file, which is made if it is not there. The node comes back
    /// under the id it had, with what it held, and compares that with its neighbours. What others
    /// wrote is written down within ten seconds; until then the copies have to do.
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
    /// with an empty one, which neighbours fill.
    pub async fn start(self) -> Result<ChordSocket, ChordStartError> {
        let Self { mut layer, inbox, chord, store } = self;
        let mut file = match store {
            Some(path) => Some(NodeFile::open(path, disk::kind(&layer.subnet)).await?),
            None => None,
        };
        if let Some(id) = file.as_ref().and_then(|file| file.id) {
            layer.id.get_or_insert(id);
        }
        let mut restored = Ok(());
        let make = |birth| {
            let mut chord = Chord::new(birth, chord);
            if let Some(file) = &mut file {
                restored = chord.restore(std::mem::take(&mut file.records));
                chord.keep_changes();
            }
            chord
        };
        let started = layer.start(make).await?;
        let (node, id) = (started.node.clone(), started.id);
        let mesh = MeshSocket::new(started, inbox).map_err(StartError::from)?;
        restored?;
        let follower = match file {
            Some(file) => Some(file.follow(&node, id).await.map_err(|error| match error {
                FollowError::Stopped(_) => ChordStartError::Start(Stopped.into()),
                FollowError::Store(error) => ChordStartError::Id(error),
            })?),
            None => None,
        };
        Ok(ChordSocket { mesh, follower })
    }
}

impl ChordSocket {
    /// Options for a node; [`start`](ChordBuilder::start) starts it.
    #[must_use]
    pub fn builder() -> ChordBuilder {
        ChordBuilder {
            layer: LayerBuilder::new("chord"),
            inbox: StreamConfig::default(),
            chord: ChordConfig::default(),
            store: None,
        }
    }

    /// The node's id, which is its place on the ring.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.mesh.id()
    }

    /// The node's place on the ring as a number below 2^384.
    #[must_use]
    pub fn ring_position(&self) -> BigUint {
        BigUint::from_bytes_be(&self.id().to_bytes())
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.mesh.address()
    }

    /// The mesh below: users' messages, peers.
    #[must_use]
    pub fn mesh(&self) -> &MeshSocket<Chord> {
        &self.mesh
    }

    /// Connects to a node: see [`MeshSocket::connect`].
    ///
    /// # Errors
    /// Nobody answers there, or nobody of this network.
    pub async fn connect(&self, to: impl Into<Endpoint>) -> Result<NodeId, MeshError> {
        self.mesh.connect(to).await
    }

    /// The value of a key, as three of its five tables know it. Text and bytes are the same key.
    /// Cancel safe.
    ///
    /// # Errors
    /// Too few tables answer in time, or no three agree: [`ReadError`] says which. That a key is
    /// absent is no error.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, ChordError> {
        self.read(|chord, now| chord.get(now, key)).await
    }

    /// As [`get`](Self::get), with a time limit of one's own.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_within(
        &self,
        key: impl AsRef<[u8]>,
        timeout: Duration,
    ) -> Result<Option<Value>, ChordError> {
        self.read(|chord, now| chord.get_within(now, key, timeout)).await
    }

    /// The value of a key, or `default` when there is none.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_or(
        &self,
        key: impl AsRef<[u8]>,
        default: impl Into<Value>,
    ) -> Result<Value, ChordError> {
        Ok(self.get(key).await?.unwrap_or_else(|| default.into()))
    }

    /// Whether there is such a key.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool, ChordError> {
        Ok(self.get(key).await?.is_some())
    }

    /// Sets a key, and waits until three of its five tables have acknowledged it, each with its
    /// copies. Cancel safe: when the future is dropped, the write goes on.
    ///
    /// # Errors
    /// Too few tables acknowledge it in time; it may have been made in part. Or it is over a limit.
    pub async fn set(
        &self,
        key: impl AsRef<[u8]>,
        value: impl Into<Value>,
    ) -> Result<(), ChordError> {
        let value = value.into();
        self.write(|chord, now| chord.set(now, key, &value)).await.map(drop)
    }

    /// Sets many keys, some of them at the same time, and waits for all.
    ///
    /// # Errors
    /// As [`set`](Self::set), for the first that fails; others may have been set.
    pub async fn update<K: AsRef<[u8]>, V: Into<Value>>(
        &self,
        items: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), ChordError> {
        crate::walk::set_all(
            self,
            items
                .into_iter()
                .map(|(key, value)| (Bytes::copy_from_slice(key.as_ref()), value.into())),
        )
        .await
    }

    /// Deletes a key. Waits and cancels as [`set`](Self::set).
    ///
    /// # Errors
    /// There is no such key; or as [`set`](Self::set).
    pub async fn del(&self, key: impl AsRef<[u8]>) -> Result<(), ChordError> {
        self.write(|chord, now| chord.del(now, key)).await.map(drop)
    }

    /// Merges a map into the one that is a key's value, or makes one, and gives the whole. Changes
    /// that come at the same time are all in it. Waits and cancels as [`set`](Self::set).
    ///
    /// # Errors
    /// The value is no map; or as [`set`](Self::set).
    pub async fn apply_delta(
        &self,
        key: impl AsRef<[u8]>,
        delta: impl IntoIterator<Item = (Value, Value)>,
    ) -> Result<Value, ChordError> {
        let delta = Vec::from_iter(delta);
        let merged = self.write(|chord, now| chord.apply_delta(now, key, delta)).await?;
        Ok(merged.unwrap_or(Value::Nil))
    }

    /// Deletes a key and gives its value. Of two that pop it at the same moment, both may get it;
    /// what others write at that moment stays, or is what is given.
    /// Waits and cancels as [`set`](Self::set).
    ///
    /// # Errors
    /// As [`del`](Self::del).
    pub async fn pop(&self, key: impl AsRef<[u8]>) -> Result<Value, ChordError> {
        let popped = self.write(|chord, now| chord.pop(now, key)).await?;
        Ok(popped.unwrap_or(Value::Nil))
    }

    /// Deletes some key, and gives it with its value; nothing when there are no keys. Waits and
    /// cancels as [`set`](Self::set).
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn popitem(&self) -> Result<Option<(Bytes, Value)>, ChordError> {
        let mut keys = self.keys();
        while let Some(key) = keys.next().await {
            let key = key?;
            match self.pop(&key).await {
                Ok(value) => return Ok(Some((key, value))),
                // It has gone meanwhile.
                Err(ChordError::Write(WriteError::Absent)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// All keys, one after the other: those that were announced, or, where keys are not announced
    /// ([`ChordConfig::announces`]), those that the members of the ring tell. Some may have gone by
    /// the time that they are told, and some may be missed that have come meanwhile.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys::new(self.clone())
    }

    /// All values, in no order. Some are fetched at the same time.
    #[must_use]
    pub fn values(&self) -> Values {
        Values::new(self.items())
    }

    /// All keys and their values, in no order. Some are fetched at the same time.
    #[must_use]
    pub fn items(&self) -> Items {
        Items::new(self)
    }

    /// All keys and their values, at once: for dictionaries that fit into memory.
    ///
    /// # Errors
    /// As [`get`](Self::get), for the first that fails.
    pub async fn copy(&self) -> Result<BTreeMap<Bytes, Value>, ChordError> {
        let mut items = self.items();
        let mut all = BTreeMap::new();
        while let Some(item) = items.next().await {
            let (key, value) = item?;
            all.insert(key, value);
        }
        Ok(all)
    }

    /// Stores from now on, and waits until the node is a member of the ring. Cancel safe: when the
    /// future is dropped, it goes on joining.
    ///
    /// # Errors
    /// Nobody can dial the node; or it has stopped.
    pub async fn join(&self) -> Result<(), ChordError> {
        self.mesh.node().call(|chord, now| chord.join(now))??;
        Ok(self.joined().await?)
    }

    /// Waits until the node is a member of the ring, and has what belongs to it. Cancel safe.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn joined(&self) -> Result<(), Stopped> {
        let is_joined = |chord: &Chord| chord.membership() == Membership::Joined;
        self.wait_for(|chord| is_joined(chord).then_some(())).await
    }

    /// Stores no more: hands over what the node has, and waits until that is done, half a minute at
    /// the most. Gives the number of records that nobody has taken. The node goes on using the
    /// network. Cancel safe: when the future is dropped, it goes on leaving.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn unjoin(&self) -> Result<usize, Stopped> {
        let begin = |chord: &mut Chord, now| Ok::<_, ReadError>(chord.unjoin(now));
        match self.mesh.node().request(begin)? {
            Ok(event) => match event.await? {
                ChordEvent::Left { lost, .. } => Ok(lost),
                _ => Err(Stopped),
            },
            Err(_) => Err(Stopped),
        }
    }

    /// The member before this one on the ring.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn predecessor(&self) -> Result<Option<NodeId>, Stopped> {
        self.mesh.node().call(|chord, _| chord.ring().and_then(crate::Ring::predecessor))
    }

    /// The member behind this one on the ring.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn successor(&self) -> Result<Option<NodeId>, Stopped> {
        self.mesh.node().call(|chord, _| chord.ring().and_then(crate::Ring::successor))
    }

    /// The way to each of a key's positions, node by node. Cancel safe.
    ///
    /// # Errors
    /// The key is too long, too much is under way, or the node has stopped.
    pub async fn explain(&self, key: impl AsRef<[u8]>) -> Result<Vec<Path>, ChordError> {
        match self.request(|chord, now| chord.explain(now, key)).await? {
            ChordEvent::Explained { paths, .. } => Ok(paths),
            _ => Err(Stopped.into()),
        }
    }

    /// Everything that happens from now on.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn events(&self) -> Result<EventStream<ChordEvent>, Stopped> {
        self.subscribe(StreamConfig::default())
    }

    /// As [`events`](Self::events), with bounds of one's own for what waits to be read.
    ///
    /// # Errors
    /// The node has stopped.
    pub fn subscribe(&self, config: StreamConfig) -> Result<EventStream<ChordEvent>, Stopped> {
        let weigh = |event: &ChordEvent| match event {
            ChordEvent::Add { key } | ChordEvent::Delete { key } => key.len(),
            ChordEvent::Mesh(MeshEvent::Message(received)) => received.message().body().len(),
            _ => 0,
        };
        let known = |event: &ChordEvent| match event {
            // Nobody is above to claim it.
            ChordEvent::Mesh(MeshEvent::Unclaimed(_)) => None,
            // They are for who asked.
            ChordEvent::Read { .. } | ChordEvent::Written { .. } | ChordEvent::Listed { .. } => {
                None
            }
            event => Some(event.clone()),
        };
        self.mesh.node().subscribe(config, known, weigh)
    }

    /// Waits until the node has what is asked for. `look` is called first, and again whenever
    /// something has changed, until it gives something. Cancel safe as far as `look` is.
    ///
    /// # Errors
    /// The node has stopped.
    pub async fn wait_for<R>(
        &self,
        mut look: impl FnMut(&Chord) -> Option<R>,
    ) -> Result<R, Stopped> {
        self.mesh.node().wait_for(|chord, _| look(chord)).await
    }

    /// Waits until the node's file can no longer be written. Never ends for a node without a file,
    /// or one that has stopped.
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
    pub fn status(&self) -> Result<ChordStatus, Stopped> {
        self.mesh.node().call(|chord, now| chord.status(now))
    }

    /// Stops the node, which keeps its records if it has a file, and leaves them to the copies if
    /// not: call [`unjoin`](Self::unjoin) before to hand them over.
    ///
    /// # Errors
    /// Some of it is not on the disk.
    pub async fn close(&self) -> Result<(), ChordError> {
        let saved = self.save().await;
        self.mesh.close().await;
        if let Some(follower) = &self.follower {
            follower.closed().await;
        }
        match saved {
            // Somebody else was first.
            Err(ChordError::Stopped(_)) => Ok(()),
            saved => saved,
        }
    }

    /// Waits until all records of this moment are on the disk. Without a file there is nothing to
    /// wait for.
    ///
    /// # Errors
    /// The disk fails, or the node has stopped.
    pub async fn save(&self) -> Result<(), ChordError> {
        let Some(follower) = &self.follower else { return Ok(()) };
        follower.save().await.map_err(|error| match error {
            FollowError::Stopped(_) => ChordError::Stopped(Stopped),
            FollowError::Store(error) => ChordError::NotSaved(error),
        })
    }

    /// Starts an operation, and waits for its end.
    pub(crate) async fn request<E: Into<ChordError>>(
        &self,
        begin: impl FnOnce(&mut Chord, Time) -> Result<RequestId, E>,
    ) -> Result<ChordEvent, ChordError> {
        match self.mesh.node().request(begin)? {
            Ok(event) => Ok(event.await?),
            Err(error) => Err(error.into()),
        }
    }

    async fn read(
        &self,
        begin: impl FnOnce(&mut Chord, Time) -> Result<RequestId, ReadError>,
    ) -> Result<Option<Value>, ChordError> {
        match self.request(begin).await? {
            ChordEvent::Read { result, .. } => Ok(result?),
            _ => Err(Stopped.into()),
        }
    }

    async fn write(
        &self,
        begin: impl FnOnce(&mut Chord, Time) -> Result<RequestId, WriteError>,
    ) -> Result<Option<Value>, ChordError> {
        match self.request(begin).await? {
            ChordEvent::Written { result, .. } => Ok(result?),
            _ => Err(Stopped.into()),
        }
    }
}

impl fmt::Debug for ChordSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, address) = (self.id(), self.address());
        f.debug_struct("ChordSocket").field("id", &id).field("address", &address).finish()
    }
}

/// Why an operation on a [`ChordSocket`] failed.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum ChordError {
    /// A read failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A write is not acknowledged.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The node cannot join.
    #[error(transparent)]
    Join(#[from] NotReachable),
    /// The file could not be written, and no later write reaches it: start the node anew.
    #[error("the node's records are not on the disk: {0}")]
    NotSaved(Arc<StoreError>),
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why a node does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChordStartError {
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
