//! A dictionary of ours.

use std::ops::{Deref, DerefMut};

use rs2p::base::NodeId;
use rs2p::base::net::{EventStream, StreamConfig};
use rs2p::mesh::MeshEvent;
use rs2p::sync::{Entry, Sync, SyncBuilder, SyncError, SyncEvent, SyncSocket};
use serde_json::{Value as Json, json};
use tokio::time::{Instant, timeout, timeout_at};

use crate::PATIENCE;
use crate::node::{Dialling, Node, stay_put};
use crate::peer::{Kind, Peer};
use crate::sync::peer::start;
use crate::values::{alike, from_json, to_json};

/// A node of a replicated dictionary, and what it has told so far.
pub(crate) struct Dictionary {
    pub(crate) socket: SyncSocket,
    mesh: Node<Sync>,
    changes: EventStream<Json>,
    /// All changes so far, in the form of the peers' scripts; keys are as [`key`] gives them.
    log: Vec<Json>,
}

impl Dictionary {
    pub(crate) async fn start() -> Self {
        Self::start_with(|builder| builder).await
    }

    /// It dials nobody by itself, unless it is told to.
    pub(crate) async fn start_with(configure: impl FnOnce(SyncBuilder) -> SyncBuilder) -> Self {
        let builder = SyncSocket::builder().mesh_config(stay_put());
        let socket = configure(builder).start().await.expect("it starts");
        let mesh = Node::over(socket.mesh().clone());
        let config = StreamConfig { events: 100_000, ..StreamConfig::default() };
        let changes = socket.mesh().node().subscribe(config, change, |_| 0).expect("it runs");
        Self { socket, mesh, changes, log: Vec::new() }
    }

    /// A node of ours and one of the originals, with a link that is ready at both ends.
    pub(crate) async fn with_peer(kind: Kind, dialling: Dialling) -> (Self, Peer) {
        let (mut ours, mut peer) = tokio::join!(Self::start(), start(kind));
        ours.link(&mut peer, dialling).await;
        (ours, peer)
    }

    pub(crate) async fn set(&self, key: &Json, value: &Json) {
        self.try_set(key, value).await.expect("it is set");
    }

    pub(crate) async fn try_set(&self, key: &Json, value: &Json) -> Result<(), SyncError> {
        self.socket.set(bytes(key), from_json(value)).await
    }

    pub(crate) async fn del(&self, key: &Json) {
        self.socket.del(bytes(key)).await.expect("it is deleted");
    }

    /// Applies a delta, which is a map, and gives the whole value.
    pub(crate) async fn delta(&self, key: &Json, delta: &Json) -> Json {
        self.try_delta(key, delta).await.expect("it is applied")
    }

    pub(crate) async fn try_delta(&self, key: &Json, delta: &Json) -> Result<Json, SyncError> {
        let delta = from_json(delta).as_map().expect("a map").clone();
        Ok(to_json(self.socket.apply_delta(bytes(key), delta).await?.as_ref()))
    }

    /// The value of a key, null when there is none.
    pub(crate) fn get(&self, key: &Json) -> Json {
        let value = self.socket.get(bytes(key)).expect("it runs");
        value.map_or(Json::Null, |value| to_json(&value))
    }

    pub(crate) fn entry(&self, key: &Json) -> Entry {
        self.socket.entry(bytes(key)).expect("it runs").expect("it is there")
    }

    pub(crate) fn len(&self) -> usize {
        self.socket.len().expect("it runs")
    }

    /// Waits until it has told that this key has this value, and gives what it told.
    pub(crate) async fn updates(&mut self, key: &Json, value: &Json) -> Json {
        self.updates_by(key, value, None).await
    }

    /// As [`updates`](Self::updates); the author counts too.
    pub(crate) async fn updates_by(
        &mut self,
        name: &Json,
        value: &Json,
        owner: Option<&str>,
    ) -> Json {
        let name = key(name);
        self.until(&format!("update of {name} to {value:.100} by {owner:?}"), |log| {
            let is_it = |told: &&Json| {
                told["event"] == "update"
                    && told["key"] == name
                    && alike(&told["value"], value)
                    && owner.is_none_or(|owner| told["owner"] == owner)
            };
            log.iter().find(is_it).cloned()
        })
        .await
    }

    /// Waits until the last that it has told of this key is that it is deleted.
    pub(crate) async fn deletes(&mut self, name: &Json) {
        let name = key(name);
        self.until(&format!("deletion of {name}"), |log| {
            let last = log.iter().rev().find(|told| told["key"] == name);
            last.is_some_and(|told| told["event"] == "delete").then_some(())
        })
        .await;
    }

    /// Waits until it has so many keys. The deadline is for some of them.
    pub(crate) async fn has_keys(&mut self, count: usize) {
        while self.len() != count {
            let wanted = count.min(self.len() + 100);
            let has_some = |sync: &mut Sync, _| (sync.len() >= wanted).then_some(());
            let has_come = timeout(PATIENCE, self.socket.mesh().node().wait_for(has_some)).await;
            let found = self.len();
            assert!(has_come.is_ok(), "{found} keys, not {count}: {:#?}", self.socket.status());
            assert!(found <= count, "{found} keys, not {count}");
        }
    }

    /// How often it has told of this key so far.
    pub(crate) fn times_told(&mut self, name: &Json) -> usize {
        while let Some(change) = self.changes.try_recv() {
            self.log.push(change.expect("no change is lost"));
        }
        let name = key(name);
        self.log.iter().filter(|told| told["key"] == name).count()
    }

    async fn until<T>(&mut self, what: &str, find: impl Fn(&[Json]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = find(&self.log) {
                return found;
            }
            match timeout_at(deadline, self.changes.recv()).await {
                Ok(change) => self.log.push(change.expect("no change is lost")),
                Err(_) => {
                    let tail: Vec<_> = self.log.iter().rev().take(8).collect();
                    let status = self.socket.status();
                    panic!("no {what} in {PATIENCE:?}; newest first: {tail:#?}\n{status:#?}");
                }
            }
        }
    }

    /// The end of a test: nothing came that it could make nothing of, its user was told nothing
    /// that is not for users, and the links to these nodes have never been lost. It runs on until
    /// the others have been looked at, too: py2p does not take every goodbye well.
    pub(crate) async fn finish(&mut self, kept: &[NodeId]) {
        for peer in kept {
            assert_eq!(self.times_lost(*peer), 0, "{:#?}", self.socket.status());
        }
        let is_stray = |event: &&MeshEvent| matches!(event, MeshEvent::Unclaimed(_));
        let strays: Vec<_> = self.told().iter().filter(is_stray).collect();
        assert!(strays.is_empty(), "{strays:#?}");
        assert!(!self.hears_anything().await, "a message that nobody wrote");
        let counts = self.socket.status().expect("it runs").counts;
        assert_eq!((counts.malformed, counts.no_room, counts.ahead), (0, 0, 0), "{counts:?}");
    }
}

/// What can be done with the mesh below.
impl Deref for Dictionary {
    type Target = Node<Sync>;

    fn deref(&self) -> &Node<Sync> {
        &self.mesh
    }
}

impl DerefMut for Dictionary {
    fn deref_mut(&mut self) -> &mut Node<Sync> {
        &mut self.mesh
    }
}

fn change(event: &SyncEvent) -> Option<Json> {
    match event {
        SyncEvent::Update { key, value, meta } => Some(json!({
            "event": "update",
            "key": hex::encode(key),
            "value": to_json(value),
            "owner": meta.owner.to_string(),
            "timestamp": meta.timestamp,
        })),
        SyncEvent::Delete { key, .. } => Some(json!({"event": "delete", "key": hex::encode(key)})),
        _ => None,
    }
}

/// A key as bytes: text and binary are the same key.
pub(crate) fn bytes(key: &Json) -> Vec<u8> {
    match key.as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => hex::decode(key["bin"].as_str().expect("text or binary")).expect("hex"),
    }
}

/// A key in one form, whether it came as text or as binary.
pub(crate) fn key(key: &Json) -> Json {
    hex::encode(bytes(key)).into()
}
