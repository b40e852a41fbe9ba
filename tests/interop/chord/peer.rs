//! What a running py2p or js2p node does in a DHT.

use rs2p::base::NodeId;
use serde_json::{Value as Json, json};
use tokio::time::{Duration, Instant, sleep};

use crate::PATIENCE;
use crate::peer::{Kind, Peer};
use crate::sync::dictionary::key;
use crate::values::alike;

/// How long a read of theirs may take, in seconds: shorter than the test's patience.
const READ: u64 = 8;

/// A node that stores nothing.
pub(crate) async fn start_leeching(kind: Kind) -> Peer {
    start_with(kind, &[]).await
}

/// A node that stores.
pub(crate) async fn start(kind: Kind) -> Peer {
    let mut peer = start_leeching(kind).await;
    peer.join().await;
    peer
}

pub(crate) async fn start_with(kind: Kind, options: &[&str]) -> Peer {
    let options: Vec<_> = ["--kind", "chord"].iter().chain(options).copied().collect();
    Peer::start_with(kind, &options).await
}

impl Peer {
    pub(crate) async fn join(&mut self) {
        self.command(json!({"cmd": "join"})).await;
    }

    pub(crate) async fn unjoin(&mut self) {
        self.command(json!({"cmd": "unjoin"})).await;
    }

    /// The value of a key, null when there is none.
    pub(crate) async fn read_within(&mut self, key: &str, seconds: u64) -> Json {
        let command = json!({"cmd": "get", "key": key, "timeout": seconds});
        self.command(command).await["value"].clone()
    }

    /// Merges a map into a value, and gives the whole.
    pub(crate) async fn merge(&mut self, key: &str, delta: &Json) -> Json {
        let command = json!({"cmd": "delta", "key": key, "delta": delta, "timeout": READ + 1});
        self.command(command).await["value"].clone()
    }

    /// Whom py2p has sent each of them to, once for each table that it does not keep itself.
    pub(crate) async fn set_all(&mut self, pairs: &[(String, Json)]) -> Vec<Vec<String>> {
        let answer = self.command(json!({"cmd": "set_many", "pairs": pairs})).await;
        let ids = |ids: &Json| ids.as_array().into_iter().flatten().map(text).collect();
        answer["stored_by"].as_array().into_iter().flatten().map(ids).collect()
    }

    /// Sets each entry of a map, at once as far as it does anything at once.
    pub(crate) async fn update(&mut self, map: &Json) {
        self.command(json!({"cmd": "update", "map": map})).await;
    }

    /// Checks that each of these keys has its value. How many milliseconds each took.
    pub(crate) async fn has_all(&mut self, pairs: &[(String, Json)]) -> Vec<f64> {
        let keys: Vec<_> = pairs.iter().map(|(key, _)| key).collect();
        let command = json!({"cmd": "get_many", "keys": keys, "timeout": READ});
        let answer = self.command(command).await;
        let values = answer["values"].as_array().expect("a list");
        let wrong: Vec<_> =
            pairs.iter().zip(values).filter(|((_, value), found)| !alike(value, found)).collect();
        assert!(wrong.is_empty(), "{:?} {}: {} wrong: {wrong:?}", self.kind, self.id, wrong.len());
        let millis = answer["millis"].as_array().expect("a list");
        millis.iter().map(|took| took.as_f64().expect("a number")).collect()
    }

    /// Waits until it reads the value of each of these keys. A set is acknowledged at three of five
    /// tables, and the originals do not ask again by themselves: py2p loses an answer that comes
    /// before it is ready for it, and js2p reads nothing when one of the five is its own and
    /// was not there at first. So their user reads again.
    pub(crate) async fn comes_to_have_all(&mut self, pairs: &[(String, Json)]) {
        let left = self.never_has(pairs).await;
        assert!(left.is_empty(), "{:?} {}: {} wrong: {left:?}", self.kind, self.id, left.len());
    }

    /// Those that it does not come to read, until it reads no more of them in time.
    pub(crate) async fn never_has<'a>(
        &mut self,
        pairs: &'a [(String, Json)],
    ) -> Vec<&'a (String, Json)> {
        let mut deadline = Instant::now() + PATIENCE;
        let mut left: Vec<_> = pairs.iter().collect();
        while !left.is_empty() && Instant::now() < deadline {
            // An answer must not take longer than the test's patience.
            let asked = &left[..left.len().min(READ as usize)];
            let keys: Vec<_> = asked.iter().map(|(key, _)| key).collect();
            let command = json!({"cmd": "get_many", "keys": keys, "timeout": 1});
            let answer = self.command(command).await;
            let values = answer["values"].as_array().expect("a list");
            let is_wrong = |(pair, found): &(&&(String, Json), &Json)| !alike(&pair.1, found);
            let wrong: Vec<_> =
                asked.iter().zip(values).filter(is_wrong).map(|(pair, _)| *pair).collect();
            if wrong.len() < asked.len() {
                deadline = Instant::now() + PATIENCE;
            }
            left.drain(..keys.len());
            left.extend(wrong);
        }
        left
    }

    /// Waits until it reads nothing for this key.
    pub(crate) async fn comes_to_miss(&mut self, key: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.read_within(key, 1).await;
            if found.is_null() {
                return;
            }
            assert!(Instant::now() < deadline, "{:?} still has {key}: {found}", self.kind);
        }
    }

    /// Waits until it reads this value.
    pub(crate) async fn comes_to_read(&mut self, key: &str, value: &Json) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.read_within(key, 1).await;
            if alike(&found, value) {
                return;
            }
            let (kind, now) = (self.kind, Instant::now());
            assert!(now < deadline, "{kind:?} {}: {key} is {found}, not {value}", self.id);
        }
    }

    /// Waits until it takes these peers for storing ones, or leeching ones.
    pub(crate) async fn takes_for_storing(&mut self, ids: &[NodeId], storing: bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let table = self.table().await;
            let is_right = |id: &NodeId| {
                let id = id.to_string();
                table.iter().any(|entry| entry["id"] == id && entry["leeching"] != storing)
            };
            if ids.iter().all(is_right) {
                return;
            }
            let (kind, now) = (self.kind, Instant::now());
            assert!(now < deadline, "{kind:?} does not know who stores: {table:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the last that it has told of this key is this.
    pub(crate) async fn tells_of(&mut self, name: &str, what: &str) {
        let name = key(&json!(name));
        self.until(&format!("{what} of {name}"), |log| {
            let is_of_key = |told: &&Json| !told["key"].is_null() && key(&told["key"]) == name;
            let last = log.iter().rev().find(is_of_key);
            last.is_some_and(|told| told["event"] == what).then_some(())
        })
        .await;
    }
}

fn text(json: &Json) -> String {
    json.as_str().expect("a text").to_owned()
}
