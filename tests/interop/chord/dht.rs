//! A DHT node of ours.

use std::ops::{Deref, DerefMut};

use rs2p::base::NodeId;
use rs2p::base::net::{EventStream, StreamConfig};
use rs2p::chord::{Chord, ChordBuilder, ChordError, ChordEvent, ChordSocket, ReadError};
use rs2p::mesh::MeshEvent;
use serde_json::{Value as Json, json};
use tokio::time::{Instant, timeout, timeout_at};

use crate::PATIENCE;
use crate::node::Node;
use crate::values::{alike, from_json, to_json};

/// A node of a DHT, and what it has told so far.
pub(crate) struct Dht {
    pub(crate) socket: ChordSocket,
    mesh: Node<Chord>,
    changes: EventStream<Json>,
    /// All keys that came and went so far, in the form of the peers' scripts.
    log: Vec<Json>,
}

impl Dht {
    pub(crate) async fn start() -> Self {
        Self::start_with(|builder| builder).await
    }

    /// One that stores nothing.
    pub(crate) async fn start_leeching() -> Self {
        Self::start_with(|builder| builder.joins(false)).await
    }

    pub(crate) async fn start_with(configure: impl FnOnce(ChordBuilder) -> ChordBuilder) -> Self {
        let socket = configure(ChordSocket::builder()).start().await.expect("it starts");
        let mesh = Node::over(socket.mesh().clone());
        let config = StreamConfig { events: 100_000, ..StreamConfig::default() };
        let changes = socket.mesh().node().subscribe(config, change, |_| 0).expect("it runs");
        Self { socket, mesh, changes, log: Vec::new() }
    }

    pub(crate) async fn set(&self, key: &str, value: &Json) {
        let set = self.socket.set(key, from_json(value)).await;
        set.unwrap_or_else(|error| panic!("{key} is not set: {error}\n{}", self.report()));
    }

    pub(crate) async fn get(&self, key: &str) -> Json {
        let found = self.socket.get(key).await;
        let found =
            found.unwrap_or_else(|error| panic!("{key} is not read: {error}\n{}", self.report()));
        found.map_or(Json::Null, |value| to_json(&value))
    }

    /// As [`get`](Self::get), but null as well while a write of theirs has come to some tables only.
    async fn get_so_far(&self, key: &str) -> Json {
        match self.socket.get(key).await {
            Err(ChordError::Read(ReadError::NoMajority(_))) => Json::Null,
            found => {
                let found = found.unwrap_or_else(|error| {
                    panic!("{key} is not read: {error}\n{}", self.report())
                });
                found.map_or(Json::Null, |value| to_json(&value))
            }
        }
    }

    pub(crate) async fn del(&self, key: &str) {
        self.try_del(key).await.unwrap_or_else(|error| panic!("{key} is not deleted: {error}"));
    }

    pub(crate) async fn try_del(&self, key: &str) -> Result<(), ChordError> {
        self.socket.del(key).await
    }

    /// Merges a map into a value, and gives the whole.
    pub(crate) async fn delta(&self, key: &str, delta: &Json) -> Json {
        let delta = from_json(delta).as_map().expect("a map").clone();
        to_json(&self.socket.apply_delta(key, delta).await.expect("it is applied"))
    }

    /// Checks that each of these keys has its value.
    pub(crate) async fn has_all(&self, pairs: &[(String, Json)]) {
        for (key, value) in pairs {
            let found = self.get(key).await;
            assert!(alike(&found, value), "{key}: {found}, not {value}\n{}", self.report());
        }
    }

    /// Waits until it reads this value: a write of theirs is not acknowledged.
    pub(crate) async fn comes_to_read(&self, key: &str, value: &Json) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.get_so_far(key).await;
            if alike(&found, value) {
                return;
            }
            let now = Instant::now();
            assert!(now < deadline, "{key}: {found}, not {value}\n{}", self.report());
        }
    }

    /// Those that it does not come to read in time.
    pub(crate) async fn never_has<'a>(
        &self,
        pairs: &'a [(String, Json)],
    ) -> Vec<&'a (String, Json)> {
        let deadline = Instant::now() + PATIENCE;
        let mut left: Vec<_> = pairs.iter().collect();
        loop {
            let mut wrong = Vec::new();
            for pair in left {
                if !alike(&self.get_so_far(&pair.0).await, &pair.1) {
                    wrong.push(pair);
                }
            }
            if wrong.is_empty() || Instant::now() > deadline {
                return wrong;
            }
            left = wrong;
        }
    }

    /// Waits until it is a member of the ring, and has so many storing peers at least.
    pub(crate) async fn is_member(&self, storing_peers: usize) {
        let is_there = async {
            self.socket.joined().await.expect("it runs");
            self.knows_storing(storing_peers).await;
        };
        let is_there = timeout(PATIENCE, is_there).await;
        assert!(is_there.is_ok(), "no member of {storing_peers}\n{}", self.report());
    }

    /// Waits until so many of its peers store, or more.
    pub(crate) async fn knows_storing(&self, peers: usize) {
        let has_come = self.until_status(|status| status.storing_peers >= peers).await;
        assert!(has_come, "not {peers} storing peers\n{}", self.report());
    }

    /// Whether its status comes to be like this in time.
    async fn until_status(&self, is_right: impl Fn(&rs2p::chord::ChordStatus) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while !is_right(&self.socket.status().expect("it runs")) {
            if Instant::now() > deadline {
                return false;
            }
            // Not all of it is an event.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        true
    }

    /// Waits until the last that it has told of this key is that it has come.
    pub(crate) async fn hears_of(&mut self, key: &str) {
        self.until_last(key, "add").await;
    }

    /// Waits until the last that it has told of this key is that it is gone.
    pub(crate) async fn hears_end_of(&mut self, key: &str) {
        self.until_last(key, "delete").await;
    }

    async fn until_last(&mut self, key: &str, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        let key = json!(hex::encode(key));
        loop {
            let last = self.log.iter().rev().find(|told| told["key"] == key);
            if last.is_some_and(|told| told["event"] == what) {
                return;
            }
            match timeout_at(deadline, self.changes.recv()).await {
                Ok(change) => self.log.push(change.expect("no change is lost")),
                Err(_) => panic!("no {what} of {key} in {PATIENCE:?}\n{}", self.report()),
            }
        }
    }

    /// The end of a test: nothing came that it could make nothing of, its user was told nothing
    /// that is not for users, and the links to these nodes have never been lost.
    pub(crate) async fn finish(&mut self, kept: &[NodeId]) {
        for peer in kept {
            let (lost, report) = (self.times_lost(*peer), self.report());
            assert_eq!(lost, 0, "a link to {peer} was lost\n{report}");
        }
        let is_stray = |event: &&MeshEvent| matches!(event, MeshEvent::Unclaimed(_));
        let strays: Vec<_> = self.told().iter().filter(is_stray).collect();
        assert!(strays.is_empty(), "{strays:#?}");
        assert!(!self.hears_anything().await, "a message that nobody wrote");
        let counts = self.socket.status().expect("it runs").counts;
        assert_eq!((counts.malformed, counts.refused), (0, 0), "{counts:?}");
    }

    /// What is known of it, for the message of a failed test.
    pub(crate) fn report(&self) -> String {
        format!("{} {:#?}", self.id(), self.socket.status())
    }
}

/// What can be done with the mesh below.
impl Deref for Dht {
    type Target = Node<Chord>;

    fn deref(&self) -> &Node<Chord> {
        &self.mesh
    }
}

impl DerefMut for Dht {
    fn deref_mut(&mut self) -> &mut Node<Chord> {
        &mut self.mesh
    }
}

fn change(event: &ChordEvent) -> Option<Json> {
    match event {
        ChordEvent::Add { key } => Some(json!({"event": "add", "key": hex::encode(key)})),
        ChordEvent::Delete { key } => Some(json!({"event": "delete", "key": hex::encode(key)})),
        _ => None,
    }
}

/// So many keys with values, which no other call with another name has.
pub(crate) fn pairs(name: &str, count: usize) -> Vec<(String, Json)> {
    (0..count)
        .map(|number| (format!("{name} {number}"), json!(format!("{name}: {number}"))))
        .collect()
}
