//! The commands of a DHT: keys and values, and whether the node stores.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rs2p_chord::{ChordError, Membership};
use rs2p_wire::Value;
use tokio::time::timeout;

use super::ChordNode;
use crate::dictionary::{Answer, count_of_keys, on_key, parse_key, parse_pairs, plain};
use crate::session::{CommandError, CommandSpec, Style, Told};
use crate::{dictionary, words};

pub(super) const COMMANDS: &[CommandSpec] = &[
    on_key("set", "set KEY VALUE", "set a key", (2, Some(2))),
    on_key("get", "get KEY", "the value of a key", (1, Some(1))),
    on_key("del", "del KEY", "delete a key", (1, Some(1))),
    on_key("pop", "pop KEY", "delete a key, and tell its value", (1, Some(1))),
    plain("popitem", "delete some key, and tell it"),
    plain("keys", "all keys, in their order"),
    plain("values", "all values, in the order of their keys"),
    plain("items", "all keys and values, in the order of the keys"),
    plain("copy", "all keys and values, as one object"),
    plain("len", "how many keys there are"),
    on_key("update", "update KEY VALUE ...", "set many keys", (2, None)),
    on_key(
        "delta",
        "delta KEY JSON",
        "merge an object into the one that is its value",
        (2, Some(2)),
    ),
    plain("join", "store for the network from now on"),
    plain("unjoin", "store no more, and hand over what is here"),
    on_key("explain", "explain KEY", "the way to the five places of a key", (1, Some(1))),
    plain("ring", "this node's place on the ring, and its neighbours"),
];

impl ChordNode {
    pub(super) async fn set(&self, words: &[String]) -> Answer {
        let (key, value) = (parse_key(&words[0])?, words::value(&words[1])?);
        self.socket.set(&key, value).await?;
        Ok(dictionary::on("set", &key).line([done("set")]))
    }

    pub(super) async fn get(&self, words: &[String]) -> Answer {
        let key = parse_key(&words[0])?;
        Ok(dictionary::got(&key, self.socket.get(&key).await?.as_ref()))
    }

    pub(super) async fn del(&self, words: &[String]) -> Answer {
        let key = parse_key(&words[0])?;
        self.socket.del(&key).await?;
        Ok(dictionary::on("del", &key).line([done("deleted")]))
    }

    pub(super) async fn pop(&self, words: &[String]) -> Answer {
        let key = parse_key(&words[0])?;
        Ok(dictionary::popped(&key, &self.socket.pop(&key).await?))
    }

    pub(super) async fn popitem(&self) -> Answer {
        let (key, value) = self.socket.popitem().await?.ok_or("there is no key")?;
        Ok(dictionary::item("popitem", &key, &value))
    }

    pub(super) async fn keys(&self) -> Answer {
        Ok(dictionary::all_keys(&self.all_keys().await?))
    }

    pub(super) async fn values(&self) -> Answer {
        let values: Vec<_> = self.all().await?.into_values().collect();
        Ok(dictionary::all_values(&values))
    }

    pub(super) async fn items(&self) -> Answer {
        Ok(dictionary::all_items(&Vec::from_iter(self.all().await?)))
    }

    pub(super) async fn copy(&self) -> Answer {
        Ok(dictionary::as_object(&Vec::from_iter(self.all().await?)))
    }

    pub(super) async fn len(&self) -> Answer {
        Ok(dictionary::length(self.all_keys().await?.len()))
    }

    pub(super) async fn update(&self, words: &[String]) -> Answer {
        let items = parse_pairs(words)?;
        let text = format!("{} set", count_of_keys(items.len()));
        let updated = self.socket.update(items).await;
        updated.map_err(|error| format!("{error} (others of these keys may be set)"))?;
        Ok(Told::reply("update").line([done(&text)]))
    }

    pub(super) async fn delta(&self, words: &[String]) -> Answer {
        let (key, delta) = (parse_key(&words[0])?, words::entries(&words[1])?);
        Ok(dictionary::item("delta", &key, &self.socket.apply_delta(&key, delta).await?))
    }

    pub(super) async fn join(&self) -> Answer {
        let joined = timeout(JOINING, self.socket.join()).await;
        joined.map_err(|_| {
            let waited = JOINING.as_secs();
            format!("not a member of the ring after {waited} s; it goes on trying: see `ring`")
        })??;
        Ok(Told::reply("join").line([done("this node stores for the network")]))
    }

    pub(super) async fn unjoin(&self) -> Answer {
        let membership = self.socket.status()?.membership;
        let lost = self.socket.unjoin().await?;
        let line = match (membership, lost) {
            (Membership::Leeching, _) => done("this node stores nothing anyway"),
            (_, 0) => done("others have all that this node stored"),
            (_, lost) => (Style::Bad, format!("{lost} records are lost: nobody took them in time")),
        };
        Ok(Told::reply("unjoin").field("lost", lost).line([line]))
    }

    async fn all_keys(&self) -> Result<Vec<Bytes>, CommandError> {
        let mut keys = self.socket.keys();
        let mut all = Vec::new();
        while let Some(key) = keys.next().await {
            all.push(key?);
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    async fn all(&self) -> Result<BTreeMap<Bytes, Value>, ChordError> {
        self.socket.copy().await
    }
}

fn done(text: &str) -> (Style, String) {
    (Style::Faint, text.to_owned())
}

/// How long `join` waits.
const JOINING: Duration = Duration::from_secs(30);
